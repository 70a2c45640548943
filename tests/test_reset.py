"""`dbmigrate reset`: what it takes away, and everything that keeps it from doing so."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from support.cli import clean_environment, dbmigrate
from support.postgresql import PostgresqlServer
from support.projects import Project, applied, migration, simple_app, write_project
from support.sites import Site
from support.terminal import CONTROL_C, Terminal

from dbmigrate.inside.emptying import mysql_host

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


def git(project: Project, *words: str) -> None:
    """Run git as somebody with a name."""
    who = ("-c", "user.name=A", "-c", "user.email=a@example.com")
    subprocess.run(["git", *who, *words], cwd=project.root, env=clean_environment(), check=True)


def refused(project: Project, *arguments: str, code: int = 4, environment: Mapping[str, str] | None = None) -> str:
    """Run and expect a refusal that changes nothing; return what it says."""
    before = project.content()
    outcome = dbmigrate("reset", *arguments, cwd=project.root, environment=environment).expect(code)
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


def test_an_interrupt_at_the_question(project: Project) -> None:
    before = project.content()
    terminal = Terminal(project, "reset")

    terminal.wait_for(f"Type {NAME} to go on")
    terminal.press(CONTROL_C)

    assert terminal.wait_for_end() == 130
    assert project.content() == before


def test_without_a_confirmation(project: Project) -> None:
    assert f"hint: --confirm {NAME}" in refused(project)


def test_with_another_name(project: Project) -> None:
    assert f"the project's name is {NAME}, not 'other'" in refused(project, "--confirm", "other")


def test_with_debug_off(project: Project) -> None:
    project.append("site_settings.py", "DEBUG = False")

    assert "DEBUG is off" in refused(project, "--confirm", NAME)


def test_with_migration_files_that_are_not_committed(project: Project) -> None:
    git(project, "init", "-q")
    git(project, "add", "-A")

    assert "3 of the migration files are not committed" in refused(project, "--confirm", NAME)


def test_with_a_migration_file_that_git_is_told_not_to_show(project: Project) -> None:
    git(project, "init", "-q")
    git(project, "config", "status.showUntrackedFiles", "no")
    git(project, "add", "-A")
    git(project, "commit", "-qm", "all")
    project.write("blog/migrations/0003_new.py", migration(after=(("blog", "0002_more"),)))

    said = refused(project, "--confirm", NAME)

    assert "1 of the migration files are not committed, for example blog/migrations/0003_new.py" in said
    assert "hint: commit or remove them first: git add blog/migrations/0003_new.py && git commit" in said


def test_in_a_repository_that_git_cannot_read(project: Project) -> None:
    project.write(".git/HEAD", "nonsense")

    assert "git does not tell whether the migration files are committed: fatal: " in refused(project, "--confirm", NAME)


def test_in_a_repository_without_git(project: Project, tmp_path: Path) -> None:
    git(project, "init", "-q")

    said = refused(project, "--confirm", NAME, environment={"PATH": str(tmp_path)})

    assert "git does not tell whether the migration files are committed: No such file or directory" in said


def test_committed_files_are_taken_away(project: Project) -> None:
    git(project, "init", "-q")
    git(project, "add", "-A")
    git(project, "commit", "-qm", "all")

    dbmigrate("reset", "--confirm", NAME, cwd=project.root).expect(0)

    assert applied(project.database("blog_db")) == ["blog.0001_initial"]


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
    postgresql.query(entry, "CREATE TYPE mood AS ENUM ('good', 'bad')")
    postgresql.query(entry, "CREATE TYPE pair AS (one int, other int)")
    postgresql.query(entry, "CREATE DOMAIN year AS integer CHECK (value > 1900)")
    postgresql.query(entry, "CREATE FUNCTION grow(mood) RETURNS int LANGUAGE sql AS 'SELECT 1'")

    dbmigrate("reset", "--confirm", NAME, cwd=project.root).expect(0)

    assert postgresql.tables(entry) == {"django_migrations", "core_item"}
    # A migration that makes a type or a function must be able to make it again.
    assert postgresql.query(entry, "SELECT typname FROM pg_type WHERE typname IN ('mood', 'year', 'pair')") == []
    assert postgresql.query(entry, "SELECT proname FROM pg_proc WHERE proname = 'grow'") == []


@pytest.mark.mariadb
def test_a_mariadb_database_is_emptied(site: Callable[..., Site]) -> None:
    here = site("mariadb")
    here.project.append("site_settings.py", "DEBUG = True")
    dbmigrate("all", cwd=here.project.root).expect(0)
    here.query("CREATE TABLE leftover (id int PRIMARY KEY)")
    here.query("CREATE VIEW leftovers AS SELECT * FROM leftover")
    here.query("CREATE FUNCTION grow() RETURNS int RETURN 1")

    dbmigrate("reset", "--confirm", NAME, cwd=here.project.root).expect(0)

    tables = here.query("SELECT table_name FROM information_schema.tables WHERE table_schema = database()")
    assert {name for (name,) in tables} == {"django_migrations", "core_item", "more_item"}
    routines = "SELECT routine_name FROM information_schema.routines WHERE routine_schema = database()"
    assert here.query(routines) == []


@pytest.mark.mariadb
def test_a_mariadb_database_on_another_host(site: Callable[..., Site]) -> None:
    here = site("mariadb")
    here.project.append("site_settings.py", "DEBUG = True")
    dbmigrate("all", cwd=here.project.root).expect(0)
    # What the driver says counts here too: the settings may leave the host to an option file.
    here.project.append(
        "site_settings.py",
        """
        import pymysql.connections

        pymysql.connections.Connection.get_host_info = lambda connection: "socket db.example.com:3306"
        """,
    )

    assert "database default is on db.example.com, which is not this machine" in refused(
        here.project, "--confirm", NAME
    )


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


@pytest.mark.parametrize(
    ("said", "host"),
    [("Localhost via UNIX socket", ""), ("db.example.com via TCP/IP", "db.example.com"), ("socket ::1:3306", "::1")],
)
def test_the_host_in_what_the_drivers_of_mysql_say(said: str, host: str) -> None:
    assert mysql_host(said) == host  # type: ignore[no-untyped-call]
