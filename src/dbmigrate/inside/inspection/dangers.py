"""What pending migrations do to data that is there already: drop it, rewrite its table, lock it."""

import re

from django.db import Error as DatabaseError
from django.db import migrations

from ..migrations.data_migrations import destroys, read_work
from ..migrations.schema import automatic_table, column_type

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

    A table or column that one of them makes holds nothing yet, and an app of which nothing is recorded has nothing to
    go back to.
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
        """Return the dangers of the next migration (models.migrations.Danger)."""
        found = []
        for number, operation, _, model in reaching:
            label = migration.app_label
            if self._is_new(operation, label, model):
                continue
            table = self._effects.table_of(label, model) if model else ""
            for kind in self._kinds(operation, label, model, lambda number=number: state_before(number)):
                if kind in ("rewrites", "locks") and (self._count(table) or 0) < WORTH_NAMING:
                    continue
                gone = table
                if kind == "drops-table" and isinstance(operation, migrations.RemoveField):
                    field = dict(state_before(number).models[label, model].fields)[operation.name]
                    gone = automatic_table(field, table, operation.name)
                found.append(
                    {
                        "kind": kind,
                        "text": operation.describe(),
                        "table": gone,
                        "rows": self._count(gone),
                        "operation": number,
                    }
                )
        return found

    def _is_new(self, operation, label, model):
        """Whether an operation is about a table or a column that was not there before; remembers what it makes."""
        if isinstance(operation, migrations.CreateModel) or (
            isinstance(operation, migrations.RenameModel) and (label, operation.old_name_lower) in self._made
        ):
            self._made.add((label, model))
        elif isinstance(operation, migrations.AddField):
            self._made.add((label, model, operation.name))
        elif isinstance(operation, migrations.RenameField) and (label, model, operation.old_name) in self._made:
            self._made.add((label, model, operation.new_name))
        is_removal = isinstance(operation, migrations.RemoveField)
        return (label, model) in self._made or (is_removal and (label, model, operation.name) in self._made)

    def _kinds(self, operation, label, model, state_before):
        if isinstance(operation, migrations.DeleteModel):
            if self._is_managed(state_before(), label, model):
                yield "drops-table"
        elif isinstance(operation, migrations.RemoveField):
            field = dict(state_before().models[label, model].fields).get(operation.name)
            if field is None or not getattr(field, "many_to_many", False):
                yield "drops-column"
            elif not field.remote_field.through:  # a table of its own stays
                yield "drops-table"
        elif isinstance(operation, migrations.RunSQL):
            if any(destroys(text) and not self._is_about_new(text, label) for text in _statements(operation.sql)):
                yield "drops-data"
        elif isinstance(operation, migrations.RunPython):
            work = read_work(operation.code)
            if work is not None and work.deletes and not (work.models and work.models <= self._made):
                yield "drops-data"
        elif isinstance(operation, migrations.AlterField):
            yield from self._kinds_of_change(operation, label, model, state_before)
        elif isinstance(operation, BUILDING) and not _builds_nothing(operation):
            yield "locks"
        if not operation.reversible and label in self._recorded_apps:
            yield "irreversible"

    def _is_managed(self, state, label, model):
        known = state.models.get((label, model))
        return known is None or known.options.get("managed") is not False

    def _is_about_new(self, sql, label):
        """Whether a statement names tables that are made in this run, and none that is there."""
        words = {word.casefold() for word in re.findall(r"\w+", sql)}
        made = {self._effects.table_of(*key).casefold() for key in self._made if len(key) == 2}
        return bool(words & made) and not words & (self._tables - made)

    def _kinds_of_change(self, operation, label, model, state_before):
        known = state_before().models.get((label, model))
        before = None if known is None else dict(known.fields).get(operation.name)
        if before is None or before.is_relation or operation.field.is_relation:
            return
        old, new = (column_type(field, self._connection) for field in (before, operation.field))
        if old != new and not self._only_grows(old, new):
            yield "rewrites"
        elif (operation.field.unique and not before.unique) or (operation.field.db_index and not before.db_index):
            yield "locks"

    def _only_grows(self, old, new):
        """Whether PostgreSQL changes a type without a look at the rows: more characters, or as many as there are."""
        length = re.fullmatch(r"varchar\((\d+)\)", old or "")
        if self._connection.vendor != "postgresql" or length is None:
            return False
        longer = re.fullmatch(r"varchar\((\d+)\)", new or "")
        return new in ("text", "varchar") or (longer is not None and int(longer.group(1)) >= int(length.group(1)))

    def _count(self, table):
        if table.casefold() not in self._tables:
            return None
        if table not in self._rows:
            self._rows[table] = estimate_rows(self._connection, table)
        return self._rows[table]


def _builds_nothing(operation):
    """Whether it holds nobody up: concurrently, or `unique_together` that ends."""
    return type(operation).__name__.endswith("Concurrently") or getattr(operation, "option_value", True) in (
        None,
        set(),
    )


def _statements(sql):
    """Return the statements of a RunSQL; a whole script is one."""
    return [sql] if isinstance(sql, str) else [part if isinstance(part, str) else part[0] for part in sql]


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
