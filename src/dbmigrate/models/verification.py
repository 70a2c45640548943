"""What is recorded, what belongs on a database, and what its catalogue holds: the host's answer to `verify`."""

from __future__ import annotations

from typing import Literal

from dbmigrate.models.base import Value
from dbmigrate.models.database import Recorded, RefusingColumn, Trouble
from dbmigrate.models.migrations import MigrationId

Outcome = Literal["there", "not-here", "pending", "pending-not-here", "faked", "missing", "unrecorded", "half-applied"]
"""Recorded: "there" (all that it made and that still counts is there), "not-here" (the routers put nothing of it here),
"faked" (nothing of it is there), "missing" (something of it is not). Not recorded: "pending", "pending-not-here",
"unrecorded" (all of it is there), "half-applied" (some of it is)."""

DRIFT: tuple[Outcome, ...] = ("faked", "missing", "unrecorded", "half-applied")


class Part(Value):
    """A table, column, index or constraint."""

    kind: Literal["table", "column", "index", "constraint", "unique", "foreign key"]
    table: str
    name: str
    """Its name; of what has none that Django knows, its columns; "" for a table."""
    is_view: bool
    """Whether there is a view where the table should be."""
    is_taken_away: bool = False
    """Whether the migration drops it: among `there` it is gone, among `missing` it still has to go."""


class VerifiedMigration(Value):
    """One migration on one database."""

    id: MigrationId
    outcome: Outcome
    recorded_at: str | None
    """ISO 8601; None if it is not recorded."""
    there: tuple[Part, ...]
    """Of a migration that is not recorded: what of it is there."""
    missing: tuple[Part, ...]
    """What of it is not; what a missing table would have is not listed again."""
    needed_by: tuple[MigrationId, ...] = ()
    """If it is "faked": the recorded migrations of other apps that depend on it, and would be taken back with it."""
    needs: tuple[MigrationId, ...] = ()
    """If it is "unrecorded" or "half-applied": what is not recorded either, and would be recorded with it."""
    unjudged: tuple[str, ...] = ()
    """Its operations of which the catalogue cannot show whether they have run, such as RunPython, in their order.

    Of a migration that is not recorded, if something of it is there or one of those needs it. Of one that is recorded,
    if a table or column is missing: what they wrote into it is gone.
    """
    statements: tuple[str, ...]
    """With `--repair`: what would make the missing parts of a migration that is partly there.

    Comments (`-- `) stand where an operation would run of which nobody knows whether it has.
    """
    unwritten: tuple[str, ...] = ()
    """With `--repair`: what would have to be made and cannot be written down as statements, and why."""


class InvalidIndex(Value):
    """An index that PostgreSQL does not use: building it concurrently failed."""

    name: str
    table: str
    in_sql: str
    """The name as a statement has it: quoted, with its schema, where that is needed."""


class VerifiedDatabase(Value):
    """One database, held against its records."""

    alias: str
    error: str | None
    """Why it could not be checked, in the driver's words."""
    trouble: Trouble | None = None
    inconsistent: str | None
    """Django's words if a migration is recorded before one it depends on; then nothing else is looked at."""
    migrations: tuple[VerifiedMigration, ...]
    """The recorded ones first, in the order of their dependencies, then the others."""
    invalid_indexes: tuple[InvalidIndex, ...]
    refusing: tuple[RefusingColumn, ...] = ()
    """Columns that no model of this code knows and without which no row can be inserted."""
    unknown: tuple[Recorded, ...]
    """Of a newer release, or of another branch."""
    leftover: tuple[Recorded, ...]
    """Gone from the code: harmless."""

    @property
    def drift(self) -> tuple[VerifiedMigration, ...]:
        """The migrations of which records and catalogue say different things."""
        return tuple(migration for migration in self.migrations if migration.outcome in DRIFT)

    @property
    def refused(self) -> tuple[RefusingColumn, ...]:
        """The columns for which inserts fail, whatever triggers do."""
        return tuple(column for column in self.refusing if not column.may_be_filled)

    @property
    def has_drift(self) -> bool:
        """Whether anything is not as it is recorded."""
        apart = self.drift or self.invalid_indexes or self.refused or self.unknown
        return bool(apart or self.inconsistent is not None)

    def count(self, *outcomes: Outcome) -> int:
        """Return how many migrations are so."""
        return sum(migration.outcome in outcomes for migration in self.migrations)
