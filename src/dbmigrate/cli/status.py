"""`dbmigrate status`."""

from __future__ import annotations

import click

from dbmigrate.cli.context import current_session
from dbmigrate.cli.options import exit_code_option, global_options, read_global_options
from dbmigrate.errors import ExitCode


@click.command("status", short_help="Show every database: reachable, applied, pending.")
@exit_code_option
@global_options
@click.pass_context
def command(context: click.Context, *, exit_code: bool) -> ExitCode:
    """Show every database: kind, server, applied and pending migrations. Nothing is written anywhere.

    With --exit-code it ends with 21 if a database does not answer, and with 10 if migrations are pending.
    """
    session = current_session(read_global_options(context), context.info_name)
    with session.open({}) as (work, renderer):
        from dbmigrate import app

        report = app.status(work)
        code = ExitCode.OK
        if exit_code and any(database.state == "unreachable" for database in report.databases):
            code = ExitCode.UNREACHABLE
        elif exit_code and any(database.pending for database in report.databases):
            code = ExitCode.PENDING
        renderer.answer(report)
        renderer.close(code)
        return code
