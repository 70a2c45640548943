"""The lock of an SQLite database: a file beside it."""

import errno
import os
import sys
import time

from .boot import BootError
from .lock_names import NAME, own_name
from .servers import sqlite_file

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


class FileLock:
    """A lock file beside the database."""

    environment = {}
    connection = None
    is_pooled = False
    descriptors = ()  # a copy of this process keeps the file: the lock ends with the last of both

    def __init__(self, connection, _url, _mark):
        """Lock nothing yet."""
        self.alias = connection.alias
        self._database = os.path.realpath(sqlite_file(connection))
        self._path = self._database + ".dbmigrate-lock"
        self._file = None
        self._linked = None

    def find_identity(self):
        """Return what names the database for every run."""
        return "sqlite:" + self._path

    def take(self):
        """Try to take it; return who holds it ({"holder", "seconds"}), or None once it is held by this run."""
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
        file.write("{} {}\n".format(own_name(), time.time()))
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
        """Release it."""
        if is_held:
            if self._linked is not None:
                self._linked.close()
            with self._file:
                os.unlink(self._path)  # while it is locked: whoever opened it meanwhile sees that it is another one


def _read_holder(file):
    file.seek(0)
    name, _, since = file.read().strip().rpartition(" ")
    return {"holder": name or NAME, "seconds": max(0.0, time.time() - float(since)) if since else None}
