"""What keeps a database from answering: codes and classes of the driver's error decide, words where there are none.

A server's sentence may be in any language, and the names in it may be any words. What clients say (libpq, the drivers,
the C library) is in English here (language.py).
"""

from __future__ import annotations

import errno
import re
import socket
import ssl
import traceback
from typing import TYPE_CHECKING

from django.core.exceptions import ImproperlyConfigured
from django.db import Error as DatabaseError
from django.db import connections

from ..boot import is_of_project
from ..connections.silence import SilenceError
from ..host_error import HostError
from ..sentences import one_line

if TYPE_CHECKING:
    from ..protocol import ReachedReply, Trouble

FULL: Trouble = "full"
"""There is no room for one more connection."""

_CODES: dict[object, Trouble] = {
    "28P01": "password",
    "3D000": "no-database",
    "42501": "rights",
    "53300": FULL,
    "57P01": "not-accepting",
    "57P02": "not-accepting",
    "57P03": "starting",
    "57P04": "no-database",
    1040: FULL,
    1041: FULL,
    1044: "rights",
    1045: "password",
    1047: "starting",  # WSREP has not yet prepared node for application use
    1049: "no-database",
    1053: "not-accepting",
    1129: "blocked",  # too many connection errors: the host is blocked until somebody lets it in again
    1130: "password",
    1142: "rights",
    1143: "rights",
    1203: FULL,
    1226: FULL,
    1227: "rights",
    1251: "password",
    1524: "password",
    1698: "password",
    1820: "password",
    1862: "password",
    2002: "refused",
    2003: "refused",
    2005: "unknown-host",
    2026: "tls",
    2059: "settings",
    2061: "password",
    3032: "not-accepting",
    3159: "tls",
    3118: "password",
    4151: "password",
}
"""SQLSTATE of PostgreSQL and error numbers of MySQL and MariaDB, servers and clients (mysqld_error.h, errmsg.h)."""

_CODES_OF_LOGIN: dict[object, Trouble] = {
    "0A000": "settings",
    "22023": "settings",
    "28000": "password",
    "42704": "settings",
    "55000": "not-accepting",
}
"""SQLSTATE that means this of a refused connection, and anything of a query."""

_ROUTINES: dict[object, Trouble] = {("28000", "InitializeSessionUserId"): "role"}
"""Where the SQLSTATE is one of several troubles: the function of PostgreSQL that refuses (miscinit.c)."""

_LOST = (2002, 2003, 2012, 2013, 2055)
"""Errors of MySQL's clients that are about the network: the system's error behind them says more."""

_WORDS: tuple[tuple[Trouble, tuple[str, ...]], ...] = (
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
    ("not-accepting", ("shutting down", "not currently accepting", "not accepting connections")),
    (FULL, ("too many", "connection slots", "has exceeded the", "no more connections allowed")),
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
    ("role", ('role ""', "no such user")),
    ("settings", ("invalid connection option", "invalid dsn", "invalid sslmode")),
    ("starting", ("starting up", "not yet accepting", "recovery mode", "initial communication packet")),
    ("no-database", ('database ""', "unknown database", "no such database")),
    ("unknown-host", ("could not translate host name", "name or service not known", "name resolution", "getaddrinfo")),
    ("refused", ("connection refused", "no such file or directory")),
    ("tls", ("ssl", "tls", "certificate")),
    ("silent", ("timeout", "timed out")),
)
"""For what comes without a code, or with one that says too little: what clients, and servers and poolers in English,
say; the first that fits."""


def explain_failure(error, connection) -> ReachedReply | None:
    """Return state, trouble and error for what was raised in a look at a database; None if it is not the database's.

    A backend or a driver may raise anything: what came through their code says nothing of the project.
    """
    if isinstance(error, SilenceError):
        asked = "" if error.alias == connection.alias else "database {}, which was asked too: ".format(error.alias)
        return unreachable("silent", "{}{}".format(asked, error))
    if isinstance(error, (DatabaseError, ImproperlyConfigured, OSError)):
        return describe_failure(error, connection)
    if _is_of_backend(error, connection):
        return unreachable("backend", "{}: {}".format(type(error).__name__, one_line(str(error))).rstrip(": "))
    return None


def find_fault(alias: str, error: Exception) -> HostError | None:
    """Return a HostError for what a question about one database raised; None if it is not the database's fault."""
    failure = explain_failure(error, connections[alias])
    if failure is None:
        return None
    return HostError("database", failure["error"] or "", alias=alias, trouble=failure["trouble"])


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


def describe_failure(error, connection) -> ReachedReply:
    """Return state, trouble and error for what a driver raised, or Django because of it."""
    text = one_line(str(error)) or type(error).__name__
    if isinstance(error, ImproperlyConfigured):
        calls = {frame.f_code.co_name for frame, _ in traceback.walk_tb(error.__traceback__)}
        return unreachable("settings" if "get_connection_params" in calls else "driver", text)
    if isinstance(error, FileNotFoundError) and connection.vendor == "sqlite":
        return unreachable("no-file", text)
    trouble = find_trouble(error, connection)
    if trouble == "rights":
        return {"state": "unreadable", "trouble": trouble, "error": text}
    return unreachable(trouble, text)


def unreachable(trouble: Trouble, error: str) -> ReachedReply:
    """Return the description of a database that does not answer."""
    return {"state": "unreachable", "trouble": trouble, "error": error}


def find_trouble(error, connection) -> Trouble:
    """Return what a driver's error says is the matter: models.snapshot.Trouble."""
    code = _find_code(error)
    trouble = _CODES.get(code)
    if code in _LOST:
        trouble = _find_network_trouble(error) or trouble
    # libpq writes two spaces behind the severity of a server's error, in any language, and nowhere else.
    elif code is None and connection.vendor == "postgresql" and ":  " in str(error):
        trouble = _find_trouble_of_login(connection)
    said = _without_names(str(error))
    by_words: Trouble = next((found for found, words in _WORDS if any(word in said for word in words)), "other")
    # PostgreSQL has one code for a server that starts and one that stops.
    return by_words if trouble is None or (trouble, by_words) == ("starting", "not-accepting") else trouble


def _find_code(error):
    """Return a driver's code: sqlstate of psycopg 3, pgcode of psycopg2, or the number of MySQL's; None without one."""
    cause = error.__cause__ or error  # Django's error has the driver's behind it (DatabaseErrorWrapper)
    if cause.args and isinstance(cause.args[0], int) and not isinstance(cause, OSError):
        return cause.args[0]  # first: PyMySQL 1.2 has a sqlstate too, which says less
    return getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)


def _find_trouble_of_login(connection) -> Trouble | None:
    """Return what the server means that has refused a connection; None if it cannot be asked."""
    try:
        from . import libpq
    except ImportError:  # a Python without ctypes
        return None
    refusal = libpq.find_refusal(connection)
    if refusal is None:
        return None
    return _ROUTINES.get(refusal) or _CODES_OF_LOGIN.get(refusal[0]) or _CODES.get(refusal[0])


def _find_network_trouble(error) -> Trouble | None:
    """Return what the system's error behind one of MySQL's clients means; None if that is not known."""
    cause = error.__cause__ or error
    behind = getattr(cause, "original_exception", None)  # of PyMySQL
    if isinstance(behind, socket.gaierror):
        return "unknown-host"
    if isinstance(behind, ssl.SSLError):
        return "tls"
    numbers = re.findall(r"(?:\(|errno |system error: )\"?(\d+)", str(error), re.IGNORECASE)
    is_late = isinstance(behind, socket.timeout) or "timed out" in str(error)
    return "silent" if is_late or str(errno.ETIMEDOUT) in numbers else None


def _without_names(said):
    """Return a sentence in lower case with nothing between its quotes: names may be any words."""
    return re.sub(r'"[^"]*"', '""', said).lower()
