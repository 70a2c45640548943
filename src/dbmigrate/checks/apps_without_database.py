"""DBM204: an app, or a model of one, that belongs on no database."""

from __future__ import annotations

from collections.abc import Iterator

from dbmigrate.models.findings import Finding
from dbmigrate.models.snapshot import Snapshot
from dbmigrate.routing import Routing, migrated_apps


def find_apps_without_database(snapshot: Snapshot, routing: Routing) -> Iterator[Finding]:
    """Yield a finding for each app whose tables, some or all, are made nowhere."""
    for app in migrated_apps(snapshot):
        places = [here[app.label] for here in routing.places.values() if app.label in here]
        housed = {model for place in places for model in place.models}
        homeless = [model.name for model in app.models if model.name not in housed]
        if not homeless:
            continue
        names = ", ".join(f"{app.label}.{name}" for name in homeless)
        what = f"app {app.label} belongs" if len(homeless) == len(app.models) else f"{names} belongs"
        yield Finding(
            id="DBM204",
            level="warning",
            stops=False,
            message=f"{what} on no database: the routers refuse it everywhere, so it has no tables",
            hint=f"let a router's allow_migrate say True for {app.label} on one alias",
            apps=(app.label,),
            subject=("model", f"{app.label}.{homeless[0]}"),
        )
