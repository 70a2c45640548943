"""No connection of a look at the databases outlives it, whoever opened it: so steps can be copies of the host."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from support.cli import dbmigrate
from support.environments import environment
from support.mariadb import MariadbServer
from support.postgresql import PostgresqlServer
from support.projects import Project, applied, create, migration, model, numbered, simple_app, write_project
from support.sites import Site

SESSIONS = {
    "postgresql": "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()",
    "mysql": "SELECT count(*) FROM information_schema.processlist WHERE db = database()",
    "sqlite": "SELECT 0",
}

COUNTS = f"""
def count(apps, schema_editor):
    with schema_editor.connection.cursor() as cursor:
        cursor.execute({SESSIONS!r}[schema_editor.connection.vendor])
        print("sessions", cursor.fetchone()[0])
"""

APPS = """\
import os, threading
from django.apps import AppConfig
from django.db import ConnectionHandler, connections
from django.db.backends.signals import connection_created

HERE = os.getpid()
KEPT = []


def ask(connection):
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def in_thread(act):
    def work():
        local.is_busy = True
        act()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def act(connection):
    {act}


def receive(connection, **kwargs):
    # In the process that was booted alone: what a step opens for itself is its own.
    if os.getpid() == HERE and not getattr(local, "is_busy", False):
        local.is_busy = True
        try:
            act(connection)
        finally:
            local.is_busy = False


local = threading.local()


class CoreConfig(AppConfig):
    name = "core"

    def ready(self):
        connection_created.connect(receive)
"""

ACTS = {
    "asks the database that is connected to": "ask(connections[connection.alias])",
    "asks another database": "ask(connections['db1' if connection.alias == 'default' else 'default'])",
    "keeps a connection of its own": "KEPT.append(connections.create_connection('default')); ask(KEPT[-1])",
    "keeps a copy": "KEPT.append(connection.copy()); ask(KEPT[-1])",
    "has a handler of its own, in a thread": "in_thread(lambda: ask(ConnectionHandler()['default']))",
}

ACTS["does all of it"] = "; ".join(ACTS.values())

TOGETHER = [name if name == "does all of it" else pytest.param(name, marks=pytest.mark.soak) for name in ACTS]


def app(act: str) -> dict[str, str]:
    """Return an app whose receiver of connection_created does this, and whose migration counts sessions."""
    return {
        "apps.py": APPS.format(act=act),
        "models.py": model(),
        "migrations/0001_initial.py": migration(create(), "migrations.RunPython(count)", head=COUNTS),
    }


@pytest.mark.soak
@pytest.mark.parametrize(
    "engine",
    [pytest.param("postgresql", marks=pytest.mark.postgresql), pytest.param("mariadb", marks=pytest.mark.mariadb)],
)
@pytest.mark.parametrize("name", TOGETHER)
def test_what_a_receiver_opens_while_we_look_is_closed_before_a_step_is_forked(
    engine: str, name: str, site: Callable[..., Site], request: pytest.FixtureRequest
) -> None:
    here = site(engine, app(ACTS[name]))
    server: PostgresqlServer | MariadbServer = request.getfixturevalue(engine)
    here.project.append("site_settings.py", f"DATABASES['db1'] = {server.create_database()!r}")
    count = SESSIONS["mysql" if engine == "mariadb" else engine]
    before = here.query(count)

    info = dbmigrate("info", cwd=here.project.root).expect(0)
    outcome = dbmigrate("all", "--launcher", "fork", "-v", cwd=here.project.root).expect(0)

    assert "launcher = fork" in info.stdout
    assert "sessions 2" in outcome.stderr  # the lock's, and the step's own
    assert here.query(count) == before == [(1,)]  # the one that asks


@pytest.mark.parametrize("name", TOGETHER)
def test_what_a_receiver_opens_of_sqlite_files_is_closed_before_a_step_is_forked(tmp_path: Path, name: str) -> None:
    project = write_project(tmp_path / "site", {"core": app(ACTS[name])}, aliases=numbered(2))
    for alias in numbered(2):
        project.database(alias).touch()

    dbmigrate("all", "--launcher", "fork", cwd=project.root).expect(0)

    assert applied(project.database("default")) == ["core.0001_initial"]


@pytest.mark.soak
@pytest.mark.postgresql
def test_the_types_of_postgresqls_extensions_leave_no_connection_and_are_asked_for_anew(
    tmp_path: Path, postgresql: PostgresqlServer
) -> None:
    project = hstore_project(tmp_path, postgresql)

    info = dbmigrate("info", cwd=project.root).expect(0)
    forked = dbmigrate("all", "--launcher", "fork", "-v", cwd=project.root).expect(0)

    assert "launcher = fork" in info.stdout
    assert "sessions 2" in forked.stderr
    assert "read {'colour': 'red'}" in forked.stderr


def test_a_receiver_that_fails_is_said_to_and_not_the_database(tmp_path: Path) -> None:
    failing = "connection.cursor().execute('SELECT * FROM core_setting')"
    project = write_project(tmp_path / "site", {"core": app(failing)})
    project.database("default").touch()

    (project.root / "manage.py").rename(project.root / "kiosk.py")

    outcome = dbmigrate("all", "--manage", "kiosk.py", cwd=project.root).expect(21)

    assert "database default could not be checked: OperationalError: no such table: core_setting" in outcome.stderr
    assert "in receive, a receiver of connection_created)" in outcome.stderr
    assert "hint: fix that receiver of connection_created: " in outcome.stderr
    assert "kiosk.py migrate fails with the same error" in outcome.stderr
    assert project.database("default").read_bytes() == b""


@pytest.mark.soak
@pytest.mark.postgresql
def test_a_pool_of_connections_is_closed_with_its_threads(tmp_path: Path, postgresql: PostgresqlServer) -> None:
    entry = {**postgresql.create_database(), "OPTIONS": {"pool": True}}
    project = write_project(tmp_path / "site", {"core": app("pass")}, aliases={"default": entry})
    python = ("--python", environment("pool"))

    info = dbmigrate("info", *python, cwd=project.root).expect(0)
    outcome = dbmigrate("all", "--launcher", "fork", "-v", *python, cwd=project.root).expect(0)

    assert "launcher = fork" in info.stdout
    assert "Migrations completed for default" in outcome.stderr


def test_a_server_that_says_nothing_leaves_no_thread_behind(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host, port = silent.getsockname()
        entry = {"ENGINE": "django.db.backends.postgresql", "NAME": "x", "HOST": host, "PORT": str(port)}
        project = write_project(
            tmp_path / "site", {"core": simple_app()}, aliases={"default": {}, "late": {**entry, **PATIENT}}
        )
        outcome = dbmigrate("info", "--wait", "2", cwd=project.root).expect(0)

    assert "late (open, unreachable)" in outcome.stdout
    assert "launcher = fork  (each step is a copy of the process that was booted)" in outcome.stdout


PATIENT = {"OPTIONS": {"connect_timeout": 60}}


def hstore_project(tmp_path: Path, postgresql: PostgresqlServer) -> Project:
    """Return a project whose one app makes a type by SQL, and whose other one reads a value of it."""
    head = (
        COUNTS
        + """
def read(apps, schema_editor):
    with schema_editor.connection.cursor() as cursor:
        cursor.execute('''SELECT '"colour"=>"red"'::hstore''')
        print("read", cursor.fetchone()[0])
"""
    )
    # As far as a look at types goes, the extension: the wheel's server has none.
    make = 'CREATE TYPE hstore AS ENUM (\'"colour"=>"red"\')'
    first = migration(f"migrations.RunSQL({make!r})")
    second = migration("migrations.RunPython(count)", "migrations.RunPython(read)", head=head)
    return write_project(
        tmp_path / "site",
        {
            "core": simple_app(),
            "kit": {"models.py": "", "migrations/0001_initial.py": first},
            "shop": {"models.py": "", "migrations/0001_initial.py": second},
        },
        aliases={"default": postgresql.create_database(), "shop_db": postgresql.create_database()},
        rules={"kit": "shop_db", "shop": "shop_db"},
        contrib=("django.contrib.postgres",),
    )
