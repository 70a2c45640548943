"""The question `sql`: the statements that migrations would run on one alias, without running them."""

import os

from django.db import connections

from .graph import Disk
from .scope import scoped
from .servers import sqlite_file


def write_sql(alias, migrations, scope):
    """Return [{id, statements, problem}] for [{id, backwards}] in the order given.

    The state before each migration is the one after the migrations before it, but the database is as it is now: where
    an operation has to look something up that an earlier pending migration makes, `problem` says so.
    """
    connection = _connection_without_file(connections[alias])
    loader = Disk().for_connection(connection)
    try:
        with scoped(scope):
            return [_collect(connection, loader, planned) for planned in migrations]
    finally:
        connection.close()


def _collect(connection, loader, planned):
    label, name = planned["id"].split(".", 1)
    migration = loader.graph.nodes[label, name]
    state = loader.project_state((label, name), at_end=False)
    try:
        with connection.schema_editor(collect_sql=True, atomic=migration.atomic) as editor:
            run = migration.unapply if planned["backwards"] else migration.apply
            run(state, editor, collect_sql=True)
        statements, problem = [str(statement) for statement in editor.collected_sql], None
    except Exception as error:
        statements, problem = [], "{}: {}".format(type(error).__name__, error)
    return {"id": planned["id"], "statements": statements, "problem": problem}


def _connection_without_file(connection):
    """Return a connection that creates no file: an absent SQLite database is stood in for by one in memory."""
    file = sqlite_file(connection)
    if file is None or os.path.exists(file):
        return connection
    return type(connection)(dict(connection.settings_dict, NAME=":memory:"), alias=connection.alias)
