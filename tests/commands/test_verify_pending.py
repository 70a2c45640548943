"""`dbmigrate verify` where migrations are pending that make what another one has made, or take away what they make."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.cli import dbmigrate
from support.projects import migration, write_project

KEY = '("id", models.BigAutoField(primary_key=True))'
TEXT = "models.CharField(max_length=9)"
ITEM = (
    f'migrations.CreateModel("Item", [{KEY}, ("slug", {TEXT}), ("price", {TEXT}),'
    ' ("tags", models.ManyToManyField("shop.Tag"))], options={'
    '"indexes": [models.Index(fields=["slug"], name="by_slug")],'
    ' "constraints": [models.UniqueConstraint(fields=["price"], name="by_price")]})'
)
FIRST = migration(f'migrations.CreateModel("Tag", [{KEY}])', ITEM)
NOTE = 'migrations.AddField("item", "note", models.CharField(max_length=9, null=True))'
WRITTEN = (
    'migrations.RunSQL("ALTER TABLE shop_item ADD COLUMN written varchar(9)", state_operations=['
    'migrations.AddField("item", "written", models.CharField(max_length=9, null=True))])'
)

PENDING = {
    "many_to_many_again": (
        'migrations.RemoveField("item", "tags")',
        'migrations.AddField("item", "tags", models.ManyToManyField("shop.Tag", related_name="items"))',
    ),
    "column_again": (
        'migrations.RemoveField("item", "slug")',
        'migrations.AddField("item", "slug", models.IntegerField(default=0))',
    ),
    "model_again": (
        'migrations.DeleteModel("Item")',
        f'migrations.CreateModel("Item", [{KEY}, ("title", {TEXT})])',
    ),
    "made_and_renamed": (NOTE, 'migrations.RenameField("item", "note", "remark")'),
    "made_and_removed": (NOTE, 'migrations.RemoveField("item", "note")'),
    "index_by_another_name": (
        'migrations.RemoveIndex("item", "by_slug")',
        'migrations.AlterField("item", "slug", models.CharField(max_length=9, db_index=True))',
    ),
    "unique_by_another_name": (
        'migrations.RemoveConstraint("item", "by_price")',
        'migrations.AlterField("item", "price", models.CharField(max_length=9, unique=True))',
    ),
    "after_a_column_by_sql": (NOTE,),
}


@pytest.mark.parametrize("apart", [False, True], ids=["in_one", "one_by_one"])
def test_what_is_merely_pending_is_no_drift(tmp_path: Path, *, apart: bool) -> None:
    project = write_project(tmp_path, {case: files_of(case) for case in PENDING})
    dbmigrate("all", "--skip-makemigrations", cwd=project.root).expect(0)
    for case, operations in PENDING.items():
        last = "0002_sql"
        for number, part in enumerate([[one] for one in operations] if apart else [operations], start=3):
            name = f"000{number}_more"
            text = migration(*part, after=((case, last),))
            project.write(f"{case}/migrations/{name}.py", of_app(case, text))
            last = name

    found = dbmigrate("verify", "--format", "json", cwd=project.root).expect(10).json["result"]

    assert {name.split(".")[0] for name in found["pending"]["default"]} == set(PENDING)
    outcomes = {one["id"]: one["outcome"] for one in found["databases"][0]["migrations"]}
    assert {name: outcome for name, outcome in outcomes.items() if outcome in ("unrecorded", "half-applied")} == {}


def files_of(case: str) -> dict[str, str]:
    """Return an app named like the case, with what is applied before its migrations are pending."""
    text = migration(WRITTEN, after=((case, "0001_first"),))
    files = {"models.py": "", "migrations/0001_first.py": FIRST, "migrations/0002_sql.py": text}
    return {path: of_app(case, text) for path, text in files.items()}


def of_app(case: str, text: str) -> str:
    """Let tables, indexes and relations be those of another app than shop."""
    for name in ("by_slug", "by_price"):
        text = text.replace(name, f"{name}_of_{case}"[:30])
    return text.replace("shop.", f"{case}.").replace("shop_", f"{case}_")


def test_a_lost_column_that_sql_had_made_is_found(tmp_path: Path) -> None:
    files = {"models.py": "", "migrations/0001_first.py": FIRST}
    other = WRITTEN.replace("ADD COLUMN written", "ADD COLUMN other")
    files["migrations/0002_sql.py"] = migration(other, after=(("shop", "0001_first"),))
    project = write_project(tmp_path, {"shop": files})
    dbmigrate("all", "--skip-makemigrations", cwd=project.root).expect(0)

    outcome = dbmigrate("verify", cwd=project.root).expect(12)

    assert "missing: column shop_item.written" in outcome.stdout


def test_a_field_that_asks_its_model_for_its_type_stops_nothing(tmp_path: Path) -> None:
    field = """\
from django.db import models


class Code(models.CharField):
    def db_type(self, connection):
        return "varchar(%d)" % len(self.model._meta.db_table)
"""
    change = 'migrations.AlterField("item", "slug", fields.Code(max_length=8))'
    files = {"models.py": "", "fields.py": field, "migrations/0001_first.py": FIRST}
    files["migrations/0002_code.py"] = migration(
        change, after=(("shop", "0001_first"),), head="from shop import fields"
    )
    project = write_project(tmp_path, {"shop": files})

    dbmigrate("all", "--skip-makemigrations", cwd=project.root).expect(0)

    dbmigrate("verify", cwd=project.root).expect(0)
