"""What the locks of PostgreSQL and MySQL have in common: a connection of their own, made as the project makes its."""

import time
import urllib.parse

from django.db import Error as DatabaseError
from django.db import connections

from ..connections.keepalives import keep_alive
from ..connections.opened import read_link, standing_for_its_alias
from ..connections.silence import SilenceError, find_place
from ..connections.sockets import find_descriptor, find_sockets, shut
from ..host_error import HostError
from ..migrations.graph import read_rows
from ..sentences import one_line
from ..servers.identity import describe_server
from ..servers.pooling import is_pooled
from ..servers.troubles import FULL, find_trouble

RETAKE_SECONDS = 15.0
"""How long a lost lock is tried for: a server needs some seconds to start again."""

HELD_SECONDS = 2.0
"""How long it is tried for while others have it: a run that waits has it for a moment at each of its tries."""

PAUSE_SECONDS = 0.25
"""Between two tries."""


class ConnectionLock:
    """A lock on a connection of its own, with the project's driver and settings."""

    keeper = "the server"
    files = ()
    device = None  # each is asked on its own: a server may be silent for one session alone

    def __init__(self, connection, url, mark):
        """Lock nothing yet; `url` is another way to the database, `mark` what is this run's alone."""
        self.alias = connection.alias
        self.environment = {}
        self.is_pooled = False
        self.words = None
        self._url = url
        self._mark = mark
        self._sockets = set()
        self._session = None
        self.contents = None
        """The rows of django_migrations (graph.read_rows) and the names of tables, as they were when it was taken, or
        remembered; None if this user may not know them."""
        self._is_given_up = False
        self.connection = _own_connection(connection, url)

    @property
    def descriptors(self):
        """Those of its connection; what receivers have opened with it is closed by now."""
        return [number for number, link in self._sockets if read_link(number) == link]

    @property
    def is_direct(self):
        """Whether its session sees what steps see: the same address, and no pooler that has settings of its own."""
        return self._url is None and not self.is_pooled

    @property
    def place(self):
        """Equal for locks on one server."""
        return find_place(self.connection)

    @property
    def session(self):
        """The server's number of the session that has it; None before it was taken."""
        return self._session

    def find_identity(self):
        """Connect, and return what names the database for every run."""
        try:
            self._open()
            with self.connection.cursor() as cursor:
                self.is_pooled = is_pooled(self.connection, cursor)
            return describe_server(self.connection, "ok")["identity"]
        except DatabaseError as error:
            self._refuse(error)

    def _open(self):
        before = find_sockets()
        with standing_for_its_alias(self.connection):
            self._connect()
        number = find_descriptor(self.connection)
        known = None if number is None else read_link(number)
        self._sockets = find_sockets() - before if known is None else {(number, known)}
        keep_alive(self.connection)

    def _take(self, cursor):
        """Try to take the lock; return who holds it, or None (`take`)."""
        raise NotImplementedError

    def _is_held(self, cursor, idle):
        """Return whether this session has the lock, and have the server keep it for `idle` seconds of silence."""
        raise NotImplementedError

    def _read_contents(self, cursor):
        """Return what `contents` has."""
        try:
            tables = self.connection.introspection.table_names(cursor)
            return read_rows(self.connection, tables), tables
        except SilenceError:
            raise
        except DatabaseError:
            return None

    def _end_session(self, cursor, session):
        """End a session of this run that the server has not seen the end of, and wait until it is over."""
        raise NotImplementedError

    def _connect(self):
        self.connection.ensure_connection()

    def take(self):
        """Try to take it; return who holds it ({"holder", "seconds", "silent"}), or None once this run holds it."""
        try:
            with self.connection.cursor() as cursor:
                holder = self._take(cursor)
                if holder is None:
                    self.contents = self._read_contents(cursor)
                return holder
        except DatabaseError as error:
            self._refuse(error)

    def remember(self):
        """Remember what is in the database."""
        try:
            with self.connection.cursor() as cursor:
                self.contents = self._read_contents(cursor)
        except DatabaseError as error:
            self._refuse(error)

    def read(self):
        """Return what is in the database now (`contents`); None also where the session is gone.

        Raises:
            SilenceError: the server said nothing in time.
        """
        try:
            with self.connection.cursor() as cursor:
                return self._read_contents(cursor)
        except SilenceError:
            raise
        except Exception:  # whatever a driver raises of a connection that is gone
            return None

    def ask(self, idle):
        """Return why it is not held any more, or None; it is asked again within `idle` seconds.

        It lasts as long as the server is silent; `abandon` ends it.
        """
        try:
            with self.connection.cursor() as cursor:
                return None if self._is_held(cursor, idle) else "the server has released it"
        except Exception as error:  # whatever a driver raises of a connection that is gone
            return _said(error)

    def retake(self):
        """Try to take it again; return why that is not possible, or None: `contents` are those of then."""
        began_at = time.monotonic()
        session = self._session
        self.abandon()
        while True:
            try:
                holder = self._take_anew(session)
                if holder is None:
                    return None
                reason, limit = "{} has it now".format(holder["holder"]), HELD_SECONDS
            except Exception as error:  # the server may be starting again
                reason, limit = _said(error), RETAKE_SECONDS
            self._close()
            if self._is_given_up or time.monotonic() >= began_at + limit:
                return reason
            time.sleep(PAUSE_SECONDS)

    def _take_anew(self, session):
        """Take it on another connection, once the session that had it is over."""
        self._close()
        self.connection = _own_connection(connections[self.alias], self._url)
        self._open()
        with self.connection.cursor() as cursor:
            if session is not None:
                self._end_session(cursor, session)
            holder = self._take(cursor)
            if holder is None:
                self.contents = self._read_contents(cursor)
            return holder

    def give_up(self):
        """Have `ask` and `retake` come to their end, whatever the server does."""
        self._is_given_up = True
        self.abandon()

    def abandon(self):
        """End its connection whatever the server does: who waits for an answer on it gets an error."""
        for number in self.descriptors:
            shut(number)

    def leave_thread(self):
        """Close what receivers have opened in this thread next to the lock's connection."""
        connections.close_all()

    def _close(self):
        try:
            self.connection.close()
        except Exception:
            pass  # a connection that cannot be closed is over

    def close(self, is_held):
        """Close the connection, which releases the lock."""
        self._close()

    def _refuse(self, error):
        self.connection.close()
        if isinstance(error, SilenceError):
            raise HostError("silent-lock", str(error), alias=self.alias) from error
        is_full = isinstance(error, DatabaseError) and find_trouble(error, self.connection) == FULL
        raise HostError(
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


def _said(error):
    """Return what a driver says; those of MySQL have a number before it."""
    text = error.args[-1] if error.args and isinstance(error.args[-1], str) else str(error)
    return one_line(text) or type(error).__name__


def _own_connection(connection, url):
    own = connection.copy()
    own.inc_thread_sharing()  # it is asked in threads, one after the other
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
