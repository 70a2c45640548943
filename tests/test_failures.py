"""What a failed migration leaves, told as it is on each engine, and the two ways on."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.cli import dbmigrate
from support.projects import create, migration, model
from support.sites import ENGINES, Site

BROKEN = "migrations.RunSQL('SELECT no_such_thing FROM core_item')"
INDEX = 'migrations.AddIndex("item", models.Index(fields=["name"], name="item_name"))'
META = '\n    class Meta:\n        indexes = [models.Index(fields=["name"], name="item_name")]\n'


def app(*operations: str, atomic: bool = True) -> dict[str, str]:
    """Return an app whose only migration has these operations."""
    return {"models.py": model() + META, "migrations/0001_initial.py": migration(*operations, atomic=atomic)}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("atomic", [True, False])
def test_the_report_says_what_is_left_and_the_next_run_finishes(
    engine: str, atomic: bool, site: Callable[..., Site]
) -> None:
    here = site(engine, app(create(), BROKEN, INDEX, atomic=atomic))

    outcome = dbmigrate("all", "--skip-makemigrations", cwd=here.project.root).expect(30)

    if atomic and engine != "mariadb":
        assert "the database rolled core.0001_initial back: nothing of it is left" in outcome.stderr
    else:
        assert "[default] of core.0001_initial, there already: Create model Item\n" in outcome.stderr
        assert "[default] of core.0001_initial, not there: Create index item_name" in outcome.stderr
        assert "[default] of core.0001_initial, cannot be told: Raw SQL operation\n" in outcome.stderr
        assert "dbmigrate run --database default --app core --to 0001_initial --fake" in outcome.stderr
        here.query("DROP TABLE core_item")

    here.project.write("core/migrations/0001_initial.py", migration(create(), INDEX))
    dbmigrate("all", "--skip-makemigrations", cwd=here.project.root).expect(0)
    assert here.recorded() == {"core.0001_initial": 1, "more.0001_initial": 1}


@pytest.mark.mariadb
def test_what_was_finished_by_hand_is_recorded_with_the_command_that_is_told(site: Callable[..., Site]) -> None:
    here = site("mariadb", app(create(), INDEX, BROKEN))
    outcome = dbmigrate("all", "--skip-makemigrations", cwd=here.project.root).expect(30)
    told = next(line for line in outcome.stderr.splitlines() if "either do the rest by hand" in line)

    command = told.partition("dbmigrate ")[2].split()
    dbmigrate(*command, cwd=here.project.root).expect(0)
    dbmigrate("all", "--skip-makemigrations", cwd=here.project.root).expect(0)

    assert here.recorded() == {"core.0001_initial": 1, "more.0001_initial": 1}


def test_a_read_only_database(site: Callable[..., Site]) -> None:
    here = site("sqlite")
    here.project.append("site_settings.py", 'DATABASES["default"]["OPTIONS"] = {"init_command": "PRAGMA query_only=1"}')
    here.project.database("default").touch()

    outcome = dbmigrate("all", "--skip-makemigrations", cwd=here.project.root).expect(30)

    assert "attempt to write a readonly database" in outcome.stderr
    assert here.query("SELECT name FROM sqlite_master") == []


@pytest.mark.postgresql
def test_a_role_that_may_not_create(site: Callable[..., Site]) -> None:
    here = site("postgresql")
    role = f"reader_{here.entry['NAME']}"
    here.query(f"CREATE ROLE {role} LOGIN")
    here.project.append("site_settings.py", f'DATABASES["default"]["USER"] = {role!r}')

    outcome = dbmigrate("all", "--skip-makemigrations", cwd=here.project.root).expect(30)

    assert "permission denied for schema public" in outcome.stderr
    assert here.query("SELECT tablename FROM pg_tables WHERE schemaname = 'public'") == []


def test_a_database_that_another_process_has_locked(site: Callable[..., Site]) -> None:
    import sqlite3
    from contextlib import closing

    here = site("sqlite")
    here.project.append("site_settings.py", 'DATABASES["default"]["OPTIONS"] = {"timeout": 0.2}')
    with closing(sqlite3.connect(here.project.database("default"), isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        outcome = dbmigrate("all", "--skip-makemigrations", cwd=here.project.root)
        other.execute("ROLLBACK")

    assert outcome.code in (21, 30), outcome
    assert "database is locked" in outcome.stderr
    dbmigrate("all", "--skip-makemigrations", cwd=here.project.root).expect(0)


@pytest.mark.postgresql
def test_a_server_that_ends_the_session_between_two_migrations(site: Callable[..., Site]) -> None:
    end = "migrations.RunSQL('SELECT pg_terminate_backend(pg_backend_pid())')"
    here = site("postgresql", app(create(), INDEX, end))

    outcome = dbmigrate("all", "--skip-makemigrations", cwd=here.project.root).expect(30)

    assert "the database rolled core.0001_initial back" in outcome.stderr
    here.project.write("core/migrations/0001_initial.py", migration(create(), INDEX))
    dbmigrate("all", "--skip-makemigrations", cwd=here.project.root).expect(0)
