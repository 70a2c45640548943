"""DBM208: a RunPython or RunSQL that would work on the wrong database."""

from __future__ import annotations

from collections.abc import Iterator

from dbmigrate.models.database import DEFAULT_ALIAS, Database
from dbmigrate.models.findings import Finding
from dbmigrate.models.migrations import DataOperation, MigrationId, PendingMigration, label_of
from dbmigrate.models.snapshot import Snapshot
from dbmigrate.planning.checks.installed import hint_where
from dbmigrate.planning.routing import Routing


def find_data_migrations(snapshot: Snapshot, routing: Routing) -> Iterator[Finding]:
    """Yield a finding for each operation that is planned where its tables are not, or that always works on default."""
    by_operation: dict[tuple[MigrationId, str], tuple[DataOperation, list[str]]] = {}
    for database in snapshot.databases:
        for migration in database.pending if routing.is_migrated(database.alias) else ():
            unasked = {operation.operation for operation in migration.unasked}  # DBM209
            for operation in migration.data:
                if operation.operation not in unasked and _runs(routing, database, migration, operation):
                    key = (migration.id, operation.operation)
                    by_operation.setdefault(key, (operation, []))[1].append(database.alias)
    for (identifier, _), (operation, aliases) in by_operation.items():
        finding = _find_missing_hints(routing, identifier, operation, aliases)
        if finding is None:
            finding = _find_fixed_alias(identifier, operation, aliases)
        if finding is not None:
            label = label_of(identifier)
            hint = hint_where(snapshot, label, finding.hint, identifier="DBM208")
            yield finding.model_copy(update={"hint": hint})


def _runs(routing: Routing, database: Database, migration: PendingMigration, operation: DataOperation) -> bool:
    """Return whether an operation is run on a database: hints decide of themselves, else the app as a whole does."""
    label = label_of(migration.id)
    if routing.by_rules or operation.answer == "none":
        return (database.alias == DEFAULT_ALIAS and not routing.by_rules) or label in routing.placements[database.alias]
    return operation.answer == "yes"


def _find_missing_hints(
    routing: Routing, identifier: MigrationId, operation: DataOperation, aliases: list[str]
) -> Finding | None:
    """Find what runs on several databases, on one of which the tables of its app are not, or not all of them."""
    label = label_of(identifier)
    wrong = [alias for alias in aliases if not _is_whole(routing, alias, label)]
    if (
        operation.has_hints
        or operation.is_careful
        or not wrong
        or not (len(aliases) > 1 or _has_no_place(routing, wrong, label))
    ):
        return None
    return _finding(
        identifier,
        operation,
        aliases,
        f"the routers let it run on {' and '.join(aliases)}, but not all of {label} is on {' and '.join(wrong)}",
        'give it hints={"model_name": "…"} with the model it works on, so that the routers can decide; '
        "in lower case, as in the model's own migrations",
    )


def _find_fixed_alias(identifier: MigrationId, operation: DataOperation, aliases: list[str]) -> Finding | None:
    """Find a function that names no database, and runs on one that the routers do not send it to."""
    elsewhere = [alias for alias in aliases if alias != DEFAULT_ALIAS and set(operation.works_on) - {alias}]
    if operation.follows_alias or not elsewhere:
        return None
    return _finding(
        identifier,
        operation,
        elsewhere,
        f"it is planned on {' and '.join(elsewhere)} and names no database, "
        f"so it reads and writes {' and '.join(operation.works_on)}",
        "use alias = schema_editor.connection.alias in it, and Model.objects.using(alias) instead of Model.objects",
    )


def _is_whole(routing: Routing, alias: str, label: str) -> bool:
    placement = routing.placements[alias].get(label)
    return placement is not None and placement.is_whole


def _has_no_place(routing: Routing, aliases: list[str], label: str) -> bool:
    return any(label not in routing.placements[alias] for alias in aliases)


def _finding(identifier: MigrationId, operation: DataOperation, aliases: list[str], problem: str, hint: str) -> Finding:
    name = f"{operation.kind}({operation.name})" if operation.name else operation.kind
    return Finding(
        id="DBM208",
        level="warning",
        stops=False,
        message=f"{name} of {identifier}: {problem}",
        hint=hint,
        aliases=tuple(aliases),
        apps=(label_of(identifier),),
        migrations=(identifier,),
        subject=("operation", identifier, operation.operation),
    )
