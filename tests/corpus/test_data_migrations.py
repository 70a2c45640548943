"""RunPython functions as people write them, read for what they do before they are run."""

from __future__ import annotations

from pathlib import Path

from support.cli import dbmigrate
from support.projects import migration, write_project


def test_a_decorated_function_that_calls_itself_is_read_once(tmp_path: Path) -> None:
    head = """\
from django.db import transaction


@transaction.atomic
def walk(items):
    for item in items:
        walk(item)


def forwards(apps, schema_editor):
    walk([])
"""
    files = {"models.py": "", "migrations/0001_walk.py": migration("migrations.RunPython(forwards)", head=head)}
    project = write_project(tmp_path, {"shop": files})

    dbmigrate("all", "--skip-makemigrations", cwd=project.root).expect(0)
