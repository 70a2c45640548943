"""DBM305: the role of a database lacks a right that the migrations need which are to be applied there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dbmigrate.listing import listed
from dbmigrate.models.database import Database
from dbmigrate.models.findings import Finding
from dbmigrate.models.migrations import LackingRight, MigrationId, Needing, label_of
from dbmigrate.models.snapshot import Snapshot
from dbmigrate.planning.pending import find_concerned
from dbmigrate.planning.routing import Routing


def find_lacking_rights(snapshot: Snapshot, routing: Routing) -> Iterator[Finding]:
    """Yield a finding for each right and what it is on; nothing where a database does not say what a role may do."""
    for database in snapshot.databases:
        if not routing.is_migrated(database.alias):
            continue
        planned = find_concerned(database, routing) if database.targeted is None else database.targeted
        for lacking in database.lacking:
            wanted = {one.id for one in planned}
            needing = [one.id for one in lacking.needed_by if one.id in wanted and _runs(routing, database, one)]
            migrations = [one.id for one in planned if lacking.is_for_record or one.id in needing]
            if migrations:
                yield _describe(snapshot, routing, database, lacking, list(dict.fromkeys(needing)), migrations)


def _runs(routing: Routing, database: Database, needing: Needing) -> bool:
    label = label_of(needing.id)
    if needing.model:
        return routing.takes(database.alias, f"{label}.{needing.model}", needing.answer)
    return needing.answer == "yes" or (needing.answer == "none" and label in routing.placements[database.alias])


def _describe(
    snapshot: Snapshot,
    routing: Routing,
    database: Database,
    lacking: LackingRight,
    needing: Sequence[MigrationId],
    migrations: Sequence[MigrationId],
) -> Finding:
    needers = [*(["django_migrations"] if lacking.is_for_record else []), *needing]
    return Finding(
        id="DBM305",
        level="error" if lacking.is_certain else "warning",
        stops=lacking.is_certain,
        stops_runs_only=True,
        stops_work_only=not lacking.is_for_record,
        message=f"{database.alias}: {_fact(database, lacking)}, needed for {listed(needers, most=4)}",
        hint=_hint(snapshot, routing, database, lacking),
        aliases=(database.alias,),
        apps=tuple(dict.fromkeys(label_of(identifier) for identifier in migrations)),
        migrations=tuple(migrations),
    )


def _fact(database: Database, lacking: LackingRight) -> str:
    if lacking.right == "ownership":
        return f"role {database.role} does not own {lacking.on} (its owner is {lacking.owner})"
    if lacking.right == "superuser":
        return (
            f"role {database.role} may not create {lacking.on} (only a superuser may, unless the server allows others)"
        )
    if lacking.right == "a schema to create in":
        return f"role {database.role} has no schema to create tables in ({lacking.on})"
    unsure = "" if lacking.is_certain else " (according to SHOW GRANTS; another host entry of the user may have it)"
    return f"role {database.role} lacks {lacking.right} on {lacking.on}{unsure}"


def _hint(snapshot: Snapshot, routing: Routing, database: Database, lacking: LackingRight) -> str:
    hint = f"in database {database.name}, as a user with that right: {lacking.grant}"
    stand_in = _stand_in(snapshot, routing, database, lacking)
    if stand_in is None:
        return hint
    return (
        f"{hint} or let {stand_in} migrate it, which is the same database and whose role has the right: "
        f'exclude = ["{database.alias}"] and databases.{stand_in}.open = "migrate" under [tool.dbmigrate]'
    )


def _stand_in(snapshot: Snapshot, routing: Routing, database: Database, lacking: LackingRight) -> str | None:
    """Return another alias of the same database whose role has the right."""
    for other in snapshot.databases:
        kind = routing.kinds[other.alias]
        is_other = kind.kind == "same" and kind.because == database.alias and other.role not in (None, database.role)
        if is_other and (lacking.right, lacking.on) not in [(one.right, one.on) for one in other.lacking]:
            return other.alias
    return None
