"""The question `sql`: the statements that migrations would run on one alias, without running them."""

import contextlib
import os

from django.db import connections

from .scope import scoped
from .servers import sqlite_file


def write_sql(disk, alias, migrations, scope):
    """Return [{id, statements, problem, deferred}] for [{id, backwards}] in the order given.

    The state before each migration is the one after the migrations before it, but the database is as it is now: where
    an operation has to look something up that an earlier pending migration makes, `problem` says so.
    """
    with _connection_without_file(alias) as connection, scoped(scope):
        loader = disk.for_connection(connection)
        return [_collect(connection, loader, planned) for planned in migrations]


def _collect(connection, loader, planned):
    label, name = planned["id"].split(".", 1)
    migration = loader.graph.nodes[label, name]
    state = loader.project_state((label, name), at_end=False)
    try:
        with connection.schema_editor(collect_sql=True, atomic=migration.atomic) as editor:
            run = migration.unapply if planned["backwards"] else migration.apply
            run(state, editor, collect_sql=True)
            own = len(editor.collected_sql)
        statements, problem = [str(statement) for statement in editor.collected_sql], None
        deferred = len(statements) - own
    except Exception as error:
        statements, problem, deferred = [], "{}: {}".format(type(error).__name__, error), 0
    return {"id": planned["id"], "statements": statements, "problem": problem, "deferred": deferred}


@contextlib.contextmanager
def _connection_without_file(alias):
    """Give a connection that creates no file: an absent SQLite database is stood in for by one in memory."""
    connection = real = connections[alias]
    file = sqlite_file(real)
    if file is not None and not os.path.exists(file):
        connection = type(real)(dict(real.settings_dict, NAME=":memory:"), alias=alias)
        connections[alias] = connection  # transaction.atomic looks it up by its alias
    try:
        yield connection
    finally:
        connection.close()
        connections[alias] = real
