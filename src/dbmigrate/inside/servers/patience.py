"""Servers count a session for a moment after its client has closed it: what has no room now may have it at once."""

import threading
import time
from functools import partial

from django.db import Error as DatabaseError
from django.db.backends.base.base import BaseDatabaseWrapper

from .troubles import FULL, find_trouble

RETRY_SECONDS = 2.0
"""How long a connection is retried; for a machine with more to do than it can."""

PAUSE_SECONDS = 0.1


class Patience:
    """While it lasts, a connection that finds no room is retried for a moment: a question may follow another.

    Not in threads, where several are opened at a time and have what the others would have (reaching.py).
    """

    def __init__(self):
        """Begin."""
        self._ensure = ensure = BaseDatabaseWrapper.ensure_connection

        def ensure_connection(connection):
            if connection.connection is not None or threading.current_thread() is not threading.main_thread():
                return ensure(connection)
            return connect_patiently(partial(ensure, connection), connection, RETRY_SECONDS)

        BaseDatabaseWrapper.ensure_connection = ensure_connection

    def stop(self):
        """Let connections be opened as Django does."""
        BaseDatabaseWrapper.ensure_connection = self._ensure


def connect_patiently(connect, connection, seconds):
    """Return what `connect` returns, which opens a connection; it is called again while there is no room for it.

    Raises:
        Exception: what it raised at last.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            return connect()
        except DatabaseError as error:
            if time.monotonic() >= deadline or find_trouble(error, connection) != FULL:
                raise
            time.sleep(PAUSE_SECONDS)
