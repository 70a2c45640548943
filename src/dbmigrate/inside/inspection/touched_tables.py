"""The question `describe_tables`: the physical database, and how the tables are defined that migrations touch there."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from django.db import connections

from ..migrations.effects import Effects
from ..migrations.routes import RouteBook
from ..migrations.touched import TableNames
from ..servers.definitions import describe_definitions
from ..servers.identity import hash_identity, sqlite_file

if TYPE_CHECKING:
    from ..protocol import AskedMigration, DescribeTablesReply


def describe_tables(disk, alias: str, migrations: list[AskedMigration], root: str) -> DescribeTablesReply:
    """Return models.basis.DatabaseFacts; `migrations`: in the order of the plan, `root`: the project's.

    An SQLite file that is not there yet is not made.
    """
    connection = connections[alias]
    file = sqlite_file(connection)
    is_there = file is None or os.path.exists(file)
    loader = disk.for_connection(connection if is_there else None)
    tables = sorted(_find_tables(connection, loader, Effects(disk, RouteBook()), migrations))
    return {
        "identity": hash_identity(connection, root),
        "driver": _name_driver(connection),
        "tables": describe_definitions(connection, tables) if is_there else dict.fromkeys(tables),
    }


def _find_tables(connection, loader, effects, migrations):
    names, found = TableNames(loader), set()
    for planned in migrations:
        migration = loader.graph.nodes[tuple(planned["id"].split(".", 1))]
        for entry in effects.reaching(connection, migration, planned["backwards"]):
            found |= names.find(migration.app_label, entry.operation, planned["backwards"])
    return found


def _name_driver(connection):
    module = getattr(connection, "Database", None)
    version = str(getattr(module, "__version__", getattr(module, "sqlite_version", ""))).split(" ")[0]
    return "{} {}".format(getattr(module, "__name__", ""), version).strip()
