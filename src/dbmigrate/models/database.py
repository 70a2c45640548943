"""What one look found of a database: whether it answers, what is recorded there, and what is pending."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from dbmigrate.models.apps import AppRoute
from dbmigrate.models.base import Value
from dbmigrate.models.migrations import Effect, LackingRight, MigrationId, PendingMigration, Way
from dbmigrate.models.rooms import Room

DEFAULT_ALIAS = "default"

Trouble = Literal[
    "refused",
    "unknown-host",
    "silent",
    "starting",
    "not-accepting",
    "full",
    "blocked",
    "tls",
    "no-database",
    "no-file",
    "password",
    "role",
    "driver",
    "settings",
    "backend",
    "receiver",
    "rights",
    "other",
]
"""What keeps a database from answering."""

INCURABLE: frozenset[Trouble] = frozenset(
    {"no-file", "blocked", "password", "role", "driver", "settings", "backend", "rights"}
)
"""Troubles that waiting does not end."""


def describe_trouble(trouble: Trouble | None) -> str:
    """Return what is the matter with a database: it is silent, its backend raised an error, or it may not be read."""
    if trouble == "rights":
        return "cannot be read"
    return "could not be checked" if trouble in ("backend", "receiver") else "is unreachable"


def describe_silence(alias: str, trouble: Trouble | None, error: str | None) -> str:
    """Return the sentence for a database of which nobody knows what is applied there."""
    return f"database {alias} {describe_trouble(trouble)}: {error}"


DatabaseState = Literal["ok", "absent", "unreachable", "unreadable", "no-engine", "unasked"]
"""Whether a database answers. "absent": an SQLite file that is not there yet; the first migration makes it.
"unreadable": it answers, and this role may not read what is recorded there. "unasked": nobody tried
(`check --offline`)."""

UNKNOWN_STATES: frozenset[DatabaseState] = frozenset({"unreachable", "unreadable"})
"""States in which nobody knows what is applied there."""


class MissingTable(Value):
    """A table that is not there, although the recorded migrations made it; or that no migration is going to make."""

    model: str
    """label.model."""
    table: str
    migration: MigrationId
    """The migration that makes it, or by which its model has become managed; "" if that is not written yet."""
    is_recorded: bool = True
    is_taken_over: bool = False
    """Whether its model was unmanaged before: Django makes no table when that changes."""
    before: str = "zero"
    """Name of the one before it in its app."""
    is_redoable: bool = True
    """Whether it can be applied again, with what came after it in its app: they made nothing that is there."""


class RefusingColumn(Value):
    """A column that no model of this code knows, not null and without a default: without it no row can be inserted."""

    model: str
    """label.model whose table it is in."""
    table: str
    column: str
    type: str
    """As the server writes it."""
    may_be_filled: bool = False
    """Whether a trigger runs before each insert, which may fill it."""


class Recorded(Value):
    """A row of django_migrations."""

    id: MigrationId
    at: str
    """ISO 8601, UTC where the project uses time zones."""


class SchemaCount(Value):
    """How much there is in one schema of a database."""

    tables: int
    records: int
    """Rows of its django_migrations."""


class CutOff(Value):
    """A squashed migration of which only a part is applied on a database, where the files of the rest are gone."""

    squashed: MigrationId
    gone: tuple[MigrationId, ...]
    """What it replaces and is neither applied nor on disk."""


class Database(Value):
    """One entry of DATABASES as Django resolved it, and what the server said."""

    alias: str
    engine: str
    vendor: str
    name: str
    """Database name, or the path of an SQLite file."""
    host: str
    port: str
    mirror_of: str | None
    """TEST["MIRROR"], which marks a replica."""
    state: DatabaseState
    trouble: Trouble | None = None
    """What keeps it from answering, as far as the driver's words tell; None if it answers."""
    error: str | None
    """Why it is unreachable, in the driver's or the file system's words."""
    server: str = ""
    """Product and version, for example "PostgreSQL 15.4"; empty unless state is "ok"."""
    identity: str | None = None
    """Equal for two aliases of one physical database and schema; None where it could not be asked."""
    pooler: str | None = None
    """The address of the pooler that connections lead to, as far as it can be told."""
    room: tuple[Room, ...] = ()
    """What limits the sessions here, as far as the server tells."""
    read_only: str | None
    """Why it takes no writes, for example "the server is a standby"; None if it does."""
    in_memory: bool = False
    """Whether it is an SQLite database that lives as long as a process."""
    transactional_ddl: bool
    """Whether a failed atomic migration is rolled back (source: features.can_rollback_ddl)."""
    recorded: int | None = None
    """The number of what is recorded here (Snapshot.recorded); None where nobody knows."""
    applied: int = 0
    """How many of the migrations on disk are applied (source: MigrationLoader.applied_migrations)."""
    last_applied: Recorded | None = None
    records: tuple[Recorded, ...] | None = None
    """Every row that this code knows, the oldest first; None if it was not asked."""
    unrecorded: tuple[MigrationId, ...] = ()
    """Squashed migrations of which everything they replace is recorded, and they themselves are not yet."""
    unknown: tuple[MigrationId, ...] = ()
    """Recorded here after something of their app that this code knows: by a newer release, or by another branch."""
    leftover: tuple[MigrationId, ...] = ()
    """Recorded here and gone from the code: of apps that are not installed, or squashed away since."""
    undo_to: dict[str, str] = Field(default_factory=dict)
    """By label of an app in `unknown`: the last migration that this code knows too and that came before, or "zero"."""
    left_tables: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """By label of an app in `unknown` or `leftover`: tables of its that are there, and that no model of it has."""
    inconsistent: str | None = None
    """Django's words if a migration is recorded before one it depends on, and ours if one is cut off."""
    cut_off: tuple[CutOff, ...] = ()
    """Squashed migrations that Django ignores here, without those they replace."""
    effects: dict[MigrationId, Effect] = Field(default_factory=dict)
    """By migration that is not applied here: what it would do. Nothing of those left out reaches this database."""
    pending: tuple[PendingMigration, ...] = ()
    """Not applied, in the order Django would run them: it follows from `recorded` and `effects` (planning/pending.py),
    and so do `applied` and `unrecorded`."""
    ways: dict[str, Way] = Field(default_factory=dict)
    """By target here ("blog.0002" as it was named, "blog.zero"), in the order in which they are gone: each begins where
    the one before it ends. They follow from `recorded`, too (`find_ways`)."""
    routes: dict[str, AppRoute]
    """By app label: every installed app."""
    existing: tuple[str, ...] = ()
    """Models (label.model) that nobody has an opinion about here, whose table is already there, and with it the record
    of a migration that makes it."""
    tables: int | None = None
    """How many tables are there; None where that was not asked."""
    schema_name: str | None = None
    """The schema that its connection works in; None where it was not asked (`census`) or the server has none."""
    census: dict[str, SchemaCount] | None = None
    """What each schema of the database holds, where the project replaces `migrate`; None where that is not known."""
    missing: tuple[MissingTable, ...] = ()
    """Tables of models that are not refused here, in the order of INSTALLED_APPS."""
    refusing: tuple[RefusingColumn, ...] = ()
    """Of the tables of managed models that are not refused here."""
    unsynced: tuple[str, ...] = ()
    """Models (label.model) of apps without migrations that are not refused here and have no table yet."""
    present: tuple[str, ...] = ()
    """Models (label.model) that foreign keys point to, that no router wants here, and whose table is here."""
    role: str | None = None
    """As whom its sessions work, as the server says; None where that was not asked."""
    rights_unknown: str | None = None
    """Why the server does not say what its role may do, in its words; None if it does, or nothing is pending."""
    lacking: tuple[LackingRight, ...] = ()
    """Only what is certain."""

    @property
    def targeted(self) -> tuple[PendingMigration, ...] | None:
        """What all of `ways` take, one after the other; None if there is none."""
        gone = [way.migrations for way in self.ways.values() if way.replaced_by is None]
        return tuple(migration for migrations in gone for migration in migrations) if gone else None
