"""DBM212: a model is renamed on a database where the routers kept it away under its old name."""

from __future__ import annotations

from collections.abc import Iterator

from dbmigrate.models.database import Database
from dbmigrate.models.findings import Finding
from dbmigrate.models.migrations import PendingMigration, StrayRename, label_of
from dbmigrate.models.snapshot import Snapshot
from dbmigrate.planning.routing import Routing


def find_stray_renames(snapshot: Snapshot, routing: Routing) -> Iterator[Finding]:
    """Yield a finding for each pending rename and each database that has no table of the old name."""
    for database in snapshot.databases:
        if not routing.is_migrated(database.alias):
            continue
        for migration in database.pending if database.targeted is None else database.targeted:
            for rename in migration.strays:
                if _is_stray(routing, database.alias, label_of(migration.id), rename):
                    yield _describe(database, migration, rename)


def _is_stray(routing: Routing, alias: str, label: str, rename: StrayRename) -> bool:
    is_made = rename.is_refused_on_default if rename.old_answer == "none" else rename.old_answer == "yes"
    was_here = is_made or routing.takes(alias, f"{label}.{rename.old}", rename.old_answer)
    return not was_here and routing.takes(alias, f"{label}.{rename.new}", rename.answer)


def _describe(database: Database, migration: PendingMigration, rename: StrayRename) -> Finding:
    label = label_of(migration.id)
    return Finding(
        id="DBM212",
        level="error",
        stops=True,
        stops_work_only=True,
        message=(
            f"{migration.id} renames {label}.{rename.old} to {label}.{rename.new} on {database.alias}, but the routers "
            f"do not put {label}.{rename.old} there, so there is no table {rename.table} to rename"
        ),
        hint=(
            f"let the routers put {label}.{rename.old} where they put {label}.{rename.new}: migrations from before the "
            "rename ask about the old name"
        ),
        aliases=(database.alias,),
        apps=(label,),
        migrations=(migration.id,),
        subject=("operation", migration.id, rename.operation),
    )
