"""`dbmigrate reset`."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING

import click

from dbmigrate.cli.context import Session, session_of
from dbmigrate.cli.migrating import flags_of, run
from dbmigrate.cli.options import database_option, global_options, lock_options
from dbmigrate.errors import DbmigrateError, DeclinedError, ExitCode

if TYPE_CHECKING:
    from dbmigrate.resetting import ResetPlan


@click.command("reset", short_help="Development: start migrations and databases anew.")
@database_option("Only this database and the apps on it; repeatable.")
@click.option("--confirm", metavar="NAME", help="Agree without being asked: the project's name.")
@lock_options
@global_options
@click.pass_context
def command(
    context: click.Context, *, databases: tuple[str, ...], confirm: str | None, no_lock: bool, lock_wait: float | None
) -> ExitCode:
    """Take the project's own migration files away, empty its databases, make migrations again and apply them.

    For development: refused unless DEBUG is on, the databases are on this machine, and the project's name is typed
    (or given with --confirm). The files are moved to a dated folder; what was written in them by hand, RunPython for
    example, is not run again. No other run migrates these databases meanwhile.
    """
    session = session_of(context)
    with session.open(flags_of({"skip_makemigrations": False, "lock_wait": lock_wait})) as (work, renderer):
        from dbmigrate import resetting
        from dbmigrate.models.selection import Selection

        stamp = f"{datetime.now(timezone.utc):%Y-%m-%dT%H-%M-%S}"
        plan = resetting.plan_reset(work, databases, stamp=stamp)
        _show(session, plan)
        _agree(session, plan.name, confirm)
        try:
            if not no_lock:
                for event in resetting.lock(work, plan, databases):
                    renderer.show(event)
            resetting.reset(work, plan)
            try:
                return run(work, renderer, Selection(make_migrations=True), keep_going=False, has_locks=not no_lock)
            except DbmigrateError as error:
                raise resetting.unfinished(plan, error) from error
        finally:
            work.host.unlock()


def _show(session: Session, plan: ResetPlan) -> None:
    sizes = [f"{alias} ({_size(*size)})" for alias, size in zip(plan.aliases, plan.sizes, strict=True)]
    place = plan.kept_in.relative_to(plan.root)
    lines = [f"Databases that will be emptied: {', '.join(sizes)}", f"Files that will be moved to {place}:"]
    for file in plan.files:
        kinds = [kind for written, kind in plan.hand_written if written == file]
        lines.append(f"  {file.relative_to(plan.root)}" + (f" ({', '.join(kinds)})" if kinds else ""))
    if not plan.files:
        lines.append("  none")
    if plan.hand_written:
        kinds = [*dict.fromkeys(kind for _, kind in plan.hand_written)]
        never = f"makemigrations writes no {' and no '.join(kinds)}"
        lines.append(f"{never}: what they did is not done again unless you copy them back")
    for line in lines:
        click.echo(line, err=True)


def _size(tables: int | None, rows: int | None) -> str:
    from dbmigrate.renderers.words import plural

    if tables is None:
        return "tables not counted"
    return f"{plural(tables, 'table')}, {'rows not counted' if rows is None else plural(rows, 'row')}"


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
