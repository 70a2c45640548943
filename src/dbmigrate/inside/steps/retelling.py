"""Report to dbmigrate a migration that failed for a temporary reason, and whether anything of it was committed.

A step writes a line of JSON for each (models.result.Transient) to a pipe that dbmigrate reads. What a person is shown
of the failure, the traceback, is never read for this.
"""

import functools
import json
import os
import re

from ..boot import patch_on_import
from ..servers.transient import find_transient

VARIABLE = "_DBMIGRATE_TELL"
"""Environment of a step: the number of the pipe's descriptor."""

TAKEN_BACK = (
    "select",
    "show",
    "explain",
    "values",
    "with",
    "savepoint",
    "release",
    "insert",
    "update",
    "delete",
    "replace",
)
"""Statements after which MySQL can take all of a transaction back; any other may commit it."""

ENDS = re.compile(
    r"(?<!\bon\s)\b(?:commit|abort|rollback(?!\s+(?:work\s+|transaction\s+)?to\b)|prepare)\b"
    r"|(?:^|;|\*/|\n)\s*end\b(?!\s*(?:if|loop|case|\$))",
    re.IGNORECASE,
)
"""What may end a transaction, wherever it stands: rather a migration too few is retried than one twice done."""

PLAIN = re.compile(
    r"\s*(?:\(*\s*select\b(?!.*\binto\b).*\bfrom\b|show\b|savepoint\b|release\b|rollback\s+to\b)[^;]*;?\s*\Z",
    re.I | re.S,
)
"""A statement that only reads; a SELECT of no table is how a function is called, and a WITH may write."""

LOOSE = """
    SELECT 1 FROM information_schema.tables AS t JOIN information_schema.engines AS e ON e.engine = t.engine
    WHERE t.table_schema = DATABASE() AND t.table_type = 'BASE TABLE' AND COALESCE(e.transactions, 'NO') <> 'YES'
    LIMIT 1
"""

IDLE = 0
"""What libpq calls a session without a transaction (PQTRANS_IDLE)."""


def take_descriptor():
    """Return the descriptor that dbmigrate gave to this process, which no process of its own inherits; or None."""
    number = os.environ.pop(VARIABLE, None)
    if number is None:
        return None
    os.set_inheritable(int(number), False)
    return int(number)


def arrange(descriptor):
    """Report what becomes of migrations from now on; Django need not be imported yet."""

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
                is_clean = bool(migration.atomic) and watch.is_clean
                tell(identifier, found, is_clean and not _has_loose_tables(self.connection))
            raise

    return watched


def _patch_recorder(tell, module):
    """Report also what fails before the first migration: its table is looked for, and made."""
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
        self._has_begun = False

    def __enter__(self):
        self._commit, self._rollback = self._own.commit, self._own.rollback
        self._own.commit, self._own.rollback = self._note_commit, self._note_rollback
        from django.db.backends.signals import connection_created

        connection_created.connect(self._begin, weak=False)
        for connection in [self._own, *self._opened.values()]:
            self._begin(connection)
        return self

    def __exit__(self, *_):
        from django.db.backends.signals import connection_created

        connection_created.disconnect(self._begin)
        del self._own.commit, self._own.rollback
        for connection in [self._own, *self._opened.values()]:
            if self._note in connection.execute_wrappers:
                connection.execute_wrappers.remove(self._note)

    def _begin(self, connection, **_):
        if self._note not in connection.execute_wrappers:
            connection.execute_wrappers.append(self._note)

    def _note(self, execute, sql, params, many, context):
        connection = context["connection"]
        self._look_at(connection, sql if isinstance(sql, str) else str(sql))
        self._look_for_end()
        try:
            return execute(sql, params, many, context)
        finally:
            self._has_begun = self._has_begun or not _has_no_transaction(self._own)

    def _look_at(self, connection, sql):
        """Note what a rollback of the migration does not take back whole."""
        if connection is not self._own:
            self.is_clean = self.is_clean and PLAIN.match(sql) is not None
        elif connection.features.can_rollback_ddl:
            self.is_clean = self.is_clean and ENDS.search(sql) is None
        elif PLAIN.match(sql) is None:
            word = (sql.lstrip(" (\n\t").split(None, 1) or [""])[0].lower()
            is_one = ";" not in sql.rstrip("; \n\t")
            is_taken_back = word in TAKEN_BACK and is_one and connection.in_atomic_block
            self.is_clean = self.is_clean and is_taken_back
            self._has_written = True

    def _look_for_end(self):
        """Note a transaction that something has ended past Django, whose driver begins the next on its own."""
        if self._has_begun and _has_no_transaction(self._own):
            self.is_clean = False

    def _note_commit(self):
        self._commit()
        self._has_begun = False
        if self._has_written or self._own.features.can_rollback_ddl:
            self.is_clean = False

    def _note_rollback(self):
        self._look_for_end()
        self._rollback()
        self._has_begun = False


def _has_loose_tables(connection):
    """Whether a MySQL database has tables whose rows no rollback takes back (MyISAM, Aria), or does not say."""
    if connection.vendor != "mysql":
        return False
    try:
        with connection.cursor() as cursor:
            cursor.execute(LOOSE)
            return cursor.fetchone() is not None
    except Exception:  # of any driver: the session may be gone
        return True


def _has_no_transaction(connection):
    """Whether the driver of a connection says that no transaction is open; False where it does not say."""
    session = connection.connection
    if connection.vendor == "sqlite":
        return session is not None and not session.in_transaction
    return getattr(getattr(session, "info", None), "transaction_status", None) == IDLE
