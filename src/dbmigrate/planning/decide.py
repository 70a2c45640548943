"""What follows from a snapshot for what was asked: what belongs where, what would run, what stands against it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

from dbmigrate.models.apps import Change
from dbmigrate.models.check_ids import ALREADY_THERE, PHASES, PHASES_BEHIND, REFUSED_INSERTS, UNMIGRATED_APPS
from dbmigrate.models.findings import Finding
from dbmigrate.models.migrations import MigrationId
from dbmigrate.models.plan import MigrationPlan
from dbmigrate.models.selection import Selection, Targets
from dbmigrate.models.settings import Phase, Settings
from dbmigrate.models.snapshot import Snapshot
from dbmigrate.planning.checks import OF_PLANS, check_ids, run_checks
from dbmigrate.planning.checks.already_there import will_be_faked
from dbmigrate.planning.checks.dangers import find_dangers
from dbmigrate.planning.checks.unmigrated_apps import find_unsynced
from dbmigrate.planning.pending import find_ways
from dbmigrate.planning.phases import Split, find_targets, split_phases, with_phases
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
    check_writable,
    is_planned,
)
from dbmigrate.planning.routing import Routing, route
from dbmigrate.planning.selection import check_has_apps, check_selection, check_targets

NamedUnclaimed = Literal["migrated", "looked-at", "refused"]
"""What becomes of a database that is open and was named: it is migrated as if the routers wanted it, it stays what it
is when nothing is named, or it is refused."""

ABOUT_PHASES = (PHASES, PHASES_BEHIND, REFUSED_INSERTS)

BREAKING: dict[str, Phase] = {PHASES_BEHIND: "post", REFUSED_INSERTS: "pre"}
"""By id of a finding about phases: the only phase whose runs it is about."""


@dataclass(frozen=True)
class Goal:
    """What was asked, where that leads on each database, and which names are accepted in it."""

    selection: Selection
    targets: Targets = field(default_factory=dict)
    named_unclaimed: NamedUnclaimed = "migrated"
    may_read_only: bool = False
    """Whether a database may be named that takes no writes."""
    judges_phases: bool = False
    """Whether it is checked that phases can work, where none is asked for and the project uses them."""


@dataclass(frozen=True)
class Decision:
    """What belongs where, and the plan; the findings are looked for when they are first asked for."""

    snapshot: Snapshot
    settings: Settings
    goal: Goal
    routing: Routing
    plan: MigrationPlan
    split: Split | None = None
    """What runs in which phase of a deploy; None where that was not asked."""

    def with_changes(self, changes: tuple[Change, ...] | None) -> Decision:
        """Return the decision for models that lack these migrations; what belongs where stays."""
        snapshot = self.snapshot.model_copy(update={"changes": changes})
        plan = _plan(snapshot, self.routing, self.settings, self.goal, self.split)
        return replace(self, snapshot=snapshot, plan=plan)

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """What the checks find, without file and line; nothing that a run of the plan puts right.

        Findings that the configuration ignores are left out, but for those that stop a run (`run_checks`).
        """
        return tuple(
            finding
            for finding in run_checks(self.snapshot, self.routing, self.settings.ignore)
            if not self._is_provided(finding)
            and (finding.id not in ABOUT_PHASES or self._is_about_phases(finding))
            and (finding.id not in OF_PLANS or is_planned(finding, self.plan))
        )

    def losses(self, identifiers: Collection[MigrationId]) -> tuple[Finding, ...]:
        """Return what destroys data of these migrations where the plan applies them, whatever the settings ignore.

        Or where it leaves them to the other phase: once they are written, that applies them without a question.
        """
        return tuple(
            finding
            for finding in find_dangers(self.snapshot, self.routing)
            if finding.destroys
            for alias in finding.aliases
            if {*finding.migrations} & {*identifiers} & {*self.plan.pending_on(alias), *self.plan.left_on(alias)}
        )

    def _is_about_phases(self, finding: Finding) -> bool:
        """Return whether a finding about phases is of interest: a run of one, or a check where they are used."""
        phase = self.goal.selection.phase
        if phase is not None:
            return phase == BREAKING.get(finding.id, phase)
        is_due = finding.id != PHASES_BEHIND or (self.split is not None and self.split.has_post)
        return self.goal.judges_phases and self.snapshot.uses_phases and is_due

    def _is_provided(self, finding: Finding) -> bool:
        """Return whether a run of the plan makes what a finding misses, or records what is there already."""
        plan = self.plan
        if finding.category == "model-changes":
            return plan.make is not None and {*finding.apps} <= {*plan.make.apps}
        if finding.id == UNMIGRATED_APPS and plan.selection.run_syncdb:
            unsynced = [place for label in finding.apps for place in find_unsynced(self.snapshot, self.routing, label)]
            return all(model in plan.synced_on(alias) for alias, model in unsynced)
        if finding.id == ALREADY_THERE:
            return plan.selection.fake or (plan.selection.fake_initial and will_be_faked(finding, plan))
        return False


def decide(snapshot: Snapshot, settings: Settings, goal: Goal) -> Decision:
    """Return what follows from a snapshot; nothing is refused yet but names that do not exist.

    Raises:
        UsageError: a name that is not there, or that cannot be migrated as it was asked.
    """
    selection = goal.selection
    check_ids(settings.ignore, settings.origins["ignore"])
    routing = route(snapshot, settings, named=selection.databases if goal.named_unclaimed == "migrated" else ())
    check_selection(snapshot, routing, selection, may_read_only=goal.may_read_only)
    if goal.named_unclaimed != "migrated":
        check_has_apps(routing, selection.databases, or_unclaimed=goal.named_unclaimed == "looked-at")
    split = None
    if any(migration.work is not None for migration in snapshot.migrations.values()):
        snapshot = with_phases(snapshot, settings)
        split = split_phases(snapshot, routing)
    if split is not None and selection.phase is not None:
        goal = replace(goal, targets=find_targets(snapshot, routing, split, selection))
        snapshot, _ = find_ways(snapshot, goal.targets)
    plan = _plan(snapshot, routing, settings, goal, split)
    check_targets(snapshot, plan.targeted)
    return Decision(snapshot, settings, goal, routing, plan, split)


def _plan(snapshot: Snapshot, routing: Routing, settings: Settings, goal: Goal, split: Split | None) -> MigrationPlan:
    return build_plan(snapshot, routing, settings=settings, selection=goal.selection, targets=goal.targets, split=split)


def refuse(decision: Decision, findings: Sequence[Finding], *, is_run: bool, is_locked_later: bool = False) -> None:
    """Do nothing if the plan can run; `is_run`: whether it is going to, and is not only shown.

    `findings`: those of the decision, with their places. `is_locked_later`: whether locks are taken first, and all is
    judged again under them.

    Raises:
        UnreachableError: a database does not answer, or takes no writes.
        FindingsError: a finding stops the run.
        ModelChangesError: makemigrations could not do its part without a person.
        ProjectError: the project's own migrate does not take what it would have to be called with.
        UsageError: a migration that is to be undone cannot be, or the order leaves a database without what it needs.
    """
    snapshot, routing, plan = decision.snapshot, decision.routing, decision.plan
    check_keeps(snapshot, routing, plan.selection)
    check_reachable(snapshot, routing, plan.selection)
    judged = [
        finding
        for finding in findings
        if (is_run or not finding.stops_runs_only) and not (is_locked_later and finding.stops_locked_only)
    ]
    check_findings(judged, plan, plan.targeted)
    check_order(decision.settings, plan)
    check_needs(decision.settings, plan)
    check_reversible(plan)
    check_makemigrations(snapshot, plan.make)
    check_started(snapshot, plan)
    check_callable(plan)
    if is_run:
        check_writable(snapshot, routing, plan)
