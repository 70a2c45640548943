"""Applications and a project that nobody here wrote, given more databases, against what plain Django commands give."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from support.cli import Outcome, clean_environment, dbmigrate, looks, manage
from support.environments import environment
from support.plain import after_plain_commands, read_databases
from support.projects import Project, write_project

CONTRIB = tuple(f"django.contrib.{name}" for name in ("auth", "contenttypes", "sessions", "admin", "messages"))
APPLICATIONS = ("axes", "silk")
ALIASES = ("default", "audit", "profiling")
AGES = [pytest.param("old", marks=pytest.mark.soak), "new"]
RULES = {"axes": "audit", "silk": "profiling"}

MORE_SETTINGS = """\
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "axes.middleware.AxesMiddleware",
]
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
TEMPLATES = [{
    "BACKEND": "django.template.backends.django.DjangoTemplates",
    "APP_DIRS": True,
    "OPTIONS": {"context_processors": [
        "django.template.context_processors.request",
        "django.contrib.auth.context_processors.auth",
        "django.contrib.messages.context_processors.messages",
    ]},
}]
ROOT_URLCONF = "urls"
"""

DOCS_ROUTERS = """\
class AxesRouter:
    def allow_migrate(self, db, app_label, **hints):
        return db == "audit" if app_label == "axes" else None

class SilkRouter:
    def allow_migrate(self, db, app_label, **hints):
        return db == "profiling" if app_label == "silk" else None
"""


def applications_project(folder: Path, kind: str) -> Project:
    """Write a site with both applications and three databases."""
    settings = MORE_SETTINGS
    if kind == "docs":
        settings += 'DATABASE_ROUTERS = ["docs_routers.AxesRouter", "docs_routers.SilkRouter"]\n'
    project = write_project(
        folder,
        {},
        aliases=ALIASES,
        contrib=(*CONTRIB, *APPLICATIONS),
        rules=RULES if kind == "rules" else None,
        settings=settings,
    )
    project.write("urls.py", "urlpatterns = []")
    project.write("docs_routers.py", DOCS_ROUTERS)
    return project


@pytest.mark.soak
@pytest.mark.parametrize("age", AGES)
def test_with_a_router_that_answers_always_each_database_is_as_plain_django_leaves_it(tmp_path: Path, age: str) -> None:
    python = environment(f"axes-and-silk-{age}")
    ours, plain = applications_project(tmp_path / "ours", "rules"), applications_project(tmp_path / "plain", "rules")
    commands = ("migrate --database=default", "migrate axes --database=audit", "migrate silk --database=profiling")
    expected = after_plain_commands(plain, *commands, python=python)

    dbmigrate("all", "--python", python, cwd=ours.root).expect(0)

    assert read_databases(ours) == expected
    dbmigrate("verify", "--python", python, cwd=ours.root).expect(0)
    manage("migrate", "axes", "--check", "--database=audit", cwd=ours.root, python=python)
    assert "Nothing pending" in dbmigrate("all", "--python", python, cwd=ours.root).expect(0).stdout


@pytest.mark.soak
@pytest.mark.parametrize("age", AGES)
def test_with_routers_as_djangos_docs_show_them_only_the_routed_tables_are_there(tmp_path: Path, age: str) -> None:
    python = environment(f"axes-and-silk-{age}")
    ours, plain = applications_project(tmp_path / "ours", "docs"), applications_project(tmp_path / "plain", "docs")
    expected = after_plain_commands(plain, "migrate --database=default", python=python)

    dbmigrate("all", "--python", python, cwd=ours.root).expect(0)

    found = ours.tables()
    assert found["default"] == expected.tables["default"]
    assert {name.split("_")[0] for name in found["audit"]} == {"axes", "django"}
    assert {name.split("_")[0] for name in found["profiling"]} == {"silk", "django"}
    assert (found["audit"] | found["profiling"]) & found["default"] == {"django_migrations"}
    assert "Nothing pending" in dbmigrate("all", "--python", python, cwd=ours.root).expect(0).stdout


@pytest.mark.soak
@pytest.mark.parametrize("age", AGES)
def test_without_a_router_everything_is_on_default_and_the_others_are_left_alone(tmp_path: Path, age: str) -> None:
    python = environment(f"axes-and-silk-{age}")
    ours, plain = applications_project(tmp_path / "ours", "none"), applications_project(tmp_path / "plain", "none")
    expected = after_plain_commands(plain, "migrate --database=default", python=python)

    outcome = dbmigrate("all", "--python", python, cwd=ours.root).expect(0)

    assert read_databases(ours) == expected
    assert outcome.stderr.count("warning: DBM206") == 2


WAGTAIL_SETTINGS = """\
from pathlib import Path

from .dev import *

INSTALLED_APPS += ["axes"]
MIDDLEWARE += ["axes.middleware.AxesMiddleware"]
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
DATABASES = {
    name: {"ENGINE": "django.db.backends.sqlite3", "NAME": Path(BASE_DIR) / (name + ".sqlite3")}
    for name in ("default", "audit", "sessions")
}
DATABASE_ROUTERS = ["shop_window.routers.Router"]
"""

WAGTAIL_ROUTER = """\
class Router:
    rules = {"axes": "audit", "sessions": "sessions"}

    def allow_migrate(self, db, app_label, **hints):
        return db == self.rules.get(app_label, "default")
"""


def wagtail_project(folder: Path, python: str) -> Project:
    """Let `wagtail start` write a site, and give it an audit and a session database."""
    folder.mkdir()
    start = [str(Path(python).parent / "wagtail"), "start", "shop_window", str(folder)]
    subprocess.run(start, check=True, capture_output=True, env=clean_environment(), timeout=60)
    project = Project(folder)
    project.write("shop_window/settings/three.py", WAGTAIL_SETTINGS)
    project.write("shop_window/routers.py", WAGTAIL_ROUTER)
    development = "shop_window/settings/dev.py"
    text = (folder / development).read_text()
    project.write(development, re.sub('SECRET_KEY = ".*"', 'SECRET_KEY = "the same each time"', text))
    text = (folder / "manage.py").read_text()
    project.write("manage.py", text.replace("shop_window.settings.dev", "shop_window.settings.three"))
    return project


@pytest.mark.soak
@pytest.mark.timeout(400)
@pytest.mark.parametrize("age", ["old", "new"])
def test_a_wagtail_site_with_three_databases(tmp_path: Path, age: str) -> None:
    python = environment(f"wagtail-{age}")
    ours, plain = wagtail_project(tmp_path / "ours", python), wagtail_project(tmp_path / "plain", python)
    commands = ("migrate --database=default", "migrate axes --database=audit", "migrate sessions --database=sessions")
    expected = after_plain_commands(plain, *commands, python=python)

    dbmigrate("all", "--settings", "shop_window.settings.three", "--python", python, cwd=ours.root).expect(0)

    assert read_databases(ours) == expected
    assert len(ours.tables()["default"]) > 40
    dbmigrate("verify", "--python", python, cwd=ours.root).expect(0)
    assert "Nothing pending" in dbmigrate("all", "--python", python, cwd=ours.root).expect(0).stdout


@pytest.mark.soak
@pytest.mark.parametrize("age", AGES)
def test_check_raises_no_false_alarm(tmp_path: Path, age: str) -> None:
    python = environment(f"axes-and-silk-{age}")
    for kind in ("rules", "docs"):
        project = applications_project(tmp_path / kind, kind)
        lines = [f"check --python {python} --format json{options}" for options in ("", " --offline")]
        assert [read_found(outcome) for outcome in looks(lines, cwd=project.root)] == [[], []], kind


@pytest.mark.soak
@pytest.mark.parametrize("age", ["old", "new"])
def test_check_finds_in_wagtail_what_is_true(tmp_path: Path, age: str) -> None:
    python = environment(f"wagtail-{age}")
    site = wagtail_project(tmp_path / "wagtail", python)
    words = ("--python", python, "--settings", "shop_window.settings.three")

    # True: it says atomic = False, and has five operations.
    assert _found(site, *words) == [("DBM303", "note", "wagtailcore.0070_rename_pagerevision_revision")]
    assert _found(site, *words, "--offline") == []


def _found(project: Project, *options: str) -> list[tuple[str, str, str]]:
    return read_found(dbmigrate("check", *options, "--format", "json", cwd=project.root).expect(0))


def read_found(outcome: Outcome) -> list[tuple[str, str, str]]:
    findings = outcome.json["result"]["findings"]
    return [(one["id"], one["level"], " ".join(one["migrations"])) for one in findings]
