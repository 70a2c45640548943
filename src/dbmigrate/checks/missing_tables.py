"""DBM301: recorded as applied, and the table is not there."""

from __future__ import annotations

from collections.abc import Iterator

from dbmigrate.models.findings import Finding
from dbmigrate.models.snapshot import MissingTable, Snapshot
from dbmigrate.routing import Routing


def find_missing_tables(snapshot: Snapshot, routing: Routing) -> Iterator[Finding]:
    """Yield a finding for each table: Django will never make it, because it believes that it has."""
    for database in snapshot.databases:
        if not routing.is_checked(database.alias):
            continue
        for missing in database.missing:
            yield _describe(database.alias, missing)


def _describe(alias: str, missing: MissingTable) -> Finding:
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
        hint=(
            f"if the table belongs there, {again}; "
            f"if it does not, let a router's allow_migrate say False for {missing.model} on {alias}"
        ),
        aliases=(alias,),
        apps=(missing.model.split(".", 1)[0],),
        subject=("migration", missing.migration),
    )
