"""`dbmigrate check` on databases as they are found: other names, other records, views, thousands of tables."""

from __future__ import annotations

import re
import shlex
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support.cli import clean_environment, dbmigrate, looks, manage
from support.combinations import combinations
from support.postgresql import PostgresqlServer
from support.projects import Project, create, migration, model, simple_app, tables, write_project
from support.sites import ENGINES, Site

ODD = "Order's of-all"
"""A name that has to be quoted on every server, and has a quote in it."""

SIZE = "size = models.IntegerField(default=0)"

ODD_APP = {
    "models.py": f"{model()}\n    class Meta:\n        db_table = {ODD!r}\n",
    "migrations/0001_initial.py": migration(
        "migrations.CreateModel('Item', [('id', models.BigAutoField(auto_created=True, primary_key=True, "
        "serialize=False, verbose_name='ID')), ('name', models.CharField(max_length=20))], "
        f"options={{'db_table': {ODD!r}}})"
    ),
}


def found(project: Project, *options: str) -> list[tuple[str, str, str]]:
    """Return (id, level, message) of what `check` finds."""
    outcome = dbmigrate("check", *options, "--format", "json", cwd=project.root)
    assert outcome.json["error"] is None, outcome
    return [(one["id"], one["level"], one["message"]) for one in outcome.json["result"]["findings"]]


def ids(project: Project) -> list[tuple[str, str]]:
    return [(identifier, level) for identifier, level, _ in found(project)]


@pytest.mark.soak
@pytest.mark.parametrize("engine", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def test_a_table_whose_name_needs_quoting(engine: str, site: Callable[..., Site]) -> None:
    here = site(engine, ODD_APP)
    fresh = found(here.project)
    dbmigrate("all", cwd=here.project.root).expect(0)
    done = found(here.project)
    here.project.write(
        "core/migrations/0002_gone.py", migration('migrations.DeleteModel("Item")', after=(("core", "0001_initial"),))
    )
    here.project.write("core/models.py", "")
    dropping = found(here.project)

    assert (fresh, done) == ([], [])
    assert [(identifier, level) for identifier, level, _ in dropping] == [("DBM304", "note")]
    assert ODD in dropping[0][2]


@pytest.mark.soak
@pytest.mark.parametrize("engine", combinations(ENGINES, quick=[("sqlite",), ("mariadb",)]))
def test_rows_of_apps_that_are_gone_and_rows_that_are_there_twice(
    engine: str, migrated_site: Callable[[str], Site]
) -> None:
    here = migrated_site(engine)
    for app, name in (("polls", "0001_initial"), ("polls", "0001_initial"), ("core", "0001_initial")):
        here.query(
            f"INSERT INTO django_migrations (app, name, applied) VALUES ('{app}', '{name}', '2026-01-01 00:00:00')"
        )

    assert found(here.project) == [
        (
            "DBM302",
            "note",
            "recorded on default: polls.0001_initial is no longer in the "
            "code: squashed, or part of an app that is not installed or has nothing there",
        )
    ]


@pytest.mark.soak
def test_a_record_of_a_migration_that_did_nothing_there_and_is_gone(tmp_path: Path) -> None:
    more = migration("migrations.RunSQL('SELECT 1')", after=(("core", "0001_initial"),))
    app = simple_app(**{"migrations/0002_more.py": more})
    project = write_project(tmp_path, {"core": app}, aliases=("default", "far"), rules={"core": "far"})
    dbmigrate("all", cwd=project.root).expect(0)
    manage("migrate", cwd=project.root)
    (project.root / "core/migrations/0002_more.py").unlink()

    records = [one for one in found(project) if one[0] == "DBM302"]

    assert [(level, "recorded on far" in message) for _, level, message in records] == [
        ("note", False),
        ("error", True),
    ]
    assert "core.0002_more" in dbmigrate("verify", cwd=project.root).expect(12).stdout


def test_a_newer_record_of_an_app_that_nobody_puts_there_is_a_note_to_check_and_to_verify(tmp_path: Path) -> None:
    head = "class Router:\n    def allow_migrate(self, db, label, **hints):\n"
    project = write_project(
        tmp_path,
        {"core": simple_app(), "blog": simple_app()},
        aliases=("default", "far"),
        settings='DATABASE_ROUTERS = ["routers.Router"]',
    )
    project.write("routers.py", f"{head}        return db == 'far' if label == 'blog' else None\n")
    dbmigrate("all", cwd=project.root).expect(0)
    with closing(sqlite3.connect(project.database("far"), isolation_level=None)) as connection:
        row = "('core', '0002_new', '2026-01-01 00:00:00')"
        connection.execute(f"INSERT INTO django_migrations (app, name, applied) VALUES {row}")

    checked, _ = looks({"check": 0, "verify": 0}, cwd=project.root)

    assert "recorded on far: core.0002_new is no longer in the code" in checked.stdout


@pytest.mark.parametrize("engine", combinations(ENGINES, quick=[("sqlite",), ("postgresql",)]))
def test_a_record_that_is_missing_as_a_table(engine: str, migrated_site: Callable[[str], Site]) -> None:
    here = migrated_site(engine)
    here.query("DROP TABLE django_migrations")

    outcome = dbmigrate("check", "--pending", "--ignore", "DBM307", cwd=here.project.root).expect(10)

    assert "default: 2 migrations pending" in outcome.stdout


@pytest.mark.soak
@pytest.mark.parametrize("engine", ENGINES)
def test_a_view_where_a_table_is_expected_and_a_table_that_is_gone(
    engine: str, migrated_site: Callable[[str], Site]
) -> None:
    here = migrated_site(engine)
    here.query("DROP TABLE core_item")
    gone = found(here.project)
    here.query("CREATE VIEW core_item AS SELECT 1 AS id, 'x' AS name")

    assert [(identifier, level) for identifier, level, _ in gone] == [("DBM301", "error")]
    assert found(here.project) == []


@pytest.mark.soak
def test_the_hint_for_a_missing_table_makes_it(migrated_site: Callable[[str], Site]) -> None:
    here = migrated_site("sqlite")
    here.query("DROP TABLE core_item")

    hint = _hint(here.project)
    for command in re.findall(r"dbmigrate (run [^&;]*)", hint):
        dbmigrate(*shlex.split(command), cwd=here.project.root).expect(0)

    assert found(here.project) == []
    assert here.query("SELECT * FROM core_item") == []


def test_a_record_that_is_gone_with_its_table_while_a_later_one_is_there(migrated_site: Callable[[str], Site]) -> None:
    here = migrated_site("sqlite")
    operation = "migrations.AddField('item', 'size', models.IntegerField(default=0))"
    here.project.write("core/migrations/0002_size.py", migration(operation, after=(("core", "0001_initial"),)))
    here.project.write("core/models.py", model("Item", "name = models.CharField(max_length=20)", SIZE))
    dbmigrate("all", cwd=here.project.root).expect(0)
    here.query("DELETE FROM django_migrations WHERE app = 'core' AND name = '0001_initial'")
    here.query("DROP TABLE core_item")

    assert ("DBM103", "error") in ids(here.project)
    assert "core.0002_size" in dbmigrate("all", cwd=here.project.root).expect(13).stderr


@pytest.mark.soak
@pytest.mark.postgresql
def test_a_long_name_that_was_made_up_on_another_kind_of_database(tmp_path: Path, postgresql: PostgresqlServer) -> None:
    name = "A" + "bcdefghij" * 7
    app = {"models.py": model(name), "migrations/0001_initial.py": migration(create(name))}
    aliases = {"default": postgresql.create_database(), "far": {}}
    project = write_project(tmp_path / "site", {"core": app}, aliases=aliases, rules={"core": "far"})
    dbmigrate("all", cwd=project.root).expect(0)
    (table,) = (table for table in tables(project.database("far")) if table.startswith("core_"))
    before = ids(project)
    with closing(sqlite3.connect(project.database("far"))) as connection:
        connection.execute(f"DROP TABLE {table}")

    assert before == []
    assert ids(project) == [("DBM301", "error")]


@pytest.mark.soak
@pytest.mark.parametrize("way", [0, 1])
def test_the_hints_for_an_inconsistent_history_mend_it(way: int, tmp_path: Path) -> None:
    later = {"models.py": model(), "migrations/0001_initial.py": migration(create(), after=(("core", "0001_initial"),))}
    project = write_project(tmp_path, {"core": simple_app(), "blog": later})
    dbmigrate("all", cwd=project.root).expect(0)
    with closing(sqlite3.connect(project.database("default"))) as connection, connection:
        connection.execute("DELETE FROM django_migrations WHERE app = 'core'")

    commands = re.findall(r'\S+ \S+/manage\.py shell -c ".*?"', _hint(project, "--select", "DBM103"))
    subprocess.run(shlex.split(commands[way]), cwd=tmp_path.parent, check=True, timeout=60)

    assert len(commands) == 2
    assert "DBM103" not in [identifier for identifier, _ in ids(project)]


def test_a_squashed_migration_is_cut_off_where_the_files_of_a_part_are_gone(tmp_path: Path) -> None:
    size = "migrations.AddField('item', 'size', models.IntegerField(default=0))"
    replaces = "    replaces = [('blog', '0001_initial'), ('blog', '0002_size')]\n    operations"
    blog = {
        "models.py": model("Item", "name = models.CharField(max_length=20)", SIZE),
        "migrations/0001_squashed_0002.py": migration(create(), size).replace("    operations", replaces),
    }
    project = write_project(tmp_path, {"blog": blog}, aliases=("default", "blog_db"), rules={"blog": "blog_db"})
    dbmigrate("all", cwd=tmp_path).expect(0)
    for alias in ("default", "blog_db"):
        with closing(sqlite3.connect(project.database(alias))) as connection, connection:
            connection.execute("DELETE FROM django_migrations WHERE name <> '0001_initial'")

    alone = found(project)
    looks({"plan": 13, "verify": 12}, cwd=tmp_path)
    project.write(
        "blog/migrations/0003_larger.py",
        migration(
            "migrations.AlterField('item', 'size', models.IntegerField(default=1))",
            after=(("blog", "0001_squashed_0002"),),
        ),
    )
    (tmp_path / "blog/models.py").write_text(blog["models.py"].replace("default=0", "default=1"))
    before_another = found(project)
    looks({"status": 0, "verify": 12}, cwd=tmp_path)
    for _ in before_another:
        hint = str(dbmigrate("check", "--format", "json", cwd=tmp_path).json["result"]["findings"][0]["hint"])
        (command,) = re.findall(r'\S+ \S+/manage\.py shell -c ".*?"', hint)
        subprocess.run(shlex.split(command), cwd=tmp_path.parent, check=True, timeout=60)
    dbmigrate("all", cwd=tmp_path).expect(0)

    words = (
        "the history of database {} is inconsistent: blog.0001_squashed_0002 replaces migrations of which some are "
        "applied there, and others are neither applied nor on disk (blog.0002_size), so Django ignores "
        "blog.0001_squashed_0002"
    )
    assert alone == [("DBM103", "error", words.format("blog_db"))]  # nothing of it belongs on default
    assert before_another == [("DBM103", "error", words.format(alias)) for alias in ("default", "blog_db")]
    assert found(project) == []


@pytest.mark.mariadb
def test_what_mariadb_would_leave_half_done_is_a_note(site: Callable[..., Site]) -> None:
    two = {
        "models.py": model() + model("Other").replace("from django.db import models", ""),
        "migrations/0001_initial.py": migration(create(), create("Other")),
    }
    here = site("mariadb", two)

    notes = found(here.project)

    assert [(identifier, level) for identifier, level, _ in notes] == [("DBM303", "note")]
    assert "core.0001_initial on default would leave it half done: MariaDB" in notes[0][2]


@pytest.mark.soak
@pytest.mark.postgresql
@pytest.mark.parametrize(("kind", "expected"), [("TABLE", []), ("FOREIGN TABLE", ["DBM201"]), ("VIEW", ["DBM201"])])
def test_a_copy_of_the_other_table_carries_a_constraint_and_a_foreign_table_does_not(
    postgresql: PostgresqlServer, tmp_path: Path, kind: str, expected: list[str]
) -> None:
    entry = postgresql.create_database()
    author = '("author", models.ForeignKey("core.Item", models.CASCADE))'
    blog = {
        "models.py": model("Post", 'author = models.ForeignKey("core.Item", models.CASCADE)'),
        "migrations/0001_initial.py": migration(create("Post", author), after=(("core", "0001_initial"),)),
    }
    project = write_project(
        tmp_path,
        {"core": simple_app(), "blog": blog},
        aliases={"default": {}, "blog_db": entry},
        rules={"blog": "blog_db"},
    )
    columns = {"TABLE": "(id bigint PRIMARY KEY)", "FOREIGN TABLE": "(id bigint)", "VIEW": "AS SELECT 1 AS id"}[kind]
    if kind == "FOREIGN TABLE":
        postgresql.query(entry, "CREATE FOREIGN DATA WRAPPER other")
        postgresql.query(entry, "CREATE SERVER other FOREIGN DATA WRAPPER other")
        columns += " SERVER other"
    postgresql.query(entry, f"CREATE {kind} core_item {columns}")

    assert [identifier for identifier, _ in ids(project)] == expected
    ended = subprocess.run(
        [sys.executable, "manage.py", "migrate", "blog", "--database=blog_db"],
        cwd=project.root,
        env=clean_environment(),
        capture_output=True,
        timeout=60,
    )
    assert (ended.returncode == 0) == (expected == []), ended.stderr


@pytest.mark.soak
@pytest.mark.parametrize("many", [1000, pytest.param(10_000, marks=pytest.mark.soak)])
@pytest.mark.parametrize("engine", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def test_thousands_of_tables(engine: str, many: int, migrated_site: Callable[[str], Site]) -> None:
    here = migrated_site(engine)
    _make_tables(here, engine, many)

    assert found(here.project) == []
    here.query("DROP TABLE core_item")
    started = time.monotonic()
    assert ids(here.project) == [("DBM301", "error")]
    assert time.monotonic() - started < 30


def _make_tables(here: Site, engine: str, many: int) -> None:
    if engine == "postgresql":
        # A thousand in each transaction: every table takes locks until it ends.
        for first in range(0, many, 1000):
            here.query(
                f"DO $$ BEGIN FOR i IN {first}..{first + 999} LOOP EXECUTE format('CREATE TABLE many_%s (id int)', i); "
                "END LOOP; END $$"
            )
        return
    with closing(sqlite3.connect(here.project.database("default"))) as connection:
        connection.executescript(
            "".join(["BEGIN;", *(f"CREATE TABLE many_{n} (id int);" for n in range(many)), "END;"])
        )


def _hint(project: Project, *options: str) -> str:
    document: Any = dbmigrate("check", *options, "--format", "json", cwd=project.root).json
    (finding,) = document["result"]["findings"]
    return str(finding["hint"])
