"""DBM103: a migration is recorded before one that it depends on."""

from __future__ import annotations

from collections.abc import Iterator

from dbmigrate.models.findings import Finding
from dbmigrate.models.snapshot import Snapshot
from dbmigrate.routing import Routing


def find_inconsistent_history(snapshot: Snapshot, _routing: Routing) -> Iterator[Finding]:
    """Yield a finding for each database, with Django's words (MigrationLoader.check_consistent_history)."""
    for database in snapshot.databases:
        if database.inconsistent is not None:
            yield Finding(
                id="DBM103",
                level="error",
                stops=True,
                message=f"the history of database {database.alias} is inconsistent: {database.inconsistent}",
                hint=(
                    "if the tables of the earlier migration are there, record it: "
                    f"dbmigrate run --database {database.alias} --app APP --to MIGRATION --fake; "
                    "otherwise undo the later one first"
                ),
                aliases=(database.alias,),
            )
