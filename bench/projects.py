"""The project that is measured: of middle size, with as many databases as wanted."""

from __future__ import annotations

from pathlib import Path

MODELS_PER_APP = 4
MIGRATIONS_PER_APP = 6
APPS = 8

SETTINGS = """\
import os
from pathlib import Path

if "BOOT_LOG" in os.environ:
    with open(os.environ["BOOT_LOG"], "a") as log:
        log.write("boot\\n")

BASE = Path(__file__).resolve().parent
SECRET_KEY = "for measuring"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {{
    alias: {{"ENGINE": "django.db.backends.sqlite3", "NAME": BASE / (alias + ".sqlite3")}} for alias in {aliases!r}
}}
DATABASE_ROUTERS = ["routers.Router"]
INSTALLED_APPS = [
    "django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions",
    "django.contrib.messages", "django.contrib.staticfiles", *{apps!r},
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [{{
    "BACKEND": "django.template.backends.django.DjangoTemplates",
    "APP_DIRS": True,
    "OPTIONS": {{"context_processors": [
        "django.template.context_processors.request",
        "django.contrib.auth.context_processors.auth",
        "django.contrib.messages.context_processors.messages",
    ]}},
}}]
ROOT_URLCONF = "urls"
STATIC_URL = "static/"
"""

ROUTER = """\
class Router:
    rules = {rules!r}

    def allow_migrate(self, db, app_label, **hints):
        return db == self.rules.get(app_label, "default")
"""

MANAGE = """\
import os
import sys

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "site_settings")
from django.core.management import execute_from_command_line

execute_from_command_line(sys.argv)
"""


def aliases_of(count: int) -> list[str]:
    """Return "default" and as many more aliases as are wanted."""
    return ["default", *(f"db{number}" for number in range(1, count))]


def write_project(folder: Path, databases: int) -> None:
    """Write the project; app number n is routed to the n-th alias, in turn."""
    folder.mkdir(parents=True)
    aliases = aliases_of(databases)
    apps = [f"app{number}" for number in range(APPS)]
    rules = {app: aliases[number % databases] for number, app in enumerate(apps)}
    (folder / "manage.py").write_text(MANAGE)
    (folder / "site_settings.py").write_text(SETTINGS.format(aliases=aliases, apps=apps))
    (folder / "routers.py").write_text(ROUTER.format(rules=rules))
    (folder / "urls.py").write_text(
        "from django.contrib import admin\nfrom django.urls import path\n\n"
        'urlpatterns = [path("admin/", admin.site.urls)]\n'
    )
    for app in apps:
        _write_app(folder / app)


def _write_app(folder: Path) -> None:
    migrations = folder / "migrations"
    migrations.mkdir(parents=True)
    (folder / "__init__.py").touch()
    (migrations / "__init__.py").touch()
    fields = [f"field{number}" for number in range(MIGRATIONS_PER_APP)]
    body = "".join(f'    {field} = models.CharField(max_length=50, default="")\n' for field in fields)
    classes = [f"class Model{number}(models.Model):\n{body}" for number in range(MODELS_PER_APP)]
    (folder / "models.py").write_text("from django.db import models\n\n\n" + "\n\n".join(classes))
    for number, field in enumerate(fields):
        (migrations / f"{number + 1:04}_{field}.py").write_text(_migration(folder.name, number, fields))


def _migration(app: str, number: int, fields: list[str]) -> str:
    char = 'models.CharField(max_length=50, default="")'
    identifier = '("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"))'
    if number == 0:
        dependencies = "[]"
        operations = [
            f'migrations.CreateModel("Model{index}", [{identifier}, ("{fields[0]}", {char})])'
            for index in range(MODELS_PER_APP)
        ]
    else:
        dependencies = f'[("{app}", "{number:04}_{fields[number - 1]}")]'
        operations = [
            f'migrations.AddField("model{index}", "{fields[number]}", {char})' for index in range(MODELS_PER_APP)
        ]
    listed = "".join(f"        {operation},\n" for operation in operations)
    return (
        "from django.db import migrations, models\n\n\nclass Migration(migrations.Migration):\n"
        f"    dependencies = {dependencies}\n    operations = [\n{listed}    ]\n"
    )
