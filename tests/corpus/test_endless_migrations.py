"""Models for which makemigrations would never stop writing: DBM105."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.cli import dbmigrate
from support.combinations import combinations
from support.projects import Project, migration, model, write_project

SET = "size = models.CharField(max_length=9, choices=[(size, size) for size in {'s', 'm', 'l', 'xl', 'xxl'}])"

LOOP = """
from django.db import models

CHOICES = []
for size in {"s", "m", "l", "xl", "xxl"}:
    CHOICES.append((size, size))


def given():
    found = []
    for entry in CHOICES:
        found.append(entry)
    return found


class Item(models.Model):
    size = models.CharField(max_length=9, choices=given())
"""


def write(folder: Path, models: str) -> Project:
    """Write a project with one app that has no migration yet."""
    return write_project(folder, {"shop": {"models.py": models, "migrations/__init__.py": ""}})


@pytest.mark.parametrize("launcher", combinations(["fork", "spawn"], quick=[("fork",)]))
def test_all_says_so_where_it_writes_a_migration(tmp_path: Path, launcher: str) -> None:
    project = write(tmp_path, model("Item", SET))

    outcome = dbmigrate("all", "--launcher", launcher, cwd=project.root).expect(0)

    assert "Migrations written: shop.0001_initial" in outcome.stderr
    assert (
        "warning: DBM105: makemigrations would write a new migration every time for shop.item.size: its order comes "
        "from a set, "
        "which differs in each process (shop/models.py:5)"
    ) in outcome.stderr
    assert "hint: write a list in the order you want, or sorted(...) around the set" in outcome.stderr


def test_what_the_source_does_not_say_is_found_in_a_second_process(tmp_path: Path) -> None:
    project = write(tmp_path, LOOP)
    # Of 120 orders none is this one, so there is a change in every process.
    project.write(
        "shop/migrations/0001_initial.py",
        migration(
            "migrations.CreateModel('Item', [('id', models.BigAutoField(auto_created=True, primary_key=True, "
            "serialize=False, verbose_name='ID')), ('size', models.CharField(max_length=9))])"
        ),
    )

    found = dbmigrate("check", "--select", "DBM105", cwd=project.root).expect(0)

    assert "DBM105: makemigrations would write a new migration every time for shop.item.size" in found.stdout
    assert "its definition differed in a second process (shop/models.py:17)" in found.stdout


def test_an_order_that_somebody_changed_by_hand_is_none(tmp_path: Path) -> None:
    sizes = "size = models.CharField(max_length=9, choices=[(size, size) for size in ('s', 'm')])"
    project = write(tmp_path, model("Item", sizes))
    dbmigrate("all", cwd=project.root).expect(0)
    project.write("shop/models.py", model("Item", sizes.replace("('s', 'm')", "('m', 's')")))

    outcome = dbmigrate("check", cwd=project.root).expect(11)

    assert "DBM101" in outcome.stdout
    assert "DBM105" not in outcome.stdout + outcome.stderr


@pytest.mark.soak
def test_a_function_that_says_the_same_everywhere_is_none(tmp_path: Path) -> None:
    project = write(tmp_path, LOOP.replace('{"s", "m", "l", "xl", "xxl"}', '("s", "m", "l")'))
    dbmigrate("all", cwd=project.root).expect(0)
    project.write("shop/models.py", LOOP.replace('{"s", "m", "l", "xl", "xxl"}', '("s", "m", "l", "xl")'))

    outcome = dbmigrate("check", cwd=project.root).expect(11)

    assert "DBM105" not in outcome.stdout + outcome.stderr


def test_an_app_of_somebody_else_is_not_read(tmp_path: Path) -> None:
    project = write_project(
        tmp_path,
        {},
        settings="import sys\nsys.path.append(str(BASE / 'lib/site-packages'))\nINSTALLED_APPS = ['vendor']\n",
    )
    project.write("lib/site-packages/vendor/__init__.py", "")
    project.write("lib/site-packages/vendor/migrations/__init__.py", "")
    project.write("lib/site-packages/vendor/models.py", model("Item", SET))

    assert "DBM105" not in dbmigrate("check", cwd=project.root).stdout


def test_a_set_in_the_settings_is_found(tmp_path: Path) -> None:
    head = "from django.conf import settings\n"
    field = "size = models.CharField(max_length=9, choices=[(size, size) for size in settings.SIZES])"
    project = write(tmp_path, head + model("Item", field))
    project.append("site_settings.py", "SIZES = {'s', 'm', 'l'}")

    found = dbmigrate("check", "--select", "DBM105", cwd=project.root).expect(0)

    assert "its order comes from the set settings.SIZES" in found.stdout


EVERYTHING = """
from django.db import models

SIZES: list
SIZES = ["s"]
SIZES += ["m"]
if (count := len(SIZES)) > 1:
    SIZES.append("l")
for kind, (width, *_) in [("a", (1, 2))]:
    pass


class Item(models.Model):
    for name in ("colour", "shade"):
        locals()[name] = models.CharField(max_length=9)
    name: str
    name = models.CharField(max_length=9, choices=[(size, size) for size in SIZES])
    for note in (models.CharField(max_length=9),):
        pass
    for _ in range(2):
        _ += 1
    count: int
    first, last = models.IntegerField(), models.IntegerField()
    if last:
        (weight := models.IntegerField())
    else:
        weight = None
    try:
        height = models.IntegerField()
    except ValueError:
        height = None
    with open(__file__) as source:
        depth = models.IntegerField()
    left = right = None
    del source, _
"""


def test_a_body_of_any_statements_is_read_to_its_end(tmp_path: Path) -> None:
    project = write(tmp_path, EVERYTHING)
    dbmigrate("all", cwd=project.root).expect(0)

    found = dbmigrate("check", cwd=project.root).expect(0)

    assert "DBM105" not in found.stdout


def test_a_set_is_found_beside_a_loop_over_fields(tmp_path: Path) -> None:
    loop = "for colour in (models.IntegerField(),):\n        pass"
    project = write(tmp_path, model("Item", SET, loop))

    found = dbmigrate("check", "--select", "DBM105", cwd=project.root).expect(0)

    assert "DBM105: makemigrations would write a new migration every time for shop.item.size" in found.stdout
