"""DBM301: recorded as applied, and the table is not there."""

from __future__ import annotations

from collections.abc import Iterator

from dbmigrate.models.findings import Finding
from dbmigrate.models.snapshot import MissingTable, Snapshot
from dbmigrate.routing import Routing


def find_missing_tables(snapshot: Snapshot, routing: Routing) -> Iterator[Finding]:
    """Yield a finding for each table: Django will never make it, because it believes that it has."""
    for database in snapshot.databases:
        if not routing.is_migrated(database.alias):
            continue
        for missing in database.missing:
            yield _describe(snapshot, database.alias, missing)


def _describe(snapshot: Snapshot, alias: str, missing: MissingTable) -> Finding:
    label, name = missing.migration.split(".", 1)
    app = snapshot.app(label)
    names = app.migrations if app is not None else ()
    before = names[names.index(name) - 1] if name in names and names.index(name) > 0 else "zero"
    run = f"dbmigrate run --database {alias} --app {label}"
    return Finding(
        id="DBM301",
        level="error",
        stops=False,
        message=(
            f"{missing.migration} is recorded on {alias} and its table {missing.table} ({missing.model}) is not there: "
            "it was faked, dropped by hand, or the route changed after it was applied"
        ),
        hint=(
            f"if the table belongs there: dbmigrate verify --repair prints its statements, or, where nothing of "
            f"{missing.migration} is there, {run} --to {before} --fake && {run}; "
            f"if it does not, let a router's allow_migrate say False for {missing.model} on {alias}"
        ),
        aliases=(alias,),
        apps=(missing.model.split(".", 1)[0],),
        subject=("migration", missing.migration),
    )
