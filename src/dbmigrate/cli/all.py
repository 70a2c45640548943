"""`dbmigrate all`."""

from __future__ import annotations

from typing import Any

import click

from dbmigrate.cli.migrating import migrate
from dbmigrate.cli.options import global_options, junit_option, migrate_options, run_options
from dbmigrate.errors import ExitCode


@click.command("all", short_help="Write missing migrations, then migrate every database.")
@migrate_options
@run_options
@junit_option
@global_options
@click.pass_context
def command(context: click.Context, /, *, no_lock: bool, dry_run: bool, junit: str | None, **options: Any) -> ExitCode:
    """Write missing migrations of the project's own apps, then migrate every database.

    The default database comes first and whole; then each app where the routers put it, several databases at a time.
    Nothing is touched unless every database answers and no check stops it. Running it again goes on where it stopped.
    """
    return migrate(context, options, has_locks=not no_lock, may_ask=True, dry_run=dry_run, junit=junit)
