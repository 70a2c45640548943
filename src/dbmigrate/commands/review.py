"""One project, open, and one look at it: what it is, what follows from that, and what must not be migrated over."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Literal

from dbmigrate.models.events import (
    DatabaseReached,
    Event,
)
from dbmigrate.models.findings import Finding
from dbmigrate.models.plan import MigrationPlan, ShownPlan
from dbmigrate.models.selection import Selection
from dbmigrate.models.servers import Reached
from dbmigrate.models.settings import Settings
from dbmigrate.models.snapshot import MigrationId, Snapshot
from dbmigrate.models.target import Target, Twin
from dbmigrate.planning.checks import OF_PLANS, check_ids, run_checks
from dbmigrate.planning.checks.already_there import will_be_faked
from dbmigrate.planning.checks.dangers import find_dangers
from dbmigrate.planning.checks.unmigrated_apps import find_unsynced
from dbmigrate.planning.jobs import count_jobs
from dbmigrate.planning.planner import build_plan
from dbmigrate.planning.preflight import (
    check_callable,
    check_findings,
    check_keeps,
    check_makemigrations,
    check_needs,
    check_order,
    check_reachable,
    check_reversible,
    check_started,
    find_refusal,
    find_silent,
    find_stopping,
    is_planned,
)
from dbmigrate.planning.routing import Routing, route
from dbmigrate.planning.selection import check_has_apps, check_selection, check_settings, check_target
from dbmigrate.planning.unstarted_apps import find_startable
from dbmigrate.project.booted import SHORTEST_SILENCE, SILENCE_SECONDS, Host
from dbmigrate.project.settings_modules import settings_hint
from dbmigrate.project.stability import find_unstable
from dbmigrate.project.waiting import wait_for_databases
from dbmigrate.running.process import ChildMessage, Launcher
from dbmigrate.running.stopping import Stops

NamedOpen = Literal["migrated", "looked-at", "refused"]
"""What becomes of a database that is open and was named: it is migrated as if the routers wanted it, it stays what it
is when nothing is named, or it is refused."""

Changes = Literal["compared", "left-out", "compared-if-idle"]
"""Whether the models are compared with the migrations; "compared-if-idle": only where there is nothing else to do."""


LAST_PART = 3
"""At the end of the wait a server gets at least this part of the seconds for what it is asked."""

PAUSE_SECONDS = 1.0
"""Between two looks at a database that answers and cannot be looked at."""


@dataclass(frozen=True)
class Look:
    """What is looked at."""

    changes: Changes = "left-out"
    records: bool = False
    """Whether what is applied is listed."""
    contact: bool = True
    """Whether the databases are asked."""
    named_open: NamedOpen = "migrated"
    stability: bool = False
    """Whether all of the project's models are read for what differs in each process."""
    may_read_only: bool = False
    """Whether a database may be named that takes no writes."""
    starts: bool = False
    """Whether the models of an app without migrations are compared where others depend on it, also if no migrations
    are made for the selection."""
    meanwhile: Callable[[], None] = lambda: None
    """Called where there are steps, while the models are compared."""


@dataclass(frozen=True)
class Work:
    """One project, open, with everything a use case needs to work on it."""

    target: Target
    settings: Settings
    environment: Mapping[str, str]
    host: Host
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


@dataclass(frozen=True)
class Review:
    """One look at the project and what follows from it."""

    snapshot: Snapshot
    routing: Routing
    findings: tuple[Finding, ...]
    plan: MigrationPlan
    losses: tuple[Finding, ...]
    """What destroys data in migrations of the plan that are not written yet."""
    jobs: int
    """How many databases may be migrated at the same time."""

    @property
    def shown(self) -> ShownPlan:
        """The plan as it is shown, with what stands next to it."""
        return ShownPlan.of(self.plan, jobs=self.jobs, findings=self.findings, losses=self.losses)


def review(work: Work, selection: Selection, look: Look, *, seconds: float | None = None) -> Review:
    """Ask the project and decide; nothing is touched and nothing is refused but names that do not exist.

    Findings that the configuration ignores are left out, but for those that stop a run (`run_checks`). `seconds`: how
    long a server may say nothing, if not as long as the host lets it.
    """
    target = (selection.apps[0], selection.to) if selection.to is not None and len(selection.apps) == 1 else None
    inspect = partial(
        work.host.inspect,
        changes=look.changes != "left-out",
        target=target,
        records=look.records,
        contact=look.contact,
        idle=needs_idle(work.settings, selection),
        seconds=seconds,
    )
    snapshot = inspect()
    work.remember(snapshot)
    folder = Path(work.target.choices["project"].value)
    check_settings(snapshot, work.settings, lambda named: settings_hint(folder, named))
    check_ids(work.settings.ignore, work.settings.origins["ignore"])
    named = selection.databases if look.named_open == "migrated" else ()
    routing = route(snapshot, work.settings, named=named)
    check_selection(snapshot, routing, selection, may_read_only=look.may_read_only)
    if look.named_open != "migrated":
        check_has_apps(routing, selection.databases, or_open=look.named_open == "looked-at")
    build = partial(build_plan, settings=work.settings, selection=selection)
    snapshot = _with_changes(work, snapshot, build(snapshot, routing), selection, look)
    plan = build(snapshot, routing)
    if plan.make is not None and find_refusal(snapshot, plan.make) is None:
        # What will be written is planned as if it were: the graph, the routers and the dangers know no difference.
        changes = snapshot.changes
        snapshot = inspect(foreseen=plan.make.apps).model_copy(update={"changes": changes})
        routing = route(snapshot, work.settings, named=named)
        plan = build(snapshot, routing)
    if look.stability or snapshot.changes:
        unstable = find_unstable(work.host, partial(_open_another, work), snapshot, is_thorough=look.stability)
        snapshot = snapshot.model_copy(update={"unstable": unstable})
    check_target(snapshot, selection, targeted_aliases(plan))
    findings = tuple(
        finding
        for finding in run_checks(snapshot, routing, work.settings.ignore)
        if not _is_provided(finding, snapshot, routing, plan)
        and (finding.id not in OF_PLANS or is_planned(finding, plan))
    )
    findings = locate_findings(work, findings)
    losses = find_losses(snapshot, routing, plan, plan.unwritten)
    return Review(snapshot, routing, findings, plan, losses, count_jobs(plan, snapshot, work.settings, work.cpus))


def _is_provided(finding: Finding, snapshot: Snapshot, routing: Routing, plan: MigrationPlan) -> bool:
    """Return whether a run of the plan makes what a finding misses, or records what is there already."""
    if finding.id == "DBM101":
        return plan.make is not None and {*finding.apps} <= {*plan.make.apps}
    if finding.id == "DBM104" and plan.selection.run_syncdb:
        unsynced = [place for label in finding.apps for place in find_unsynced(snapshot, routing, label)]
        return all(model in plan.synced_on(alias) for alias, model in unsynced)
    if finding.id == "DBM307":
        selection = plan.selection
        return selection.fake or (selection.fake_initial and will_be_faked(finding, plan))
    return False


def _with_changes(work: Work, snapshot: Snapshot, plan: MigrationPlan, selection: Selection, look: Look) -> Snapshot:
    """Return the snapshot with what the models lack migrations for, where that is asked for."""
    startable: tuple[str, ...] = ()
    if selection.writes_migrations or look.starts:
        startable = find_startable(snapshot, has_syncdb=selection.run_syncdb)
    if look.changes == "left-out" or (look.changes == "compared-if-idle" and plan.steps and not startable):
        return snapshot
    # Nothing is refused yet, and whatever of the project runs now might make an SQLite file.
    if plan.steps and not any(database.state == "absent" for database in snapshot.databases):
        look.meanwhile()
    changes = work.host.find_changes(startable)
    if work.twin is not None and changes is not None:
        changes = tuple(change for change in changes if change.app in work.twin.labels)
    return snapshot.model_copy(update={"changes": changes})


def find_losses(
    snapshot: Snapshot, routing: Routing, plan: MigrationPlan, identifiers: Collection[MigrationId]
) -> tuple[Finding, ...]:
    """Return what destroys data of these migrations where the plan applies them, whatever the configuration ignores."""
    return tuple(
        finding
        for finding in find_dangers(snapshot, routing)
        if finding.destroys
        for alias in finding.aliases
        if {*finding.migrations} & {*identifiers} & {*plan.pending_on(alias)}
    )


def _open_another(work: Work, seed: str) -> Host:
    """Boot the project once more, with another order of sets."""
    return Host(work.target, {**work.environment, "PYTHONHASHSEED": seed}, work.host.redactor, work.twin)


def needs_idle(settings: Settings, selection: Selection) -> bool:
    """Return whether migrations count that do nothing on a database: where it is migrated whole, or some are undone."""
    scopes = {settings.scope, *(database.scope for database in settings.databases.values())}
    return selection.to is not None or "database" in scopes


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
    work: Work, selection: Selection, look: Look, *, all_of_them: bool = False
) -> Generator[Event, None, Review]:
    """Review, and wait as long as the settings say for databases that do not answer; yield what is waited for.

    `all_of_them`: also for those that the selection leaves out.
    """
    started_at = work.clock()
    # Not for the whole time at first: whoever reads along learns what is waited for.
    reviewed = review(work, selection, look, seconds=min(SILENCE_SECONDS, work.host.silence_seconds))
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
        reviewed = review(work, selection, look, seconds=_next_silence(work.clock() - started_at, work.settings.wait))


def _next_silence(gone: float, seconds: float) -> float:
    """Return how long a server may say nothing in the next look, when so much of the time to wait has gone by."""
    return max(min(seconds - gone, max(SILENCE_SECONDS, gone)), seconds / LAST_PART, SHORTEST_SILENCE)


def targeted_aliases(plan: MigrationPlan) -> tuple[str, ...]:
    """Return the databases that the plan looks after, those with nothing pending included."""
    return tuple(database.alias for database in plan.databases if database.skip in (None, "nothing-pending"))


def checked_aliases(plan: MigrationPlan) -> tuple[str, ...]:
    """Return the databases that are held to what belongs there: also those that take no writes."""
    return tuple(
        database.alias
        for database in plan.databases
        if database.skip in (None, "nothing-pending") or (database.skip == "read-only" and database.apps)
    )


def prepare(work: Work, selection: Selection, look: Look, *, is_run: bool = True) -> Generator[Event, None, Review]:
    """Review and refuse whatever must not be migrated; `is_run`: whether it is not only shown.

    Raises:
        UnreachableError: a database does not answer.
        FindingsError: a finding stops the run.
        ModelChangesError: makemigrations could not do its part without a person.
        ProjectError: the project's own migrate does not take what it would have to be called with.
        UsageError: a migration that is to be undone cannot be.
    """
    reviewed = yield from review_patiently(work, selection, look)
    check_keeps(reviewed.snapshot, reviewed.routing, selection)
    check_reachable(reviewed.snapshot, reviewed.routing, selection)
    findings = [finding for finding in reviewed.findings if is_run or not finding.stops_runs_only]
    check_findings(findings, reviewed.plan, targeted_aliases(reviewed.plan))
    check_order(work.settings, reviewed.plan)
    check_needs(work.settings, reviewed.plan)
    check_reversible(reviewed.plan)
    check_makemigrations(reviewed.snapshot, reviewed.plan.make)
    check_started(reviewed.snapshot, reviewed.plan)
    check_callable(reviewed.plan)
    return reviewed


def find_stops(reviewed: Review) -> list[Finding]:
    """Return the findings that stop a run of the plan."""
    return find_stopping(reviewed.findings, reviewed.plan, targeted_aliases(reviewed.plan))


def _wait_for_silent(
    work: Work, snapshot: Snapshot, aliases: Sequence[str], started_at: float
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
