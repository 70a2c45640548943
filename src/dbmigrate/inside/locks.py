"""The questions `lock` and `unlock`: one run at a time per physical database.

Every lock belongs to a connection (SQLite: a file) of this process alone, so it ends with this process, however that
ends. A lock is tried, never waited for: a session that waits inside a statement keeps a snapshot, and
CREATE INDEX CONCURRENTLY in the run that holds the lock would wait for it for ever.
"""

import errno
import hashlib
import os
import secrets
import socket
import sys
import time
import urllib.parse

from django.db import Error as DatabaseError
from django.db import connections

from .boot import BootError
from .marks import VARIABLE, find_marked
from .opened import find_descriptors, standing_for_its_alias
from .sentences import one_line
from .servers import describe_server, find_home, find_mysql_database, sqlite_file

try:
    import fcntl
    import resource
except ImportError:  # Windows
    fcntl = resource = None

NAME = "dbmigrate"

CHECK_OPTION = "-c client_connection_check_interval=1000"
"""PostgreSQL 14 and newer: a session whose client is gone ends within a second, also in the middle of a statement."""

YEAR_SECONDS = 31536000

SPARE_FILES = 64
"""Open files of a process beside its locks."""


class Locks:
    """The locks that this process holds or tries to get."""

    def __init__(self):
        """Hold nothing."""
        self._locks = {}
        self._held = []
        self._mark = "{}:{}:".format(NAME, secrets.token_hex(8))

    def lock(self, aliases, urls):
        """Try to take the lock of each alias; `urls` are other ways to a database, by alias.

        Taken in an order that is the same for every run, whatever its databases are called: two runs cannot wait for
        each other. Stops at the first that somebody else has; what was taken stays taken.
        """
        missing = {}
        if not self._locks:
            _make_room(len(aliases))
            self._locks = _prepare(aliases, urls, self._mark, missing)
        waiting = None
        for key, lock in sorted(self._locks.items()):
            if key not in self._held:
                waiting = lock.take()
                if waiting is not None:
                    waiting["alias"] = lock.alias
                    break
                self._held.append(key)
        environment = {alias: {} for alias in aliases}
        for lock in self._locks.values():
            environment[lock.alias].update(lock.environment)
        if any(isinstance(lock, _MysqlLock) for lock in self._locks.values()):
            # Of a step on any database: a data migration may write to another.
            for variables in environment.values():
                variables[VARIABLE] = self._mark
        return {"waiting": waiting, "missing": missing, "environment": environment}

    def end_orphans(self, seconds):
        """End what servers still do for children that are gone; their last breath may take these seconds."""
        deadline = time.monotonic() + seconds
        held = [lock for key, lock in self._locks.items() if key in self._held and isinstance(lock, _MysqlLock)]
        while held:
            for lock in held:
                lock.end_orphans(self._mark)
            if time.monotonic() >= deadline:
                return
            time.sleep(0.05)

    def unlock(self):
        """Release everything."""
        self.end_orphans(0)
        for key, lock in self._locks.items():
            lock.close(is_held=key in self._held)
        self._locks, self._held = {}, []

    def all(self):
        """Return every lock, held or tried for."""
        return list(self._locks.values())

    def connections(self):
        """Return the connections that locks are held on, or tried for."""
        return [lock.connection for lock in self._locks.values() if lock.connection is not None]

    def let_go(self):
        """Take the connections away from the drivers of a copy of this process, and keep them open all the same.

        A driver that closes its connection at exit would say goodbye on one that is not its own. As long as the copy
        lives the server sees the connection, so the lock of a run that was killed lasts until its migration has ended.
        """
        nowhere = os.open(os.devnull, os.O_RDWR)
        for lock in self._locks.values():
            for descriptor in lock.descriptors:
                os.dup(descriptor)
                os.dup2(nowhere, descriptor)
        os.close(nowhere)


def _make_room(count):
    """Raise the limit of open files as far as this process may, so that every lock has one."""
    if resource is None:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = count + SPARE_FILES
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
        kind = {"sqlite": _FileLock, "postgresql": _PostgresqlLock, "mysql": _MysqlLock}.get(connection.vendor)
        if kind is None:
            missing[alias] = "no lock is implemented for {}".format(connection.display_name)
        elif kind is _FileLock and sqlite_file(connection) is None:
            continue  # a database in memory belongs to one process
        elif kind is _FileLock and fcntl is None:
            missing[alias] = "this system has no file locks"
        else:
            lock = kind(connection, urls.get(alias), mark)
            prepared[lock.find_identity(), alias] = lock
    return prepared


class _FileLock:
    """A lock file beside the database."""

    environment = {}
    connection = None
    descriptors = ()  # a copy of this process keeps the file: the lock ends with the last of both

    def __init__(self, connection, _url, _mark):
        self.alias = connection.alias
        self._database = os.path.realpath(sqlite_file(connection))
        self._path = self._database + ".dbmigrate-lock"
        self._file = None
        self._linked = None

    def find_identity(self):
        return "sqlite:" + self._path

    def take(self):
        while True:
            try:
                file = open(self._path, "a+", encoding="utf-8")  # noqa: SIM115 - it is the lock
            except OSError as error:
                kind = {errno.EMFILE: "no-files", errno.ENFILE: "no-files"}.get(error.errno, "no-lock")
                if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
                    kind = "no-writes"
                raise BootError(kind, "{}: {}".format(self._path, error.strerror)) from error
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                with file:
                    return _read_holder(file)
            if self._is_current(file):
                break
            file.close()  # its owner took it away between our two calls
        file.truncate(0)
        file.write("{} {}\n".format(_own_name(), time.time()))
        file.flush()
        self._file = file
        if self._take_linked():
            return None
        self.close(is_held=True)
        return {"holder": NAME, "seconds": None}

    def _take_linked(self):
        """Lock the database file too where it has several names (hard links), and so several lock files.

        SQLite locks with fcntl, which on Linux knows nothing of flock.
        """
        if not sys.platform.startswith("linux") or not os.path.exists(self._database):
            return True
        if os.stat(self._database).st_nlink == 1:
            return True
        file = open(self._database, "rb")  # noqa: SIM115 - it is the lock
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            return False
        self._linked = file
        return True

    def _is_current(self, file):
        try:
            return os.path.samestat(os.fstat(file.fileno()), os.stat(self._path))
        except FileNotFoundError:
            return False

    def close(self, is_held):
        if is_held:
            if self._linked is not None:
                self._linked.close()
            with self._file:
                os.unlink(self._path)  # while it is locked: whoever opened it meanwhile sees that it is another one


def _read_holder(file):
    file.seek(0)
    name, _, since = file.read().strip().rpartition(" ")
    return {"holder": name or NAME, "seconds": max(0.0, time.time() - float(since)) if since else None}


class _ConnectionLock:
    """A lock on a connection of its own, with the project's driver and settings."""

    def __init__(self, connection, url, mark):
        self.alias = connection.alias
        self.environment = {}
        self._sockets = set()
        self._mark = mark
        self.connection = _own_connection(connection, url)

    @property
    def descriptors(self):
        """Those of its connection; what receivers have opened with it is closed by now."""
        return [number for number, _ in self._sockets & _sockets()]

    def find_identity(self):
        before = _sockets()
        try:
            with standing_for_its_alias(self.connection):
                self._connect()
            self._sockets = _sockets() - before
            return describe_server(self.connection, "ok")["identity"]
        except DatabaseError as error:
            self._refuse(error)

    def _connect(self):
        self.connection.ensure_connection()

    def close(self, is_held):
        self.connection.close()

    def _refuse(self, error):
        self.connection.close()
        raise BootError("no-lock", "{}: {}".format(self.alias, one_line(str(error))), alias=self.alias)


class _PostgresqlLock(_ConnectionLock):
    """A transaction's advisory lock: a pooler must leave an open transaction on its server connection.

    READ COMMITTED, literals and the simple protocol: an idle transaction then keeps no snapshot.
    """

    def _connect(self):
        """Connect with CHECK_OPTION where that is possible, and remember it for the children."""
        before = os.environ.get("PGOPTIONS")
        options = " ".join(part for part in (before, CHECK_OPTION) if part)
        os.environ["PGOPTIONS"] = options
        try:
            self.connection.ensure_connection()
            with self.connection.cursor() as cursor:
                # Settings with OPTIONS["options"] of their own replace PGOPTIONS.
                cursor.execute("SELECT current_setting('client_connection_check_interval', true)")
                if cursor.fetchone()[0] == "1s":
                    self.environment = {"PGOPTIONS": options}
        except DatabaseError:
            self.connection.close()  # an older server, or a pooler that takes no options
        finally:
            if before is None:
                del os.environ["PGOPTIONS"]
            else:
                os.environ["PGOPTIONS"] = before
        self.connection.ensure_connection()

    def take(self):
        """Take the locks of the schemas in which django_migrations is or may be made: two runs have one in common.

        A schema that an alias shares with another one of this run is locked by that one.
        """
        try:
            with self.connection.cursor() as cursor:
                home, later = find_home(cursor)
                cursor.execute("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE")
                cursor.execute(
                    "SELECT set_config(name, '0', true) FROM pg_settings WHERE name IN"
                    " ('idle_in_transaction_session_timeout', 'transaction_timeout', 'idle_session_timeout')"
                )
                cursor.execute("SELECT set_config('application_name', '{}', true)".format(_own_name()))
                cursor.execute("SELECT pg_try_advisory_xact_lock_shared({})".format(_number(self._mark)))
                for number in sorted(_number("{}:{}".format(NAME, schema)) for schema in {home, *later}):
                    cursor.execute("SELECT pg_try_advisory_xact_lock({})".format(number))
                    if cursor.fetchone()[0]:
                        self._check_that_it_holds(cursor, number)
                    elif not self._is_of_this_run(cursor, number):
                        holder = self._find_holder(cursor, number)
                        cursor.execute("ROLLBACK")
                        return holder
        except DatabaseError as error:
            self._refuse(error)
        return None

    def _check_that_it_holds(self, cursor, number):
        cursor.execute("SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND " + _is_lock(number))
        if cursor.fetchone()[0] != 1:
            self._refuse("the lock was taken on another server session: something between gives each statement its own")

    def _is_of_this_run(self, cursor, number):
        cursor.execute(
            "SELECT count(*) FROM pg_locks WHERE {} AND pid IN (SELECT pid FROM pg_locks WHERE {})".format(
                _is_lock(number), _is_lock(_number(self._mark))
            )
        )
        return cursor.fetchone()[0] > 0

    def _find_holder(self, cursor, number):
        cursor.execute(
            "SELECT a.application_name, a.pid, extract(epoch FROM clock_timestamp() - a.xact_start)"
            " FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid WHERE " + _is_lock(number)
        )
        row = cursor.fetchone()
        if row is None:
            return {"holder": NAME, "seconds": None}
        return {
            "holder": "{} (server process {})".format(row[0] or NAME, row[1]),
            "seconds": None if row[2] is None else float(row[2]),
        }


def _number(name):
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)


def _is_lock(number):
    high, low = (number >> 32) & 0xFFFFFFFF, number & 0xFFFFFFFF
    return (
        "locktype = 'advisory' AND granted AND objsubid = 1 AND classid = {} AND objid = {}"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    ).format(high, low)


class _MysqlLock(_ConnectionLock):
    """GET_LOCK: its names are the server's, so the database is in the name."""

    def take(self):
        try:
            with self.connection.cursor() as cursor:
                name = "{}:{}".format(NAME, find_mysql_database(cursor))
                if len(name) > 64:
                    name = "{}:{}".format(NAME, hashlib.sha256(name.encode()).hexdigest()[:48])
                # An idle session would be ended, and its lock with it.
                cursor.execute("SET SESSION wait_timeout = %s", [YEAR_SECONDS])
                cursor.execute("SELECT GET_LOCK(%s, 0)", [name])
                if cursor.fetchone()[0] == 1:
                    return None
                cursor.execute(
                    "SELECT user, host, id, time FROM information_schema.processlist WHERE id = IS_USED_LOCK(%s)",
                    [name],
                )
                row = cursor.fetchone()
        except DatabaseError as error:
            self._refuse(error)
        if row is None:
            return {"holder": NAME, "seconds": None}
        return {"holder": "{} (user {} from {}, connection {})".format(NAME, *row[:3]), "seconds": float(row[3])}

    def end_orphans(self, mark):
        """End the sessions of steps: no step is left, but MySQL goes on with a statement whose client is gone."""
        try:
            with self.connection.cursor() as cursor:
                for number in find_marked(cursor, mark):
                    self._end(cursor, number)
        except DatabaseError:
            pass  # the server is gone

    def _end(self, cursor, number):
        try:
            cursor.execute("KILL {}".format(number))
        except DatabaseError:
            pass  # the session was over before we came


def _sockets():
    """Return {(descriptor, what it is)} of the sockets of this process: not every driver tells which is its own."""
    return {(number, link) for number, link in find_descriptors().items() if link.startswith("socket:")}


def _own_connection(connection, url):
    own = connection.copy()
    configured = own.settings_dict
    configured["AUTOCOMMIT"] = True
    # A pool of Django 5.1 starts threads, and would hand out a connection that others get again.
    (configured.get("OPTIONS") or {}).pop("pool", None)
    if url is not None:
        configured.update({key: value for key, value in _read_url(url).items() if value})
    return own


def _read_url(url):
    """Return what a URL says of HOST, PORT, NAME, USER and PASSWORD; a socket's folder is a host in %2F."""
    parts = urllib.parse.urlsplit(url)
    place = parts.netloc.rpartition("@")[2]  # not parts.hostname: that one is in lower case
    host = place[: -len(str(parts.port)) - 1] if parts.port else place
    found = {
        "HOST": host.strip("[]"),
        "NAME": parts.path.lstrip("/"),
        "USER": parts.username,
        "PASSWORD": parts.password,
    }
    return dict({key: urllib.parse.unquote(value or "") for key, value in found.items()}, PORT=str(parts.port or ""))


def _own_name():
    """Return what names the run to others: dbmigrate's process (the parent of this one) and its machine."""
    machine = "".join(letter for letter in socket.gethostname() if letter.isalnum() or letter in "-._")
    return "{} {}@{}".format(NAME, os.getppid(), machine[:40])
