"""Servers count a session for a moment after its client has closed it: what has no room now may have it at once."""

import time

from django.db import Error as DatabaseError

from .troubles import FULL, find_trouble

CLOSING_SECONDS = 2.0
"""For a machine with more to do than it can."""

PAUSE_SECONDS = 0.1


def connect_patiently(connect, connection, seconds=CLOSING_SECONDS):
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
