"""Which sessions of a MySQL server belong to the steps of a run: each holds a named lock with its own number in it.

MySQL goes on with a statement whose client is gone. To end that one it must be known whose it was, and addresses do not
tell: other clients come from the same machine, and behind one address there may be many machines.
"""

import os
from contextlib import closing

VARIABLE = "_DBMIGRATE_SESSIONS"
"""Environment of a step: the beginning of the names of its locks."""


def are_wanted():
    """Return whether the sessions of this process are to be marked."""
    return VARIABLE in os.environ


def mark_sessions():
    """Mark every session that this process begins from now on; Django's management is imported already."""
    from django.db.backends.signals import connection_created

    statement = "SELECT GET_LOCK(CONCAT('{}', CONNECTION_ID()), 0)".format(os.environ[VARIABLE])

    def mark(connection, **_):
        if connection.vendor != "mysql":
            return
        try:
            with closing(connection.connection.cursor()) as cursor:
                cursor.execute(statement)
                cursor.fetchall()
        except connection.Database.Error:
            pass  # a cluster without such locks: there the step does without, and its statement runs to its end

    connection_created.connect(mark, weak=False)


def find_marked(cursor, prefix):
    """Return the numbers of the sessions that are marked with locks of this prefix."""
    cursor.execute("SELECT id FROM information_schema.processlist WHERE IS_USED_LOCK(CONCAT(%s, id)) = id", [prefix])
    return [int(number) for (number,) in cursor.fetchall()]
