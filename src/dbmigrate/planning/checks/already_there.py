"""DBM307: a pending migration makes a table or a column that is there already."""

from __future__ import annotations

from collections.abc import Iterator

from dbmigrate.listing import listed
from dbmigrate.models.check_ids import ALREADY_THERE
from dbmigrate.models.database import Database
from dbmigrate.models.findings import Finding
from dbmigrate.models.migrations import PendingMigration, label_of
from dbmigrate.models.plan import MigrationPlan
from dbmigrate.models.snapshot import Snapshot
from dbmigrate.planning.already_there import may_be_faked, parts_made
from dbmigrate.planning.routing import Routing

MOST = 4
"""Tables and columns that are named."""


def find_already_there(snapshot: Snapshot, routing: Routing) -> Iterator[Finding]:
    """Yield a finding for each pending migration and each database on which it would fail for what is there.

    A command of the project's own may work in other schemas than ours has looked at.
    """
    for database in snapshot.databases:
        if not routing.is_migrated(database.alias) or "migrate" in snapshot.replaced_commands:
            continue
        for migration in database.pending if database.targeted is None else database.targeted:
            if parts_made(routing, database.alias, migration):
                yield _describe(routing, database, migration)


def will_be_faked(finding: Finding, plan: MigrationPlan) -> bool:
    """Return whether `--fake-initial` records the migration of a finding in a plan, without running it."""
    return all(
        migration.may_be_faked
        for step in plan.steps
        if step.alias in finding.aliases
        for migration in step.migrations
        if migration.id in finding.migrations
    )


def _describe(routing: Routing, database: Database, migration: PendingMigration) -> Finding:
    made = parts_made(routing, database.alias, migration)
    tables = {part.table for part in made if not part.column}
    there = [part for part in made if part.is_there and not (part.column and part.table in tables)]
    missing = [part.name for part in made if not part.is_there]
    is_certain = any(part.is_certain for part in there)
    rest = f" (not there: {listed(missing, most=MOST)})" if missing else ""
    fails = "migrate fails there" if is_certain else "migrate fails there, unless something before it removes that"
    return Finding(
        id=ALREADY_THERE,
        level="error" if is_certain else "warning",
        stops=is_certain,
        stops_work_only=True,
        stops_runs_only=True,
        stops_locked_only=True,
        message=(
            f"{migration.id} is pending on {database.alias} and creates what exists already: "
            f"{listed([part.name for part in there], most=MOST)}{rest}; {fails}"
        ),
        hint=_hint(routing, database, migration),
        aliases=(database.alias,),
        apps=(label_of(migration.id),),
        migrations=(migration.id,),
        subject=("operation", migration.id, there[0].operation),
    )


def _hint(routing: Routing, database: Database, migration: PendingMigration) -> str:
    label = label_of(migration.id)
    repair = f"dbmigrate verify --repair --database {database.alias}"
    compare = repair if migration.is_written else f"dbmigrate make {label}, then {repair}"
    if may_be_faked(routing, database.alias, migration):
        if migration.works_on_data:
            return (
                "if a run failed half-way, finish it or undo it by hand; to see what of it exists, what may not have "
                f"run, and when to record it: {compare}; --fake-initial would skip what it does with rows too; if it "
                f"belongs to something else, let a router refuse {label} on {database.alias}, or rename what is there"
            )
        return (
            "to record it without running it (only names were compared): dbmigrate all --fake-initial; to "
            f"see what differs: {compare}; if it belongs to something else, let a router refuse {label} on "
            f"{database.alias}, or rename what is there"
        )
    return (
        f"to see what of it exists, what is missing, and when to record it: {compare}; if it belongs to something "
        f"else, let a router refuse {label} on {database.alias}, or rename what is there"
    )
