"""The use cases, in the order of what happens: ask, decide, do, ask again."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Literal

from dbmigrate.checks import check_ids, run_checks
from dbmigrate.describing import describe_info, describe_model, describe_routes, describe_status, describe_wait
from dbmigrate.errors import ExitCode, Interrupted, PartialError, ProjectError, StepError, UsageError
from dbmigrate.host import ENTRY, Host
from dbmigrate.models.events import (
    DatabaseReached,
    Event,
    MakeFinished,
    MigrationsWritten,
    PlanReady,
    RunFinished,
    StepFinished,
    StepSkipped,
    Stopping,
)
from dbmigrate.models.findings import Finding
from dbmigrate.models.plan import MakeMigrations, MigrationPlan, Step
from dbmigrate.models.reports import (
    ExplainReport,
    InfoReport,
    PlanReport,
    RoutesReport,
    StatusReport,
    StepSql,
    WaitReport,
)
from dbmigrate.models.result import OperationTrace, StepResult
from dbmigrate.models.selection import Selection
from dbmigrate.models.servers import Reached
from dbmigrate.models.settings import Settings
from dbmigrate.models.snapshot import Database, MigrationId, Snapshot
from dbmigrate.models.target import Choice, Target
from dbmigrate.nearest import nearest
from dbmigrate.outcome import build_result, new_migrations, telling_line, with_places, with_traces
from dbmigrate.planner import build_plan
from dbmigrate.preflight import check_findings, check_makemigrations, check_reachable, check_writable, find_silent
from dbmigrate.process import ChildMessage, ChildRequest, Launcher
from dbmigrate.routing import Routing, route
from dbmigrate.runner import MAKE, Workshop, run_makemigrations, run_steps
from dbmigrate.selecting import check_selection, check_settings, check_target
from dbmigrate.traffic import Traffic
from dbmigrate.waiting import take_locks, wait_for_databases


@dataclass(frozen=True)
class Work:
    """One project, open, with everything a use case needs to work on it."""

    target: Target
    settings: Settings
    environment: Mapping[str, str]
    host: Host
    launcher: Launcher
    launcher_choice: Choice
    cpus: int
    """How many this process may use."""
    clock: Callable[[], float]
    """Seconds that only grow."""
    listen: Callable[[SimpleQueue[ChildMessage]], AbstractContextManager[None]]
    """While the block runs, a signal puts StopRequested on the queue instead of ending the process."""
    remember: Callable[[Snapshot], None]
    """Takes the names of what was found, for shell completion."""
    sleep: Callable[[float], None]
    tell: Callable[[Event], None]
    """Shows what happens while a database is waited for, which any use case may have to."""
    forward: Callable[[str], None] | None = None
    """Takes each line of a command that would otherwise have our streams; None lets it have them."""


@dataclass(frozen=True)
class Review:
    """One look at the project and what follows from it."""

    snapshot: Snapshot
    routing: Routing
    findings: tuple[Finding, ...]
    plan: MigrationPlan


def review(work: Work, selection: Selection, *, changes: bool, records: bool = False, contact: bool = True) -> Review:
    """Ask the project and decide; nothing is touched and nothing is refused but names that do not exist.

    `changes`: whether to compare the models with the migrations; `records`: whether to list what is applied;
    `contact`: whether to ask the databases. Findings that the configuration ignores are left out, but for those that
    stop a run.
    """
    target = (selection.apps[0], selection.to) if selection.to is not None and len(selection.apps) == 1 else None
    snapshot = work.host.inspect(changes=changes, target=target, records=records, contact=contact)
    work.remember(snapshot)
    check_settings(snapshot, work.settings)
    check_ids(work.settings.ignore, work.settings.origins["ignore"])
    routing = route(snapshot, work.settings, named=selection.databases)
    check_selection(snapshot, routing, selection)
    plan = build_plan(snapshot, routing, settings=work.settings, selection=selection, cpus=work.cpus)
    check_target(snapshot, selection, targeted_aliases(plan))
    written = plan.make.apps if plan.make is not None else ()
    findings = tuple(
        finding
        for finding in run_checks(snapshot, routing)
        # What makemigrations is about to write is not missing.
        if not (finding.id == "DBM101" and set(finding.apps) <= set(written))
        and (finding.stops or finding.id not in work.settings.ignore)
    )
    findings = locate_findings(work, findings)
    return Review(snapshot, routing, findings, plan.model_copy(update={"findings": findings}))


def locate_findings(work: Work, findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Add file and line to the findings that are about something in the project's files."""
    subjects = tuple(dict.fromkeys(finding.subject for finding in findings if finding.subject))
    if not subjects:
        return tuple(findings)
    places = dict(zip(subjects, work.host.locate(subjects), strict=True))
    located = []
    for finding in findings:
        place = places.get(finding.subject)
        located.append(finding if place is None else finding.model_copy(update={"file": place[0], "line": place[1]}))
    return tuple(located)


def review_patiently(
    work: Work,
    selection: Selection,
    *,
    changes: bool,
    records: bool = False,
    contact: bool = True,
    all_of_them: bool = False,
) -> Review:
    """Review, and wait as long as the settings say for databases that do not answer.

    `all_of_them`: also for those that the selection leaves out.
    """
    reviewed = review(work, selection, changes=changes, records=records, contact=contact)
    silent = (
        [database.alias for database in reviewed.snapshot.databases if database.state == "unreachable"]
        if all_of_them
        else find_silent(reviewed.snapshot, reviewed.routing, selection)
    )
    if silent and wait_for_silent(work, reviewed.snapshot, silent):
        reviewed = review(work, selection, changes=changes, records=records)
    return reviewed


def targeted_aliases(plan: MigrationPlan) -> tuple[str, ...]:
    """Return the databases that the plan looks after, those with nothing pending included."""
    return tuple(database.alias for database in plan.databases if database.skip in (None, "nothing-pending"))


def prepare(work: Work, selection: Selection, *, changes: bool = True) -> Review:
    """Review and refuse whatever must not be migrated.

    Raises:
        UnreachableError: a database does not answer.
        FindingsError: a finding stops the run.
        ModelChangesError: makemigrations could not do its part without a person.
    """
    reviewed = review_patiently(work, selection, changes=changes)
    check_reachable(reviewed.snapshot, reviewed.routing, selection)
    check_findings(reviewed.findings, reviewed.plan, targeted_aliases(reviewed.plan))
    own_apps = [app.label for app in reviewed.snapshot.apps if app.is_own]
    check_makemigrations(reviewed.plan.make, own_apps)
    return reviewed


def wait_for_silent(work: Work, snapshot: Snapshot, aliases: Sequence[str]) -> bool:
    """Wait for databases as long as the settings say; return whether one answers that did not."""
    if not work.settings.wait:
        return False
    silent = {
        database.alias: Reached(state=database.state, trouble=database.trouble, error=database.error)
        for database in snapshot.databases
        if database.alias in aliases
    }
    is_news = False
    for event in wait_for_databases(work.host, silent, work.settings.wait, clock=work.clock, sleep=work.sleep):
        is_news |= isinstance(event, DatabaseReached)
        work.tell(event)
    return is_news


def plan(work: Work, selection: Selection, *, sql: bool, graph: Literal["mermaid", "dot"] | None) -> PlanReport:
    """Answer what `all` or `run` would do, refusals included."""
    reviewed = prepare(work, selection)
    statements = None
    if sql:
        statements = tuple(
            StepSql(step=step.id, alias=step.alias, migrations=work.host.sql(step.alias, step.migrations, step.scope))
            for step in reviewed.plan.steps
        )
    return PlanReport(
        project=reviewed.snapshot.project,
        plan=reviewed.plan,
        boot_seconds=work.host.boot_seconds,
        launcher=work.launcher_choice.value,
        sql=statements,
        graph=graph,
    )


def status(work: Work, *, migrations: bool) -> StatusReport:
    """Answer how every database stands; one that does not answer is part of the answer."""
    selection = Selection(make_migrations=False)
    reviewed = review_patiently(work, selection, changes=False, records=migrations, all_of_them=True)
    return describe_status(reviewed.snapshot, reviewed.routing, reviewed.plan, reviewed.findings, migrations=migrations)


def wait(work: Work, selection: Selection) -> WaitReport:
    """Wait until every database answers that is to be migrated, as long as the settings say."""
    started_at = work.clock()
    reviewed = review_patiently(work, selection, changes=False)
    return describe_wait(reviewed.snapshot, reviewed.routing, selection, seconds=work.clock() - started_at)


def info(work: Work) -> InfoReport:
    """Answer what the project is, how it was found, and what belongs where."""
    reviewed = review_patiently(work, Selection(make_migrations=False), changes=False, all_of_them=True)
    return describe_info(
        reviewed.snapshot, reviewed.routing, reviewed.plan, work.settings, work.target, work.launcher_choice
    )


def show_routes(work: Work) -> RoutesReport:
    """Answer what the routers say of every app on every database."""
    reviewed = review(work, Selection(make_migrations=False), changes=False)
    return describe_routes(reviewed.snapshot, reviewed.routing)


def explain(work: Work, model: str) -> ExplainReport:
    """Answer where one model ("label.Model") belongs, and which router says so.

    Raises:
        UsageError: there is no such model.
    """
    reviewed = review(work, Selection(make_migrations=False), changes=False)
    asked = work.host.explain(model)
    if asked is None:
        names = [f"{app.label}.{own.name}" for app in reviewed.snapshot.apps for own in app.models]
        raise UsageError(f"there is no model {model}", hint=nearest(model.lower(), names, what="models"))
    return describe_model(asked, reviewed.snapshot, reviewed.routing)


def migrate(work: Work, selection: Selection, *, keep_going: bool, has_locks: bool = True) -> Iterator[Event]:
    """Write missing migrations, migrate every database of the plan, and ask the databases what became of it.

    PlanReady comes first, once nothing stands against it and every lock is held, and RunFinished last. Only what
    waits for a lock comes before. `has_locks`: whether to keep other runs away.

    Raises:
        DbmigrateError: before any database was touched: the preflight refuses, another run does not end, or
            makemigrations failed.
        PartialError: the databases could not be asked afterwards.
    """
    started_at = work.clock()
    reviewed = prepare(work, selection)
    if reviewed.plan.is_empty:
        yield from _migrate(work, selection, reviewed, {}, keep_going=keep_going, started_at=started_at)
        return
    check_writable(reviewed.snapshot, [step.alias for step in reviewed.plan.steps])
    if not has_locks:
        yield from _migrate(work, selection, reviewed, {}, keep_going=keep_going, started_at=started_at)
        return
    try:
        locks = yield from take_locks(
            work.host,
            targeted_aliases(reviewed.plan),
            work.settings.lock_wait,
            work.settings.lock_url,
            clock=work.clock,
            sleep=work.sleep,
        )
        # Whatever was true before the locks were held may have been done by another run meanwhile.
        reviewed = prepare(work, selection)
        yield from _migrate(work, selection, reviewed, locks.environment, keep_going=keep_going, started_at=started_at)
    finally:
        work.host.unlock()


def _migrate(
    work: Work,
    selection: Selection,
    reviewed: Review,
    environments: Mapping[str, Mapping[str, str]],
    *,
    keep_going: bool,
    started_at: float,
) -> Iterator[Event]:
    """Do what `migrate` says; `environments` are variables for the children of each database."""
    settings, snapshot = work.settings, reviewed.snapshot
    traffic = Traffic(settings.ddl_lock_timeout, settings.ddl_retries, work.host.find_blockers)

    def environment(job: Step | MakeMigrations) -> Mapping[str, str]:
        if isinstance(job, MakeMigrations):
            return {}
        return traffic.environment(job, snapshot.database(job.alias), environments.get(job.alias, {}))

    def death(job: Step | MakeMigrations) -> signal.Signals:
        if isinstance(job, MakeMigrations):
            return signal.SIGINT
        return _death(snapshot.database(job.alias), environments.get(job.alias, {}))

    outbox: SimpleQueue[ChildMessage] = SimpleQueue()
    workshop = Workshop(
        launcher=work.launcher,
        outbox=outbox,
        request=lambda job: _request(work, job, environment(job), death=death(job)),
        redactor=work.host.redactor,
        clock=work.clock,
        grace=settings.grace,
        again=traffic.again,
    )
    yield PlanReady(plan=reviewed.plan)
    with work.listen(outbox):
        written: tuple[str, ...] = ()
        if reviewed.plan.make is not None:
            yield from _write_migrations(reviewed.plan.make, workshop)
            before = reviewed.snapshot
            reviewed = prepare(work, selection.model_copy(update={"make_migrations": False}), changes=False)
            written = new_migrations(before, reviewed.snapshot)
            yield MigrationsWritten(migrations=written)
            yield PlanReady(plan=reviewed.plan)
        yield from traffic.warnings(reviewed.plan, reviewed.snapshot, environments)
        results: list[StepResult] = []
        stopped_by = None
        for event in run_steps(reviewed.plan, workshop, keep_going=keep_going):
            if isinstance(event, Stopping):
                stopped_by = event.signal
            if isinstance(event, StepFinished | StepSkipped):
                results.append(event.result)
            yield event
        after = _verify(work, results) if results else reviewed.snapshot
        result = build_result(
            reviewed.plan, results, after, written=written, signal=stopped_by, seconds=work.clock() - started_at
        )
        backwards = {
            migration.id for step in reviewed.plan.steps for migration in step.migrations if migration.backwards
        }
        result = with_traces(result, lambda alias, migration: _trace(work, alias, migration, backwards))
        yield RunFinished(result=with_places(result, lambda migration: _place(work, migration)))


def _write_migrations(make_migrations: MakeMigrations, workshop: Workshop) -> Iterator[Event]:
    stopped = None
    for event in run_makemigrations(make_migrations, workshop):
        yield event
        if isinstance(event, Stopping):
            stopped = event
        if isinstance(event, MakeFinished) and event.result.status != "ok":
            raise _make_failed(event.result)
    if stopped is not None:
        raise Interrupted(
            "stopped after makemigrations; no database was touched",
            hint="look at what it wrote (git status), then run the same command again",
            code=ExitCode.of_signal(stopped.signal),
        )


def _make_failed(result: StepResult) -> StepError:
    last = result.because or telling_line(result.last_lines)
    ended = f"exit {result.exit_code} after {result.seconds:.1f} s" if result.exit_code is not None else "not started"
    return StepError(
        f"makemigrations failed ({ended}): {last}; no database was touched",
        hint=f"see it by itself with: {' '.join(result.command)}",
        detail="\n".join(result.last_lines),
    )


def _verify(work: Work, results: Sequence[StepResult]) -> Snapshot:
    try:
        return work.host.inspect()
    except ProjectError as error:
        ended = ", ".join(f"{result.id}: {result.status}" for result in results)
        raise PartialError(
            f"the databases could not be asked after the run ({error.message}); the processes ended: {ended}",
            hint="see where they stand with: dbmigrate status",
            detail=error.detail,
        ) from error


def _trace(
    work: Work, alias: str, migration: MigrationId, backwards: Collection[MigrationId]
) -> Sequence[OperationTrace]:
    """Return what is left of a failed migration; nothing where it was to be undone, or the database is gone."""
    if migration in backwards:
        return ()
    try:
        return work.host.trace(alias, migration)
    except ProjectError:
        return ()


def _place(work: Work, migration: MigrationId) -> tuple[str, int | None] | None:
    """Return file and line of a migration; None where they cannot be found."""
    try:
        return work.host.locate([("migration", migration)])[0]
    except ProjectError:
        return None


def _death(database: Database | None, environment: Mapping[str, str]) -> signal.Signals:
    """Return the signal that a step's child gets when dbmigrate is killed.

    It is killed outright, whatever its driver waits for: psycopg2 and mysqlclient hear SIGINT only after the
    statement. A PostgreSQL session that does not look for its client would go on then; there SIGINT lets psycopg 3
    cancel the statement.
    """
    is_blind = database is not None and database.vendor == "postgresql" and "PGOPTIONS" not in environment
    return signal.SIGINT if is_blind else signal.SIGKILL


def _request(
    work: Work, job: Step | MakeMigrations, environment: Mapping[str, str], *, death: signal.Signals
) -> ChildRequest:
    """Return what to start for a step: manage.py as a person would, or under one more router where it needs one.

    `death`: the signal that it gets when dbmigrate is killed.
    """
    command = work.target.command(*job.arguments)
    first_line = {
        "parent": os.getpid(),
        "death": int(death),
        "scope": job.scope.model_dump() if isinstance(job, Step) and job.scope is not None else None,
        "manage": list(work.target.manage),
        "words": list(command[1 + len(work.target.manage) :]),
    }
    return ChildRequest(
        key=job.id if isinstance(job, Step) else MAKE,
        argv=(work.target.python, str(ENTRY), "step"),
        cwd=work.target.cwd,
        environment={**work.environment, **environment},
        first_line=json.dumps(first_line),
        shown_as=command,
    )
