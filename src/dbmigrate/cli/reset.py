"""`dbmigrate reset`."""

from __future__ import annotations

from datetime import datetime, timezone

import click

from dbmigrate.cli.host_lifetime import open_project
from dbmigrate.cli.migrating import run
from dbmigrate.cli.options import database_option, global_options, lock_options
from dbmigrate.cli.session import FOR_MACHINES, Session, session_of
from dbmigrate.cli.signals import Terminated, hold_back
from dbmigrate.config import flags_of
from dbmigrate.errors import DbmigrateError, DeclinedError, ExitCode, Interrupted


@click.command("reset", short_help="For development: recreate migrations and their tables; rows are lost.")
@database_option("Only this database and the apps on it; repeatable.")
@click.option(
    "--confirm", metavar="NAME", help="The project's name (myproj for myproj.settings): confirms without a question."
)
@lock_options
@global_options
@click.pass_context
def command(
    context: click.Context, *, databases: tuple[str, ...], confirm: str | None, no_lock: bool, lock_wait: float | None
) -> ExitCode:
    """Replace the migrations of the project's own apps with new ones, and recreate all tables, empty.

    Every table that a migration creates is dropped with its rows: those of the project's own apps, and those of Django
    and of third-party apps, for example auth_user. Other tables stay. The old migration files are moved to a dated
    folder in .dbmigrate-reset. Operations written by hand, for example RunPython, are not in the new ones.

    For development: refused unless DEBUG is on, the databases are on this machine, no migration file has uncommitted
    changes, and the project's name is typed or given with --confirm. First, the new migrations are created in a copy of
    the project and applied to scratch databases.
    """
    session = session_of(context)
    with open_project(session, flags_of({"skip_makemigrations": False, "lock_wait": lock_wait})) as (work, output):
        from dbmigrate.commands import reset
        from dbmigrate.models.selection import Selection

        stamp = f"{datetime.now(timezone.utc):%Y-%m-%dT%H-%M-%S}"
        plan = output.follow(reset.plan_reset(work, databases, stamp=stamp, has_locks=not no_lock))
        _agree(session, plan.name, confirm, form=work.settings.format)
        try:
            if not no_lock:
                output.follow(reset.lock(work, plan, databases))
            reset.rehearse(work, plan)
            is_emptied = False
            try:
                # Nobody could say afterwards what an interrupted statement has done.
                with hold_back():
                    reset.reset(work, plan)
                    is_emptied = True
                return run(
                    work,
                    output,
                    Selection(make_migrations=False),
                    keep_going=False,
                    has_locks=not no_lock,
                    judge=lambda result: reset.judge(work, plan, result),
                )
            except (DbmigrateError, KeyboardInterrupt, Terminated) as error:
                if not is_emptied:
                    raise
                raise reset.unfinished(plan, _as_own(error)) from error
        finally:
            work.host.unlock()


def _as_own(error: DbmigrateError | KeyboardInterrupt | Terminated) -> DbmigrateError:
    if isinstance(error, DbmigrateError):
        return error
    if isinstance(error, Terminated):
        return Interrupted(f"ended by {error}", code=ExitCode.TERMINATED)
    return Interrupted("interrupted")


def _agree(session: Session, name: str, confirm: str | None, *, form: str) -> None:
    may_ask = session.can_ask and form not in FOR_MACHINES  # which show a person no list
    if confirm is None and may_ask:
        confirm = click.prompt(f"Type {name} to continue", default="", show_default=False, err=True)
    if confirm is None:
        why = f"the format {form} does not ask" if session.can_ask else "there is no terminal"
        raise DeclinedError(f"reset needs a confirmation, but {why}", hint=f"--confirm {name}", changed=False)
    if confirm != name:
        raise DeclinedError(f"the project's name is {name}, not {confirm!r}", hint=f"--confirm {name}", changed=False)
