"""Databases that do not answer yet, and those that never will."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
from support.background import start
from support.cli import dbmigrate
from support.in_process import InProcess
from support.mariadb import DRIVER, MariadbServer
from support.postgresql import PostgresqlServer
from support.projects import Project, simple_app, write_project
from support.proxy import proxy


def project_on(folder: Path, entry: dict[str, Any], settings: str = "") -> Project:
    return write_project(folder / "site", {"core": simple_app()}, aliases={"default": entry}, settings=settings)


@pytest.mark.postgresql
def test_a_server_that_starts_later_is_waited_for(tmp_path: Path, postgresql: PostgresqlServer) -> None:
    with proxy(postgresql.create_database(), listens=False) as server:
        process = start(project_on(tmp_path, server.entry), "all", "--wait", "60")
        line = next(line for line in process.stdout or () if "Waiting" in line)
        server.listen()
        rest = process.communicate(timeout=90)[0]

    assert process.returncode == 0, line + rest
    assert line.startswith("Waiting for database: default (up to 60 s): nothing is listening there: ")
    assert "Database is reachable: default (after " in rest
    assert "All migrations completed successfully" in rest


@pytest.mark.mariadb
def test_a_database_that_somebody_else_creates_is_waited_for(tmp_path: Path, mariadb: MariadbServer) -> None:
    entry = mariadb.create_database()
    mariadb.query({**entry, "NAME": None}, f"DROP DATABASE {entry['NAME']}")
    process = start(project_on(tmp_path, entry, DRIVER), "wait", "--wait", "60")

    line = next(line for line in process.stdout or () if "Waiting" in line)
    mariadb.query({**entry, "NAME": None}, f"CREATE DATABASE {entry['NAME']}")
    rest = process.communicate(timeout=90)[0]

    assert process.returncode == 0, line + rest
    assert "the server has no such database yet" in line
    assert "1 of 1 database reachable: default" in rest


@pytest.mark.mariadb
def test_a_wrong_password_is_not_waited_for(tmp_path: Path, mariadb: MariadbServer) -> None:
    entry = {**mariadb.create_database(), "PASSWORD": "mistaken-password"}
    project = project_on(tmp_path, entry, DRIVER)

    for command in ("all", "wait"):
        outcome = dbmigrate(command, "--wait", "600", cwd=project.root).expect(21)
        assert "Access denied" in outcome.stdout + outcome.stderr
        assert "Waiting" not in outcome.stderr
        assert "mistaken-password" not in outcome.stdout + outcome.stderr


@pytest.mark.postgresql
def test_an_unknown_role_is_not_waited_for(tmp_path: Path, postgresql: PostgresqlServer) -> None:
    project = project_on(tmp_path, {**postgresql.create_database(), "USER": "nobody_of_this_name"})

    outcome = dbmigrate("wait", "--wait", "600", cwd=project.root).expect(21)

    assert "error: database default: the server does not know this user" in outcome.stdout


def test_a_folder_that_is_missing_is_not_waited_for(tmp_path: Path) -> None:
    entry = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "nowhere" / "db.sqlite3")}
    project = project_on(tmp_path, entry)

    outcome = dbmigrate("wait", "--wait", "600", cwd=project.root).expect(21)

    folder = tmp_path / "nowhere"
    said = f"database default: its file cannot be created: the folder {folder} does not exist; waiting will not help"
    assert said in outcome.stdout
    assert "Waiting" not in outcome.stderr


def test_a_missing_driver_is_not_waited_for(tmp_path: Path) -> None:
    project = project_on(tmp_path, {"ENGINE": "django.db.backends.oracle", "NAME": "x"})

    outcome = dbmigrate("all", "--wait", "600", cwd=project.root)

    assert outcome.code in (3, 21), outcome
    assert "oracle" in outcome.stderr.lower()


def test_a_server_that_takes_connections_and_says_nothing(tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = str(listener.getsockname()[1])
        entry = {"ENGINE": "django.db.backends.postgresql", "NAME": "x", "HOST": "127.0.0.1", "PORT": port}
        project = project_on(tmp_path, entry)

        outcome = dbmigrate("wait", "--wait", "0", cwd=project.root, environment={"PGCONNECT_TIMEOUT": "2"}).expect(21)

    assert "error: database default: it does not respond: connection timeout expired" in outcome.stdout


def test_status_waits_and_tells_all_the_same(tmp_path: Path) -> None:
    entry = {"ENGINE": "django.db.backends.postgresql", "NAME": "x", "HOST": "127.0.0.1", "PORT": "1"}
    project = project_on(tmp_path, entry)

    outcome = dbmigrate("status", "--wait", "0.5", "--exit-code", cwd=project.root).expect(21)

    assert "Waiting for database: default" in outcome.stderr
    assert "unreachable" in outcome.stdout


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [
        (("all", "--wait", "-1"), {}),
        (("all", "--wait", "nan"), {}),
        (("all", "--lock-wait", "abc"), {}),
        (("all",), {"DBMIGRATE_WAIT": "soon"}),
        (("all",), {"DBMIGRATE_LOCK_WAIT": "-5"}),
        (("all",), {"DBMIGRATE_LOCK_URL": "default"}),
        (("all",), {"DBMIGRATE_LOCK_URL": "defualt=postgresql://host/name"}),
    ],
)
def test_times_and_urls_that_are_none(
    in_process: InProcess, sample: Project, arguments: tuple[str, ...], environment: dict[str, str]
) -> None:
    outcome = in_process(*arguments, cwd=sample.root, environment=environment).expect(2)

    assert "error: " in outcome.stderr
    assert sample.tables() == {}
