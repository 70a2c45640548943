"""Which connections Django opens in this process, so that none of a look's outlives it, whoever opened it.

A receiver of `connection_created` may open more than was asked for: of another alias, in the thread that connects, with
a handler of its own. Django's `connections.close_all()` knows only what is its own in the thread that calls it.
"""

import contextlib
import os
import threading
import weakref

from django.db import connections
from django.db.backends.signals import connection_created


class Opened:
    """The connections that were opened since it was made."""

    def __init__(self):
        """Begin to notice."""
        self._seen = []
        connection_created.connect(self._note, weak=False)

    def _note(self, connection, **_):
        self._seen.append((weakref.ref(connection), threading.current_thread()))

    def close(self, kept):
        """Close every connection but those in `kept` and those of other threads that still run."""
        self.close_noticed(kept)
        connections.close_all()

    def close_noticed(self, kept):
        """Do the same with those that Django has announced: to look at all others takes time, and pages of copies."""
        seen, self._seen = self._seen, []
        for reference, thread in seen:
            connection = reference()
            if connection is None:
                continue
            if connection in kept or (thread.is_alive() and thread is not threading.current_thread()):
                self._seen.append((reference, thread))
            else:
                _close(connection)

    def stop(self):
        """Notice nothing any more."""
        connection_created.disconnect(self._note)
        self._seen = []


def _close(connection):
    connection.inc_thread_sharing()  # the thread that opened it has ended
    try:
        connection.close()
        if hasattr(connection, "close_pool"):  # Django 5.1: it has threads
            connection.close_pool()
    except Exception:
        pass  # a connection that cannot be closed is not in order anyway
    finally:
        connection.dec_thread_sharing()


@contextlib.contextmanager
def standing_for_its_alias(connection):
    """Have `connections[alias]` be this connection, in this thread, while the block runs.

    As it is where Django connects: a receiver of `connection_created` that asks there gets the one just opened.
    """
    found = connections[connection.alias]
    connections[connection.alias] = connection
    try:
        yield
    finally:
        connections[connection.alias] = found


def find_descriptors(known=frozenset()):
    """Return {number: what it is} of what this process has open, as "socket:[54321]" or a path; without those known."""
    found: dict[int, str] = {}
    for number in list_descriptors():
        link = None if number in known else read_link(number)
        if link is not None:  # as that of the one that listed them
            found[number] = link
    return found


def list_descriptors():
    """Return the numbers of what this process has open; of none where the system does not list them."""
    try:
        return list(map(int, os.listdir("/proc/self/fd")))
    except OSError:
        return []


def read_link(number):
    """Return what a descriptor of this process is, as "socket:[54321]" or a path; None if there is none."""
    try:
        return os.readlink("/proc/self/fd/{}".format(number))
    except OSError:
        return None
