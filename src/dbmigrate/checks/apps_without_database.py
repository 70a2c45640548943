"""DBM204: an app, or a model of one, that belongs on no database."""

from __future__ import annotations

from collections.abc import Iterator

from dbmigrate.models.findings import Finding
from dbmigrate.models.snapshot import Snapshot
from dbmigrate.routing import Routing, has_router_error, migrated_apps


def find_apps_without_database(snapshot: Snapshot, routing: Routing) -> Iterator[Finding]:
    """Yield a finding for each app whose tables, some or all, are made nowhere."""
    for app in migrated_apps(snapshot):
        if has_router_error(snapshot, app.label):
            continue
        places = [
            routing.places[database.alias][app.label]
            for database in snapshot.databases
            if database.state != "no-engine" and app.label in routing.places[database.alias]
        ]
        housed = {model for place in places for model in place.models}
        homeless = [model.name for model in app.models if model.name not in housed]
        if not homeless:
            continue
        names = ", ".join(f"{app.label}.{name}" for name in homeless)
        what = f"app {app.label} belongs" if len(homeless) == len(app.models) else f"{names} belongs"
        why = (
            "no router says where, and default has no ENGINE"
            if any(app.label in here for here in routing.places.values())
            else "the routers refuse it everywhere"
        )
        yield Finding(
            id="DBM204",
            level="warning",
            stops=False,
            message=f"{what} on no database: {why}, so it has no tables",
            hint=f"let a router's allow_migrate say True for {app.label} on one alias",
            apps=(app.label,),
            subject=("model", f"{app.label}.{homeless[0]}"),
        )
