"""`dbmigrate verify`."""

from __future__ import annotations

import click

from dbmigrate.cli.context import session_of
from dbmigrate.cli.options import database_option, global_options, junit_option
from dbmigrate.errors import ExitCode


@click.command("verify", short_help="After a deploy: is what is recorded really there?")
@database_option()
@click.option("--repair", is_flag=True, help="Also print what would put each thing right; nothing is run.")
@junit_option
@global_options
@click.pass_context
def command(context: click.Context, *, databases: tuple[str, ...], repair: bool, junit: str | None) -> ExitCode:
    """Hold what every database has recorded against its tables, columns, indexes and constraints. Nothing is written.

    Ends with 12 when they are apart, 21 when a database could not be looked at, 10 when migrations are pending.
    """
    session = session_of(context)
    with session.open({}, junit) as (work, renderer):
        from dbmigrate.verifying import verify

        report = verify(work, databases, repair=repair)
        renderer.answer(report)
        renderer.close(report.exit_code)
        return report.exit_code
