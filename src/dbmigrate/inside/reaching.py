"""The question `reach`: which databases answer, all of them asked at the same time, and why the others do not."""

import os
import threading
import time
import traceback
from collections import deque

from django.core.exceptions import ImproperlyConfigured
from django.db import Error as DatabaseError
from django.db import connections

from .opened import standing_for_its_alias
from .patience import CLOSING_SECONDS, connect_patiently
from .sentences import one_line
from .servers import must_be_there, sqlite_file
from .troubles import describe_failure, unreachable

ANSWER_SECONDS = 15.0
"""A server that accepts a connection and says nothing is given up; not every driver has a limit of its own."""

MOST_OPEN = 16
"""Connections that are open at the same time while databases are looked at."""

DISPATCHER = os.path.join("django", "dispatch", "dispatcher.py")

THREADS = "dbmigrate "
"""What the names of our threads begin with, before that of a database."""


def reach(aliases, seconds):
    """Return {alias: {"state", "trouble", "error"}} for these aliases."""
    answers = open_connections(aliases, min(seconds, ANSWER_SECONDS))
    crowded = [alias for alias in aliases if answers[alias]["trouble"] == "not-accepting"]
    if crowded and len(aliases) > 1:
        # Connections of our own may have what they would have had: once more, one at a time.
        for alias in aliases:
            connections[alias].close()
        for alias in crowded:
            answers.update(open_connections([alias], min(seconds, ANSWER_SECONDS), min(seconds / 2, CLOSING_SECONDS)))
            connections[alias].close()
    return answers


def open_connections(aliases, seconds=ANSWER_SECONDS, patience=0.0):
    """Open the connections of these aliases, each in a thread of its own, and say how that went.

    patience: seconds for which a server may count sessions that were just closed.

    state: "ok", "absent" for an SQLite file that connecting would create, "no-engine", or "unreachable".
    """
    attempts = [_Attempt(alias, patience) for alias in aliases]
    deadline = time.monotonic() + seconds
    return {attempt.alias: attempt.finish(deadline, seconds) for attempt in attempts}


def find_silent():
    """Return the aliases that a thread of ours still waits for: their servers have said nothing in time."""
    names = {thread.name for thread in threading.enumerate()}
    return sorted(name[len(THREADS) :] for name in names if name.startswith(THREADS))


def open_in_turn(aliases):
    """Yield (alias, answer as of `open_connections`), the connection open; a few are opened ahead of their turn.

    The caller closes each. Not all at once: fifty databases of one server would take its last connection.
    """
    waiting, attempts, most = deque(aliases), deque(), MOST_OPEN
    while waiting or attempts:
        while waiting and len(attempts) < most:
            attempts.append(_Attempt(waiting.popleft(), CLOSING_SECONDS if most == 1 else 0.0))
        attempt = attempts.popleft()
        answer = attempt.finish(attempt.began_at + ANSWER_SECONDS, ANSWER_SECONDS)
        if answer["trouble"] == "not-accepting" and most > 1:
            # Connections of our own may have what it would have had: once more, without them.
            for ahead in attempts:
                ahead.finish(ahead.began_at + ANSWER_SECONDS, ANSWER_SECONDS)
                connections[ahead.alias].close()
            waiting.extendleft(reversed([attempt.alias, *(ahead.alias for ahead in attempts)]))
            attempts.clear()
            most = 1
            continue
        yield attempt.alias, answer


class _Attempt:
    """One connection being opened."""

    def __init__(self, alias, patience):
        self.alias = alias
        self._patience = patience
        self.began_at = time.monotonic()
        self._answer = None
        self._connection = connections[alias]
        if sqlite_file(self._connection) is not None:
            self._open()  # no server that could be silent
            self._thread = None
            return
        self._connection.inc_thread_sharing()
        self._thread = threading.Thread(target=self._open_in_thread, name=THREADS + alias, daemon=True)
        self._thread.start()

    def finish(self, deadline, seconds):
        """Return the answer; an attempt that lasts longer is left alone, with its connection."""
        if self._thread is not None:
            self._thread.join(max(0.0, deadline - time.monotonic()))
            if self._thread.is_alive():
                del connections[self.alias]
                said = "the server took the connection and said nothing for {:.0f} s".format(seconds)
                return unreachable("silent", said)
            self._connection.dec_thread_sharing()
        return self._answer

    def _open_in_thread(self):
        try:
            with standing_for_its_alias(self._connection):
                self._open()
        finally:
            connections.close_all()  # of this thread: what receivers have opened beside it

    def _open(self):
        try:
            state = connect_patiently(lambda: _find_state(self._connection), self._connection, self._patience)
            self._answer = {"state": state, "trouble": None, "error": None}
        except (DatabaseError, ImproperlyConfigured, OSError) as error:
            found = describe_failure(error, self._connection)
            self._answer = (_blame_receiver(error) if found["trouble"] == "other" else None) or found
        except Exception as error:  # an option that the driver does not know, a password that it cannot encode
            said = "{}: {}".format(type(error).__name__, one_line(str(error)))
            self._answer = _blame_receiver(error) or unreachable("settings", said)


def _blame_receiver(error):
    """Return the answer where a receiver of connection_created raised the error: the server has answered; else None."""
    frames = traceback.extract_tb(error.__traceback__)
    for index, receiver in enumerate(frames):
        if index and frames[index - 1].filename.endswith(DISPATCHER):
            return unreachable(
                "receiver",
                "{}: {} ({}:{} in {}, a receiver of connection_created)".format(
                    type(error).__name__, one_line(str(error)), receiver.filename, receiver.lineno, receiver.name
                ),
            )
    return None


def _find_state(connection):
    if connection.settings_dict["ENGINE"] == "django.db.backends.dummy":
        return "no-engine"
    file = sqlite_file(connection)
    if file is not None and not os.path.exists(file):
        folder = os.path.dirname(file)
        if not os.path.isdir(folder):
            raise OSError("the folder {} does not exist".format(folder))
        if must_be_there(connection):
            raise OSError("the file {} does not exist, and mode=rw does not create it".format(file))
        return "absent"
    connection.ensure_connection()
    return "ok"
