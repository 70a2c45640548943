"""`dbmigrate all`."""

from __future__ import annotations

import click

from dbmigrate.cli.migrating import flags_of, migrate, show_plan
from dbmigrate.cli.options import global_options, keep_going_option, migrate_options
from dbmigrate.errors import ExitCode


@click.command("all", short_help="Write missing migrations, then migrate every database.")
@migrate_options
@keep_going_option
@click.option("--dry-run", is_flag=True, help="Show the plan and do nothing, as `dbmigrate plan`.")
@global_options
@click.pass_context
def command(
    context: click.Context,
    *,
    skip_makemigrations: bool | None,
    fake_initial: bool,
    run_syncdb: bool,
    always: bool,
    jobs: int | None,
    keep_going: bool,
    dry_run: bool,
) -> ExitCode:
    """Write missing migrations of the project's own apps, then migrate every database.

    The default database comes first and whole; then each app where the routers put it, several databases at a time.
    Nothing is touched unless every database answers and no check stops it. Running it again goes on where it stopped.
    """
    asked = {"fake_initial": fake_initial, "run_syncdb": run_syncdb, "always": always}
    flags = flags_of(jobs=jobs, skip_makemigrations=skip_makemigrations)
    if dry_run:
        return show_plan(context, asked, flags)
    return migrate(context, asked, flags, keep_going=keep_going)
