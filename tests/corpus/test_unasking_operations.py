"""DBM209: operations of a project's own that ask no router, and what may be called only recorded."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.cli import dbmigrate
from support.projects import Project, create, migration, model, simple_app, write_project

OPERATIONS = """\
import logging
from django.db import migrations, router
from django.db.migrations.operations.base import Operation
from blog import rules
from blog.rules import is_wanted, only_where_wanted

logger = logging.getLogger(__name__)
SQL = "UPDATE blog_item SET name = name"


class Own(Operation):
    reversible = True

    def state_forwards(self, app_label, state):
        pass

    def database_backwards(self, app_label, schema_editor, from_state, to_state):
        self.database_forwards(app_label, schema_editor, from_state, to_state)


class AsksRouter(Own):
    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        if router.allow_migrate(schema_editor.connection.alias, app_label):
            schema_editor.execute(SQL)


class AsksAboutModel(Own):
    model_name = "item"

    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        to_model = to_state.apps.get_model(app_label, self.model_name)
        if self.allow_migrate_model(schema_editor.connection.alias, to_model):
            schema_editor.execute(SQL)


class AsksInMethod(Own):
    def may(self, editor, app_label):
        return router.allow_migrate(editor.connection.alias, app_label)

    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        if self.may(schema_editor, app_label):
            schema_editor.execute(SQL)


class AsksInHelper(Own):
    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        if is_wanted(schema_editor, app_label):
            schema_editor.execute(SQL)


class AsksInModule(Own):
    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        if rules.is_wanted(schema_editor, app_label):
            schema_editor.execute(SQL)


class AsksInDecorator(Own):
    @only_where_wanted
    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        schema_editor.execute(SQL)


class AsksAbove(AsksRouter):
    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        logger.info("now")
        super().database_forwards(app_label, schema_editor, from_state, to_state)


class AsksAsDjango(migrations.RunSQL):
    def describe(self):
        return "SQL of ours"


class LeavesToDjango(Own):
    def __init__(self, inner):
        self.inner = inner

    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        self.inner.database_forwards(app_label, schema_editor, from_state, to_state)


class ForState(Own):
    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        \"\"\"Do nothing.\"\"\"


class ForOtherServers(Own):
    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        if schema_editor.connection.vendor != "postgresql":
            return
        schema_editor.execute("CLUSTER")


class ByAlias(Own):
    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        if schema_editor.connection.alias == "default":
            return
        schema_editor.execute(SQL)


class Runs(Own):
    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        schema_editor.execute(SQL)


class RunsByCursor(Own):
    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        self.work(schema_editor.connection)

    def work(self, connection):
        with connection.cursor() as cursor:
            cursor.execute(SQL)


class RunsForThisServer(Own):
    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        if schema_editor.connection.vendor in ("sqlite", "mysql"):
            schema_editor.execute(SQL)


class RunsAfterAsking(AsksAsDjango):
    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        super().database_forwards(app_label, schema_editor, from_state, to_state)
        schema_editor.execute(SQL)


class RunsWithHints(migrations.RunSQL):
    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        self._run_sql(schema_editor, self.sql)


class RunsForModel(Own):
    model_name = "item"

    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        schema_editor.execute(SQL)


class RunsBesides(migrations.SeparateDatabaseAndState):
    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        super().database_forwards(app_label, schema_editor, from_state, to_state)
        schema_editor.execute(SQL)
"""

RULES = """\
import functools
from django.db import router


def is_wanted(schema_editor, app_label):
    return router.allow_migrate(schema_editor.connection.alias, app_label)


def only_where_wanted(method):
    @functools.wraps(method)
    def run(self, app_label, schema_editor, from_state, to_state):
        if is_wanted(schema_editor, app_label):
            method(self, app_label, schema_editor, from_state, to_state)

    return run
"""

ASKING = (
    "AsksRouter()",
    "AsksAboutModel()",
    "AsksInMethod()",
    "AsksInHelper()",
    "AsksInModule()",
    "AsksInDecorator()",
    "AsksAbove()",
    "AsksAsDjango(SQL)",
    "LeavesToDjango(migrations.RunSQL(SQL))",
    "ForState()",
    "ForOtherServers()",
    "migrations.SeparateDatabaseAndState(database_operations=[AsksRouter()])",
    'CreateExtension("hstore")',
)
RUNNING = (
    "Runs()",
    "RunsByCursor()",
    "RunsForThisServer()",
    "RunsAfterAsking(SQL)",
    "RunsWithHints(SQL)",
    "RunsForModel()",
    "RunsBesides(database_operations=[AsksRouter()])",
    "migrations.SeparateDatabaseAndState(database_operations=[Runs()])",
)
HEAD = "from blog.operations import *\nfrom django.contrib.postgres.operations import CreateExtension\n"


def chain(*operations: str) -> dict[str, str]:
    """Return the files of an app that makes its table, and has a migration for each of these operations."""
    names = ["0001_initial", *(f"{number:04}_step" for number in range(2, len(operations) + 2))]
    return {
        "models.py": model(),
        "operations.py": OPERATIONS,
        "rules.py": RULES,
        "migrations/0001_initial.py": migration(create()),
        **{
            f"migrations/{name}.py": migration(operation, after=(("blog", before),), head=HEAD)
            for before, name, operation in zip(names, names[1:], operations, strict=False)
        },
    }


def site_of(root: Path, *operations: str) -> Project:
    """Write a project whose app blog is on blog_db; core is on default and depends on the last migration of blog."""
    last = f"{len(operations) + 1:04}_step"
    core = simple_app(**{"migrations/0001_initial.py": migration(create(), after=(("blog", last),))})
    return write_project(
        root, {"core": core, "blog": chain(*operations)}, aliases=("default", "blog_db"), rules={"blog": "blog_db"}
    )


def planned_on(project: Project, alias: str) -> dict[str, bool]:
    """Return which migrations are planned on a database, and whether each is said to do something there."""
    steps = dbmigrate("plan", "--format", "json", cwd=project.root).expect(0).json["result"]["plan"]["steps"]
    return {entry["id"]: entry["does"] for step in steps if step["alias"] == alias for entry in step["migrations"]}


def test_operations_that_ask_or_do_nothing_are_only_recorded_elsewhere(tmp_path: Path) -> None:
    project = site_of(tmp_path / "site", *ASKING)

    assert [name for name, does in planned_on(project, "default").items() if does] == ["core.0001_initial"]
    dbmigrate("check", cwd=project.root).expect(0)
    done = dbmigrate("all", cwd=project.root).expect(0)

    assert f"{len(ASKING) + 2} migrations, {len(ASKING) + 1} only recorded" in done.stdout
    assert project.tables()["default"] == {"django_migrations", "core_item"}


def test_what_decides_by_itself_is_not_called_only_recorded_and_stops_nothing(tmp_path: Path) -> None:
    """An operation that looks at the alias, and a migration whose class applies it in its own way."""
    project = site_of(tmp_path / "site", "ByAlias()", "ForState()")
    project.append(
        "blog/migrations/0003_step.py",
        """
        def apply(self, project_state, schema_editor, collect_sql=False):
            return super(Migration, self).apply(project_state, schema_editor, collect_sql)

        Migration.apply = apply
        """,
    )

    assert planned_on(project, "default") == {
        "blog.0001_initial": False,
        "blog.0002_step": True,
        "blog.0003_step": True,
        "core.0001_initial": True,
    }
    dbmigrate("all", cwd=project.root).expect(0)


@pytest.mark.soak
def test_operations_that_ask_nobody_stop_everything_where_they_do_not_belong(tmp_path: Path) -> None:
    project = site_of(tmp_path / "site", *RUNNING)

    checked = dbmigrate("check", "--format", "json", cwd=project.root).expect(13).json["result"]["findings"]

    assert [(finding["id"], finding["aliases"], finding["migrations"]) for finding in checked] == [
        ("DBM209", ["default"], [f"blog.{number:04}_step"]) for number in range(2, len(RUNNING) + 2)
    ]
    assert checked[0]["message"] == (
        "Runs of blog.0002_step does not ask the routers, and blog is not on default (blog is on blog_db), where "
        "the migration is applied because blog.0003_step depends on it"
    )
    assert (checked[0]["file"], checked[5]["message"].split(" (")[0]) == (
        "blog/migrations/0002_step.py",
        "RunsForModel of blog.0007_step does not ask the routers, and blog.item is not on default",
    )
    assert "(nothing was changed)" in dbmigrate("all", cwd=project.root).expect(13).stderr
    assert project.tables() == {}
    # Where it belongs, and where nothing of it runs, nothing stands against it.
    dbmigrate("run", "--database", "blog_db", cwd=project.root).expect(0)
    hint = checked[0]["hint"].split("with: ")[1].split("; and add")[0]
    text = OPERATIONS.replace(
        "        schema_editor.execute(SQL)\n", f"        {hint}\n        schema_editor.execute(SQL)\n"
    )
    assert "return" in hint
    project.write("blog/operations.py", text)
    left = dbmigrate("check", "--format", "json", cwd=project.root).expect(13).json["result"]["findings"]
    assert {finding["message"].split(" ")[0] for finding in left} == {"RunsByCursor", "RunsWithHints"}


def test_operations_that_ask_nobody_and_do_no_harm_can_be_ignored(tmp_path: Path) -> None:
    project = site_of(tmp_path / "site", "Runs()")
    project.write("blog/operations.py", OPERATIONS.replace("UPDATE blog_item SET name = name", "SELECT 1"))
    environment = {"DBMIGRATE_IGNORE": "DBM209"}

    refused = dbmigrate("all", cwd=project.root).expect(13)
    reported = dbmigrate("all", cwd=project.root, environment=environment).expect(0)

    assert 'if this is wrong, ignore = ["DBM209"] under [tool.dbmigrate]' in refused.stderr
    assert "warning: DBM209: Runs of blog.0002_step does not ask the routers" in reported.stdout + reported.stderr


def test_plan_sql_runs_nothing_that_an_operation_does_on_a_cursor(tmp_path: Path) -> None:
    project = site_of(tmp_path / "site", "RunsByCursor()", "Runs()")
    project.write(
        "blog/operations.py", OPERATIONS.replace("UPDATE blog_item SET name = name", "CREATE TABLE made (x int)")
    )
    dbmigrate("run", "--database", "blog_db", "--app", "blog", "--to", "0001", cwd=project.root).expect(0)

    shown = dbmigrate("plan", "--database", "blog_db", "--sql", cwd=project.root).expect(0)

    beside = "its SQL cannot be shown: an operation runs it on a cursor, not through the schema editor: "
    assert f"-- {beside}CREATE TABLE made (x int)" in shown.stdout
    assert "\nCREATE TABLE made (x int);" in shown.stdout
    assert project.tables()["blog"] == {"django_migrations", "blog_item"}
