"""`dbmigrate make`."""

from __future__ import annotations

import click

from dbmigrate.cli.completion_cache import complete_app
from dbmigrate.cli.host_lifetime import open_project
from dbmigrate.cli.options import global_options
from dbmigrate.cli.session import session_of
from dbmigrate.errors import ExitCode


@click.command("make", short_help="Run makemigrations on the terminal, where it can ask.")
@click.argument("apps", nargs=-1, shell_complete=complete_app)
@click.option("-n", "--name", metavar="NAME", help="Name of the migration.")
@click.option("--empty", is_flag=True, help="Create an empty migration.")
@click.option("--merge", is_flag=True, help="Create a migration that merges conflicting leaf migrations.")
@click.option("--update", is_flag=True, help="Merge the changes into the latest migration (Django 4.2 and later).")
@click.option("--dry-run", is_flag=True, help="Show what would be created.")
@global_options
@click.pass_context
def command(
    context: click.Context,
    *,
    apps: tuple[str, ...],
    name: str | None,
    empty: bool,
    merge: bool,
    update: bool,
    dry_run: bool,
) -> ExitCode:
    """Run the project's makemigrations on this terminal, where Django can ask its questions.

    Afterwards it shows to which databases each new migration will go. It creates migrations only for the project's own
    apps, never for third-party apps.
    """
    session = session_of(context)
    switches = {"--empty": empty, "--merge": merge, "--update": update, "--dry-run": dry_run}
    words = [switch for switch, is_given in switches.items() if is_given]
    if name is not None:
        words.append(f"--name={name}")
    if session.verbosity < 0:
        words.append("--verbosity=0")
    with open_project(session, {}) as (work, output):
        from dbmigrate.commands.make import make as write_migrations

        report = output.follow(write_migrations(work, apps, words, can_ask=session.can_ask))
        output.answer(report)
        output.close(report.exit_code)
        return report.exit_code
