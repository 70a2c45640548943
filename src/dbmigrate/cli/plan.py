"""`dbmigrate plan`."""

from __future__ import annotations

import click

from dbmigrate.cli.migrating import flags_of, show_plan
from dbmigrate.cli.options import exit_code_option, global_options, migrate_options, selection_options
from dbmigrate.errors import ExitCode


@click.command("plan", short_help="Show what all or run would do; --sql for the statements.")
@selection_options
@migrate_options
@click.option("--sql", is_flag=True, help="Show the statements instead of the steps.")
@exit_code_option
@global_options
@click.pass_context
def command(
    context: click.Context,
    *,
    databases: tuple[str, ...],
    apps: tuple[str, ...],
    to: str | None,
    fake: bool,
    skip_makemigrations: bool | None,
    fake_initial: bool,
    run_syncdb: bool,
    always: bool,
    jobs: int | None,
    sql: bool,
    exit_code: bool,
) -> ExitCode:
    """Show what `all`, or `run` with the same options, would do; refused where they would be.

    Nothing is written: no file, no table. With --exit-code it ends with 11 if migrations would be made, and with 10
    if some are pending.
    """
    asked = {
        "databases": databases,
        "apps": apps,
        "to": to,
        "fake": fake,
        "fake_initial": fake_initial,
        "run_syncdb": run_syncdb,
        "always": always,
    }
    flags = flags_of(jobs=jobs, skip_makemigrations=skip_makemigrations)
    return show_plan(context, asked, flags, sql=sql, exit_code=exit_code)
