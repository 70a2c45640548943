"""The questions of `reset` that change something, and two that warn: where a database is, what was written by hand."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from django.db import connections, transaction
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations import fields, models

from ..boot import describe
from ..host_error import HostError
from .identity import sqlite_file

if TYPE_CHECKING:
    from ..protocol import FindHandWrittenReply, Thing

ORDER = ("VIEW", "MATERIALIZED VIEW", "TABLE", "FOREIGN TABLE", "SEQUENCE", "ROUTINE", "DOMAIN", "TYPE")
"""Kinds of things in the order in which they are dropped; triggers go with their tables."""

LOCK_SECONDS = 10
"""How long dropping waits for sessions that use a table."""


class _Rehearsed(Exception):  # noqa: N818 - not an error
    """Takes a transaction back that has come to its end."""


def database_host(alias: str) -> str:
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


def find_hand_written(labels: list[str]) -> FindHandWrittenReply:
    """Return (file, class of the operation) for what makemigrations never writes in migrations of these apps."""
    found: FindHandWrittenReply = []
    for (label, _), migration in sorted(MigrationLoader(None, ignore_no_migrations=True).disk_migrations.items()):
        if label in labels:
            file = sys.modules[migration.__module__].__file__ or ""
            kinds = [type(operation).__name__ for operation in migration.operations if not _is_generated(operation)]
            found += [(os.path.realpath(file), kind) for kind in dict.fromkeys(kinds)]
    return found


def _is_generated(operation):
    return any(cls.__module__ in (fields.__name__, models.__name__) for cls in type(operation).__mro__)


def empty(alias: str, things: list[Thing], rehearse: bool) -> None:
    """Drop these things (holdings.py) and nothing else, in one transaction where the database has that.

    `rehearse`: take it back at the end; a database that cannot is not touched.

    Raises:
        HostError: of kind "emptying", with what the database said.
    """
    connection = connections[alias]
    file = sqlite_file(connection)
    if not things or (file is not None and not os.path.exists(file)):
        return
    try:
        if connection.features.can_rollback_ddl:
            _drop_in_transaction(connection, things, rehearse)
        elif not rehearse:
            with connection.cursor() as cursor:
                # These tables point to each other; what stays and points to them was refused.
                cursor.execute("SET FOREIGN_KEY_CHECKS = 0")
                cursor.execute("SET SESSION lock_wait_timeout = {}".format(LOCK_SECONDS))
                for statement in _statements(things):
                    cursor.execute(statement)
    except Exception as error:
        described = describe(error)
        raised_at = {key: described.fields[key] for key in ("file", "line", "traceback")}
        raise HostError("emptying", described.message, **raised_at) from error
    finally:
        connection.close()


def _drop_in_transaction(connection, things, rehearse):
    connection.disable_constraint_checking()  # of SQLite, which knows no such thing inside of a transaction
    try:
        with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
            if connection.vendor == "postgresql":
                cursor.execute("SET LOCAL lock_timeout = '{}s'".format(LOCK_SECONDS))
            for statement in _statements(things):
                cursor.execute(statement)
            if rehearse:
                raise _Rehearsed
    except _Rehearsed:
        pass


def _statements(things):
    """Yield the statements: one for all tables of a kind, where SQL knows that, since they point to each other."""
    for kind in (*ORDER, *sorted({thing["kind"] for thing in things} - {*ORDER, "TRIGGER"})):
        names = [thing["in_sql"] for thing in things if thing["kind"] == kind]
        if names and things[0]["schema_name"]:
            yield "DROP {} IF EXISTS {}".format(kind, ", ".join(names))
        else:
            for name in names:
                yield "DROP {} IF EXISTS {}".format(kind, name)
