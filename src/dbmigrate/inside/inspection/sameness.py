"""Which aliases use one django_migrations: what servers say chooses the pairs, and a lock is the proof.

A promoted standby and a restored copy say of themselves what their origin says. But a lock that is taken through one
alias is seen through another only where both reach the same running server. It writes nothing, is never waited for, and
ends with its transaction or session.
"""

import secrets
import threading
from functools import partial
from typing import Any

from django.db import connections

from ..connections.silence import THREADS
from ..servers.connecting import open_connections

PROOF_SECONDS = 2.0
"""Behind a pooler whose only connection holds the lock, the other alias would wait for it."""


class _UnprovedError(Exception):
    """The servers of some aliases cannot be told apart by locks."""


def settle_identities(databases, seconds):
    """Take the clues away from descriptions of databases, and make `identity` equal where aliases share records.

    `seconds`: how long a server may take to be connected to.
    """
    clues = {}
    for database in databases:
        clue = database.pop("clue", None)
        # What its role may not read says nothing of which database it is.
        if clue is not None and database["state"] in ("ok", "unreadable") and database["mirror_of"] is None:
            clues[database["alias"]] = clue
    identities: dict[str, str] = {}
    for aliases in _find_candidates(clues):
        servers = _tell_servers_apart(aliases, clues, seconds)
        _name_groups(aliases, clues, servers, identities)
    for database in databases:
        database["identity"] = identities.get(database["alias"], database["identity"])


def _find_candidates(clues):
    """Return lists of aliases that may reach one database, in which at least two may use the same records."""
    by_name: dict[tuple[str, str], list[str]] = {}
    for alias, clue in clues.items():
        by_name.setdefault((clue.vendor, clue.database), []).append(alias)
    lists: list[list[str]] = []
    for aliases in by_name.values():
        by_identifier: dict[object, list[str]] = {}
        for alias in aliases:
            by_identifier.setdefault(clues[alias].identifier, []).append(alias)
        # One that does not say what its data are called may be any of the others.
        lists += [aliases] if None in by_identifier else by_identifier.values()
    return [
        aliases
        for aliases in lists
        if any(
            _share_records(clues[one], clues[other]) for index, one in enumerate(aliases) for other in aliases[:index]
        )
    ]


def _share_records(one, other):
    """Whether two aliases of one database use one django_migrations."""
    return one.home == other.home or one.home in other.later or other.home in one.later


def _tell_servers_apart(aliases, clues, seconds):
    """Return what is equal for aliases of one running server, by alias: proved, or else what the servers say."""
    trial = _Trial({"postgresql": _PostgresqlProof, "mysql": _MysqlProof}[clues[aliases[0]].vendor](), seconds)
    try:
        return {alias: trial.find_server(alias) for alias in aliases}
    except _UnprovedError:
        return {alias: clues[alias].process for alias in aliases}
    finally:
        trial.end()


class _Trial:
    """Finds the server of one alias after the other: it sees a lock of those before, or holds one of its own."""

    def __init__(self, proof, seconds):
        self._proof = proof
        self._seconds = seconds
        self._holders = []
        self._late = []

    def find_server(self, alias):
        """Return the number of the server that an alias reaches.

        Raises:
            _UnprovedError: its server does not answer in time, or shows no locks.
        """
        if open_connections([alias], self._seconds)[alias]["state"] != "ok":
            raise _UnprovedError()
        connection = connections[alias]
        count = len(self._holders)
        seen = self._ask(connection, lambda cursor: self._proof.look(cursor, count))
        if seen is not None:
            connection.close()
            return seen
        self._holders.append(connection)
        self._ask(connection, lambda cursor: self._proof.hold(cursor, count))
        return count

    def end(self):
        """Give the locks back and close every connection."""
        for number, connection in enumerate(self._holders):
            if self._is_late(connection):
                continue
            try:
                self._ask(connection, partial(self._proof.release, number=number))
            except _UnprovedError:
                pass  # it ends with the connection
            if not self._is_late(connection):
                connection.close()
        for thread, connection in self._late:
            thread.join(PROOF_SECONDS)  # what it waited for has been given back
            if not thread.is_alive():
                connection.close()

    def _is_late(self, connection):
        """Return whether a thread waits for an answer on a connection, so that no other may use it."""
        return any(connection is late for _, late in self._late)

    def _ask(self, connection, question):
        """Return the answer to a question, for which the server has PROOF_SECONDS."""
        answers: list[tuple[Any, Exception | None]] = []

        def ask():
            try:
                with connection.cursor() as cursor:
                    answers.append((question(cursor), None))
            except Exception as error:  # a backend that calls itself PostgreSQL or MySQL may raise anything
                answers.append((None, _UnprovedError(str(error))))

        connection.inc_thread_sharing()
        thread = threading.Thread(target=ask, name=THREADS + connection.alias, daemon=True)
        thread.start()
        thread.join(PROOF_SECONDS)
        if thread.is_alive():
            self._late.append((thread, connection))
            del connections[connection.alias]
            raise _UnprovedError()
        answer, error = answers[0]
        if error is not None:
            raise error
        return answer


class _PostgresqlProof:
    """Advisory locks of transactions: a pooler must leave an open transaction on its server connection."""

    def __init__(self):
        self._key = secrets.randbits(31)

    def look(self, cursor, count):
        """Return the number of the lock, below `count`, that is seen, or None."""
        cursor.execute(
            "SELECT min(objid::bigint) FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 2"
            " AND classid = {} AND database = (SELECT oid FROM pg_database WHERE datname = current_database())".format(
                self._key
            )
        )
        return cursor.fetchone()[0]

    def hold(self, cursor, number):
        """Take the lock of this number."""
        cursor.execute("BEGIN")
        cursor.execute("SELECT pg_try_advisory_xact_lock({}, {})".format(self._key, number))
        if self.look(cursor, number + 1) != number:
            raise _UnprovedError()  # who does not see its own lock would see no other

    def release(self, cursor, number):
        """Give back the lock of this number."""
        cursor.execute("ROLLBACK")


class _MysqlProof:
    """Named locks of sessions."""

    def __init__(self):
        self._name = "dbmigrate:same:{}:".format(secrets.token_hex(8))

    def look(self, cursor, count):
        """Return the number of the lock, below `count`, that is seen, or None."""
        for number in range(count):
            cursor.execute("SELECT IS_USED_LOCK(%s) IS NOT NULL", [self._name + str(number)])
            if cursor.fetchone()[0]:
                return number
        return None

    def hold(self, cursor, number):
        """Take the lock of this number."""
        cursor.execute("SELECT GET_LOCK(%s, 0)", [self._name + str(number)])
        if self.look(cursor, number + 1) != number:
            raise _UnprovedError()

    def release(self, cursor, number):
        """Give back the lock of this number: the session itself may be a pooler's, and stay."""
        cursor.execute("DO RELEASE_LOCK(%s)", [self._name + str(number)])


def _name_groups(aliases, clues, servers, identities):
    """Give aliases that share records one identity, and others another."""
    groups: list[list[str]] = []
    for alias in aliases:
        mine = [
            group
            for group in groups
            if any(servers[alias] == servers[other] and _share_records(clues[alias], clues[other]) for other in group)
        ]
        groups = [group for group in groups if group not in mine]
        groups.append([*(other for group in mine for other in group), alias])
    for number, group in enumerate(groups):
        for alias in group:
            identities[alias] = "{}#{}".format(clues[group[0]].words, number)
