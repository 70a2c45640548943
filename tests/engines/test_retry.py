"""Migrations that another session was in the way of for a moment: retried, but never behind a commit."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from support.background import start, until
from support.cli import dbmigrate
from support.environments import environment
from support.mariadb import MariadbServer
from support.postgresql import PostgresqlServer
from support.projects import Project, create, everywhere, migration, model, simple_app, write_project
from support.sites import Site

LAUNCHERS = ["fork", pytest.param("spawn", marks=pytest.mark.soak)]

ITEM = ("core", "0001_initial")

WAITING = (
    "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    " AND pid <> pg_backend_pid()"
)


def write_row(name: str) -> str:
    """Return the head of a migration whose function makes a row."""
    return f'def go(apps, schema_editor):\n    apps.get_model("core", "Item").objects.create(name={name!r})\n'


def pending(here: Site, *operations: str, head: str = "", atomic: bool = True) -> None:
    """Add a migration with these operations, and one after it that makes a row."""
    here.project.write("core/migrations/0002_now.py", migration(*operations, after=(ITEM,), head=head, atomic=atomic))
    here.project.write(
        "core/migrations/0003_then.py",
        migration("migrations.RunPython(go)", after=(("core", "0002_now"),), head=write_row("then")),
    )


def all_of(project: Project, *options: str) -> subprocess.Popen[str]:
    """Start `dbmigrate all`."""
    return start(project, "all", "--skip-makemigrations", *options)


def line_with(process: subprocess.Popen[str], words: str) -> str:
    """Return the next line that a process prints with these words."""
    seen = []
    for line in process.stdout or ():
        seen.append(line)
        if words in line:
            return line
    raise AssertionError("".join(seen))


def end_of(process: subprocess.Popen[str], code: int) -> str:
    """Return the rest of what a process prints, once it has ended with this code."""
    rest = process.communicate(timeout=60)[0]
    assert process.returncode == code, rest
    return rest


@pytest.mark.parametrize(
    ("launcher", "django"),
    [
        ("fork", None),
        pytest.param("spawn", None, marks=pytest.mark.soak),
        pytest.param("fork", "django32", marks=pytest.mark.soak),
        pytest.param("fork", "newest", marks=pytest.mark.soak),
    ],
)
def test_an_sqlite_file_that_another_process_writes_to_for_a_moment(
    launcher: str, django: str | None, migrated_site: Callable[[str], Site]
) -> None:
    here = migrated_site("sqlite")
    python = () if django is None else ("--python", environment(django))
    here.project.append("site_settings.py", 'DATABASES["default"]["OPTIONS"] = {"timeout": 0.1}')
    pending(here, "migrations.RunPython(go)", head=write_row("now"))
    with closing(sqlite3.connect(here.project.database("default"), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        process = all_of(here.project, "--launcher", launcher, *python)
        line = line_with(process, "retrying")
        other.execute("ROLLBACK")
        rest = end_of(process, 0)

    assert "warning: default: retrying core.0002_now (database is locked; attempt 2 of 4) in 0." in line
    assert line.endswith(" s; nothing was changed\n")
    assert "Applying core.0003_then (2 of 2)" in rest
    assert here.query("SELECT name FROM core_item ORDER BY id") == [("now",), ("then",)]


def test_a_signal_ends_the_pause_before_a_retry(migrated_site: Callable[[str], Site]) -> None:
    here = migrated_site("sqlite")
    here.project.append("site_settings.py", 'DATABASES["default"]["OPTIONS"] = {"timeout": 0.1}')
    pending(here, "migrations.RunPython(go)", head=write_row("now"))
    with closing(sqlite3.connect(here.project.database("default"), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        process = all_of(here.project)
        line_with(process, "attempt 3 of 4")
        process.send_signal(signal.SIGTERM)
        other.execute("ROLLBACK")
        rest = end_of(process, 143)

    assert "the database rolled core.0002_now back: nothing of it is left" in rest
    assert here.query("SELECT name FROM core_item") == []


@pytest.mark.postgresql
@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_a_real_deadlock_on_postgresql(launcher: str, migrated_site: Callable[[str], Site]) -> None:
    here = migrated_site("postgresql")
    here.query("INSERT INTO core_item (name) VALUES ('one'), ('two')")
    pending(
        here,
        """migrations.RunSQL("SET LOCAL deadlock_timeout = '2s'")""",
        """migrations.RunSQL("UPDATE core_item SET name = 'now' WHERE name = 'two'")""",
        """migrations.RunSQL("UPDATE core_item SET name = 'now' WHERE name = 'one'")""",
    )
    with connect(here) as other:
        other.execute("SET deadlock_timeout = '60s'")
        other.execute("UPDATE core_item SET name = name WHERE name = 'one'")
        process = all_of(here.project, "--launcher", launcher)
        until(lambda: here.query(WAITING), "waiting for the row", 30)
        other.execute("UPDATE core_item SET name = name WHERE name = 'two'")
        line = line_with(process, "retrying")
        other.rollback()
        rest = end_of(process, 0)

    assert "default: retrying core.0002_now (deadlock detected; attempt 2 of 4) in 0." in line
    assert "2 migrations; 1 retry" in rest
    assert here.query("SELECT name FROM core_item ORDER BY id") == [("now",), ("now",), ("then",)]


@pytest.mark.soak
@pytest.mark.postgresql
@pytest.mark.parametrize(
    ("others", "own", "reason"),
    [
        (
            "CREATE SCHEMA extra",
            "CREATE SCHEMA IF NOT EXISTS extra",
            "created concurrently by another session (pg_namespace)",
        ),
        ("ALTER ROLE {role} SET work_mem = '5MB'", "ALTER ROLE {role} SET jit = off", "tuple concurrently updated"),
    ],
    ids=["create-if-not-exists", "alter-role"],
)
@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_a_catalogue_that_another_session_writes_to(
    others: str, own: str, reason: str, driver: str, migrated_site: Callable[[str], Site]
) -> None:
    here = migrated_site("postgresql")
    python = () if driver == "psycopg" else ("--python", environment(driver))
    role = f"reporter_{here.entry['NAME']}"
    here.query(f"CREATE ROLE {role}")
    here.query(f"ALTER ROLE {role} SET work_mem = '4MB'")
    pending(here, f'migrations.RunSQL("{own.format(role=role)}")')
    try:
        with connect(here) as other:
            other.execute(others.format(role=role).encode())
            process = all_of(here.project, *python)
            until(lambda: here.query(WAITING), "waiting for the other session", 30)
            other.commit()
            line = line_with(process, "retrying")
            end_of(process, 0)
    finally:
        here.query(f"DROP ROLE {role}")

    assert f"default: retrying core.0002_now ({reason}" in line
    assert here.recorded()["core.0003_then"] == 1


RAISE = "DO $$ BEGIN RAISE EXCEPTION 'of a test' USING ERRCODE = '{}'; END $$"


def raising(code: str = "40P01") -> str:
    """Return a RunSQL that ends in an error of the server with this SQLSTATE."""
    return f'migrations.RunSQL("{RAISE.format(code)}")'


RECEIVER = """
from django.apps import AppConfig
from django.db import connections
from django.db.models.signals import post_migrate

def fail(using, **kwargs):
    if using == "received":
        connections[using].cursor().execute("DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '40P01'; END $$")

class Config(AppConfig):
    name = "received"

    def ready(self):
        post_migrate.connect(fail, sender=self)
"""

ELSEWHERE = """
def go(apps, schema_editor):
    from django.db import connections
    connections["default"].cursor().execute("INSERT INTO default_item (name) VALUES ('elsewhere')")
"""


WITHIN = """
def go(apps, schema_editor):
    from django.db import connections
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT name FROM default_item")
        cursor.execute("WITH new AS (SELECT 'elsewhere' AS name) INSERT INTO default_item (name) SELECT name FROM new")
"""

PAST = """
def go(apps, schema_editor):
    schema_editor.execute("CREATE TABLE past_left ()")
    schema_editor.connection.connection.cursor().execute("COMMIT")
"""


@pytest.mark.soak
@pytest.mark.postgresql
def test_what_always_fails_ends_after_some_tries_and_what_is_not_rolled_back_is_never_tried_again(
    tmp_path: Path, postgresql: PostgresqlServer
) -> None:
    apps = {
        "default": simple_app(),
        "always": {"migrations/0001_initial.py": migration(raising("40001"))},
        "loose": {"migrations/0001_initial.py": migration(raising(), atomic=False)},
        "elsewhere": {
            "migrations/0001_initial.py": migration("migrations.RunPython(go)", raising(), head=ELSEWHERE),
        },
        "within": {"migrations/0001_initial.py": migration("migrations.RunPython(go)", raising(), head=WITHIN)},
        "ended": {
            "migrations/0001_initial.py": migration(
                'migrations.RunSQL("CREATE TABLE IF NOT EXISTS ended_left ()")',
                f"""migrations.RunSQL("COMMIT; {RAISE.format("40P01")}")""",
            ),
        },
        "begun": {"migrations/0001_initial.py": migration('migrations.RunSQL("COMMIT; BEGIN")', raising())},
        "past": {"migrations/0001_initial.py": migration("migrations.RunPython(go)", raising(), head=PAST)},
        "received": {"models.py": "", "migrations/0001_initial.py": migration(), "apps.py": RECEIVER},
        "other": {"migrations/0001_initial.py": migration(raising("22012"))},
    }
    project = write_project(
        tmp_path / "site",
        apps,
        aliases={alias: postgresql.create_database() for alias in apps},
        rules={alias: alias for alias in apps},
    )

    outcome = dbmigrate(
        "all", "--skip-makemigrations", "--keep-going", "--jobs", "1", "--format", "json", cwd=project.root
    ).expect(31)

    databases = outcome.json["result"]["run"]["databases"]
    assert {one["alias"]: (one["status"], one["retries"]) for one in databases} == {
        "default": ("migrated", 0),
        "always": ("failed", 3),
        "loose": ("failed", 0),
        "elsewhere": ("failed", 0),
        "within": ("failed", 0),
        "ended": ("failed", 0),
        "begun": ("failed", 0),
        "past": ("failed", 0),
        "received": ("failed", 0),
        "other": ("failed", 0),
    }
    assert next(one["failure"]["rolled_back"] for one in databases if one["alias"] == "always") is True


WAIT = """
import pathlib, time

def go(apps, schema_editor):
    alias = schema_editor.connection.alias
    if alias == "default":
        return
    folder = pathlib.Path(__file__).parents[2]
    (folder / (alias + ".begun")).touch()
    deadline = time.monotonic() + 60
    while not (folder / (alias + ".go")).exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    if alias == "db1":
        schema_editor.connection.cursor().execute("DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '40P01'; END $$")
"""


@contextmanager
def asked_in_vain(
    folder: Path, postgresql: PostgresqlServer, *words: str
) -> Iterator[tuple[subprocess.Popen[str], dict[str, dict[str, Any]], Callable[[], object]]]:
    """Start a run of three databases, two at a time, and have db1 fail while its table of records is locked.

    Yields the run, which asks db1 whether to try again and gets no answer; DATABASES; and what lets db1 answer. At the
    end db2, which waits until then, goes on.
    """
    entries = {alias: postgresql.create_database() for alias in ("default", "db1", "db2")}
    app = {"models.py": "", "migrations/0001_initial.py": migration("migrations.RunPython(go)", head=WAIT)}
    project = everywhere(folder / "site", entries, app)
    process = all_of(project, "--jobs", "2", *words)
    until(lambda: len([*project.root.glob("*.begun")]) == 2, "both to begin", 60)
    with postgresql.session(entries["db1"]) as other:
        other.execute("BEGIN")
        other.execute("LOCK TABLE django_migrations IN ACCESS EXCLUSIVE MODE")
        (project.root / "db1.go").touch()
        until(lambda: postgresql.query(entries["db1"], WAITING), "the question", 30)
        yield process, entries, lambda: other.execute("ROLLBACK")
    (project.root / "db2.go").touch()


@pytest.mark.soak
@pytest.mark.postgresql
@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_a_signal_while_it_is_asked_whether_to_try_again_lets_the_other_databases_finish(
    launcher: str, tmp_path: Path, postgresql: PostgresqlServer
) -> None:
    with asked_in_vain(tmp_path, postgresql, "--launcher", launcher) as (process, entries, answer):
        process.send_signal(signal.SIGTERM)
        line_with(process, "db1: exit 1")
        answer()
        until(lambda: not postgresql.query(entries["db1"], WAITING), "the answer", 30)
    rest = process.communicate(timeout=60)[0]

    assert process.returncode == 143, rest
    recorded = postgresql.query(entries["db2"], "SELECT app, name FROM django_migrations")
    assert recorded == [("core", "0001_initial")]


@pytest.mark.soak
@pytest.mark.postgresql
def test_a_server_that_is_asked_whether_to_try_again_gets_seconds_however_long_the_wait(
    tmp_path: Path, postgresql: PostgresqlServer
) -> None:
    with asked_in_vain(tmp_path, postgresql, "--wait", "60") as (process, _, _), ThreadPoolExecutor() as pool:
        pool.submit(line_with, process, "db1: exit 1").result(timeout=25)

    assert "1 of 3 databases failed: db1" in end_of(process, 31)


DEADLOCK = """
def go(apps, schema_editor):
    items = apps.get_model("core", "Item").objects
    items.filter(id=2).update(name="now")
    items.filter(id=1).update(name="now")

def first(apps, schema_editor):
    apps.get_model("core", "Item").objects.create(id=3, name="first")
"""


def deadlocked(here: Site, mariadb: MariadbServer, *operations: str) -> tuple[subprocess.Popen[str], str]:
    """Let another session be in the way of a migration until its deadlock; return the run and what it printed of it."""
    here.query("INSERT INTO core_item (id, name) VALUES (1, 'one'), (2, 'two')")
    pending(here, *operations, "migrations.RunPython(go)", head=DEADLOCK)
    rows = ", ".join(f"({number}, 'more')" for number in range(100, 200))
    with mariadb.session(here.entry) as other:
        other.execute("START TRANSACTION")
        # InnoDB spares the one that has changed more rows.
        other.execute(f"INSERT INTO core_item (id, name) VALUES {rows}")
        other.execute("UPDATE core_item SET name = 'one' WHERE id = 1")
        process = all_of(here.project)
        waiting = "SELECT 1 FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'"
        until(lambda: here.query(waiting), "waiting for the row", 30)
        other.execute("UPDATE core_item SET name = 'two' WHERE id = 2")
        line = line_with(process, "default: ")
        other.execute("ROLLBACK")
    return process, line


@pytest.mark.soak
@pytest.mark.mariadb
def test_a_real_deadlock_on_mariadb_of_a_migration_of_rows_alone(
    migrated_site: Callable[[str], Site], mariadb: MariadbServer
) -> None:
    here = migrated_site("mariadb")

    process, line = deadlocked(here, mariadb)
    end_of(process, 0)

    assert "default: retrying core.0002_now (deadlock detected; attempt 2 of 4) in 0." in line
    assert here.query("SELECT name FROM core_item ORDER BY id") == [("now",), ("now",), ("then",)]


@pytest.mark.soak
@pytest.mark.mariadb
@pytest.mark.parametrize(
    "before", [create("Extra"), "migrations.RunPython(first)"], ids=["of-a-table-made", "of-a-row-committed"]
)
def test_a_deadlock_on_mariadb_behind_what_is_committed_is_not_tried_again(
    before: str, migrated_site: Callable[[str], Site], mariadb: MariadbServer
) -> None:
    here = migrated_site("mariadb")

    process, line = deadlocked(here, mariadb, before)
    rest = end_of(process, 30)

    assert "default: exit 1 after" in line
    assert "retrying" not in rest
    assert "core.0002_now may be half done: this migration is not rolled back" in rest


@pytest.mark.soak
@pytest.mark.mariadb
def test_a_deadlock_on_mariadb_in_a_database_with_a_table_without_transactions_is_not_tried_again(
    migrated_site: Callable[[str], Site], mariadb: MariadbServer
) -> None:
    here = migrated_site("mariadb")
    here.query("CREATE TABLE log (line text) ENGINE = MyISAM")

    process, line = deadlocked(here, mariadb, """migrations.RunSQL("INSERT INTO log VALUES ('now')")""")
    end_of(process, 30)

    assert "default: exit 1 after" in line
    assert here.query("SELECT line FROM log") == [("now",)]


@pytest.mark.soak
@pytest.mark.postgresql
def test_six_databases_that_alter_one_role_at_the_same_time(tmp_path: Path, postgresql: PostgresqlServer) -> None:
    aliases = ("default", "a", "b", "c", "d", "e")
    entries = {alias: postgresql.create_database() for alias in aliases}
    role = f"reporter_{entries['default']['NAME']}"
    own = f'migrations.RunSQL(["ALTER ROLE {role} SET work_mem = \'4MB\'", "SELECT pg_sleep(0.2)"])'
    app = {"models.py": model(), "migrations/0001_initial.py": migration(create(), own)}
    project = everywhere(tmp_path / "site", entries, app)
    postgresql.query(entries["default"], f"CREATE ROLE {role}")
    postgresql.query(entries["default"], f"ALTER ROLE {role} SET work_mem = '5MB'")
    retries = 0
    try:
        for _ in range(20):
            outcome = dbmigrate("all", "--jobs", "6", "--format", "json", cwd=project.root).expect(0)
            retries += sum(one["retries"] for one in outcome.json["result"]["run"]["databases"])
            if retries:
                break
            for entry in entries.values():
                postgresql.query(entry, "DROP TABLE core_item, django_migrations")
    finally:
        postgresql.query(entries["default"], f"DROP ROLE {role}")

    assert retries > 0


def connect(here: Site) -> psycopg.Connection:
    """Open a session of another client in a site's database on PostgreSQL."""
    entry = here.entry
    return psycopg.connect(dbname=entry["NAME"], user=entry["USER"], host=entry["HOST"], port=entry["PORT"])
