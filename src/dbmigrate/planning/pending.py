"""What follows from the graph of migrations and from what is recorded on each database. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dbmigrate.models.snapshot import Database, Migration, MigrationId, PendingMigration, Snapshot
from dbmigrate.planning.graph import Graph, build_graph
from dbmigrate.planning.routing import Routing


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


@dataclass(frozen=True)
class _History:
    """What follows from what is recorded on a database, whatever the migrations do there."""

    migrations: Mapping[MigrationId, Migration]
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
            graph=graph,
            applied=len(applied),
            unrecorded=tuple(sorted(applied - {*recorded})),
            pending=tuple(one.model_copy(update=_facts(migrations, graph, one.id)) for one in pending),
        )

    def complete(self, database: Database) -> Database:
        """Return a database of these records with what follows from them."""
        effects, targeted = database.effects, database.targeted
        return database.model_copy(
            update={
                "applied": self.applied,
                "unrecorded": self.unrecorded,
                "pending": tuple(
                    one.model_copy(update=dict(effects[one.id])) if one.id in effects else one for one in self.pending
                ),
                "targeted": None
                if targeted is None
                else tuple(one.model_copy(update=_facts(self.migrations, self.graph, one.id)) for one in targeted),
            }
        )


def find_concerned(database: Database, routing: Routing) -> tuple[PendingMigration, ...]:
    """Return what of what is pending on a database its apps need, in order: all of it where it is migrated whole.

    Left out is what does nothing there, of an app that the routers keep away, and on which nothing else there depends.
    """
    if database.alias in routing.whole:
        return database.pending
    needed: set[MigrationId] = set()
    for migration in reversed(database.pending):
        route = database.routes[migration.id.split(".", 1)[0]]
        if migration.answer != "no" or route.answer != "no" or route.models or migration.id in needed:
            needed.update((migration.id, *migration.after))
    return tuple(migration for migration in database.pending if migration.id in needed)


def _facts(migrations: Mapping[MigrationId, Migration], graph: Graph, identifier: MigrationId) -> dict[str, Any]:
    """Return what PendingMigration says besides the effect."""
    migration = migrations[identifier]
    return {
        "after": tuple(sorted(graph.parents[identifier])),
        "atomic": migration.atomic,
        "is_written": migration.is_written,
        "is_initial": migration.is_initial,
    }


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
