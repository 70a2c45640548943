"""Django projects for tests: a copy of the sample, and small ones written from literals."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

SAMPLE = Path(__file__).parents[2] / "fixtures" / "sample_django_project"

MANAGE = """\
import os, sys
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "site_settings")
from django.core.management import execute_from_command_line
execute_from_command_line(sys.argv)
"""

SETTINGS = """\
from pathlib import Path
BASE = Path(__file__).resolve().parent
SECRET_KEY = "for tests"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
"""

ROUTER = """\
class Router:
    rules = {rules!r}

    def allow_migrate(self, db, app_label, **hints):
        return db == self.rules.get(app_label, "default")
"""


class Project:
    """A project on disk."""

    def __init__(self, root: Path) -> None:
        """Take a folder that holds one, or will."""
        self.root = root

    def copy_to(self, folder: Path) -> Project:
        """Return a copy with its database files, whose paths the settings must take from where they are."""
        return Project(Path(shutil.copytree(self.root, folder)))

    def write(self, path: str, text: str) -> Path:
        """Write one file; indentation that all lines share is dropped."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(dedent(text))
        return file

    def append(self, path: str, text: str) -> None:
        """Add lines to one file."""
        with (self.root / path).open("a") as file:
            file.write("\n" + dedent(text))

    def database(self, alias: str) -> Path:
        """Return the SQLite file of an alias."""
        return self.root / f"{alias.removesuffix('_db')}.sqlite3"

    def tables(self) -> dict[str, set[str]]:
        """Return the tables of every SQLite file, by its name without the suffix."""
        return {file.stem: tables(file) for file in sorted(self.root.glob("*.sqlite3"))}

    def content(self) -> dict[str, str]:
        """Return a hash of every file, to prove that nothing changed."""
        return {
            str(file.relative_to(self.root)): hashlib.sha256(file.read_bytes()).hexdigest()
            for file in sorted(self.root.rglob("*"))
            if file.is_file()
        }


def copy_sample(folder: Path) -> Project:
    """Return a copy of the sample project."""
    return Project(Path(shutil.copytree(SAMPLE, folder / "sample")))


def write_project(
    root: Path,
    apps: Mapping[str, Mapping[str, str]],
    *,
    aliases: Mapping[str, Mapping[str, Any]] | tuple[str, ...] = ("default",),
    rules: Mapping[str, str] | None = None,
    settings: str = "",
    contrib: tuple[str, ...] = (),
) -> Project:
    """Write a project: `apps` maps an app label to its files below the app (`models.py`, `migrations/0001_x.py`).

    `aliases` are SQLite databases named like them, or whole entries of DATABASES. `rules` (app label -> alias) make a
    router that answers everything; None leaves DATABASE_ROUTERS empty.
    """
    project = Project(root)
    entries = aliases if isinstance(aliases, Mapping) else {alias: {} for alias in aliases}
    databases = "\n".join(
        f"    {alias!r}: {dict(entry)!r}," if entry else f"    {alias!r}: {_sqlite(project, alias)},"
        for alias, entry in entries.items()
    )
    project.write("manage.py", MANAGE)
    routers = "" if rules is None else 'DATABASE_ROUTERS = ["routers.Router"]\n'
    project.write(
        "site_settings.py",
        f"{SETTINGS}INSTALLED_APPS = {[*contrib, *apps]!r}\n"
        f"DATABASES = {{\n{databases}\n}}\n{routers}{dedent(settings)}",
    )
    if rules is not None:
        project.write("routers.py", ROUTER.format(rules=dict(rules)))
    for label, files in apps.items():
        project.write(f"{label}/__init__.py", "")
        if any(path.startswith("migrations/") for path in files):
            project.write(f"{label}/migrations/__init__.py", "")
        for path, text in files.items():
            project.write(f"{label}/{path}", text)
    return project


def everywhere(
    root: Path, aliases: Mapping[str, Mapping[str, Any]] | tuple[str, ...], app: Mapping[str, str] | None = None
) -> Project:
    """Write a project whose app (`core`) belongs on every one of these databases."""
    project = write_project(
        root, {"core": app or simple_app()}, aliases=aliases, settings='DATABASE_ROUTERS = ["everywhere.Router"]\n'
    )
    project.write(
        "everywhere.py", "class Router:\n    def allow_migrate(self, db, app_label, **hints):\n        return True\n"
    )
    return project


def numbered(count: int) -> tuple[str, ...]:
    """Return "default", "db1", "db2" and so on: as many aliases as are wanted."""
    return ("default", *(f"db{number}" for number in range(1, count)))


def _sqlite(project: Project, alias: str) -> str:
    name = project.database(alias).name
    return f'{{"ENGINE": "django.db.backends.sqlite3", "NAME": BASE / {name!r}}}'


def model(name: str = "Item", *fields: str) -> str:
    """Return a models.py with one model of a name and more fields ("title = models.TextField()")."""
    lines = "".join(f"    {field}\n" for field in fields or ("name = models.CharField(max_length=20)",))
    return f"from django.db import models\n\n\nclass {name}(models.Model):\n{lines}"


def migration(*operations: str, after: tuple[tuple[str, str], ...] = (), head: str = "", atomic: bool = True) -> str:
    """Return the text of a migration with these operations."""
    listed = "".join(f"        {operation},\n" for operation in operations)
    return (
        f"from django.db import migrations, models\n{dedent(head)}\n\nclass Migration(migrations.Migration):\n"
        f"    atomic = {atomic}\n    dependencies = {list(after)!r}\n    operations = [\n{listed}    ]\n"
    )


def create(name: str = "Item", field: str = '("name", models.CharField(max_length=20))') -> str:
    """Return a CreateModel operation that fits `model`."""
    identifier = '("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"))'
    return f"migrations.CreateModel({name!r}, [{identifier}, {field}])"


def simple_app(**more: str) -> dict[str, str]:
    """Return the files of an app with one model and the migration that makes it."""
    return {"models.py": model(), "migrations/0001_initial.py": migration(create()), **more}


WAITING = """
import pathlib, time

def wait(apps, schema_editor):
    folder = pathlib.Path(__file__).parent
    (folder / "ready").write_text("")
    while not (folder / "go").exists():
        time.sleep(0.02)
"""


def waiting_app() -> dict[str, str]:
    """Return a simple app whose second migration makes the file `ready` beside it, and waits for the file `go`."""
    run_python = "migrations.RunPython(wait)"
    second = migration(run_python, head=WAITING, after=(("core", "0001_initial"),), atomic=False)
    return simple_app(**{"migrations/0002_wait.py": second})


def failing(text: str = "boom") -> str:
    """Return the head and name of a RunPython function that raises."""
    return f"def fail(apps, schema_editor):\n    raise RuntimeError({text!r})\n"


def waiting_project(tmp_path: Path) -> tuple[Project, Path, Path]:
    """Return a project whose first database waits for the file `go` after it wrote the file `ready`."""
    ready, go = tmp_path / "ready", tmp_path / "go"
    head = f"""\
import pathlib, time

def wait(apps, schema_editor):
    pathlib.Path({str(ready)!r}).touch()
    deadline = time.monotonic() + 60
    while not pathlib.Path({str(go)!r}).exists() and time.monotonic() < deadline:
        time.sleep(0.02)
"""
    app = {
        "models.py": model(),
        "migrations/0001_initial.py": migration(create(), "migrations.RunPython(wait)", head=head),
    }
    project = write_project(
        tmp_path / "site",
        {"core": app, "blog": simple_app()},
        aliases=("default", "blog_db"),
        rules={"blog": "blog_db"},
    )
    return project, ready, go


def tables(file: Path) -> set[str]:
    """Return the tables of an SQLite file, Django's own record included."""
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
        rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
        return {name for (name,) in rows}


def applied(file: Path) -> list[str]:
    """Return what django_migrations of an SQLite file holds, in the order it was recorded; [] without a file."""
    if not file.exists() or "django_migrations" not in tables(file):
        return []
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
        return [
            f"{app}.{name}" for app, name in connection.execute("SELECT app, name FROM django_migrations ORDER BY id")
        ]


def make_read_only(path: Path, request: pytest.FixtureRequest) -> None:
    """Make a folder or file unwritable until the test ends, for root too (for whom permission bits do not count)."""
    mode = path.stat().st_mode
    path.chmod(mode & 0o555)
    request.addfinalizer(lambda: path.chmod(mode))
    if os.access(path, os.W_OK):
        frozen = subprocess.run(["chattr", "+i", str(path)], capture_output=True)
        if frozen.returncode != 0:
            pytest.skip("running as root on a file system without immutable files")
        request.addfinalizer(lambda: subprocess.run(["chattr", "-i", str(path)], check=True))
