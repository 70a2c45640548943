"""The question `describe_tables`: the physical database, and how the tables are defined that migrations touch there."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from django.apps import apps
from django.db import connections
from django.db.migrations import RunPython, RunSQL

from ..migrations.effects import Effects
from ..migrations.routes import RouteBook, tables_of
from ..migrations.table_acts import follow_plan
from ..migrations.used_models import find_models, words_in_sql
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
    """Return the names of the tables that migrations make, change, point to, or work on."""
    nodes = loader.graph.nodes
    plan = [(nodes[tuple(planned["id"].split(".", 1))], planned["backwards"]) for planned in migrations]
    backwards = {(migration.app_label, migration.name): is_back for migration, is_back in plan}
    tables: set[str] = set()
    for doing in follow_plan(connection, loader, plan, lambda *planned: effects.reaching(connection, *planned)):
        named = {need.name for need in doing.needs if need.act != "extension"}
        label, operation = doing.migration.app_label, doing.reaching.operation
        tables |= named or _find_worked_on(label, operation, backwards[label, doing.migration.name])
    return tables


def _find_worked_on(label, operation, is_back):
    """Return the tables of an operation of which no state says what it touches."""
    if isinstance(operation, RunSQL):
        sql = operation.reverse_sql if is_back else operation.sql
        words = set() if sql in (None, RunSQL.noop) else words_in_sql(sql)
        return {table for table in _all_tables() if table.casefold() in words}
    if isinstance(operation, RunPython):
        function = operation.reverse_code if is_back else operation.code
        if function in (None, RunPython.noop):
            return set()
        models = [model for model in map(_find_model, find_models(function)) if model is not None]
        if models:
            return {model._meta.db_table for model in models}
    elif type(operation).__module__.startswith("django."):
        return set()
    return {model._meta.db_table for model in tables_of(apps.get_app_config(label))}


def _all_tables():
    return [model._meta.db_table for model in apps.get_models(include_auto_created=True)]


def _find_model(name):
    try:
        return apps.get_model(*name)
    except LookupError:
        return None  # it is gone since


def _name_driver(connection):
    module = getattr(connection, "Database", None)
    version = str(getattr(module, "__version__", getattr(module, "sqlite_version", ""))).split(" ")[0]
    return "{} {}".format(getattr(module, "__name__", ""), version).strip()
