"""DBM304: a pending migration that destroys data, cannot be reversed, or holds up a large table."""

from __future__ import annotations

from collections.abc import Iterator

from dbmigrate.models.check_ids import DANGERS
from dbmigrate.models.findings import Finding
from dbmigrate.models.migrations import Danger, DangerKind, MigrationId, label_of
from dbmigrate.models.snapshot import Snapshot
from dbmigrate.planning.checks.installed import hint_where
from dbmigrate.planning.routing import Routing

ACTS: dict[DangerKind, str] = {
    "drops-table": "drops a table",
    "drops-column": "drops a column",
    "drops-data": "deletes rows or drops what it names",
    "irreversible": "cannot be reversed",
    "rewrites": "rewrites a table",
    "locks": "scans a whole table and blocks writes meanwhile",
}

HINTS: dict[DangerKind, str] = {
    "drops-table": "deploy code that does not use it first, and keep a backup",
    "drops-column": "deploy code that does not use it first, and keep a backup",
    "drops-data": "keep a backup",
    "irreversible": "give it a reverse (migrations.RunPython.noop if there is nothing to do)",
    "rewrites": "run it when traffic is low, or add a new column, fill it, and switch",
    "locks": "run it when traffic is low; on PostgreSQL AddIndexConcurrently does not lock",
}

MENDED = ("irreversible",)
"""Those whose hint is to change the migration."""

DESTROYING = ("drops-table", "drops-column", "drops-data", "irreversible")


def find_dangers(snapshot: Snapshot, routing: Routing) -> Iterator[Finding]:
    """Yield a note for each operation; on a table that is made in the same run there is nothing to lose."""
    for database in snapshot.databases:
        for migration in database.pending if routing.is_migrated(database.alias) else ():
            if routing.does(database.alias, migration):
                for danger in migration.dangers:
                    yield _describe(snapshot, database.alias, migration.id, danger)


def describe_danger(danger: Danger) -> str:
    """Return what an operation does, for example "drops a table (blog_tag, about 1200 rows): Delete model Tag"."""
    about = [danger.table] if danger.table else []
    about += [f"about {danger.rows} row{'' if danger.rows == 1 else 's'}"] if danger.rows is not None else []
    where = f" ({', '.join(about)})" if about else ""
    return f"{ACTS[danger.kind]}{where}: {danger.text}"


def _describe(snapshot: Snapshot, alias: str, identifier: MigrationId, danger: Danger) -> Finding:
    label, hint = label_of(identifier), HINTS[danger.kind]
    if danger.kind in MENDED:
        hint = hint_where(snapshot, label, hint, identifier=DANGERS)
    return Finding(
        id=DANGERS,
        level="note",
        stops=False,
        message=f"{identifier} on {alias} {describe_danger(danger)}",
        hint=hint,
        aliases=(alias,),
        apps=(label,),
        migrations=(identifier,),
        subject=("operation", identifier, danger.operation),
        destroys=danger.kind in DESTROYING,
    )
