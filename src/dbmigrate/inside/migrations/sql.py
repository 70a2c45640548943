"""The question `sql`: the statements that migrations would run on one alias, without running them."""

from __future__ import annotations

import contextlib
import os
import re
from functools import partial
from typing import TYPE_CHECKING

from django.db import connections
from django.db.migrations.state import ProjectState

from ..servers.identity import sqlite_file
from .guard_router import scoped

if TYPE_CHECKING:
    from ..protocol import AskedMigration, GuardScope, MigrationSqlReply, SqlReply

LOOKING = re.compile(
    r"\s*(?:(?:--[^\n]*\n|/\*.*?\*/|\()\s*)*"
    r"(?:SELECT|SHOW|PRAGMA|EXPLAIN|BEGIN|SAVEPOINT|RELEASE|ROLLBACK|SET(?!\s+(?:GLOBAL|PERSIST)))\b",
    re.IGNORECASE | re.DOTALL,
)
"""What is asked of a database while SQL is written down: the schema editor looks things up, and executes nothing."""


MADE = "made when it runs"
"""Stands for a default that a function makes, a time for example, where statements are compared."""


class _NotShownError(Exception):
    """An operation that is not to run would."""


def write_sql(
    disk, alias: str, migrations: list[AskedMigration], scope: GuardScope | None, is_compared: bool
) -> SqlReply:
    """Return the statements of these migrations, in the order given.

    `is_compared`: whether they are to be the same each time, so that no time of day stands in them.
    The state before each migration is the one after the migrations before it, but the database is as it is now: where
    an operation has to look something up that an earlier pending migration makes, `problem` says so.
    """
    with _connection_without_file(alias) as connection, scoped(scope):
        loader = disk.for_connection(connection)
        states = _States(loader)
        with connection.execute_wrapper(_only_look):
            return [_collect(connection, loader, states, planned, is_compared) for planned in migrations]


class _States:
    """The state before each of some migrations: going on from the one before it costs less than starting again."""

    def __init__(self, loader):
        """Begin with nothing."""
        self._loader = loader
        self._state = None
        self._done: set[tuple[str, str]] = set()

    def before(self, key, backwards):
        """Return the state before a migration, (app label, name), which the migration then takes through itself."""
        if backwards:
            self._state = None
            return self._loader.project_state(key, at_end=False)
        if self._state is None or key in self._done:
            self._state, self._done = ProjectState(real_apps=self._loader.unmigrated_apps), set()
        for parent in self._missing(key):
            self._loader.graph.nodes[parent].mutate_state(self._state, preserve=False)
        self._done.add(key)
        return self._state

    def forget(self):
        """Start again with the next one: this one has left the state half way."""
        self._state = None

    def _missing(self, key):
        """Yield what a migration depends on and is not in the state, each after what it depends on itself."""
        stack = [(key, False)]
        while stack:
            one, is_complete = stack.pop()
            if one in self._done:
                continue
            if is_complete and one != key:
                self._done.add(one)
                yield one
            elif not is_complete:
                stack.append((one, True))
                stack += [(parent, False) for parent in reversed(self._loader.parents_of(one))]


def _collect(connection, loader, states, planned: AskedMigration, is_compared) -> MigrationSqlReply:
    label, name = planned["id"].split(".", 1)
    migration = loader.graph.nodes[label, name]
    state, is_by_cursor = states.before((label, name), planned["backwards"]), False
    try:
        with connection.schema_editor(collect_sql=True, atomic=migration.atomic) as editor:
            if is_compared:
                editor.effective_default = partial(_take_default, editor.effective_default)
            run = migration.unapply if planned["backwards"] else migration.apply
            run(state, editor, collect_sql=True)
            own = len(editor.collected_sql)
        statements, problem = [str(statement) for statement in editor.collected_sql], None
        deferred = len(statements) - own
    except _NotShownError as error:
        statements, problem, deferred, is_by_cursor = [], str(error), 0, True
        states.forget()
    except Exception as error:
        statements, problem, deferred = [], "{}: {}".format(type(error).__name__, error), 0
        states.forget()
    return {
        "id": planned["id"],
        "statements": statements,
        "problem": problem,
        "is_by_cursor": is_by_cursor,
        "deferred": deferred,
    }


def _take_default(effective_default, field):
    """Return the default that the rows get which are there already, unless a function makes it (schema.py)."""
    value = effective_default(field)
    is_made = callable(field.default) if field.has_default() else False
    is_made = is_made or getattr(field, "auto_now", False) or getattr(field, "auto_now_add", False)
    return MADE if is_made and value is not None else value


def _only_look(execute, sql, params, many, context):
    """Let a statement through that only looks; an operation that works next to the schema editor would do its work."""
    text = sql if isinstance(sql, str) else str(sql)
    if LOOKING.match(text) is None:
        said = " ".join(text.split())[:80]
        raise _NotShownError("an operation runs it on a cursor, not through the schema editor: {}".format(said))
    return execute(sql, params, many, context)


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
