"""`dbmigrate reset`."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING

import click

from dbmigrate.cli.context import Session, session_of
from dbmigrate.cli.migrating import migrate
from dbmigrate.cli.options import database_option, global_options
from dbmigrate.errors import DeclinedError, ExitCode

if TYPE_CHECKING:
    from dbmigrate.resetting import ResetPlan


@click.command("reset", short_help="Development: start migrations and databases anew.")
@database_option("Only this database and the apps on it; repeatable.")
@click.option("--confirm", metavar="NAME", help="Agree without being asked: the project's name.")
@global_options
@click.pass_context
def command(context: click.Context, *, databases: tuple[str, ...], confirm: str | None) -> ExitCode:
    """Take the project's own migration files away, empty its databases, make migrations again and apply them.

    For development: refused unless DEBUG is on, the databases are on this machine, and the project's name is typed
    (or given with --confirm). The files are moved to a dated folder.
    """
    session = session_of(context)
    with session.open({}) as (work, _):
        from dbmigrate import resetting

        stamp = f"{datetime.now(timezone.utc):%Y-%m-%dT%H-%M-%S}"
        plan = resetting.plan_reset(work, databases, stamp=stamp)
        _show(session, plan)
        _agree(session, plan.name, confirm)
        resetting.reset(work, plan)
    options = {"jobs": None, "skip_makemigrations": False, "fake_initial": False, "run_syncdb": False, "always": False}
    return migrate(context, options, keep_going=False, dry_run=False)


def _show(session: Session, plan: ResetPlan) -> None:
    lines = [f"Databases that will be emptied: {', '.join(plan.aliases)}"]
    lines += [f"Files that will be moved to {plan.kept_in.relative_to(plan.root)}:"]
    lines += [f"  {file.relative_to(plan.root)}" for file in plan.files] or ["  none"]
    for line in lines:
        click.echo(line, err=True)


def _agree(session: Session, name: str, confirm: str | None) -> None:
    if confirm is None and session.can_ask:
        confirm = click.prompt(f"Type {name} to go on", default="", show_default=False, err=True)
    if confirm is None:
        raise DeclinedError(
            "reset needs a confirmation, and this is no terminal (nothing was changed)", hint=f"--confirm {name}"
        )
    if confirm != name:
        raise DeclinedError(
            f"the project's name is {name}, not {confirm!r} (nothing was changed)", hint=f"type {name} to confirm"
        )
