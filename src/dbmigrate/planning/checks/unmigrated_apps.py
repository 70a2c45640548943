"""DBM104: an app with managed models and no migrations package."""

from __future__ import annotations

from collections.abc import Iterator

from dbmigrate.models.apps import App, Unstarted
from dbmigrate.models.check_ids import UNMIGRATED_APPS
from dbmigrate.models.findings import Finding
from dbmigrate.models.migrations import label_of
from dbmigrate.models.snapshot import Snapshot
from dbmigrate.planning.checks.installed import is_installed
from dbmigrate.planning.routing import Routing
from dbmigrate.planning.unstarted_apps import depending, describe_unstarted


def find_unmigrated_apps(snapshot: Snapshot, routing: Routing) -> Iterator[Finding]:
    """Yield a finding for each app; an error where a table of it is missing."""
    # An empty migrations package is there to be filled: DBM101 says so.
    begun = {change.app for change in snapshot.changes or ()}
    for app in snapshot.apps:
        if app.has_migrations or not app.models or app.label in begun:
            continue
        tables = {f"{app.label}.{model.name}": model.table for model in app.models}
        missing = [f"{tables[name]} on {alias}" for alias, name in find_unsynced(snapshot, routing, app.label)]
        unstarted = next((entry for entry in snapshot.unstarted if entry.app == app.label), None)
        if unstarted is not None and unstarted.stops_django:
            continue  # DBM101 says so
        needed = f"; {depending(unstarted)}" if unstarted is not None and unstarted.needed_by else ""
        lacking = f"; missing: {', '.join(missing)}" if missing else ""
        yield Finding(
            id=UNMIGRATED_APPS,
            level="error" if missing else "warning",
            stops=False,
            message=f"app {app.label} has models but no migrations{_why(app)}, so migrate creates no tables for "
            f"it{lacking}{needed}",
            hint=_hint(snapshot, app, unstarted, is_made=not missing),
            apps=(app.label,),
            subject=("model", f"{app.label}.{app.models[0].name}"),
        )


def find_unsynced(snapshot: Snapshot, routing: Routing, label: str) -> list[tuple[str, str]]:
    """Return (alias, label.model) of every table of an app that is not there and that `--run-syncdb` would make."""
    return [
        (database.alias, name)
        for database in snapshot.databases
        if not database.in_memory
        for name in database.unsynced
        if label_of(name) == label and routing.has(database, name)
    ]


def _why(app: App) -> str:
    return " (MIGRATION_MODULES switches them off)" if app.migrations_module is None else ""


def _hint(snapshot: Snapshot, app: App, unstarted: Unstarted | None, *, is_made: bool) -> str:
    if unstarted is not None and unstarted.why == "no-init":
        return describe_unstarted(snapshot, unstarted)[1]
    make = f"dbmigrate make {app.label}"
    # Where its tables are there, its first migration would fail.
    make_all = f"{make}, then dbmigrate all --fake-initial, because its tables exist" if is_made else make
    syncdb = "for tables without migrations: dbmigrate all --run-syncdb"
    if is_installed(snapshot, app.label):
        tables = "" if is_made else f"{syncdb}; or "
        return (
            f"{app.label} is a third-party app; {tables}"
            f'MIGRATION_MODULES = {{"{app.label}": "…"}} with a package of the project, then: {make_all}'
        )
    switched_on = "" if app.migrations_module is not None else f'remove "{app.label}" from MIGRATION_MODULES, then: '
    if is_made:
        return f"to give it migrations: {switched_on}{make_all}"
    return f"{syncdb}; for migrations: {switched_on}{make}" if switched_on else f"for migrations: {make}; {syncdb}"
