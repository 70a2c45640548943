"""The questions of `reset`: where a database really is, what would go with it, and to empty it."""

import os
import sys
import time
from contextlib import nullcontext

from django.db import Error as DatabaseError
from django.db import connections, transaction
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations import fields, models
from django.db.migrations.recorder import MigrationRecorder

from .boot import BootError, describe
from .servers import sqlite_file

LOCK_SECONDS = 2
"""How long counting waits for a lock: another run may be in the middle of a migration."""

COUNT_SECONDS = 10
"""How long counting may take; of what takes longer no number is told."""

HERE = " = current_schema()::regnamespace AND "

POSTGRESQL_OBJECTS = (
    ("VIEW", "SELECT oid, oid::regclass FROM pg_class WHERE relnamespace" + HERE + "relkind = 'v'"),
    ("MATERIALIZED VIEW", "SELECT oid, oid::regclass FROM pg_class WHERE relnamespace" + HERE + "relkind = 'm'"),
    ("TABLE", "SELECT oid, oid::regclass FROM pg_class WHERE relnamespace" + HERE + "relkind IN ('r', 'p', 'f')"),
    ("SEQUENCE", "SELECT oid, oid::regclass FROM pg_class WHERE relnamespace" + HERE + "relkind = 'S'"),
    ("TYPE", "SELECT oid, oid::regclass FROM pg_class WHERE relnamespace" + HERE + "relkind = 'c'"),
    # Not "FUNCTION": ROUTINE is procedures and aggregates as well.
    ("ROUTINE", "SELECT oid, oid::regprocedure FROM pg_proc WHERE pronamespace" + HERE + "true"),
    ("DOMAIN", "SELECT oid, oid::regtype FROM pg_type WHERE typnamespace" + HERE + "typtype = 'd'"),
    (
        "TYPE",
        "SELECT oid, oid::regtype FROM pg_type WHERE typnamespace" + HERE + "typtype IN ('e', 'r') AND typelem = 0",
    ),
)
"""What a schema holds, and how to find it."""


def find_host(alias):
    """Return the host that is really connected to ("" for a file or a socket), whatever PGHOST or a service says."""
    connection = connections[alias]
    if sqlite_file(connection) is not None:
        return ""
    try:
        connection.ensure_connection()
        if connection.vendor == "postgresql":
            return connection.connection.info.host or ""
        if connection.vendor == "mysql" and hasattr(connection.connection, "get_host_info"):
            return mysql_host(connection.connection.get_host_info())
        return str(connection.settings_dict.get("HOST") or "")
    finally:
        connection.close()


def mysql_host(host_info):
    """Return the host in what the drivers say: "db via TCP/IP" (mysqlclient), "socket db:3306" (PyMySQL)."""
    if host_info.endswith("via UNIX socket"):
        return ""
    if host_info.startswith("socket "):
        return host_info[len("socket ") :].rpartition(":")[0]
    return host_info.partition(" via ")[0]


def measure(alias):
    """Return how many tables and rows emptying takes away, without Django's own record; None: they cannot be counted.

    Counting asks for the lock of each table, for the right to read it, and for time.
    """
    deadline = time.monotonic() + COUNT_SECONDS
    connection = connections[alias]
    file = sqlite_file(connection)
    if file is not None and not os.path.exists(file):
        return {"tables": 0, "rows": 0}
    counted = {"tables": None, "rows": None}
    try:
        with _limited_transaction(connection), connection.cursor() as cursor:
            _limit(connection, cursor)
            tables = _own_tables(connection, cursor)
            tables.pop(MigrationRecorder.Migration._meta.db_table, None)
            counted["tables"] = len(tables)
            rows = 0
            for in_sql in tables.values():
                if time.monotonic() > deadline:
                    return counted
                cursor.execute("SELECT COUNT(*) FROM {}".format(in_sql))
                rows += cursor.fetchone()[0]
        counted["rows"] = rows
    except DatabaseError:
        pass
    finally:
        connection.close()
    return counted


def _limited_transaction(connection):
    # Behind a pooler a limit of the session's would stay with somebody else's. SQLite's BEGIN may ask for a lock.
    return transaction.atomic(using=connection.alias) if connection.vendor == "postgresql" else nullcontext()


def _limit(connection, cursor):
    """Let no statement that counts wait long for a lock, or take long by itself (SQLite knows no limit for that)."""
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


def _own_tables(connection, cursor):
    """Return {name: name in SQL} of the tables that emptying drops."""
    if connection.vendor != "postgresql":
        return {name: connection.ops.quote_name(name) for name in connection.introspection.table_names(cursor)}
    cursor.execute(
        "SELECT relname, oid::regclass::text FROM pg_class c WHERE relnamespace" + HERE + "relkind IN ('r', 'p')"
        " AND NOT relispartition AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')"
    )
    return dict(cursor.fetchall())


def find_hand_written(labels):
    """Return [[file, class of the operation]] for what makemigrations never writes in migrations of these apps."""
    found = []
    for (label, _), migration in sorted(MigrationLoader(None, ignore_no_migrations=True).disk_migrations.items()):
        if label in labels:
            file = sys.modules[migration.__module__].__file__
            kinds = [type(operation).__name__ for operation in migration.operations if not _is_generated(operation)]
            found += [[os.path.realpath(file), kind] for kind in dict.fromkeys(kinds)]
    return found


def _is_generated(operation):
    return any(cls.__module__ in (fields.__name__, models.__name__) for cls in type(operation).__mro__)


def empty(alias):
    """Drop everything in the database (PostgreSQL: in the current schema); extensions keep what is theirs.

    Raises:
        BootError: of kind "emptying", with what the database or the file system said.
    """
    connection = connections[alias]
    file = sqlite_file(connection)
    try:
        if file is not None:
            connection.close()
            for suffix in ("", "-wal", "-shm", "-journal"):
                if os.path.exists(file + suffix):
                    os.remove(file + suffix)
        elif connection.vendor == "postgresql":
            _empty_postgresql(connection)
        elif connection.vendor == "mysql":
            _empty_mysql(connection)
        else:
            raise NotImplementedError("reset cannot empty a database of {}".format(connection.vendor))
    except Exception as error:
        described = describe(error)
        raise BootError("emptying", described.message, **described.fields) from error
    finally:
        connection.close()


def _empty_postgresql(connection):
    with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
        for kind, found in POSTGRESQL_OBJECTS:
            cursor.execute(
                "SELECT o.name::text FROM (" + found + ") o (oid, name) WHERE NOT EXISTS"
                " (SELECT 1 FROM pg_depend d WHERE d.objid = o.oid AND d.deptype = 'e')"
            )
            for (name,) in cursor.fetchall():
                cursor.execute("DROP {} IF EXISTS {} CASCADE".format(kind, name))


def _empty_mysql(connection):
    with connection.cursor() as cursor:
        cursor.execute("SET FOREIGN_KEY_CHECKS = 0")
        for info in connection.introspection.get_table_list(cursor):
            kind = "VIEW" if info.type == "v" else "TABLE"
            cursor.execute("DROP {} {}".format(kind, connection.ops.quote_name(info.name)))
        cursor.execute(
            "SELECT routine_type, routine_name FROM information_schema.routines WHERE routine_schema = database()"
        )
        for kind, name in cursor.fetchall():
            cursor.execute("DROP {} {}".format(kind, connection.ops.quote_name(name)))
