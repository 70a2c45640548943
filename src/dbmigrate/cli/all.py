"""`dbmigrate all`."""

from __future__ import annotations

from typing import Any

import click

from dbmigrate.cli.approval_options import expect_option
from dbmigrate.cli.migrating import Asked, migrate
from dbmigrate.cli.options import global_options, junit_option, migrate_options, run_options
from dbmigrate.errors import ExitCode


@click.command("all", short_help="Create missing migrations, then migrate every database.")
@migrate_options
@run_options
@expect_option
@junit_option
@global_options
@click.pass_context
def command(
    context: click.Context, /, *, no_lock: bool, dry_run: bool, expect: str | None, junit: str | None, **options: Any
) -> ExitCode:
    """Create missing migrations of the project's own apps, then migrate every database.

    The default database comes first, unless its pending data migrations depend on another one; then the others in
    parallel, each with the apps that the routers put there. Skipped are replicas, read-only and in-memory databases,
    databases on which nothing belongs, and those in exclude. Nothing changes unless every database that is not skipped
    answers and no check stops the run. Running it again resumes where it stopped.
    """
    return migrate(
        context, Asked.read(options), has_locks=not no_lock, may_ask=True, dry_run=dry_run, expect=expect, junit=junit
    )
