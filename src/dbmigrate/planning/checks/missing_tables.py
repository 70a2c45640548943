"""DBM301: recorded as applied, and the table is not there; or nothing is going to make it."""

from __future__ import annotations

from collections.abc import Iterator

from dbmigrate.models.check_ids import MISSING_TABLES
from dbmigrate.models.database import Database, MissingTable
from dbmigrate.models.findings import Finding
from dbmigrate.models.migrations import label_of
from dbmigrate.models.snapshot import Snapshot
from dbmigrate.planning.routing import Routing


def find_missing_tables(snapshot: Snapshot, routing: Routing) -> Iterator[Finding]:
    """Yield a finding for each table: Django will never make it, because it believes that it has."""
    for database in snapshot.databases:
        if not routing.is_checked(database.alias):
            continue
        for missing in database.missing:
            if not routing.has(database, missing.model):
                continue
            finding = _describe(database.alias, missing)
            finding = finding.model_copy(update={"fails_runs": is_drift(database, missing.model)})
            if database.read_only is not None:
                writable = f"{database.alias} is read-only ({database.read_only}); once it is writable, "
                finding = finding.model_copy(update={"hint": writable + finding.hint})
            yield finding


def is_drift(database: Database, model: str) -> bool:
    """Return whether a run ends with an error because a model (label.Model) has no table there.

    Not where a newer release may have dropped it: an older image must be able to start again on a database that a newer
    one has migrated.
    """
    return label_of(model) not in {label_of(identifier) for identifier in database.unknown}


def _describe(alias: str, missing: MissingTable) -> Finding:
    return _describe_taken_over(alias, missing) if missing.is_taken_over else _describe_lost(alias, missing)


def _describe_taken_over(alias: str, missing: MissingTable) -> Finding:
    by = missing.migration or "a migration that is not written yet"
    make = (
        f"to see the statements that create it: dbmigrate verify --repair --database {alias}"
        if missing.is_recorded
        else "create the table before it, by hand, with RunSQL, or with migrations.SeparateDatabaseAndState with "
        "migrations.CreateModel among its database_operations"
    )
    return Finding(
        id=MISSING_TABLES,
        level="error",
        stops=False,
        message=(
            f"{missing.model} becomes managed by {by}, but its table {missing.table} is missing on {alias}: Django "
            "creates no table when managed changes, so nothing will create it"
        ),
        hint=f"if the table belongs there, {make}; {_or_refuse(alias, missing)}",
        aliases=(alias,),
        apps=(label_of(missing.model),),
        subject=("migration", missing.migration) if missing.migration else ("model", missing.model),
    )


def _or_refuse(alias: str, missing: MissingTable) -> str:
    return f"if it does not, let a router's allow_migrate return False for {missing.model} on {alias}"


def _describe_lost(alias: str, missing: MissingTable) -> Finding:
    label = label_of(missing.migration)
    run = f"dbmigrate run --database {alias} --app {label}"
    again = (
        f"remove the record and apply it again: {run} --to {missing.before} --fake && {run}"
        if missing.is_redoable
        else f"to see the statements that create it: dbmigrate verify --repair --database {alias}"
    )
    return Finding(
        id=MISSING_TABLES,
        level="error",
        stops=False,
        message=(
            f"{missing.migration} is recorded on {alias}, but its table {missing.table} ({missing.model}) is missing: "
            "the migration was only recorded (--fake, or the routers refused the model then), or the table was dropped "
            "or renamed since, or is not in the backup that was restored"
        ),
        hint=f"if the table belongs there, {again}; {_or_refuse(alias, missing)}",
        aliases=(alias,),
        apps=(label_of(missing.model),),
        subject=("migration", missing.migration),
    )
