"""How tables are defined: a hash of each column, index and constraint, as the server itself writes it down.

Django's introspection is not asked: what it says changes from version to version of it.
"""

import hashlib
import re

_POSTGRESQL_COLUMNS = """\
SELECT a.attname::text, concat_ws(' ', format_type(a.atttypid, a.atttypmod), a.attnotnull::text, a.attidentity::text,
 pg_get_expr(d.adbin, d.adrelid), (SELECT l.collname FROM pg_collation l WHERE l.oid = a.attcollation))
FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped"""

_POSTGRESQL_OTHERS = """\
SELECT i.relname::text, pg_get_indexdef(x.indexrelid) || ' ' || x.indisvalid::text
FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid WHERE x.indrelid = %s
UNION ALL
SELECT conname::text, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = %s AND contype <> 'n'"""


def describe_definitions(connection, tables):
    """Return models.basis.TableBasis by name of these tables; None for one that is not there."""
    describe = {"postgresql": _describe_postgresql, "mysql": _describe_mysql, "sqlite": _describe_sqlite}.get(
        connection.vendor, _describe_other
    )
    with connection.cursor() as cursor:
        return {table: describe(connection, cursor, table.strip('"')) for table in tables}


def _described(columns, others):
    """Return a table of what was said of each part, [(name, text)]; what was said of one name is put together."""
    return {"columns": _hash_all(columns), "others": _hash_all(others)}


def _hash_all(said):
    texts: dict[str, list[str]] = {}
    for name, text in said:
        texts.setdefault(str(name), []).append(str(text))
    return {
        name: hashlib.sha256("\n".join(sorted(texts[name])).encode("utf-8", "surrogateescape")).hexdigest()
        for name in sorted(texts)
    }


def _describe_postgresql(connection, cursor, table):
    # A model may name a schema, as 'other"."table'. What is longer than a name can be the server cuts off.
    quoted = '"{}"'.format(table) if '"."' in table else connection.ops.quote_name(table)
    cursor.execute("SELECT to_regclass(%s)::oid", [quoted])
    (oid,) = cursor.fetchone()
    if oid is None:
        return None
    cursor.execute(_POSTGRESQL_COLUMNS, [oid])
    columns = cursor.fetchall()
    cursor.execute(_POSTGRESQL_OTHERS, [oid, oid])
    return _described(columns, cursor.fetchall())


def _describe_mysql(connection, cursor, table):
    # The views of information_schema hide constraints from a role that may only read.
    cursor.execute(
        "SELECT 1 FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = %s", [table]
    )
    if cursor.fetchone() is None:
        return None
    cursor.execute("SHOW CREATE TABLE {}".format(connection.ops.quote_name(table)))
    columns, others = [], []
    for line in str(cursor.fetchone()[1]).split("\n")[1:-1]:
        text = line.strip().rstrip(",")
        name = re.search(r"`((?:[^`]|``)*)`", text)
        if text.startswith("`"):
            columns.append((name[1] if name else "", text))
        elif text.startswith("PRIMARY KEY"):
            others.append(("PRIMARY", text))
        else:
            others.append((name[1] if name else "", text))
    return _described(columns, others)


def _describe_sqlite(connection, cursor, table):
    cursor.execute(
        "SELECT type, name, coalesce(sql, '') FROM sqlite_master WHERE lower(tbl_name) = lower(%s)"
        " AND type IN ('table', 'index', 'view')",
        [table],
    )
    said = cursor.fetchall()
    if not any(kind != "index" for kind, _, _ in said):
        return None
    cursor.execute("PRAGMA table_xinfo({})".format(connection.ops.quote_name(table)))
    columns = [(row[1], "{} {} {} {}".format(*row[2:6])) for row in cursor.fetchall()]
    # Constraints stand in the statement that made the table, and so do the columns.
    return _described(columns, [("" if kind != "index" else name, " ".join(sql.split())) for kind, name, sql in said])


def _describe_other(connection, cursor, table):
    names = {found.name.casefold(): found.name for found in connection.introspection.get_table_list(cursor)}
    if table.casefold() not in names:
        return None
    name = names[table.casefold()]
    columns = [
        (row.name, "{} {}".format(row.type_code, row.null_ok))
        for row in connection.introspection.get_table_description(cursor, name)
    ]
    constraints = connection.introspection.get_constraints(cursor, name)
    return _described(
        columns,
        [(key, sorted((part, str(value)) for part, value in found.items())) for key, found in constraints.items()],
    )
