"""The questions `make_scratch` and `drop_scratch`: empty databases, next to the project's own, to try migrations on."""

from __future__ import annotations

import os
import uuid
from typing import TYPE_CHECKING

from django.db import Error as DatabaseError
from django.db import connections

from ..connections.opened import standing_for_its_alias
from ..host_error import HostError
from ..sentences import one_line
from ..servers.identity import sqlite_file
from ..servers.troubles import FULL, find_trouble
from .twin import lead_to

if TYPE_CHECKING:
    from ..protocol import MakeScratchReply

PREFIX = "test_dbmigrate_"
"""As Django names the databases of its tests: where rights are given by pattern, it is for these names."""

MOST_OF_A_NAME = 30
"""Characters of the real database's name in that of its scratch database; servers take 63 in all."""

SETTINGS_OF_DATABASE = (
    "SELECT unnest(setconfig) FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase"
    " WHERE d.datname = current_database() AND s.setrole = 0"
)
SCHEMAS = "SELECT nspname FROM pg_namespace WHERE nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema'"
EXTENSIONS = (
    "SELECT extname, nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace"
    " WHERE extname <> 'plpgsql' ORDER BY e.oid"
)


class Scratches:
    """The scratch databases that were made and not yet dropped."""

    def __init__(self):
        """There is none yet."""
        self._made: list[tuple[str, str]] = []

    def make(self, aliases: list[str], folder: str) -> MakeScratchReply:
        """Make a scratch database for each of these aliases; those of one database get one.

        Returns {alias: NAME}, for aliases that mirror one of these too. Those of SQLite are files in `folder`.

        Raises:
            HostError: of kind "scratch", with the alias; there is none then.
        """
        names: MakeScratchReply = {}
        by_database: dict[object, str] = {}
        for alias in aliases:
            connection = connections[alias]
            try:
                key = _identify(connection)
                if key not in by_database:
                    by_database[key] = self._make(connection, folder)
                names[alias] = by_database[key]
            except (DatabaseError, OSError, NotImplementedError) as error:
                self.drop()
                said = one_line(str(error))
                is_full = isinstance(error, DatabaseError) and find_trouble(error, connection) == FULL
                raise HostError(
                    "scratch",
                    said,
                    alias=alias,
                    vendor=connection.vendor,
                    user=connection.settings_dict.get("USER"),
                    is_full=is_full,
                ) from error
            finally:
                connection.close()
        for alias in connections:
            mirrored = (connections.databases[alias].get("TEST") or {}).get("MIRROR")
            if alias not in names and mirrored in names:
                names[alias] = names[mirrored]
        return names

    def drop(self) -> None:
        """Drop all of them, whoever is connected."""
        while self._made:
            alias, name = self._made.pop()
            connection = connections[alias]
            try:
                with connection.cursor() as cursor:
                    in_sql = connection.ops.quote_name(name)
                    if connection.vendor == "postgresql":
                        cursor.execute(
                            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
                        )
                    cursor.execute("DROP DATABASE IF EXISTS {}".format(in_sql))
            except DatabaseError:
                pass  # it is empty, and its name says what it was
            finally:
                connection.close()

    def _make(self, connection, folder):
        if connection.vendor == "sqlite":
            return os.path.join(folder, "{}{}.sqlite3".format(PREFIX, connection.alias))
        if connection.vendor not in ("postgresql", "mysql"):
            raise NotImplementedError("cannot create a scratch database on {}".format(connection.vendor))
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_database()" if connection.vendor == "postgresql" else "SELECT database()")
            name = "{}{}_{}".format(PREFIX, cursor.fetchone()[0][:MOST_OF_A_NAME], uuid.uuid4().hex[:8])
            in_sql = connection.ops.quote_name(name)
            if connection.vendor == "mysql":
                cursor.execute("SELECT @@character_set_database, @@collation_database")
                in_sql += " CHARACTER SET {} COLLATE {}".format(*cursor.fetchone())
            cursor.execute("CREATE DATABASE {}".format(in_sql))
        self._made.append((connection.alias, name))
        if connection.vendor == "postgresql":
            _furnish(connection, name)
        return name


def _identify(connection):
    """Return what two aliases of one database have in common, whatever their schemas."""
    file = sqlite_file(connection)
    if file is not None:
        return os.path.realpath(file)
    if connection.vendor == "sqlite":
        return connection.alias
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SELECT current_database(), pg_postmaster_start_time(), current_setting('port')")
        elif connection.vendor == "mysql":
            cursor.execute("SELECT database(), @@hostname, @@port, @@socket")
        else:
            return connection.alias
        return cursor.fetchone()


def _furnish(connection, name):
    """Give a new database of PostgreSQL what an administrator gave the real one: extensions, schemas, settings."""
    with connection.cursor() as cursor:
        cursor.execute(SETTINGS_OF_DATABASE)
        settings = [row[0].partition("=") for row in cursor.fetchall()]
        cursor.execute(SCHEMAS)
        schemas = [row[0] for row in cursor.fetchall()]
        cursor.execute(EXTENSIONS)
        extensions = cursor.fetchall()
        quote = connection.ops.quote_name
        for key, _, value in settings:
            # Lists (search_path) are written as they are kept, every other value as a text.
            in_sql = value if key.endswith(("_path", "_libraries")) else "'{}'".format(value.replace("'", "''"))
            _try(cursor, "ALTER DATABASE {} SET {} TO {}".format(quote(name), key, in_sql))
    connection.close()  # a role may have room for one only
    scratch = connection.copy()
    scratch.settings_dict["OPTIONS"].pop("pool", None)
    lead_to(scratch, name)
    try:
        with standing_for_its_alias(scratch), scratch.cursor() as cursor:
            for schema in schemas:
                _try(cursor, "CREATE SCHEMA IF NOT EXISTS {}".format(quote(schema)))
            for extension, schema in extensions:
                _try(cursor, "CREATE EXTENSION IF NOT EXISTS {} SCHEMA {}".format(quote(extension), quote(schema)))
    finally:
        scratch.close()


def _try(cursor, statement):
    """Run a statement; what cannot be had is missed by the migration that needs it, which says so."""
    try:
        cursor.execute(statement)
    except DatabaseError:
        pass
