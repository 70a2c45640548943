"""The statements of a migration."""

from __future__ import annotations

from dbmigrate.models.base import Value
from dbmigrate.models.snapshot import MigrationId


class MigrationSql(Value):
    """What one migration would run on one alias."""

    id: MigrationId
    statements: tuple[str, ...]
    """In order, comments of Django's own included; empty where the routers refuse everything."""
    problem: str | None
    """Why the statements could not be written down, for example a lookup of what is not there yet; None if they are."""
