"""What `run --to` backwards says: before it is refused, and when it is done."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from support.cli import dbmigrate
from support.projects import Project, migration, simple_app, write_project

RUN_PYTHON = "def go(apps, schema_editor):\n    pass\n"
TO_ZERO = ("run", "--app", "core", "--to", "zero", "--no-input")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Return a project with three migrations applied, of which the second cannot be undone."""
    second = migration("migrations.RunPython(go)", head=RUN_PYTHON, after=(("core", "0001_initial"),))
    third = 'migrations.AddField("item", "size", models.IntegerField(null=True))'
    app = simple_app(
        **{
            "migrations/0002_go.py": second,
            "migrations/0003_size.py": migration(third, after=(("core", "0002_go"),)),
        }
    )
    project = write_project(tmp_path, {"core": app})
    dbmigrate("all", "--skip-makemigrations", cwd=project.root).expect(0)
    return project


@pytest.mark.soak
def test_what_cannot_be_undone_offers_only_a_target_that_undoes_something(project: Project) -> None:
    refused = dbmigrate(*TO_ZERO, cwd=project.root).expect(2)
    assert "or undo only what comes after it: --to 0002_go\n" in refused.stderr

    undone = dbmigrate("run", "--app", "core", "--to", "0002_go", "--no-input", cwd=project.root).expect(0)
    assert undone.stderr.startswith("Undoing migrations of core...\n")
    assert "[default] Undoing migrations of database: default\n" in undone.stderr
    assert "[default] Migrations undone for default\n" in undone.stderr
    assert "default   undone  1 migration undone" in undone.stdout
    assert undone.stdout.endswith("All selected migrations were undone\n")

    again = dbmigrate(*TO_ZERO, cwd=project.root).expect(2)
    assert "hint: write its reverse (reverse_code or reverse_sql; noop if there is nothing to do)\n" in again.stderr


@pytest.mark.soak
def test_status_says_in_which_zone_a_time_is_and_quietly_only_what_is_wrong(project: Project) -> None:
    assert dbmigrate("status", cwd=project.root).expect(0).stdout.rstrip().endswith("Z")
    assert dbmigrate("status", "-q", cwd=project.root).expect(0).stdout == ""

    (project.root / "core/migrations/0004_more.py").write_text(
        migration('migrations.AddField("item", "more", models.IntegerField(null=True))', after=(("core", "0003_size"),))
    )

    assert "default" in dbmigrate("status", "-q", cwd=project.root).expect(0).stdout


def test_a_target_before_what_is_recorded_already_is_refused_for_the_history(project: Project) -> None:
    with closing(sqlite3.connect(project.database("default"))) as connection, connection:
        connection.execute("DELETE FROM django_migrations WHERE name = '0002_go'")

    refused = dbmigrate("run", "--app", "core", "--to", "0002_go", "--no-input", cwd=project.root).expect(13)

    assert "DBM103" in refused.stderr
