"""An application that writes down what `migrate` shows to receivers: models of the states before and after."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from support.projects import Project

CONTRIB = tuple(f"django.contrib.{name}" for name in ("auth", "contenttypes", "sessions"))

WITNESS = """\
import json
import re
import sys
import os

from django.apps import AppConfig
from django.db.migrations.state import StateApps
from django.db.models.signals import post_migrate, pre_migrate

rendered = []


def spell(value):
    if isinstance(value, dict):
        return [[spell(key), spell(each)] for key, each in value.items()]
    if isinstance(value, (list, tuple)):
        return [spell(each) for each in value]
    if isinstance(value, (set, frozenset)):
        return sorted(map(str, value))
    if hasattr(value, "deconstruct") and not isinstance(value, type):
        return spell(value.deconstruct())
    return getattr(value, "__qualname__", None) or str(value)


def describe(apps):
    return [[config.label for config in apps.get_app_configs()]] + [
        {
            "label": model._meta.label,
            "table": model._meta.db_table,
            "bases": [spell(base) for base in model.__mro__],
            "fields": [[each.name, each.column, spell(each.deconstruct())] for each in model._meta.local_fields],
            "many": [[each.name, spell(each.deconstruct())] for each in model._meta.local_many_to_many],
            "related": [
                [each.name, spell(each.related_model), each.related_model._meta.apps is apps]
                for each in model._meta.related_objects
            ],
            "managers": [[each.name, spell(type(each))] for each in model._meta.managers],
            "options": [
                [name, value is apps if name == "apps" else spell(value)]
                for name, value in model._meta.original_attrs.items()
            ],
        }
        for model in apps.get_models(include_auto_created=True, include_swapped=True)
    ]


class Config(AppConfig):
    name = "witness"

    def ready(self):
        render = StateApps.__init__

        def count(apps, real_apps, models, *arguments, **named):
            if models:
                rendered.append(os.getpid())
            render(apps, real_apps, models, *arguments, **named)

        StateApps.__init__ = count
        pre_migrate.connect(self.note_before, sender=self)
        post_migrate.connect(self.note_after, sender=self)

    def note_before(self, **named):
        self.note("before", **named)

    def note_after(self, **named):
        self.note("after", **named)

    def note(self, moment, using, apps, plan, **_):
        with open(os.path.join(os.environ["NOTES"], using + "." + moment), "w") as file:
            found = {"apps": describe(apps), "plan": [[str(one), backwards] for one, backwards in plan]}
            json.dump({"saw": found, "rendered": rendered.count(os.getpid())}, file)
"""


def add_witness(project: Project) -> None:
    """Install it as the last app; where it writes to says NOTES in the environment."""
    project.write("witness/__init__.py", "")
    project.write("witness/apps.py", WITNESS)
    project.write("witness/models.py", "")
    project.append("site_settings.py", 'INSTALLED_APPS = [*INSTALLED_APPS, "witness.apps.Config"]\n')


def read_notes(folder: Path) -> dict[str, Any]:
    """Return what was written down, by alias and moment: {"saw": models and plan, "rendered": how often}."""
    return {file.name: json.loads(file.read_text()) for file in sorted(folder.iterdir())}
