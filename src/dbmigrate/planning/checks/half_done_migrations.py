"""DBM303: a pending migration that a failure would leave half done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dbmigrate.listing import listed
from dbmigrate.models.check_ids import HALF_DONE_MIGRATIONS
from dbmigrate.models.database import Database
from dbmigrate.models.findings import Finding
from dbmigrate.models.migrations import MigrationId, PendingMigration, label_of
from dbmigrate.models.snapshot import Snapshot
from dbmigrate.planning.checks.installed import hint_where
from dbmigrate.planning.routing import Routing


def find_half_done_migrations(snapshot: Snapshot, routing: Routing) -> Iterator[Finding]:
    """Yield a note for each migration of several operations that is not rolled back as a whole."""
    for database in snapshot.databases:
        if not routing.is_migrated(database.alias):
            continue
        for migration in database.pending:
            reason = _why(database, migration) if routing.does(database.alias, migration) else None
            if reason is not None:
                yield _describe(snapshot, database.alias, migration, reason)


def may_repeat(database: Database, migration: PendingMigration) -> bool:
    """Return whether a part of a migration may have run, and running it again would work on data twice."""
    return migration.works_on_data and migration.is_written and _why(database, migration) is not None


def describe_begun(alias: str, migration: MigrationId, there: Sequence[str], unknown: Sequence[str]) -> Finding:
    """Return the warning that a part of a migration seems to have run; `unknown`: what of it nobody can judge."""
    return Finding(
        id=HALF_DONE_MIGRATIONS,
        level="warning",
        stops=False,
        message=(
            f"{migration} is pending on {alias}, and a part of it seems to have run: {listed(there)}; migrate starts "
            f"it from the beginning and runs {listed(unknown)} again"
        ),
        hint=f"what is left of it, and how to record it, is printed by: dbmigrate verify --repair --database {alias}",
        aliases=(alias,),
        apps=(label_of(migration),),
        migrations=(migration,),
        subject=("migration", migration),
    )


def _why(database: Database, migration: PendingMigration) -> str | None:
    if migration.operations < 2 or migration.backwards:
        return None
    if not database.transactional_ddl:
        return f"{database.server or database.vendor} does not roll back schema changes"
    return None if migration.atomic else "it is not atomic"


def _describe(snapshot: Snapshot, alias: str, migration: PendingMigration, reason: str) -> Finding:
    label = label_of(migration.id)
    return Finding(
        id=HALF_DONE_MIGRATIONS,
        level="note",
        stops=False,
        message=f"a failure of {migration.id} on {alias} would leave it half done: {reason}",
        hint=hint_where(
            snapshot,
            label,
            "put one operation in each migration; then nothing can be left half done",
            identifier=HALF_DONE_MIGRATIONS,
        ),
        aliases=(alias,),
        apps=(label,),
        migrations=(migration.id,),
        subject=("migration", migration.id),
    )
