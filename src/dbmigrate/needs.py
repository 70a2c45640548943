"""What pending migrations that work on data need of other databases. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from dbmigrate.models.plan import Need
from dbmigrate.models.snapshot import Database, MigrationId, PendingMigration, Snapshot
from dbmigrate.routing import Routing


def find_needs(snapshot: Snapshot, routing: Routing, aliases: Iterable[str], *, to: bool = False) -> tuple[Need, ...]:
    """Return what the databases that are migrated need of these ones: for each pair of them, a need by migration.

    `to`: what is done is what it takes to get to the migration that was asked for, and not all that is pending.
    """
    doing = _doing(snapshot, routing)
    wanted = frozenset(aliases)
    needs = []
    for database in snapshot.databases:
        if not routing.is_migrated(database.alias):
            continue
        for migration in (database.targeted or ()) if to else database.pending:
            if migration.works_on_data and routing.does(database.alias, migration):
                needs += _needs_of(snapshot, routing, database, migration, doing, wanted)
    return tuple(needs)


Doing = Mapping[tuple[MigrationId, bool], Sequence[str]]
"""By migration, and whether it is to be undone: the databases on which it has something to do."""


def _doing(snapshot: Snapshot, routing: Routing) -> Doing:
    doing: dict[tuple[MigrationId, bool], list[str]] = {}
    for database in snapshot.databases:
        undone = [migration for migration in database.targeted or () if migration.backwards]
        for migration in (*database.pending, *undone):
            if routing.does(database.alias, migration):
                doing.setdefault((migration.id, migration.backwards), []).append(database.alias)
    return doing


def _needs_of(
    snapshot: Snapshot,
    routing: Routing,
    database: Database,
    migration: PendingMigration,
    doing: Doing,
    wanted: frozenset[str],
) -> list[Need]:
    needed: dict[str, list[MigrationId]] = {}
    pending = {entry.id for entry in database.pending}
    for identifier in snapshot.dependencies.get(migration.id, ()):
        others = doing.get((identifier, migration.backwards), ())
        is_done_here = identifier not in pending and identifier.split(".", 1)[0] in routing.places[database.alias]
        # What it has itself it does not need of others: an app that lives on both.
        if database.alias not in others and not (is_done_here and not migration.backwards):
            for alias in others:
                needed.setdefault(alias, []).append(identifier)
    return [
        _need(database.alias, migration, other, identifiers) for other, identifiers in needed.items() if other in wanted
    ]


def _need(alias: str, migration: PendingMigration, other: str, needed: Sequence[MigrationId]) -> Need:
    """Return the need for the last of what a migration depends on there, of the apps that it works with if it does."""
    used = [
        identifier
        for identifier in needed
        if migration.works_with is None or identifier.split(".", 1)[0] in migration.works_with
    ]
    return Need(
        alias=alias,
        migration=migration.id,
        other=other,
        needed=(used or needed)[-1],
        is_certain=bool(used),
        backwards=migration.backwards,
    )


def find_circles(needs: Sequence[Need]) -> tuple[tuple[Need, ...], ...]:
    """Return each way around of databases that certainly need each other: what one needs, then what that one needs."""
    needs = [need for need in needs if need.is_certain]
    circles: list[tuple[Need, ...]] = []
    seen: set[str] = set()
    for need in needs:
        back = find_way(needs, need.first, need.then)
        if back and need.then not in seen:
            circles.append((need, *back))
            seen.update(one.then for one in circles[-1])
    return tuple(circles)


def find_way(needs: Sequence[Need], then: str, first: str) -> tuple[Need, ...]:
    """Return the shortest way by which one database certainly needs another, directly or not; nothing if none does."""
    needs = [need for need in needs if need.is_certain]
    ways: list[tuple[Need, ...]] = [(need,) for need in needs if need.then == then]
    seen = {then}
    while ways:
        way, *ways = ways
        last = way[-1].first
        if last == first:
            return way
        if last not in seen:
            seen.add(last)
            ways += [(*way, need) for need in needs if need.then == last]
    return ()


def beginnings(snapshot: Snapshot, needs: Sequence[Need]) -> Iterator[Need]:
    """Yield those of needs whose needed migration can be applied as things are: it needs nothing itself."""
    for need in needs:
        database = snapshot.database(need.other)
        before = _closure(database, need.needed) if database is not None else ()
        if not any(other.alias == need.other and other.migration in before for other in needs):
            yield need


def _closure(database: Database, identifier: MigrationId) -> set[MigrationId]:
    """Return a pending migration and what is pending there that it depends on."""
    after = {migration.id: migration.after for migration in database.pending}
    found: set[MigrationId] = set()
    queue = [identifier]
    while queue:
        one = queue.pop()
        if one in after and one not in found:
            found.add(one)
            queue.extend(after[one])
    return found
