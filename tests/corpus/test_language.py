"""Projects in another language than English: the host looks at them as Django's commands do, with translations off."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.cli import dbmigrate, looks
from support.environments import EVERY_DJANGO, environment
from support.projects import Project, write_project

CONTRIB = ("django.contrib.contenttypes", "django.contrib.auth")

USER = """\
from django.contrib.auth.models import AbstractUser
from django.db import models
from django.utils.translation import gettext, gettext_lazy as _


class User(AbstractUser):
    class Meta(AbstractUser.Meta):
        verbose_name = _("user")


class Note(models.Model):
    kind = models.CharField(_("permissions"), max_length=9, help_text=_("active"), choices=[("u", _("user"))])
    said = models.CharField(gettext("user"), max_length=9)
"""

COMMAND = """\
from django.core.management.commands import migrate
from django.utils import translation
from django.utils.translation import trans_real


class Command(migrate.Command):
    def execute(self, *arguments, **options):
        import os
        self.say("execute", os.environ.get("TZ"))
        return super().execute(*arguments, **options)

    def handle(self, *arguments, **options):
        self.say("handle")
        return super().handle(*arguments, **options)

    def say(self, *words):
        is_chosen = hasattr(trans_real._active, "value")
        self.stdout.write(" ".join(map(str, ["say", *words, translation.get_language(), is_chosen,
                                             translation.gettext("user")])))
"""

CHOOSING = """\
from django.apps import AppConfig
from django.utils import translation


class Config(AppConfig):
    name = "people"

    def ready(self):
        translation.activate("fr")
"""


def german(root: Path, settings: str = "", **files: str) -> Project:
    """Return a project with a user model of its own, whose migrations Django's makemigrations will write."""
    app = {"models.py": USER, "migrations/__init__.py": "", **files}
    return write_project(
        root,
        {"people": app},
        contrib=CONTRIB,
        settings=f'LANGUAGE_CODE = "de"\nTIME_ZONE = "Europe/Berlin"\nAUTH_USER_MODEL = "people.User"\n{settings}',
    )


@pytest.mark.soak
def test_models_are_compared_with_their_migrations_where_nothing_is_translated(tmp_path: Path) -> None:
    look_at(german(tmp_path / "site", "USE_I18N = False\n"))


@pytest.mark.soak
@pytest.mark.parametrize("django", EVERY_DJANGO)
def test_every_django_compares_them_alike(django: str, tmp_path: Path) -> None:
    look_at(german(tmp_path / "site"), "--python", environment(django))


def look_at(project: Project, *options: str) -> None:
    dbmigrate("make", "people", *options, cwd=project.root).expect(0)

    plan = dbmigrate("plan", "--format", "json", *options, cwd=project.root).expect(0).json["result"]
    dbmigrate("all", *options, cwd=project.root).expect(0)

    assert plan["plan"]["make"] is None
    assert not [finding for finding in plan["plan"]["findings"] if finding["id"] == "DBM101"]
    looks({" ".join((command, *options)): 0 for command in ("check", "verify")}, cwd=project.root)
    assert "No changes detected" in dbmigrate("all", *options, cwd=project.root).expect(0).stderr


@pytest.mark.soak
@pytest.mark.parametrize("chosen", [False, True], ids=["by_settings", "activated_by_an_app"])
def test_a_step_finds_the_language_that_a_fresh_process_has(tmp_path: Path, *, chosen: bool) -> None:
    files = {
        "management/__init__.py": "",
        "management/commands/__init__.py": "",
        "management/commands/migrate.py": COMMAND,
        **({"apps.py": CHOOSING} if chosen else {}),
    }
    project = german(tmp_path / "site", **files)
    dbmigrate("make", "people", cwd=project.root).expect(0)

    said = {}
    for launcher in ("fork", "spawn"):
        outcome = dbmigrate("all", "-v", "--always", "--launcher", launcher, cwd=project.root).expect(0)
        said[launcher] = [line[line.index("say ") :] for line in outcome.stderr.splitlines() if "say " in line]

    assert said["fork"] == said["spawn"]
    language, word = ("fr", "utilisateur") if chosen else ("de", "Benutzer")
    assert said["fork"][0] == f"say execute Europe/Berlin {language} {chosen} {word}"
