"""Poolers: several clients share the sessions of a server, and who comes when all are taken waits in a queue.

PgBouncer tells its administrators alone how many it has. So whether the lock has left one for the migrations is tried.
"""

import os
import socket
import threading

from django.db import connections

from .silence import THREADS, find_sockets

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


def has_room(alias):
    """Return whether a pooler gives an alias one more session of its server, next to those that are taken."""
    try:
        return _takes_session(alias)
    finally:
        connections[alias].close()


def count_sessions(aliases):
    """Return how many of these aliases get a session of the server at the same time, up to the first that gets none."""
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
    answers = []

    def ask():
        try:
            with connection.cursor() as cursor:
                cursor.execute("BEGIN")
                cursor.execute("SELECT 1")
                answers.append(cursor.fetchone())
        except Exception:  # it is cut below, or refused
            pass

    before = find_sockets()
    connection.inc_thread_sharing()
    thread = threading.Thread(target=ask, name=THREADS + alias, daemon=True)
    thread.start()
    thread.join(PROOF_SECONDS)
    if thread.is_alive():
        for number, _ in find_sockets() - before:
            with socket.socket(fileno=os.dup(number)) as waiting:
                waiting.shutdown(socket.SHUT_RDWR)
        thread.join(PROOF_SECONDS)
    connection.dec_thread_sharing()
    return bool(answers)
