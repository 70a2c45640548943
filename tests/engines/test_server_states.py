"""Servers that start, refuse, follow another one, or go away: no other test could use them meanwhile."""

from __future__ import annotations

import os
import re
import socketserver
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from support.background import start, until
from support.cli import dbmigrate
from support.combinations import combinations
from support.mariadb import DRIVER, MariadbServer, kill_and_restart, private_mariadb
from support.postgresql import PostgresqlServer, private_postgresql, standby_of
from support.projects import create, migration, model, simple_app, write_project
from support.sites import ENGINES, write_site


@pytest.fixture(scope="module")
def own_mariadb() -> Iterator[tuple[MariadbServer, Path]]:
    """Return a server that no other worker uses, and its folder."""
    with private_mariadb() as own:
        yield own


@pytest.mark.soak
@pytest.mark.postgresql
def test_a_wrong_password_of_postgresql_is_not_waited_for(tmp_path: Path, own_postgresql: PostgresqlServer) -> None:
    entry = own_postgresql.create_database()
    rules = own_postgresql.folder / "pg_hba.conf"
    rules.write_text(f"local all stranger scram-sha-256\n{rules.read_text()}")
    own_postgresql.query(entry, "CREATE ROLE stranger LOGIN PASSWORD 'right'")
    own_postgresql.query(entry, "SELECT pg_reload_conf()")
    project = write_project(
        tmp_path / "site",
        {"core": simple_app()},
        aliases={"default": {**entry, "USER": "stranger", "PASSWORD": "mistaken-password"}},
    )

    waited = dbmigrate("wait", "--wait", "600", cwd=project.root).expect(21)
    refused = dbmigrate("all", "--wait", "600", cwd=project.root).expect(21)

    assert "default: the server refused the login: " in waited.stdout
    assert 'password authentication failed for user "stranger"' in refused.stderr
    assert 'hint: fix DATABASES["default"]; waiting will not help' in refused.stderr
    assert "mistaken-password" not in waited.stdout + waited.stderr + refused.stderr


@pytest.mark.postgresql
def test_a_role_that_has_all_its_connections_is_waited_for(tmp_path: Path, postgresql: PostgresqlServer) -> None:
    entry = postgresql.create_database()
    role = f"busy_{entry['NAME']}"
    postgresql.query(entry, f"CREATE ROLE {role} LOGIN CONNECTION LIMIT 0")
    project = write_project(tmp_path / "site", {"core": simple_app()}, aliases={"default": {**entry, "USER": role}})
    process = start(project, "wait", "--wait", "60")

    line = next(line for line in process.stdout or () if "Waiting" in line)
    postgresql.query(entry, f"ALTER ROLE {role} CONNECTION LIMIT -1")
    rest = process.communicate(timeout=90)[0]

    assert "it has no free connections now: " in line
    assert process.returncode == 0, line + rest


@pytest.mark.soak
@pytest.mark.postgresql
def test_a_server_that_shuts_down_is_not_told_as_full(tmp_path: Path) -> None:
    with private_postgresql() as server:
        entry = server.create_database()
        project = write_project(tmp_path / "site", {"core": simple_app()}, aliases={"default": entry})

        def is_closed() -> bool:
            try:
                server.query(entry, "SELECT 1")
            except psycopg.OperationalError:
                return True
            return False

        with server.session(entry):
            # It lets nobody in, and waits for this session to end.
            server.run_program("pg_ctl", "-W", "-m", "smart", "-D", str(server.folder), "stop")
            until(is_closed, "shutting down")
            refused = dbmigrate("all", cwd=project.root).expect(21)

    assert "the database system is shutting down (nothing was changed)" in refused.stderr
    assert "hint: restart it if it was shut down" in refused.stderr


class _Blocking(socketserver.BaseRequestHandler):
    """Refuse as MariaDB does after too many failed logins; a real one never blocks the machine that it runs on."""

    def handle(self) -> None:
        words = (
            b"Host '10.0.0.9' is blocked because of many connection errors; unblock with 'mariadb-admin flush-hosts'"
        )
        packet = b"\xff" + (1129).to_bytes(2, "little") + words
        self.request.sendall(len(packet).to_bytes(3, "little") + b"\x00" + packet)


def test_a_server_that_has_blocked_this_host_is_told_with_what_lets_it_in(tmp_path: Path) -> None:
    with socketserver.TCPServer(("127.0.0.1", 0), _Blocking) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        port = str(server.server_address[1])
        entry = {"ENGINE": "django.db.backends.mysql", "NAME": "x", "USER": "x", "HOST": "127.0.0.1", "PORT": port}
        project = write_project(tmp_path / "site", {"core": simple_app()}, aliases={"default": entry}, settings=DRIVER)
        try:
            refused = dbmigrate("all", "--wait", "600", cwd=project.root).expect(21)
        finally:
            server.shutdown()
            thread.join()

    assert "is blocked because of many connection errors" in refused.stderr
    assert "hint: mariadb-admin flush-hosts on its server" in refused.stderr
    assert "Waiting" not in refused.stderr


@pytest.mark.parametrize(
    ("host", "options", "words"),
    [
        ("nowhere.invalid", {}, "its host name is unknown: "),
        ("127.0.0.1", {}, "nothing is listening there: "),
        ("127.0.0.1", {"sslmode": "require"}, "nothing is listening there: "),
    ],
)
def test_the_reason_is_told_in_words(tmp_path: Path, host: str, options: dict[str, str], words: str) -> None:
    entry = {"ENGINE": "django.db.backends.postgresql", "NAME": "x", "HOST": host, "PORT": "1", "OPTIONS": options}
    project = write_project(tmp_path / "site", {"core": simple_app()}, aliases={"default": entry})

    outcome = dbmigrate("wait", "--wait", "2", cwd=project.root).expect(21)

    assert f"default: {words}" in outcome.stdout
    assert re.search(rf"Waiting for database: default \(up to [12] s\): {words}", outcome.stderr)


@pytest.mark.mariadb
def test_tls_that_the_server_does_not_have_is_told_in_words(tmp_path: Path, mariadb: MariadbServer) -> None:
    options = {"ssl": {"check_hostname": False}}
    site = write_site(tmp_path / "site", mariadb)
    site.project.append("site_settings.py", f'DATABASES["default"]["OPTIONS"] = {options!r}')

    outcome = dbmigrate("wait", "--wait", "0", cwd=site.project.root).expect(21)

    assert "default: the TLS connection failed: " in outcome.stdout


@pytest.mark.soak
@pytest.mark.postgresql
def test_a_server_that_is_starting_up_is_waited_for(tmp_path: Path) -> None:
    with private_postgresql() as server:
        entry = server.create_database()
        go = server.folder / "go"
        server.run_program("pg_ctl", "-w", "-D", str(server.folder), "stop")
        # It starts up for as long as the program that fetches archived logs waits.
        with (server.folder / "postgresql.auto.conf").open("a") as settings:
            settings.write("hot_standby = off\n")
            settings.write(f"restore_command = 'until [ -e {go} ]; do sleep 0.05; done; false'\n")
        (server.folder / "recovery.signal").touch()
        os.chown(server.folder / "recovery.signal", server.folder.stat().st_uid, -1)
        log = str(server.folder / "log")
        options = f'-h "" -k {entry["HOST"]}'
        server.run_program("pg_ctl", "-W", "-D", str(server.folder), "-l", log, "-o", options, "start")
        until((server.folder / "postmaster.pid").exists, "started")
        project = write_project(tmp_path / "site", {"core": simple_app()}, aliases={"default": entry})

        process = start(project, "all", "--wait", "60")
        line = next(line for line in process.stdout or () if "starting up" in line)
        go.touch()
        rest = process.communicate(timeout=90)[0]

    assert "Waiting for database: default (up to " in line
    assert "it is starting up: " in line
    assert process.returncode == 0, line + rest
    assert "All migrations completed successfully" in rest


@pytest.mark.soak
@pytest.mark.postgresql
def test_a_standby_is_left_alone_and_refused_where_it_is_to_be_migrated(
    tmp_path: Path, own_postgresql: PostgresqlServer
) -> None:
    entry = own_postgresql.create_database()
    apps = {"core": simple_app()}
    with standby_of(own_postgresql, entry, own_postgresql.folder.parent / "standby") as copy:
        alone = write_project(tmp_path / "alone", apps, aliases={"default": copy})
        both = write_project(tmp_path / "both", apps, aliases={"default": entry, "reader": copy})

        refused = dbmigrate("all", cwd=alone.root).expect(21)
        skipped = dbmigrate("all", cwd=both.root).expect(0)
        named = dbmigrate("run", "--database", "reader", cwd=both.root).expect(2)

    assert "error: database default is read-only: the server is a standby" in refused.stderr
    assert "reader    skipped   a replica" in skipped.stdout
    assert "database reader is a replica (the server is a standby" in named.stderr


def killer_app(pid_file: Path, kill: Path) -> dict[str, str]:
    """Return an app whose second migration kills its server, as long as the file `kill` is there."""
    head = f"""
import os, pathlib, signal, time

def kill(apps, schema_editor):
    if pathlib.Path({str(kill)!r}).exists():
        os.kill(int(pathlib.Path({str(pid_file)!r}).read_text().split()[0]), signal.SIGKILL)
        time.sleep(0.5)
"""
    return {
        "models.py": model(),
        "migrations/0001_initial.py": migration(create()),
        "migrations/0002_more.py": migration(
            "migrations.RunPython(kill)", create("Other"), after=(("core", "0001_initial"),), head=head
        ),
    }


@pytest.mark.soak
@pytest.mark.parametrize(
    ("engine", "launcher"),
    combinations(ENGINES[1:], ["fork", "spawn"], quick=[("postgresql", "fork"), ("mariadb", "spawn")]),
)
def test_a_server_that_is_killed_between_two_migrations(
    engine: str, launcher: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    kill = tmp_path / "kill"
    server, pid_file, restart = _server_to_kill(engine, request)
    site = write_site(tmp_path / "site", server, killer_app(pid_file, kill))
    kill.touch()

    outcome = dbmigrate("all", "--skip-makemigrations", "--launcher", launcher, cwd=site.project.root)
    restart()
    kill.unlink()

    assert outcome.code in (30, 31), outcome
    assert "failed: core.0002_more (exit 1 after" in outcome.stderr
    assert "the database could not be checked afterwards" in outcome.stderr
    assert site.recorded() == {"core.0001_initial": 1}
    dbmigrate("all", "--skip-makemigrations", "--launcher", launcher, cwd=site.project.root).expect(0)
    assert site.recorded() == {"core.0001_initial": 1, "core.0002_more": 1, "more.0001_initial": 1}


def _server_to_kill(
    engine: str, request: pytest.FixtureRequest
) -> tuple[PostgresqlServer | MariadbServer, Path, Callable[[], None]]:
    if engine == "postgresql":
        server: PostgresqlServer = request.getfixturevalue("own_postgresql")
        return server, server.folder / "postmaster.pid", server.kill_and_restart
    mariadb, folder = request.getfixturevalue("own_mariadb")
    return mariadb, folder / "server.pid", lambda: kill_and_restart(folder)
