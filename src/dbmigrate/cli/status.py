"""`dbmigrate status`."""

from __future__ import annotations

import click

from dbmigrate.cli.host_lifetime import open_project
from dbmigrate.cli.options import app_option, database_option, exit_code_option, global_options
from dbmigrate.cli.session import session_of
from dbmigrate.errors import ExitCode


@click.command("status", short_help="Show applied and pending migrations of every database.")
@database_option("Only this database; repeatable.")
@app_option("Count only migrations of this app; repeatable.")
@click.option("--migrations", is_flag=True, help="Also list every migration, with the databases side by side.")
@exit_code_option("Exit 21 if a database is unreachable, 10 if migrations are pending.")
@global_options
@click.pass_context
def command(
    context: click.Context, *, databases: tuple[str, ...], apps: tuple[str, ...], migrations: bool, exit_code: bool
) -> ExitCode:
    """Show the kind, server, applied and pending migrations of every database. Read-only.

    With --exit-code it exits 21 if a database that is not skipped is unreachable and 10 if migrations are pending.
    """
    session = session_of(context)
    with open_project(session, {}) as (work, output):
        from dbmigrate.commands import show

        report = output.follow(show.status(work, databases, apps, migrations=migrations))
        code = report.exit_code if exit_code else ExitCode.OK
        output.answer(report)
        output.close(code)
        return code
