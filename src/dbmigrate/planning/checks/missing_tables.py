"""DBM301: recorded as applied, and the table is not there; or nothing is going to make it."""

from __future__ import annotations

from collections.abc import Iterator

from dbmigrate.models.findings import Finding
from dbmigrate.models.snapshot import MissingTable, Snapshot
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
            if database.read_only is not None:
                writable = f"{database.alias} takes no writes ({database.read_only}); once it does, "
                finding = finding.model_copy(update={"hint": writable + finding.hint})
            yield finding


def _describe(alias: str, missing: MissingTable) -> Finding:
    return _describe_taken_over(alias, missing) if missing.is_taken_over else _describe_lost(alias, missing)


def _describe_taken_over(alias: str, missing: MissingTable) -> Finding:
    by = missing.migration or "a migration that is not written yet"
    make = (
        f"dbmigrate verify --repair --database {alias} prints how to make it"
        if missing.is_recorded
        else "let the table be made before it, by hand or by RunSQL, or by migrations.SeparateDatabaseAndState with "
        "migrations.CreateModel among its database_operations"
    )
    return Finding(
        id="DBM301",
        level="error",
        stops=False,
        message=(
            f"{missing.model} becomes managed by {by}, and its table {missing.table} is not on {alias}: Django makes "
            "none when managed changes, so nothing will make it"
        ),
        hint=f"if the table belongs there, {make}; {_or_refuse(alias, missing)}",
        aliases=(alias,),
        apps=(missing.model.split(".", 1)[0],),
        subject=("migration", missing.migration) if missing.migration else ("model", missing.model),
    )


def _or_refuse(alias: str, missing: MissingTable) -> str:
    return f"if it does not, let a router's allow_migrate say False for {missing.model} on {alias}"


def _describe_lost(alias: str, missing: MissingTable) -> Finding:
    label = missing.migration.split(".", 1)[0]
    run = f"dbmigrate run --database {alias} --app {label}"
    again = (
        f"take the record back and apply it: {run} --to {missing.before} --fake && {run}"
        if missing.is_redoable
        else f"dbmigrate verify --repair prints how to make it, for other tables of {label} are there, "
        "or other apps need it"
    )
    return Finding(
        id="DBM301",
        level="error",
        stops=False,
        message=(
            f"{missing.migration} is recorded on {alias} and its table {missing.table} ({missing.model}) is not there: "
            "it was faked, dropped by hand, or the route changed after it was applied"
        ),
        hint=f"if the table belongs there, {again}; {_or_refuse(alias, missing)}",
        aliases=(alias,),
        apps=(missing.model.split(".", 1)[0],),
        subject=("migration", missing.migration),
    )
