"""From a snapshot to a plan. Pure: nothing is read and nothing is run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypedDict

from dbmigrate.models.apps import App
from dbmigrate.models.database import DEFAULT_ALIAS, UNKNOWN_STATES, Database
from dbmigrate.models.migrations import MigrationId, PendingMigration, label_of
from dbmigrate.models.plan import (
    GuardScope,
    LastApp,
    MakeMigrations,
    MigrationPlan,
    Need,
    PlannedDatabase,
    PlannedMigration,
    PlannedPhase,
    SkipReason,
    Step,
    StepReason,
)
from dbmigrate.models.selection import Selection, Target, Targets
from dbmigrate.models.settings import Settings
from dbmigrate.models.snapshot import Snapshot
from dbmigrate.planning.already_there import may_be_faked
from dbmigrate.planning.data_needs import find_needs, pick_needs
from dbmigrate.planning.order import order_databases
from dbmigrate.planning.pending import closure_of
from dbmigrate.planning.phases import Split
from dbmigrate.planning.project_commands import (
    NO_INPUT,
    PRE_DEPLOY,
    Option,
    Spelled,
    database_option,
    find_delaying,
    spell,
    spell_makemigrations,
)
from dbmigrate.planning.routing import Routing, is_migrated_whole
from dbmigrate.planning.unseen_databases import find_limits

WHOLE = (
    'let it accept an app label, as Django\'s does, or set scope = "database" under [tool.dbmigrate]: then every '
    "database is migrated whole"
)
"""What to do where a replaced migrate takes no app."""


def build_plan(
    snapshot: Snapshot,
    routing: Routing,
    *,
    settings: Settings,
    selection: Selection,
    targets: Targets,
    split: Split | None = None,
) -> MigrationPlan:
    """Decide every step, its order, and why the other databases get none. The names in `selection` must exist.

    `split`: what runs in which phase of a deploy, where that was asked.
    """
    planners = [
        _DatabasePlanner(snapshot, routing, settings, selection, database, targets.get(database.alias), split)
        for database in snapshot.databases
    ]
    found = {planner.alias: planner.steps() for planner in planners if planner.skip() is None}
    steps_by_alias = {alias: steps for alias, steps in found.items() if steps}
    needs, elsewhere = _plan_needs(snapshot, routing, selection, targets, steps_by_alias)
    steps = order_databases(snapshot, settings, steps_by_alias, needs)
    return MigrationPlan(
        selection=selection,
        make=_plan_makemigrations(snapshot, selection),
        databases=tuple(planner.describe(found.get(planner.alias, [])) for planner in planners),
        steps=steps,
        limits=find_limits(snapshot, routing),
        constance=_plan_last_app(snapshot, routing, steps, list(found)),
        needs=needs,
        needed_elsewhere=elsewhere,
    )


def _plan_needs(
    snapshot: Snapshot,
    routing: Routing,
    selection: Selection,
    targets: Targets,
    steps_by_alias: Mapping[str, Sequence[Step]],
) -> tuple[tuple[Need, ...], tuple[Need, ...]]:
    """Return what these steps need of databases that are migrated, now or in another run: a need for each pair.

    And what the selection left out and one of them may miss.
    """
    if selection.fake:
        return (), ()
    planned = {
        (alias, migration.id)
        for alias, steps in steps_by_alias.items()
        for step in steps
        for migration in step.migrations
    }
    migrated = [database.alias for database in snapshot.databases if routing.is_migrated(database.alias)]
    needs = find_needs(snapshot, routing, migrated, targeted=targets)

    def is_met(need: Need) -> bool:
        return need.backwards or (need.other, need.needed) in planned

    own = [need for need in needs if (need.alias, need.migration) in planned]
    elsewhere = [need for need in own if not need.is_certain and not is_met(need)]
    elsewhere += [
        need
        for need in needs
        if need.backwards and (need.other, need.needed) in planned and (need.alias, need.migration) not in planned
    ]
    return pick_needs(own, is_met=is_met), pick_needs(elsewhere, is_met=is_met)


def _plan_makemigrations(snapshot: Snapshot, selection: Selection) -> MakeMigrations | None:
    """Return the makemigrations process: only for the project's own apps, and only if something would be written."""
    if not selection.writes_migrations:
        return None
    own = {app.label for app in snapshot.apps if app.is_own}
    changes = tuple(change for change in snapshot.changes or () if change.app in own)
    if not changes:
        return None
    labels = tuple(change.app for change in changes)
    spelled = spell_makemigrations(snapshot, labels, (NO_INPUT,))
    return MakeMigrations(apps=labels, changes=changes, arguments=spelled.arguments, refusal=spelled.refusal)


def _plan_last_app(
    snapshot: Snapshot, routing: Routing, steps: Sequence[Step], targeted: Sequence[str]
) -> LastApp | None:
    label = snapshot.last_app
    if label is None:
        return None
    aliases = tuple(alias for alias in routing.aliases_of(label) if alias in targeted)
    if not aliases:
        return None
    prefix = f"{label}."
    return LastApp(
        label=label,
        aliases=aliases,
        pending=any(planned.id.startswith(prefix) and planned.does for step in steps for planned in step.migrations),
        own_steps=tuple(step.id for step in steps if step.app == label),
    )


class PhaseFacts(TypedDict):
    """What PlannedMigration says of phases."""

    phase: PlannedPhase | None
    phase_because: str | None


@dataclass(frozen=True)
class _End:
    """Where a step leads."""

    app: str | None = None
    """None for all of them."""
    to: str | None = None
    """The migration to go to; None for the last."""


@dataclass(frozen=True)
class _DatabasePlanner:
    """Plans one database; the steps it returns are in order, but know nothing of other databases yet."""

    snapshot: Snapshot
    routing: Routing
    settings: Settings
    selection: Selection
    database: Database
    targets: Sequence[Target] | None
    """Where apps go here, in this order. None if every app goes to its last."""
    split: Split | None

    @property
    def alias(self) -> str:
        return self.database.alias

    def describe(self, steps: Sequence[Step]) -> PlannedDatabase:
        """Return the database's line in the plan."""
        kind = self.routing.kinds[self.alias]
        skip = self.skip()
        later = self._later(steps) if skip is None else ()
        if skip is None and not steps:
            skip = "other-phase" if later else "nothing-pending"
        return PlannedDatabase(
            alias=self.alias,
            kind=kind.kind,
            because=kind.because,
            apps=tuple(self.routing.placements[self.alias]),
            skip=skip,
            may_stand_in=kind.kind == "same" and self._takes_anything(),
            out_of_reach=self._out_of_reach() if skip == "read-only" else (),
            is_unknown=self.database.state in UNKNOWN_STATES,
            at_once=self.split is not None and self.alias in self.split.at_once,
            later=later,
            unopposed=len(self.routing.unopposed[self.alias]) if kind.kind == "routed" else 0,
        )

    def skip(self) -> SkipReason | None:
        """Return why this database is not looked at at all, or None if it is."""
        kind = self.routing.kinds[self.alias].kind
        if self.selection.databases and self.alias not in self.selection.databases:
            return "not-selected"
        if kind != "default" and kind != "routed":
            return kind
        if self.selection.apps and not self._labels():
            return "not-selected"
        return None

    def steps(self) -> list[Step]:
        """Return the steps with work, or with another reason to run."""
        ends = self._ends()
        steps: list[Step] = []
        covered: set[MigrationId] = set()
        for end in ends:
            planned = self._planned(end, covered)
            synced = self._unsynced(end.app) if self.selection.run_syncdb else ()
            reason, because = self._reason(end, planned, has_tables_to_make=bool(synced))
            if reason is None:
                continue
            covered.update(migration.id for migration in planned)
            steps.append(self._step(end, planned, reason, because, synced))
        is_for_receivers = self.settings.receivers == "always" and self.targets is None
        if not steps and is_for_receivers and self._receivers() and ends:
            # One process is enough: migrate sends the signals for every app, whichever it was called for.
            steps.append(self._step(ends[0], (), "receivers", self._receivers()))
        return steps

    def _ends(self) -> list[_End]:
        """Return where the steps lead, in their order."""
        if self.targets is not None:
            labels = self._labels()
            return [_End(app, to) for app, to in self.targets if app in labels or self._takes_all_apps()]
        return [_End()] if self._takes_all_apps() else [_End(label) for label in self._labels_in_order()]

    def _later(self, steps: Sequence[Step]) -> tuple[PlannedMigration, ...]:
        """Return what the selection has pending here and leaves to the other phase of a deploy."""
        if self.split is None or self.selection.phase is None:
            return ()
        planned = {migration.id for step in steps for migration in step.migrations}
        whole = replace(self, targets=None)
        return tuple(
            migration for step in whole.steps() for migration in step.migrations if migration.id not in planned
        )

    def _takes_anything(self) -> bool:
        return bool(self.routing.placements[self.alias] or self.routing.unopposed[self.alias])

    def _out_of_reach(self) -> tuple[PlannedMigration, ...]:
        if self.database.state in UNKNOWN_STATES or not self.routing.placements[self.alias]:
            return ()
        return tuple(migration for step in self.steps() for migration in step.migrations)

    def _step(
        self,
        end: _End,
        migrations: tuple[PlannedMigration, ...],
        reason: StepReason,
        because: tuple[str, ...],
        synced: tuple[str, ...] = (),
    ) -> Step:
        spelled = self._spell(end, migrations)
        return Step(
            id=":".join(part for part in (self.alias, end.app, self._branch(end)) if part is not None),
            alias=self.alias,
            app=end.app,
            to=end.to,
            arguments=spelled.arguments,
            migrations=migrations,
            synced=synced,
            reason=reason,
            because=because,
            after=(),
            needs=(),
            scope=self._scope(),
            refusal=spelled.refusal,
        )

    def _branch(self, end: _End) -> str | None:
        """Return what tells a step from others of its app here, which goes to several branches; None if it does not."""
        return end.to if [app for app, _ in self.targets or ()].count(str(end.app)) > 1 else None

    def _spell(self, end: _End, migrations: Sequence[PlannedMigration] = ()) -> Spelled:
        """Return the words of the process for an app, or for the whole database, that applies these migrations."""
        options = [database_option(self.alias), NO_INPUT]
        if self.selection.fake:
            options.append(Option("--fake"))
        if self.selection.fake_initial:
            options.append(Option("--fake-initial"))
        if self.selection.run_syncdb and (end.app is None or not self._app(end.app).has_migrations):
            options.append(Option("--run-syncdb"))
        if self._is_early(migrations):
            options.append(PRE_DEPLOY)
        spelled = spell(
            self.snapshot,
            "migrate",
            [name for name in (end.app, end.to) if name is not None],
            options,
            names_way_out=WHOLE if self.selection.is_everything else "",
        )
        if self.selection.phase is None or spelled.refusal is not None:
            return spelled
        return replace(spelled, refusal=find_delaying(self.snapshot, migrations))

    def _is_early(self, migrations: Sequence[PlannedMigration]) -> bool:
        """Return whether a project's own migrate may be told that this comes before the deploy.

        Not where the configuration overrules what that command goes by: it would leave these migrations out.
        """
        if self.selection.phase != "pre" or self.split is None or self.alias in self.split.at_once:
            return False
        return not any(self.snapshot.phases[migration.id].by == "configuration" for migration in migrations)

    def _reason(
        self, end: _End, planned: Sequence[PlannedMigration], *, has_tables_to_make: bool
    ) -> tuple[StepReason | None, tuple[str, ...]]:
        replaced = self.snapshot.replaced_commands.get("migrate")
        if planned or has_tables_to_make:
            return "pending", ()
        squashed = tuple(name for name in self.database.unrecorded if end.app in (None, label_of(name)))
        if squashed:
            return "squashed", squashed
        if self.database.read_only is not None:
            return None, ()
        if self.selection.always:
            return "always", ()
        # One that cannot even be asked is planned, and refused: it may have work that shows nowhere here.
        if replaced is not None and (self._spell(end).refusal is None or self.snapshot.commands["migrate"].error):
            return "replaced-command", (replaced,)
        return None, ()

    def _receivers(self) -> tuple[str, ...]:
        if self.database.read_only is not None:
            return ()  # they could write nothing
        return tuple(f"{receiver.name} ({receiver.signal})" for receiver in self.snapshot.receivers)

    def _takes_all_apps(self) -> bool:
        return not self.selection.apps and is_migrated_whole(self.snapshot, self.routing, self.alias)

    def _labels(self) -> list[str]:
        placements = self.routing.placements[self.alias]
        labels = [label for label in placements if not self.selection.apps or label in self.selection.apps]
        if self.selection.run_syncdb and not self.selection.apps:
            labels += [app.label for app in self.snapshot.apps if not app.has_migrations and self._unsynced(app.label)]
        return labels

    def _labels_in_order(self) -> list[str]:
        """Return the apps in the order of their first pending migration on this database; the last app comes last."""
        position = {migration.id: index for index, migration in reversed(list(enumerate(self.database.pending)))}
        first: dict[str, int] = {}
        for identifier, index in position.items():
            label = label_of(identifier)
            first[label] = min(index, first.get(label, index))
        labels = self._labels()
        return sorted(
            labels,
            key=lambda label: (label == self.snapshot.last_app, first.get(label, len(position)), labels.index(label)),
        )

    def _planned(self, end: _End, covered: Iterable[MigrationId]) -> tuple[PlannedMigration, ...]:
        done = set(covered)
        if end.to is not None:
            way = self.database.ways.get(f"{end.app}.{end.to}")
            # It begins where the one before it ends, and may do again what that one has undone.
            wanted: Sequence[PendingMigration] = way.migrations if way is not None else ()
            done = set()
        elif end.app is None:
            wanted = self.database.pending
        else:
            own = (one.id for one in self.database.pending if label_of(one.id) == end.app)
            needed = closure_of(self.database.pending, own)
            wanted = [one for one in self.database.pending if one.id in needed]
        return tuple(
            PlannedMigration(
                id=migration.id,
                does=self.routing.does(self.alias, migration),
                atomic=migration.atomic,
                is_written=migration.is_written,
                backwards=migration.backwards,
                irreversible=migration.irreversible,
                may_be_faked=may_be_faked(self.routing, self.alias, migration),
                works_on_data=migration.works_on_data,
                **self._phase(migration),
            )
            for migration in wanted
            if migration.id not in done
        )

    def _phase(self, migration: PendingMigration) -> PhaseFacts:
        if self.split is None or migration.backwards or not self.routing.is_migrated(self.alias):
            return {"phase": None, "phase_because": None}
        phase = self.split.phase_on(self.alias, migration.id)
        because = None if phase is None else self.split.because(migration.id)
        return {"phase": phase, "phase_because": because}

    def _unsynced(self, app: str | None) -> tuple[str, ...]:
        """Return the models whose tables `--run-syncdb` makes in the process for an app, or for all of them."""
        return tuple(
            name
            for name in self.database.unsynced
            if app in (None, label_of(name)) and self.routing.has(self.database, name)
        )

    def _scope(self) -> GuardScope | None:
        """Return what the guard router leaves in; None where the project's routers answer everything themselves."""
        if self.alias == DEFAULT_ALIAS:
            return self._scope_by_rules() if self.routing.by_rules else self._scope_of_contradicted()
        if not (self.routing.unopposed[self.alias] or self._contradicted()):
            return None
        placements = {**self.routing.placements[self.alias], **self.routing.unmigrated[self.alias]}
        return GuardScope(
            alias=self.alias,
            apps={
                label: None if placement.is_whole else tuple(sorted(placement.models))
                for label, placement in placements.items()
            },
            others=False,
        )

    def _contradicted(self) -> frozenset[str]:
        """Return the apps with a model that the routers refuse here, and of which they have no opinion for migrate."""
        return frozenset(
            label_of(one.model)
            for one in self.snapshot.contradictions
            if (one.alias, one.answer, one.as_migrated) == (self.alias, "no", "none")
        )

    def _scope_of_contradicted(self) -> GuardScope | None:
        placements = self.routing.placements[self.alias]
        apps: dict[str, tuple[str, ...] | None] = {
            label: tuple(sorted(placements[label].models)) if label in placements else ()
            for label in sorted(self._contradicted())
        }
        return GuardScope(alias=self.alias, apps=apps, others=True) if apps else None

    def _scope_by_rules(self) -> GuardScope | None:
        elsewhere = [rule.label for rule in self.snapshot.rules if rule.label and rule.alias != self.alias]
        return GuardScope(alias=self.alias, apps=dict.fromkeys(elsewhere, ()), others=True) if elsewhere else None

    def _app(self, label: str) -> App:
        app = self.snapshot.app(label)
        assert app is not None, label
        return app
