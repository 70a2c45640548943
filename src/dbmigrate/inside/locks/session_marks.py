"""Marks on the sessions that the steps of a run open: whose they are, and that somebody still migrates there.

The lock of a run may be lost while its steps continue, and a step may outlive its run. So a session of a
step holds a second lock, which a run looks for when it has taken the first one (PostgreSQL, MySQL: an advisory lock of
the session; SQLite: the database file itself). A session looks for the lock of its run when it has taken the second:
whoever comes first is seen by the other.

MySQL also continues with a statement whose client is gone. To end that one it must be known whose it was, and addresses
do not tell: other clients come from the same machine, and behind one address there may be many machines. So there each
session holds a named lock with its own number in it.
"""

from __future__ import annotations

import json
import os
from contextlib import closing

from .lock_names import LOCKS, count_held, number_of

TYPE_CHECKING = False  # not typing's: a step imports this before it becomes manage.py
if TYPE_CHECKING:
    from typing import Any

VARIABLE = "_DBMIGRATE_RUN"
"""Environment of a step: {"mark": the beginning of the names of its run's locks, "locks": {alias: what the lock of that
alias tells of itself (`words`), null if it cannot be looked for}}."""


def read_marks():
    """Return what this process is to know of its run, if its sessions are to be marked; else None."""
    return json.loads(os.environ[VARIABLE]) if VARIABLE in os.environ else None


def write_marks(run):
    """Return the variables from which a process reads this."""
    return {VARIABLE: json.dumps(run)}


def mark_sessions(run):
    """Mark every session that this process begins from now on as one of a run; Django's management is imported."""
    from django.db.backends.signals import connection_created

    marks: dict[str, Any] = {"sqlite": _Files(), "postgresql": _mark_postgresql, "mysql": _mark_mysql}

    def mark(connection, **_):
        if connection.vendor not in marks:
            return
        words = run["locks"].get(connection.alias)
        try:
            is_held = marks[connection.vendor](connection, run["mark"], words)
        except connection.Database.Error:
            return  # a cluster without such locks, or no right to look for them: there the step does without
        if not is_held:
            connection.close()  # or Django would continue with it when it connects the next time
            raise connection.Database.OperationalError(
                "the lock of database {} is no longer held by this run: another run may migrate it".format(
                    connection.alias
                )
            )

    connection_created.connect(mark, weak=False)


def _mark_postgresql(connection, mark, words):
    """Take the lock that sessions of steps share; return whether the run still has its own.

    Not behind a pooler, where a session's locks and settings would be left to its next client.
    """
    from ..connections.keepalives import keep_alive, postgresql_settings
    from ..servers.pooling import is_pooled

    own = connection.connection
    with closing(own.cursor()) as cursor:
        if is_pooled(connection, cursor):
            return True
        keep_alive(connection)
        cursor.execute(postgresql_settings(is_local=False))
        cursor.execute("SELECT current_database()")
        if words is None or cursor.fetchone()[0] != words["database"]:
            return True
        # In a transaction: what shares statements out between servers sends all of it to the one that writes.
        cursor.execute("BEGIN")
        try:
            for number in (number_of(mark), *words["steps"]):
                cursor.execute("SELECT pg_try_advisory_lock_shared({})".format(number))
            cursor.execute(count_held(words["runs"], mark))
            return cursor.fetchone()[0] == len(words["runs"])
        finally:
            cursor.execute("COMMIT")


def _mark_mysql(connection, mark, words):
    """Take a lock with the session's number, and one of those that keep other runs away; return as the others do."""
    from ..connections.keepalives import keep_alive

    keep_alive(connection)
    with closing(connection.connection.cursor()) as cursor:
        cursor.execute("SELECT GET_LOCK(CONCAT('{}', CONNECTION_ID()), 0)".format(mark))
        cursor.fetchall()
        if words is None:
            return True
        for name in words["steps"]:
            # All in one statement: what shares statements out between servers must not ask two of them.
            cursor.execute(
                "SELECT GET_LOCK(%s, 0), @@hostname, @@port, IS_USED_LOCK(%s),"
                " IS_USED_LOCK(CONCAT(%s, IS_USED_LOCK(%s)))",
                [name, words["run"], mark + LOCKS, words["run"]],
            )
            ((taken, host, port, holder, marked),) = cursor.fetchall()
            if taken == 1:
                is_another = [host, port] != words["server"]  # a node of a cluster whose nodes have locks of their own
                return is_another or (holder is not None and holder == marked)
    return True


class _Files:
    """The SQLite files that this process keeps other runs away from."""

    def __init__(self):
        self._seen = set()

    def __call__(self, _connection, mark, words):
        """Lock the database file, if its run has not; return whether the run still has its lock file."""
        from .lock_file import is_of_run, lock_database

        if words is None:
            return True
        if words["database"] not in self._seen:
            lock_database(words["database"])
            self._seen.add(words["database"])
        return is_of_run(words["run"], mark)


def find_marked(cursor, prefix):
    """Return the numbers of the sessions of a MySQL server that are marked with locks of this prefix."""
    cursor.execute("SELECT id FROM information_schema.processlist WHERE IS_USED_LOCK(CONCAT(%s, id)) = id", [prefix])
    return [int(number) for (number,) in cursor.fetchall()]
