"""Which aliases are one database is proved: names that are equal, and names that differ, deceive."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from support.cli import dbmigrate
from support.mariadb import DRIVER, MariadbServer, container_copy_of, find_server, private_mariadb
from support.pgbouncer import pgbouncer
from support.postgresql import PostgresqlServer, copy_of, standby_of
from support.projects import Project, everywhere, simple_app, write_project
from support.proxy import proxy

APPS = {"core": simple_app(), "blog": simple_app()}
ROUTED = {"blog": "blog_db"}

TABLES = "SELECT schemaname || '.' || tablename FROM pg_tables WHERE schemaname IN ('public', 'reporting', 'billing')"


def two(root: Path, default: Mapping[str, Any], blog: Mapping[str, Any], settings: str = "") -> Project:
    """Write a project with an app on each of two aliases."""
    return write_project(root, APPS, aliases={"default": default, "blog_db": blog}, rules=ROUTED, settings=settings)


def tables(server: PostgresqlServer, entry: dict[str, Any]) -> set[str]:
    """Return schema.table of a PostgreSQL database."""
    return {str(name) for (name,) in server.query(entry, TABLES)}


def kinds(project: Project, **environment: str) -> dict[str, str]:
    """Return the kind of each database."""
    document = dbmigrate("status", "--format", "json", cwd=project.root, environment=environment).expect(0).json
    return {database["alias"]: database["kind"] for database in document["result"]["databases"]}


@pytest.fixture(scope="module")
def split(own_postgresql: PostgresqlServer) -> Iterator[Callable[[], tuple[dict[str, Any], dict[str, Any]]]]:
    """Split a server in two and return what makes a database of one name on each, and returns both entries."""
    entry = own_postgresql.create_database()
    folder = own_postgresql.folder.parent / "promoted"
    with standby_of(own_postgresql, entry, folder) as other:
        own_postgresql.run_program("pg_ctl", "-w", "-D", str(folder), "promote")

        def create() -> tuple[dict[str, Any], dict[str, Any]]:
            made = own_postgresql.create_database()
            own_postgresql.query(other, f'CREATE DATABASE "{made["NAME"]}"')
            return made, {**made, "PORT": other["PORT"]}

        yield create


@pytest.mark.soak
@pytest.mark.postgresql
def test_a_standby_that_was_promoted_is_another_database(
    tmp_path: Path, own_postgresql: PostgresqlServer, split: Callable[[], tuple[dict[str, Any], dict[str, Any]]]
) -> None:
    entries = split()
    project = two(tmp_path / "site", *entries)

    checked = dbmigrate("check", cwd=project.root)
    dbmigrate("all", cwd=project.root).expect(0)
    again = dbmigrate("all", cwd=project.root).expect(0)

    assert "DBM207" not in checked.stdout
    assert own_postgresql.tables(entries[0]) == {"django_migrations", "core_item"}
    assert own_postgresql.tables(entries[1]) == {"django_migrations", "blog_item"}
    assert "Nothing pending" in again.stdout


@pytest.mark.soak
@pytest.mark.postgresql
def test_of_two_servers_that_were_one_both_are_migrated_with_equal_routes_and_neither_twice(
    tmp_path: Path, own_postgresql: PostgresqlServer, split: Callable[[], tuple[dict[str, Any], dict[str, Any]]]
) -> None:
    entry, other = split()
    project = everywhere(tmp_path / "site", {"default": entry, "other": other, "again": dict(other)})

    dbmigrate("all", cwd=project.root).expect(0)

    assert [own_postgresql.tables(one) for one in (entry, other)] == [{"django_migrations", "core_item"}] * 2
    assert kinds(project) == {"default": "default", "other": "routed", "again": "same"}


@pytest.mark.soak
@pytest.mark.postgresql
def test_a_copy_of_a_stopped_server_is_another_database(tmp_path: Path, own_postgresql: PostgresqlServer) -> None:
    entry = own_postgresql.create_database()
    with copy_of(own_postgresql, entry, own_postgresql.folder.parent / "copy") as copy:
        project = two(tmp_path / "site", entry, copy)

        dbmigrate("all", cwd=project.root).expect(0)

        assert own_postgresql.tables(entry) == {"django_migrations", "core_item"}
        assert own_postgresql.tables(copy) == {"django_migrations", "blog_item"}


@pytest.mark.soak
@pytest.mark.postgresql
@pytest.mark.parametrize("launcher", ["fork", "spawn"])
def test_schemas_that_a_receiver_makes_are_two_databases(
    tmp_path: Path, postgresql: PostgresqlServer, launcher: str
) -> None:
    entry = postgresql.create_database()
    project = schemas_made_by_a_receiver(tmp_path / "site", entry)

    planned = dbmigrate("plan", cwd=project.root).expect(0)
    dbmigrate("all", "--launcher", launcher, cwd=project.root).expect(0)
    dbmigrate("verify", cwd=project.root).expect(0)

    assert "DBM207" not in planned.stdout + planned.stderr
    assert tables(postgresql, entry) == {
        "reporting.django_migrations",
        "reporting.core_item",
        "billing.django_migrations",
        "billing.blog_item",
    }


def schemas_made_by_a_receiver(root: Path, entry: dict[str, Any]) -> Project:
    """Write a project whose aliases have schemas of one database, which a pre_migrate receiver makes."""
    project = two(
        root,
        {**entry, "OPTIONS": {"options": "-c search_path=reporting"}},
        {**entry, "OPTIONS": {"options": "-c search_path=billing"}},
        settings='INSTALLED_APPS = ["core.apps.Core", "blog"]\n',
    )
    project.write(
        "core/apps.py",
        """
        from django.apps import AppConfig
        from django.db import connections
        from django.db.models.signals import pre_migrate

        def make_schema(using, **_):
            with connections[using].cursor() as cursor:
                cursor.execute("SHOW search_path")
                cursor.execute("CREATE SCHEMA IF NOT EXISTS " + cursor.fetchone()[0])

        class Core(AppConfig):
            name = "core"

            def ready(self):
                pre_migrate.connect(make_schema, sender=self)
        """,
    )
    return project


@pytest.mark.soak
@pytest.mark.postgresql
def test_a_schema_that_also_looks_into_that_of_default_shares_its_records(
    tmp_path: Path, postgresql: PostgresqlServer
) -> None:
    entry = postgresql.create_database()
    postgresql.query(entry, "CREATE SCHEMA reporting")
    behind = {**entry, "OPTIONS": {"options": "-c search_path=reporting,public"}}
    apart = {**entry, "OPTIONS": {"options": "-c search_path=reporting"}}

    refused = dbmigrate("all", cwd=two(tmp_path / "behind", entry, behind).root).expect(13)
    before = tables(postgresql, entry)
    dbmigrate("all", cwd=two(tmp_path / "apart", entry, apart).root).expect(0)

    assert "DBM207: default and blog_db are one physical database with different routes" in refused.stderr
    assert "with no other in its search_path" in refused.stderr
    assert before == set()
    assert "reporting.blog_item" in tables(postgresql, entry)
    # By now it has a table of its own, which it finds first.
    assert "Nothing pending" in dbmigrate("all", cwd=(tmp_path / "behind")).expect(0).stdout


@pytest.mark.soak
@pytest.mark.postgresql
@pytest.mark.pgbouncer
@pytest.mark.parametrize(
    ("mode", "size"),
    [
        ("transaction", 1),
        ("transaction", 20),
        ("session", 20),
        ("statement", 20),
    ],
)
def test_one_database_directly_and_through_a_pooler(
    tmp_path: Path, postgresql: PostgresqlServer, mode: str, size: int
) -> None:
    entry = postgresql.create_database()
    with pgbouncer(entry, mode, f"default_pool_size = {size}\n") as port:
        pooled = {**entry, "HOST": "127.0.0.1", "PORT": str(port), "DISABLE_SERVER_SIDE_CURSORS": True}
        project = everywhere(tmp_path / "site", {"default": entry, "pooled": pooled, "again": pooled})

        found = kinds(project)
        dbmigrate("all", cwd=project.root).expect(0)
        # Of this database alone: other tests hold locks on the same server.
        own = "(SELECT oid FROM pg_database WHERE datname = current_database())"
        left = postgresql.query(
            entry, f"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = {own}"
        )

    assert found == {"default": "default", "pooled": "same", "again": "same"}
    assert left == [(0,)]


@pytest.mark.postgresql
def test_one_database_by_its_socket_by_pghost_and_by_a_service(tmp_path: Path, postgresql: PostgresqlServer) -> None:
    entry = postgresql.create_database()
    (tmp_path / "service").write_text(
        f"[shop]\nhost={entry['HOST']}\nport={entry['PORT']}\nuser={entry['USER']}\ndbname={entry['NAME']}\n"
    )
    by_service = {"ENGINE": entry["ENGINE"], "OPTIONS": {"service": "shop"}}
    unsaid = {key: entry[key] for key in ("ENGINE", "NAME")}
    project = everywhere(tmp_path / "site", {"default": entry, "pghost": unsaid, "service": by_service})

    found = kinds(
        project,
        PGHOST=entry["HOST"],
        PGUSER=entry["USER"],
        PGSERVICEFILE=str(tmp_path / "service"),
    )

    assert found == {"default": "default", "pghost": "same", "service": "same"}


@pytest.mark.postgresql
@pytest.mark.parametrize(
    "refused",
    [
        "EXECUTE ON FUNCTION pg_try_advisory_xact_lock(int, int)",
        pytest.param("EXECUTE ON FUNCTION pg_control_system()", marks=pytest.mark.soak),
        pytest.param("ALL ON pg_locks", marks=pytest.mark.soak),
    ],
)
def test_where_the_server_refuses_the_proof_what_it_says_counts(
    tmp_path: Path, postgresql: PostgresqlServer, refused: str
) -> None:
    entry = postgresql.create_database()
    role = f"limited_{entry['NAME']}"
    postgresql.query(entry, f"CREATE ROLE {role} LOGIN")
    postgresql.query(entry, f"GRANT ALL ON SCHEMA public TO {role}")
    postgresql.query(entry, f"REVOKE {refused} FROM PUBLIC")
    project = everywhere(tmp_path / "site", {"default": entry, "limited": {**entry, "USER": role}})

    assert kinds(project) == {"default": "default", "limited": "same"}


@pytest.mark.postgresql
def test_a_role_that_may_only_read_is_enough_for_the_proof(tmp_path: Path, postgresql: PostgresqlServer) -> None:
    entry = postgresql.create_database()
    role = f"reader_{entry['NAME']}"
    postgresql.query(entry, f"CREATE ROLE {role} LOGIN")
    postgresql.query(entry, f"ALTER ROLE {role} SET default_transaction_read_only = on")
    project = everywhere(tmp_path / "site", {"default": entry, "reader": {**entry, "USER": role}})

    assert kinds(project) == {"default": "default", "reader": "same"}


def test_links_and_other_spellings_of_one_sqlite_file(tmp_path: Path) -> None:
    project = everywhere(tmp_path / "site", ("default", "soft", "hard"))
    project.append(
        "site_settings.py",
        """
        DATABASES["spelt"] = {"ENGINE": "django.db.backends.sqlite3", "NAME": "../site/default.sqlite3"}
        DATABASES["uri"] = {"ENGINE": "django.db.backends.sqlite3", "NAME": f"file:{BASE}/default.sqlite3?cache=shared"}
        """,
    )
    project.database("default").touch()
    project.database("soft").symlink_to("default.sqlite3")
    os.link(project.database("default"), project.database("hard"))

    assert kinds(project) == {"default": "default", "soft": "same", "hard": "same", "spelt": "same", "uri": "same"}


def test_a_link_to_a_sqlite_file_that_is_not_there_yet(tmp_path: Path) -> None:
    project = everywhere(tmp_path / "site", ("default", "soft"))
    project.database("soft").symlink_to("default.sqlite3")

    before = kinds(project)
    dbmigrate("all", cwd=project.root).expect(0)

    assert before == kinds(project) == {"default": "default", "soft": "same"}


@pytest.mark.mariadb
def test_other_spellings_of_one_mariadb_server(tmp_path: Path, mariadb: MariadbServer) -> None:
    entry = mariadb.create_database()
    other = mariadb.create_database()
    socket = mariadb.query(entry, "SELECT @@socket")[0][0]
    project = write_project(
        tmp_path / "site",
        {"core": simple_app()},
        aliases={
            "default": entry,
            "named": {**entry, "HOST": "localhost"},
            "socket": {**entry, "HOST": socket, "PORT": ""},
            "other": other,
        },
        settings=DRIVER,
        rules={"core": "default"},
    )
    project.write("routers.py", "class Router:\n    def allow_migrate(self, db, label, **hints): return True\n")

    assert kinds(project) == {"default": "default", "named": "same", "socket": "same", "other": "routed"}


@pytest.mark.soak
@pytest.mark.mariadb
@pytest.mark.skipif(
    os.getuid() != 0 or shutil.which("unshare") is None or find_server() is None,
    reason="needs a mount namespace and mariadbd",
)
def test_a_copy_of_a_mariadb_server_that_says_the_same_of_itself_is_another_database(tmp_path: Path) -> None:
    with private_mariadb() as (server, folder):
        entry = server.create_database()
        with container_copy_of(folder, tmp_path / "copy") as host:
            project = write_project(
                tmp_path / "site",
                APPS,
                aliases={"default": entry, "blog_db": {**entry, "HOST": host}},
                rules=ROUTED,
                settings=DRIVER,
            )

            dbmigrate("all", cwd=project.root).expect(0)
            found = kinds(project)

        assert server.tables(entry) == {"django_migrations", "core_item"}
    assert found == {"default": "default", "blog_db": "routed"}


@pytest.mark.soak
@pytest.mark.postgresql
def test_a_role_that_may_not_read_the_records_reaches_the_same_database_still(
    tmp_path: Path, postgresql: PostgresqlServer
) -> None:
    entry = postgresql.create_database()
    role = f"reporting_{entry['NAME']}"
    postgresql.query(entry, f"CREATE ROLE {role} LOGIN")
    aliases = {"default": entry, "second": entry, "reporting": {**entry, "USER": role}}
    everywhere(tmp_path / "first", {"default": entry})
    dbmigrate("all", cwd=tmp_path / "first").expect(0)
    project = everywhere(tmp_path / "site", aliases)

    dbmigrate("all", cwd=project.root).expect(0)

    assert kinds(project) == {"default": "default", "second": "same", "reporting": "same"}


@pytest.mark.soak
@pytest.mark.postgresql
@pytest.mark.parametrize(
    "words", [b"pg_try_advisory_xact_lock", pytest.param(b"ROLLBACK", marks=pytest.mark.soak), b"min(objid"]
)
def test_a_server_that_is_silent_in_the_middle_of_the_proof_ends_no_look(
    tmp_path: Path, postgresql: PostgresqlServer, words: bytes
) -> None:
    entry = postgresql.create_database()
    with proxy(entry) as server:
        server.freeze_at(words)
        project = everywhere(tmp_path / "site", {"default": server.entry, "other": entry})

        found = kinds(project)

    assert found == {"default": "default", "other": "same"}
