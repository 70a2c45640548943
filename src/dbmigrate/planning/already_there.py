"""What a pending migration makes and what of it is there already on a database where it belongs. Pure."""

from __future__ import annotations

from dbmigrate.models.migrations import MadePart, PendingMigration, label_of
from dbmigrate.planning.routing import Routing


def parts_made(routing: Routing, alias: str, migration: PendingMigration) -> list[MadePart]:
    """Return the tables and columns that a migration makes on an alias; none where nothing of it is there."""
    label = label_of(migration.id)
    made = [part for part in migration.makes if routing.takes(alias, f"{label}.{part.model}", part.answer)]
    return made if any(part.is_there for part in made) else []


def may_be_faked(routing: Routing, alias: str, migration: PendingMigration) -> bool:
    """Return whether `--fake-initial` records a migration on an alias: all tables and columns that it makes are there.

    Django compares no columns of new tables, and does not look into SeparateDatabaseAndState
    (django/db/migrations/executor.py, detect_soft_applied).
    """
    looked_at = [part for part in parts_made(routing, alias, migration) if "." not in part.operation]
    return migration.is_initial and bool(looked_at) and all(part.is_there for part in looked_at)
