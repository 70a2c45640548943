"""What a saved plan was made from: compared when it is applied, so that what runs is what was approved."""

from __future__ import annotations

from typing import Literal

from dbmigrate.models.apps import AppRoute
from dbmigrate.models.base import Hashed, Value
from dbmigrate.models.database import Recorded
from dbmigrate.models.migrations import MigrationId
from dbmigrate.models.selection import Selection

Sha256 = str
"""64 hexadecimal digits."""


DIGEST_CHARACTERS = 12
"""Of a digest that are shown, and that are enough."""


class FileHash(Hashed):
    """The file of a migration."""

    sha256: Sha256
    """Of its bytes."""
    code: Sha256
    """Of its text without comments and blank lines."""
    calls: dict[str, Sha256] | None
    """By dotted name of another module whose functions its RunPython calls: of the bytes of that file. None where the
    migration cannot be loaded."""
    has_more: bool = False
    """Whether its RunPython calls more of the project's code than is followed, so that an edit of the rest is not
    noticed."""
    sql: Sha256 | None = None
    """Of the SQL that its RunSQL operations were given, wherever it was read; "" for none. None where the migration
    cannot be loaded, and in documents of before."""


class CodeBasis(FileHash):
    """The file of a planned migration, or of one that a planned one depends on."""

    is_planned: bool
    """Whether the plan applies or undoes it: then every byte counts, otherwise what is neither comment nor blank."""
    is_own: bool
    """Whether it is the project's; a third-party one that is not planned counts only in what it makes of the SQL."""
    replaces: tuple[MigrationId, ...] = ()
    """What it was squashed from."""


class TableBasis(Hashed):
    """One table of the catalogue."""

    columns: dict[str, Sha256]
    """By name: of type, null and default."""
    others: dict[str, Sha256]
    """By name of an index or constraint: of its definition. "" stands for what has no name of its own."""


class DatabaseFacts(Value):
    """What a database says of itself and of the tables that a plan touches: the host's answer to `describe_tables`."""

    identity: Sha256
    """Of what names the physical database and the schema, whichever way leads to it."""
    driver: str
    """For example "psycopg 3.2.9"."""
    tables: dict[str, TableBasis | None]
    """By name of a table that the plan touches; None where it is not there."""


class DatabaseBasis(Hashed):
    """One database on which the plan has steps."""

    identity: Sha256
    engine: str
    """As in DATABASES."""
    applied: Sha256
    """Of the sorted names of what is recorded there."""
    count: int
    """How many are recorded there."""
    newest: Recorded | None
    """The last of them that this code knows."""
    tables: dict[str, TableBasis | None]
    """By name of a table that the plan touches there; None where it was not there."""


class StatementsBasis(Hashed):
    """What one migration runs on one database."""

    alias: str
    migration: MigrationId
    sha256: Sha256 | None
    """Of its SQL; None where that can only be known once the migrations before it are applied."""
    is_opaque: bool
    """Whether there is more than SQL: a RunPython, of which the file of its function counts (`FileHash.calls`)."""


class Versions(Value):
    """What took part; no difference in them makes a plan stale."""

    dbmigrate: str
    django: str
    python: str
    drivers: dict[str, str]
    """By alias."""
    servers: dict[str, str]
    """By alias."""


class Basis(Value):
    """What a plan follows from, as hashes: no password, no host and no value of the settings is in it."""

    version: Literal[1] = 1
    code: dict[MigrationId, CodeBasis]
    """Of every planned migration and all that it depends on."""
    statements: tuple[StatementsBasis, ...] | None
    """In the order of the plan, of what does something; None if the plan is not saved (`-o`)."""
    databases: dict[str, DatabaseBasis]
    """By alias on which the plan has steps."""
    routes: dict[str, dict[str, AppRoute]]
    """By label of a planned app, by alias: what the routers say."""
    versions: Versions


class SavedMigration(Value):
    """A migration of a step; the keys are those of models.plan.PlannedMigration."""

    id: MigrationId
    does: bool
    backwards: bool = False


class SavedStep(Value):
    """What of a step has to be the same when it runs; the keys are those of models.plan.Step."""

    id: str
    alias: str
    app: str | None
    to: str | None
    arguments: tuple[str, ...]
    migrations: tuple[SavedMigration, ...]
    synced: tuple[str, ...] = ()
    after: tuple[str, ...]


class SavedPlan(Value):
    """A plan as it is compared: what of a document counts when it is applied (models.plan.ShownPlan)."""

    selection: Selection
    steps: tuple[SavedStep, ...]
    basis: Basis
    digest: Sha256
