"""The questions `lock`, `check_locks` and `unlock`: one run at a time per physical database.

Every lock belongs to a connection (SQLite: a file) of this process alone, so it ends with this process, however that
ends. A lock is tried, never waited for: a session that waits inside a statement keeps a snapshot, and
CREATE INDEX CONCURRENTLY in the run that holds the lock would wait for it for ever.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
from typing import TYPE_CHECKING, Any

from django.db import connections

from ..connections.silence import SilenceError
from ..host_error import HostError
from ..servers.identity import sqlite_file
from ..servers.pooling import has_room, is_alone
from .lock_connection import describe_place
from .lock_file import HAS_FLOCK, FileLock
from .lock_mysql import MysqlLock
from .lock_names import NAME
from .lock_postgresql import PostgresqlLock
from .lock_watch import LockWatch, ask_in_turn
from .session_marks import write_marks

if TYPE_CHECKING:
    from ..protocol import CheckLocksReply, EndOrphansReply, LockReply

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

SPARE_FILES = 64
"""Open files of a process next to its locks."""

FILES_OF_A_LOCK = 2
"""That of SQLite has the lock file open and the database, the others a connection."""


class Locks:
    """The locks that this process holds or tries to get."""

    def __init__(self):
        """Hold nothing."""
        self._locks: dict[tuple[str, str], Any] = {}
        self._held: dict[tuple[str, str], LockWatch] = {}
        self._asking: list[tuple[threading.Thread, list[LockWatch]]] = []
        self._has_room = False
        self.has_waited = False
        """Whether one was not to be had at once: another run may have done something meanwhile."""
        self._missing: dict[str, str] = {}
        self.run: dict[str, Any] = {}
        """What steps are to know of this run (session_marks.VARIABLE)."""
        self._mark = "{}:{}:".format(NAME, secrets.token_hex(8))

    def lock(self, aliases: list[str], urls: dict[str, str], may_wait: bool) -> LockReply:
        """Try to take the lock of each alias; `urls` are other ways to a database, by alias.

        may_wait: whether it is retried where a pooler has no session left for the migrations (`crowded`).

        Taken in an order that is the same for every run, whatever its databases are called: two runs cannot wait for
        each other. Stops at the first that somebody else has; what was taken stays taken.
        """
        if not self._locks:
            _make_room(len(aliases))
            self._missing.clear()
            self._locks = _prepare(aliases, urls, self._mark, self._missing)
        if self._locks and len(self._held) == len(self._locks):
            for lock in self._locks.values():
                lock.remember()  # this run has emptied databases since
        waiting, crowded = None, None
        for key, lock in sorted(self._locks.items()):
            if key not in self._held:
                waiting = lock.take()
                if waiting is not None:
                    waiting["alias"] = lock.alias
                    break
                self._held[key] = LockWatch(lock)
        if waiting is None and not self._has_room:
            crowded = self._find_crowded(may_wait)
            self._has_room = crowded is None
        self.has_waited = self.has_waited or waiting is not None or crowded is not None
        environment: dict[str, dict[str, str]] = {alias: {} for alias in aliases}
        for lock in self._locks.values():
            environment[lock.alias].update(lock.environment)
        # Of a step on any database: a data migration may write to another.
        self.run = {"mark": self._mark, "locks": {lock.alias: lock.words for lock in self._locks.values()}}
        held = [self._locks[key].alias for key in self._held]
        return {
            "waiting": waiting,
            "crowded": crowded,
            "missing": dict(self._missing),
            "held": held,
            "environment": environment,
            "marks": write_marks(self.run) if self._locks else {},
        }

    def find_contents(self):
        """Return {alias: (rows of django_migrations, names of tables)} as the locks know them.

        A database is not in it if this user may not know them, or if a step may see another one than its lock does.
        """
        locks = [self._locks[key] for key in self._held if self._locks[key].is_direct]
        return {lock.alias: lock.contents for lock in locks if lock.contents is not None}

    def read_contents(self):
        """Return the same as it is now, of the locks that are not known to be lost.

        Instead of what it has, the SilenceError of the first lock on each server that says nothing in time.
        """
        found: dict[str, Any] = {}
        silent = set()
        for key, watch in self._held.items():
            lock = self._locks[key]
            if watch.is_asked or watch.is_lost or not lock.is_direct or lock.place in silent:
                continue
            try:
                found[lock.alias] = lock.read()
            except SilenceError as error:
                found[lock.alias] = error
                silent.add(lock.place)
        return {alias: contents for alias, contents in found.items() if contents is not None}

    def check(self, find_replacements, changed: dict[str, list[str]], idle: float, seconds: float) -> CheckLocksReply:
        """Return, by alias, whether the lock is still held (LockWatch.answer), within these seconds.

        find_replacements: returns what LockWatch.ask takes. changed: by alias, labels of migrations that steps of this
        run may have recorded or taken back. idle: seconds within which it is asked again.
        """
        deadline = time.monotonic() + seconds
        replacements = find_replacements()
        groups: dict[object, list[LockWatch]] = {}
        for key, watch in self._held.items():
            lock = self._locks[key]
            if watch.begin(changed.get(lock.alias, ()), replacements):
                groups.setdefault(key if lock.device is None else lock.device, []).append(watch)
        asking = [(ask_in_turn(watches, idle), watches) for watches in groups.values()]
        self._asking += [(thread, watches) for thread, watches in asking if thread is not None]
        answers = {self._locks[key].alias: watch.answer(deadline) for key, watch in self._held.items()}
        self._join_threads()
        return answers

    def _join_threads(self):
        """Wait for the last breath of threads that have asked: with one that runs this process cannot be copied."""
        ended = [not any(watch.is_asked for watch in watches) for _, watches in self._asking]
        for (thread, _), has_ended in zip(self._asking, ended):
            if has_ended:
                thread.join()
        self._asking = [entry for entry, has_ended in zip(self._asking, ended) if not has_ended]

    def _find_crowded(self, may_wait):
        """Return an alias whose pooler has no session left for the migrations next to that of the lock, or None.

        Raises:
            HostError: one has none and nobody may wait for it, or it is this run's locks alone that fill the pool.
        """
        pooled = [lock for lock in self._locks.values() if lock.is_pooled]
        for lock in pooled:
            if not has_room(lock.alias):
                if not may_wait or is_alone(lock.connection, [other.session for other in pooled]):
                    raise HostError("no-pool", lock.alias, **describe_place(lock.connection))
                return lock.alias
        return None

    def end_orphans(self, seconds: float, *, are_gone: bool = True) -> EndOrphansReply:
        """End what servers still do for children; return the aliases whose server still does by then, or may.

        are_gone: whether the children have ended, so that a server where nothing is left is not asked again; else
        their last breath may take all of these seconds.
        """
        deadline = time.monotonic() + seconds
        watched = [(self._locks[key], watch) for key, watch in self._held.items()]
        asked = {lock: watch.stop() for lock, watch in watched if isinstance(lock, MysqlLock)}
        unknown = {lock.alias for lock, is_free in asked.items() if not is_free}
        held = [lock for lock, is_free in asked.items() if is_free]
        while True:
            counts = {lock: lock.end_orphans(self._mark, may_connect=are_gone and seconds > 0) for lock in held}
            unknown.update(lock.alias for lock, count in counts.items() if count is None)
            left = [lock for lock, count in counts.items() if count]
            held = left if are_gone else held
            if not held or time.monotonic() >= deadline:
                return sorted({*unknown, *(lock.alias for lock in left)})
            time.sleep(0.05)

    def unlock(self) -> None:
        """Release everything."""
        self.end_orphans(0)
        for key, lock in self._locks.items():
            if key not in self._held or self._held[key].stop():
                lock.close(is_held=key in self._held)
        self._locks, self._held, self.has_waited, self.run = {}, {}, False, {}

    def descriptors(self):
        """Return the descriptors of the connections that locks are held on, or tried for, which a copy lets go."""
        return {number for lock in self._locks.values() for number in lock.descriptors}

    def files(self):
        """Return the descriptors of the files of locks, which a copy keeps."""
        return {number for lock in self._locks.values() for number in lock.files}

    def connections(self):
        """Return the connections that locks are held on, or tried for."""
        return [lock.connection for lock in self._locks.values() if lock.connection is not None]


def let_go(descriptors):
    """Take the connections of locks away from the drivers of a copy of this process, and keep them open all the same.

    A driver that closes its connection at exit would say goodbye on one that is not its own. As long as the copy
    lives the server sees the connection, so the lock of a run that was killed lasts until its migration has ended.
    """
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in descriptors:
        os.dup(descriptor)
        os.dup2(nowhere, descriptor)
    os.close(nowhere)


def _make_room(count):
    """Raise the limit of open files as far as this process may, so that every lock has its own."""
    if resource is None:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = count * FILES_OF_A_LOCK + SPARE_FILES
    if soft != resource.RLIM_INFINITY and soft < needed:
        most = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _prepare(aliases, urls, mark, missing):
    """Return {key: lock}, one for each alias; why there is none goes into `missing`.

    The keys begin with what the servers say of themselves: their order is the same for every run. `mark`: what is this
    run's alone.
    """
    prepared = {}
    for alias in aliases:
        connection = connections[alias]
        kind: Any = {"sqlite": FileLock, "postgresql": PostgresqlLock, "mysql": MysqlLock}.get(connection.vendor)
        if kind is None:
            missing[alias] = "no lock is implemented for {}".format(connection.display_name)
        elif kind is FileLock and sqlite_file(connection) is None:
            continue  # a database in memory belongs to one process
        elif kind is FileLock and not HAS_FLOCK:
            missing[alias] = "this system has no file locks"
        else:
            lock = kind(connection, urls.get(alias), mark)
            prepared[lock.find_identity(), alias] = lock
    return prepared
