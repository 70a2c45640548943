"""The lock of a PostgreSQL database: an advisory lock that lasts as long as a transaction."""

import hashlib
import os

from django.db import Error as DatabaseError

from .lock_connection import ConnectionLock
from .lock_names import NAME, own_name
from .servers import find_home
from .silence import SilenceError

CHECK_OPTION = "-c client_connection_check_interval=1000"
"""PostgreSQL 14 and newer: a session whose client is gone ends within a second, also in the middle of a statement."""


class PostgresqlLock(ConnectionLock):
    """A transaction's advisory lock: a pooler must leave an open transaction on its server connection.

    READ COMMITTED, literals and the simple protocol: an idle transaction then keeps no snapshot.
    """

    def _connect(self):
        """Connect with CHECK_OPTION where that is possible, and remember it for the children."""
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

    def take(self):
        """Take the locks of the schemas in which django_migrations is or may be made: two runs have one in common.

        A schema that an alias shares with another one of this run is locked by that one.
        """
        try:
            with self.connection.cursor() as cursor:
                home, later = find_home(cursor)
                cursor.execute("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE")
                cursor.execute(
                    "SELECT set_config(name, '0', true) FROM pg_settings WHERE name IN"
                    " ('idle_in_transaction_session_timeout', 'transaction_timeout', 'idle_session_timeout')"
                )
                cursor.execute("SELECT set_config('application_name', '{}', true)".format(own_name()))
                cursor.execute("SELECT pg_try_advisory_xact_lock_shared({})".format(_number(self._mark)))
                for number in sorted(_number("{}:{}".format(NAME, schema)) for schema in {home, *later}):
                    cursor.execute("SELECT pg_try_advisory_xact_lock({})".format(number))
                    if cursor.fetchone()[0]:
                        self._check_that_it_holds(cursor, number)
                    elif not self._is_of_this_run(cursor, number):
                        holder = self._find_holder(cursor, number)
                        cursor.execute("ROLLBACK")
                        return holder
        except DatabaseError as error:
            self._refuse(error)
        return None

    def _check_that_it_holds(self, cursor, number):
        cursor.execute("SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND " + _is_lock(number))
        if cursor.fetchone()[0] != 1:
            self._refuse("the lock was taken on another server session: something between gives each statement its own")

    def _is_of_this_run(self, cursor, number):
        cursor.execute(
            "SELECT count(*) FROM pg_locks WHERE {} AND pid IN (SELECT pid FROM pg_locks WHERE {})".format(
                _is_lock(number), _is_lock(_number(self._mark))
            )
        )
        return cursor.fetchone()[0] > 0

    def _find_holder(self, cursor, number):
        cursor.execute(
            "SELECT a.application_name, a.pid, extract(epoch FROM clock_timestamp() - a.xact_start)"
            " FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid WHERE " + _is_lock(number)
        )
        row = cursor.fetchone()
        if row is None:
            return {"holder": NAME, "seconds": None}
        return {
            "holder": "{} (server process {})".format(row[0] or NAME, row[1]),
            "seconds": None if row[2] is None else float(row[2]),
        }


def _number(name):
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)


def _is_lock(number):
    high, low = (number >> 32) & 0xFFFFFFFF, number & 0xFFFFFFFF
    return (
        "locktype = 'advisory' AND granted AND objsubid = 1 AND classid = {} AND objid = {}"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    ).format(high, low)
