"""The use case of `all` and `run`, in the order of what happens: ask, decide, do, ask again."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Collection, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from queue import SimpleQueue
from typing import TYPE_CHECKING

from dbmigrate.commands.afterwards import Run, find_result, is_undone
from dbmigrate.commands.capacity import check_room, find_caps_now
from dbmigrate.commands.review import CommandContext, Review, ReviewOptions, review_or_refuse
from dbmigrate.commands.written_migrations import check_written, is_as_before
from dbmigrate.errors import (
    DbmigrateError,
    ExitCode,
    Interrupted,
    ModelChangesError,
    ProjectError,
    StepError,
)
from dbmigrate.models.base import MESSAGE
from dbmigrate.models.database import Database
from dbmigrate.models.events import (
    Event,
    MakeFinished,
    MigrationsWritten,
    PlanReady,
    RunFinished,
    StepFinished,
    StepsCapped,
    StepSkipped,
    Stopping,
)
from dbmigrate.models.findings import Finding
from dbmigrate.models.migrations import MigrationId
from dbmigrate.models.plan import MakeMigrations, ShownPlan, Step
from dbmigrate.models.result import RunResult, StepResult
from dbmigrate.models.selection import Selection
from dbmigrate.models.servers import LockState
from dbmigrate.models.snapshot import Snapshot
from dbmigrate.planning.outcome import is_refusal, new_migrations, telling_line
from dbmigrate.planning.preflight import losses_not_foreseen
from dbmigrate.planning.project_commands import make_hint
from dbmigrate.project.channel import ENTRY
from dbmigrate.project.heartbeat import Heartbeat, without_locks
from dbmigrate.project.waiting import take_locks
from dbmigrate.running.ddl_locks import Traffic
from dbmigrate.running.process import ChildMessage, ChildRequest
from dbmigrate.running.retry import Retrying
from dbmigrate.running.runner import MAKE, Children, run_makemigrations, run_steps
from dbmigrate.running.stopping import Stops

if TYPE_CHECKING:
    from dbmigrate.commands.approval import Approval


def migrate(
    work: CommandContext,
    selection: Selection,
    *,
    keep_going: bool,
    has_locks: bool = True,
    agree: Callable[[ShownPlan], None] = lambda plan: None,
    is_asked: bool = False,
    approval: Approval | None = None,
) -> Generator[Event, None, None]:
    """Write missing migrations, migrate every database of the plan, and ask the databases what became of it.

    PlanReady comes first, once nothing stands against it and every lock is held, and RunFinished last, when they are
    free again. Until the generator is closed after it a signal ends nothing: the report is written. Only what waits for
    a lock comes before the plan. `has_locks`: whether to keep other runs away. `agree` is called with a plan
    before it is run, before the locks too, and raises what ends the run; `is_asked`: whether it asks a person, who has
    to know of all that is to be written before the locks. `approval`: what the plan has to be, under the locks.

    Raises:
        DbmigrateError: before any database was touched: the preflight refuses, somebody declines, another run does not
            end, or makemigrations failed.
        PartialError: the databases could not be asked afterwards.
    """
    started_at = work.clock()
    # When something was applied is said where that is why a saved plan no longer holds.
    options = ReviewOptions(changes="compared", records=approval is not None, meanwhile=work.launcher.warm_up)
    # Under the locks it is all asked again, and until then the models can be compared beside.
    is_compared_later = has_locks and not is_asked
    first_options = (
        replace(options, changes="compared-if-idle", meanwhile=lambda: None) if is_compared_later else options
    )
    reviewed, is_done = yield from _review(work, selection, first_options, approval, is_locked_later=has_locks)
    if not reviewed.plan.is_empty:
        agree(reviewed.shown)
    approved = _Approved(approval, is_done=is_done)
    if reviewed.plan.is_empty or not has_locks:
        yield from _migrate(work, selection, reviewed, None, approved, keep_going=keep_going, started_at=started_at)
        return
    yield from check_room(work, reviewed.snapshot, reviewed.plan.targeted)
    try:
        locks = yield from take_locks(
            work.host,
            reviewed.plan.targeted,
            work.settings.lock_wait,
            work.settings.lock_url,
            clock=work.clock,
            sleep=work.sleep,
        )
        # Whatever was true before the locks were held may have been done by another run meanwhile.
        reviewed, is_done = yield from _review(work, selection, options, approval)
        agree(reviewed.shown)
        approved = _Approved(approval, is_done=is_done)
        yield from _migrate(work, selection, reviewed, locks, approved, keep_going=keep_going, started_at=started_at)
    finally:
        work.host.unlock()


@dataclass(frozen=True)
class _Approved:
    """What the plan was compared with, and whether all of it was done before."""

    approval: Approval | None
    is_done: bool

    def mark(self, result: RunResult) -> RunResult:
        """Return a result that says it."""
        if self.approval is None:
            return result
        return result.model_copy(update={"approved_by": self.approval.kind, "is_already_applied": self.is_done})


def _review(
    work: CommandContext,
    selection: Selection,
    options: ReviewOptions,
    approval: Approval | None,
    *,
    is_locked_later: bool = False,
) -> Generator[Event, None, tuple[Review, bool]]:
    """Review, refuse what must not run, and return whether what was approved is done already."""
    if approval is None:
        return (yield from review_or_refuse(work, selection, options, is_locked_later=is_locked_later)), False
    from dbmigrate.commands.approval import review_approved  # a run that nobody has approved need not load it

    return (yield from review_approved(work, selection, options, approval, is_locked_later=is_locked_later))


def _migrate(
    work: CommandContext,
    selection: Selection,
    reviewed: Review,
    locks: LockState | None,
    approved: _Approved,
    *,
    keep_going: bool,
    started_at: float,
) -> Iterator[Event]:
    """Do what `migrate` says; `locks`: what is held meanwhile."""
    environments = locks.environment if locks is not None else {}
    marks = locks.marks if locks is not None else {}
    if not reviewed.plan.is_empty:
        work.launcher.warm_up()
    settings, snapshot = work.settings, reviewed.snapshot
    traffic = Traffic(settings.ddl_lock_timeout)
    is_replaced = "migrate" in snapshot.replaced_commands

    def environment(job: Step | MakeMigrations) -> Mapping[str, str]:
        if isinstance(job, MakeMigrations):
            return {}
        return traffic.environment(job, snapshot.database(job.alias), environments.get(job.alias, {}))

    def death(job: Step | MakeMigrations) -> signal.Signals:
        if isinstance(job, MakeMigrations):
            return signal.SIGINT
        return _death(snapshot.database(job.alias), environments.get(job.alias, {}))

    outbox: SimpleQueue[ChildMessage] = SimpleQueue()
    children = Children(
        launcher=work.launcher,
        outbox=outbox,
        request=lambda job: _request(work, job, environment(job), marks, death=death(job), is_watched=not is_replaced),
        clock=work.clock,
        heartbeat=_heartbeat(work, locks),
        grace=settings.grace,
        step_timeout=settings.step_timeout or None,
        again=Retrying(
            settings.ddl_retries if settings.ddl_lock_timeout is not None else None,
            reviewed.jobs,
            lambda step, migration: is_undone(work, snapshot.database(step.alias), step, migration),
            work.host.find_blockers,
        ).again,
    )
    before, make_migrations = reviewed, reviewed.plan.make
    yield PlanReady(plan=reviewed.shown)
    with work.listen(outbox, settings.grace) as stops, work.host.hurried(stops.ask_until, lambda: not stops.is_asking):
        written: tuple[str, ...] = ()
        if make_migrations is not None:
            ended = yield from _write_migrations(make_migrations, children)
            with _asking(stops, has_made=True):
                if ended.status != "ok":
                    raise _make_failed(work, before.snapshot, make_migrations, ended)
                work.host.forget(make_migrations.apps)  # the project's own command may amend a file read before
                with _after_writing():
                    no_more = selection.model_copy(update={"make_migrations": False})
                    reviewed = yield from review_or_refuse(work, no_more, ReviewOptions())
                written = new_migrations(before.snapshot, reviewed.snapshot)
                check_written(work, before.snapshot, make_migrations.changes, written, way_on="--skip-makemigrations")
            _check_losses(before, reviewed, written)
            yield MigrationsWritten(migrations=written)
            yield PlanReady(plan=reviewed.shown)
        yield from traffic.warnings(reviewed.plan, reviewed.snapshot, environments)
        with _asking(stops, has_made=make_migrations is not None):
            caps = find_caps_now(work, reviewed.plan, reviewed.snapshot, reviewed.jobs)
        yield from (StepsCapped(cap=cap) for cap in caps)
        results: list[StepResult] = []
        for event in run_steps(reviewed.plan, children, keep_going=keep_going, jobs=reviewed.jobs, caps=caps):
            if isinstance(event, StepFinished | StepSkipped):
                results.append(event.result)
            yield event
        run = Run(selection, reviewed, written, results, stops, started_at, children.heartbeat.all_lost)
        with stops.asking():
            result = approved.mark(find_result(work, run))
            work.host.unlock()
        yield RunFinished(result=result)


@contextmanager
def _asking(stops: Stops, *, has_made: bool) -> Iterator[None]:
    """Let a signal end what the block asks, while nothing is migrated yet; `has_made`: makemigrations has run.

    Raises:
        Interrupted: a signal has come, and the project did not answer in the time that it leaves.
    """
    try:
        with stops.asking():
            yield
    except ProjectError as error:
        if stops.signum is None:
            raise
        if not has_made:
            raise Interrupted("stopped", code=ExitCode.of_signal(stops.signum), changed=False) from error
        raise _stopped(stops.signum, "stopped") from error


@contextmanager
def _after_writing() -> Iterator[None]:
    """Let an error of the block that says that nothing was changed say what was: makemigrations has run before it."""
    try:
        yield
    except DbmigrateError as error:
        if error.changed is False:
            error.message += "; makemigrations has written migrations, and no database was touched"
            error.changed = True
        raise


def _heartbeat(work: CommandContext, locks: LockState | None) -> Heartbeat:
    if locks is None:
        return without_locks()
    ask = work.host.check_locks
    return Heartbeat(
        locks.held,
        lambda changed, idle: ask(changed, idle=idle),
        clock=work.clock,
        now=lambda: datetime.now(timezone.utc),
        is_busy=lambda: work.host.is_busy,
    )


def _check_losses(before: Review, reviewed: Review, written: Collection[MigrationId]) -> None:
    """Do nothing if what was written destroys no more than what was foreseen, and agreed to.

    Raises:
        ModelChangesError: it does; a makemigrations of the project's own may write anything.
    """
    losses = reviewed.decision.losses(written)
    foreseen = {_lost(before.snapshot, loss) for loss in before.losses}
    more = [loss for loss in losses if _lost(reviewed.snapshot, loss) not in foreseen]
    if more and not before.plan.selection.allow_data_loss:
        raise losses_not_foreseen(more)


def _lost(snapshot: Snapshot, loss: Finding) -> tuple[tuple[str, ...], tuple[str, ...], frozenset[tuple[str, str]]]:
    """Return databases, apps, and (table, operation) of a loss: the same under another migration's name."""
    _, identifier, operation = loss.subject
    return (
        loss.aliases,
        loss.apps,
        frozenset(
            (danger.table, danger.text)
            for database in snapshot.databases
            if database.alias in loss.aliases
            for migration in database.pending
            if migration.id == identifier
            for danger in migration.dangers
            if danger.operation == operation
        ),
    )


def _write_migrations(make_migrations: MakeMigrations, children: Children) -> Generator[Event, None, StepResult]:
    stopped, result = None, None
    for event in run_makemigrations(make_migrations, children):
        yield event
        if isinstance(event, Stopping):
            stopped = event
        if isinstance(event, MakeFinished):
            result = event.result
    assert result is not None
    if stopped is not None and result.status in ("ok", "interrupted"):
        when = "stopped after makemigrations" if result.status == "ok" else "makemigrations was interrupted"
        raise _stopped(stopped.signal, when)
    return result


def _stopped(signum: int, what: str) -> Interrupted:
    return Interrupted(
        f"{what}; no database was touched",
        hint="check whether makemigrations wrote anything (git status), then rerun the command",
        code=ExitCode.of_signal(signum),
    )


def _make_failed(
    work: CommandContext, before: Snapshot, make_migrations: MakeMigrations, result: StepResult
) -> StepError | ModelChangesError:
    """Return the error for a makemigrations that failed, or that refused in its own words: a person has to answer."""
    last = result.why.text if result.why is not None else telling_line(result.last_lines)
    ended = f"exit {result.exit_code} after {result.seconds:.1f} s" if result.exit_code is not None else "not started"
    shown = MESSAGE.shorten(work.host.redactor.scrub(last))
    message, detail = f"makemigrations failed ({ended}): {shown}", "\n".join(result.last_lines)
    if result.status == "failed" and result.exit_code and is_refusal(result.last_lines) and is_as_before(work, before):
        return ModelChangesError(
            message,
            hint="\n".join(make_hint(before, change.app, said=last) for change in make_migrations.changes),
            detail=detail,
            changed=False,
        )
    return StepError(
        f"{message}; no database was touched", hint=f"run it directly to see: {' '.join(result.command)}", detail=detail
    )


def _death(database: Database | None, environment: Mapping[str, str]) -> signal.Signals:
    """Return the signal that a step's child gets when dbmigrate is killed.

    It is killed outright, whatever its driver waits for: psycopg2 and mysqlclient hear SIGINT only after the
    statement. A PostgreSQL session that does not look for its client would continue then; there SIGINT lets psycopg 3
    cancel the statement.
    """
    is_blind = database is not None and database.vendor == "postgresql" and "PGOPTIONS" not in environment
    return signal.SIGINT if is_blind else signal.SIGKILL


def _request(
    work: CommandContext,
    job: Step | MakeMigrations,
    environment: Mapping[str, str],
    marks: Mapping[str, str],
    *,
    death: signal.Signals,
    is_watched: bool,
) -> ChildRequest:
    """Return what to start for a step: manage.py as a person would, or under the guard router where it needs one.

    `marks`: variables that mark the sessions of a step. `death`: the signal that it gets when dbmigrate is killed.
    `is_watched`: whether a migration that fails may be tried again, if it says for what.
    """
    command = work.target.command(*job.arguments)
    first_line = {
        "parent": os.getpid(),
        "death": int(death),
        "is_watched": is_watched and isinstance(job, Step) and any(one.does for one in job.migrations),
        "is_forward": isinstance(job, Step) and job.is_forward,
        "scope": job.scope.model_dump() if isinstance(job, Step) and job.scope is not None else None,
        "twin": asdict(work.twin) if work.twin is not None else None,
        "manage": list(work.target.manage),
        "words": list(command[1 + len(work.target.manage) :]),
    }
    return ChildRequest(
        key=job.id if isinstance(job, Step) else MAKE,
        argv=(work.target.python, str(ENTRY), "step"),
        cwd=work.target.cwd,
        environment={**work.environment, **environment},
        first_line=json.dumps(first_line),
        marks=marks if isinstance(job, Step) else {},
        shown_as=command,
    )
