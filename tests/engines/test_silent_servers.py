"""Servers that take a connection and then say nothing: each is named in time, and hides no other database."""

from __future__ import annotations

import socket
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from support.background import start, until
from support.cli import EXECUTABLE, Outcome, clean_environment
from support.combinations import combinations
from support.mariadb import DRIVER, MariadbServer
from support.postgresql import PostgresqlServer
from support.projects import Project, everywhere, simple_app, waiting_app, write_project
from support.proxy import LAST_WORDS, Proxy, proxy
from support.sites import ENGINES, Site

SERVERS = ENGINES[1:]

LOOK_WORDS = {"postgresql": b"current_setting('server_version')", "mariadb": b"lower_case_table_names"}
"""What only a look and the lock ask."""

LOCK_WORDS = {"postgresql": b"pg_try_advisory_xact_lock(", "mariadb": b"GET_LOCK"}

RECORD_WORDS = b"django_migrations"

HANG_SECONDS = 25
"""In which a run ends that waits for a server as long as it does by itself, or less."""


def within(seconds: float, *arguments: str, project: Project) -> Outcome:
    """Run the executable as `timeout` does: it must end by itself."""
    argv = (str(EXECUTABLE), *arguments)
    ended = subprocess.run(
        argv, cwd=project.root, env=clean_environment(), capture_output=True, text=True, timeout=seconds, check=False
    )
    return Outcome(argv=argv, cwd=project.root, code=ended.returncode, stdout=ended.stdout, stderr=ended.stderr)


@contextmanager
def beside(folder: Path, server: PostgresqlServer | MariadbServer) -> Iterator[tuple[Project, Proxy]]:
    """Give a project with app core on an SQLite file, and app far on a server behind a proxy."""
    with proxy(server.create_database()) as between:
        project = write_project(
            folder / "site",
            {"core": simple_app(), "far": simple_app()},
            aliases={"default": {}, "other": between.entry},
            settings=DRIVER if isinstance(server, MariadbServer) else "",
            rules={"core": "default", "far": "other"},
        )
        yield project, between


@pytest.mark.parametrize(
    ("engine", "place"),
    combinations(
        SERVERS,
        ("before it greets", "when it is connected", "in the look"),
        quick=[
            ("postgresql", "in the look"),
            ("mariadb", "before it greets"),
            ("mariadb", "when it is connected"),
        ],
    ),
)
def test_a_silent_server_hides_no_other_database(
    engine: str, place: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    with beside(tmp_path, request.getfixturevalue(engine)) as (project, between):
        freeze(between, engine, place)
        outcome = within(HANG_SECONDS, "status", "--wait", "2", "--format", "json", project=project).expect(0)

    core, far = outcome.json["result"]["databases"]
    assert (core["state"], core["pending"], core["error"]) == ("absent", 2, None)
    said = "no connection within 2 s" if place == "before it greets" else "connected, and silent for 2 s"
    assert (far["state"], far["trouble"], far["error"]) == ("unreachable", "silent", said)


def freeze(between: Proxy, engine: str, place: str) -> None:
    """Let a server fall silent there."""
    if place == "before it greets":
        between.freeze()
    else:
        between.freeze_at(b"SELECT 1" if place == "when it is connected" else LOOK_WORDS[engine])


@pytest.mark.soak
@pytest.mark.postgresql
@pytest.mark.parametrize(
    ("command", "code", "told"),
    [
        ("check", 21, ("error: database other is unreachable: connected, and silent for 2 s", "1 database checked")),
        ("verify", 21, ("connected, and silent for 2 s", "1 database checked")),
        ("plan", 21, ("database other is unreachable", "silent for 2 s")),
        ("info", 0, ("other (routed, unreachable): far",)),
    ],
)
def test_each_command_names_the_silent_database(
    command: str, code: int, told: tuple[str, ...], tmp_path: Path, postgresql: PostgresqlServer
) -> None:
    with beside(tmp_path, postgresql) as (project, between):
        between.freeze_at(LOOK_WORDS["postgresql"])
        outcome = within(HANG_SECONDS, command, "--wait", "2", project=project).expect(code)

    assert all(words in outcome.stdout + outcome.stderr for words in told), outcome


@pytest.mark.soak
@pytest.mark.parametrize("engine", SERVERS)
def test_a_server_that_falls_silent_while_its_lock_is_taken_is_named(engine: str, site: Callable[..., Site]) -> None:
    here = site(engine)
    with proxy(here.entry) as between:
        reach_by(here.project, between)
        between.freeze_at(LOCK_WORDS[engine])
        outcome = within(HANG_SECONDS, "all", "--lock-wait", "2", project=here.project).expect(21)

    assert (
        "error: database default is unreachable: connected, and silent for 2 s when its lock was requested "
        "(nothing was changed)" in outcome.stderr
    )
    # A MariaDB server has the tables of every test in information_schema.
    where = f"table_name = 'core_item' AND table_schema IN ('public', '{here.entry['NAME']}')"
    assert here.query(f"SELECT count(*) FROM information_schema.tables WHERE {where}") == [(0,)]


ASKING_CONFIG = """
from django.apps import AppConfig
from django.db import connection

class Config(AppConfig):
    name = "core"

    def ready(self):
        with connection.cursor() as cursor:
            cursor.execute("SELECT 'asked while the apps are loaded'")
"""


@pytest.mark.soak
@pytest.mark.postgresql
def test_a_server_that_is_silent_while_the_project_is_loaded_is_named(site: Callable[..., Site]) -> None:
    here = site("postgresql", {**simple_app(), "apps.py": ASKING_CONFIG})
    with proxy(here.entry) as between:
        reach_by(here.project, between)
        between.freeze_at(b"asked while the apps are loaded")
        outcome = within(HANG_SECONDS, "status", project=here.project).expect(21)

    assert "error: database default is unreachable: connected, and silent for 15 s" in outcome.stderr


def reach_by(project: Project, between: Proxy) -> None:
    """Let a project reach its database through a proxy."""
    project.append("site_settings.py", f'DATABASES["default"].update({between.entry!r})')


@pytest.mark.soak
@pytest.mark.postgresql
def test_without_a_time_a_server_may_be_silent_for_15_seconds(site: Callable[..., Site]) -> None:
    here = site("postgresql")
    with proxy(here.entry) as between:
        reach_by(here.project, between)
        between.freeze_at(RECORD_WORDS)
        outcome = within(HANG_SECONDS, "all", "--lock-wait", "5", project=here.project).expect(21)

    assert "error: database default is unreachable: connected, and silent for 15 s" in outcome.stderr


@pytest.mark.soak
@pytest.mark.parametrize("engine", combinations(SERVERS, quick=[("postgresql",)]))
def test_a_server_that_falls_silent_behind_the_steps_is_named_and_has_more_time_than_the_wait_for_it(
    engine: str, site: Callable[..., Site]
) -> None:
    here = site(engine, waiting_app())
    folder = here.project.root / "core" / "migrations"
    with proxy(here.entry) as between:
        reach_by(here.project, between)
        process = start(here.project, "all", "--wait", "2", "--skip-makemigrations")
        until((folder / "ready").exists, "in the migration")
        between.freeze_at(LAST_WORDS[engine])
        (folder / "go").touch()
        said = process.communicate(timeout=HANG_SECONDS)[0]

    assert process.returncode == 31, said
    assert "the result could not be verified" in said
    assert "connected, and silent for 15 s" in said
    assert here.recorded() == {"core.0001_initial": 1, "core.0002_wait": 1, "more.0001_initial": 1}


@pytest.mark.soak
@pytest.mark.parametrize(
    ("engine", "launcher"),
    combinations(ENGINES, ("fork", "spawn"), quick=[("sqlite", "spawn"), ("postgresql", "fork"), ("mariadb", "fork")]),
)
def test_a_step_that_takes_too_long_is_interrupted(engine: str, launcher: str, site: Callable[..., Site]) -> None:
    here = site(engine, waiting_app())

    outcome = within(
        HANG_SECONDS,
        *("all", "--skip-makemigrations", "--launcher", launcher, "--step-timeout", "8"),
        project=here.project,
    ).expect(31)

    assert "core.0002_wait: it ran for longer than step_timeout (8 s) and was interrupted" in outcome.stderr
    assert here.recorded() == {"core.0001_initial": 1}


@pytest.mark.soak
@pytest.mark.parametrize("engine", SERVERS)
def test_a_step_whose_server_falls_silent_ends_with_its_time(engine: str, site: Callable[..., Site]) -> None:
    here = site(engine)
    with proxy(here.entry) as between:
        reach_by(here.project, between)
        between.freeze_at(b"CREATE TABLE")
        outcome = within(
            HANG_SECONDS, *("all", "--skip-makemigrations", "--wait", "2", "--step-timeout", "3"), project=here.project
        )

    assert outcome.code in (30, 31), outcome
    assert "it ran for longer than step_timeout (3 s) and was interrupted" in outcome.stderr


@pytest.mark.soak
def test_a_locked_sqlite_file_is_named_and_waited_for(tmp_path: Path) -> None:
    file = tmp_path / "far.sqlite3"
    entry = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(file), "OPTIONS": {"timeout": 600}}
    project = write_project(tmp_path / "site", {"core": simple_app()}, aliases={"default": entry})
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("CREATE TABLE theirs (id)")
        other.execute("BEGIN EXCLUSIVE")

        status = within(HANG_SECONDS, "status", "--wait", "2", project=project).expect(0)
        process = start(project, "all", "--wait", "60")
        line = next(line for line in process.stdout or () if "Waiting" in line)
        other.execute("ROLLBACK")
        rest = process.communicate(timeout=90)[0]

    assert "warning: database default is unreachable: database is locked" in status.stdout
    assert "   hint: another process is writing to that file: wait for it with --wait SECONDS" in status.stdout
    assert process.returncode == 0, line + rest
    assert "database is locked" in line
    assert "All migrations completed successfully" in rest


@pytest.mark.soak
@pytest.mark.postgresql
def test_locked_records_are_waited_for(site: Callable[..., Site], postgresql: PostgresqlServer) -> None:
    here = site("postgresql")
    here.query("CREATE TABLE django_migrations (id serial, app text, name text, applied timestamptz)")
    with postgresql.session(here.entry) as other:
        other.execute("BEGIN")
        other.execute("LOCK TABLE django_migrations IN ACCESS EXCLUSIVE MODE")
        process = start(here.project, "all", "--wait", "60")
        line = next(line for line in process.stdout or () if "Waiting" in line)
        other.execute("ROLLBACK")
        rest = process.communicate(timeout=90)[0]

    assert process.returncode == 0, line + rest
    assert "silent for" in line


@contextmanager
def blackhole() -> Iterator[str]:
    """Give a port that drops what would connect to it: its queue is full, and nobody takes from it."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        clients = [socket.socket() for _ in range(3)]
        for client in clients:
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        try:
            yield str(listener.getsockname()[1])
        finally:
            for client in clients:
                client.close()


@pytest.mark.soak
@pytest.mark.postgresql
def test_several_silent_servers_take_no_longer_than_one(tmp_path: Path, postgresql: PostgresqlServer) -> None:
    entry = postgresql.create_database()
    with proxy(entry) as greeting, proxy(entry) as connected, blackhole() as port:
        greeting.freeze()
        connected.freeze_at(b"SELECT 1")
        aliases = {
            "default": {},
            "refused": {**entry, "HOST": "127.0.0.1", "PORT": "1"},
            "dropped": {**entry, "HOST": "127.0.0.1", "PORT": port},
            "greeting": greeting.entry,
            "connected": connected.entry,
        }
        project = everywhere(tmp_path / "site", aliases)
        outcome = within(HANG_SECONDS, "wait", "--wait", "3", project=project).expect(21)

    assert outcome.stdout.splitlines()[1:] == [
        "error: database dropped: it does not respond: no connection within 3 s",
        "error: database greeting: it does not respond: no connection within 3 s",
        "error: database connected: it does not respond: connected, and silent for 3 s",
        "1 of 5 databases reachable: default",
    ]


@pytest.mark.soak
@pytest.mark.timeout(240)
@pytest.mark.postgresql
def test_a_server_that_falls_silent_while_it_is_emptied_is_named(migrated_site: Callable[..., Site]) -> None:
    here = migrated_site("postgresql")
    here.project.append("site_settings.py", "DEBUG = True")
    with proxy(here.entry) as between:
        reach_by(here.project, between)
        between.freeze_at(b"DROP TABLE")
        outcome = within(120 + HANG_SECONDS, *("reset", "--confirm", "site_settings"), project=here.project)

    assert outcome.code == 30, outcome
    assert "default" in outcome.stderr
    assert "silent for 120 s" in outcome.stderr
