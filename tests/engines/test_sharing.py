"""What forked steps take from the process they are copied from is what Django makes in a process of its own."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
from support.cli import Outcome, dbmigrate
from support.environments import EVERY_DJANGO, environment
from support.projects import Project, everywhere, migration, write_project
from support.witness import CONTRIB, add_witness, read_notes

ALIASES = ("default", "first", "second")

HEAD = """

def count(apps, schema_editor):
    apps.get_model("shop", "Item").objects.using(schema_editor.connection.alias).count()

"""

ID = '("id", models.AutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"))'

SHOP_MODELS = """\
from django.conf import settings
from django.db import models


class Items(models.Manager):
    use_in_migrations = True


class Shelf(models.Model):
    name = models.CharField(max_length=20)


class Item(models.Model):
    label = models.CharField(max_length=30, default="")
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="items")
    shelves = models.ManyToManyField(Shelf, null=True, related_name="items")
    size = models.IntegerField(default=0)
    objects = Items()

    class Meta:
        ordering = ["label"]
        indexes = [models.Index(fields=["size"], name="item_size")]


class Parcel(Item):
    weight = models.IntegerField(default=0)


class Big(Item):
    class Meta:
        proxy = True
"""

SHOP = {
    "models.py": SHOP_MODELS,
    "migrations/0001_initial.py": migration(
        f'migrations.CreateModel("Shelf", [{ID}, ("name", models.CharField(max_length=20))])',
        f'migrations.CreateModel("Item", [{ID}, ("name", models.CharField(max_length=20)),'
        ' ("owner", models.ForeignKey("auth.User", null=True, on_delete=models.SET_NULL, related_name="items")),'
        ' ("shelves", models.ManyToManyField("shop.Shelf", null=True, related_name="items"))],'
        ' options={"ordering": ["name"]}, managers=[("objects", Items())])',
        'migrations.CreateModel("Parcel", [("item_ptr", models.OneToOneField("shop.Item", auto_created=True,'
        " on_delete=models.CASCADE, parent_link=True, primary_key=True, serialize=False)),"
        ' ("weight", models.IntegerField(default=0))], bases=("shop.item",))',
        after=(("auth", "0012_alter_user_first_name_max_length"),),
        head="from shop.models import Items\n",
    ),
    "migrations/0002_rename.py": migration(
        'migrations.RenameField("item", "name", "label")',
        'migrations.AlterModelOptions("item", {"ordering": ["label"]})',
        "migrations.RunPython(count, elidable=True)",
        after=(("shop", "0001_initial"),),
        head=HEAD,
    ),
}
NEW = {
    "shop/migrations/0003_more.py": migration(
        'migrations.AlterField("item", "label", models.CharField(max_length=30, default=""))',
        'migrations.AddField("item", "size", models.IntegerField(default=0))',
        'migrations.AddIndex("item", models.Index(fields=["size"], name="item_size"))',
        'migrations.CreateModel("Big", [], options={"proxy": True}, bases=("shop.item",))',
        after=(("shop", "0002_rename"),),
    )
}


def shop_project(folder: Path) -> Project:
    """Write a site whose databases are all alike, and whose last app sees what `migrate` sends to receivers."""
    project = write_project(
        folder,
        {"shop": SHOP},
        aliases=ALIASES,
        contrib=CONTRIB,
        settings='DEFAULT_AUTO_FIELD = "django.db.models.AutoField"\nDATABASE_ROUTERS = ["everything.Router"]\n',
    )
    add_witness(project)
    project.write(
        "everything.py", "class Router:\n    def allow_migrate(self, db, app_label, **_):\n        return True\n"
    )
    return project


def run(project: Project, launcher: str, python: str, notes: Path) -> tuple[Outcome, dict[str, Any]]:
    """Migrate everything; return what receivers have seen, by alias and moment."""
    notes.mkdir()
    outcome = dbmigrate(
        *("all", "--skip-makemigrations", "--launcher", launcher, "--python", python),
        cwd=project.root,
        environment={"NOTES": str(notes)},
    ).expect(0)
    return outcome, read_notes(notes)


@pytest.mark.soak
@pytest.mark.parametrize("name", EVERY_DJANGO)
def test_receivers_and_migrations_see_the_state_that_django_would_have_built(tmp_path: Path, name: str) -> None:
    python = environment(name)
    seen = {}
    for launcher in ("fork", "spawn"):
        project = shop_project(tmp_path / launcher)
        _, fresh = run(project, launcher, python, tmp_path / f"{launcher}-fresh")
        for path, text in NEW.items():
            project.write(path, text)
        _, deployed = run(project, launcher, python, tmp_path / f"{launcher}-new")
        seen[launcher] = fresh, deployed

    for forked, spawned in zip(seen["fork"], seen["spawn"], strict=True):
        assert {key: each["saw"] for key, each in forked.items()} == {key: each["saw"] for key, each in spawned.items()}
        assert set(forked) == {f"{alias}.{moment}" for alias in ALIASES for moment in ("before", "after")}
    deployed = seen["fork"][1]
    assert {key: each["rendered"] for key, each in deployed.items()} == dict.fromkeys(deployed, 0)
    assert all(each["rendered"] for each in seen["spawn"][1].values())


MEDDLE = """

def meddle(apps, schema_editor):
    from django.db import connections
    from django.db.migrations.recorder import MigrationRecorder

    if schema_editor.connection.alias == "default":
        MigrationRecorder(connections["first"]).record_applied("gone", "0001_initial")

"""


@pytest.mark.soak
def test_a_state_is_taken_only_by_databases_that_have_what_it_was_made_for(tmp_path: Path) -> None:
    project = shop_project(tmp_path / "site")
    run(project, "fork", sys.executable, tmp_path / "fresh")
    size = 'migrations.AddField("item", "size", models.IntegerField(default=0))'
    text = migration("migrations.RunPython(meddle)", size, after=(("shop", "0002_rename"),), head=MEDDLE)
    project.write("shop/migrations/0003_meddle.py", text)

    _, seen = run(project, "fork", sys.executable, tmp_path / "new")

    assert {key: each["rendered"] for key, each in seen.items() if key.endswith("before")} == {
        "default.before": 0,
        "first.before": 1,
        "second.before": 0,
    }


CHECKS = """\
from django.core.checks import Warning, register


@register
def own(app_configs, databases, **_):
    return [Warning("asked for " + ",".join(databases), id="shop.W001")]
"""


@pytest.mark.soak
@pytest.mark.parametrize("more", ["", "    shelf = models.ForeignKey(Shelf, models.CASCADE, related_name='items')"])
def test_system_checks_are_told_by_every_step_and_a_failing_one_stops_it(tmp_path: Path, more: str) -> None:
    said = {}
    for launcher in ("fork", "spawn"):
        project = shop_project(tmp_path / launcher / "site")
        project.write("shop/models.py", SHOP_MODELS.replace("    objects", f"{more}\n    objects"))
        project.write("witness/models.py", CHECKS)
        outcome = dbmigrate(
            *("all", "-v", "--skip-makemigrations", "--keep-going", "--launcher", launcher),
            cwd=project.root,
            environment={"NOTES": str(tmp_path)},
        )
        lines = re.findall(r"(?m)^\S+ (\[\w+\].*\(\w+\.[EW]\d+\).*)$", outcome.stdout + outcome.stderr)
        tables = {alias: project.database(alias).exists() for alias in ALIASES}
        said[launcher] = outcome.code, sorted(lines), tables

    assert said["fork"] == said["spawn"]
    assert all(any(f"asked for {alias}" in line for line in said["fork"][1]) for alias in ALIASES)


WRITES = """
import site_settings

kept = []


def write(apps, schema_editor):
    site_settings.LOG.write("before the copy\\n")
    kept.append(open("own.txt", "w"))
    kept[0].write("in the copy\\n")
"""


def test_what_a_copy_has_written_is_flushed_whoever_opened_the_file(tmp_path: Path) -> None:
    text = migration("migrations.RunPython(write)", head=WRITES)
    app = {"models.py": "", "migrations/0001_initial.py": text}
    project = write_project(tmp_path / "site", {"core": app}, settings='LOG = open("log.txt", "w")\n')

    dbmigrate("all", "--skip-makemigrations", "--launcher", "fork", cwd=project.root).expect(0)

    assert (project.root / "log.txt").read_text() == "before the copy\n"
    assert (project.root / "own.txt").read_text() == "in the copy\n"


@pytest.mark.parametrize("name", EVERY_DJANGO)
def test_which_setting_names_a_model_is_found_anew_once_a_migration_adds_a_model(tmp_path: Path, name: str) -> None:
    head = """

def act(apps, schema_editor):
    from django.apps import apps as own
    from django.db import models
    found = [own.get_swappable_settings_name("auth.User"), own.get_swappable_settings_name("core.late")]
    meta = type("Meta", (), {"app_label": "core", "swappable": "CORE_LATE"})
    type("Late", (models.Model,), {"__module__": "core.models", "Meta": meta})
    print("found", *found, own.get_swappable_settings_name("core.late"))
"""
    said = {}
    for launcher in ("fork", "spawn"):
        project = write_project(
            tmp_path / launcher,
            {
                "core": {
                    "models.py": "",
                    "migrations/0001_initial.py": migration("migrations.RunPython(act)", head=head),
                }
            },
            settings=f"INSTALLED_APPS += {CONTRIB!r}",
        )
        words = ("all", "-v", "--skip-makemigrations", "--launcher", launcher, "--python", environment(name))
        outcome = dbmigrate(*words, cwd=project.root).expect(0)
        said[launcher] = re.findall(r"found (\S+) (\S+) (\S+)", outcome.stderr)

    # Before 5.0 Django itself goes on saying None.
    assert said["fork"] == said["spawn"] == [("AUTH_USER_MODEL", "None", said["spawn"][0][2])]
    assert said["fork"][0][2] == "CORE_LATE" or name in ("django32", "django42")


CONNECTED = """
from django.db import connections


def tell(apps, schema_editor):
    known = [alias for alias in connections if hasattr(connections._connections, alias)]
    print("known", *known, getattr(connections["second"], "mark", None))
"""

MARKS = """\
from django.apps import AppConfig
from django.db import connections


class Config(AppConfig):
    name = "core"

    def ready(self):
        connections["second"].mark = "marked"
"""


def test_a_step_knows_the_connections_that_the_project_has_made_and_none_that_only_we_have_asked(
    tmp_path: Path,
) -> None:
    said = {}
    for launcher in ("fork", "spawn"):
        text = migration("migrations.RunPython(tell)", head=CONNECTED)
        app = {"models.py": "", "apps.py": MARKS, "migrations/0001_initial.py": text}
        project = everywhere(tmp_path / launcher, ALIASES, app)
        words = ("all", "-v", "--skip-makemigrations", "--launcher", launcher)
        outcome = dbmigrate(*words, cwd=project.root).expect(0)
        said[launcher] = sorted(re.findall(r"known (.*)", outcome.stderr))

    assert said["fork"] == said["spawn"]
    assert "first second marked" in said["fork"]
