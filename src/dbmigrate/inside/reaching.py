"""The question `reach`: which databases answer, all of them asked at the same time, and why the others do not."""

import os
import threading
import time
import traceback
from collections import deque

from django.core.exceptions import ImproperlyConfigured
from django.db import Error as DatabaseError
from django.db import connections

from .boot import BootError, is_of_project
from .opened import standing_for_its_alias
from .sentences import one_line
from .servers import must_be_there, sqlite_file

ANSWER_SECONDS = 15.0
"""A server that accepts a connection and says nothing is given up; not every driver has a limit of its own."""

MOST_OPEN = 16
"""Connections that are open at the same time while databases are looked at."""

DISPATCHER = os.path.join("django", "dispatch", "dispatcher.py")

THREADS = "dbmigrate "
"""What the names of our threads begin with, before that of a database."""

_CODES = {
    "42501": "rights",
    "28P01": "password",
    "3D000": "no-database",
    1044: "rights",
    1045: "password",
    1049: "no-database",
    1142: "rights",
}
"""SQLSTATE of PostgreSQL and error numbers of MySQL, which are the same in every language of the server."""

# For what comes without a code: words of libpq, the PostgreSQL server and the MySQL drivers; the first that fits.
_WORDS = (
    (
        "rights",
        (
            *(
                "permission denied for {}".format(what)
                for what in ("table", "relation", "schema", "view", "sequence", "database")
            ),
            "select command denied",
        ),
    ),
    (
        "not-accepting",
        (
            "shutting down",
            "too many",
            "connection slots",
            "not currently accepting",
            "not accepting connections",
            "has exceeded the",
        ),
    ),
    (
        "password",
        (
            "password authentication failed",
            "no password supplied",
            "no pg_hba.conf entry",
            "pg_hba.conf rejects",
            "access denied",
            "is not allowed to connect",
        ),
    ),
    ("role", ('role "',)),
    ("settings", ("invalid connection option", "invalid dsn", "invalid sslmode")),
    ("starting", ("starting up", "not yet accepting", "recovery mode", "initial communication packet")),
    ("no-database", ('database "', "unknown database")),
    ("unknown-host", ("could not translate host name", "name or service not known", "name resolution", "getaddrinfo")),
    ("refused", ("connection refused", "no such file or directory")),
    ("tls", ("ssl", "tls", "certificate")),
    ("silent", ("timeout", "timed out")),
)


def reach(aliases, seconds):
    """Return {alias: {"state", "trouble", "error"}} for these aliases."""
    return open_connections(aliases, min(seconds, ANSWER_SECONDS))


def open_connections(aliases, seconds=ANSWER_SECONDS):
    """Open the connections of these aliases, each in a thread of its own, and say how that went.

    state: "ok", "absent" for an SQLite file that connecting would create, "no-engine", or "unreachable".
    """
    attempts = [_Attempt(alias) for alias in aliases]
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
    waiting, attempts = deque(aliases), deque()
    while waiting or attempts:
        while waiting and len(attempts) < MOST_OPEN:
            attempts.append(_Attempt(waiting.popleft()))
        attempt = attempts.popleft()
        yield attempt.alias, attempt.finish(attempt.began_at + ANSWER_SECONDS, ANSWER_SECONDS)


class _Attempt:
    """One connection being opened."""

    def __init__(self, alias):
        self.alias = alias
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
                return _unreachable("silent", said)
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
            self._answer = {"state": _find_state(self._connection), "trouble": None, "error": None}
        except (DatabaseError, ImproperlyConfigured, OSError) as error:
            found = describe_failure(error)
            self._answer = (_blame_receiver(error) if found["trouble"] == "other" else None) or found
        except Exception as error:  # an option that the driver does not know, a password that it cannot encode
            said = "{}: {}".format(type(error).__name__, one_line(str(error)))
            self._answer = _blame_receiver(error) or _unreachable("settings", said)


def _blame_receiver(error):
    """Return the answer where a receiver of connection_created raised the error: the server has answered; else None."""
    frames = traceback.extract_tb(error.__traceback__)
    for index, receiver in enumerate(frames):
        if index and frames[index - 1].filename.endswith(DISPATCHER):
            return _unreachable(
                "receiver",
                "{}: {} ({}:{} in {}, a receiver of connection_created)".format(
                    type(error).__name__, one_line(str(error)), receiver.filename, receiver.lineno, receiver.name
                ),
            )
    return None


def explain_failure(error, connection):
    """Return state, trouble and error for what was raised in a look at a database; None if it is not the database's.

    A backend or a driver may raise anything: what came through their code says nothing of the project.
    """
    if isinstance(error, (DatabaseError, ImproperlyConfigured, OSError)):
        return describe_failure(error)
    if _is_of_backend(error, connection):
        return _unreachable("backend", "{}: {}".format(type(error).__name__, one_line(str(error))).rstrip(": "))
    return None


def find_fault(alias, error):
    """Return a BootError for what a question about one database raised; None if it is not the database's fault."""
    failure = explain_failure(error, connections[alias])
    if failure is None:
        return None
    return BootError("database", failure["error"], alias=alias, trouble=failure["trouble"])


def _is_of_backend(error, connection):
    """Whether an error comes from the backend: the innermost frame of its own code or of the project's decides."""
    parts = ("introspection", "features", "ops", "creation", "client")
    classes = [type(connection), *(type(getattr(connection, part, None)) for part in parts)]
    modules = {cls.__module__ for cls in classes}
    package = "{}.".format(connection.settings_dict["ENGINE"])
    is_below_backend = False
    for frame, _ in reversed(list(traceback.walk_tb(error.__traceback__))):
        name = str(frame.f_globals.get("__name__"))
        is_of_backend = name in modules or name.startswith((package, "django.db.backends."))
        if is_of_project(frame.f_code.co_filename):
            return is_of_backend
        is_below_backend = is_below_backend or is_of_backend
    return is_below_backend


def describe_failure(error):
    """Return state, trouble and error for what a driver raised."""
    text = one_line(str(error)) or type(error).__name__
    if isinstance(error, ImproperlyConfigured):
        calls = {frame.f_code.co_name for frame, _ in traceback.walk_tb(error.__traceback__)}
        return _unreachable("settings" if "get_connection_params" in calls else "driver", text)
    lower = text.lower()
    trouble = _trouble_of_code(error) or next(
        (kind for kind, words in _WORDS if any(word in lower for word in words)), "other"
    )
    if trouble == "rights":
        return {"state": "unreadable", "trouble": trouble, "error": text}
    return _unreachable(trouble, text)


def _trouble_of_code(error):
    """Return what the code of a driver's error stands for: sqlstate of psycopg 3, pgcode of psycopg 2, or a number."""
    cause = error.__cause__ or error  # Django's error has the driver's behind it (DatabaseErrorWrapper)
    codes = [getattr(cause, "sqlstate", None), getattr(cause, "pgcode", None), *cause.args[:1]]
    return next((_CODES[code] for code in codes if isinstance(code, (str, int)) and code in _CODES), None)


def _unreachable(trouble, error):
    return {"state": "unreachable", "trouble": trouble, "error": error}


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
