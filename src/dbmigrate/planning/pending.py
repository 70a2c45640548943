"""What follows from the graph of migrations and from what is recorded on each database. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dbmigrate.errors import UsageError
from dbmigrate.models.database import Database
from dbmigrate.models.migrations import Migration, MigrationId, PendingMigration, UndoingOf, Way, label_of
from dbmigrate.models.selection import Target, Targets
from dbmigrate.models.servers import Reached
from dbmigrate.models.snapshot import Snapshot
from dbmigrate.nearest import nearest
from dbmigrate.planning.graph import Graph, build_graph
from dbmigrate.planning.routing import Routing

Undone = Mapping[str, tuple[MigrationId, ...]]
"""By alias: what is to be undone there, in this order."""


def with_pending(snapshot: Snapshot) -> Snapshot:
    """Return the snapshot with what is applied and pending on each database that says what is recorded there.

    What is recorded alike is worked out once.
    """
    histories = [_History.read(snapshot.migrations, recorded) for recorded in snapshot.recorded]
    databases = tuple(
        database if database.recorded is None else histories[database.recorded].complete(database)
        for database in snapshot.databases
    )
    return snapshot.model_copy(
        update={"databases": databases, "dependencies": _find_dependencies(databases, histories)}
    )


def find_ways(snapshot: Snapshot, targets: Targets) -> tuple[Snapshot, Undone]:
    """Return the snapshot with what it takes on each database to get to its targets, and what of that is undone.

    An app that has no migrations has no way.

    Raises:
        UsageError: no migration is called as one of the targets is, or several are.
    """
    histories = [_History.read(snapshot.migrations, recorded) for recorded in snapshot.recorded]
    databases = tuple(
        database
        if database.recorded is None
        else database.model_copy(
            update={"ways": _find_ways(snapshot, database, histories[database.recorded], targets[database.alias])}
        )
        if database.alias in targets
        else database
        for database in snapshot.databases
    )
    undone = {
        database.alias: tuple(dict.fromkeys(one.id for one in database.targeted or () if one.backwards))
        for database in databases
    }
    return snapshot.model_copy(update={"databases": databases}), {alias: ids for alias, ids in undone.items() if ids}


def _find_ways(snapshot: Snapshot, database: Database, history: _History, targets: Sequence[Target]) -> dict[str, Way]:
    """Return by target the way on a database of this history, each from where the one before it ends."""
    ways: dict[str, Way] = {}
    for label, name in targets:
        app = snapshot.app(label)
        if app is not None and app.has_migrations:
            target = None if name == "zero" else _find_target(snapshot, label, name)
            steps, replaced_by = history.way_to(label, target)
            ways[f"{label}.{name}"] = Way(migrations=history.go(database, steps), replaced_by=replaced_by)
            history = history if (label, name) == targets[-1] else history.after(steps)
    return ways


def _find_target(snapshot: Snapshot, label: str, name: str) -> MigrationId:
    names = sorted(one.split(".", 1)[1] for one in snapshot.migrations if label_of(one) == label)
    matching = [name] if name in names else [candidate for candidate in names if candidate.startswith(name)]
    if len(matching) > 1:
        raise UsageError(f"several migrations of {label} start with {name}", hint=f"name one of: {', '.join(matching)}")
    if not matching:
        raise UsageError(
            f"app {label} has no migration {name}", hint=nearest(name, names, what=f"migrations of {label}")
        )
    return f"{label}.{matching[0]}"


def with_undoing(snapshot: Snapshot, answers: Mapping[str, UndoingOf | Reached]) -> Snapshot:
    """Return a snapshot that knows ways (`find_ways`) with what it does on these databases to undo migrations."""
    databases = tuple(
        _add_undoing(database, answers[database.alias]) if database.alias in answers else database
        for database in snapshot.databases
    )
    histories = [_History.read(snapshot.migrations, recorded) for recorded in snapshot.recorded]
    return snapshot.model_copy(
        update={"databases": databases, "dependencies": _find_dependencies(databases, histories)}
    )


def _add_undoing(database: Database, answer: UndoingOf | Reached) -> Database:
    if isinstance(answer, Reached):
        return database.model_copy(update={"ways": {}, **dict(answer)})
    ways = {
        target: way.model_copy(
            update={
                "migrations": tuple(
                    one.model_copy(update=dict(answer.undoing[one.id])) if one.backwards else one
                    for one in way.migrations
                )
            }
        )
        for target, way in database.ways.items()
    }
    return database.model_copy(
        update={
            "ways": ways,
            "role": answer.role,
            "rights_unknown": answer.rights_unknown,
            "lacking": answer.lacking,
        }
    )


@dataclass(frozen=True)
class _History:
    """What follows from what is recorded on a database, whatever the migrations do there."""

    migrations: Mapping[MigrationId, Migration]
    recorded: Sequence[MigrationId]
    graph: Graph
    applied: int
    unrecorded: tuple[MigrationId, ...]
    pending: tuple[PendingMigration, ...]
    """Each as if nothing of it reached the database."""

    @staticmethod
    def read(migrations: Mapping[MigrationId, Migration], recorded: Sequence[MigrationId]) -> _History:
        """Return what follows from these records."""
        graph = build_graph(migrations, recorded)
        applied = migrations.keys() & graph.applied
        pending = (PendingMigration(id=identifier, answer="no", operations=0) for identifier in graph.pending())
        return _History(
            migrations=migrations,
            recorded=recorded,
            graph=graph,
            applied=len(applied),
            unrecorded=tuple(sorted(applied - {*recorded})),
            pending=tuple(one.model_copy(update=_facts(migrations, graph, one.id)) for one in pending),
        )

    def complete(self, database: Database) -> Database:
        """Return a database of these records with what follows from them."""
        effects = database.effects
        return database.model_copy(
            update={
                "applied": self.applied,
                "unrecorded": self.unrecorded,
                "pending": tuple(
                    one.model_copy(update=dict(effects[one.id])) if one.id in effects else one for one in self.pending
                ),
            }
        )

    def way_to(self, label: str, target: MigrationId | None) -> tuple[list[tuple[MigrationId, bool]], str | None]:
        """Return (the way to a migration of an app, None for undoing all of it; what is squashed and stands for it).

        There is no way where there is the second: Django cannot stop inside of a squashed migration.
        """
        if target is None:
            return self.graph.way_to_zero(label), None
        # A squashed migration that is partly applied does not count; Django goes to the last one that it replaces
        # (django/core/management/commands/migrate.py, since 4.0).
        if target not in self.graph.parents and self.migrations[target].replaces:
            target = self.migrations[target].replaces[-1]
        if target not in self.graph.parents:
            squashed = next(one for one, migration in self.migrations.items() if target in migration.replaces)
            return [], squashed.split(".", 1)[1]
        return self.graph.way_to(target), None

    def after(self, way: Sequence[tuple[MigrationId, bool]]) -> _History:
        """Return the history once this way is gone: with a squashed migration goes the record of what it replaces."""
        recorded = {*self.recorded}
        for one, backwards in way:
            records = {one, *self.migrations[one].replaces}
            recorded = recorded - records if backwards else recorded | records
        return _History.read(self.migrations, sorted(recorded))

    def go(self, database: Database, way: Sequence[tuple[MigrationId, bool]]) -> tuple[PendingMigration, ...]:
        """Return what this way does on a database of these records."""
        pending = {migration.id: migration for migration in database.pending}
        return tuple(
            PendingMigration(id=one, answer="no", operations=0, backwards=True).model_copy(
                update=_facts(self.migrations, self.graph, one)
            )
            if backwards
            else pending.get(one, self._held_back(one))
            for one, backwards in way
        )

    def _held_back(self, identifier: MigrationId) -> PendingMigration:
        """Return a migration that Django does not call pending, because a later one of its app is recorded."""
        return PendingMigration(id=identifier, answer="yes").model_copy(
            update=_facts(self.migrations, self.graph, identifier)
        )


def closure_of(pending: Sequence[PendingMigration], starts: Iterable[MigrationId]) -> set[MigrationId]:
    """Return some pending migrations and all that they depend on and that is pending too."""
    after = {migration.id: migration.after for migration in pending}
    found: set[MigrationId] = set()
    queue = list(starts)
    while queue:
        identifier = queue.pop()
        if identifier in after and identifier not in found:
            found.add(identifier)
            queue.extend(after[identifier])
    return found


def find_concerned(database: Database, routing: Routing) -> tuple[PendingMigration, ...]:
    """Return what of what is pending on a database its apps need, in order: all of it where it is migrated whole.

    Left out is what does nothing there, of an app that the routers keep away, and on which nothing else there depends.
    """
    if database.alias in routing.whole:
        return database.pending
    needed: set[MigrationId] = set()
    for migration in reversed(database.pending):
        route = database.routes[label_of(migration.id)]
        if migration.answer != "no" or route.answer != "no" or route.models or migration.id in needed:
            needed.update((migration.id, *migration.after))
    return tuple(migration for migration in database.pending if migration.id in needed)


def _facts(migrations: Mapping[MigrationId, Migration], graph: Graph, identifier: MigrationId) -> dict[str, Any]:
    """Return what PendingMigration says besides the effect: all of Migration that it has a field for."""
    migration = migrations[identifier]
    facts = {name: getattr(migration, name) for name in Migration.model_fields if name in PendingMigration.model_fields}
    return {**facts, "after": tuple(sorted(graph.parents[identifier]))}


def _find_dependencies(
    databases: Sequence[Database], histories: Sequence[_History]
) -> dict[MigrationId, tuple[MigrationId, ...]]:
    """Return Snapshot.dependencies: where a squashed migration is partly applied they are others."""
    found: dict[MigrationId, dict[MigrationId, None]] = {}
    walked: set[tuple[int, MigrationId]] = set()
    for database in databases:
        for migration in (*database.pending, *(database.targeted or ())):
            if database.recorded is None or not migration.works_on_data:
                continue
            if (database.recorded, migration.id) not in walked:
                walked.add((database.recorded, migration.id))
                needed = histories[database.recorded].graph.needed_by(migration.id)
                found.setdefault(migration.id, {}).update(dict.fromkeys(needed))
    return {identifier: tuple(needed) for identifier, needed in found.items()}
