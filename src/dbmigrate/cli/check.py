"""`dbmigrate check`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dbmigrate.cli.host_lifetime import open_project
from dbmigrate.cli.options import database_option, global_options, junit_option
from dbmigrate.cli.session import session_of
from dbmigrate.config import Flag, read_check_id
from dbmigrate.errors import ExitCode, UsageError
from dbmigrate.project.discovery import find_squawk

if TYPE_CHECKING:
    from dbmigrate.models.findings import FailOn

FAIL_ON = ("note", "warning", "error", "destructive")


@click.command("check", short_help="Find problems before a deploy, for CI.")
@database_option("Only findings of this database, and those of the project as a whole; repeatable.")
@click.option("--select", multiple=True, metavar="IDS", help="Run only these checks, separated by commas; repeatable.")
@click.option("--ignore", multiple=True, metavar="IDS", help="Skip these checks, separated by commas; repeatable.")
@click.option(
    "--fail-on",
    type=click.Choice(FAIL_ON),
    default="error",
    show_default=True,
    help="Lowest level that fails; destructive: also pending migrations that destroy data or cannot be undone.",
)
@click.option("--pending", is_flag=True, help="Also fail, with exit code 10, if migrations are pending.")
@click.option("--offline", is_flag=True, help="Connect to no database; checks that need one are listed as not run.")
@click.option("--lint", is_flag=True, help="Also lint the pending SQL of PostgreSQL databases with squawk.")
@junit_option
@global_options
@click.pass_context
def command(
    context: click.Context,
    *,
    databases: tuple[str, ...],
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    fail_on: FailOn,
    pending: bool,
    offline: bool,
    lint: bool,
    junit: str | None,
) -> ExitCode:
    """Check migrations, routers and databases for problems. Read-only.

    Exits 13 if there are errors (12 if all of them are schema drift, 11 if all of them are missing migrations),
    otherwise 21 if a database is unreachable.
    """
    if offline and pending:
        raise UsageError(
            "--pending cannot be combined with --offline: what is pending, only the databases know",
            hint="remove one of the two",
        )
    if offline and lint:
        raise UsageError(
            "--lint cannot be combined with --offline: it needs to know what is pending", hint="remove one of the two"
        )
    session = session_of(context)
    squawk = find_squawk(session.environ) if lint else None
    flags = {"ignore": Flag("--ignore", ",".join(ignore))} if ignore else {}
    with open_project(session, flags, junit) as (work, output):
        from dbmigrate.commands.check import check
        from dbmigrate.models.selection import CheckSelection

        wanted = CheckSelection(
            select=tuple(read_check_id(name.strip()) for text in select for name in text.split(",") if name.strip()),
            ignore=work.settings.ignore,
            databases=databases,
            fail_on=fail_on,
            pending=pending,
            offline=offline,
            squawk=squawk,
        )
        report = output.follow(check(work, wanted))
        output.answer(report)
        output.close(report.exit_code)
        return report.exit_code
