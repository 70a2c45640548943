"""A lock that is lost while its run goes on: noticed within seconds, and never a reason for two runs at a time."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.background import children, descendants, read_until, start, until
from support.cli import EXECUTABLE, clean_environment, dbmigrate
from support.combinations import combinations
from support.mariadb import DRIVER, MariadbServer
from support.postgresql import PostgresqlServer, private_postgresql
from support.projects import Project, create, migration, model, simple_app, write_project
from support.proxy import LOCK_WORDS, Proxy, proxy
from support.sites import ENGINES, Site

LAUNCHERS = ("fork", "spawn")

RUN = ("all", "--skip-makemigrations")

POSTGRESQL_LOCK = (
    "SELECT classid::bigint << 32 | objid::bigint FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ExclusiveLock'"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)

MYSQL_HOLDER = "SELECT IS_USED_LOCK(CONCAT('dbmigrate:', DATABASE()))"


def filling_app(folder: Path) -> dict[str, str]:
    """Return an app whose second migration writes a row and the file `ready`, and waits for the file `go`."""
    head = f"""
import pathlib, time

def fill(apps, schema_editor):
    apps.get_model("core", "Item").objects.using(schema_editor.connection.alias).create(name="once")
    pathlib.Path({str(folder / "ready")!r}).touch()
    deadline = time.monotonic() + 90
    while not pathlib.Path({str(folder / "go")!r}).exists() and time.monotonic() < deadline:
        time.sleep(0.02)
"""
    return {
        "models.py": model(),
        "migrations/0001_initial.py": migration(create()),
        "migrations/0002_fill.py": migration(
            "migrations.RunPython(fill)", after=(("core", "0001_initial"),), head=head
        ),
    }


def until_in_migration(process: subprocess.Popen[Any], folder: Path) -> None:
    """Wait until the migration waits."""
    until(lambda: (folder / "ready").exists() or process.poll() is not None, "in the migration")
    assert process.poll() is None, process.communicate()[0]


def lock_file(site: Site) -> Path:
    """Return the lock file of an SQLite database."""
    return Path(f"{site.project.database('default')}.dbmigrate-lock")


def lose(engine: str, site: Site) -> None:
    """End what holds the lock of a site's database, as an administrator would."""
    if engine == "sqlite":
        lock_file(site).unlink()
    elif engine == "mariadb":
        ((number,),) = site.query(MYSQL_HOLDER)
        site.query(f"KILL {number}")
    else:
        ended = site.query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name LIKE 'dbmigrate %'"
        )
        assert ended == [(True,)]


@contextlib.contextmanager
def taken_away(engine: str, site: Site, server: PostgresqlServer | MariadbServer | None) -> Iterator[None]:
    """Take the lock of a site's database away from the run that has it, and hold it."""
    if server is None:
        lose(engine, site)
        with lock_file(site).open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
        return
    with server.session(site.entry) as cursor:
        take = "SELECT GET_LOCK(CONCAT('dbmigrate:', DATABASE()), 10)"
        if engine == "postgresql":
            ((number,),) = site.query(POSTGRESQL_LOCK)
            take = f"SELECT pg_advisory_lock({number})"
        lose(engine, site)
        cursor.execute(take)
        yield


@pytest.mark.soak
@pytest.mark.parametrize(
    ("engine", "launcher"),
    combinations(ENGINES, LAUNCHERS, quick=[("sqlite", "spawn"), ("postgresql", "fork"), ("mariadb", "fork")]),
)
def test_a_lock_lost_in_a_migration_is_acquired_again_and_a_second_run_waits(
    engine: str, launcher: str, site: Callable[..., Site], tmp_path: Path
) -> None:
    here = site(engine, filling_app(tmp_path))
    first = start(here.project, *RUN, "--launcher", launcher)
    until_in_migration(first, tmp_path)

    lose(engine, here)
    second = start(here.project, *RUN, "--launcher", launcher)
    told = read_until(first, "was lost at")
    waited = read_until(second, "Waiting for the lock")
    (tmp_path / "go").touch()
    said = [process.communicate(timeout=60)[0] for process in (first, second)]

    assert [first.returncode, second.returncode] == [0, 0], (told, waited, said)
    assert "warning: the lock of default was lost at" in told
    assert "it was acquired again, and no other run had it in between: the run continues" in told
    assert "Nothing pending" in said[1]
    assert here.query("SELECT count(*) FROM core_item") == [(1,)]
    assert set(here.recorded().values()) == {1}
    assert list(here.project.root.glob("*lock*")) == []


@pytest.mark.soak
@pytest.mark.parametrize(
    ("engine", "launcher"),
    combinations(ENGINES, LAUNCHERS, quick=[("sqlite", "fork"), ("postgresql", "spawn"), ("mariadb", "fork")]),
)
def test_a_lock_that_somebody_else_has_got_interrupts_the_migration_and_starts_nothing_more(
    engine: str, launcher: str, site: Callable[..., Site], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    here = site(engine, filling_app(tmp_path))
    first = start(here.project, *RUN, "--launcher", launcher)
    until_in_migration(first, tmp_path)

    with taken_away(engine, here, None if engine == "sqlite" else request.getfixturevalue(engine)):
        said = first.communicate(timeout=60)[0]

    assert first.returncode == 31, said
    assert "error: the lock of default was lost at" in said
    assert "it could not be acquired again: " in said
    assert "core.0002_fill was interrupted" in said
    assert "check that no other run is migrating default:\n        dbmigrate verify --database default\n" in said
    assert here.recorded()["core.0002_fill"] == 0


def two_databases(folder: Path, entry: dict[str, object], settings: str = "") -> Project:
    """Write a project that waits in a migration of its first database, and has another one on a server."""
    return write_project(
        folder / "site",
        {"core": filling_app(folder), "more": simple_app()},
        aliases={"default": {}, "pg2": entry},
        rules={"more": "pg2"},
        settings=settings,
    )


@pytest.mark.soak
@pytest.mark.postgresql
def test_a_server_that_is_restarted_between_two_steps_takes_the_lock_only_for_a_while(tmp_path: Path) -> None:
    with private_postgresql() as server:
        project = two_databases(tmp_path, server.create_database())
        first = start(project, *RUN, "--jobs", "1")
        until_in_migration(first, tmp_path)

        server.kill_and_restart()
        told = read_until(first, "was lost at")
        (tmp_path / "go").touch()
        said = first.communicate(timeout=60)[0]

    assert "warning: the lock of pg2 was lost at" in told
    assert "the run continues" in told
    assert first.returncode == 0, said


@pytest.mark.soak
@pytest.mark.parametrize(
    "engine",
    [pytest.param("postgresql", marks=pytest.mark.postgresql), pytest.param("mariadb", marks=pytest.mark.mariadb)],
)
def test_a_database_that_another_run_has_changed_meanwhile_is_not_migrated(
    engine: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    server: PostgresqlServer | MariadbServer = request.getfixturevalue(engine)
    entry = server.create_database()
    project = two_databases(tmp_path, entry, DRIVER if engine == "mariadb" else "")
    there = Site(project, entry, lambda sql: server.query(entry, sql))
    dbmigrate("run", "--database", "pg2", cwd=project.root).expect(0)
    project.write("more/migrations/0002_more.py", migration(after=(("more", "0001_initial"),)))
    first = start(project, *RUN, "--jobs", "1")
    until_in_migration(first, tmp_path)

    lose(engine, there)
    there.query("INSERT INTO django_migrations (app, name, applied) VALUES ('more', '0002_more', CURRENT_TIMESTAMP)")
    told = read_until(first, "was lost at")
    (tmp_path / "go").touch()
    said = first.communicate(timeout=60)[0]

    assert first.returncode == 31, said
    assert "the lock of pg2 was lost at" in told
    assert "another run has changed what is recorded of more.0002_more; no new steps" in told
    assert "1 of 2 databases was not started: pg2; migrated: default" in said


SETTINGS = """
def note(apps, schema_editor):
    import json, os, socket
    names = ("tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_keepalives_count", "tcp_user_timeout")
    found = {{}}
    with schema_editor.connection.cursor() as cursor:
        for name in names:
            cursor.execute("SHOW " + name)
            found[name] = cursor.fetchone()[0]
    with socket.socket(fileno=os.dup(schema_editor.connection.connection.fileno())) as ours:
        found["ours"] = ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
    open({file!r}, "w").write(json.dumps(found))
"""


@pytest.mark.soak
@pytest.mark.postgresql
@pytest.mark.parametrize("launcher", combinations(LAUNCHERS, quick=[("fork",)]))
def test_both_ends_of_a_steps_session_look_for_each_other(
    launcher: str, own_postgresql: PostgresqlServer, tmp_path: Path
) -> None:
    head = SETTINGS.format(file=str(tmp_path / "found"))
    noting = migration(create(), "migrations.RunPython(note)", head=head)
    entry = own_postgresql.listen_at("127.0.0.1", own_postgresql.create_database(), "127.0.0.0/8")
    app = {"models.py": model(), "migrations/0001_initial.py": noting}
    project = write_project(tmp_path / "site", {"core": app}, aliases={"default": entry})

    dbmigrate(*RUN, "--launcher", launcher, cwd=project.root).expect(0)

    found = json.loads((tmp_path / "found").read_text())
    assert found == {
        "tcp_keepalives_idle": "15",
        "tcp_keepalives_interval": "10",
        "tcp_keepalives_count": "3",
        "tcp_user_timeout": "45000",
        "ours": 15,
    }


def test_a_spawned_step_ends_with_the_process_that_holds_its_lock(site: Callable[..., Site], tmp_path: Path) -> None:
    here = site("sqlite", filling_app(tmp_path))
    first = start(here.project, *RUN, "--launcher", "spawn")
    until_in_migration(first, tmp_path)
    (host,) = [pid for pid in children(first.pid) if b"host" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")]

    os.kill(host, signal.SIGKILL)
    said = first.communicate(timeout=60)[0]

    assert first.returncode == 31, said
    assert "the lock of default was lost at" in said
    assert "the process that held it is gone" in said
    assert "the databases could not be checked after the run" in said
    assert here.recorded()["core.0002_fill"] == 0


def behind(site: Site, between: Proxy) -> None:
    """Let a project reach its database through a proxy."""
    site.project.append("site_settings.py", f'DATABASES["default"].update({between.entry!r})')


@pytest.mark.soak
@pytest.mark.parametrize("engine", ENGINES[1:])
def test_a_lock_whose_connection_freezes_is_lost_after_a_while_and_acquired_on_another(
    engine: str, site: Callable[..., Site], tmp_path: Path
) -> None:
    here = site(engine, filling_app(tmp_path))
    with proxy(here.entry) as between:
        behind(here, between)
        first = start(here.project, *RUN)
        until_in_migration(first, tmp_path)
        between.freeze(LOCK_WORDS[engine])

        told = read_until(first, "was lost at")
        (tmp_path / "go").touch()
        said = first.communicate(timeout=60)[0]

    assert "(the server did not answer for 15 s); it was acquired again" in told
    assert first.returncode == 0, said


@pytest.mark.soak
@pytest.mark.postgresql
def test_a_lock_whose_connection_freezes_holds_up_no_other_database(
    tmp_path: Path, postgresql: PostgresqlServer
) -> None:
    with proxy(postgresql.create_database()) as between:
        project = write_project(
            tmp_path / "site",
            {"core": filling_app(tmp_path), "more": simple_app(), "news": simple_app()},
            aliases={"default": {}, "pg2": between.entry, "third": {}},
            rules={"more": "pg2", "news": "third"},
        )
        first = start(project, *RUN, "--jobs", "1")
        until_in_migration(first, tmp_path)
        between.freeze(LOCK_WORDS["postgresql"])
        (tmp_path / "go").touch()

        told = read_until(first, "was lost at")
        said = first.communicate(timeout=60)[0]

    assert "Migrations completed for third" in told
    assert first.returncode == 0, said


@pytest.mark.soak
@pytest.mark.mariadb
def test_a_client_that_vanishes_keeps_a_lock_of_mariadb_for_less_than_a_minute(
    site: Callable[..., Site], tmp_path: Path
) -> None:
    here = site("mariadb", filling_app(tmp_path))
    direct = here.project.copy_to(tmp_path / "direct")
    with proxy(here.entry) as between:
        behind(here, between)
        first = start(here.project, *RUN)
        until_in_migration(first, tmp_path)
        between.freeze()  # not even the end of a connection passes
        pids = [first.pid, *descendants(first.pid)]
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        first.communicate(timeout=10)

        refused = dbmigrate(*RUN, "--lock-wait", "60", cwd=direct.root).expect(20)

    assert "is being migrated by a migration of a run that has lost its lock (user tester" in refused.stderr
    assert "(it has been silent for " in refused.stderr


@contextlib.contextmanager
def machine(address: str, other: str) -> Iterator[str]:
    """Make a machine of this address whose only cable leads here, where we have the other; yield its name.

    `ip netns exec NAME` runs something on it.
    """
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("only root makes networks, with ip")
    name = f"lost-{os.getpid()}"
    here, there = f"h{os.getpid()}", f"t{os.getpid()}"
    inside = ("ip", "netns", "exec", name)
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        for words in (
            ("ip", "link", "add", here, "type", "veth", "peer", "name", there, "netns", name),
            ("ip", "addr", "add", f"{other}/24", "dev", here),
            ("ip", "link", "set", here, "up"),
            (*inside, "ip", "addr", "add", f"{address}/24", "dev", there),
            (*inside, "ip", "link", "set", there, "up"),
        ):
            subprocess.run(words, check=True)
        yield name
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)


@pytest.mark.soak
@pytest.mark.postgresql
def test_a_client_that_vanishes_keeps_a_lock_of_postgresql_for_less_than_a_minute(tmp_path: Path) -> None:
    with private_postgresql() as server, machine("10.213.7.2", "10.213.7.1") as name:
        entry = server.listen_at("10.213.7.1", server.create_database(), "10.213.7.0/24")
        project = write_project(tmp_path / "site", {"core": filling_app(tmp_path)}, aliases={"default": entry})
        words = ["ip", "netns", "exec", name, str(EXECUTABLE), *RUN]
        with subprocess.Popen(words, cwd=project.root, env=clean_environment(), stderr=subprocess.DEVNULL) as first:
            until_in_migration(first, tmp_path)
            pids = [first.pid, *descendants(first.pid)]
            subprocess.run(["ip", "netns", "exec", name, "ip", "link", "set", f"t{os.getpid()}", "down"], check=True)
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
        (tmp_path / "go").touch()

        second = dbmigrate(*RUN, "--lock-wait", "60", cwd=project.root).expect(0)

        assert server.query(entry, "SELECT count(*) FROM core_item") == [(1,)]
    assert "Waiting for the lock of database: default" in second.stderr
    assert "The lock is free" in second.stderr
