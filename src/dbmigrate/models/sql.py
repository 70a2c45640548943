"""The statements of a migration."""

from __future__ import annotations

from dbmigrate.models.base import Value
from dbmigrate.models.migrations import MigrationId


class MigrationSql(Value):
    """What one migration would run on one alias."""

    id: MigrationId
    statements: tuple[str, ...]
    """In order, comments of Django's own included; empty where the routers refuse everything."""
    deferred: int = 0
    """How many of them, at the end, Django runs after all operations: indexes and constraints of new tables."""
    problem: str | None
    """Why the statements could not be written down, for example a lookup of what is not there yet; None if they are."""
    is_by_cursor: bool = False
    """Whether that is so because an operation does not leave its statements to the schema editor: they would run."""

    @property
    def why_not(self) -> str:
        """Return the whole of `problem`, what could be done about it included."""
        if self.is_by_cursor:
            return f"its SQL cannot be shown: {self.problem}"
        return f"its SQL depends on earlier pending migrations: {self.problem}"
