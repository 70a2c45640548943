"""The question `reach`: which databases answer, all of them asked at the same time, and why the others do not."""

from __future__ import annotations

import os
import threading
import time
import traceback
from collections import deque
from typing import TYPE_CHECKING

from django.core.exceptions import ImproperlyConfigured
from django.db import Error as DatabaseError
from django.db import connections

from ..connections.opened import standing_for_its_alias
from ..connections.silence import THREADS, describe_silent_server, find_threads
from ..sentences import one_line
from .identity import must_be_there, sqlite_file
from .patience import RETRY_SECONDS, connect_patiently
from .troubles import FULL, describe_failure, unreachable

if TYPE_CHECKING:
    from ..protocol import ReachedReply, ReachReply

MOST_OPEN = 16
"""Connections that are open at the same time while databases are looked at."""

DISPATCHER = os.path.join("django", "dispatch", "dispatcher.py")


_QUESTIONS = {"postgresql": "SELECT 1", "mysql": "SELECT 1", "sqlite": "PRAGMA schema_version"}
"""What shows that a database answers: a pooler takes a connection for a dead server, SQLite one to a locked file."""


def reach(aliases: list[str], seconds: float) -> ReachReply:
    """Return, by alias, whether these databases answer."""
    answers = open_connections(aliases, seconds)
    crowded = [alias for alias in aliases if answers[alias]["trouble"] == FULL]
    if crowded and len(aliases) > 1:
        # Connections of our own may have what they would have had: once more, one at a time.
        for alias in aliases:
            connections[alias].close()
        for alias in crowded:
            answers.update(open_connections([alias], seconds, min(seconds / 2, RETRY_SECONDS)))
            connections[alias].close()
    return answers


def open_connections(aliases: list[str], seconds: float, patience: float = 0.0) -> ReachReply:
    """Open the connections of these aliases, each in a thread of its own, and say how that went.

    patience: seconds for which a server may count sessions that were just closed.

    state: "ok", "absent" for an SQLite file that connecting would create, "no-engine", or "unreachable".
    """
    attempts = [_Attempt(alias, patience) for alias in aliases]
    deadline = time.monotonic() + seconds
    return {attempt.alias: attempt.finish(deadline) for attempt in attempts}


def find_silent():
    """Return the aliases that a thread of ours still waits for: their servers have said nothing in time."""
    return sorted({thread.name[len(THREADS) :] for thread in find_threads()})


def open_in_turn(aliases, watch):
    """Yield (alias, answer as of `reach`), the connection open; a few are opened ahead of their turn.

    The caller closes each. Not all at once: fifty databases of one server would take its last connection. How long
    each may be silent the watch (silence.Watch) says.
    """
    waiting = deque(aliases)
    attempts: deque[_Attempt] = deque()
    most = MOST_OPEN
    while waiting or attempts:
        while waiting and len(attempts) < most:
            attempts.append(_Attempt(waiting.popleft(), RETRY_SECONDS if most == 1 else 0.0))
        attempt = attempts.popleft()
        answer = attempt.finish(_deadline(attempt, watch))
        if answer["trouble"] == "silent":
            watch.note_silence(attempt.connection)
        if answer["trouble"] == FULL and most > 1:
            # Connections of our own may have what it would have had: once more, without them.
            for ahead in attempts:
                ahead.finish(_deadline(ahead, watch))
                connections[ahead.alias].close()
            waiting.extendleft(reversed([attempt.alias, *(ahead.alias for ahead in attempts)]))
            attempts.clear()
            most = 1
            continue
        yield attempt.alias, answer


def _deadline(attempt, watch):
    return attempt.began_at + watch.seconds_for(attempt.connection)


class _Attempt:
    """One connection being opened, in a thread of its own."""

    def __init__(self, alias, patience):
        self.alias = alias
        self._patience = patience
        self.began_at = time.monotonic()
        self._answer: ReachedReply | None = None
        self.connection = connections[alias]
        self.connection.inc_thread_sharing()
        self._thread = threading.Thread(target=self._open_in_thread, name=THREADS + alias, daemon=True)
        self._thread.start()

    def finish(self, deadline: float) -> ReachedReply:
        """Return the answer; an attempt that lasts longer is given up, with its connection."""
        self._thread.join(max(0.0, deadline - time.monotonic()))
        if self._thread.is_alive():
            del connections[self.alias]
            return unreachable("silent", describe_silent_server(self.connection, deadline - self.began_at))
        self.connection.dec_thread_sharing()
        assert self._answer is not None
        return self._answer

    def _open_in_thread(self):
        try:
            with standing_for_its_alias(self.connection):
                self._open()
        finally:
            connections.close_all()  # of this thread: what receivers have opened next to it

    def _open(self):
        try:
            state = connect_patiently(lambda: _find_state(self.connection), self.connection, self._patience)
            self._answer = {"state": state, "trouble": None, "error": None}
        except Exception as error:  # also an option that the driver does not know, or what a receiver raises
            self._answer = explain_opening(error, self.connection)


def explain_opening(error, connection) -> ReachedReply:
    """Return state, trouble and error for what was raised while a connection was opened."""
    if isinstance(error, (DatabaseError, ImproperlyConfigured, OSError)):
        found = describe_failure(error, connection)
        return (_blame_receiver(error) if found["trouble"] == "other" else None) or found
    said = "{}: {}".format(type(error).__name__, one_line(str(error)))
    return _blame_receiver(error) or unreachable("settings", said)  # a password that the driver cannot encode


def _blame_receiver(error) -> ReachedReply | None:
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
            raise FileNotFoundError("the folder {} does not exist".format(folder))
        if must_be_there(connection):
            raise FileNotFoundError("the file {} does not exist, and mode=rw does not create it".format(file))
        return "absent"
    connection.ensure_connection()
    if connection.vendor in _QUESTIONS:
        with connection.cursor() as cursor:
            cursor.execute(_QUESTIONS[connection.vendor])
            cursor.fetchall()
    return "ok"
