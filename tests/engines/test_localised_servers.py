"""Servers that do not speak English, and names that look like what a server says: codes decide."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.cli import dbmigrate
from support.environments import environment
from support.localised import german_postgresql
from support.mariadb import DRIVER, MariadbServer, private_mariadb
from support.postgresql import PostgresqlServer
from support.projects import simple_app, write_project


@pytest.fixture(scope="module")
def german() -> Iterator[PostgresqlServer]:
    """Return a PostgreSQL server that speaks German, with roles and databases that refuse."""
    with german_postgresql() as server:
        rules = server.folder / "pg_hba.conf"
        rules.write_text('local all "starting up" scram-sha-256\nlocal all unwanted reject\n' + rules.read_text())
        entry = server.create_database()
        for statement in (
            "CREATE ROLE \"starting up\" LOGIN PASSWORD 'right'",
            "CREATE ROLE unwanted LOGIN",
            "CREATE ROLE timeout",
            "CREATE ROLE ssl_user LOGIN CONNECTION LIMIT 0",
            "CREATE DATABASE refused ALLOW_CONNECTIONS false",
            "SELECT pg_reload_conf()",
        ):
            server.query(entry, statement)
        yield server


@pytest.fixture(scope="module")
def german_mariadb() -> Iterator[MariadbServer]:
    """Return a MariaDB server that speaks German, with users that it refuses."""
    with private_mariadb() as (server, _):
        entry = {**server.create_database(), "NAME": None}
        for statement in (
            "SET GLOBAL lc_messages = 'de_DE'",
            "CREATE USER locked@'127.0.0.1' ACCOUNT LOCK",
            "CREATE USER stranger@'127.0.0.1'",
        ):
            server.query(entry, statement)
        yield server


@pytest.mark.soak
@pytest.mark.localised
@pytest.mark.parametrize("driver", ["psycopg", pytest.param("psycopg2", marks=pytest.mark.soak)])
def test_what_a_german_postgresql_refuses_is_known_by_its_code(
    driver: str, tmp_path: Path, german: PostgresqlServer
) -> None:
    entry = german.create_database()
    changes: dict[str, dict[str, Any]] = {
        "password": {"USER": "starting up", "PASSWORD": "wrong"},
        "rejected": {"USER": "unwanted"},
        "unknown": {"USER": "too many"},
        "unlisted": {"USER": "timeout"},
        "missing": {"NAME": "shutting down"},
        "closed": {"NAME": "refused"},
        "full": {"USER": "ssl_user"},
        "parameter": {"OPTIONS": {"options": "-c no_such_setting=1"}},
        "nobody": {"HOST": "/nowhere"},
    }
    aliases = {alias: {**entry, **change} for alias, change in changes.items()}
    # The project speaks German itself: so do libpq and the C library then.
    project = write_project(
        tmp_path / "site",
        {"core": simple_app()},
        aliases={"default": entry, **aliases},
        settings='import locale\nlocale.setlocale(locale.LC_ALL, "")\n',
    )
    python = ("--python", environment(driver)) if driver != "psycopg" else ()

    speaking = {"LANG": "de_DE.UTF-8", "LOCPATH": str(german.folder.parent)}
    outcome = dbmigrate("status", "--format", "json", *python, cwd=project.root, environment=speaking).expect(0)

    said = {database["alias"]: database for database in outcome.json["result"]["databases"]}
    assert {alias: said[alias]["trouble"] for alias in changes} == {
        "password": "password",
        "rejected": "password",
        "unknown": "role",
        "unlisted": "role",
        "missing": "no-database",
        "closed": "not-accepting",
        "full": "full",
        "parameter": "settings",
        "nobody": "refused",
    }
    assert "Passwort-Authentifizierung für Benutzer »starting up« fehlgeschlagen" in said["password"]["error"]


@pytest.mark.soak
@pytest.mark.localised
def test_a_wrong_password_of_a_german_postgresql_is_not_waited_for(tmp_path: Path, german: PostgresqlServer) -> None:
    entry = {**german.create_database(), "USER": "starting up", "PASSWORD": "mistaken-password"}
    project = write_project(tmp_path / "site", {"core": simple_app()}, aliases={"default": entry})

    outcome = dbmigrate("all", "--wait", "600", cwd=project.root).expect(21)

    assert "Waiting" not in outcome.stdout + outcome.stderr
    assert "fehlgeschlagen (nothing was changed)" in outcome.stderr
    assert 'hint: fix DATABASES["default"]; waiting will not help' in outcome.stderr
    assert "mistaken-password" not in outcome.stdout + outcome.stderr


@pytest.mark.soak
@pytest.mark.mariadb
def test_what_a_german_mariadb_refuses_is_known_by_its_code(tmp_path: Path, german_mariadb: MariadbServer) -> None:
    entry = german_mariadb.create_database()
    changes: dict[str, dict[str, Any]] = {
        "password": {"PASSWORD": "wrong"},
        "locked": {"USER": "locked", "PASSWORD": ""},
        "rights": {"USER": "stranger", "PASSWORD": ""},
        "missing": {"NAME": "timeout"},
        "nobody": {"PORT": "1"},
        "nowhere": {"HOST": "nowhere.invalid"},
    }
    aliases = {alias: {**entry, **change} for alias, change in changes.items()}
    project = write_project(
        tmp_path / "site", {"core": simple_app()}, aliases={"default": entry, **aliases}, settings=DRIVER
    )

    outcome = dbmigrate("status", "--format", "json", cwd=project.root).expect(0)

    said = {database["alias"]: database for database in outcome.json["result"]["databases"]}
    assert {alias: said[alias]["trouble"] for alias in changes} == {
        "password": "password",
        "locked": "password",
        "rights": "rights",
        "missing": "no-database",
        "nobody": "refused",
        "nowhere": "unknown-host",
    }
    assert "Benutzer 'tester'@" in said["password"]["error"]


@pytest.mark.localised
def test_a_right_that_a_german_server_misses_is_told_with_what_to_grant(
    tmp_path: Path, german: PostgresqlServer
) -> None:
    entry = german.create_database()
    german.query(entry, "CREATE ROLE shut_out LOGIN")
    german.query(entry, f'REVOKE CONNECT ON DATABASE "{entry["NAME"]}" FROM public')
    project = write_project(
        tmp_path / "site", {"core": simple_app()}, aliases={"default": {**entry, "USER": "shut_out"}}
    )

    outcome = dbmigrate("all", "--wait", "600", cwd=project.root).expect(21)

    assert "database default cannot be read: " in outcome.stderr
    assert "keine Berechtigung für Datenbank" in outcome.stderr
    assert 'hint: GRANT access to that database to the user of DATABASES["default"]' in outcome.stderr


@pytest.mark.soak
@pytest.mark.localised
def test_a_german_postgresql_without_room_for_the_lock_is_told_apart(tmp_path: Path, german: PostgresqlServer) -> None:
    entry = german.create_database()
    german.query(entry, "CREATE ROLE once LOGIN CONNECTION LIMIT 1")
    german.query(entry, f'ALTER DATABASE "{entry["NAME"]}" OWNER TO once')
    project = write_project(tmp_path / "site", {"core": simple_app()}, aliases={"default": {**entry, "USER": "once"}})

    refused = dbmigrate("all", cwd=project.root).expect(20)
    done = dbmigrate("all", "--no-lock", cwd=project.root).expect(0)

    assert 'ALTER ROLE "once" CONNECTION LIMIT 2' in refused.stderr
    assert "All migrations completed successfully" in done.stdout
