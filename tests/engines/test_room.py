"""Roles, databases, servers and poolers that have room for a few connections only: the lock needs one of its own."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.background import start
from support.cli import dbmigrate
from support.mariadb import DRIVER, MariadbServer
from support.pgbouncer import pgbouncer
from support.postgresql import PostgresqlServer
from support.projects import Project, simple_app, write_project

SERVERS = [
    pytest.param("postgresql", marks=pytest.mark.postgresql),
    pytest.param("mariadb", marks=pytest.mark.mariadb),
]
NO_LOCK = "or --no-lock, which does not prevent concurrent runs"

_numbers = itertools.count()


@pytest.fixture
def limited(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Return a function that makes databases of one user with a limit, and returns their entries."""
    made = []

    def make(engine: str, count: int, most: int) -> list[dict[str, Any]]:
        server = request.getfixturevalue(engine)
        entries = [server.create_database() for _ in range(count)]
        user = f"few_{entries[0]['NAME']}"
        if engine == "postgresql":
            server.query(entries[0], f"CREATE ROLE {user} LOGIN CONNECTION LIMIT {most}")
            for entry in entries:
                server.query(entry, f'ALTER DATABASE "{entry["NAME"]}" OWNER TO {user}')
        else:
            root = {**entries[0], "NAME": None}
            server.query(root, f"CREATE USER {user}@'127.0.0.1' WITH MAX_USER_CONNECTIONS {most}")
            for entry in entries:
                server.query(root, f"GRANT ALL ON {entry['NAME']}.* TO {user}@'127.0.0.1'")
                entry["PASSWORD"] = ""
            made.append((server, root, user))
        return [{**entry, "USER": user} for entry in entries]

    yield make
    for server, root, user in made:
        server.query(root, f"DROP USER {user}@'127.0.0.1'")


def project_on(folder: Path, entries: list[dict[str, Any]], settings: str = "") -> Project:
    """Write a project with an app for each database: default, second, third."""
    aliases = ("default", "second", "third")[: len(entries)]
    is_mysql = entries[0]["ENGINE"].endswith("mysql")
    return write_project(
        folder / "site",
        {f"on_{alias}": simple_app() for alias in aliases},
        aliases=dict(zip(aliases, entries, strict=True)),
        rules={f"on_{alias}": alias for alias in aliases},
        settings=(DRIVER if is_mysql else "") + settings,
    )


def describe_user(entry: dict[str, Any]) -> tuple[str, str]:
    """Return a user as it is named, and the statement that raises its limit, without the number."""
    if entry["ENGINE"].endswith("mysql"):
        user = f"'{entry['USER']}'@'127.0.0.1'"
        return f"user {user}", f"ALTER USER {user} WITH MAX_USER_CONNECTIONS"
    return f'role "{entry["USER"]}"', f'ALTER ROLE "{entry["USER"]}" CONNECTION LIMIT'


@pytest.mark.soak
@pytest.mark.parametrize("engine", SERVERS)
def test_a_user_of_one_connection_has_none_for_the_lock(engine: str, tmp_path: Path, limited: Any) -> None:
    (entry,) = limited(engine, 1, most=1)
    project = project_on(tmp_path, [entry])
    user, statement = describe_user(entry)

    planned = dbmigrate("plan", cwd=project.root).expect(0)
    refused = dbmigrate("all", cwd=project.root).expect(20)
    done = dbmigrate("all", "--no-lock", cwd=project.root).expect(0)

    assert "warning: database default: its lock has its own connection" in planned.stdout
    assert f"a run of this plan ends with 20\n   hint: {statement} 2; or" in planned.stdout
    assert (
        "error: database default: its lock has its own connection, so a run needs 2 at a time (1 for the lock "
        f"and 1 for the migrations), and {user} is allowed 1 connection (" in refused.stderr
    )
    assert "(nothing was changed)" in refused.stderr
    assert f"hint: {statement} 2; or use another user for the lock, under [tool.dbmigrate]: lock_url.default = " in (
        refused.stderr
    )
    assert NO_LOCK in refused.stderr
    assert "Waiting" not in refused.stderr
    assert "All migrations completed successfully" in done.stdout


@pytest.mark.postgresql
def test_the_lock_of_a_user_of_one_connection_can_be_anothers(
    tmp_path: Path, limited: Any, postgresql: PostgresqlServer
) -> None:
    (entry,) = limited("postgresql", 1, most=1)
    project = project_on(tmp_path, [entry])
    host = str(entry["HOST"]).replace("/", "%2F")
    url = f"postgresql://postgres@{host}:{entry['PORT']}/{entry['NAME']}"
    project.write("pyproject.toml", f'[tool.dbmigrate]\nlock_url.default = "{url}"\n')

    done = dbmigrate("all", cwd=project.root).expect(0)

    assert "All migrations completed successfully" in done.stdout


@pytest.mark.soak
@pytest.mark.parametrize("engine", SERVERS)
def test_databases_of_one_user_are_migrated_as_there_is_room(engine: str, tmp_path: Path, limited: Any) -> None:
    entries = limited(engine, 3, most=3)
    project = project_on(tmp_path, entries)
    server_user, statement = describe_user(entries[0])

    refused = dbmigrate("all", cwd=project.root).expect(20)
    looked = dbmigrate("status", "--exit-code", cwd=project.root).expect(10)
    one = dbmigrate("run", "--database", "default", cwd=project.root).expect(0)

    assert (
        "error: databases default, second, third: each lock has its own connection, so a run needs 4 at a time "
        f"(3 for the locks and 1 for the migrations), and {server_user} is allowed 3 connections (" in refused.stderr
    )
    assert f"hint: {statement} 4\n      or " in refused.stderr
    assert "or one at a time:\n        dbmigrate run --database default\n" in refused.stderr
    assert "unreachable" not in looked.stdout
    assert "All migrations completed successfully" in one.stdout


@pytest.mark.soak
@pytest.mark.parametrize("launcher", ["fork", "spawn"])
@pytest.mark.parametrize("engine", SERVERS)
def test_no_more_databases_are_migrated_at_a_time_than_a_user_has_connections(
    engine: str, launcher: str, tmp_path: Path, limited: Any
) -> None:
    entries = limited(engine, 3, most=4)
    project = project_on(tmp_path, entries)
    user, _ = describe_user(entries[0])

    # default first: its process records what the others make; then both at a time, if there was room.
    dbmigrate("run", "--database", "default", cwd=project.root).expect(0)
    done = dbmigrate("all", "--jobs", "3", "--launcher", launcher, cwd=project.root).expect(0)

    assert f"warning: second, third: 1 at a time, because {user} is allowed 4 connections (" in done.stderr
    assert done.stderr.count("at a time") == 1
    assert "All migrations completed successfully" in done.stdout


@pytest.mark.soak
@pytest.mark.parametrize("engine", SERVERS)
def test_a_look_connects_no_more_often_than_there_is_room(engine: str, tmp_path: Path, limited: Any) -> None:
    project = project_on(tmp_path, limited(engine, 3, most=1))

    looked = dbmigrate("status", "--exit-code", cwd=project.root).expect(10)
    waited = dbmigrate("wait", cwd=project.root).expect(0)
    done = dbmigrate("all", "--no-lock", cwd=project.root).expect(0)

    assert "unreachable" not in looked.stdout
    assert "3 of 3 databases reachable" in waited.stdout
    assert "1 at a time" in done.stderr
    assert "All migrations completed successfully" in done.stdout


@pytest.mark.soak
@pytest.mark.postgresql
def test_connections_of_others_count_and_can_be_waited_for(
    tmp_path: Path, limited: Any, postgresql: PostgresqlServer
) -> None:
    (entry,) = limited("postgresql", 1, most=2)
    project = project_on(tmp_path, [entry])

    with postgresql.session(entry):
        refused = dbmigrate("all", cwd=project.root).expect(20)
        process = start(project, "all", "--wait", "60")
        line = next(line for line in process.stdout or () if "Waiting" in line)
    rest = process.communicate(timeout=90)[0]

    assert "is allowed 2 connections (CONNECTION LIMIT); other sessions use 1 of them (noth" in refused.stderr
    assert "close some of the others' connections; --wait SECONDS waits for that" in refused.stderr
    assert "it has no free connections now: database default: its lock has its own connection" in line
    assert process.returncode == 0, line + rest


@pytest.mark.postgresql
def test_a_database_of_one_connection_has_none_for_the_lock(
    tmp_path: Path, limited: Any, postgresql: PostgresqlServer
) -> None:
    (entry,) = limited("postgresql", 1, most=-1)
    postgresql.query(entry, f'ALTER DATABASE "{entry["NAME"]}" CONNECTION LIMIT 1')
    project = project_on(tmp_path, [entry])

    refused = dbmigrate("all", cwd=project.root).expect(20)

    assert f'and database "{entry["NAME"]}" allows 1 connection (CONNECTION LIMIT) (nothing' in refused.stderr
    assert f'hint: ALTER DATABASE "{entry["NAME"]}" CONNECTION LIMIT 2; {NO_LOCK}' in refused.stderr


@pytest.mark.pgbouncer
@pytest.mark.parametrize("mode", ["transaction", pytest.param("session", marks=pytest.mark.soak)])
def test_a_pool_of_one_has_no_connection_for_the_migrations(
    mode: str, tmp_path: Path, postgresql: PostgresqlServer
) -> None:
    entry = postgresql.create_database()
    with pgbouncer(entry, mode, "default_pool_size = 1\n") as port:
        project = project_on(tmp_path, [{**entry, "HOST": "127.0.0.1", "PORT": str(port)}])

        refused = dbmigrate("all", cwd=project.root).expect(20)
        done = dbmigrate("all", "--no-lock", cwd=project.root).expect(0)

    assert (
        "error: database default: its lock needs its own connection, and the pooler in front of "
        "the database has no second one for the migrations (nothing was changed)" in refused.stderr
    )
    assert f'lock_url.default = "postgresql://USER@SERVER:PORT/{entry["NAME"]}"' in refused.stderr
    assert NO_LOCK in refused.stderr
    assert "All migrations completed successfully" in done.stdout


@pytest.mark.soak
@pytest.mark.pgbouncer
def test_a_pool_that_the_application_has_taken_is_waited_for(tmp_path: Path, postgresql: PostgresqlServer) -> None:
    entry = postgresql.create_database()
    with pgbouncer(entry, "transaction", "default_pool_size = 2\n") as port:
        pooled = {**entry, "HOST": "127.0.0.1", "PORT": str(port)}
        project = project_on(tmp_path, [pooled])

        with postgresql.session(pooled) as busy:
            busy.execute("BEGIN")
            refused = dbmigrate("all", "--lock-wait", "0", cwd=project.root).expect(20)
            process = start(project, "all", "--lock-wait", "60")
            line = next((line for line in process.stdout or () if "Waiting" in line), "")
        rest = process.communicate(timeout=90)[0]

    assert "the pooler in front of the database has no second one for the migrations" in refused.stderr
    assert "database: default" in line
    assert "its pooler has no connection left for the migrations, next to that of the lock" in line
    assert process.returncode == 0, line + rest


@pytest.mark.pgbouncer
def test_what_a_receiver_raises_beside_the_lock_is_not_told_as_a_full_pool(
    tmp_path: Path, postgresql: PostgresqlServer
) -> None:
    entry = postgresql.create_database()
    receiver = (
        "from django.db.backends.signals import connection_created\n"
        "def guard(connection, **kwargs):\n"
        "    with connection.cursor() as cursor:\n"
        '        cursor.execute("SELECT count(*) FROM pg_locks JOIN pg_database d ON database = d.oid"\n'
        "                       \" WHERE locktype = 'advisory' AND datname = current_database()\")\n"
        "        if cursor.fetchone()[0]:\n"
        "            raise RuntimeError('only one of us')\n"
        "connection_created.connect(guard, weak=False)\n"
    )
    with pgbouncer(entry, "transaction") as port:
        project = project_on(tmp_path, [{**entry, "HOST": "127.0.0.1", "PORT": str(port)}], receiver)

        refused = dbmigrate("all", cwd=project.root).expect(21)

    assert "RuntimeError: only one of us" in refused.stderr
    assert "a receiver of connection_created" in refused.stderr
    assert "pooler" not in refused.stderr


@pytest.mark.soak
@pytest.mark.mariadb
def test_sessions_of_an_account_with_the_same_user_elsewhere_do_not_count(
    tmp_path: Path, limited: Any, mariadb: MariadbServer
) -> None:
    (entry,) = limited("mariadb", 1, most=2)
    root = {**mariadb.create_database(), "NAME": None}
    mariadb.query(root, f"CREATE USER {entry['USER']}@localhost")
    mariadb.query(root, f"GRANT PROCESS ON *.* TO {entry['USER']}@'127.0.0.1'")  # without it, it would not see them
    try:
        project = project_on(tmp_path, [entry])
        with mariadb.session_by_socket(entry["USER"]), mariadb.session_by_socket(entry["USER"]):
            done = dbmigrate("all", cwd=project.root).expect(0)
    finally:
        mariadb.query(root, f"DROP USER {entry['USER']}@localhost")

    assert "All migrations completed successfully" in done.stdout


@pytest.mark.soak
@pytest.mark.mariadb
def test_a_server_that_forbids_named_locks_is_told_with_the_ways_out(tmp_path: Path, mariadb: MariadbServer) -> None:
    forbidding = """
from pymysql.cursors import Cursor
_query = Cursor._query

def query(self, sql):
    if "GET_LOCK" in sql:
        raise pymysql.OperationalError(
            1105, "Percona-XtraDB-Cluster prohibits use of GET_LOCK with pxc_strict_mode = ENFORCING"
        )
    return _query(self, sql)

Cursor._query = query
"""
    project = project_on(tmp_path, [mariadb.create_database()], forbidding)

    refused = dbmigrate("all", cwd=project.root).expect(20)
    done = dbmigrate("all", "--no-lock", cwd=project.root).expect(0)

    assert "prohibits use of GET_LOCK with pxc_strict_mode = ENFORCING" in refused.stderr
    assert "hint: if this server has no named locks, take the lock on one that has" in refused.stderr
    assert 'lock_url.default = "mysql://USER@SERVER:PORT/' in refused.stderr
    assert "All migrations completed successfully" in done.stdout


@pytest.mark.soak
@pytest.mark.postgresql
def test_a_reset_needs_no_more_connections_than_a_run(
    tmp_path: Path, limited: Any, postgresql: PostgresqlServer
) -> None:
    (entry,) = limited("postgresql", 1, most=2)
    project = project_on(tmp_path, [entry], "DEBUG = True\n")
    administrator = {**entry, "USER": "postgres"}
    postgresql.query(administrator, f"ALTER ROLE {entry['USER']} CREATEDB")
    dbmigrate("all", cwd=project.root).expect(0)

    done = dbmigrate("reset", "--confirm", "site_settings", cwd=project.root).expect(0)
    postgresql.query(administrator, f"ALTER ROLE {entry['USER']} CONNECTION LIMIT 1")
    refused = dbmigrate("reset", "--confirm", "site_settings", cwd=project.root).expect(20)

    assert "All migrations completed successfully" in done.stdout
    assert "database default: its lock has its own connection, so a run needs 2 at a time" in refused.stderr
    assert "(nothing was changed)" in refused.stderr


@pytest.mark.soak
@pytest.mark.pgbouncer
def test_no_more_databases_are_migrated_at_a_time_than_a_pooler_takes_clients(
    tmp_path: Path, postgresql: PostgresqlServer
) -> None:
    entries = [postgresql.create_database() for _ in range(3)]
    # 3 for the locks, so there is room for 1 of 2 that could be migrated side by side.
    more = f"max_client_conn = 4\n[databases]\n* = host={entries[0]['HOST']} port={entries[0]['PORT']}\n"
    with pgbouncer(entries[0], "transaction", more) as port:
        pooled = [{**entry, "HOST": "127.0.0.1", "PORT": str(port)} for entry in entries]
        project = project_on(tmp_path, pooled)

        dbmigrate("run", "--database", "default", cwd=project.root).expect(0)
        done = dbmigrate("all", "--jobs", "3", cwd=project.root).expect(0)

    assert "warning: second, third: 1 at a time, because their pooler has no more connections" in done.stderr
    assert "All migrations completed successfully" in done.stdout
