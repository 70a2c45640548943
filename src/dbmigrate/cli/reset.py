"""`dbmigrate reset`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import click

from dbmigrate.cli.host_lifetime import open_project
from dbmigrate.cli.migrating import flags_of, run
from dbmigrate.cli.options import database_option, global_options, lock_options
from dbmigrate.cli.session import Session, session_of
from dbmigrate.cli.signals import Terminated, hold_back
from dbmigrate.errors import DbmigrateError, DeclinedError, ExitCode, Interrupted

if TYPE_CHECKING:
    from dbmigrate.commands.reset import ResetPlan
    from dbmigrate.models.holdings import Thing


@click.command("reset", short_help="Development: recreate migrations and databases.")
@database_option("Only this database and the apps on it; repeatable.")
@click.option("--confirm", metavar="NAME", help="Confirm without a question, by the project's name.")
@lock_options
@global_options
@click.pass_context
def command(
    context: click.Context, *, databases: tuple[str, ...], confirm: str | None, no_lock: bool, lock_wait: float | None
) -> ExitCode:
    """Move the project's migration files aside, drop the tables they create, and create and apply migrations again.

    For development: refused unless DEBUG is on, the databases are on this machine, and the project's name is typed or
    given with --confirm. The new migrations are tried first, in a copy and on scratch databases. Only tables that they
    create are dropped. The old files go to a dated folder; operations written by hand, for example RunPython, are not
    run again.
    """
    session = session_of(context)
    with open_project(session, flags_of({"skip_makemigrations": False, "lock_wait": lock_wait})) as (work, output):
        from dbmigrate.commands import reset
        from dbmigrate.models.selection import Selection

        stamp = f"{datetime.now(timezone.utc):%Y-%m-%dT%H-%M-%S}"
        plan = output.follow(reset.plan_reset(work, databases, stamp=stamp, has_locks=not no_lock))
        _show(session, plan)
        _agree(session, plan.name, confirm)
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


def _show(session: Session, plan: ResetPlan) -> None:
    from dbmigrate.commands.reset_trial import describe_changed

    place = plan.kept_in.relative_to(plan.root)
    lines = [*_list_databases(plan), f"Files that will be moved to {place}:"]
    for file in plan.files:
        kinds = [kind for written, kind in plan.hand_written if written == file]
        lines.append(f"  {file.relative_to(plan.root)}" + (f" ({', '.join(kinds)})" if kinds else ""))
    if not plan.files:
        lines.append("  none")
    if plan.hand_written:
        kinds = [*dict.fromkeys(kind for _, kind in plan.hand_written)]
        never = f"makemigrations does not write {' or '.join(kinds)}"
        lines.append(f"{never}: what they did is lost unless you copy them back")
    if plan.changed:
        lines.append(f"warning: {describe_changed(plan.root, plan.changed)}")
    for line in lines:
        click.echo(line, err=True)


def _list_databases(plan: ResetPlan) -> Iterator[str]:
    from dbmigrate.renderers.words import plural

    sizes = [
        f"{one.alias} ({plural(len(one.tables), 'table')}, {_total(one.tables.values())})" for one in plan.emptyings
    ]
    yield f"Databases that will be emptied: {', '.join(sizes)}"
    yield "Tables that will be dropped and recreated:"
    for emptying in plan.emptyings:
        tables = [f"{name} ({_rows(rows)})" for name, rows in emptying.tables.items()]
        yield f"  {emptying.alias}: {', '.join(tables) or 'none'}"
    if any(emptying.kept for emptying in plan.emptyings):
        yield "Kept, because no migration creates them:"
    for emptying in plan.emptyings:
        kept = [f"{thing.shown} ({_describe_kept(thing, emptying.kept_rows)})" for thing in emptying.kept]
        if kept:
            yield f"  {emptying.alias}: {', '.join(kept)}"
    if any(emptying.lost for emptying in plan.emptyings):
        yield "Dropped with their tables, and not recreated by any migration:"
    for emptying in plan.emptyings:
        if emptying.lost:
            yield f"  {emptying.alias}: {', '.join(f'trigger {one.name} on {one.on}' for one in emptying.lost)}"


def _describe_kept(thing: Thing, counted: Mapping[str, int]) -> str:
    return _rows(counted.get(thing.shown)) if thing.kind == "TABLE" else thing.kind.lower()


def _total(rows: Iterable[int | None]) -> str:
    counted = [*rows]
    return _rows(None if None in counted else sum(number for number in counted if number is not None))


def _rows(rows: int | None) -> str:
    from dbmigrate.renderers.words import plural

    return "rows not counted" if rows is None else plural(rows, "row")


def _agree(session: Session, name: str, confirm: str | None) -> None:
    if confirm is None and session.can_ask:
        confirm = click.prompt(f"Type {name} to continue", default="", show_default=False, err=True)
    if confirm is None:
        raise DeclinedError(
            "reset needs a confirmation, but there is no terminal", hint=f"--confirm {name}", changed=False
        )
    if confirm != name:
        raise DeclinedError(f"the project's name is {name}, not {confirm!r}", hint=f"--confirm {name}", changed=False)
