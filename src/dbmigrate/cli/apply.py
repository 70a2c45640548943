"""`dbmigrate apply`."""

from __future__ import annotations

from typing import Any

import click

from dbmigrate.cli.approval_options import how_options, refused_options
from dbmigrate.cli.completion_cache import complete_file
from dbmigrate.cli.migrating import apply_plan
from dbmigrate.cli.options import global_options, junit_option
from dbmigrate.config import flags_of
from dbmigrate.errors import ExitCode


@click.command("apply", short_help="Run a saved plan, if nothing has changed since.")
@click.argument("plan", metavar="PLAN", shell_complete=complete_file)
@click.option(
    "--any-database",
    is_flag=True,
    help="Accept other databases than the plan was made for, if they are in the same state.",
)
@how_options
@junit_option
@refused_options
@global_options
@click.pass_context
def command(context: click.Context, /, *, plan: str, any_database: bool, junit: str | None, **options: Any) -> ExitCode:
    """Run a plan that `dbmigrate plan -o PLAN` saved.

    With the locks held, it plans again and compares: files, databases, applied migrations, tables, routers, SQL.
    If something differs it names that, changes nothing and exits 32. If all of the plan is applied already it exits 0.
    """
    return apply_plan(context, plan, flags_of(options), any_database=any_database, junit=junit)
