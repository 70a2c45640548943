"""DBM207: two aliases of one physical database, of which neither has all that belongs there."""

from __future__ import annotations

from collections.abc import Iterator

from dbmigrate.models.findings import Finding
from dbmigrate.models.snapshot import Snapshot
from dbmigrate.planning.routing import Routing


def find_shared_databases(_snapshot: Snapshot, routing: Routing) -> Iterator[Finding]:
    """Yield a finding for each such group."""
    for group in routing.split:
        names = " and ".join(group)
        parts = "; ".join(f"{alias} takes {', '.join(routing.placements[alias])}" for alias in group)
        yield Finding(
            id="DBM207",
            level="error",
            stops=True,
            message=(
                f"{names} are one physical database with different routes ({parts}): they share one table "
                "django_migrations, so the second would find its migrations recorded and never create its tables"
            ),
            hint="give each alias a database of its own (PostgreSQL: or a schema, with no other in its search_path), "
            "or let the routers put everything on one of them",
            aliases=group,
            subject=("setting", "DATABASES", group[-1]),
        )
