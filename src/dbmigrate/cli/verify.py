"""`dbmigrate verify`."""

from __future__ import annotations

import click

from dbmigrate.cli.context import session_of
from dbmigrate.cli.names import complete_whole_migration
from dbmigrate.cli.options import database_option, global_options, junit_option
from dbmigrate.errors import ExitCode, UsageError


@click.command("verify", short_help="After a deploy: is what is recorded really there?")
@database_option()
@click.option("--repair", is_flag=True, help="Also print what would put each thing right; nothing is run.")
@click.option(
    "--judged",
    multiple=True,
    metavar="APP.MIGRATION",
    shell_complete=complete_whole_migration,
    help="With --repair: what nothing shows of this half-applied migration has run, you have looked; repeatable.",
)
@junit_option
@global_options
@click.pass_context
def command(
    context: click.Context, *, databases: tuple[str, ...], repair: bool, judged: tuple[str, ...], junit: str | None
) -> ExitCode:
    """Hold what every database has recorded against its tables, columns, indexes and constraints. Nothing is written.

    Ends with 12 when they differ, 21 when a database could not be looked at, 10 when migrations are pending.
    """
    if judged and not repair:
        raise UsageError("--judged requires --repair", hint="it says what --repair need not ask a person any more")
    session = session_of(context)
    with session.open({}, junit) as (work, renderer):
        from dbmigrate.verifying import verify

        report = verify(work, databases, repair=repair, judged=judged)
        renderer.answer(report)
        renderer.close(report.exit_code)
        return report.exit_code
