"""One signal is enough, from any moment: the run ends in time and says how it stands, whatever the servers do."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import pytest
from support.background import children_of, is_alive, start, until
from support.combinations import combinations
from support.projects import create, migration, model
from support.proxy import LAST_WORDS, Proxy, proxy
from support.sites import ENGINES, Site

GRACE_SECONDS, REPORT_SECONDS = 3, 5

SERVERS = ENGINES[1:]

TABLES = {
    "sqlite": "SELECT name FROM sqlite_master WHERE name LIKE 'core%'",
    "postgresql": "SELECT relname FROM pg_class WHERE relname LIKE 'core%'",
    "mariadb": "SELECT table_name FROM information_schema.tables WHERE table_name LIKE 'core%'"
    " AND table_schema = DATABASE()",
}

LOOK = {"postgresql": b"pg_is_in_recovery()", "mariadb": b"server_uuid"}
LOCK = {"postgresql": b"pg_try_advisory_xact_lock(", "mariadb": b"GET_LOCK"}
STEP = {"postgresql": b"SELECT 4711", "mariadb": b"SELECT 4711"}
"""What the client says in a look at a database, to take its lock, and in a migration."""

HANGING_COMMAND = """
import pathlib, time
from django.core.management.commands import makemigrations

class Command(makemigrations.Command):
    def handle(self, *args, **options):
        pathlib.Path({ready!r}).touch()
        time.sleep(600)
"""


def waiting_app(folder: Path) -> dict[str, str]:
    """Return an app whose migration writes the file `ready`, waits for the file `go`, and asks the server."""
    head = f"""
import pathlib, time

def ask(apps, schema_editor):
    pathlib.Path({str(folder / "ready")!r}).touch()
    while not pathlib.Path({str(folder / "go")!r}).exists():
        time.sleep(0.02)
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("SELECT 4711")
"""
    return {
        "models.py": model(),
        "migrations/0001_initial.py": migration(create(), "migrations.RunPython(ask)", head=head),
    }


class Run:
    """One dbmigrate that runs behind a proxy."""

    def __init__(self, site: Site, between: Proxy | None, engine: str, folder: Path, launcher: str) -> None:
        self.site, self.engine, self.folder = site, engine, folder
        self._between = between
        self._launcher = launcher
        self.process: subprocess.Popen[str] | None = None

    @property
    def between(self) -> Proxy:
        """The proxy; there is none in front of SQLite."""
        assert self._between is not None
        return self._between

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start it."""
        grace = ("--grace", str(GRACE_SECONDS), "--launcher", self._launcher)
        self.process = start(self.site.project, *(words or ("all", "--skip-makemigrations")), *grace)
        return self.process

    def start_step(self) -> None:
        """Start it and wait until its migration runs."""
        process = self.start()
        ready = self.folder / "ready"
        until(lambda: ready.exists() or process.poll() is not None, "in the migration")
        assert process.poll() is None, process.communicate()[0]

    def go(self) -> None:
        """Let the migration go on."""
        (self.folder / "go").touch()

    @property
    def pid(self) -> int:
        """Its own process."""
        assert self.process is not None
        return self.process.pid

    @property
    def host(self) -> int:
        """The process that has booted the project."""
        return children_of(self.pid)[0]

    def stop(self, signum: int = signal.SIGTERM) -> tuple[int, str]:
        """Send a signal; return the exit code and all that it said. It must have ended in time."""
        assert self.process is not None
        began = time.monotonic()
        self.process.send_signal(signum)
        said = self.process.communicate(timeout=60)[0]
        assert time.monotonic() - began < GRACE_SECONDS + REPORT_SECONDS, said
        return self.process.returncode, said


def look(run: Run) -> None:
    """Stop in the first look at a database."""
    run.between.freeze_at(LOOK[run.engine])
    run.start()
    run.between.wait_for(LOOK[run.engine])


def greeting(run: Run) -> None:
    """Stop before the server has said anything."""
    run.between.freeze()
    run.start()
    run.between.wait_for_connections(1)


def lock(run: Run) -> None:
    """Stop where a lock is taken."""
    run.between.freeze_at(LOCK[run.engine])
    run.start()
    run.between.wait_for(LOCK[run.engine])


def step(run: Run) -> None:
    """Stop in a statement of a migration, and then no connection passes anything."""
    run.start_step()
    run.between.freeze_at(STEP[run.engine])
    run.go()
    run.between.wait_for(STEP[run.engine])
    run.between.freeze()


def verify(run: Run) -> None:
    """Stop in what the session of the lock reads after the steps."""
    run.start_step()
    run.between.freeze_at(LAST_WORDS[run.engine])
    run.go()
    run.between.wait_for(STEP[run.engine])
    until(lambda: not steps_of(run.pid), "without a step")
    run.between.wait_for(LAST_WORDS[run.engine])


def steps_of(pid: int) -> list[int]:
    """Return the processes of a dbmigrate that run migrations."""
    host = children_of(pid)
    return [*host[1:], *(child for parent in host[:1] for child in children_of(parent))]


Behind = Callable[..., AbstractContextManager[Run]]


@pytest.fixture
def behind(site: Callable[..., Site], tmp_path: Path) -> Behind:
    """Return a function that gives a run behind a proxy in front of its database."""

    @contextmanager
    def give(engine: str, launcher: str = "fork") -> Iterator[Run]:
        here = site(engine, waiting_app(tmp_path))
        with proxy(here.entry) if engine != "sqlite" else nullcontext() as between:
            if between is not None:
                here.project.append("site_settings.py", f'DATABASES["default"].update({between.entry!r})')
            run = Run(here, between, engine, tmp_path, launcher)
            try:
                yield run
            finally:
                if run.process is not None and run.process.poll() is None:
                    run.process.kill()
                    run.process.communicate()

    return give


BEFORE = (greeting, look, lock)


@pytest.mark.soak
@pytest.mark.parametrize(
    ("engine", "moment"), combinations(SERVERS, BEFORE, quick=[("postgresql", look), ("mariadb", lock)])
)
def test_a_signal_before_the_steps_while_a_server_is_silent(
    engine: str, moment: Callable[[Run], None], behind: Behind
) -> None:
    with behind(engine) as run:
        moment(run)
        code, said = run.stop()

    assert code == 143, said
    assert "error: ended by SIGTERM; nothing was migrated" in said
    assert run.site.query(TABLES[engine]) == []


@pytest.mark.soak
@pytest.mark.parametrize(
    ("engine", "launcher"),
    combinations(SERVERS, ["fork", "spawn"], quick=[("postgresql", "fork"), ("mariadb", "spawn")]),
)
def test_a_signal_in_a_step_whose_server_is_silent(engine: str, launcher: str, behind: Behind) -> None:
    with behind(engine, launcher) as run:
        step(run)
        code, said = run.stop()

    assert code == 143, said
    assert "1 of 1 database was interrupted: default (core.0001_initial was interrupted" in said
    assert "the server may still be running core.0001_initial, although its process has ended" in said
    assert ("core.0001_initial may be half done" in said) == (engine == "mariadb")
    assert "make sure that no session of the server still runs the migration" in said or engine == "mariadb"


@pytest.mark.soak
@pytest.mark.parametrize("engine", combinations(SERVERS, quick=[("postgresql",)]))
def test_a_signal_while_the_result_is_verified_and_the_server_is_silent(engine: str, behind: Behind) -> None:
    with behind(engine) as run:
        verify(run)
        code, said = run.stop()

    assert code == 143, said
    assert "the result could not be verified, after 2 migrations (as its process said)" in said
    assert "no answer arrived in the time left after the signal" in said
    assert "once it is reachable, rerun the command" in said


def stopped_host(run: Run) -> None:
    """Stop the process that has booted the project."""
    os.kill(run.host, signal.SIGSTOP)


def killed_host(run: Run) -> None:
    """Kill the process that has booted the project."""
    os.kill(run.host, signal.SIGKILL)


@pytest.mark.soak
@pytest.mark.parametrize(
    ("engine", "what"),
    combinations(
        ENGINES,
        [stopped_host, killed_host],
        quick=[("sqlite", stopped_host), ("postgresql", stopped_host), ("mariadb", killed_host)],
    ),
)
def test_a_signal_in_a_step_whose_host_is_stopped_or_killed(
    engine: str, what: Callable[[Run], None], behind: Behind
) -> None:
    with behind(engine) as run:
        run.start_step()
        own = [run.host, *steps_of(run.pid)]
        what(run)
        code, said = run.stop()
        until(lambda: not any(is_alive(pid) for pid in own), "free of our processes", seconds=3)

    assert code == 143, said
    assert "default (core.0001_initial" in said
    assert "the database could not be checked afterwards" in said
    assert "exit 143 (terminated): ended by a signal before everything was done" in said
    if engine != "mariadb":
        assert run.site.query(TABLES[engine]) == []


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("make",), "error: ended by SIGTERM; nothing was migrated"),
        (("all", "--grace", "1"), "error: makemigrations was interrupted; no database was touched"),
    ],
)
def test_a_signal_while_makemigrations_hangs(
    words: tuple[str, ...], says: str, site: Callable[..., Site], tmp_path: Path
) -> None:
    here = site("sqlite", {"models.py": model(), "migrations/__init__.py": ""})
    ready = tmp_path / "ready"
    here.project.write("core/management/commands/makemigrations.py", HANGING_COMMAND.format(ready=str(ready)))
    process = start(here.project, *words)
    until(lambda: ready.exists() or process.poll() is not None, "in makemigrations")

    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=GRACE_SECONDS + REPORT_SECONDS)[0]

    assert process.returncode == 143, said
    assert says in said
