"""The lock of a MySQL or MariaDB database: a named lock of the server, which lasts as long as its session."""

import time

from django.db import Error as DatabaseError

from ..servers.identity import find_mysql_database
from .lock_connection import PAUSE_SECONDS, RETAKE_SECONDS, ConnectionLock
from .lock_names import LOCKS, NAME, mysql_name, mysql_step_names
from .session_marks import find_marked

FIRST_SECONDS = 600
"""How long a session may be idle until the run begins to ask whether it has its locks."""

CONNECT_SECONDS = 10
"""What a server gets that is connected to for a lock, where the project's settings give it no other time."""

ANSWER_SECONDS = 20
"""The same for an answer, which is given up after 15 anyway (lock_watch.py) where the driver lets itself be woken."""

DRIVERS = ("MySQLdb", "pymysql")
"""Those whose connections take these options."""


class MysqlLock(ConnectionLock):
    """GET_LOCK: its names are the server's, so the database is in the name."""

    def __init__(self, connection, url, mark):
        """Lock nothing yet; `url` is another way to the database, `mark` what is this run's alone."""
        super().__init__(connection, url, mark)
        self._name = None
        self._idle = None

    def _connect(self):
        if self.connection.Database.__name__ in DRIVERS:
            options = self.connection.settings_dict.setdefault("OPTIONS", {})
            options.setdefault("connect_timeout", CONNECT_SECONDS)
            options.setdefault("read_timeout", ANSWER_SECONDS)
            options.setdefault("write_timeout", ANSWER_SECONDS)
        super()._connect()
        self._idle = None

    def _take(self, cursor):
        database = find_mysql_database(cursor)
        self._name = mysql_name(database)
        cursor.execute("SELECT CONNECTION_ID(), @@hostname, @@port")
        self._session, *server = cursor.fetchone()
        self._last(cursor, FIRST_SECONDS)
        cursor.execute("SELECT GET_LOCK(%s, 0)", [self._name])
        if cursor.fetchone()[0] != 1:
            cursor.execute("SELECT IS_USED_LOCK(%s)", [self._name])
            return self._describe(cursor, cursor.fetchone()[0], NAME)
        cursor.execute("SELECT GET_LOCK(CONCAT(%s, CONNECTION_ID()), 0)", [self._mark + LOCKS])
        cursor.fetchall()
        steps = mysql_step_names(database)
        number = self._find_step(cursor, steps)
        if number is not None:
            cursor.execute("SELECT RELEASE_LOCK(%s)", [self._name])
            cursor.fetchall()
            return self._describe(cursor, number, "a migration of a run that has lost its lock")
        if self._url is None:  # which may lead to another database than the steps come to
            self.words = {"server": server, "run": self._name, "steps": steps}
        return None

    def _last(self, cursor, seconds):
        """Have the server end the session after so many idle seconds: nobody else notices where this one has died."""
        if seconds != self._idle:
            cursor.execute("SET SESSION wait_timeout = %s", [int(seconds)])
            self._idle = seconds

    def _is_held(self, cursor, idle):
        self._last(cursor, idle)
        cursor.execute("SELECT IS_USED_LOCK(%s) = CONNECTION_ID()", [self._name])
        return cursor.fetchone()[0] == 1

    def _read_contents(self, cursor):
        contents = super()._read_contents(cursor)
        if contents is None:
            cursor.execute("SELECT 1")  # a right that is missing, or the session, and the lock with it
        return contents

    def _find_step(self, cursor, names):
        """Return the number of a session of another run's step that still migrates; None if there is none."""
        used = ", ".join(["IS_USED_LOCK(%s)"] * len(names))
        cursor.execute("SELECT {}".format(used), names)
        for number in cursor.fetchone():
            if number is not None:
                cursor.execute("SELECT IS_USED_LOCK(CONCAT(%s, %s))", [self._mark, number])
                if cursor.fetchone()[0] != number:
                    return number
        return None

    def _describe(self, cursor, number, name):
        """Return the holder of a lock by the number of its session."""
        cursor.execute(
            "SELECT user, host, id, time, command FROM information_schema.processlist WHERE id = %s", [number]
        )
        row = cursor.fetchone()
        if row is None:
            return {"holder": NAME, "seconds": None}
        silent = float(row[3]) if row[4] == "Sleep" else 0.0
        said = "{} (user {} from {}, connection {})".format(name, *row[:3])
        return {"holder": said, "seconds": None, "silent": silent}

    def _end_session(self, cursor, session):
        """End a session of this run that the server has not seen the end of, and wait until it is over."""
        name = "{}{}{}".format(self._mark, LOCKS, session)
        deadline = time.monotonic() + RETAKE_SECONDS
        while time.monotonic() < deadline:
            cursor.execute("SELECT IS_USED_LOCK(%s) = %s", [name, session])
            if not cursor.fetchone()[0]:
                return
            self._end(cursor, session)
            time.sleep(PAUSE_SECONDS / 10)

    def end_orphans(self, mark, *, may_connect):
        """End the sessions of steps: no step is left, but MySQL continues with a statement whose client is gone.

        Return how many there were; None if nobody can ask. may_connect: whether another connection may be opened for
        it where that of the lock is gone.
        """
        try:
            return self._end_marked(mark)
        except DatabaseError:
            if not may_connect:
                return None
        self._close()
        try:
            return self._end_marked(mark)
        except DatabaseError:
            return None

    def _end_marked(self, mark):
        with self.connection.cursor() as cursor:
            numbers = find_marked(cursor, mark)
            for number in numbers:
                self._end(cursor, number)
            return len(numbers)

    def _end(self, cursor, number):
        try:
            cursor.execute("KILL {}".format(number))
        except DatabaseError:
            pass  # the session was over before we came
