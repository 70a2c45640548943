"""What pending migrations that work on data need of other databases. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence, Set

from dbmigrate.models.database import Database
from dbmigrate.models.migrations import MigrationId, PendingMigration, label_of
from dbmigrate.models.plan import Need
from dbmigrate.models.snapshot import Snapshot
from dbmigrate.planning.pending import closure_of
from dbmigrate.planning.routing import Routing


def find_needs(
    snapshot: Snapshot, routing: Routing, aliases: Iterable[str], *, targeted: Collection[str] = ()
) -> tuple[Need, ...]:
    """Return what the databases that are migrated need of these ones: for each pair of them, a need by migration.

    `targeted`: databases on which what is done is what it takes to get to a migration that was asked for, and not all
    that is pending.
    """
    doing = _doing(snapshot, routing)
    wanted = {alias: number for number, alias in enumerate(aliases)}
    groups: dict[tuple[MigrationId, bool], Groups] = {}
    needs: list[Need] = []
    for database in snapshot.databases:
        if not routing.is_migrated(database.alias):
            continue
        pending = frozenset(entry.id for entry in database.pending)
        for migration in (database.targeted or ()) if database.alias in targeted else database.pending:
            if migration.works_on_data and routing.does(database.alias, migration):
                key = (migration.id, migration.backwards)
                if key not in groups:
                    groups[key] = _group(snapshot, migration, doing)
                for others, identifiers in groups[key].items():
                    lacking = _lacking(routing, database, pending, migration, others, identifiers)
                    if lacking:
                        here = sorted(others & wanted.keys(), key=lambda alias: wanted[alias])
                        needs += [_need(snapshot, database.alias, migration, other, lacking) for other in here]
    return tuple(needs)


Doing = Mapping[tuple[MigrationId, bool], frozenset[str]]
"""By migration, and whether it is to be undone: the databases on which it has something to do."""

Groups = Mapping[frozenset[str], Sequence[MigrationId]]
"""What a migration depends on, by the databases on which it has something to do."""


def _doing(snapshot: Snapshot, routing: Routing) -> Doing:
    doing: dict[tuple[MigrationId, bool], set[str]] = {}
    for database in snapshot.databases:
        undone = [migration for migration in database.targeted or () if migration.backwards]
        for migration in (*database.pending, *undone):
            if routing.does(database.alias, migration):
                doing.setdefault((migration.id, migration.backwards), set()).add(database.alias)
    return {key: frozenset(aliases) for key, aliases in doing.items()}


def _group(snapshot: Snapshot, migration: PendingMigration, doing: Doing) -> Groups:
    groups: dict[frozenset[str], list[MigrationId]] = {}
    for identifier in snapshot.dependencies.get(migration.id, ()):
        others = doing.get((identifier, migration.backwards))
        if others:
            groups.setdefault(others, []).append(identifier)
    return groups


def _lacking(
    routing: Routing,
    database: Database,
    pending: Set[MigrationId],
    migration: PendingMigration,
    others: Set[str],
    identifiers: Sequence[MigrationId],
) -> list[MigrationId]:
    """Return those of the migrations done on others that a database has not itself: an app may live on both."""
    if database.alias in others:
        return []
    if migration.backwards:
        return list(identifiers)
    placements = routing.placements[database.alias]
    return [one for one in identifiers if one in pending or label_of(one) not in placements]


def _need(
    snapshot: Snapshot, alias: str, migration: PendingMigration, other: str, needed: Sequence[MigrationId]
) -> Need:
    """Return the need for the last of what a migration depends on there, of the apps that it works with if it does.

    What is written in the migration is the last of that app, which need not do anything itself.
    """
    used = [identifier for identifier in needed if label_of(identifier) in migration.works_with]
    last = (used or needed)[-1]
    database = None if migration.backwards else snapshot.database(other)
    pending = {one.id for one in database.pending} if database is not None else set()
    of_app = [
        one for one in snapshot.dependencies.get(migration.id, ()) if one in pending and label_of(one) == label_of(last)
    ]
    return Need(
        alias=alias,
        migration=migration.id,
        other=other,
        needed=of_app[-1] if of_app else last,
        is_certain=bool(used),
        backwards=migration.backwards,
    )


def pick_needs(needs: Sequence[Need], is_met: Callable[[Need], bool]) -> tuple[Need, ...]:
    """Return one need for each pair of databases: a certain one that is not met, else a certain one, else the first."""
    picked: dict[tuple[str, str], Need] = {}
    for need in sorted(needs, key=lambda need: (not need.is_certain, is_met(need))):
        picked.setdefault((need.alias, need.other), need)
    return tuple(picked.values())


def find_circles(needs: Sequence[Need]) -> tuple[tuple[Need, ...], ...]:
    """Return each way around of databases that certainly need each other: what one needs, then what that one needs."""
    left = [need for need in pick_needs(needs, lambda need: True) if need.is_certain]
    while True:
        # Who needs nobody that is left has no part in it.
        needing = {need.then for need in left}
        kept = [need for need in left if need.first in needing]
        if len(kept) == len(left):
            break
        left = kept
    circles: list[tuple[Need, ...]] = []
    seen: set[str] = set()
    for need in left:
        back = find_way(left, need.first, need.then) if need.then not in seen else ()
        if back:
            circles.append((need, *back))
            seen.update(one.then for one in circles[-1])
    return tuple(circles)


def find_way(needs: Sequence[Need], then: str, first: str) -> tuple[Need, ...]:
    """Return the shortest way by which one database certainly needs another, directly or not; nothing if none does."""
    by_alias: dict[str, list[Need]] = {}
    for need in needs:
        if need.is_certain:
            by_alias.setdefault(need.then, []).append(need)
    ways: deque[tuple[Need, ...]] = deque((need,) for need in by_alias.get(then, ()))
    seen = {then}
    while ways:
        way = ways.popleft()
        last = way[-1].first
        if last == first:
            return way
        if last not in seen:
            seen.add(last)
            ways.extend((*way, need) for need in by_alias.get(last, ()))
    return ()


def beginnings(snapshot: Snapshot, needs: Sequence[Need]) -> Iterator[Need]:
    """Yield those of needs whose needed migration can be applied as things are: it needs nothing itself."""
    for need in needs:
        database = snapshot.database(need.other)
        before = closure_of(database.pending, [need.needed]) if database is not None else ()
        if not any(other.alias == need.other and other.migration in before for other in needs):
            yield need
