"""The lock of a PostgreSQL database: an advisory lock that lasts as long as a transaction."""

import os
import time

from django.db import Error as DatabaseError

from ..connections.keepalives import postgresql_settings
from ..connections.silence import SilenceError
from ..servers.identity import find_home
from .lock_connection import PAUSE_SECONDS, RETAKE_SECONDS, ConnectionLock
from .lock_names import NAME, count_held, is_lock, number_of, own_name, steps_number

CHECK_OPTION = "-c client_connection_check_interval=1000"
"""PostgreSQL 14 and newer: a session whose client is gone ends within a second, also in the middle of a statement."""

TIMEOUTS = ("idle_in_transaction_session_timeout", "transaction_timeout", "idle_session_timeout")
"""What would end the lock's transaction while the run migrates."""


class PostgresqlLock(ConnectionLock):
    """A transaction's advisory lock: a pooler must leave an open transaction on its server connection.

    READ COMMITTED, literals and the simple protocol: an idle transaction then keeps no snapshot.
    """

    def __init__(self, connection, url, mark):
        """Lock nothing yet; `url` is another way to the database, `mark` what is this run's alone."""
        super().__init__(connection, url, mark)
        self._numbers = []

    def _connect(self):
        """Connect, the first time with CHECK_OPTION where that is possible, and remember it for the children."""
        if self._session is not None:
            self.connection.ensure_connection()
            return
        before = os.environ.get("PGOPTIONS")
        options = " ".join(part for part in (before, CHECK_OPTION) if part)
        os.environ["PGOPTIONS"] = options
        try:
            self.connection.ensure_connection()
            with self.connection.cursor() as cursor:
                # Settings with OPTIONS["options"] of their own replace PGOPTIONS.
                cursor.execute("SELECT current_setting('client_connection_check_interval', true)")
                if cursor.fetchone()[0] == "1s":
                    self.environment = {"PGOPTIONS": options}
        except SilenceError:
            raise  # it would not answer without options either
        except DatabaseError:
            self.connection.close()  # an older server, or a pooler that takes no options
        finally:
            if before is None:
                del os.environ["PGOPTIONS"]
            else:
                os.environ["PGOPTIONS"] = before
        self.connection.ensure_connection()

    def _take(self, cursor):
        """Take the locks of the schemas in which django_migrations is or may be made: two runs have one in common.

        A schema that an alias shares with another one of this run is locked by that one.
        """
        home, later = find_home(cursor)
        schemas = sorted({home, *later})
        cursor.execute("SELECT current_database()")
        database = cursor.fetchone()[0]
        cursor.execute("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE")
        cursor.execute(postgresql_settings(is_local=True, turned_off=TIMEOUTS))
        cursor.execute("SELECT set_config('application_name', '{}', true), pg_backend_pid()".format(own_name()))
        self._session = cursor.fetchone()[1]
        cursor.execute("SELECT pg_try_advisory_xact_lock_shared({})".format(number_of(self._mark)))
        self._numbers = sorted(number_of("{}:{}".format(NAME, schema)) for schema in schemas)
        for number in self._numbers:
            cursor.execute("SELECT pg_try_advisory_xact_lock({})".format(number))
            if cursor.fetchone()[0]:
                self._check_that_it_holds(cursor, number)
            elif not self._is_of_this_run(cursor, number):
                return self._give_way(cursor, self._find_holder(cursor, number))
        steps = [steps_number(schema) for schema in schemas]
        for number in steps:
            holder = self._find_step(cursor, number)
            if holder is not None:
                return self._give_way(cursor, holder)
        if self._url is None:  # which may lead to another database than the steps come to
            self.words = {"database": database, "runs": self._numbers, "steps": steps}
        return None

    def _give_way(self, cursor, holder):
        cursor.execute("ROLLBACK")
        return holder

    def _is_held(self, cursor, _idle):
        cursor.execute(count_held(self._numbers, self._mark))
        return cursor.fetchone()[0] == len(self._numbers)

    def _read_contents(self, cursor):
        # Back to the savepoint: a lock on the table would last as long as the transaction.
        cursor.execute("SAVEPOINT contents")
        contents = super()._read_contents(cursor)
        cursor.execute("ROLLBACK TO SAVEPOINT contents")
        cursor.execute("RELEASE SAVEPOINT contents")
        return contents

    def _end_session(self, cursor, session):
        """End a session of this run that the server has not seen the end of, and wait until it is over."""
        is_there = "FROM pg_locks WHERE pid = {} AND {}".format(session, is_lock(number_of(self._mark)))
        deadline = time.monotonic() + RETAKE_SECONDS
        cursor.execute("SELECT pg_terminate_backend(pid) {}".format(is_there))
        while cursor.fetchall() and time.monotonic() < deadline:
            time.sleep(PAUSE_SECONDS / 10)
            cursor.execute("SELECT pid {}".format(is_there))

    def _check_that_it_holds(self, cursor, number):
        cursor.execute("SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND " + is_lock(number))
        if cursor.fetchone()[0] != 1:
            self._refuse(
                "the lock was taken on another server session: something in between gives each statement its own"
            )

    def _is_of_this_run(self, cursor, number):
        cursor.execute(count_held([number], self._mark))
        return cursor.fetchone()[0] > 0

    def _find_holder(self, cursor, number):
        cursor.execute(
            "SELECT a.application_name, a.pid, extract(epoch FROM clock_timestamp() - a.xact_start),"
            " extract(epoch FROM clock_timestamp() - a.state_change)"
            " FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid WHERE " + is_lock(number)
        )
        row = cursor.fetchone()
        if row is None:
            return {"holder": NAME, "seconds": None}
        return {
            "holder": "{} (server process {})".format(row[0] or NAME, row[1]),
            "seconds": None if row[2] is None else float(row[2]),
            "silent": None if row[3] is None else float(row[3]),
        }

    def _find_step(self, cursor, number):
        """Return the session of another run's step that still migrates, although its run has no lock; else None."""
        cursor.execute(
            "SELECT l.pid, extract(epoch FROM clock_timestamp() - a.backend_start),"
            " CASE a.state WHEN 'active' THEN 0 ELSE extract(epoch FROM clock_timestamp() - a.state_change) END"
            " FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid"
            " WHERE {} AND l.pid NOT IN (SELECT pid FROM pg_locks WHERE {}) ORDER BY l.pid".format(
                is_lock(number), is_lock(number_of(self._mark))
            )
        )
        row = cursor.fetchone()
        if row is None:
            return None
        return {
            "holder": "a migration of a run that has lost its lock (server process {})".format(row[0]),
            "seconds": None if row[1] is None else float(row[1]),
            "silent": None if row[2] is None else float(row[2]),
        }
