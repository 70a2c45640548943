"""DBM102: an app with more than one leaf migration."""

from __future__ import annotations

from collections.abc import Iterator

from dbmigrate.models.check_ids import CONFLICTS
from dbmigrate.models.findings import Finding
from dbmigrate.models.snapshot import Snapshot
from dbmigrate.planning.checks.installed import is_installed
from dbmigrate.planning.routing import Routing


def find_conflicts(snapshot: Snapshot, _routing: Routing) -> Iterator[Finding]:
    """Yield a finding for each app: Django migrates nothing at all while there is one."""
    for label, leaves in snapshot.conflicts.items():
        yield Finding(
            id=CONFLICTS,
            level="error",
            stops=True,
            message=f"app {label} has {len(leaves)} leaf migrations: {' and '.join(leaves)}",
            hint=(
                f"{label} is a third-party app: reinstall it, which removes what makemigrations wrote into it"
                if is_installed(snapshot, label)
                else f"dbmigrate make {label} --merge"
            ),
            apps=(label,),
            subject=("migration", f"{label}.{leaves[-1]}"),
        )
