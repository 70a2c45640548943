"""Columns that no model of this code knows and that refuse every insert: not null, without a default.

Left by a migration of another branch or of a newer release, or by one that was faked. Django names no such column when
it inserts a row, and `migrate` never looks for one.
"""

import functools

from django.apps import apps
from django.db import Error as DatabaseError

from ..migrations.routes import app_configs, tables_of

QUERIES = {
    "postgresql": """\
SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod)
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_type t ON t.oid = a.atttypid
WHERE c.relkind IN ('r', 'p') AND pg_table_is_visible(c.oid) AND a.attnum > 0 AND NOT a.attisdropped
AND (a.attnotnull OR t.typnotnull) AND NOT a.atthasdef AND t.typdefault IS NULL AND a.attidentity = ''""",
    "mysql": """\
SELECT TABLE_NAME, COLUMN_NAME, COLUMN_TYPE FROM information_schema.COLUMNS
WHERE TABLE_SCHEMA = DATABASE() AND IS_NULLABLE = 'NO' AND COLUMN_DEFAULT IS NULL AND DATA_TYPE <> 'enum'
AND EXTRA NOT LIKE '%auto_increment%' AND EXTRA NOT LIKE '%GENERATED%' AND @@SESSION.sql_mode LIKE '%STRICT%'""",
    "sqlite": """\
SELECT m.name, p.name, p.type FROM sqlite_master m JOIN pragma_table_xinfo(m.name) p
WHERE m.type = 'table' AND m.sql NOT LIKE 'CREATE VIRTUAL%' AND p."notnull" AND p.dflt_value IS NULL AND p.hidden = 0
AND NOT (p.pk AND upper(p.type) = 'INTEGER')""",
}
"""By vendor: [(table, column, type)] of what takes no NULL and has no default, which is most of what Django makes.

MySQL has a value for a column that is not named if it is not in strict mode, and always for ENUM.
"""

TRIGGERS = {
    "postgresql": """\
SELECT DISTINCT c.relname FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid
WHERE pg_table_is_visible(c.oid) AND NOT g.tgisinternal AND g.tgenabled <> 'D' AND g.tgtype & 7 = 7""",
    "mysql": """\
SELECT DISTINCT EVENT_OBJECT_TABLE FROM information_schema.TRIGGERS
WHERE EVENT_OBJECT_SCHEMA = DATABASE() AND ACTION_TIMING = 'BEFORE' AND EVENT_MANIPULATION = 'INSERT'""",
}
"""By vendor: [(table,)] of those with a trigger before an insert, which can fill a column; that of SQLite cannot.

7: ROW, BEFORE and INSERT in pg_trigger.tgtype.
"""


def find_refusing_columns(connection, belongs, recorded_parts):
    """Return models.database.RefusingColumn for the tables of managed models that belong on a database.

    `belongs(model)`: whether its table belongs there. `recorded_parts()`: what the recorded migrations have made
    (schema.Part); it is asked only where there is a column that no model knows. What they have made is not another
    branch's: a migration that drops it is pending or not written yet.
    """
    names = _Names(connection)
    here = {
        names.fold(model._meta.db_table): model
        for config in app_configs()
        for model in tables_of(config)
        if belongs(model)
    }
    rows = _query(connection, QUERIES) if here else []
    models = tuple(apps.get_models(include_auto_created=True, include_swapped=True))
    found = _find_unknown(tuple(rows), frozenset(here), models, names.longest)
    if found:
        made = {(names.fold(part.table), names.fold(part.name)) for part in recorded_parts() if part.kind == "column"}
        found = [row for row in found if (names.fold(row[0]), names.fold(row[1])) not in made]
    filled = {names.fold(table) for (table,) in _query(connection, TRIGGERS)} if found else set()
    return [
        {
            "model": here[names.fold(table)]._meta.label_lower,
            "table": table,
            "column": column,
            "type": _text(kind),
            "may_be_filled": names.fold(table) in filled,
        }
        for table, column, kind in sorted(found)
    ]


def _query(connection, queries):
    if connection.vendor not in queries:
        return []
    try:
        with connection.cursor() as cursor:
            cursor.execute(queries[connection.vendor])
            return cursor.fetchall()
    except DatabaseError:  # one that is only like it, or too old for this: PostgreSQL 9.6, SQLite 3.25
        return []


def _text(value):
    """Return what MySQL's catalogue may give as bytes."""
    return value.decode() if isinstance(value, bytes) else str(value)


@functools.lru_cache(maxsize=8)  # of databases that are alike
def _find_unknown(rows, tables, models, longest):
    """Return the rows of these tables, by their folded names, whose column no model has."""
    names = [(row, _fold(row[0], longest), _fold(row[1], longest)) for row in rows]
    here = [(row, table, column) for row, table, column in names if table in tables]
    known = _known_columns(models, longest) if here else ()
    return [row for row, table, column in here if (table, column) not in known]


@functools.lru_cache(maxsize=8)
def _known_columns(models, longest):
    """Return the columns of every model, whoever makes its table: also of an unmanaged one over the same table."""
    return frozenset(
        (_fold(model._meta.db_table, longest), _fold(field.column, longest))
        for model in models
        for field in model._meta.local_concrete_fields
    )


class _Names:
    """Compares names as the catalogue has them: PostgreSQL cuts off what is too long, and some change the case."""

    def __init__(self, connection):
        self.longest = connection.ops.max_name_length()

    def fold(self, name):
        return _fold(name, self.longest)


@functools.lru_cache(maxsize=100_000)  # databases that are alike have the same names
def _fold(name, longest):
    return name.strip('"')[:longest].casefold()
