"""One project, open, and one look at it: what it is, what follows from that, and what must not be migrated over."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from queue import SimpleQueue
from typing import Literal

from dbmigrate.errors import ProjectError, UnreachableError
from dbmigrate.models.check_ids import HALF_DONE_MIGRATIONS
from dbmigrate.models.events import (
    DatabaseReached,
    Event,
)
from dbmigrate.models.findings import Finding, Location, Subject, place_of
from dbmigrate.models.plan import MigrationPlan, ShownPlan
from dbmigrate.models.selection import Selection, Targets
from dbmigrate.models.servers import Reached
from dbmigrate.models.settings import Settings
from dbmigrate.models.snapshot import Snapshot
from dbmigrate.models.target import Target, Twin
from dbmigrate.planning.checks.half_done_migrations import describe_begun, may_repeat
from dbmigrate.planning.decide import Decision, Goal, NamedUnclaimed, decide, refuse
from dbmigrate.planning.jobs import count_jobs
from dbmigrate.planning.pending import find_ways, with_undoing
from dbmigrate.planning.preflight import find_refusal, find_silent, find_stopping
from dbmigrate.planning.routing import Routing
from dbmigrate.planning.selection import check_settings
from dbmigrate.planning.unstarted_apps import find_startable
from dbmigrate.project.booted import SHORTEST_SILENCE, SILENCE_SECONDS, BootedProject
from dbmigrate.project.settings_modules import settings_hint
from dbmigrate.project.stability import find_unstable
from dbmigrate.project.waiting import wait_for_databases
from dbmigrate.running.process import ChildMessage, Launcher
from dbmigrate.running.stopping import Stops

Changes = Literal["compared", "left-out", "compared-if-idle"]
"""Whether the models are compared with the migrations; "compared-if-idle": only where there is nothing else to do."""


LAST_PART = 3
"""At the end of the wait a server gets at least this part of the seconds for what it is asked."""

PAUSE_SECONDS = 1.0
"""Between two looks at a database that answers and cannot be looked at."""


@dataclass(frozen=True)
class ReviewOptions:
    """What a review asks and compares."""

    changes: Changes = "left-out"
    records: bool = False
    """Whether what is applied is listed."""
    contact: bool = True
    """Whether the databases are asked."""
    named_unclaimed: NamedUnclaimed = "migrated"
    stability: bool = False
    """Whether all of the project's models are read for what differs in each process."""
    may_read_only: bool = False
    """Whether a database may be named that takes no writes."""
    phases: Literal["asked-for", "shown", "judged"] = "asked-for"
    """Whether migrations are asked in which phase of a deploy they run: if one was asked for; to show it; to check too
    that it can work."""
    starts: bool = False
    """Whether the models of an app without migrations are compared where others depend on it, also if no migrations
    are made for the selection."""
    meanwhile: Callable[[], None] = lambda: None
    """Called where there are steps, while the models are compared."""


@dataclass(frozen=True)
class CommandContext:
    """One project, open, with everything a use case needs to work on it."""

    target: Target
    settings: Settings
    environment: Mapping[str, str]
    host: BootedProject
    launcher: Launcher
    cpus: int
    """How many this process may use."""
    clock: Callable[[], float]
    """Seconds that only grow."""
    listen: Callable[[SimpleQueue[ChildMessage], float | None], AbstractContextManager[Stops]]
    """While the block runs, a signal puts StopRequested on the queue instead of ending the process.

    Takes the seconds that what runs has after it, too (Settings.grace).
    """
    remember: Callable[[Snapshot], None]
    """Takes the names of what was found, for shell completion."""
    sleep: Callable[[float], None]
    has_streams: bool = True
    """Whether a command of the project may write to our streams; otherwise what it prints comes as events."""
    twin: Twin | None = None
    """What is worked on instead of the project itself; the host is one of it, too."""

    @property
    def may_copy(self) -> bool:
        """Whether the host may be copied to do two things at a time, if it can be: there must be a CPU for it."""
        return self.twin is None and self.settings.launcher != "spawn" and self.cpus > 1


@dataclass(frozen=True)
class Review:
    """One look at the project and what follows from it."""

    decision: Decision
    findings: tuple[Finding, ...]
    """Those of the decision, with their places in the project's files."""
    jobs: int
    """How many databases may be migrated at the same time."""

    @property
    def snapshot(self) -> Snapshot:
        """What was seen."""
        return self.decision.snapshot

    @property
    def routing(self) -> Routing:
        """What belongs where."""
        return self.decision.routing

    @property
    def plan(self) -> MigrationPlan:
        """What would run."""
        return self.decision.plan

    @cached_property
    def losses(self) -> tuple[Finding, ...]:
        """What destroys data in migrations of the plan that are not written yet."""
        return self.decision.losses(self.plan.unwritten)

    @property
    def shown(self) -> ShownPlan:
        """The plan as it is shown, with what stands next to it."""
        return ShownPlan.of(self.plan, jobs=self.jobs, findings=self.findings, losses=self.losses)


def review(
    work: CommandContext, selection: Selection, options: ReviewOptions, *, seconds: float | None = None
) -> Review:
    """Ask the project and decide; nothing is touched and nothing is refused but names that do not exist.

    `seconds`: how long a server may say nothing, if not as long as the host lets it.
    """
    inspect = partial(
        work.host.inspect,
        changes=options.changes != "left-out" and work.may_copy,
        records=options.records,
        contact=options.contact,
        phases=selection.phase is not None or options.phases != "asked-for",
        seconds=seconds,
    )
    snapshot = inspect()
    work.remember(snapshot)
    targets = selection.targets_on(database.alias for database in snapshot.databases)
    folder = Path(work.target.choices["project"].value)
    check_settings(snapshot, work.settings, lambda named: settings_hint(folder, named))
    goal = Goal(
        selection,
        targets,
        options.named_unclaimed,
        options.may_read_only,
        judges_phases=options.phases == "judged",
    )
    decision = _with_changes(work, decide(_with_ways(work, snapshot, targets), work.settings, goal), options)
    make = decision.plan.make
    if make is not None and find_refusal(decision.snapshot, make) is None:
        # What will be written is planned as if it were: the graph, the routers and the dangers know no difference.
        foreseen = inspect(foreseen=make.apps).model_copy(update={"changes": decision.snapshot.changes})
        decision = decide(_with_ways(work, foreseen, targets), work.settings, goal)
    if options.stability or decision.snapshot.changes:
        unstable = find_unstable(
            work.host, partial(_open_another, work), decision.snapshot, is_thorough=options.stability
        )
        decision = replace(decision, snapshot=decision.snapshot.model_copy(update={"unstable": unstable}))
    jobs = count_jobs(decision.plan, decision.snapshot, work.settings, work.cpus)
    return Review(decision, locate_findings(work, decision.findings), jobs)


def _with_ways(work: CommandContext, snapshot: Snapshot, targets: Targets) -> Snapshot:
    """Return the snapshot with what it takes to get to the targets; the host is asked what it does to undo migrations.

    Raises:
        UsageError: there is no such migration.
    """
    if not targets:
        return snapshot
    snapshot, undone = find_ways(snapshot, targets)
    return with_undoing(snapshot, work.host.describe_undoing(undone) if undone else {})


def _with_changes(work: CommandContext, decision: Decision, options: ReviewOptions) -> Decision:
    """Return the decision with what the models lack migrations for, where that is asked for."""
    snapshot, plan, selection = decision.snapshot, decision.plan, decision.goal.selection
    startable: tuple[str, ...] = ()
    if selection.writes_migrations or options.starts:
        startable = find_startable(snapshot, has_syncdb=selection.run_syncdb)
    if options.changes == "left-out" or (options.changes == "compared-if-idle" and plan.steps and not startable):
        return decision
    # Nothing is refused yet, and whatever of the project runs now might make an SQLite file.
    if plan.steps and not any(database.state == "absent" for database in snapshot.databases):
        options.meanwhile()
    changes = work.host.find_changes(startable)
    if work.twin is not None and changes is not None:
        changes = tuple(change for change in changes if change.app in work.twin.labels)
    return decision.with_changes(changes)


def _open_another(work: CommandContext, seed: str) -> BootedProject:
    """Boot the project once more, with another order of sets."""
    return BootedProject(work.target, {**work.environment, "PYTHONHASHSEED": seed}, work.host.redactor, work.twin)


def locate_findings(work: CommandContext, findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Add file and line to the findings that are about something in the project's files."""
    named = (subject for finding in findings for subject in (finding.subject, finding.also))
    subjects = tuple(subject for subject in dict.fromkeys(named) if subject)
    if not subjects:
        return tuple(findings)
    locations = dict(zip(subjects, work.host.locate(subjects), strict=True))
    return tuple(_locate(finding, locations) for finding in findings)


def _locate(finding: Finding, locations: Mapping[Subject, Location | None]) -> Finding:
    location, other = locations.get(finding.subject), locations.get(finding.also)
    if location is not None:
        finding = finding.model_copy(update={"file": location[0], "line": location[1]})
    if other is not None:
        finding = finding.model_copy(update={"also_at": place_of(*other)})
    return finding


def review_patiently(
    work: CommandContext, selection: Selection, options: ReviewOptions, *, all_of_them: bool = False
) -> Generator[Event, None, Review]:
    """Review, and wait as long as the settings say for databases that do not answer; yield what is waited for.

    `all_of_them`: also for those that the selection leaves out.
    """
    started_at = work.clock()
    # Not for the whole time at first: whoever reads along learns what is waited for.
    reviewed = review(work, selection, options, seconds=min(SILENCE_SECONDS, work.host.silence_seconds))
    is_again = False
    while True:
        silent = (
            [database.alias for database in reviewed.snapshot.databases if database.state == "unreachable"]
            if all_of_them
            else find_silent(reviewed.snapshot, reviewed.routing, selection)
        )
        if silent and is_again:  # it answers and still cannot be looked at, because a table is locked for example
            work.sleep(max(0.0, min(PAUSE_SECONDS, started_at + work.settings.wait - work.clock())))
        if not silent or not (yield from _wait_for_silent(work, reviewed.snapshot, silent, started_at)):
            return reviewed
        is_again = True
        reviewed = review(
            work, selection, options, seconds=_next_silence(work.clock() - started_at, work.settings.wait)
        )


def _next_silence(gone: float, seconds: float) -> float:
    """Return how long a server may say nothing in the next look, when so much of the time to wait has gone by."""
    return max(min(seconds - gone, max(SILENCE_SECONDS, gone)), seconds / LAST_PART, SHORTEST_SILENCE)


def review_or_refuse(
    work: CommandContext,
    selection: Selection,
    options: ReviewOptions,
    *,
    is_run: bool = True,
    is_locked_later: bool = False,
) -> Generator[Event, None, Review]:
    """Review and refuse whatever must not be migrated; `is_run`, `is_locked_later`: as for `refuse`.

    Raises:
        DbmigrateError: as `refuse` does.
    """
    reviewed = yield from review_patiently(work, selection, options)
    refuse(reviewed.decision, reviewed.findings, is_run=is_run, is_locked_later=is_locked_later)
    return with_begun(work, reviewed)


def with_begun(work: CommandContext, reviewed: Review) -> Review:
    """Return a review that is not refused with a warning for what seems to have run in part."""
    return replace(reviewed, findings=(*reviewed.findings, *locate_findings(work, _find_begun(work, reviewed))))


def _find_begun(work: CommandContext, reviewed: Review) -> list[Finding]:
    """Return a warning for each database whose next such migration seems to have run in part, and does not fail for it.

    Only a look at the catalogue tells, so it is asked of the first that would work on data twice.
    """
    plan, found = reviewed.plan, []
    if plan.selection.fake or HALF_DONE_MIGRATIONS in work.settings.ignore:
        return []
    failing = {
        (alias, one)
        for finding in reviewed.findings
        if finding.stops
        for alias in finding.aliases
        for one in finding.migrations
    }
    for database in reviewed.snapshot.databases:
        planned = {one.id for step in plan.steps if step.alias == database.alias for one in step.migrations if one.does}
        pending = [one for one in database.pending if one.id in planned and may_repeat(database, one)]
        if database.state != "ok" or not database.applied or not pending or (database.alias, pending[0].id) in failing:
            continue
        try:
            traces = work.host.trace(database.alias, pending[0].id)
        except (ProjectError, UnreachableError):
            continue  # the run says it
        there = [trace.text for trace in traces if trace.is_there is True]
        unknown = [trace.text for trace in traces if trace.is_there is None]
        if there and unknown:
            found.append(describe_begun(database.alias, pending[0].id, there, unknown))
    return found


def find_stops(reviewed: Review) -> list[Finding]:
    """Return the findings that stop a run of the plan."""
    return find_stopping(reviewed.findings, reviewed.plan, reviewed.plan.targeted)


def _wait_for_silent(
    work: CommandContext, snapshot: Snapshot, aliases: Sequence[str], started_at: float
) -> Generator[Event, None, bool]:
    """Wait for databases as long as the settings say; return whether one answers that did not."""
    silent = {
        database.alias: Reached(state=database.state, trouble=database.trouble, error=database.error)
        for database in snapshot.databases
        if database.alias in aliases
    }
    is_news = False
    for event in wait_for_databases(
        work.host, silent, work.settings.wait, started_at=started_at, clock=work.clock, sleep=work.sleep
    ):
        is_news |= isinstance(event, DatabaseReached)
        yield event
    return is_news
