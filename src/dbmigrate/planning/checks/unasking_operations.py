"""DBM209: an operation that asks no router, in a migration that is applied where it does not belong."""

from __future__ import annotations

from collections.abc import Iterator

from dbmigrate.models.database import Database
from dbmigrate.models.findings import Finding
from dbmigrate.models.migrations import PendingMigration, UnaskedOperation, label_of
from dbmigrate.models.snapshot import Snapshot
from dbmigrate.planning.checks.installed import is_installed
from dbmigrate.planning.pending import find_concerned
from dbmigrate.planning.routing import Routing


def find_unasking_operations(snapshot: Snapshot, routing: Routing) -> Iterator[Finding]:
    """Yield a finding for each operation and each database that it would work on and that the routers refuse it."""
    for database in snapshot.databases:
        if not routing.is_migrated(database.alias):
            continue
        for migration in database.pending if database.targeted is None else database.targeted:
            for operation in migration.unasked:
                if not _belongs(routing, database, migration, operation):
                    yield _describe(snapshot, routing, database, migration, operation)


def _belongs(routing: Routing, database: Database, migration: PendingMigration, operation: UnaskedOperation) -> bool:
    label = label_of(migration.id)
    if operation.model:
        return routing.takes(database.alias, f"{label}.{operation.model}", operation.answer)
    return label in routing.placements[database.alias]


def _describe(
    snapshot: Snapshot, routing: Routing, database: Database, migration: PendingMigration, operation: UnaskedOperation
) -> Finding:
    label = label_of(migration.id)
    what = f"{label}.{operation.model}" if operation.model else label
    homes = " and ".join(routing.aliases_of(label)) or "no database"
    method = "database_backwards" if migration.backwards else "database_forwards"
    return Finding(
        id="DBM209",
        level="error",
        stops=True,
        stops_work_only=True,
        message=(
            f"{operation.name} of {migration.id} does not ask the routers, and {what} is not on {database.alias} "
            f"({label} is on {homes}), where the migration is {_why(routing, database, migration)}"
        ),
        hint=_hint(snapshot, database.alias, label, operation, method),
        aliases=(database.alias,),
        apps=(label,),
        migrations=(migration.id,),
        subject=("operation", migration.id, operation.operation),
    )


def _why(routing: Routing, database: Database, migration: PendingMigration) -> str:
    if migration.backwards:
        return "undone"
    needing = next((other.id for other in find_concerned(database, routing) if migration.id in other.after), None)
    return f"applied because {needing} depends on it" if needing is not None else "applied with all the others"


def _hint(snapshot: Snapshot, alias: str, label: str, operation: UnaskedOperation, method: str) -> str:
    if is_installed(snapshot, label):
        return (
            f"{label} is a third-party app: upgrade to a release that asks the routers, or let MIGRATION_MODULES = "
            f'{{"{label}": "…"}} name a copy of its migrations in the project; or let the routers put it on {alias}'
        )
    model = f", model_name={operation.model!r}" if operation.model else ""
    return (
        f"start {method} of {operation.name} with: if not router.allow_migrate(schema_editor.connection.alias, "
        f"app_label{model}): return; and add at the top of its file: from django.db import router"
    )
