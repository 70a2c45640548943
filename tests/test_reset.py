"""`dbmigrate reset`: what it takes away, and everything that keeps it from doing so."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from support.cli import dbmigrate
from support.postgresql import PostgresqlServer
from support.projects import Project, applied, migration, simple_app, write_project
from support.terminal import Terminal

NAME = "site_settings"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Return a migrated development project with two databases and an app with two migrations."""
    blog = simple_app(**{"migrations/0002_more.py": migration(after=(("blog", "0001_initial"),))})
    project = write_project(
        tmp_path / "site",
        {"core": simple_app(), "blog": blog},
        aliases=("default", "blog_db"),
        rules={"blog": "blog_db"},
        settings="DEBUG = True",
    )
    dbmigrate("all", cwd=project.root).expect(0)
    return project


def refused(project: Project, *arguments: str, code: int = 4) -> str:
    """Run and expect a refusal that changes nothing; return what it says."""
    before = project.content()
    outcome = dbmigrate("reset", *arguments, cwd=project.root).expect(code)
    assert project.content() == before
    assert "nothing was changed" in outcome.stderr
    return outcome.stderr


def test_migrations_are_made_anew_and_the_old_files_are_kept(project: Project) -> None:
    outcome = dbmigrate("reset", "--confirm", NAME, cwd=project.root).expect(0)

    assert "  blog/migrations/0002_more.py" in outcome.stderr
    assert applied(project.database("blog_db")) == ["blog.0001_initial"]
    assert "core_item" in project.tables()["default"]
    kept = sorted(str(path.relative_to(project.root)) for path in project.root.glob(".dbmigrate-reset/*/*/*/*"))
    assert [path.split("/", 2)[2] for path in kept] == [
        "blog/migrations/0001_initial.py",
        "blog/migrations/0002_more.py",
        "core/migrations/0001_initial.py",
    ]
    assert "Nothing pending" in dbmigrate("all", cwd=project.root).expect(0).stdout


def test_one_database_alone(project: Project) -> None:
    before = applied(project.database("default"))

    dbmigrate("reset", "--database", "blog_db", "--confirm", NAME, cwd=project.root).expect(0)

    assert applied(project.database("blog_db")) == ["blog.0001_initial"]
    assert set(before) <= set(applied(project.database("default")))
    assert (project.root / "core/migrations/0001_initial.py").exists()


def test_the_name_is_typed_at_a_terminal(project: Project) -> None:
    terminal = Terminal(project, "reset")

    terminal.wait_for(f"Type {NAME} to go on")
    terminal.press(NAME + "\r")

    assert terminal.wait_for_end() == 0
    assert applied(project.database("blog_db")) == ["blog.0001_initial"]


def test_another_name_at_a_terminal(project: Project) -> None:
    terminal = Terminal(project, "reset")

    terminal.wait_for(f"Type {NAME} to go on")
    terminal.press("yes\r")

    assert "not 'yes' (nothing was changed)" in "".join(terminal.wait_for("error:"))
    assert terminal.wait_for_end() == 4
    assert len(applied(project.database("blog_db"))) == 2


def test_without_a_confirmation(project: Project) -> None:
    assert f"hint: --confirm {NAME}" in refused(project)


def test_with_another_name(project: Project) -> None:
    assert f"the project's name is {NAME}, not 'other'" in refused(project, "--confirm", "other")


def test_with_debug_off(project: Project) -> None:
    project.append("site_settings.py", "DEBUG = False")

    assert "DEBUG is off" in refused(project, "--confirm", NAME)


def test_with_migration_files_that_are_not_committed(project: Project) -> None:
    for command in (["init", "-q"], ["add", "-A"]):
        subprocess.run(["git", *command], cwd=project.root, check=True)

    assert "migration files are not committed" in refused(project, "--confirm", NAME)


def test_with_an_app_that_lives_elsewhere_too(tmp_path: Path) -> None:
    project = write_project(
        tmp_path,
        {"core": simple_app()},
        aliases=("default", "copy"),
        settings="DEBUG = True\nDATABASE_ROUTERS = ['r.R']",
    )
    project.write("r.py", "class R:\n    def allow_migrate(self, db, app_label, **hints):\n        return True\n")
    dbmigrate("all", cwd=project.root).expect(0)

    outcome = dbmigrate("reset", "--database", "copy", "--confirm", NAME, cwd=project.root).expect(2)

    assert "app core lives on default as well" in outcome.stderr


@pytest.mark.postgresql
def test_a_postgresql_database_is_emptied(tmp_path: Path, postgresql: PostgresqlServer) -> None:
    entry = postgresql.create_database()
    project = write_project(tmp_path, {"core": simple_app()}, aliases={"default": entry}, settings="DEBUG = True")
    dbmigrate("all", cwd=project.root).expect(0)
    postgresql.query(entry, "CREATE TABLE leftover (id serial PRIMARY KEY)")
    postgresql.query(entry, "CREATE VIEW leftovers AS SELECT * FROM leftover")

    dbmigrate("reset", "--confirm", NAME, cwd=project.root).expect(0)

    assert postgresql.tables(entry) == {"django_migrations", "core_item"}


@pytest.mark.postgresql
def test_a_database_on_another_host(tmp_path: Path, postgresql: PostgresqlServer) -> None:
    entry = postgresql.create_database()
    project = write_project(
        tmp_path / "site", {"core": simple_app()}, aliases={"default": entry}, settings="DEBUG = True"
    )
    # What the driver says counts, not the settings: PGHOST or a service may lead elsewhere.
    project.append(
        "site_settings.py",
        """
        import psycopg

        psycopg.ConnectionInfo.host = property(lambda info: "db.example.com")
        """,
    )

    assert "database default is on db.example.com, which is not this machine" in refused(project, "--confirm", NAME)
