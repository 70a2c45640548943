"""The lock of an SQLite database: a file next to it, and on Linux the database file itself.

The lock file can be deleted or replaced while it is held: whoever comes then makes another one. So the database file is
locked as well, with flock; SQLite locks with fcntl, which on Linux knows nothing of that. It also has the names of
hard links in common, which have a lock file each. A database that is not there yet is locked by the step that makes it.
"""

from __future__ import annotations

import errno
import os
import sys
import time
import urllib.parse
from contextlib import closing
from typing import TYPE_CHECKING

from ..host_error import HostError
from ..servers.identity import sqlite_file
from .lock_names import NAME, own_name

if TYPE_CHECKING:
    from ..protocol import FailureKind

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

HAS_FLOCK = fcntl is not None
"""Whether this system has file locks."""

HELD_SECONDS = 0.5
"""How long a lost lock file is tried for while others have it: a run that waits has it for a moment at each try."""

PAUSE_SECONDS = 0.02
"""Between two tries."""

NETWORKS = ("nfs", "nfs4", "cifs", "smb2", "smb3", "smbfs", "9p")
"""File systems on which flock is a lock of fcntl: SQLite could not write to a file that we hold."""


class FileLock:
    """A lock file next to the database."""

    environment: dict[str, str] = {}
    connection = None
    is_pooled = False
    is_direct = True
    place = None
    keeper = "its file system"
    descriptors = ()  # a copy of this process keeps the files: the lock ends with the last of both

    def __init__(self, connection, _url, mark):
        """Lock nothing yet; `mark` is what is this run's alone."""
        self.alias = connection.alias
        self._database = os.path.realpath(sqlite_file(connection))
        self._path = self._database + ".dbmigrate-lock"
        self.device = _find_device(os.path.dirname(self._path))
        self._mark = mark
        # Numbers: a file object would be closed in a copy of this process, which forgets all of ours.
        self._file: int | None = None
        self._database_file: int | None = None
        self._is_proved = False
        self.contents = None

    def find_identity(self):
        """Return what names the database for every run."""
        return "sqlite:" + self._path

    @property
    def files(self):
        """Return the descriptors, of the lock and of the database, that are ours and not the project's."""
        return tuple(number for number in (self._file, self._database_file) if number is not None)

    @property
    def words(self):
        """Return what a step needs to lock the database and to look for the lock of its run."""
        return {"database": self._database, "run": self._path}

    def take(self):
        """Try to take it; return who holds it ({"holder", "seconds"}), or None once it is held by this run."""
        holder = self._take_file()
        if holder is not None:
            return holder
        if not self._take_database():
            holder = _find_holder(self._database)
            self.close(is_held=True)
            return holder
        self._is_proved = self._database_file is not None
        self.remember()
        return None

    def _take_file(self):
        while True:
            number = self._open()
            if not _flock(number):
                holder = _read_holder(number)
                os.close(number)
                return holder
            if _is_at(number, self._path):
                break
            os.close(number)  # its owner took it away between our two calls
        os.ftruncate(number, 0)
        os.pwrite(number, "{} {}\n{}\n".format(own_name(), time.time(), self._mark).encode(), 0)
        self._file = number
        return None

    def remember(self):
        """Remember what is in the database."""
        self.contents = _read_contents(self._database)

    def read(self):
        """Return what is in the database now (`contents`); None on a file system that may not answer."""
        return None if self._database_file is None else _read_contents(self._database)

    def ask(self, _idle):
        """Return why it is not held any more, or None."""
        has_database = self._take_database()
        if _is_at(self._file, self._path):
            self._is_proved = has_database and self._database_file is not None
            return None
        how = "replaced" if os.path.exists(self._path) else "deleted"
        return "its lock file {} was {}".format(self._path, how)

    def retake(self):
        """Try to take it again; return why that is not possible, or None: `contents` are those of then."""
        own = self._file
        assert own is not None
        deadline = time.monotonic() + HELD_SECONDS
        while True:
            try:
                holder = self._take_file()
            except HostError as error:
                return error.message
            if holder is None:
                break
            if time.monotonic() >= deadline:
                return "{} has it now".format(holder["holder"])
            time.sleep(PAUSE_SECONDS)
        os.close(own)
        if not self._is_proved:
            # A step that has made the database has it; whoever else had it has left another record.
            self._take_database()
            self.remember()
        return None

    def give_up(self):
        """Do nothing: a file system cannot be made to answer, and `retake` ends when it does."""

    abandon = give_up

    def leave_thread(self):
        """Do nothing: nothing was connected to by way of Django."""

    def _open(self):
        try:
            return os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            kind: FailureKind = "no-files" if error.errno in (errno.EMFILE, errno.ENFILE) else "no-lock"
            if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
                kind = "no-writes"
            raise HostError(kind, "{}: {}".format(self._path, error.strerror)) from error

    def _take_database(self):
        """Lock the database file, where it is there and can be; return False if somebody else has it."""
        if self._database_file is not None and _is_at(self._database_file, self._database):
            return True
        if not _may_be_locked(self._database):
            return True
        try:
            number = os.open(self._database, os.O_RDONLY)
        except OSError:
            return True  # it is gone, or this user may not read it
        if not _flock(number):
            os.close(number)
            return False
        if self._database_file is not None:
            os.close(self._database_file)  # of a file that is not there any more
        self._database_file = number
        return True

    def close(self, is_held):
        """Release it."""
        if not is_held:
            return
        if self._database_file is not None:
            os.close(self._database_file)
            self._database_file = None
        if _is_at(self._file, self._path):
            os.unlink(self._path)  # while it is locked: whoever opened it meanwhile sees that it is another one
        assert self._file is not None
        os.close(self._file)
        self._file = None


def lock_database(path):
    """Lock an SQLite file for as long as this process lives, where it can be; whoever has it already keeps it."""
    if _may_be_locked(path):
        # Never closed: that would take the locks away that SQLite has on the file in this process (man 2 fcntl).
        _flock(os.open(path, os.O_RDONLY))


def is_of_run(path, mark):
    """Return whether a lock file is that of the run with this mark."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().split("\n")[1:2] == [mark]
    except OSError:
        return False


def _find_device(folder):
    """Return what is equal for locks on one file system, which are all silent when it is; None if it does not say."""
    try:
        return os.stat(folder).st_dev
    except OSError:
        return None


def _flock(number):
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _is_at(number, path):
    """Return whether an open file is the one of this name."""
    try:
        return os.path.samestat(os.fstat(number), os.stat(path))
    except OSError:
        return False


def _may_be_locked(path):
    """Return whether flock on a database file is none of SQLite's business there."""
    if not sys.platform.startswith("linux") or not os.path.exists(path):
        return False
    device = os.stat(path).st_dev
    name = "{}:{}".format(os.major(device), os.minor(device))
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as file:
            # "36 35 98:0 /root /mount options - ext4 source ..." (man 5 proc)
            kinds = {line.partition(" - ")[2].split(" ")[0] for line in file if line.split(" ")[2] == name}
    except OSError:
        return False
    return not any(kind in NETWORKS or kind.startswith("fuse") for kind in kinds)


def _read_holder(number):
    first = os.pread(number, 1000, 0).decode("utf-8", "replace").split("\n")[0]
    name, _, since = first.strip().rpartition(" ")
    return {"holder": name or NAME, "seconds": max(0.0, time.time() - float(since)) if since else None}


def _find_holder(path):
    """Return who has a database file although the lock file next to it was free."""
    status = os.stat(path)
    place = "{:02x}:{:02x}:{}".format(os.major(status.st_dev), os.minor(status.st_dev), status.st_ino)
    pid = None
    try:
        with open("/proc/locks", encoding="ascii") as file:
            # "1: FLOCK  ADVISORY  WRITE 708 08:02:6553 0 EOF" (man 5 proc)
            words = [line.split() for line in file]
        pid = next((word[4] for word in words if word[1] == "FLOCK" and word[5] == place), None)
    except OSError:
        pass  # it is not told
    process = " (process {})".format(pid) if pid is not None else ""
    return {"holder": "{}{}, which has another lock file or lost its own,".format(NAME, process), "seconds": None}


def _read_contents(path):
    """Return the rows of django_migrations (graph.read_rows) and the names of tables; None if they cannot be read."""
    import sqlite3  # a Python may be without it, and then no database is of this kind

    if not os.path.exists(path):
        return [], []
    address = "file:{}?mode=ro".format(urllib.parse.quote(os.fsencode(path)))
    try:
        with closing(sqlite3.connect(address, uri=True, timeout=1)) as connection:
            rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            tables = [name for (name,) in rows if name != "sqlite_sequence"]  # which Django does not name either
            if "django_migrations" not in tables:
                return [], tables
            return connection.execute("SELECT app, name, id, applied FROM django_migrations").fetchall(), tables
    except sqlite3.Error:
        return None
