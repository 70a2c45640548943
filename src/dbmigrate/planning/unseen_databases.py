"""What one look at the databases in DATABASES cannot know of a project. Pure."""

from __future__ import annotations

from dbmigrate.models.apps import App
from dbmigrate.models.snapshot import Snapshot
from dbmigrate.planning.routing import Routing, migrated_apps


def find_limits(snapshot: Snapshot, routing: Routing) -> tuple[str, ...]:
    """Return a sentence for each thing that was not looked at; none where the databases are all there is.

    Packages for a schema per tenant replace `migrate`, and their routers answer by what is connected; others add
    databases while the project runs.
    """
    reason = _why_by_connection(snapshot)
    found = []
    if reason is not None:
        found += [
            f"{database.alias}: {_extent(database.schema_name)}; {reason}"
            for database in snapshot.databases
            if routing.is_migrated(database.alias)
        ]
    found += [
        f"{database.alias}: all but what its role may do, which the server does not report ({database.rights_unknown})"
        for database in snapshot.databases
        if routing.is_migrated(database.alias) and database.rights_unknown is not None
    ]
    added = [app.label for app in migrated_apps(snapshot) if is_for_added_databases(snapshot, routing, app)]
    if added:
        found.append(
            f"only the databases in DATABASES; the routers refuse {', '.join(added)} on each of them, "
            "and not on one that is added at run time"
        )
    return tuple(found)


def answers_may_differ(snapshot: Snapshot) -> bool:
    """Return whether what the routers answered holds only for what was connected when they were asked."""
    return any(router.looks_at_connections for router in snapshot.routers)


def is_for_added_databases(snapshot: Snapshot, routing: Routing, app: App) -> bool:
    """Return whether the routers refuse an app on every database there is, and not on one that is not there yet."""
    models: list[str | None] = [model.name for model in app.models]
    is_refused = all(
        database.routes[app.label].refuses(model) for database in snapshot.databases for model in models or [None]
    )
    return app.is_allowed_elsewhere and is_refused and not routing.by_rules


def _why_by_connection(snapshot: Snapshot) -> str | None:
    if "migrate" in snapshot.replaced_commands:
        return f"migrate is replaced by {snapshot.replaced_commands['migrate']}"
    looking = [router.name for router in snapshot.routers if router.looks_at_connections]
    return f"{looking[0]} answers by what is connected" if looking else None


def _extent(schema: str | None) -> str:
    return f"schema {schema} only" if schema is not None else "what its entry in DATABASES connects to only"
