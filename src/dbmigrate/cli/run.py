"""`dbmigrate run`."""

from __future__ import annotations

import click

from dbmigrate.cli.migrating import flags_of, migrate, show_plan
from dbmigrate.cli.options import global_options, keep_going_option, migrate_options, selection_options
from dbmigrate.errors import ExitCode, UsageError


@click.command("run", short_help="Migrate what is named: --database, --app, --to.")
@selection_options
@click.option("--auto", is_flag=True, help="Everything, without questions: makemigrations, then every database.")
@migrate_options
@keep_going_option
@click.option("--dry-run", is_flag=True, help="Show the plan and do nothing, as `dbmigrate plan`.")
@global_options
@click.pass_context
def command(
    context: click.Context,
    *,
    databases: tuple[str, ...],
    apps: tuple[str, ...],
    to: str | None,
    fake: bool,
    auto: bool,
    skip_makemigrations: bool | None,
    fake_initial: bool,
    run_syncdb: bool,
    always: bool,
    jobs: int | None,
    keep_going: bool,
    dry_run: bool,
) -> ExitCode:
    """Migrate the databases and apps that are named.

    Both together mean that app on that database. An app alone is migrated wherever it is routed to. No migrations are
    written unless it is --auto.
    """
    if auto and (databases or apps or to or fake):
        raise UsageError(
            "--auto migrates everything and goes with no --database, --app, --to or --fake",
            hint="leave out --auto, or the others",
        )
    if not auto and not databases and not apps:
        raise UsageError(
            "nothing is named", hint="dbmigrate run --database ALIAS, --app LABEL or --auto; all of it: dbmigrate all"
        )
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
    if dry_run:
        return show_plan(context, asked, flags)
    return migrate(context, asked, flags, keep_going=keep_going)
