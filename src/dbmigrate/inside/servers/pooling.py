"""Poolers: several clients share the sessions of a server, and who comes when all are taken waits in a queue.

PgBouncer tells its administrators alone how many it has. So whether the lock has left one for the migrations is tried.
"""

from __future__ import annotations

import threading

from django.db import Error as DatabaseError
from django.db import connections

from ..connections.silence import THREADS
from ..connections.sockets import find_sockets, shut
from ..host_error import HostError
from .connecting import explain_opening
from .troubles import FULL

PROOF_SECONDS = 3.0
"""A pooler that has a session of the server left gives it at once; PgBouncer's clients wait up to query_wait_timeout,
which is 120 s unless it is configured."""


def is_pooled(connection, cursor):
    """Return whether a PostgreSQL connection leads to a pooler: it has told another number than its session has."""
    if connection.vendor != "postgresql":
        return False
    told = getattr(getattr(connection.connection, "info", None), "backend_pid", None)
    cursor.execute("SELECT pg_backend_pid()")
    return told is not None and told != cursor.fetchone()[0]


def has_room(alias: str) -> bool:
    """Return whether a pooler gives an alias one more session of its server, next to those that are taken.

    Raises:
        HostError: it does not connect for another reason.
    """
    try:
        return _takes_session(alias)
    finally:
        connections[alias].close()


def is_alone(connection, own):
    """Return whether no other session than these (numbers of the server) is on the database of an open connection.

    Then it is our own sessions that fill the pool, and nobody leaves room in it.
    """
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_stat_clear_snapshot()")  # in a transaction it would be what it was at first
            # Of others' sessions a user sees not much more than these columns.
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid NOT IN ({})".format(
                    ", ".join(map(str, own))
                )
            )
            return cursor.fetchone()[0] == 0
    except DatabaseError:
        return False


def count_sessions(aliases: list[str]) -> int:
    """Return how many of these aliases get a session of the server at the same time, up to the first that gets none.

    Raises:
        HostError: one does not connect for another reason.
    """
    count = 0
    try:
        while count < len(aliases) and _takes_session(aliases[count]):
            count += 1
        return count
    finally:
        for alias in aliases:
            connections[alias].close()


def _takes_session(alias):
    """Connect, and return whether there is a transaction on the connection then, which keeps its session."""
    connection = connections[alias]
    errors = []

    def ask():
        try:
            with connection.cursor() as cursor:
                cursor.execute("BEGIN")
                cursor.execute("SELECT 1")
                cursor.fetchone()
        except Exception as error:  # a receiver of connection_created may raise anything
            errors.append(error)

    before = find_sockets()
    connection.inc_thread_sharing()
    thread = threading.Thread(target=ask, name=THREADS + alias, daemon=True)
    thread.start()
    thread.join(PROOF_SECONDS)
    is_late = thread.is_alive()
    if is_late:
        for number, _ in find_sockets() - before:
            shut(number)
        thread.join(PROOF_SECONDS)
    connection.dec_thread_sharing()
    if is_late or not errors:
        return not is_late
    answer = explain_opening(errors[0], connection)
    if answer["trouble"] in (FULL, "silent"):  # "silent": the pooler's own patience ends (query_wait_timeout)
        return False
    raise HostError("database", answer["error"] or "", alias=alias, trouble=answer["trouble"]) from errors[0]
