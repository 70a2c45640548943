"""The questions of `reset`: where a database really is, and to empty it."""

import os

from django.db import connections, transaction

from .servers import sqlite_file

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
