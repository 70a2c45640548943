"""What a database holds, whoever made it."""

from __future__ import annotations

from dbmigrate.models.base import Value


class Thing(Value):
    """A table, a view or something else that can be dropped."""

    kind: str
    """In SQL's words, for example "TABLE" or "MATERIALIZED VIEW"."""
    schema_name: str
    """The schema it is in; "" where the database has none."""
    name: str
    on: str | None
    """The table of a trigger."""
    shown: str
    """Its name for people, with the schema where that is not the current one."""
    in_sql: str
    """Its name in a statement."""

    @property
    def key(self) -> tuple[str, str, str, str | None]:
        """Return what it has in common with the same thing in another database."""
        return self.kind, self.schema_name, self.name, self.on


class Holdings(Value):
    """Everything that one database holds."""

    schema_name: str
    """The current schema of its alias; "" where the database has none."""
    things: tuple[Thing, ...]
    rows: dict[str, int]
    """By a table's name in a statement; of a table that is not here they were not counted."""


class Holder(Value):
    """Something that needs a table and would stay without it."""

    kind: str
    """"foreign key", "view", "materialized view" or "trigger"."""
    name: str
    """For a foreign key the table that has it."""
    to: str
    """The table that it needs."""
