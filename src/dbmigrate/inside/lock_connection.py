"""What the locks of PostgreSQL and MySQL have in common: a connection of their own, made as the project makes its."""

import urllib.parse

from django.db import Error as DatabaseError

from .boot import BootError
from .opened import standing_for_its_alias
from .pooling import is_pooled
from .sentences import one_line
from .servers import describe_server
from .silence import SilenceError
from .sockets import find_sockets
from .troubles import FULL, find_trouble


class ConnectionLock:
    """A lock on a connection of its own, with the project's driver and settings."""

    def __init__(self, connection, url, mark):
        """Lock nothing yet; `url` is another way to the database, `mark` what is this run's alone."""
        self.alias = connection.alias
        self.environment = {}
        self.is_pooled = False
        self._sockets = set()
        self._mark = mark
        self.connection = _own_connection(connection, url)

    @property
    def descriptors(self):
        """Those of its connection; what receivers have opened with it is closed by now."""
        return [number for number, _ in self._sockets & find_sockets()]

    def find_identity(self):
        """Connect, and return what names the database for every run."""
        before = find_sockets()
        try:
            with standing_for_its_alias(self.connection):
                self._connect()
            self._sockets = find_sockets() - before
            with self.connection.cursor() as cursor:
                self.is_pooled = is_pooled(self.connection, cursor)
            return describe_server(self.connection, "ok")["identity"]
        except DatabaseError as error:
            self._refuse(error)

    def _connect(self):
        self.connection.ensure_connection()

    def close(self, is_held):
        """Close the connection, which releases the lock."""
        self.connection.close()

    def _refuse(self, error):
        self.connection.close()
        if isinstance(error, SilenceError):
            raise BootError("silent-lock", str(error), alias=self.alias) from error
        is_full = isinstance(error, DatabaseError) and find_trouble(error, self.connection) == FULL
        raise BootError(
            "no-room" if is_full else "no-lock",
            "{}: {}".format(self.alias, one_line(str(error))),
            **describe_place(self.connection),
        )


def describe_place(connection):
    """Return what a URL that leads to the same database begins with."""
    configured = connection.settings_dict
    return {
        "alias": connection.alias,
        "vendor": connection.vendor,
        **{key.lower(): str(configured.get(key) or "") for key in ("HOST", "PORT", "NAME")},
    }


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
