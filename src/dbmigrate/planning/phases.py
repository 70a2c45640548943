"""What runs before a deploy and what runs after it, over all databases. Pure.

One graph of what is pending on any database: what comes after something that runs after the deploy cannot run before.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from dbmigrate.models.database import UNKNOWN_STATES, Database
from dbmigrate.models.migrations import Migration, MigrationId, PendingMigration, PhaseMark, PhaseOf, label_of
from dbmigrate.models.plan import PlannedPhase
from dbmigrate.models.selection import Selection, Target, Targets
from dbmigrate.models.settings import THIRD_PARTY, UNMARKED, Settings
from dbmigrate.models.snapshot import Snapshot
from dbmigrate.planning.pending import closure_of
from dbmigrate.planning.routing import Routing, is_migrated_whole

TABLE = "[tool.dbmigrate.phases]"


def with_phases(snapshot: Snapshot, settings: Settings) -> Snapshot:
    """Return the snapshot with the phase of every migration: the first that says one counts.

    The configuration, then what the migration says of itself, then what it does.
    """
    own = {app.label for app in snapshot.apps if app.is_own}
    phases = {
        identifier: _read(identifier, migration, settings, is_own=label_of(identifier) in own)
        for identifier, migration in snapshot.migrations.items()
    }
    is_marked = any(migration.marks for one, migration in snapshot.migrations.items() if label_of(one) in own)
    return snapshot.model_copy(update={"phases": phases, "uses_phases": bool(settings.phases) or is_marked})


def _read(identifier: MigrationId, migration: Migration, settings: Settings, *, is_own: bool) -> PhaseOf:
    configured = _find_configured(identifier, settings, is_own=is_own)
    if configured is not None:
        return configured
    if migration.marks:
        return _read_marks(identifier, migration.marks)
    work = migration.work
    subject: tuple[str, ...] = ("migration", identifier)
    if work is None:
        return PhaseOf(says="undecided", by="operations", text="", subject=subject)
    if work.operation:
        subject = ("operation", identifier, work.operation)
    unmarked = settings.phases.get(UNMARKED)
    if work.says in ("undecided", "mixed") and unmarked in ("pre", "post"):
        return _of(unmarked, "configuration", f"{UNMARKED} under {TABLE}", subject)
    return PhaseOf(says=work.says, by="operations", text=work.by or work.text, subject=subject)


def _find_configured(identifier: MigrationId, settings: Settings, *, is_own: bool) -> PhaseOf | None:
    for pattern, phase in settings.phases.items():
        if pattern == UNMARKED:
            continue
        is_meant = not is_own if pattern == THIRD_PARTY else fnmatchcase(identifier, pattern)
        if is_meant and phase in ("pre", "post"):
            named = pattern if pattern == THIRD_PARTY else f'"{pattern}"'
            return _of(phase, "configuration", f"{named} under {TABLE}", ("migration", identifier))
    return None


def _of(phase: str, by: Literal["configuration", "mark"], text: str, subject: tuple[str, ...]) -> PhaseOf:
    return PhaseOf(says="post" if phase == "post" else "pre", by=by, text=text, subject=subject)


def _read_marks(identifier: MigrationId, marks: Sequence[PhaseMark]) -> PhaseOf:
    """Return what marks say; several that do not agree are wrong."""
    wrong = next((mark for mark in marks if mark.says is None), None)
    decided = {mark.says: mark for mark in marks if mark.says in ("pre", "post")}
    telling = wrong or next(iter(decided.values()), marks[0])
    subject = ("mark", identifier, telling.attribute)
    if wrong is None and len(decided) > 1:
        text = " and ".join(f"{mark.attribute} = {mark.text}" for mark in decided.values())
        return PhaseOf(says="wrong", by="mark", text=text, subject=subject)
    text = f"{telling.attribute} = {telling.text}"
    return PhaseOf(says=telling.says or "wrong", by="mark", text=text, subject=subject)


def find_unmatched(snapshot: Snapshot, settings: Settings) -> str | None:
    """Return the first pattern of the configuration that no migration matches, or None."""
    for pattern in settings.phases:
        if pattern not in (THIRD_PARTY, UNMARKED) and not any(
            fnmatchcase(identifier, pattern) for identifier in snapshot.migrations
        ):
            return pattern
    return None


@dataclass(frozen=True)
class Split:
    """What of all that is pending runs before a deploy, and what after it."""

    of: Mapping[MigrationId, PhaseOf]
    """Of what does something on a database where it is pending and old code may be."""
    doing: Mapping[MigrationId, tuple[str, ...]]
    """By the same: those databases."""
    waits_for: Mapping[MigrationId, MigrationId]
    """By pending migration that cannot run before the deploy: the one that runs after it and that it is, or depends on.
    """
    parents: Mapping[MigrationId, Collection[MigrationId]]
    """By pending migration: what it directly depends on, on any of these databases."""
    at_once: frozenset[str]
    """Databases on which nothing is recorded: no old code uses them, so they take everything in any phase."""

    def phase_of(self, identifier: MigrationId) -> PlannedPhase:
        """Return when a pending migration runs. One that does nothing anywhere any more waits for nothing else."""
        found = self.of.get(identifier)
        if found is not None and not found.is_decided:
            return "undecided"
        is_pre = found is not None and found.says == "pre"
        return "pre" if is_pre or identifier not in self.waits_for else "post"

    def because(self, identifier: MigrationId) -> str:
        """Return what says when a pending migration runs."""
        found, other = self.of.get(identifier), self.waits_for.get(identifier, identifier)
        if other != identifier and (found is None or found.says == "either"):
            return f"after {other}"
        return (found.text or "changes no database") if found is not None else "does nothing on any database any more"

    def phase_on(self, alias: str, identifier: MigrationId) -> PlannedPhase | None:
        """Return the same for one database; None where it takes everything."""
        return None if alias in self.at_once else self.phase_of(identifier)

    def undecided(self) -> list[MigrationId]:
        """Return the migrations whose phase a person has to say."""
        return [identifier for identifier, found in self.of.items() if not found.is_decided]

    def contradictions(self) -> list[tuple[MigrationId, MigrationId]]:
        """Return (migration that runs before, one that runs after and that it depends on), without what follows."""
        return [
            (identifier, self.waits_for[identifier])
            for identifier, found in self.of.items()
            if found.says == "pre" and identifier in self.waits_for
            if any(parent in self.waits_for and self._may_wait(parent) for parent in self.parents[identifier])
        ]

    def _may_wait(self, identifier: MigrationId) -> bool:
        found = self.of.get(identifier)
        return found is None or found.says != "pre"

    def lacking(self) -> dict[str, list[MigrationId]]:
        """Return by alias what has to run there before the deploy."""
        lacking: dict[str, list[MigrationId]] = {}
        for identifier, found in self.of.items():
            for alias in self.doing[identifier] if found.says == "pre" else ():
                lacking.setdefault(alias, []).append(identifier)
        return lacking

    @property
    def has_post(self) -> bool:
        """Whether something is left for after the deploy."""
        return any(found.says == "post" for found in self.of.values())


def split_phases(snapshot: Snapshot, routing: Routing) -> Split:
    """Return what runs when; the snapshot must have phases (`with_phases`)."""
    at_once = frozenset(database.alias for database in snapshot.databases if _is_new(snapshot, database))
    doing: dict[MigrationId, list[str]] = {}
    parents: dict[MigrationId, set[MigrationId]] = {}
    for database in snapshot.databases:
        if not routing.is_migrated(database.alias) or database.alias in at_once:
            continue
        for migration in database.pending:
            parents.setdefault(migration.id, set()).update(migration.after)
            if routing.does(database.alias, migration):
                doing.setdefault(migration.id, []).append(database.alias)
    of = {identifier: snapshot.phases[identifier] for identifier in doing}
    return Split(
        of=of,
        doing={identifier: tuple(aliases) for identifier, aliases in doing.items()},
        waits_for=_find_waiting(of, parents),
        parents=parents,
        at_once=at_once,
    )


def _is_new(snapshot: Snapshot, database: Database) -> bool:
    """Return whether nothing is recorded on a database, as far as it was asked."""
    if database.recorded is None or database.state in UNKNOWN_STATES:
        return False
    return not (snapshot.recorded[database.recorded] or database.unknown or database.leftover)


def _find_waiting(
    of: Mapping[MigrationId, PhaseOf], parents: Mapping[MigrationId, Collection[MigrationId]]
) -> dict[MigrationId, MigrationId]:
    children: dict[MigrationId, list[MigrationId]] = {}
    for identifier, needed in parents.items():
        for one in sorted(needed):
            children.setdefault(one, []).append(identifier)
    waits_for = {identifier: identifier for identifier, found in of.items() if found.says == "post"}
    queue = list(waits_for)
    while queue:
        one = queue.pop(0)
        for child in children.get(one, ()):
            if child not in waits_for:
                waits_for[child] = waits_for[one]
                queue.append(child)
    return waits_for


def find_targets(snapshot: Snapshot, routing: Routing, split: Split, selection: Selection) -> Targets:
    """Return where the apps go on each database that does not take all of its pending migrations in this phase.

    An app goes to each of its branches that end there. Never a migration that is applied, or that another target brings
    along: Django would undo what comes after it.
    """
    if selection.phase != "pre":
        return {}
    targets: dict[str, tuple[Target, ...]] = {}
    for database in snapshot.databases:
        if database.alias in split.at_once or not routing.is_migrated(database.alias):
            continue
        labels = _labels(snapshot, routing, selection, database)
        wanted = closure_of(database.pending, (one.id for one in database.pending if label_of(one.id) in labels))
        before = [one for one in database.pending if one.id in wanted and split.phase_of(one.id) == "pre"]
        if len(before) < len(wanted):
            targets[database.alias] = _last_ones(before, labels)
    return targets


def _labels(snapshot: Snapshot, routing: Routing, selection: Selection, database: Database) -> list[str]:
    """Return the apps that are migrated on a database, in the order of what is pending there."""
    is_all = is_migrated_whole(snapshot, routing, database.alias)
    pending = dict.fromkeys(label_of(one.id) for one in database.pending)
    here = routing.placements[database.alias]
    return [
        label
        for label in pending
        if (label in here or (is_all and not selection.apps)) and (not selection.apps or label in selection.apps)
    ]


def _last_ones(before: Sequence[PendingMigration], labels: Sequence[str]) -> tuple[Target, ...]:
    """Return the ends of what each app has of these migrations, but for those that others bring along."""
    needed = {(label_of(one.id), parent) for one in before for parent in one.after}
    ends = [one.id for one in before if (label_of(one.id), one.id) not in needed]
    targets: list[Target] = []
    covered: set[MigrationId] = set()
    for end in sorted((end for end in ends if label_of(end) in labels), key=lambda end: labels.index(label_of(end))):
        if end not in covered:
            label, name = end.split(".", 1)
            targets.append((label, name))
            covered |= closure_of(before, [end])
    return tuple(targets)
