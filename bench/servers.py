"""Projects whose databases are on one server, all alike: PostgreSQL or MariaDB."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from contenders import Site
from projects import SMALL, Layout, add_new_migration, aliases_of, make_all_alike, write_generated
from support.mariadb import DRIVER, MariadbServer, private_mariadb
from support.postgresql import PostgresqlServer, private_postgresql

UNDO = """\
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "site_settings"
sys.path.insert(0, os.getcwd())
import django
django.setup()
from django.core.management import call_command
for alias in sys.argv[3:]:
    call_command("migrate", sys.argv[1], sys.argv[2], database=alias, interactive=False, verbosity=0)
"""

WITHOUT_TLS = {"OPTIONS": {"ssl_disabled": True}}
"""PyMySQL reads all of the system's certificates for each connection, 20 ms of CPU time, and nobody needs them here."""


class ServerSite(Site):
    """A project with every database on one server; a round begins with what undoes the last migration everywhere."""

    server: Any
    entries: Mapping[str, Mapping[str, Any]]
    before: tuple[str, str]
    """App label and name of the migration to go back to."""

    def begin(self) -> None:
        """Undo what the last contender has done."""
        self.run([self.python, "-c", UNDO, *self.before, *self.aliases])

    def schema(self) -> dict[str, set[str]]:
        """Return the columns of every database."""
        words = "SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns"
        own = "current_schema()" if isinstance(self.server, PostgresqlServer) else "DATABASE()"
        return {
            alias: set(map(str, self.server.query(entry, f"{words} WHERE table_schema = {own}")))
            for alias, entry in self.entries.items()
        }

    def records(self) -> dict[str, list[tuple[str, str]]]:
        """Return what every database has recorded."""
        return {
            alias: sorted(self.server.query(entry, "SELECT app, name FROM django_migrations"))
            for alias, entry in self.entries.items()
        }


@contextmanager
def postgresql_site(folder: Path, count: int) -> Iterator[ServerSite]:
    """Give a small project with so many PostgreSQL databases, each with one migration pending."""
    with private_postgresql() as server:
        first = server.create_database()
        site = _write(folder, {"default": first}, count)
        site.run([site.python, "manage.py", "migrate"])
        entries = {alias: server.create_database(template=first["NAME"]) for alias in site.aliases[1:]}
        yield _complete(site, server, {"default": first, **entries})


@contextmanager
def mariadb_site(folder: Path, count: int) -> Iterator[ServerSite]:
    """Give the same with MariaDB databases."""
    with private_mariadb() as (server, _):
        entries = {alias: {**server.create_database(), **WITHOUT_TLS} for alias in aliases_of(count)}
        site = _write(folder, {"default": entries["default"]}, count)
        site.run([site.python, "manage.py", "migrate"])
        for alias in site.aliases[1:]:
            server.copy_database(entries["default"], entries[alias])
        yield _complete(site, server, entries)


def _write(folder: Path, entries: Mapping[str, Mapping[str, Any]], count: int) -> ServerSite:
    """Write the project, with the entries that there are."""
    site = ServerSite("generated", folder, sys.executable, aliases_of(count))
    shutil.rmtree(folder, ignore_errors=True)
    write_generated(folder, SMALL, Layout(list(entries), entries=entries))
    make_all_alike(folder)
    settings = folder / "site_settings.py"
    settings.write_text(f"{DRIVER}{settings.read_text()}")
    return site


def _complete(site: ServerSite, server: PostgresqlServer | MariadbServer, entries: Mapping[str, Any]) -> ServerSite:
    """Give the project all of its databases, and a migration that is pending on each."""
    settings = site.folder / "site_settings.py"
    settings.write_text(f"{settings.read_text()}\nDATABASES = {dict(entries)!r}\n")
    last = max(file.stem for file in (site.folder / "app0" / "migrations").glob("0*.py"))
    add_new_migration(site.folder, "app0", "novel")
    site.run([site.python, "-m", "compileall", "-q", "."])
    site.server, site.entries, site.before = server, entries, ("app0", last)
    return site
