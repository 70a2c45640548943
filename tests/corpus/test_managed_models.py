"""Models that become managed: Django makes no table for them, and expects the one that others have made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from support.cli import dbmigrate, looks
from support.combinations import combinations
from support.projects import Project, migration, write_project
from support.sites import ENGINES, Site

ID = '("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"))'
MODEL = """\
from django.db import models


class Customer(models.Model):
    number = models.IntegerField(db_index=True)

    class Meta:
        managed = {}
        db_table = "customers"
"""
FIRST = migration(
    f'migrations.CreateModel("Customer", [{ID}, ("number", models.IntegerField(db_index=True))], '
    'options={"managed": False, "db_table": "customers"})'
)
TAKE_OVER = migration('migrations.AlterModelOptions("customer", {"managed": True})', after=(("core", "0001_initial"),))
TABLE = "CREATE TABLE customers (id integer PRIMARY KEY, number integer NOT NULL)"
MAKES = migration(f"migrations.RunSQL({TABLE!r})", after=(("core", "0001_initial"),))

UNMANAGED = {"models.py": MODEL.format("False"), "migrations/0001_initial.py": FIRST}


def take_over(project: Project) -> None:
    project.write("core/models.py", MODEL.format("True"))
    project.write("core/migrations/0002_take_over.py", TAKE_OVER)


@pytest.mark.soak
@pytest.mark.parametrize("engine", combinations(ENGINES, quick=[("sqlite",), ("mariadb",)]))
def test_a_table_that_is_there_is_taken_over_by_a_record_alone(engine: str, site: Callable[..., Site]) -> None:
    here = site(engine, UNMANAGED)
    dbmigrate("all", cwd=here.project.root).expect(0)
    here.query(TABLE)
    take_over(here.project)

    checked, before, plan = looks({"check": 0, "verify": 10, "plan": 0}, cwd=here.project.root)
    dbmigrate("all", cwd=here.project.root).expect(0)
    after = dbmigrate("verify", cwd=here.project.root).expect(0)

    assert "DBM301" not in checked.stdout
    assert "not recorded" not in before.stdout
    assert "only recorded" in plan.stdout
    assert "everything recorded exists" in after.stdout


@pytest.mark.soak
@pytest.mark.parametrize("engine", combinations(ENGINES, quick=[("sqlite",), ("postgresql",)]))
def test_a_table_that_nothing_will_make_is_named_before_and_after(engine: str, site: Callable[..., Site]) -> None:
    here = site(engine, UNMANAGED)
    dbmigrate("all", cwd=here.project.root).expect(0)
    take_over(here.project)

    before, pending = (one.stdout for one in looks({"check": 12, "verify": 10}, cwd=here.project.root))
    dbmigrate("run", "--app", "core", cwd=here.project.root)
    checked, repaired = looks({"check": 12, "verify --repair --format json": 12}, cwd=here.project.root)
    repairs = repaired.json["result"]["repairs"]
    for repair in repairs:
        for statement in repair["statements"]:
            if statement not in ("BEGIN;", "COMMIT;"):
                here.query(statement)

    says = "core.customer becomes managed by core.0002_take_over, but its table customers is missing on default"
    assert says in before
    assert "so nothing will create it" in before
    assert "among its database_operations" in before
    assert "drift" not in pending.splitlines()[-1]
    assert says in checked.stdout
    assert "--fake" not in checked.stdout
    assert [repair["commands"] for repair in repairs] == [[]]
    dbmigrate("verify", cwd=here.project.root).expect(0)


def test_what_makemigrations_has_still_to_write_is_named_too(tmp_path: Path) -> None:
    project = write_project(tmp_path / "site", {"core": UNMANAGED})
    dbmigrate("all", cwd=project.root).expect(0)
    project.write("core/models.py", MODEL.format("True"))

    checked = dbmigrate("check", "--select", "DBM301", cwd=project.root).expect(12).stdout

    assert "core.customer becomes managed by a migration that is not written yet" in checked


@pytest.mark.parametrize("made", ["by_sql_before", "from_the_first"])
def test_a_table_that_a_pending_migration_makes_is_not_missed(made: str, tmp_path: Path) -> None:
    files = {**UNMANAGED, "models.py": MODEL.format("True")}
    if made == "by_sql_before":
        later = TAKE_OVER.replace("0001_initial", "0002_table")
        files.update({"migrations/0002_table.py": MAKES, "migrations/0003_take_over.py": later})
    else:
        files["migrations/0001_initial.py"] = FIRST.replace('"managed": False', '"managed": True')
    project = write_project(tmp_path / "site", {"core": files})

    dbmigrate("check", cwd=project.root).expect(0)
    dbmigrate("all", cwd=project.root).expect(0)
    dbmigrate("verify", cwd=project.root).expect(0)


LEGACY = """\
from django.db import models


class Author(models.Model):
    pass


class {name}(models.Model):
    {field} = models.ForeignKey(Author, models.CASCADE)

    class Meta:
        db_table = {table!r}
"""
MADE_BY_HAND = "CREATE TABLE core_legacy (id integer PRIMARY KEY, author_id integer NOT NULL)"


@pytest.mark.soak
@pytest.mark.parametrize(
    ("operation", "name", "field", "table"),
    [
        ('migrations.RenameModel("Legacy", "Old")', "Old", "author", "core_old"),
        ('migrations.AlterModelTable("Legacy", "elsewhere")', "Legacy", "author", "elsewhere"),
        ('migrations.RenameField("Legacy", "author", "writer")', "Legacy", "writer", "core_legacy"),
    ],
)
def test_what_a_table_never_had_is_not_missed_when_it_gets_another_name(
    operation: str, name: str, field: str, table: str, site: Callable[..., Site]
) -> None:
    first = migration(
        f'migrations.CreateModel("Author", [{ID}])',
        f'migrations.CreateModel("Legacy", [{ID}, ("author", models.ForeignKey("core.Author", models.CASCADE))], '
        'options={"managed": False})',
    )
    after = (("core", "0001_initial"),)
    here = site("sqlite", {"models.py": LEGACY.format(name=name, field=field, table=table)})
    project = here.project
    project.write("core/migrations/__init__.py", "")
    project.write("core/migrations/0001_initial.py", first)
    here.query(MADE_BY_HAND)
    project.write("core/migrations/0002_take.py", migration('migrations.AlterModelOptions("Legacy", {})', after=after))
    project.write("core/migrations/0003_rename.py", migration(operation, after=(("core", "0002_take"),)))

    dbmigrate("all", cwd=project.root).expect(0)
    verified = dbmigrate("verify", cwd=project.root).expect(0)

    assert "everything recorded exists" in verified.stdout
