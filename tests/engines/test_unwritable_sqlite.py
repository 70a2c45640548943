"""Databases that keep nothing (SQLite in memory) and SQLite files that take no writes."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support.cli import Outcome, dbmigrate, looks
from support.projects import Project, applied, make_read_only, simple_app, write_project

READ_ONLY = "blog_db is read-only and lacks 1 migration"


def two(root: Path, alias: str = "blog_db", name: str | None = None, settings: str = "") -> Project:
    """Write a project with an app on each of two files; `name` is NAME of this alias, with {BASE} in it."""
    project = write_project(
        root,
        {"core": simple_app(), "blog": simple_app()},
        aliases=("default", "blog_db"),
        rules={"blog": "blog_db"},
        settings=settings,
    )
    if name is not None:
        project.append("site_settings.py", f'DATABASES[{alias!r}]["NAME"] = f{name!r}')
    return project


def statuses(project: Project) -> Mapping[str, Any]:
    """Return (kind, pending) of each database."""
    return read_statuses(dbmigrate("status", "--format", "json", cwd=project.root).expect(0))


def read_statuses(status: Outcome) -> Mapping[str, Any]:
    return {one["alias"]: (one["kind"], one["pending"]) for one in status.json["result"]["databases"]}


@pytest.mark.soak
@pytest.mark.parametrize(
    "name",
    [
        ":memory:",
        "file:shared?mode=memory&cache=shared",
        "file::memory:?cache=shared",
        "file:/shared?vfs=memdb",
    ],
)
def test_a_database_in_memory_is_skipped_and_counted_nowhere(tmp_path: Path, name: str) -> None:
    project = two(tmp_path, name=name)

    first = dbmigrate("all", cwd=project.root).expect(0)
    again = dbmigrate("all", cwd=project.root).expect(0)
    named, app, status, *_ = looks(
        {
            "run --database blog_db": 2,
            "run --app blog": 2,
            "status --format json": 0,
            "status --exit-code": 0,
            "plan --exit-code": 0,
            "check --pending": 0,
            "verify": 0,
        },
        cwd=project.root,
    )

    assert "blog_db   skipped   in memory, so nothing is kept" in first.stdout
    assert "Nothing pending: every database but blog_db is up to date" in again.stdout
    assert f"database blog_db is in memory ({name})" in named.stderr
    assert "app blog belongs only on blog_db, which is in memory" in app.stderr
    assert read_statuses(status) == {"default": ("default", 0), "blog_db": ("in-memory", 0)}


def test_a_database_without_a_name_is_not_taken_for_one_in_memory(tmp_path: Path) -> None:
    project = two(tmp_path, name="")

    run = dbmigrate("all", cwd=project.root).expect(21)
    *looked, status = looks({"check": 21, "verify": 21, "status --format json": 0}, cwd=project.root)

    said = "database blog_db is unreachable: settings.DATABASES is improperly configured"
    assert [said in outcome.stdout for outcome in looked] == [True, True]
    assert said in run.stderr
    assert 'hint: fix DATABASES["blog_db"]["NAME"]\n      waiting will not help' in run.stderr
    assert not project.database("default").exists()
    assert read_statuses(status) == {"default": ("default", 2), "blog_db": ("routed", None)}


@pytest.mark.soak
def test_a_default_database_in_memory_is_refused_before_anything_is_touched(tmp_path: Path) -> None:
    project = two(tmp_path, "default", ":memory:")
    before = project.content()

    *refused, status = looks({"all": 2, "plan": 2, "run --auto": 2, "status --format json": 0}, cwd=project.root)
    assert project.content() == before
    assert read_statuses(status) == {"default": ("in-memory", 0), "blog_db": ("routed", 1)}
    dbmigrate("run", "--database", "blog_db", cwd=project.root).expect(0)
    project.write("pyproject.toml", '[tool.dbmigrate]\nexclude = ["default"]\n')
    dbmigrate("all", cwd=project.root).expect(0)

    for outcome in refused:
        assert (
            "database default is in memory (:memory:): what is migrated there is lost when the process ends"
            in outcome.stderr
        )
        assert 'exclude = ["default"] under [tool.dbmigrate]' in outcome.stderr
    assert applied(project.database("blog_db")) == ["blog.0001_initial"]


def test_where_the_only_database_is_in_memory_nothing_is_called_verified(tmp_path: Path) -> None:
    project = write_project(tmp_path, {"core": simple_app()})
    project.append("site_settings.py", 'DATABASES["default"]["NAME"] = ":memory:"')

    verified, _ = looks({"verify": 0, "check": 0}, cwd=project.root)

    assert "nothing was verified: there is no database to check" in verified.stdout


def _read_only(way: str, root: Path, request: pytest.FixtureRequest) -> tuple[Project, str]:
    """Write a project whose second database, an empty file, takes no writes in this way, and return the reason."""
    modes = {"mode=ro": "it is opened with mode=ro", "immutable=1": "it is opened with immutable=1"}
    if way in modes:
        project = two(root, name=f"file:{{BASE}}/blog.sqlite3?{way}")
    elif way == "query_only":
        project = two(root)
        project.append("site_settings.py", QUERY_ONLY)
    else:
        project = two(root, name="{BASE}/kept/blog.sqlite3")
    file = root / "kept/blog.sqlite3" if way in ("file", "folder") else project.database("blog_db")
    file.parent.mkdir(exist_ok=True)
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE theirs (id integer)")
    if way in ("file", "folder"):
        make_read_only(file if way == "file" else file.parent, request)
    reasons = {
        **modes,
        "query_only": "PRAGMA query_only is on",
        "file": "this user cannot write the file",
        "folder": "this user cannot write in its folder",
    }
    return project, reasons[way]


QUERY_ONLY = """
from django.db.backends.signals import connection_created

def forbid(connection, **_):
    if connection.alias == "blog_db":
        connection.cursor().execute("PRAGMA query_only = 1")

connection_created.connect(forbid)
"""


@pytest.mark.soak
@pytest.mark.parametrize("way", ["mode=ro", "file", "folder", "immutable=1", "query_only"])
def test_an_sqlite_file_that_takes_no_writes_is_skipped_and_what_is_pending_there_is_said(
    tmp_path: Path, way: str, request: pytest.FixtureRequest
) -> None:
    project, reason = _read_only(way, tmp_path, request)

    planned = dbmigrate("plan", cwd=project.root).expect(0)
    first = dbmigrate("all", cwd=project.root).expect(0)
    again = dbmigrate("all", cwd=project.root).expect(0)
    named, status, pending, verified, *_ = looks(
        {
            "run --database blog_db": 2,
            "status --format json": 0,
            "check --pending": 10,
            "verify --database blog_db": 10,
            "plan --exit-code": 10,
            "plan --database default --exit-code": 0,
        },
        cwd=project.root,
    )

    assert f"blog_db: read-only ({reason}); 1 migration pending there" in planned.stdout
    assert f"skipped   read-only ({reason}); 1 migration pending there" in first.stdout
    assert f"All migrations completed successfully; {READ_ONLY}" in first.stdout
    assert f"Nothing pending that could be applied: {READ_ONLY}" in again.stdout
    assert f"database blog_db is read-only: {reason}" in named.stderr
    assert read_statuses(status) == {"default": ("default", 0), "blog_db": ("read-only", 1)}
    assert "blog_db: 1 migration pending" in pending.stdout
    assert "blog_db: 1 migration pending: blog.0001_initial" in verified.stdout


def test_a_read_only_file_that_cannot_be_read_is_not_called_up_to_date(tmp_path: Path) -> None:
    project = two(tmp_path, name="file:{BASE}/blog.sqlite3?mode=ro")
    project.database("blog_db").write_text("this is no database, whatever its name says" * 100)
    dbmigrate("all", cwd=project.root).expect(0)

    again = dbmigrate("all", cwd=project.root).expect(0)

    assert "Nothing pending: every database but blog_db is up to date" in again.stdout


@pytest.mark.soak
def test_a_read_only_file_that_is_complete_is_verified_and_a_missing_table_is_found(tmp_path: Path) -> None:
    project = two(tmp_path)
    dbmigrate("all", cwd=project.root).expect(0)
    project.append("site_settings.py", 'DATABASES["blog_db"]["NAME"] = f"file:{BASE}/blog.sqlite3?mode=ro"')
    complete = dbmigrate("all", cwd=project.root).expect(0)
    looks({"verify": 0, "check --pending": 0}, cwd=project.root)
    with closing(sqlite3.connect(project.database("blog_db"))) as connection:
        connection.execute("DROP TABLE blog_item")

    checked, _ = looks({"check": 12, "verify": 12}, cwd=project.root)

    assert "Nothing pending: every database is up to date" in complete.stdout
    assert "DBM301" in checked.stdout
    assert (
        "hint: blog_db is read-only (it is opened with mode=ro)\n         once it is writable, if the table"
        in checked.stdout
    )


@pytest.mark.soak
def test_a_default_file_that_takes_no_writes_is_refused_while_something_is_pending_there(tmp_path: Path) -> None:
    receivers = """
    from django.db.models.signals import post_migrate

    def tell(**_):
        pass

    post_migrate.connect(tell)
    """
    project = two(tmp_path, settings=receivers)
    dbmigrate("all", cwd=project.root).expect(0)
    project.append("site_settings.py", 'DATABASES["default"]["NAME"] = f"file:{BASE}/default.sqlite3?mode=ro"')
    complete = dbmigrate("all", cwd=project.root).expect(0)
    with closing(sqlite3.connect(project.database("default"))) as connection, connection:
        connection.execute("DELETE FROM django_migrations WHERE app = 'core'")
        connection.execute("DROP TABLE core_item")

    refused = dbmigrate("all", cwd=project.root).expect(21)

    assert "default   unchanged  nothing pending" in complete.stdout
    assert "database default is read-only: it is opened with mode=ro (nothing was changed)" in refused.stderr
    assert statuses(project) == {"default": ("default", 1), "blog_db": ("routed", 0)}


@pytest.mark.parametrize("words", [("plan",), ("plan", "--sql"), ("run", "--auto", "--dry-run")], ids=" ".join)
def test_the_plan_of_a_default_file_that_takes_no_writes_has_the_steps_and_what_refuses_them(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    project = two(tmp_path)
    dbmigrate("all", cwd=project.root).expect(0)
    project.append("site_settings.py", 'DATABASES["default"]["NAME"] = f"file:{BASE}/default.sqlite3?mode=ro"')
    project.append("core/models.py", "class More(models.Model):\n    pass\n")
    before = project.content()

    shown = dbmigrate(*words, cwd=project.root).expect(0).stdout

    assert "core.0002_more" in shown
    if "--sql" not in words:
        refused = "warning: database default is read-only: it is opened with mode=ro; a run of this plan ends with 21"
        assert refused in shown
        assert (
            'hint: let DATABASES["default"] name the primary, or make it writable\n         to continue without it:\n'
            in shown
        )
    assert project.content() == before


def test_the_exit_code_of_a_plan_says_what_is_pending_where_no_writes_are_taken(tmp_path: Path) -> None:
    project = two(tmp_path)
    dbmigrate("all", cwd=project.root).expect(0)
    with closing(sqlite3.connect(project.database("default"))) as connection, connection:
        connection.execute("DELETE FROM django_migrations WHERE app = 'core'")
    project.append("site_settings.py", 'DATABASES["default"]["NAME"] = f"file:{BASE}/default.sqlite3?mode=ro"')

    answer = dbmigrate("plan", "--exit-code", "--format", "json", cwd=project.root).expect(10).json["result"]

    assert answer["refusal"]["message"] == "database default is read-only: it is opened with mode=ro"


@pytest.mark.soak
def test_reset_refuses_a_default_file_that_takes_no_writes_and_leaves_one_beside_it(tmp_path: Path) -> None:
    project = two(tmp_path, settings="DEBUG = True\n")
    dbmigrate("all", cwd=project.root).expect(0)
    read_only = 'DATABASES["{0}"]["NAME"] = f"file:{{BASE}}/{1}.sqlite3?mode=ro"'
    project.append("site_settings.py", read_only.format("default", "default"))
    before = project.content()

    refused = dbmigrate("reset", "--confirm", "site_settings", cwd=project.root).expect(21)
    unchanged = project.content()
    project.append("site_settings.py", 'DATABASES["default"]["NAME"] = BASE / "default.sqlite3"')
    project.append("site_settings.py", read_only.format("blog_db", "blog"))
    done = dbmigrate("reset", "--confirm", "site_settings", cwd=project.root).expect(0)

    assert unchanged == before
    assert "database default is read-only: it is opened with mode=ro (nothing was changed)" in refused.stderr
    assert "Databases that will be emptied: default (" in done.stderr
    assert applied(project.database("blog_db")) == ["blog.0001_initial"]


def test_a_file_that_is_opened_for_reading_a_second_time_is_the_same_database(tmp_path: Path) -> None:
    project = write_project(tmp_path, {"core": simple_app()}, aliases=("default", "reader"), rules={})
    project.append("site_settings.py", 'DATABASES["reader"]["NAME"] = f"file:{BASE}/default.sqlite3?mode=ro"')

    before = statuses(project)
    dbmigrate("all", cwd=project.root).expect(0)

    assert before == {"default": ("default", 1), "reader": ("same", 0)}
    assert statuses(project) == {"default": ("default", 0), "reader": ("same", 0)}


def test_a_file_that_has_to_be_there_and_is_not(tmp_path: Path) -> None:
    project = two(tmp_path, name="file:{BASE}/blog.sqlite3?mode=rw")

    outcome = dbmigrate("all", cwd=project.root).expect(21)

    assert f"{project.database('blog_db')} does not exist, and mode=rw does not create it" in outcome.stderr
    assert not project.database("default").exists()


@pytest.mark.soak
def test_a_journal_in_memory_needs_no_folder(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    project, _ = _read_only("folder", tmp_path, request)
    project.append("site_settings.py", QUERY_ONLY.replace("query_only = 1", "journal_mode = memory"))

    assert statuses(project)["blog_db"] == ("routed", 1)
    refused = dbmigrate("all", cwd=project.root).expect(21)
    dbmigrate("all", "--no-lock", cwd=project.root).expect(0)

    assert "blog.sqlite3.dbmigrate-lock" in refused.stderr
    assert [file.name for file in (tmp_path / "kept").iterdir()] == ["blog.sqlite3"]
