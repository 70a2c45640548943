"""The question `find_blockers`: who holds locks on the tables of a database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import connections

if TYPE_CHECKING:
    from ..protocol import FindBlockersReply


def find_blockers(alias: str) -> FindBlockersReply:
    """Return the sessions of a PostgreSQL database that hold locks on its tables, the oldest transaction first."""
    connection = connections[alias]
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT a.pid, a.application_name, a.state, left(a.query, 200),"
                " extract(epoch FROM clock_timestamp() - a.xact_start)"
                " FROM pg_stat_activity a WHERE a.datname = current_database() AND a.pid <> pg_backend_pid()"
                " AND EXISTS (SELECT 1 FROM pg_locks l JOIN pg_class c ON c.oid = l.relation"
                " WHERE l.pid = a.pid AND l.granted AND c.relkind IN ('r', 'p')"
                " AND c.relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace))"
                " ORDER BY a.xact_start LIMIT 3"
            )
            return [_describe_session(*row) for row in cursor.fetchall()]
    finally:
        connection.close()


def _describe_session(pid, application, state, query, seconds):
    since = "" if seconds is None else ", transaction open for {:.0f} s".format(float(seconds))
    words = " ".join((query or "").split())
    return "session {} ({}, {}{}): {}".format(pid, application or "no name", state, since, words)
