"""What a failed migration leaves, told as it is on each engine, and the two ways on."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from support.background import start
from support.cli import dbmigrate
from support.combinations import combinations
from support.projects import create, make_read_only, migration, model
from support.sites import ENGINES, Site

BROKEN = "migrations.RunSQL('SELECT no_such_thing FROM core_item')"
INDEX = 'migrations.AddIndex("item", models.Index(fields=["name"], name="item_name"))'
META = '\n    class Meta:\n        indexes = [models.Index(fields=["name"], name="item_name")]\n'


def app(*operations: str, atomic: bool = True) -> dict[str, str]:
    """Return an app whose only migration has these operations."""
    return {"models.py": model() + META, "migrations/0001_initial.py": migration(*operations, atomic=atomic)}


@pytest.mark.parametrize(
    ("engine", "atomic"),
    combinations(
        ENGINES,
        [True, False],
        quick=[("sqlite", True), ("sqlite", False), ("postgresql", True), ("mariadb", False)],
    ),
)
def test_the_report_says_what_is_left_and_the_next_run_finishes(
    engine: str, atomic: bool, site: Callable[..., Site]
) -> None:
    here = site(engine, app(create(), BROKEN, INDEX, atomic=atomic))

    outcome = dbmigrate("all", "--skip-makemigrations", cwd=here.project.root).expect(30)

    if atomic and engine != "mariadb":
        assert "the database rolled core.0001_initial back: nothing of it is left" in outcome.stderr
        assert "; no database was migrated\n" in outcome.stderr
    else:
        assert "no migration was completed; core.0001_initial may be half done on default\n" in outcome.stderr
        assert "no database was migrated" not in outcome.stderr
        assert "[default] of core.0001_initial, there already: Create model Item\n" in outcome.stderr
        assert "[default] of core.0001_initial, not there: Create index item_name" in outcome.stderr
        assert "[default] of core.0001_initial, unknown: RunSQL\n" in outcome.stderr
        assert "dbmigrate verify --repair --database default" in outcome.stderr
        assert "--fake" not in outcome.stderr
        assert "it starts core.0001_initial from the beginning, so RunSQL would run again\n" in outcome.stderr
        here.query("DROP TABLE core_item")

    here.project.write("core/migrations/0001_initial.py", migration(create(), INDEX))
    dbmigrate("all", "--skip-makemigrations", cwd=here.project.root).expect(0)
    assert here.recorded() == {"core.0001_initial": 1, "more.0001_initial": 1}


PARTS = (
    """migrations.CreateModel("Tag", [("id", models.BigAutoField(primary_key=True))])""",
    """migrations.CreateModel(
            "Item",
            [
                ("id", models.BigAutoField(primary_key=True)),
                ("tag", models.ForeignKey("core.Tag", models.CASCADE)),
                ("name", models.CharField(max_length=20)),
                ("code", models.IntegerField(db_index=True)),
            ],
            options={"unique_together": {("name", "code")}},
        )""",
    'migrations.AddField("item", "size", models.IntegerField(default=0, db_index=True))',
)


@pytest.mark.parametrize("engine", ENGINES[1:])  # SQLite makes the table anew for each column, with its parts
def test_what_django_makes_at_the_end_of_a_migration_is_not_said_to_be_there(
    engine: str, site: Callable[..., Site]
) -> None:
    here = site(engine, {"models.py": "", "migrations/0001_initial.py": migration(*PARTS, BROKEN, atomic=False)})

    outcome = dbmigrate("all", "--skip-makemigrations", cwd=here.project.root).expect(30)

    there = "Create model Tag, Create model Item, Add field size to item\n"
    assert f"[default] of core.0001_initial, there already: {there}" in outcome.stderr
    for part in ("foreign key of tag", "unique together name, code", "index on code"):
        assert f"Create model Item: {part}" in outcome.stderr
    assert "Add field size to item: index on size" in outcome.stderr
    assert "either do the rest by hand" in outcome.stderr


@pytest.mark.soak
@pytest.mark.mariadb
def test_what_was_finished_by_hand_is_recorded_with_the_commands_that_are_printed(site: Callable[..., Site]) -> None:
    here = site("mariadb", app(create(), INDEX, BROKEN))
    outcome = dbmigrate("all", "--skip-makemigrations", cwd=here.project.root).expect(30)
    told = next(line for line in outcome.stderr.splitlines() if "either do the rest by hand" in line)

    printed = dbmigrate(*told.partition("dbmigrate ")[2].split(), cwd=here.project.root).expect(12).stdout
    judged = next(line for line in printed.splitlines() if "--judged" in line)
    printed = dbmigrate(*judged.partition("dbmigrate ")[2].split(), cwd=here.project.root).expect(12).stdout
    record = next(line for line in printed.splitlines() if line.startswith("dbmigrate run"))
    dbmigrate(*record.split()[1:], cwd=here.project.root).expect(0)
    dbmigrate("all", "--skip-makemigrations", cwd=here.project.root).expect(0)

    assert here.recorded() == {"core.0001_initial": 1, "more.0001_initial": 1}


READ_ONLY = {
    "sqlite": 'DATABASES["default"]["OPTIONS"] = {"init_command": "PRAGMA query_only=1"}',
    "postgresql": 'DATABASES["default"]["OPTIONS"] = {"options": "-c default_transaction_read_only=on"}',
}


@pytest.mark.parametrize("engine", ENGINES[:2])
def test_a_database_that_says_that_it_is_read_only(engine: str, site: Callable[..., Site]) -> None:
    here = site(engine)
    here.project.append("site_settings.py", READ_ONLY[engine])
    if engine == "sqlite":
        here.project.database("default").touch()

    outcome = dbmigrate("all", "--skip-makemigrations", cwd=here.project.root).expect(21)

    assert "error: database default is read-only: " in outcome.stderr
    assert 'hint: let DATABASES["default"] name the primary' in outcome.stderr
    tables = {"sqlite": "sqlite_master", "postgresql": "pg_tables WHERE schemaname = 'public'"}
    assert here.query(f"SELECT * FROM {tables[engine]}") == []


def test_an_sqlite_file_that_cannot_be_written(site: Callable[..., Site], request: pytest.FixtureRequest) -> None:
    here = site("sqlite")
    dbmigrate("run", "--app", "more", cwd=here.project.root).expect(0)
    file = here.project.database("default")
    make_read_only(file, request)

    outcome = dbmigrate("all", "--skip-makemigrations", cwd=here.project.root).expect(21)

    assert "database default is read-only: this user cannot write the file (nothing was changed)" in outcome.stderr
    assert here.recorded() == {"more.0001_initial": 1}


@pytest.mark.postgresql
def test_a_role_that_may_not_create(site: Callable[..., Site]) -> None:
    here = site("postgresql")
    role = f"reader_{here.entry['NAME']}"
    here.query(f"CREATE ROLE {role} LOGIN")
    here.project.append("site_settings.py", f'DATABASES["default"]["USER"] = {role!r}')

    outcome = dbmigrate("all", "--skip-makemigrations", cwd=here.project.root).expect(13)
    planned = dbmigrate("plan", "--skip-makemigrations", cwd=here.project.root).expect(0)

    assert f"default: role {role} lacks CREATE on schema public, needed for django_migrations, " in outcome.stderr
    assert "core.0001_initial, more.0001_initial; a run of this plan ends with 13" in planned.stdout
    assert "1. default: 2 migrations" in planned.stdout
    assert here.query("SELECT tablename FROM pg_tables WHERE schemaname = 'public'") == []


@pytest.mark.soak
@pytest.mark.parametrize(
    "engine",
    [
        pytest.param("postgresql", marks=pytest.mark.postgresql),
        pytest.param("mariadb", marks=pytest.mark.mariadb),
    ],
)
def test_a_role_that_may_not_create_while_that_of_another_alias_may(engine: str, site: Callable[..., Site]) -> None:
    here = site(engine)
    role = f"serving_{here.entry['NAME']}"[-32:]
    if engine == "postgresql":
        here.query(f"CREATE ROLE {role} LOGIN")
    else:
        here.query(f"CREATE USER {role}@'%' IDENTIFIED BY 'for-tests'")
        here.query(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {here.entry['NAME']}.* TO {role}@'%'")
    here.project.append(
        "site_settings.py",
        f"""
        DATABASES["migrator"] = dict(DATABASES["default"])
        DATABASES["default"]["USER"] = {role!r}
        """,
    )

    refused = dbmigrate("all", "--skip-makemigrations", cwd=here.project.root).expect(13)
    hint = next(line for line in refused.stderr.splitlines() if line.startswith("hint: "))
    lines = re.findall(r'exclude = \[.*?\]|databases\.\S+ = "\w+"', hint)
    here.project.write("pyproject.toml", "\n".join(["[tool.dbmigrate]", *lines, ""]))
    done = dbmigrate("all", "--skip-makemigrations", cwd=here.project.root).expect(0)

    assert lines == ['exclude = ["default"]', 'databases.migrator.open = "migrate"']
    assert "default   skipped   excluded by the configuration" in done.stdout
    assert here.recorded() == {"core.0001_initial": 1, "more.0001_initial": 1}


def test_a_database_that_another_process_has_locked(site: Callable[..., Site]) -> None:
    import sqlite3
    from contextlib import closing

    here = site("sqlite")
    here.project.append("site_settings.py", 'DATABASES["default"]["OPTIONS"] = {"timeout": 0.2}')
    with closing(sqlite3.connect(here.project.database("default"), isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        outcome = dbmigrate("all", "--skip-makemigrations", cwd=here.project.root).expect(21)
        other.execute("ROLLBACK")

    assert "database is locked" in outcome.stderr
    assert (
        "hint: another process is writing to that file: wait for it with --wait SECONDS, or stop that" in outcome.stderr
    )
    dbmigrate("all", "--skip-makemigrations", cwd=here.project.root).expect(0)


@pytest.mark.soak
@pytest.mark.postgresql
def test_a_server_that_ends_the_session_between_two_migrations(site: Callable[..., Site]) -> None:
    end = "migrations.RunSQL('SELECT pg_terminate_backend(pg_backend_pid())')"
    here = site("postgresql", app(create(), INDEX, end))

    outcome = dbmigrate("all", "--skip-makemigrations", cwd=here.project.root).expect(30)

    assert "the database rolled core.0001_initial back" in outcome.stderr
    here.project.write("core/migrations/0001_initial.py", migration(create(), INDEX))
    dbmigrate("all", "--skip-makemigrations", cwd=here.project.root).expect(0)


@pytest.mark.postgresql
def test_a_migration_in_the_way_of_traffic_is_given_up_and_tried_again(migrated_site: Callable[[str], Site]) -> None:
    here = migrated_site("postgresql")
    here.project.write("core/models.py", model() + META)
    here.project.write("core/migrations/0002_index.py", migration(INDEX, after=(("core", "0001_initial"),)))
    entry = here.entry
    with psycopg.connect(
        dbname=entry["NAME"], user=entry["USER"], host=entry["HOST"], port=entry["PORT"], application_name="a report"
    ) as traffic:
        traffic.execute("LOCK TABLE core_item IN SHARE UPDATE EXCLUSIVE MODE")
        process = start(here.project, "all", "--skip-makemigrations", "--ddl-lock-timeout", "0.3")
        line = next(line for line in process.stdout or () if "retrying" in line)
        traffic.rollback()
        rest = process.communicate(timeout=60)[0]

    assert process.returncode == 0, line + rest
    assert "default: retrying core.0002_index (lock timed out; attempt 2 of 6) in 2.0 s; nothing was changed" in line
    assert "(a report, idle in transaction, transaction open for" in line
    assert "LOCK TABLE core_item" in line
    assert here.recorded()["core.0002_index"] == 1


@pytest.mark.postgresql
def test_a_migration_that_never_gets_its_lock_fails_after_the_retries(migrated_site: Callable[[str], Site]) -> None:
    here = migrated_site("postgresql")
    here.project.write("core/migrations/0002_index.py", migration(INDEX, after=(("core", "0001_initial"),)))
    entry = here.entry
    with psycopg.connect(dbname=entry["NAME"], user=entry["USER"], host=entry["HOST"], port=entry["PORT"]) as traffic:
        traffic.execute("LOCK TABLE core_item IN SHARE UPDATE EXCLUSIVE MODE")
        outcome = dbmigrate(
            "run", "--app", "core", "--ddl-lock-timeout", "0.3", "--ddl-retries", "1", cwd=here.project.root
        ).expect(30)

    assert "canceling statement due to lock timeout" in outcome.stderr
    assert "the database rolled core.0002_index back" in outcome.stderr


@pytest.mark.parametrize("engine", ["sqlite", pytest.param("mariadb", marks=pytest.mark.mariadb)])
def test_where_a_lock_timeout_has_no_effect_it_is_said(engine: str, site: Callable[..., Site]) -> None:
    here = site(engine)

    outcome = dbmigrate("all", "--skip-makemigrations", "--ddl-lock-timeout", "1", cwd=here.project.root).expect(0)

    assert "warning: --ddl-lock-timeout has no effect on database default: only PostgreSQL" in outcome.stderr


def test_a_full_disk(site: Callable[..., Site]) -> None:
    here = site("sqlite")
    limit = 'DATABASES["default"]["OPTIONS"] = {"init_command": "PRAGMA max_page_count=3"}'
    here.project.append("site_settings.py", limit)

    outcome = dbmigrate("all", "--skip-makemigrations", cwd=here.project.root)

    assert outcome.code in (30, 31), outcome
    assert "database or disk is full" in outcome.stderr
    here.project.append("site_settings.py", 'DATABASES["default"]["OPTIONS"] = {}')
    dbmigrate("all", "--skip-makemigrations", cwd=here.project.root).expect(0)
    assert here.recorded() == {"core.0001_initial": 1, "more.0001_initial": 1}


def test_a_file_system_that_is_full(site: Callable[..., Site], tmp_path: Path) -> None:
    here = site("sqlite")
    small = tmp_path / "small"
    small.mkdir()
    here.project.append("site_settings.py", f'DATABASES["default"]["NAME"] = {str(small / "db.sqlite3")!r}')
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "none", str(small)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("nothing may be mounted here")
    try:
        outcome = dbmigrate("all", "--skip-makemigrations", cwd=here.project.root)
        subprocess.run(["mount", "-o", "remount,size=10m", str(small)], check=True)
        again = dbmigrate("all", "--skip-makemigrations", cwd=here.project.root)
    finally:
        subprocess.run(["umount", str(small)], check=True)

    assert outcome.code in (20, 21, 30, 31), outcome
    assert "full" in outcome.stderr or "No space left" in outcome.stderr, outcome
    again.expect(0)


@pytest.mark.parametrize("engine", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def test_what_was_there_before_a_rolled_back_migration_is_not_to_be_undone(
    engine: str, site: Callable[..., Site]
) -> None:
    here = site(engine, app(create(), INDEX))
    here.query("CREATE TABLE core_item (id integer PRIMARY KEY, titel varchar(20))")
    here.project.write("pyproject.toml", '[tool.dbmigrate]\nignore = ["DBM307"]\n')

    said = dbmigrate("all", "--skip-makemigrations", cwd=here.project.root).expect(30).stderr

    assert "the database rolled core.0001_initial back: what exists of it existed before the migration started" in said
    assert "dbmigrate verify --repair --database default" in said
    assert "if it belongs to something else, let a router refuse core on default, or rename what is there" in said
    assert "undo by hand" not in said
    assert "--fake" not in said
