"""The questions of `reset`: where a database really is, and to empty it."""

import os

from django.db import connections, transaction

from .servers import sqlite_file

POSTGRESQL_OBJECTS = (
    ("VIEW", "c.relkind = 'v'"),
    ("MATERIALIZED VIEW", "c.relkind = 'm'"),
    ("TABLE", "c.relkind IN ('r', 'p')"),
    ("SEQUENCE", "c.relkind = 'S'"),
)


def find_host(alias):
    """Return the host that is really connected to ("" for a file or a socket), whatever PGHOST or a service says."""
    connection = connections[alias]
    if sqlite_file(connection) is not None:
        return ""
    try:
        connection.ensure_connection()
        if connection.vendor == "postgresql":
            return connection.connection.info.host or ""
        return str(connection.settings_dict.get("HOST") or "")
    finally:
        connection.close()


def empty(alias):
    """Drop everything in the database (PostgreSQL: in the current schema); extensions keep what is theirs."""
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
    finally:
        connection.close()


def _empty_postgresql(connection):
    with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
        for kind, condition in POSTGRESQL_OBJECTS:
            cursor.execute(
                "SELECT c.oid::regclass::text FROM pg_class c"
                " WHERE c.relnamespace = current_schema()::regnamespace AND " + condition + " AND NOT EXISTS"
                " (SELECT 1 FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')"
            )
            for (name,) in cursor.fetchall():
                cursor.execute("DROP {} IF EXISTS {} CASCADE".format(kind, name))


def _empty_mysql(connection):
    with connection.cursor() as cursor:
        cursor.execute("SET FOREIGN_KEY_CHECKS = 0")
        for info in connection.introspection.get_table_list(cursor):
            kind = "VIEW" if info.type == "v" else "TABLE"
            cursor.execute("DROP {} {}".format(kind, connection.ops.quote_name(info.name)))
