"""Projects whose only database is of one engine: the same test runs on each."""

from __future__ import annotations

import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from support.mariadb import DRIVER, MariadbServer
from support.postgresql import PostgresqlServer
from support.projects import Project, simple_app, write_project

ENGINES = [
    "sqlite",
    pytest.param("postgresql", marks=pytest.mark.postgresql),
    pytest.param("mariadb", marks=pytest.mark.mariadb),
]

RECORDED = "SELECT app, name FROM django_migrations"


class Site:
    """A project whose only database is of one engine, with a question to that database."""

    def __init__(self, project: Project, entry: dict[str, Any], query: Callable[[str], list[tuple[Any, ...]]]) -> None:
        self.project = project
        self.entry = entry
        self.query = query

    def recorded(self) -> Counter[str]:
        """Return how often each migration is recorded."""
        return Counter(f"{app}.{name}" for app, name in self.query(RECORDED))


def write_site(
    root: Path,
    server: PostgresqlServer | MariadbServer | None,
    app: dict[str, str] | None = None,
    entry: dict[str, Any] | None = None,
) -> Site:
    """Write a project with this app (`core`) and a simple one (`more`); without a server it is on SQLite.

    Its database is that of `entry`, or a new one.
    """
    entry = entry or (server.create_database() if server is not None else {})
    project = write_project(
        root,
        {"core": app or simple_app(), "more": simple_app()},
        aliases={"default": entry},
        settings=DRIVER if isinstance(server, MariadbServer) else "",
    )

    def query(sql: str) -> list[tuple[Any, ...]]:
        if server is not None:
            return server.query(entry, sql)
        with closing(sqlite3.connect(project.database("default"), isolation_level=None)) as connection:
            return connection.execute(sql).fetchall()

    return Site(project, entry, query)


def copy_site(site: Site, root: Path, server: PostgresqlServer | MariadbServer | None) -> Site:
    """Write a project like one of simple apps, with a copy of its database."""
    if isinstance(server, PostgresqlServer):
        return write_site(root, server, entry=server.create_database(site.entry["NAME"]))
    copied = write_site(root, server)
    if isinstance(server, MariadbServer):
        server.copy_database(site.entry, copied.entry)
    else:
        shutil.copyfile(site.project.database("default"), copied.project.database("default"))
    return copied
