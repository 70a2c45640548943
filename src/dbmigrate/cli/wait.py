"""`dbmigrate wait`."""

from __future__ import annotations

import click

from dbmigrate.cli.host_lifetime import open_project
from dbmigrate.cli.options import database_option, global_options
from dbmigrate.cli.session import session_of
from dbmigrate.config import Flag
from dbmigrate.errors import ExitCode

DEFAULT_SECONDS = 60.0


@click.command("wait", short_help="Wait until every database answers, for example in a container.")
@database_option()
@global_options
@click.pass_context
def command(context: click.Context, *, databases: tuple[str, ...]) -> ExitCode:
    """Wait until every database that is not skipped answers: up to 60 seconds, or --wait SECONDS.

    Exits 21 if a database is still unreachable then; or at once if waiting cannot help, for example if the password is
    wrong.
    """
    session = session_of(context)
    settings, _ = session.read_settings({})
    flags = {} if settings.origins["wait"] != "default" else {"wait": Flag("default of wait", DEFAULT_SECONDS)}
    with open_project(session, flags) as (work, output):
        from dbmigrate.commands import show
        from dbmigrate.models.selection import Selection

        report = output.follow(show.wait(work, Selection(databases=databases, make_migrations=False)))
        output.answer(report)
        output.close(report.exit_code)
        return report.exit_code
