"""What pending migrations do to data that is there already: drop it, rewrite its table, lock it."""

import re

from django.db import Error as DatabaseError
from django.db import migrations

from .rundata import deletes_rows

DESTROYING_SQL = re.compile(r"\b(DROP\s+(TABLE|COLUMN|SCHEMA|DATABASE|VIEW)|TRUNCATE|DELETE\s+FROM)\b", re.IGNORECASE)

BUILDING = (
    migrations.AddIndex,
    migrations.AddConstraint,
    migrations.AlterUniqueTogether,
    migrations.AlterIndexTogether,
)
"""Operations that read the whole table while nobody may write to it."""

WORTH_NAMING = 100000
"""Rows from which on a table is worth naming that is rewritten or locked."""


class DangerFinder:
    """Goes through the pending migrations of one database in their order.

    A table that one of them makes holds nothing yet, and an app of which nothing is recorded has nothing to go back to.
    """

    def __init__(self, connection, effects, loader, tables):
        """Remember what is on the database."""
        self._connection = connection
        self._effects = effects
        self._tables = tables
        self._recorded_apps = {label for label, _ in loader.applied_migrations}
        self._made = set()
        self._rows = {}

    def find(self, migration, reaching, state_before):
        """Return the dangers of the next migration (models.snapshot.Danger)."""
        found = []
        for number, operation, _, model in reaching:
            key = (migration.app_label, model)
            if isinstance(operation, migrations.CreateModel):
                self._made.add(key)
            elif isinstance(operation, migrations.RenameModel) and key in self._made:
                self._made.add((migration.app_label, operation.new_name_lower))
            if key in self._made:
                continue
            table = self._effects.table_of(*key) if model else ""
            for kind in self._kinds(operation, migration, model, state_before):
                if kind in ("rewrites", "locks") and (self._count(table) or 0) < WORTH_NAMING:
                    continue
                found.append(
                    {
                        "kind": kind,
                        "text": operation.describe(),
                        "table": table,
                        "rows": self._count(table),
                        "operation": number,
                    }
                )
        return found

    def _kinds(self, operation, migration, model, state_before):
        if isinstance(operation, migrations.DeleteModel):
            yield "drops-table"
        elif isinstance(operation, migrations.RemoveField):
            field = dict(state_before().models[migration.app_label, model].fields).get(operation.name)
            yield "drops-table" if getattr(field, "many_to_many", False) else "drops-column"
        elif isinstance(operation, migrations.RunSQL):
            if DESTROYING_SQL.search(_sql_text(operation.sql)):
                yield "drops-data"
        elif isinstance(operation, migrations.RunPython):
            if deletes_rows(operation.code):
                yield "drops-data"
        elif isinstance(operation, migrations.AlterField):
            yield from self._kinds_of_change(operation, migration, model, state_before)
        elif isinstance(operation, BUILDING) and not type(operation).__name__.endswith("Concurrently"):
            yield "locks"
        if not operation.reversible and migration.app_label in self._recorded_apps:
            yield "irreversible"

    def _kinds_of_change(self, operation, migration, model, state_before):
        before = dict(state_before().models[migration.app_label, model].fields).get(operation.name)
        if before is None or before.is_relation or operation.field.is_relation:
            return
        if _type(before, self._connection) != _type(operation.field, self._connection):
            yield "rewrites"
        elif (operation.field.unique and not before.unique) or (operation.field.db_index and not before.db_index):
            yield "locks"

    def _count(self, table):
        if table.casefold() not in self._tables:
            return None
        if table not in self._rows:
            self._rows[table] = estimate_rows(self._connection, table)
        return self._rows[table]


def _type(field, connection):
    return field.clone().db_type(connection)


def _sql_text(sql):
    if isinstance(sql, str):
        return sql
    return "\n".join(part if isinstance(part, str) else part[0] for part in sql)


def estimate_rows(connection, table):
    """Return about how many rows a table has, as the catalogue says without counting; None if it does not."""
    question = {
        "postgresql": ("SELECT reltuples FROM pg_class WHERE oid = to_regclass(%s)", connection.ops.quote_name(table)),
        "mysql": (
            "SELECT table_rows FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = %s",
            table,
        ),
        # SQLite keeps no count; the last row number is one as long as rows are not deleted.
        "sqlite": ("SELECT max(rowid) FROM {}".format(connection.ops.quote_name(table)), None),
    }.get(connection.vendor)
    if question is None:
        return None
    try:
        with connection.cursor() as cursor:
            cursor.execute(question[0], None if question[1] is None else [question[1]])
            row = cursor.fetchone()
    except DatabaseError:  # a table WITHOUT ROWID, or a role that may not read it
        return None
    # PostgreSQL says -1 of a table that was never analysed.
    return int(row[0]) if row is not None and row[0] is not None and row[0] >= 0 else None
