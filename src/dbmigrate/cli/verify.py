"""`dbmigrate verify`."""

from __future__ import annotations

import click

from dbmigrate.cli.completion_cache import complete_whole_migration
from dbmigrate.cli.host_lifetime import open_project
from dbmigrate.cli.options import database_option, global_options, junit_option
from dbmigrate.cli.session import session_of
from dbmigrate.errors import ExitCode, UsageError


@click.command("verify", short_help="Compare recorded migrations with the real tables.")
@database_option()
@click.option(
    "--repair", is_flag=True, help="Also print SQL and commands that would fix each difference; nothing is run."
)
@click.option(
    "--judged",
    multiple=True,
    metavar="APP.MIGRATION",
    shell_complete=complete_whole_migration,
    help="With --repair: confirm that all it lists as unknown for this half-applied migration has run; repeatable.",
)
@junit_option
@global_options
@click.pass_context
def command(
    context: click.Context, *, databases: tuple[str, ...], repair: bool, judged: tuple[str, ...], junit: str | None
) -> ExitCode:
    """Compare the recorded migrations of every database with its tables, columns, indexes and constraints. Read-only.

    Exits 12 if they differ, otherwise 21 if a database is unreachable, otherwise 10 if migrations are pending.
    """
    if judged and not repair:
        raise UsageError(
            "--judged requires --repair", hint="it names the operations that --repair no longer has to ask about"
        )
    session = session_of(context)
    with open_project(session, {}, junit) as (work, output):
        from dbmigrate.commands.verify import verify

        report = output.follow(verify(work, databases, repair=repair, judged=judged))
        output.answer(report)
        output.close(report.exit_code)
        return report.exit_code
