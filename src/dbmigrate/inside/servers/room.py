"""How many sessions a role, a database and a server allow, and how many others have: the question `find_room`.

What one alias may open is less than each of these. A pooler's sessions are not the server's, and it tells no limit of
its own to those who use it: whether it has room is found out by trying (pooling.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import connections

from .connecting import open_connections
from .patience import RETRY_SECONDS
from .pooling import is_pooled

if TYPE_CHECKING:
    from ..protocol import FindRoomReply, RoomReply


def find_room(aliases: list[str], seconds: float) -> FindRoomReply:
    """Return models.rooms.Room for each alias that answers, one after the other: no two are connected at a time."""
    found: FindRoomReply = {}
    for alias in aliases:
        if open_connections([alias], seconds, RETRY_SECONDS)[alias]["state"] == "ok":
            connection = connections[alias]
            found[alias] = [] if find_pooler(connection) is not None else describe_room(connection)
        connections[alias].close()
    return found


def find_pooler(connection) -> str | None:
    """Return the address of the pooler that an open connection leads to, None if it leads to the server itself."""
    try:
        with connection.cursor() as cursor:
            if is_pooled(connection, cursor):
                return "{HOST}:{PORT}".format(**connection.settings_dict)
    except Exception:  # as below
        pass
    return None


def describe_room(connection) -> list[RoomReply]:
    """Return what limits the sessions of an open connection that leads to no pooler; [] where the server is silent."""
    describe = {"postgresql": _describe_postgresql, "mysql": _describe_mysql}.get(connection.vendor)
    if describe is None:
        return []
    try:
        with connection.cursor() as cursor:
            return describe(connection, cursor)
    except Exception:  # what calls itself PostgreSQL or MySQL may have other tables, and raise anything
        return []


def _describe_postgresql(_connection, cursor) -> list[RoomReply]:
    # A role's limit counts the sessions that have logged in as it, and no superuser has one (miscinit.c, postinit.c).
    cursor.execute(
        "SELECT r.rolname::text, r.rolsuper, r.rolconnlimit, d.datname::text, d.datconnlimit,"
        " current_setting('max_connections')::int,"
        " current_setting('superuser_reserved_connections')::int"
        " + coalesce(current_setting('reserved_connections', true)::int, 0),"
        " extract(epoch FROM pg_postmaster_start_time())::text,"
        " count(*) FILTER (WHERE s.usesysid = r.oid), count(*) FILTER (WHERE s.datid = d.oid), count(s.pid)"
        " FROM pg_roles r JOIN pg_database d ON d.datname = current_database() LEFT JOIN pg_stat_activity s"
        " ON s.backend_type = 'client backend' AND s.pid <> pg_backend_pid()"
        " WHERE r.rolname = session_user GROUP BY 1, 2, 3, 4, 5, r.oid, d.oid"
    )
    role, is_superuser, of_role, database, of_database, most, reserved, process, *others = cursor.fetchone()
    rooms = [("server", "", most if is_superuser else most - reserved, others[2])]
    if not is_superuser:
        rooms += [("role", role, of_role, others[0]), ("database", database, of_database, others[1])]
    return [
        {"kind": kind, "name": name, "key": ":".join((process, kind, name)), "most": allowed, "others": count}
        for kind, name, allowed, count in rooms
        if allowed >= 0
    ]


def _describe_mysql(connection, cursor) -> list[RoomReply]:
    # The session's max_user_connections is the account's own limit where it has one. Which account another session of
    # that name has logged in as is known of this one's host alone: each host may have an account of its own, and a
    # socket (its host has no port) too.
    address = "LEFT(host, CHAR_LENGTH(host) - CHAR_LENGTH(SUBSTRING_INDEX(host, ':', -1)))"
    cursor.execute(
        "SELECT SUBSTRING_INDEX(CURRENT_USER(), '@', 1), SUBSTRING_INDEX(CURRENT_USER(), '@', -1),"
        " @@max_user_connections, @@max_connections, @@hostname,"
        " (SELECT COUNT(*) FROM information_schema.processlist"
        " WHERE user = SUBSTRING_INDEX(USER(), '@', 1) AND id <> CONNECTION_ID()"
        " AND {0} = (SELECT {0} FROM information_schema.processlist WHERE id = CONNECTION_ID()))".format(address)
    )
    user, host, of_user, most, server, others = cursor.fetchone()
    cursor.execute("SHOW STATUS LIKE 'Threads_connected'")
    everybody = int(cursor.fetchone()[1]) - 1
    configured = connection.settings_dict
    place = "{}:{}:{}".format(configured["HOST"], configured["PORT"], server)
    account = "'{}'@'{}'".format(user, host)
    return [
        {"kind": kind, "name": name, "key": ":".join((place, kind, name)), "most": int(allowed), "others": int(count)}
        for kind, name, allowed, count in (("server", "", most, everybody), ("user", account, of_user, others))
        if allowed
    ]
