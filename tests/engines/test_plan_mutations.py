"""Whatever changes between `plan -o` and `apply`: what does harm is refused and named, what does none is not."""

from __future__ import annotations

import json
import random
import re
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.cli import dbmigrate
from support.mariadb import MariadbServer
from support.postgresql import PostgresqlServer
from support.projects import Project, create, migration, model
from support.sites import ENGINES, Site, write_site

COUNT = 100
"""Of each engine."""
SEED = 20261127

FILL = """\
from core import texts

def fill(apps, schema_editor):
    Item = apps.get_model("core", "Item")
    Item.objects.using(schema_editor.connection.alias).update(note=texts.note())
"""

RUN_SQL = 'migrations.RunSQL(__import__("os").environ.get("WORK", "SELECT 1"), "SELECT 1")'

APP = {
    "models.py": model("Item", "name = models.CharField(max_length=20)", "note = models.CharField(max_length=20)")
    + "\n\nclass Other(models.Model):\n    name = models.CharField(max_length=20)\n",
    "texts.py": 'def note():\n    return "new"\n',
    "migrations/0001_initial.py": migration(create(), create("Other")),
    "migrations/0002_note.py": migration(
        'migrations.AddField("item", "note", models.CharField(max_length=20, default=""))',
        after=(("core", "0001_initial"),),
    ),
    "migrations/0003_fill.py": migration("migrations.RunPython(fill)", head=FILL, after=(("core", "0002_note"),)),
    "migrations/0004_sql.py": migration(RUN_SQL, after=(("core", "0003_fill"),)),
}
PLANNED = ("0002_note", "0003_fill", "0004_sql")

RECORD = "INSERT INTO django_migrations (app, name, applied) VALUES ('{}', '{}', '2026-03-04 14:02:00')"


@dataclass
class Begun:
    """A project with a saved plan, before something is changed."""

    site: Site
    draw: random.Random
    engine: str
    server: PostgresqlServer | MariadbServer | None
    environment: dict[str, str]

    @property
    def project(self) -> Project:
        return self.site.project

    def planned(self) -> str:
        return self.draw.choice(PLANNED)

    def file(self, name: str) -> Path:
        return self.project.root / "core" / "migrations" / f"{name}.py"

    def settings(self, text: str) -> None:
        self.project.append("site_settings.py", text)


Mutation = Callable[[Begun], str]
"""Changes something; returns a part of what has to be said."""


def edit_planned(begun: Begun) -> str:
    name = begun.planned()
    begun.project.append(f"core/migrations/{name}.py", begun.draw.choice(["# x", "x = 1", "", "\t# y\n\n"]))
    return f"code: core.{name} was edited since"


def remove_planned(begun: Begun) -> str:
    name = begun.planned()
    begun.file(name).unlink()
    return f"code: core.{name} has no file any more"


def rename_planned(begun: Begun) -> str:
    begun.file("0004_sql").rename(begun.file("0004_query"))
    return "code: core.0004_sql has no file any more"


def add_pending(begun: Begun) -> str:
    name, after = begun.draw.choice(
        [("0005_more", "0004_sql"), ("0003_branch", "0002_note"), ("0002_b", "0001_initial")]
    )
    begun.project.write(f"core/migrations/{name}.py", migration(after=(("core", after),)))
    return f"code: core.{name} is pending on default and is not in the plan"


def squash_planned(begun: Begun) -> str:
    text = migration('migrations.AddField("item", "note", models.CharField(max_length=20, default=""))')
    text = text.replace("dependencies = []", 'dependencies = [("core", "0001_initial")]')
    text += '    replaces = [("core", "0002_note"), ("core", "0003_fill")]\n'
    begun.project.write("core/migrations/0002_squashed.py", text)
    return "code: core.0002_squashed is pending on default"


def edit_ancestor(begun: Begun) -> str:
    begun.project.append("core/migrations/0001_initial.py", "x = 1")
    return "code: core.0001_initial was edited since"


def edit_called(begun: Begun) -> str:
    begun.project.append("core/texts.py", f"x = {begun.draw.random()}")
    return "code: core.texts, which core.0003_fill calls, was edited since"


def record_planned(begun: Begun) -> str:
    name = begun.planned()
    begun.site.query(RECORD.format("core", name))
    return f"applied: default: core.{name} was applied at"


def record_another(begun: Begun) -> str:
    begun.site.query(RECORD.format("gone", "0001_initial"))
    return "applied: default: gone.0001_initial was applied"


def forget_applied(begun: Begun) -> str:
    begun.site.query("DELETE FROM django_migrations WHERE app = 'core'")
    return "applied: default: core.0001_initial is not recorded any more"


def add_column(begun: Begun) -> str:
    name = f"x{begun.draw.randrange(1000)}"
    begun.site.query(f"ALTER TABLE core_item ADD COLUMN {name} {begun.draw.choice(['integer', 'varchar(9)'])}")
    return f"catalogue: default: table core_item got the column {name}"


def lose_column(begun: Begun) -> str:
    begun.site.query("ALTER TABLE core_item DROP COLUMN name")
    return "catalogue: default: table core_item lost the column name"


def alter_column(begun: Begun) -> str:
    if begun.engine == "sqlite":
        begun.site.query("ALTER TABLE core_item RENAME COLUMN name TO title")
        return "catalogue: default: table core_item lost the column name"
    how = "MODIFY name varchar(30) NOT NULL" if begun.engine == "mariadb" else "ALTER COLUMN name TYPE varchar(30)"
    begun.site.query(f"ALTER TABLE core_item {how}")
    return "catalogue: default: table core_item has another column name"


def add_index(begun: Begun) -> str:
    begun.site.query("CREATE INDEX by_hand ON core_item (name)")
    return "catalogue: default: table core_item got the index or constraint by_hand"


def drop_table(begun: Begun) -> str:
    begun.site.query("DROP TABLE core_item")
    return "catalogue: default: table core_item is gone"


def change_router(begun: Begun) -> str:
    answer = begun.draw.choice(["app_label != 'core'", "model_name != 'item'"])
    asked = "def allow_migrate(self, db, app_label, model_name=None, **hints)"
    begun.project.write("changed.py", f"class Router:\n    {asked}:\n        return {answer}\n")
    begun.settings("DATABASE_ROUTERS = ['changed.Router']")
    return "routes: the routers said "


def change_database(begun: Begun) -> str:
    if begun.engine == "sqlite":
        shutil.copyfile(begun.project.database("default"), begun.project.root / "other.sqlite3")
        begun.settings('DATABASES["default"]["NAME"] = BASE / "other.sqlite3"')
    else:
        assert begun.server is not None
        begun.settings(f'DATABASES["default"]["NAME"] = {begun.server.create_database()["NAME"]!r}')
    return "database: default is another database than the one that the plan was made for"


def change_sql(begun: Begun) -> str:
    begun.environment["WORK"] = f"SELECT {begun.draw.randrange(2, 99)}"
    return "statements: core.0004_sql would run other SQL on default"


def change_configuration(begun: Begun) -> str:
    begun.project.write("pyproject.toml", '[tool.dbmigrate]\nscope = "database"\nexclude = ["default"]\n')
    return "the plan is not the one that was approved"


HARMFUL: tuple[Mutation, ...] = (
    edit_planned,
    remove_planned,
    rename_planned,
    add_pending,
    squash_planned,
    edit_ancestor,
    edit_called,
    record_planned,
    record_another,
    forget_applied,
    add_column,
    lose_column,
    alter_column,
    add_index,
    drop_table,
    change_router,
    change_database,
    change_sql,
    change_configuration,
)


def comment_elsewhere(begun: Begun) -> None:
    file = begun.draw.choice(["core/migrations/0001_initial.py", "more/migrations/0001_initial.py", "core/models.py"])
    begun.project.append(file, begun.draw.choice(["# x", "\n\n    # y\n", "  "]))


def edit_unplanned(begun: Begun) -> None:
    begun.project.append("more/migrations/0001_initial.py", f"x = {begun.draw.random()}")


def add_source(begun: Begun) -> None:
    begun.project.write("core/views.py", "x = 1\n")


def add_rows(begun: Begun) -> None:
    begun.site.query("INSERT INTO core_item (name) VALUES ('a row')")


def add_table(begun: Begun) -> None:
    begun.site.query("CREATE TABLE somebodys (id integer)")


def alter_another_table(begun: Begun) -> None:
    table = begun.draw.choice(["more_item", "core_other"])
    begun.site.query(
        begun.draw.choice([f"ALTER TABLE {table} ADD COLUMN x integer", f"CREATE INDEX elsewhere ON {table} (name)"])
    )


def call_server_otherwise(begun: Begun) -> None:
    if begun.engine == "mariadb":
        begun.settings('DATABASES["default"]["HOST"] = "localhost"')
    elif begun.engine == "sqlite":
        (begun.project.root / "link").symlink_to(begun.project.root)
        begun.settings('DATABASES["default"]["NAME"] = BASE / "link" / DATABASES["default"]["NAME"].name')


def make_it_of_another_version(begun: Begun) -> None:
    file = begun.project.root / "plan.json"
    document: dict[str, Any] = json.loads(file.read_text())
    versions = document["result"]["plan"]["basis"]["versions"]
    versions |= {"dbmigrate": "0.98.7", "python": "3.99", "django": "9.9", "servers": {"default": "another"}}
    document["result"]["plan"]["later"] = [1, {"key": None}]
    file.write_text(json.dumps(document, indent=begun.draw.choice([None, 1, 4])))


HARMLESS = (
    comment_elsewhere,
    edit_unplanned,
    add_source,
    add_rows,
    add_table,
    alter_another_table,
    call_server_otherwise,
    make_it_of_another_version,
)


class Bench:
    """Gives the same project again and again, with its database as it was."""

    def __init__(self, site: Site, engine: str, server: PostgresqlServer | MariadbServer | None) -> None:
        self._site = site
        self._engine = engine
        self._server = server
        root = site.project.root
        dbmigrate("run", "--app", "core", "--to", "0001", cwd=root).expect(0)
        dbmigrate("run", "--app", "more", cwd=root).expect(0)
        dbmigrate("plan", "--skip-makemigrations", "-o", "plan.json", cwd=root).expect(0)
        self._template: dict[str, Any] = {}
        if isinstance(server, PostgresqlServer):
            self._template = server.create_database(site.entry["NAME"])
            self._desk = server.create_database()
        elif server is not None:
            self._template = server.create_database()
            server.copy_database(site.entry, self._template)

    def begin(self, folder: Path, draw: random.Random) -> Begun:
        """Return a copy of the project whose database is as it was when the plan was saved."""
        project = self._site.project.copy_to(folder)
        name = self._site.entry.get("NAME")
        if isinstance(self._server, PostgresqlServer):
            self._server.query(self._desk, f'DROP DATABASE "{name}" WITH (FORCE)')
            self._server.query(self._desk, f'CREATE DATABASE "{name}" TEMPLATE "{self._template["NAME"]}"')
        elif self._server is not None:
            desk = {**self._site.entry, "NAME": None}
            self._server.query(desk, f"DROP DATABASE {name}")
            self._server.query(desk, f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
            self._server.copy_database(self._template, self._site.entry)
        query = self._site.query if self._server is not None else _query_of(project)
        return Begun(Site(project, self._site.entry, query), draw, self._engine, self._server, {})


def _query_of(project: Project) -> Callable[[str], list[tuple[Any, ...]]]:
    def query(sql: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(project.database("default"), isolation_level=None)) as connection:
            return connection.execute(sql).fetchall()

    return query


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("engine", ENGINES)
def test_every_harmful_change_is_refused_and_named_and_no_harmless_one(
    engine: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    server = None if engine == "sqlite" else request.getfixturevalue(engine)
    bench = Bench(write_site(tmp_path / "site", server, APP), engine, server)
    wrong = []
    for number in range(COUNT):
        draw = random.Random(f"{SEED} {engine} {number}")
        begun = bench.begin(tmp_path / f"copy{number}", draw)
        harmful = HARMFUL[number // 3 % len(HARMFUL)] if number % 3 else None
        said = ""
        for harmless in draw.sample(HARMLESS, draw.choice([0, 1, 2]) if harmful else 2):
            harmless(begun)
        if harmful is not None:
            said = harmful(begun)
        before = begun.site.query("SELECT app, name FROM django_migrations ORDER BY id")
        ended = dbmigrate("apply", "plan.json", cwd=begun.project.root, environment=begun.environment)
        after = begun.site.query("SELECT app, name FROM django_migrations ORDER BY id")
        text = re.sub(r"\s+", " ", ended.stderr)
        is_right = (ended.code == 32 and said in text and before == after) if harmful else ended.code == 0
        if not is_right:
            wrong.append((number, harmful and harmful.__name__, said, ended))
        shutil.rmtree(begun.project.root)

    assert not wrong, "\n".join(map(repr, wrong))
