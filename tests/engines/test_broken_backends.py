"""Backends that raise whatever they like when their database is looked at: that database alone could not be."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from support.cli import Outcome, dbmigrate, looks
from support.projects import Project, applied, simple_app, write_project

BACKEND = """
from django.db.backends.sqlite3 import base, introspection

class Introspection(introspection.DatabaseIntrospection):
    def {method}(self, *args, **kwargs):
        raise {error}

class DatabaseWrapper(base.DatabaseWrapper):
    introspection_class = Introspection
"""

LIST = "get_table_list"
DETAILS = "get_table_description"
ERROR = "RuntimeError('the catalogue of this engine\\ncannot be read')"
SAID = "could not be checked: RuntimeError: the catalogue of this engine cannot be read"


def broken(root: Path, method: str, *, rules: Mapping[str, str] | None = None, error: str = ERROR) -> Project:
    """Write a project that was migrated before the backend of its second database began to raise in this method."""
    app = simple_app()
    project = write_project(
        root,
        {"core": app, "blog": simple_app()},
        aliases=("default", "blog_db", "shop_db"),
        rules={"blog": "blog_db"} if rules is None else rules,
    )
    dbmigrate("all", cwd=project.root).expect(0)
    project.write("strange/__init__.py", "")
    project.write("strange/base.py", BACKEND.format(method=method, error=error))
    project.append("site_settings.py", 'DATABASES["blog_db"]["ENGINE"] = "strange"')
    return project


def run(project: Project, words: str, code: int) -> Outcome:
    """Run a command; that is never the project's fault."""
    outcome = dbmigrate(*words.split(), cwd=project.root).expect(code)
    assert "could not be loaded" not in outcome.stderr
    return outcome


@pytest.mark.soak
def test_a_backend_that_cannot_list_its_tables_is_said_by_every_command_that_looks(tmp_path: Path) -> None:
    project = broken(tmp_path, LIST)

    outcomes = looks(
        {
            "status": 0,
            "check": 21,
            "verify": 21,
            "plan": 21,
            "all": 21,
            "run --database blog_db": 21,
            "wait --wait 600 --database blog_db": 21,
            "verify --format json": 21,
            "status --exit-code": 21,
            "info": 0,
        },
        cwd=project.root,
    )
    looked, refused, (waited, verification, *_) = outcomes[:3], outcomes[3:6], outcomes[6:]
    run(project, "run --database default", 0)

    assert not any("could not be loaded" in outcome.stderr for outcome in outcomes)
    for outcome in looked:
        assert f"database blog_db {SAID}" in outcome.stdout
    for outcome in refused:
        assert f"database blog_db {SAID} (nothing was changed)" in outcome.stderr
        assert re.search(r"hint: fix the backend strange(; |\n      )waiting will not help", outcome.stderr)
    assert "blog_db: its backend raised an error: RuntimeError" in waited.stdout
    verified: Any = {database["alias"]: database for database in verification.json["result"]["databases"]}
    assert verified["blog_db"]["trouble"] == "backend"
    assert [one["outcome"] for one in verified["default"]["migrations"]] == ["not-here", "there"]


@pytest.mark.soak
@pytest.mark.parametrize(
    "error", ["NotImplementedError('no such thing')", "KeyError('oid')", "AttributeError('NoneType')"]
)
def test_a_backend_that_cannot_describe_a_table_leaves_the_others_verified(tmp_path: Path, error: str) -> None:
    project = broken(tmp_path, DETAILS, error=error)

    outcome = run(project, "verify", 21)

    name = error.partition("(")[0]
    assert f"database blog_db could not be checked: {name}: " in outcome.stdout
    assert "1 database checked" in outcome.stdout


@pytest.mark.soak
def test_a_broken_backend_where_nothing_belongs_stops_nothing(tmp_path: Path) -> None:
    project = broken(tmp_path, LIST, rules={"blog": "shop_db"})
    project.write("core/migrations/0002_more.py", MORE)

    run(project, "all --skip-makemigrations", 0)
    run(project, "verify", 0)

    assert applied(project.database("default"))[-1] == "core.0002_more"


MORE = """
from django.db import migrations

class Migration(migrations.Migration):
    dependencies = [("core", "0001_initial")]
    operations = []
"""


def test_reset_names_the_database_whose_backend_raises_and_touches_nothing(tmp_path: Path) -> None:
    project = broken(tmp_path, LIST)
    project.append("site_settings.py", "DEBUG = True")
    before = project.content()

    refused = run(project, "reset --confirm site_settings", 21)

    assert f"database blog_db {SAID} (nothing was changed)" in refused.stderr
    assert project.content() == before


def test_an_error_of_the_project_is_not_the_databases(tmp_path: Path) -> None:
    project = broken(tmp_path, LIST, rules={"blog": "shop_db"})
    project.write(
        "core/migrations/0002_more.py",
        """
        from django.db import migrations

        class Odd(migrations.RunSQL):
            def state_forwards(self, app_label, state):
                raise RuntimeError("of the project's own")

        class Migration(migrations.Migration):
            dependencies = [("core", "0001_initial")]
            operations = [Odd("SELECT 1")]
        """,
    )

    outcome = dbmigrate("all", cwd=project.root).expect(3)

    assert "of the project's own" in outcome.stderr


def test_an_error_of_the_project_inside_the_backend_is_not_the_databases(tmp_path: Path) -> None:
    project = write_project(tmp_path, {"core": simple_app()})
    dbmigrate("all", cwd=project.root).expect(0)
    project.write(
        "core/models.py",
        """
        from django.db import models
        from django.db.backends.signals import connection_created

        class Item(models.Model):
            name = models.CharField(max_length=20)

        def refuse(execute, sql, params, many, context):
            if "sqlite_master" in sql:
                raise RuntimeError("of the project's own")
            return execute(sql, params, many, context)

        def wrap(connection, **_):
            connection.execute_wrappers.append(refuse)

        connection_created.connect(wrap, weak=False)
        """,
    )

    outcome = dbmigrate("status", cwd=project.root).expect(3)

    assert "RuntimeError: of the project's own" in outcome.stderr
    assert "core/models.py, line 10" in outcome.stderr
