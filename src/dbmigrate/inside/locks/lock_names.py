"""What the locks are called, and the run that holds them."""

import hashlib
import os
import socket

NAME = "dbmigrate"

LOCKS = "lock:"
"""Stands behind the mark of a run in the names of what its locks hold, and not its steps."""

MOST_STEPS = 16
"""Sessions of steps on one MySQL database at a time that keep other runs away."""


def own_name():
    """Return what names the run to others: dbmigrate's process (the parent of this one) and its machine."""
    machine = "".join(letter for letter in socket.gethostname() if letter.isalnum() or letter in "-._")
    return "{} {}@{}".format(NAME, os.getppid(), machine[:40])


def number_of(name):
    """Return the number of a PostgreSQL advisory lock of this name."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)


def is_lock(number):
    """Return the condition for the rows of pg_locks that are this advisory lock, held by whomever."""
    high, low = (number >> 32) & 0xFFFFFFFF, number & 0xFFFFFFFF
    return (
        "locktype = 'advisory' AND granted AND objsubid = 1 AND classid = {} AND objid = {}"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    ).format(high, low)


def count_held(numbers, mark):
    """Return the statement that counts which of these advisory locks the sessions of the run with this mark hold.

    All sessions: a schema that two aliases of a run share is locked by one of them.
    """
    return "SELECT count(DISTINCT (classid, objid)) FROM pg_locks WHERE ({}) AND pid IN ({})".format(
        " OR ".join("({})".format(is_lock(number)) for number in numbers),
        "SELECT pid FROM pg_locks WHERE {}".format(is_lock(number_of(mark))),
    )


def steps_number(schema):
    """Return the number of the lock that the sessions of steps share which migrate this schema of PostgreSQL."""
    return number_of("{} steps:{}".format(NAME, schema))


def mysql_name(database):
    """Return the name of the lock of a MySQL database; the server takes 64 characters."""
    name = "{}:{}".format(NAME, database)
    return name if len(name) <= 64 else "{}:{}".format(NAME, _digest(database))


def mysql_step_names(database):
    """Return the names of the locks that sessions of steps on a MySQL database hold, one each."""
    return ["{} step {}:{}".format(NAME, number, _digest(database)) for number in range(MOST_STEPS)]


def _digest(name):
    return hashlib.sha256(name.encode()).hexdigest()[:32]
