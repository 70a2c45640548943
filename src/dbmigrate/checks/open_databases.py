"""DBM206: a database about which nobody has an opinion."""

from __future__ import annotations

from collections.abc import Iterator

from dbmigrate.models.findings import Finding
from dbmigrate.models.snapshot import Snapshot
from dbmigrate.routing import Routing


def find_open_databases(snapshot: Snapshot, routing: Routing) -> Iterator[Finding]:
    """Yield a finding for each alias of the kind "open"."""
    raising = {error.alias for error in snapshot.router_errors}
    for alias, kind in routing.kinds.items():
        if kind.kind == "open" and alias not in raising:
            yield Finding(
                id="DBM206",
                level="warning",
                stops=False,
                message=f"database {alias} is skipped: no router and no rule says what belongs there",
                hint=(
                    f"let a router's allow_migrate say True for {alias}, or name it with --database {alias}, or under "
                    f'[tool.dbmigrate] set open = "migrate" to migrate it, exclude = ["{alias}"] to leave it out'
                ),
                aliases=(alias,),
                subject=("setting", "DATABASES", alias),
            )
