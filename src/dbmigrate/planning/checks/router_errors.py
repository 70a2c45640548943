"""DBM205: a router that raises."""

from __future__ import annotations

from collections.abc import Iterator

from dbmigrate.models.findings import Finding
from dbmigrate.models.migrations import label_of
from dbmigrate.models.snapshot import Snapshot
from dbmigrate.planning.checks.contradicting_routers import LOOK_UP
from dbmigrate.planning.routing import Routing


def find_router_errors(snapshot: Snapshot, _routing: Routing) -> Iterator[Finding]:
    """Yield a finding for each router and alias, with the first model it raised for."""
    seen = set()
    for error in snapshot.router_errors:
        if (error.router, error.alias) in seen:
            continue
        seen.add((error.router, error.alias))
        when = " when migrate asks" if error.is_as_migrated else ""
        yield Finding(
            id="DBM205",
            level="error",
            stops=True,
            message=f"router {error.router} raised for {error.model} on {error.alias}{when}: {error.message}",
            hint=LOOK_UP
            if error.is_as_migrated
            else "allow_migrate(self, db, app_label, model_name=None, **hints) must return True, False or None",
            aliases=(error.alias,),
            apps=(label_of(error.model),),
            subject=("router", error.router),
        )
