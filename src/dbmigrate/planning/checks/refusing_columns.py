"""DBM306: a column that no model of this code knows and that refuses every insert."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dbmigrate.models.database import Database, RefusingColumn
from dbmigrate.models.findings import Finding
from dbmigrate.models.migrations import MigrationId, label_of
from dbmigrate.models.snapshot import Snapshot
from dbmigrate.planning.checks.unknown_migrations import words_to_undo
from dbmigrate.planning.routing import Routing


def find_refusing_columns(snapshot: Snapshot, routing: Routing) -> Iterator[Finding]:
    """Yield an error for each column; a warning where a trigger runs before each insert and may fill it."""
    for database in snapshot.databases:
        if routing.is_checked(database.alias):
            for column in database.refusing:
                if routing.has(database, column.model):
                    yield _describe(snapshot, routing, database, column)


def _describe(snapshot: Snapshot, routing: Routing, database: Database, found: RefusingColumn) -> Finding:
    fails = (
        "an insert fails unless a trigger fills it"
        if found.may_be_filled
        else f"every insert into {found.table} ({found.model}) fails"
    )
    return Finding(
        id="DBM306",
        level="warning" if found.may_be_filled else "error",
        stops=False,
        message=(
            f"column {found.column} of {found.table} on {database.alias} is in no model of this code, is NOT "
            f"NULL and has no default: {fails}"
        ),
        hint=hint_for_column(snapshot, database, found, routing.ahead(database)),
        aliases=(database.alias,),
        apps=(label_of(found.model),),
        subject=("model", found.model),
    )


def hint_for_column(
    snapshot: Snapshot, database: Database, found: RefusingColumn, unknown: Sequence[MigrationId]
) -> str:
    """Return what to do about a column; `unknown`: what is recorded on its database and newer than this code."""
    label = label_of(found.model)
    made_by = [identifier for identifier in unknown if identifier.startswith(f"{label}.")]
    by_hand = _statement(database.vendor, found)
    if made_by:
        undo = words_to_undo(snapshot, database.alias, made_by)
        both = f"; if both must work, make the column nullable: {by_hand}" if by_hand else ""
        return f"run the code that has {', '.join(made_by)}; or to undo what it created, {undo}{both}"
    if by_hand:
        return f"if other code still uses the column, make it nullable: {by_hand}"
    drop = f'ALTER TABLE "{found.table}" DROP COLUMN "{found.column}";'
    return f"if nothing uses the column any more, drop it with its data: {drop}"


def _statement(vendor: str, found: RefusingColumn) -> str | None:
    """Return the statement that lets a column take NULL; SQLite has none."""
    if vendor == "postgresql":
        return f'ALTER TABLE "{found.table}" ALTER COLUMN "{found.column}" DROP NOT NULL;'
    return f"ALTER TABLE `{found.table}` MODIFY `{found.column}` {found.type} NULL;" if vendor == "mysql" else None
