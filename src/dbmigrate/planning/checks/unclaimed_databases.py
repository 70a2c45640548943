"""DBM206: a database about which nobody has an opinion."""

from __future__ import annotations

from collections.abc import Iterator

from dbmigrate.models.database import Database
from dbmigrate.models.findings import Finding
from dbmigrate.models.snapshot import Snapshot
from dbmigrate.planning.routing import Routing


def find_unclaimed_databases(snapshot: Snapshot, routing: Routing) -> Iterator[Finding]:
    """Yield a finding for each alias of the kind "open"."""
    raising = {error.alias for error in snapshot.router_errors}
    for database in snapshot.databases:
        alias = database.alias
        if routing.kinds[alias].kind == "open" and alias not in raising:
            yield Finding(
                id="DBM206",
                level="warning",
                stops=False,
                message=f"database {alias} is skipped: no router and no rule says what belongs there{_holds(database)}",
                hint=(
                    f"let a router's allow_migrate return True for what belongs on {alias}; or migrate it once with: "
                    f'dbmigrate run --database {alias}, and always with open = "migrate" under '
                    f'[tool.dbmigrate.databases.{alias}]; or skip it with exclude = ["{alias}"] '
                    "under [tool.dbmigrate]"
                ),
                aliases=(alias,),
                subject=("setting", "DATABASES", alias),
            )


def _holds(database: Database) -> str:
    """Return what is there, which decides nothing: an older site or an import source has tables of the same names."""
    if database.applied and database.last_applied is not None:
        count = "1 migration" if database.applied == 1 else f"{database.applied} migrations"
        last = database.last_applied
        return f"; it has {count} of this project recorded, the last on {last.at[:10]} ({last.id})"
    if database.tables:
        count = "1 table" if database.tables == 1 else f"{database.tables} tables"
        return f"; it has {count} and no migration of this project recorded"
    return "; it is empty" if database.tables == 0 else ""
