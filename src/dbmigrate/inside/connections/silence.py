"""No server is waited for without end: a connection that says nothing for too long is cut, and its driver raises.

All that Django asks of a database (to connect, execute, fetch, commit, close) it asks inside
`BaseDatabaseWrapper.wrap_database_errors` (django/db/utils.py, DatabaseErrorWrapper, from 3.2 to 6.0). There it is
noted since when a server is waited for. A thread that runs only while the main thread waits shuts the socket of one
that takes too long: whatever the driver is, its read returns, and no thread stays behind in it.
"""

import contextlib
import threading
import time
import weakref
from typing import Any

from django.db import OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.utils import DatabaseErrorWrapper

from .sockets import find_descriptor, find_sockets, may_lead_to, shut

NAME = "wrap_database_errors"

TICK_SECONDS = 0.1

DOUBTFUL_SECONDS = 2.0
"""What a server gets that was silent when it was asked last: for other databases, or by the same run again."""

LATER_PART = 3
"""Once one server has been silent, each other one gets at least this part of the seconds that the first one had."""

END_SECONDS = 1.0
"""How long threads whose connections were cut may take to notice."""

THREADS = "dbmigrate "
"""What the names of our threads that ask a database begin with, before its alias."""


SQLITE_PART = 0.8
"""SQLite gives up a locked file on its own, in less than the seconds that are left: it says why."""

SQLITE_SECONDS = 5.0
"""How long SQLite waits for another process that writes, where OPTIONS says nothing (sqlite3.connect)."""


class SilenceError(OperationalError):
    """A server that has been connected to, or was to be, said nothing for too long."""

    def __init__(self, alias, text):
        """Keep the alias: a router may ask another database than the one that is looked at."""
        super().__init__(text)
        self.alias = alias


class Watch:
    """Knows what is waited for, and cuts what takes too long while a question is answered."""

    def __init__(self):
        """Begin to notice; nothing is cut until there is a `limit`."""
        self.seconds: Any = None
        self._waits: dict[int | None, Any] = {}
        self._guards: Any = weakref.WeakSet()
        self._doubtful: set[Any] = set()
        self._silent: set[Any] = set()
        self._answering: set[Any] = set()
        self._hopeless: Any = weakref.WeakSet()
        self._began_at = 0.0
        self._left_seconds = None
        """How long servers may still be waited for, in all; None is as long as they need."""
        self._before = set()
        self._thread = None
        self._is_over = threading.Event()
        self._replaced = BaseDatabaseWrapper.__dict__[NAME]
        setattr(BaseDatabaseWrapper, NAME, _GuardOf(self))

    def stop(self):
        """Notice nothing any more: in a copy of this process Django is as it was."""
        setattr(BaseDatabaseWrapper, NAME, self._replaced)
        self._leave(list(self._guards))

    def leave_closed(self):
        """Be with no connection that is closed until it is opened again: then `stop` finds few in a copy."""
        self._leave([guard for guard in self._guards if guard.wrapper.connection is None])

    def _leave(self, guards):
        for guard in guards:
            guard.wrapper.__dict__.pop(NAME, None)
            self._guards.discard(guard)

    @contextlib.contextmanager
    def limit(self, seconds, seconds_in_all=None):
        """Let no server be silent for longer than these seconds while the block runs; None is as long as it likes.

        seconds_in_all: how long the main thread may wait for servers, for all that they are asked; None is no limit.
        Threads that still wait for one when it ends are freed, so that this process can be copied.
        """
        self.seconds, self._began_at = seconds, time.monotonic()
        self._before = set() if seconds is None else find_sockets()
        self._left_seconds = seconds_in_all
        try:
            yield
        finally:
            self._end_thread()
            self.seconds = self._left_seconds = None
            self._free_threads()
            self._doubtful = (self._doubtful - self._answering) | self._silent
            self._silent, self._answering = set(), set()

    @property
    def most_seconds(self):
        """How long one server may be silent now at most."""
        return self.seconds if self._left_seconds is None else min(self.seconds, max(0.0, self._left_seconds))

    def seconds_for(self, connection):
        """Return how long the server of a connection may be silent, were it the first one that is."""
        is_doubtful = find_place(connection) in self._doubtful | self._silent
        return min(self.seconds, DOUBTFUL_SECONDS) if is_doubtful else self.seconds

    def note_silence(self, connection):
        """Remember that the server of a connection was silent: it is not waited for long again, until it answers."""
        self._silent.add(find_place(connection))

    def note_word(self, connection):
        """Remember that the server of a connection has said something."""
        self._answering.add(find_place(connection))

    def note(self, guard):
        """Note that a thread begins to wait for a server."""
        self._guards.add(guard)
        is_connecting = guard.wrapper.connection is None and not guard.is_bounded
        wait = _Wait(guard, find_sockets() if is_connecting else set())
        waits = self._waits.setdefault(threading.get_ident(), [])
        if waits:
            self._count(waits[-1])
        waits.append(wait)
        if self.seconds is not None and self._thread is None and threading.current_thread() is threading.main_thread():
            self._is_over.clear()
            self._thread = threading.Thread(target=self._cut_what_is_silent, name="dbmigrate", daemon=True)
            self._thread.start()

    def forget(self):
        """Note that a server has answered this thread: what it was asked around that has come further too."""
        waits = self._waits[threading.get_ident()]
        self._count(waits.pop())
        if waits:
            waits[-1].since = time.monotonic()
        else:
            del self._waits[threading.get_ident()]

    def _count(self, wait):
        """Take how long was waited off the time that is left for all."""
        if self._left_seconds is not None and threading.current_thread() is threading.main_thread():
            self._left_seconds -= time.monotonic() - wait.since

    def _cut_what_is_silent(self):
        main = threading.main_thread().ident
        while not self._is_over.wait(TICK_SECONDS):
            waits = self._waits.get(main)
            wait = waits[-1] if waits else None
            if wait is None or wait.guard.is_bounded or time.monotonic() - wait.since < self._limit_of(wait):
                continue
            if wait.guard.silent_seconds is None:
                wait.guard.silent_seconds = time.monotonic() - wait.since
                if self._left_seconds is None:  # else it may be fast enough where there is more time
                    self.note_silence(wait.guard.wrapper)
            self._cut(wait)  # again and again: a driver may try another address of its host

    def _limit_of(self, wait):
        """Return how long this server may be silent: those that are asked after a silent one have less left."""
        if wait.guard.silent_seconds is not None:
            return 0.0
        seconds = min(self.seconds_for(wait.guard.wrapper), self.most_seconds)
        if not self._silent:
            return seconds
        return min(seconds, max(self.seconds / LATER_PART, self._began_at + self.seconds - wait.since))

    def _cut(self, wait):
        if wait.guard.is_bounded:
            return
        descriptor = find_descriptor(wait.guard.wrapper)
        if descriptor is not None:
            shut(descriptor)
            return
        # Its driver is connecting, and tells no socket yet: what is new and nobody else's.
        others = {find_descriptor(guard.wrapper) for guard in list(self._guards)}
        for number, _ in find_sockets() - wait.sockets - self._before:
            if number not in others and may_lead_to(wait.guard.wrapper, number):
                shut(number)

    def _end_thread(self):
        if self._thread is not None:
            self._is_over.set()
            self._thread.join()
            self._thread = None

    def _free_threads(self):
        """Cut what threads of ours still wait for, and see them end; some wait for no socket, but for a name server."""
        deadline = time.monotonic() + END_SECONDS
        while True:
            late = [thread for thread in find_threads() if thread not in self._hopeless]
            if not late or time.monotonic() >= deadline:
                self._hopeless.update(late)
                return
            for thread in late:
                for wait in self._waits.get(thread.ident, ())[-1:]:
                    self._cut(wait)
            late[0].join(0.01)


class _Wait:
    """One thing that is asked of a database, and since when it says nothing."""

    def __init__(self, guard, sockets):
        self.guard = guard
        self.sockets = sockets
        self.since = time.monotonic()


class _GuardOf:
    """Takes the place of the cached property: the guard of each connection."""

    def __init__(self, watch):
        self._watch = watch

    def __get__(self, connection, owner=None):
        if connection is None:
            return self
        guard = connection.__dict__[NAME] = _Guard(connection, self._watch)
        return guard


class _Guard(DatabaseErrorWrapper):
    """Django's translation of a driver's errors, which also notes how long the driver waits."""

    def __init__(self, connection, watch):
        super().__init__(connection)
        self._watch = watch
        self.silent_seconds = None
        """How long the server had been silent when this connection was cut; None if it was not."""
        self._options = None

    @property
    def is_bounded(self):
        """Whether no server can be silent: SQLite waits no longer than its timeout, and otherwise it works."""
        return self.wrapper.vendor == "sqlite"

    def __enter__(self):
        if self.wrapper.connection is None:
            self.silent_seconds = None
            self._bound_busy_timeout()
        self._watch.note(self)

    def __exit__(self, exc_type, exc_value, traceback):
        self._watch.forget()
        if self._options is not None:
            self.wrapper.settings_dict["OPTIONS"], self._options = self._options, None
        if self.silent_seconds is not None and exc_type is not None and issubclass(exc_type, Exception):
            if isinstance(exc_value, SilenceError):
                return
            raise SilenceError(
                self.wrapper.alias, describe_silent_server(self.wrapper, self.silent_seconds)
            ) from exc_value
        if exc_type is None and self.silent_seconds is None:
            self._watch.note_word(self.wrapper)
        super().__exit__(exc_type, exc_value, traceback)

    def _bound_busy_timeout(self):
        """Let the driver itself wait less where it must: SQLite's sleeps between two tries cannot be interrupted."""
        configured = self.wrapper.settings_dict
        options = configured.get("OPTIONS") or {}
        timeout = options.get("timeout", SQLITE_SECONDS)
        if not self.is_bounded or self._watch.seconds is None or self._options is not None:
            return
        limit = self._watch.most_seconds * SQLITE_PART
        if isinstance(timeout, (int, float)) and timeout > limit:
            self._options = configured.get("OPTIONS")
            configured["OPTIONS"] = {**options, "timeout": limit}


def describe_silent_server(connection, seconds):
    """Return what is to be said of a server that was silent for so long."""
    if connection.connection is None:
        return "no connection within {:.0f} s".format(seconds)
    return "connected, and silent for {:.0f} s".format(seconds)


def find_place(connection):
    """Return what is equal for connections to one server; SQLite's files have none in common."""
    configured = connection.settings_dict
    place = configured["ENGINE"], str(configured.get("HOST")), str(configured.get("PORT"))
    return place if connection.vendor != "sqlite" else (*place, connection.alias)


def find_threads():
    """Return the threads of ours that ask a database."""
    return [thread for thread in threading.enumerate() if thread.name.startswith(THREADS)]
