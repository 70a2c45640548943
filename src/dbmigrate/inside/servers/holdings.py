"""What a database holds: the questions `describe_holdings` and `find_holders` of `reset`.

A thing is what models/holdings.py calls so.
"""

from __future__ import annotations

import os
import re
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING

from django.db import Error as DatabaseError
from django.db import connections, transaction

from .identity import sqlite_file

if TYPE_CHECKING:
    from ..protocol import DescribeHoldingsReply, FindHoldersReply, Thing

LOCK_SECONDS = 2
"""How long counting waits for a lock: another run may be in the middle of a migration."""

COUNT_SECONDS = 10
"""How long counting may take; of what takes longer no number is told."""

_USERS = " n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'"
_NOT_OF_EXTENSION = " NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = {}.oid AND d.deptype = 'e')"

POSTGRESQL_THINGS = (
    "SELECT CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE'"
    " WHEN 'f' THEN 'FOREIGN TABLE' ELSE 'TABLE' END, n.nspname, c.relname, NULL::text,"
    " format('%I.%I', n.nspname, c.relname)"
    " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND NOT c.relispartition AND NOT (c.relkind = 'S' AND EXISTS"
    " (SELECT 1 FROM pg_depend d WHERE d.objid = c.oid AND d.deptype IN ('a', 'i')"
    " AND d.refclassid = 'pg_class'::regclass)) AND" + _USERS + " AND" + _NOT_OF_EXTENSION.format("c"),
    "SELECT CASE t.typtype WHEN 'd' THEN 'DOMAIN' ELSE 'TYPE' END, n.nspname, t.typname, NULL::text,"
    " format('%I.%I', n.nspname, t.typname)"
    " FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace LEFT JOIN pg_class c ON c.oid = t.typrelid"
    " WHERE (t.typtype IN ('e', 'd', 'r') OR c.relkind = 'c') AND" + _USERS + " AND" + _NOT_OF_EXTENSION.format("t"),
    # Not "FUNCTION": ROUTINE is procedures and aggregates as well. Those of a range type go with it.
    "SELECT 'ROUTINE', n.nspname, format('%s(%s)', p.proname, pg_get_function_identity_arguments(p.oid)), NULL::text,"
    " format('%I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid))"
    " FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace"
    " WHERE NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = p.oid AND d.deptype IN ('e', 'i')) AND" + _USERS,
    "SELECT 'TRIGGER', n.nspname, t.tgname, c.relname::text, format('%I ON %I.%I', t.tgname, n.nspname, c.relname)"
    " FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE NOT t.tgisinternal AND" + _USERS,
)

MYSQL_THINGS = (
    "SELECT CASE table_type WHEN 'BASE TABLE' THEN 'TABLE' WHEN 'SYSTEM VERSIONED' THEN 'TABLE' ELSE table_type END,"
    " table_name, NULL FROM information_schema.tables WHERE table_schema = database()",
    "SELECT routine_type, routine_name, NULL FROM information_schema.routines WHERE routine_schema = database()",
    "SELECT 'TRIGGER', trigger_name, event_object_table FROM information_schema.triggers"
    " WHERE trigger_schema = database()",
)

SQLITE_THINGS = (
    "SELECT upper(type), name, CASE type WHEN 'trigger' THEN tbl_name END FROM sqlite_master"
    " WHERE type <> 'index' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
)


def describe(alias: str, count: bool) -> DescribeHoldingsReply:
    """Return all that a database holds.

    `count`: whether to count rows; a table that could not be counted is not among them.
    """
    connection = connections[alias]
    file = sqlite_file(connection)
    if file is not None and not os.path.exists(file):
        return {"schema_name": "", "things": [], "rows": {}}
    try:
        with connection.cursor() as cursor:
            schema, things = find_things(connection, cursor)
        rows = _count(connection, [thing["in_sql"] for thing in things if thing["kind"] == "TABLE"]) if count else {}
        return {"schema_name": schema, "things": things, "rows": rows}
    finally:
        connection.close()


def find_things(connection, cursor) -> tuple[str, list[Thing]]:
    """Return (current schema, everything that the database holds), sorted by kind and name."""
    if connection.vendor == "postgresql":
        cursor.execute("SELECT coalesce(current_schema(), '')")
        schema = cursor.fetchone()[0]
        found = [row for sql in POSTGRESQL_THINGS for row in _rows(cursor, sql)]
    else:
        schema, quote = "", connection.ops.quote_name
        queries = MYSQL_THINGS if connection.vendor == "mysql" else (SQLITE_THINGS,)
        found = [(kind, "", name, on, quote(name)) for sql in queries for kind, name, on in _rows(cursor, sql)]
    things: list[Thing] = [
        {
            "kind": kind,
            "schema_name": place,
            "name": name,
            "on": on,
            "shown": name if place == schema else "{}.{}".format(place, name),
            "in_sql": in_sql,
        }
        for kind, place, name, on, in_sql in found
    ]
    return schema, sorted(
        things, key=lambda thing: (thing["kind"], thing["schema_name"], thing["name"], thing["on"] or "")
    )


def _rows(cursor, sql):
    cursor.execute(sql)
    return cursor.fetchall()


def _count(connection, tables):
    """Return {table: rows}; counting asks for the lock of each table, for the right to read it, and for time."""
    deadline = time.monotonic() + COUNT_SECONDS
    counted = {}
    for table in tables:
        if time.monotonic() > deadline:
            break
        try:
            with _limited_transaction(connection), connection.cursor() as cursor:
                _limit(connection, cursor)
                cursor.execute("SELECT COUNT(*) FROM {}".format(table))
                counted[table] = cursor.fetchone()[0]
        except DatabaseError:
            pass
    return counted


def _limited_transaction(connection):
    # Behind a pooler a limit of the session's would stay with somebody else's. SQLite's BEGIN may ask for a lock.
    return transaction.atomic(using=connection.alias) if connection.vendor == "postgresql" else nullcontext()


def _limit(connection, cursor):
    """Let no statement that counts wait long for a lock, or take long on its own (SQLite knows no limit for that)."""
    if connection.vendor == "postgresql":
        cursor.execute("SET LOCAL lock_timeout = '{}s'".format(LOCK_SECONDS))
        cursor.execute("SET LOCAL statement_timeout = '{}s'".format(COUNT_SECONDS))
    elif connection.vendor == "mysql":
        cursor.execute("SET SESSION lock_wait_timeout = {}".format(LOCK_SECONDS))
        if connection.mysql_is_mariadb:
            cursor.execute("SET SESSION max_statement_time = {}".format(COUNT_SECONDS))
        else:
            cursor.execute("SET SESSION max_execution_time = {}".format(COUNT_SECONDS * 1000))
    elif connection.vendor == "sqlite":
        cursor.execute("PRAGMA busy_timeout = {}".format(LOCK_SECONDS * 1000))


def find_holders(alias: str, things: list[Thing]) -> FindHoldersReply:
    """Return what would stay and hold on to a table of these things.

    kind: "foreign key" (name: the table that has it), "view", "materialized view" or "trigger".
    """
    connection = connections[alias]
    file = sqlite_file(connection)
    if file is not None and not os.path.exists(file):
        return []
    find = {"postgresql": _holders_in_postgresql, "mysql": _holders_in_mysql, "sqlite": _holders_in_sqlite}
    try:
        with connection.cursor() as cursor:
            found = find[connection.vendor](connection, cursor, things)
        return [{"kind": kind, "name": name, "to": to} for kind, name, to in sorted(set(found))]
    finally:
        connection.close()


def _holders_in_postgresql(connection, cursor, things):
    going = [thing["in_sql"] for thing in things if thing["kind"] in ("TABLE", "VIEW", "MATERIALIZED VIEW")]
    cursor.execute(
        "WITH going AS (SELECT to_regclass(name)::oid AS oid FROM unnest(%s::text[]) AS named (name))"
        " SELECT 'foreign key', conrelid::regclass::text, confrelid::regclass::text FROM pg_constraint"
        " WHERE contype = 'f' AND conparentid = 0 AND confrelid IN (SELECT oid FROM going)"
        " AND conrelid NOT IN (SELECT oid FROM going)"
        " UNION SELECT CASE v.relkind WHEN 'm' THEN 'materialized view' ELSE 'view' END, v.oid::regclass::text,"
        " d.refobjid::regclass::text FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid"
        " JOIN pg_class v ON v.oid = r.ev_class WHERE d.classid = 'pg_rewrite'::regclass"
        " AND d.refclassid = 'pg_class'::regclass AND d.refobjid IN (SELECT oid FROM going)"
        " AND v.relkind IN ('v', 'm') AND v.oid NOT IN (SELECT oid FROM going)",
        [going],
    )
    return cursor.fetchall()


def _holders_in_mysql(connection, cursor, things):
    going = {thing["name"].casefold() for thing in things if thing["kind"] == "TABLE"}
    cursor.execute(
        "SELECT constraint_schema, table_name, referenced_table_name, constraint_schema = database()"
        " FROM information_schema.referential_constraints WHERE unique_constraint_schema = database()"
    )
    # A view that reads them stays, and can be read again once they are there.
    return [
        ("foreign key", table if is_here else "{}.{}".format(schema, table), to)
        for schema, table, to, is_here in cursor.fetchall()
        if to.casefold() in going and not (is_here and table.casefold() in going)
    ]


def _holders_in_sqlite(connection, cursor, things):
    going = {thing["name"].casefold() for thing in things if thing["kind"] == "TABLE"}
    cursor.execute("SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL AND type <> 'index'")
    schema = cursor.fetchall()
    found = []
    for kind, name, _ in schema:
        if kind == "table" and name.casefold() not in going:
            try:
                keys = _rows(cursor, "PRAGMA foreign_key_list({})".format(connection.ops.quote_name(name)))
            except DatabaseError:
                continue  # of a module that is not there
            found += [("foreign key", name, row[2]) for row in keys if row[2].casefold() in going]
    gone = {(thing["kind"].casefold(), thing["name"].casefold()) for thing in things}
    return found + _broken_in_sqlite(connection.Database, schema, gone)


_BROKEN = re.compile(r"error in (view|trigger) (.+?)(?: after rename)?: no such table: (?:main\.)?(.+)$")


def _broken_in_sqlite(sqlite, schema, gone):
    """Return views and triggers that would break: with one of them SQLite renames no table, as Django does.

    SQLite itself says so, on an empty copy of the schema.
    """
    memory = sqlite.connect(":memory:")
    try:
        for row in sorted(schema, key=lambda row: ("table", "view", "trigger").index(row[0])):
            _run_alone(memory, sqlite, row[2])
        for kind, name in gone:
            _run_alone(memory, sqlite, 'DROP {} IF EXISTS "{}"'.format(kind, name.replace('"', '""')))
        memory.execute("CREATE TABLE dbmigrate_before (id)")
        found: list[tuple[str, ...]] = []
        while True:
            try:
                memory.execute("ALTER TABLE dbmigrate_before RENAME TO dbmigrate_after")
            except sqlite.Error as error:
                broken = _BROKEN.match(str(error))
                if broken is None or broken.groups() in found:
                    return found
                found.append(broken.groups())
                _run_alone(memory, sqlite, 'DROP {} "{}"'.format(broken[1], broken[2].replace('"', '""')))
            else:
                return found
    finally:
        memory.close()


def _run_alone(memory, sqlite, statement):
    try:
        memory.execute(statement)
    except sqlite.Error:
        pass  # of a module or function that the project's own connection has
