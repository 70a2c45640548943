"""The lock of a MySQL or MariaDB database: a named lock of the server, which lasts as long as its session."""

import hashlib

from django.db import Error as DatabaseError

from .lock_connection import ConnectionLock
from .lock_names import NAME
from .marks import find_marked
from .servers import find_mysql_database

YEAR_SECONDS = 31536000


class MysqlLock(ConnectionLock):
    """GET_LOCK: its names are the server's, so the database is in the name."""

    def take(self):
        """Try to take it; return who holds it ({"holder", "seconds"}), or None once it is held by this run."""
        try:
            with self.connection.cursor() as cursor:
                name = "{}:{}".format(NAME, find_mysql_database(cursor))
                if len(name) > 64:
                    name = "{}:{}".format(NAME, hashlib.sha256(name.encode()).hexdigest()[:48])
                # An idle session would be ended, and its lock with it.
                cursor.execute("SET SESSION wait_timeout = %s", [YEAR_SECONDS])
                cursor.execute("SELECT GET_LOCK(%s, 0)", [name])
                if cursor.fetchone()[0] == 1:
                    return None
                cursor.execute(
                    "SELECT user, host, id, time FROM information_schema.processlist WHERE id = IS_USED_LOCK(%s)",
                    [name],
                )
                row = cursor.fetchone()
        except DatabaseError as error:
            self._refuse(error)
        if row is None:
            return {"holder": NAME, "seconds": None}
        return {"holder": "{} (user {} from {}, connection {})".format(NAME, *row[:3]), "seconds": float(row[3])}

    def end_orphans(self, mark):
        """End the sessions of steps: no step is left, but MySQL goes on with a statement whose client is gone.

        Return how many there were.
        """
        try:
            with self.connection.cursor() as cursor:
                numbers = find_marked(cursor, mark)
                for number in numbers:
                    self._end(cursor, number)
                return len(numbers)
        except DatabaseError:
            return 0  # the server is gone

    def _end(self, cursor, number):
        try:
            cursor.execute("KILL {}".format(number))
        except DatabaseError:
            pass  # the session was over before we came
