"""`dbmigrate squash`."""

from __future__ import annotations

import click

from dbmigrate.cli.completion_cache import complete_app, complete_migration
from dbmigrate.cli.host_lifetime import open_project
from dbmigrate.cli.options import global_options
from dbmigrate.cli.session import session_of
from dbmigrate.errors import ExitCode


@click.command("squash", short_help="Squash migrations of an app, unless a database has only some.")
@click.argument("app", shell_complete=complete_app)
@click.argument("names", nargs=-1, required=True, metavar="[FROM] TO", shell_complete=complete_migration)
@click.option("--squashed-name", metavar="NAME", help="Name of the squashed migration.")
@click.option("--no-optimize", is_flag=True, help="Do not optimize the operations.")
@global_options
@click.pass_context
def command(
    context: click.Context, *, app: str, names: tuple[str, ...], squashed_name: str | None, no_optimize: bool
) -> ExitCode:
    """Run the project's squashmigrations for APP, from FROM (default: the first) to TO.

    Refused while a database has applied some of these migrations and not the others. Nothing is migrated.
    """
    if len(names) > 2:
        raise click.UsageError("squash takes one or two migrations: [FROM] TO")
    words = ["--no-optimize"] if no_optimize else []
    if squashed_name is not None:
        words.append(f"--squashed-name={squashed_name}")
    session = session_of(context)
    if not session.can_ask:
        words.append("--no-input")
    if session.verbosity < 0:
        words.append("--verbosity=0")
    first, last = (names[0], names[1]) if len(names) == 2 else (None, names[0])
    with open_project(session, {}) as (work, output):
        from dbmigrate.commands.squash import squash as squash_migrations

        report = output.follow(squash_migrations(work, app, first, last, words))
        output.answer(report)
        output.close(report.exit_code)
        return report.exit_code
