"""What a run and its failure tell, where it was once not true or not enough."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.cli import dbmigrate
from support.projects import Project, applied, create, failing, migration, model, simple_app, write_project

AFTER = (("core", "0001_initial"),)


def project(folder: Path, second: str) -> Project:
    """Return one app with two migrations on one database."""
    return write_project(folder / "site", {"core": simple_app(**{"migrations/0002_more.py": second})})


@pytest.mark.soak
def test_fake_says_that_nothing_was_run(tmp_path: Path) -> None:
    site = project(tmp_path, migration('migrations.RunSQL("nonsense")', after=AFTER))
    dbmigrate("run", "--app", "core", "--to", "0001", cwd=site.root).expect(0)

    there = dbmigrate("run", "--app", "core", "--fake", cwd=site.root).expect(0)
    back = dbmigrate("run", "--app", "core", "--to", "0001", "--fake", cwd=site.root).expect(0)

    assert there.stderr.splitlines() == [
        "Recording migrations of core...",
        "[default] Recording migrations of database: default",
        "[default] Recording migrations of app: core",
        "[default] Recording core.0002_more (1 of 1)",
        "[default] Migrations recorded for default",
    ]
    assert "default   recorded  1 migration recorded, nothing was run (--fake)" in there.stdout
    assert there.stdout.endswith("All selected migrations are recorded as applied; nothing was run (--fake)\n")
    assert back.stderr.splitlines() == [
        "Forgetting migrations of core...",
        "[default] Forgetting migrations of database: default",
        "[default] Forgetting migrations of app: core",
        "[default] Forgetting core.0002_more (1 of 1)",
        "[default] Migrations forgotten for default",
    ]
    assert "default   forgotten  1 migration forgotten, nothing was run (--fake)" in back.stdout
    assert back.stdout.endswith("All selected migrations are recorded as not applied; nothing was run (--fake)\n")


def test_a_failure_names_the_line_of_the_projects_own_code(tmp_path: Path) -> None:
    site = project(tmp_path, migration("migrations.RunPython(fail)", head=failing(), after=AFTER))
    text = (site.root / "core/migrations/0002_more.py").read_text().splitlines()
    line = next(number for number, words in enumerate(text, 1) if "raise RuntimeError" in words)

    outcome = dbmigrate("all", "--skip-makemigrations", cwd=site.root).expect(31)

    assert f"raised at: {site.root}/core/migrations/0002_more.py:{line} in fail" in outcome.stderr


def test_a_failed_undo_says_that_the_migration_is_still_applied(tmp_path: Path) -> None:
    undo = "migrations.RunPython(migrations.RunPython.noop, fail)"
    site = project(tmp_path, migration(undo, head=failing(), after=AFTER))
    dbmigrate("all", "--skip-makemigrations", cwd=site.root).expect(0)

    outcome = dbmigrate("run", "--app", "core", "--to", "0001", cwd=site.root).expect(30)

    assert "the database rolled this back: core.0002_more is still applied" in outcome.stderr
    assert applied(site.database("default")) == ["core.0001_initial", "core.0002_more"]


def test_to_without_an_app_says_what_is_missing(sample: Project) -> None:
    outcome = dbmigrate("run", "--to", "0001", cwd=sample.root).expect(2)

    assert "--to and --fake require one app, but none is named" in outcome.stderr


@pytest.mark.soak
def test_a_replica_does_not_stand_in_the_way_of_reset(tmp_path: Path) -> None:
    replica = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "default.sqlite3")}
    site = write_project(
        tmp_path / "site",
        {"core": simple_app()},
        aliases={"default": replica, "replica": {**replica, "TEST": {"MIRROR": "default"}}},
        settings="DEBUG = True\n",
    )
    dbmigrate("all", cwd=site.root).expect(0)

    outcome = dbmigrate("reset", "--confirm", "site_settings", cwd=site.root)

    assert outcome.code == 0, outcome


def test_what_a_migration_prints_with_dots_is_no_other_migration(tmp_path: Path) -> None:
    head = "\n\ndef act(apps, schema_editor):\n    print('working... ', flush=True)\n    print('on...', flush=True)\n"
    app = {
        "models.py": model(),
        "migrations/0001_initial.py": migration(create(), "migrations.RunPython(act)", head=head),
    }
    site = write_project(tmp_path, {"core": app})

    outcome = dbmigrate("all", cwd=site.root).expect(0)

    told = [line for line in outcome.stderr.splitlines() if "Applying" in line]
    assert told == ["[default] Applying core.0001_initial (1 of 1)"]


def test_the_plan_of_undoing_says_what_goes_and_status_that_there_is_no_file(tmp_path: Path) -> None:
    site = write_project(tmp_path, {"core": simple_app()})
    fresh = dbmigrate("status", cwd=site.root).expect(0)
    dbmigrate("all", cwd=site.root).expect(0)

    plan = dbmigrate("plan", "--app", "core", "--to", "zero", cwd=site.root).expect(0)

    assert ", no file yet" in fresh.stdout
    assert "! undoing drops the tables and columns they created, with all data in them" in plan.stdout
