"""Tell dbmigrate of a migration that failed for a reason that passes, and whether anything of it was committed.

A step writes a line of JSON for each (models.result.Transient) to a pipe that dbmigrate reads. What a person is shown
of the failure, the traceback, is never read for this.
"""

import functools
import json
import os

from .boot import patch_on_import
from .transient import find_transient

VARIABLE = "_DBMIGRATE_TELL"
"""Environment of a step: the number of the pipe's descriptor."""

READING = ("select", "show", "explain", "values", "with", "savepoint", "release", "rollback")
WRITING = ("insert", "update", "delete", "replace")
"""Statements after which MySQL can take all of a transaction back; any other may commit it."""


def take_descriptor():
    """Return the descriptor that dbmigrate gave to this process, which no process of its own inherits; or None."""
    number = os.environ.pop(VARIABLE, None)
    if number is None:
        return None
    os.set_inheritable(int(number), False)
    return int(number)


def arrange(descriptor):
    """Tell what becomes of migrations from now on; Django need not be imported yet."""

    def tell(migration, found, is_clean):
        code, words = found
        line = json.dumps({"migration": migration, "code": code, "words": words, "is_clean": is_clean})
        try:
            os.write(descriptor, line.encode() + b"\n")
        except OSError:
            pass  # nobody listens any more

    opened = {}

    def remember(connection, **_):
        opened[id(connection)] = connection

    patch_on_import(
        "django.db.backends.signals", lambda module: module.connection_created.connect(remember, weak=False)
    )
    patch_on_import("django.db.migrations.executor", functools.partial(_patch_executor, tell, opened))
    patch_on_import("django.db.migrations.recorder", functools.partial(_patch_recorder, tell))


def _patch_executor(tell, opened, module):
    executor = module.MigrationExecutor
    executor.apply_migration = _watched(executor.apply_migration, tell, opened)
    executor.unapply_migration = _watched(executor.unapply_migration, tell, opened)


def _watched(method, tell, opened):
    @functools.wraps(method)
    def watched(self, state, migration, *arguments, **keywords):
        watch = _Watch(self.connection, opened)
        try:
            with watch:
                return method(self, state, migration, *arguments, **keywords)
        except Exception as error:
            found = find_transient(error)
            if found is not None:
                identifier = "{}.{}".format(migration.app_label, migration.name)
                tell(identifier, found, bool(migration.atomic) and watch.is_clean)
            raise

    return watched


def _patch_recorder(tell, module):
    """Tell also of what fails before the first migration: its table is looked for, and made."""
    recorder = module.MigrationRecorder

    def watched(method):
        @functools.wraps(method)
        def run(self, *arguments):
            try:
                return method(self, *arguments)
            except Exception as error:
                found = find_transient(error)
                if found is not None:
                    tell(None, found, True)
                raise

        return run

    recorder.ensure_schema = watched(recorder.ensure_schema)
    recorder.applied_migrations = watched(recorder.applied_migrations)


class _Watch:
    """Knows whether something was committed while a migration ran, on its own connection or on another."""

    def __init__(self, connection, opened):
        self.is_clean = True
        self._own = connection
        self._opened = opened
        self._has_written = False

    def __enter__(self):
        self._commit = self._own.commit
        self._own.commit = self._note_commit
        from django.db.backends.signals import connection_created

        connection_created.connect(self._begin, weak=False)
        for connection in [self._own, *self._opened.values()]:
            self._begin(connection)
        return self

    def __exit__(self, *_):
        from django.db.backends.signals import connection_created

        connection_created.disconnect(self._begin)
        del self._own.commit
        for connection in [self._own, *self._opened.values()]:
            if self._note in connection.execute_wrappers:
                connection.execute_wrappers.remove(self._note)

    def _begin(self, connection, **_):
        """Look at each statement where a rollback does not take all of it back: of MySQL, and of other databases."""
        is_safe = connection is self._own and connection.features.can_rollback_ddl
        if not is_safe and self._note not in connection.execute_wrappers:
            connection.execute_wrappers.append(self._note)

    def _note(self, execute, sql, params, many, context):
        connection = context["connection"]
        word = sql.lstrip(" (\n\t").split(None, 1)[0].lower() if isinstance(sql, str) and sql.strip() else ""
        if word not in READING:
            is_taken_back = connection is self._own and word in WRITING and connection.in_atomic_block
            self.is_clean = self.is_clean and is_taken_back
            self._has_written = True
        return execute(sql, params, many, context)

    def _note_commit(self):
        self._commit()
        if self._has_written or self._own.features.can_rollback_ddl:
            self.is_clean = False
