"""One run at a time per physical database, whatever happens to the run that holds the lock."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from support.background import is_alive, start, until
from support.cli import dbmigrate
from support.combinations import combinations
from support.environments import environment
from support.mariadb import DRIVER, MariadbServer
from support.pgbouncer import pgbouncer
from support.postgresql import PostgresqlServer
from support.projects import create, migration, model, simple_app, write_project
from support.sites import ENGINES, Site

LAUNCHERS = ("fork", "spawn")
INTERRUPTED = (signal.SIGINT, signal.SIGINT)
TERMINATED = (signal.SIGTERM, signal.SIGHUP)

IGNORE = "    import signal\n    signal.signal(signal.SIGINT, signal.SIG_IGN)\n"

# The migration says that it runs and then stays in one statement of the server until that is over or cancelled.
LONG = {"postgresql": "SELECT pg_sleep(60)", "mariadb": "SELECT SLEEP(60)"}

SESSIONS = {
    "postgresql": "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()",
    "mariadb": "SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()",
}


def until_in_migration(process: subprocess.Popen[str], folder: Path) -> None:
    """Wait until a migration has written the file `ready`."""
    until(lambda: (folder / "ready").exists() or process.poll() is not None, "in the migration")
    assert process.poll() is None, process.communicate()[0]


def waiting_app(folder: Path) -> dict[str, str]:
    """Return an app whose migration writes the file `ready` and waits for the file `go`."""
    head = f"""
import pathlib, time

def wait(apps, schema_editor):
    pathlib.Path({str(folder / "ready")!r}).touch()
    deadline = time.monotonic() + 60
    while not pathlib.Path({str(folder / "go")!r}).exists() and time.monotonic() < deadline:
        time.sleep(0.02)
"""
    return {
        "models.py": model(),
        "migrations/0001_initial.py": migration(create(), "migrations.RunPython(wait)", head=head),
    }


def sleeping_app(folder: Path, engine: str) -> dict[str, str]:
    """Return an app whose migration writes the file `ready` and stays in one statement of the server."""
    head = f"""
def say(apps, schema_editor):
    open({str(folder / "ready")!r}, "w").close()
    with schema_editor.connection.cursor() as cursor:
        cursor.execute({LONG[engine]!r})
"""
    return {
        "models.py": model(),
        "migrations/0001_initial.py": migration(create(), "migrations.RunPython(say)", head=head),
    }


@pytest.mark.parametrize("engine", ENGINES)
def test_of_runs_that_start_together_one_migrates_and_the_others_find_it_done(
    engine: str, site: Callable[..., Site], tmp_path: Path
) -> None:
    here = site(engine, waiting_app(tmp_path))
    first = start(here.project, "all", "--skip-makemigrations")
    until_in_migration(first, tmp_path)

    others = [start(here.project, "all", "--skip-makemigrations") for _ in range(3)]
    lines = [next(line for line in other.stdout or () if "Waiting for the lock" in line) for other in others]
    (tmp_path / "go").touch()
    said = [process.communicate(timeout=60)[0] for process in (first, *others)]

    assert [process.returncode for process in (first, *others)] == [0, 0, 0, 0], said
    assert "All migrations completed successfully" in said[0]
    assert all("Nothing pending" in text for text in said[1:])
    assert all("database: default" in line and "held by dbmigrate" in line for line in lines)
    if engine != "mariadb":  # whose server knows no names of its sessions
        assert all(f"dbmigrate {first.pid}@{socket.gethostname()}" in line for line in lines)
    assert here.recorded() == {"core.0001_initial": 1, "more.0001_initial": 1}
    assert list(here.project.root.glob("*lock*")) == []


@pytest.mark.soak
@pytest.mark.parametrize("name", ["hard link", "symbolic link"])
def test_another_name_of_a_sqlite_file_is_locked_with_it(name: str, site: Callable[..., Site], tmp_path: Path) -> None:
    here = site("sqlite", waiting_app(tmp_path))
    file = here.project.database("default")
    file.touch()
    other = here.project.copy_to(tmp_path / "other").database("default")
    other.unlink()
    if name == "hard link":
        os.link(file, other)
    else:
        other.symlink_to(file)
    first = start(here.project, "all", "--skip-makemigrations")
    until_in_migration(first, tmp_path)

    refused = dbmigrate("all", "--lock-wait", "0", cwd=other.parent).expect(20)
    (tmp_path / "go").touch()
    said = first.communicate(timeout=60)[0]
    again = dbmigrate("all", cwd=other.parent).expect(0)

    assert "database default is being migrated by dbmigrate" in refused.stderr
    assert first.returncode == 0, said
    assert "Nothing pending" in again.stdout


@pytest.mark.soak
@pytest.mark.postgresql
def test_schemas_of_one_database_that_may_share_records_are_locked_once_by_a_run_and_against_others(
    tmp_path: Path, postgresql: PostgresqlServer
) -> None:
    entry = postgresql.create_database()
    aliases = {
        alias: {**entry, "OPTIONS": {"options": f"-c search_path={alias},extensions"}}
        for alias in ("reporting", "billing")
    }
    for schema in ("reporting", "billing", "extensions"):
        postgresql.query(entry, f"CREATE SCHEMA {schema}")
    project = write_project(
        tmp_path / "site",
        {"core": waiting_app(tmp_path), "blog": simple_app()},
        aliases={"default": {}, **aliases},
        rules={"core": "reporting", "blog": "billing"},
    )
    first = start(project, "all", "--skip-makemigrations", "--lock-wait", "5")
    until_in_migration(first, tmp_path)

    refused = dbmigrate("run", "--database", "reporting", "--lock-wait", "0", cwd=project.root).expect(20)
    (tmp_path / "go").touch()
    said = first.communicate(timeout=60)[0]

    assert "database reporting is being migrated by dbmigrate" in refused.stderr
    assert first.returncode == 0, said


@pytest.mark.parametrize("engine", ENGINES)
def test_a_lock_that_is_held_for_longer_than_lock_wait(engine: str, site: Callable[..., Site], tmp_path: Path) -> None:
    here = site(engine, waiting_app(tmp_path))
    first = start(here.project, "all", "--skip-makemigrations")
    until_in_migration(first, tmp_path)

    refused = dbmigrate("all", "--lock-wait", "0", cwd=here.project.root).expect(20)
    (tmp_path / "go").touch()
    first.communicate(timeout=60)

    assert "database default is being migrated by dbmigrate" in refused.stderr
    assert "--lock-wait SECONDS" in refused.stderr
    assert first.returncode == 0


@pytest.mark.soak
@pytest.mark.parametrize(
    ("engine", "driver", "launcher"),
    combinations(
        [
            pytest.param("postgresql", None, marks=pytest.mark.postgresql),
            pytest.param("postgresql", "psycopg2", marks=pytest.mark.postgresql),
            pytest.param("mariadb", None, marks=pytest.mark.mariadb),
        ],
        LAUNCHERS,
        quick=[("postgresql", None, "spawn"), ("postgresql", "psycopg2", "fork"), ("mariadb", None, "fork")],
    ),
)
def test_killed_in_a_long_statement_it_leaves_no_session_and_no_lock(
    engine: str, driver: str | None, launcher: str, site: Callable[..., Site], tmp_path: Path
) -> None:
    here = site(engine, sleeping_app(tmp_path, engine))
    python = ("--python", environment(driver)) if driver is not None else ()
    process = start(here.project, "all", "--skip-makemigrations", "--launcher", launcher, *python)
    until_in_migration(process, tmp_path)

    process.kill()
    process.communicate()
    until(lambda: not here.query(SESSIONS[engine]), "free of our sessions", seconds=3)

    here.project.write("core/migrations/0001_initial.py", migration(create()))
    if engine == "mariadb":  # its tables are not rolled back
        here.query("DROP TABLE IF EXISTS core_item")
    dbmigrate("all", "--lock-wait", "0", *python, cwd=here.project.root).expect(0)
    assert here.recorded() == {"core.0001_initial": 1, "more.0001_initial": 1}


STRANGER = """
import pymysql, sys
connection = pymysql.connect(host="127.0.0.1", port={port}, user={user!r}, password={password!r}, database={name!r})
print(connection.thread_id(), flush=True)
connection.cursor().execute("SELECT SLEEP(60)")
"""


@pytest.mark.soak
@pytest.mark.mariadb
@pytest.mark.parametrize("launcher", combinations(LAUNCHERS, quick=[("spawn",)]))
def test_only_what_a_server_does_for_the_run_itself_is_ended_with_it(
    launcher: str, site: Callable[..., Site], tmp_path: Path
) -> None:
    here = site("mariadb", sleeping_app(tmp_path, "mariadb"))
    process = start(here.project, "all", "--skip-makemigrations", "--launcher", launcher)
    until_in_migration(process, tmp_path)
    host = host_of(process.pid)
    entry = here.entry
    # Of the same user, from the same machine, in the same database, begun while the run had its lock, its client gone.
    code = STRANGER.format(port=entry["PORT"], user=entry["USER"], password=entry["PASSWORD"], name=entry["NAME"])
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as stranger:
        assert stranger.stdout is not None
        number = int(stranger.stdout.readline())
        query = f"SELECT 1 FROM information_schema.processlist WHERE id = {number} AND command = 'Query'"
        until(lambda: here.query(query), "in its statement")
        stranger.kill()

    process.kill()
    process.communicate()
    until(lambda: here.query(SESSIONS["mariadb"]) == [(number,)], "free of our sessions", seconds=3)
    until(lambda: not is_alive(host), "ended")

    assert here.query(query), "the host has ended a statement that was not of its run"
    here.query(f"KILL {number}")


@pytest.mark.soak
@pytest.mark.mariadb
def test_what_a_step_of_another_database_does_on_a_server_is_ended_too(tmp_path: Path, mariadb: MariadbServer) -> None:
    entry = mariadb.create_database()
    writing = sleeping_app(tmp_path, "mariadb")
    path = "migrations/0001_initial.py"
    writing[path] = writing[path].replace("schema_editor.connection", '__import__("django.db").db.connections["far"]')
    project = write_project(
        tmp_path / "site",
        {"core": writing, "more": simple_app()},
        aliases={"default": {}, "far": entry},
        rules={"more": "far"},
        settings=DRIVER,
    )
    process = start(project, "all", "--skip-makemigrations")
    sleeping = "SELECT 1 FROM information_schema.processlist WHERE db = DATABASE() AND info LIKE 'SELECT SLEEP%'"
    until(lambda: mariadb.query(entry, sleeping), "in the migration")

    process.kill()
    process.communicate()

    until(lambda: not mariadb.query(entry, SESSIONS["mariadb"]), "free of our sessions", seconds=3)


@pytest.mark.soak
@pytest.mark.parametrize(
    ("engine", "launcher"),
    combinations(ENGINES, LAUNCHERS, quick=[("sqlite", "fork"), ("postgresql", "fork"), ("mariadb", "spawn")]),
)
def test_a_migration_ends_with_its_host_even_if_it_hears_no_interrupt(
    engine: str, launcher: str, site: Callable[..., Site], tmp_path: Path
) -> None:
    here = site(engine, stubborn_app(tmp_path))
    first = start(here.project, "all", "--skip-makemigrations", "--launcher", launcher)
    until_in_migration(first, tmp_path)

    # A spawned child belongs to dbmigrate, a forked one to the host.
    os.kill(host_of(first.pid) if launcher == "fork" else first.pid, signal.SIGKILL)
    said = first.communicate(timeout=60)[0]
    (tmp_path / "go").touch()
    if engine == "mariadb":
        until(lambda: not here.query(SESSIONS[engine]), "free of our sessions", seconds=3)
        here.query("DROP TABLE core_item")

    assert first.returncode == (31 if launcher == "fork" else -signal.SIGKILL), said
    dbmigrate("all", "--skip-makemigrations", "--lock-wait", "3", cwd=here.project.root).expect(0)
    assert here.recorded() == {"core.0001_initial": 1, "more.0001_initial": 1}


@pytest.mark.soak
@pytest.mark.postgresql
def test_where_a_session_does_not_look_for_its_client_the_lock_lasts_until_the_migration_has_ended(
    site: Callable[..., Site], tmp_path: Path
) -> None:
    here = site("postgresql", stubborn_app(tmp_path))
    here.project.append("site_settings.py", 'DATABASES["default"]["OPTIONS"] = {"options": "-c work_mem=8MB"}')
    first = start(here.project, "all", "--skip-makemigrations", "--launcher", "fork")
    until_in_migration(first, tmp_path)

    host = host_of(first.pid)
    for pid in (host, first.pid):  # neither can end the migration, which would not outlive the one without the other
        os.kill(pid, signal.SIGKILL)
    first.communicate(timeout=60)
    second = start(here.project, "all", "--skip-makemigrations")
    line = next(line for line in second.stdout or () if "Waiting for the lock" in line)
    (tmp_path / "go").touch()
    rest = second.communicate(timeout=60)[0]

    assert "held by dbmigrate" in line
    assert second.returncode == 0, rest
    assert here.recorded() == {"core.0001_initial": 1, "more.0001_initial": 1}


@pytest.mark.soak
@pytest.mark.parametrize(
    ("engine", "signals", "launcher"),
    combinations(
        ENGINES[1:],
        [INTERRUPTED, TERMINATED],
        LAUNCHERS,
        quick=[("postgresql", INTERRUPTED, "fork"), ("mariadb", TERMINATED, "spawn")],
    ),
)
def test_interrupted_in_a_long_statement_it_reports_and_leaves_no_session(
    engine: str, signals: tuple[int, int], launcher: str, site: Callable[..., Site], tmp_path: Path
) -> None:
    here = site(engine, sleeping_app(tmp_path, engine))
    process = start(here.project, "all", "--skip-makemigrations", "--launcher", launcher)
    until_in_migration(process, tmp_path)

    process.send_signal(signals[0])
    line = next(line for line in process.stdout or () if "stopping" in line)
    process.send_signal(signals[1])
    rest = process.communicate(timeout=60)[0]
    until(lambda: not here.query(SESSIONS[engine]), "free of our sessions", seconds=3)

    assert process.returncode == (130 if signals[0] == signal.SIGINT else 143), line + rest
    assert "no new steps, still running: default" in line
    assert "1 of 1 database was interrupted: default (core.0001_initial was interrupted" in rest


def stubborn_app(folder: Path) -> dict[str, str]:
    """Return `waiting_app` with a migration that ignores SIGINT."""
    app = waiting_app(folder)
    text = app["migrations/0001_initial.py"]
    stubborn = text.replace("def wait(apps, schema_editor):\n", f"def wait(apps, schema_editor):\n{IGNORE}", 1)
    return {**app, "migrations/0001_initial.py": stubborn}


def host_of(pid: int) -> int:
    """Return the process in which a dbmigrate has booted the project."""
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        if "host" in Path(f"/proc/{child}/cmdline").read_text().split("\0"):
            return int(child)
    raise AssertionError("there is no host")


BACKWARDS = """
import time

_real, _steps = time.time, iter(range(1, 10**9))
time.time = lambda: _real() - 3600 * next(_steps)
"""


@pytest.mark.soak
@pytest.mark.parametrize("launcher", combinations(LAUNCHERS, quick=[("fork",)]))
def test_a_clock_that_goes_backwards_changes_no_wait(launcher: str, site: Callable[..., Site], tmp_path: Path) -> None:
    here = site("sqlite", waiting_app(tmp_path))
    (tmp_path / "clock").mkdir()
    (tmp_path / "clock" / "sitecustomize.py").write_text(BACKWARDS)  # of dbmigrate, of its host and of its children
    clock = {"PYTHONPATH": str(tmp_path / "clock")}
    first = start(here.project, "all", "--skip-makemigrations", "--launcher", launcher, **clock)
    until_in_migration(first, tmp_path)

    began = time.monotonic()
    refused = dbmigrate("all", "--lock-wait", "1", cwd=here.project.root, environment=clock).expect(20)
    waited = time.monotonic() - began
    first.send_signal(signal.SIGTERM)
    line = next(line for line in first.stdout or () if "stopping" in line)
    (tmp_path / "go").touch()
    rest = first.communicate(timeout=60)[0]

    assert waited >= 1
    assert "longer than --lock-wait 1" in refused.stderr
    assert "for -" not in refused.stderr
    assert first.returncode in (0, 143), line + rest
    assert here.recorded() == {"core.0001_initial": 1, "more.0001_initial": 1}


def test_a_lock_file_that_a_killed_run_left_is_no_lock(site: Callable[..., Site]) -> None:
    here = site("sqlite")
    stale = Path(f"{here.project.database('default')}.dbmigrate-lock")
    stale.write_text("dbmigrate 1@elsewhere 1700000000\n")

    dbmigrate("all", "--lock-wait", "0", cwd=here.project.root).expect(0)

    assert not stale.exists()


@pytest.mark.soak
@pytest.mark.postgresql
@pytest.mark.parametrize("number", [2, 10])
def test_waiters_do_not_hang_an_index_that_is_built_concurrently(
    number: int, site: Callable[..., Site], tmp_path: Path
) -> None:
    head = f"""
import pathlib, time
from django.contrib.postgres.operations import AddIndexConcurrently

def wait(apps, schema_editor):
    pathlib.Path({str(tmp_path / "ready")!r}).touch()
    while not pathlib.Path({str(tmp_path / "go")!r}).exists():
        time.sleep(0.02)
"""
    index = 'AddIndexConcurrently("item", models.Index(fields=["name"], name="item_name"))'
    app = {
        "models.py": model("Item", "name = models.CharField(max_length=20)")
        + '\n    class Meta:\n        indexes = [models.Index(fields=["name"], name="item_name")]\n',
        "migrations/0001_initial.py": migration(create()),
        "migrations/0002_index.py": migration(
            "migrations.RunPython(wait)", index, after=(("core", "0001_initial"),), head=head, atomic=False
        ),
    }
    here = site("postgresql", app)
    first = start(here.project, "all", "--skip-makemigrations")
    until_in_migration(first, tmp_path)
    waiters = [start(here.project, "all", "--skip-makemigrations") for _ in range(number)]
    for waiter in waiters:
        assert any("Waiting for the lock" in line for line in waiter.stdout or ())

    (tmp_path / "go").touch()
    said = [process.communicate(timeout=60)[0] for process in (first, *waiters)]

    assert [process.returncode for process in (first, *waiters)] == [0] * (number + 1), said
    assert here.query("SELECT indisvalid FROM pg_index WHERE indexrelid = 'item_name'::regclass") == [(True,)]


@pytest.mark.soak
@pytest.mark.postgresql
@pytest.mark.pgbouncer
def test_the_lock_holds_behind_a_pooler_that_gives_out_transactions(site: Callable[..., Site], tmp_path: Path) -> None:
    here = site("postgresql", waiting_app(tmp_path))
    with pgbouncer(here.entry, "transaction") as port:
        here.project.append(
            "site_settings.py",
            f"""
            DATABASES["default"].update(HOST="127.0.0.1", PORT="{port}", DISABLE_SERVER_SIDE_CURSORS=True)
            """,
        )
        first = start(here.project, "all", "--skip-makemigrations")
        until_in_migration(first, tmp_path)
        other = start(here.project, "all", "--skip-makemigrations")
        line = next(line for line in other.stdout or () if "Waiting for the lock" in line)
        (tmp_path / "go").touch()
        said = [process.communicate(timeout=60)[0] for process in (first, other)]

    assert (first.returncode, other.returncode) == (0, 0), said
    assert f"dbmigrate {first.pid}@" in line
    assert "Nothing pending" in said[1]
    assert here.recorded() == {"core.0001_initial": 1, "more.0001_initial": 1}


@pytest.mark.soak
@pytest.mark.postgresql
@pytest.mark.pgbouncer
def test_a_run_through_a_pooler_and_one_directly_keep_each_other_away(
    site: Callable[..., Site], tmp_path: Path
) -> None:
    here = site("postgresql", waiting_app(tmp_path))
    pooled = here.project.copy_to(tmp_path / "pooled")
    first = start(here.project, "all", "--skip-makemigrations")
    until_in_migration(first, tmp_path)
    with pgbouncer(here.entry, "transaction") as port:
        pooled.append("site_settings.py", f'DATABASES["default"].update(HOST="127.0.0.1", PORT="{port}")')

        refused = dbmigrate("all", "--lock-wait", "0", cwd=pooled.root).expect(20)
    (tmp_path / "go").touch()
    said = first.communicate(timeout=60)[0]

    assert f"dbmigrate {first.pid}@" in refused.stderr
    assert first.returncode == 0, said


@pytest.mark.postgresql
@pytest.mark.pgbouncer
def test_a_pooler_that_gives_out_statements_is_refused_unless_the_lock_has_a_way_around_it(
    site: Callable[..., Site], tmp_path: Path
) -> None:
    here = site("postgresql")
    entry = here.entry
    with pgbouncer(entry, "statement") as port:
        here.project.append(
            "site_settings.py",
            f"""
            DATABASES["default"].update(HOST="127.0.0.1", PORT="{port}", DISABLE_SERVER_SIDE_CURSORS=True)
            """,
        )

        refused = dbmigrate("all", "--skip-makemigrations", cwd=here.project.root).expect(20)
        url = f"default=postgresql://{entry['USER']}@{quote(entry['HOST'], safe='')}:{entry['PORT']}/{entry['NAME']}"
        around = dbmigrate(
            "all", "--skip-makemigrations", cwd=here.project.root, environment={"DBMIGRATE_LOCK_URL": url}
        )

    assert "the lock could not be acquired on default" in refused.stderr
    assert "lock_url" in refused.stderr
    assert "the lock could not be acquired" not in around.stderr, around
