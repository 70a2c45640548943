"""The projects that are measured: a generated one of any size, and django-oscar with other applications from PyPI."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from support.postgresql import PostgresqlServer

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
DATABASES = {databases!r}
DATABASES.update({{
    alias: {{"ENGINE": "django.db.backends.sqlite3", "NAME": BASE / (alias + ".sqlite3")}} for alias in {files!r}
}})
DATABASE_ROUTERS = ["routers.Router"]
INSTALLED_APPS = {apps!r}
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    *{middleware!r},
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
    everywhere = {everywhere!r}

    def allow_migrate(self, db, app_label, **hints):
        if app_label in self.everywhere:
            return db != "default"
        return db == self.rules.get(app_label, "default")
"""

MANAGE = """\
import os
import sys

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "site_settings")
from django.core.management import execute_from_command_line

execute_from_command_line(sys.argv)
"""

CONTRIB = tuple(
    f"django.contrib.{name}" for name in ("admin", "auth", "contenttypes", "sessions", "messages", "staticfiles")
)

OSCAR_PARTS = (
    *("address", "analytics", "basket", "catalogue", "checkout", "communication", "customer", "offer", "order"),
    *("partner", "payment", "search", "shipping", "voucher", "wishlists"),
)
OSCAR_DASHBOARDS = (
    *("catalogue", "communications", "offers", "orders", "pages", "partners", "ranges", "reports", "reviews"),
    *("shipping", "users", "vouchers"),
)
OSCAR_APPS = (
    *CONTRIB,
    "django.contrib.sites",
    "django.contrib.flatpages",
    "oscar.config.Shop",
    *(f"oscar.apps.{name}.apps.{name.title()}Config" for name in OSCAR_PARTS),
    "oscar.apps.catalogue.reviews.apps.CatalogueReviewsConfig",
    "oscar.apps.dashboard.apps.DashboardConfig",
    *(f"oscar.apps.dashboard.{name}.apps.{name.title()}DashboardConfig" for name in OSCAR_DASHBOARDS),
    "widget_tweaks",
    "haystack",
    "treebeard",
    "django_tables2",
    "sorl.thumbnail",
    "axes",
    "captcha",
    "django_celery_results",
    "easy_thumbnails",
    "django_q",
    "silk",
)
OSCAR_RULES = {
    "thumbnail": "db1",
    "axes": "db2",
    "django_celery_results": "db3",
    "easy_thumbnails": "db4",
    "django_q": "db5",
    "captcha": "db6",
    "silk": "db7",
}
"""Apps without foreign keys to others: what refers to users or products has to live where those are."""

OSCAR_SETTINGS = """
from oscar.defaults import *
SITE_ID = 1
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
HAYSTACK_CONNECTIONS = {"default": {"ENGINE": "haystack.backends.simple_backend.SimpleEngine"}}
"""

OSCAR_URLS = """\
from django.apps import apps
from django.contrib import admin
from django.urls import include, path

urlpatterns = [path("admin/", admin.site.urls), path("", include(apps.get_app_config("oscar").urls[0]))]
"""


@dataclass(frozen=True)
class Size:
    """How much there is of everything in a generated project, beside Django's own apps."""

    apps: int
    models: int
    migrations: int


LARGE = Size(apps=40, models=300, migrations=600)
SMALL = Size(apps=4, models=8, migrations=12)
TINY = Size(apps=2, models=2, migrations=4)


@dataclass(frozen=True)
class Layout:
    """Which databases there are, and what belongs where."""

    aliases: Sequence[str]
    entries: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By alias: its entry of DATABASES, where it is not an SQLite file."""
    everywhere: bool = False
    """Whether the generated apps belong on every database but the default one, as with one database per customer."""


def aliases_of(count: int) -> list[str]:
    """Return "default" and as many more aliases as are wanted."""
    return ["default", *(f"db{number}" for number in range(1, count))]


def on_server(server: PostgresqlServer, aliases: Sequence[str]) -> Layout:
    """Make a database for each alias; the apps belong on every one but the default."""
    return Layout(aliases, entries={alias: server.create_database() for alias in aliases}, everywhere=True)


def write_generated(folder: Path, size: Size, layout: Layout) -> None:
    """Write a project; app number n is routed to the n-th alias, in turn, and depends on the one before it there."""
    apps = [f"app{number}" for number in range(size.apps)]
    count = 1 if layout.everywhere else len(layout.aliases)
    rules = {} if layout.everywhere else {app: layout.aliases[number % count] for number, app in enumerate(apps)}
    _write_site(folder, layout, (*CONTRIB, *apps), rules, apps if layout.everywhere else ())
    for number, app in enumerate(apps):
        models, migrations = (_share(total, size.apps, number) for total in (size.models, size.migrations))
        _write_app(folder / app, models, migrations, apps[number - count] if number >= count else None)


def make_all_alike(folder: Path) -> None:
    """Have every app on every database, also on the default one."""
    (folder / "routers.py").write_text(
        "class Router:\n    def allow_migrate(self, db, app_label, **hints):\n        return True\n"
    )


def refuse_app(folder: Path, app: str) -> None:
    """Have the tables of an app on no database."""
    (folder / "routers.py").write_text(
        f"class Router:\n    def allow_migrate(self, db, app_label, **hints):\n        return app_label != {app!r}\n"
    )


def add_new_migration(folder: Path, app: str, name: str) -> None:
    """Add a column to the first model of an app, with the migration that makes it."""
    model = f"{app.capitalize()}Model0"
    last = max(file.stem for file in (folder / app / "migrations").glob("0*.py"))
    (folder / app / "migrations" / f"{int(last[:4]) + 1:04}_{name}.py").write_text(
        "from django.db import migrations, models\n\n\nclass Migration(migrations.Migration):\n"
        f"    dependencies = [({app!r}, {last!r})]\n"
        f'    operations = [migrations.AddField("{model.lower()}", "{name}", models.IntegerField(default=0))]\n'
    )
    models = folder / app / "models.py"
    head = f"class {model}(models.Model):\n"
    models.write_text(models.read_text().replace(head, f"{head}    {name} = models.IntegerField(default=0)\n"))


def write_oscar(folder: Path, layout: Layout) -> None:
    """Write a shop of django-oscar and other applications; what has no alias of its own shares the last one."""
    last = layout.aliases[-1]
    rules = {app: alias if alias in layout.aliases else last for app, alias in OSCAR_RULES.items()}
    everywhere = ("axes", "silk") if layout.everywhere else ()
    _write_site(
        folder,
        layout,
        OSCAR_APPS,
        {} if layout.everywhere else rules,
        everywhere,
        middleware=("oscar.apps.basket.middleware.BasketMiddleware", "axes.middleware.AxesMiddleware"),
    )
    (folder / "urls.py").write_text(OSCAR_URLS)
    with (folder / "site_settings.py").open("a") as settings:
        settings.write(OSCAR_SETTINGS)


def add_waiting_app(folder: Path, seconds: int) -> None:
    """Add an app that belongs on every database but the default one, and whose only migration waits there."""
    with (folder / "site_settings.py").open("a") as settings:
        settings.write('INSTALLED_APPS.append("waits")\nDATABASE_ROUTERS.insert(0, "waits.Router")\n')
    migrations = folder / "waits" / "migrations"
    migrations.mkdir(parents=True)
    (migrations / "__init__.py").touch()
    (folder / "waits" / "__init__.py").write_text(
        "class Router:\n    def allow_migrate(self, db, app_label, **hints):\n"
        '        return db != "default" if app_label == "waits" else None\n'
    )
    (migrations / "0001_initial.py").write_text(
        "from django.db import migrations\n\n\nclass Migration(migrations.Migration):\n"
        f'    operations = [migrations.RunSQL("SELECT pg_sleep({seconds})")]\n'
    )


def _share(total: int, parts: int, number: int) -> int:
    return total // parts + (number < total % parts)


def _write_site(
    folder: Path,
    layout: Layout,
    apps: Sequence[str],
    rules: Mapping[str, str],
    everywhere: Sequence[str],
    *,
    middleware: Sequence[str] = (),
) -> None:
    folder.mkdir(parents=True)
    (folder / "manage.py").write_text(MANAGE)
    (folder / "site_settings.py").write_text(
        SETTINGS.format(
            databases={alias: layout.entries.get(alias, {}) for alias in layout.aliases},  # in their order
            files=[alias for alias in layout.aliases if alias not in layout.entries],
            apps=list(apps),
            middleware=list(middleware),
        )
    )
    (folder / "routers.py").write_text(ROUTER.format(rules=dict(rules), everywhere=list(everywhere)))
    (folder / "urls.py").write_text(
        "from django.contrib import admin\nfrom django.urls import path\n\n"
        'urlpatterns = [path("admin/", admin.site.urls)]\n'
    )


def _write_app(folder: Path, models: int, migrations: int, before: str | None) -> None:
    """Write an app whose first migration makes its models, and whose others add a column to two of them each.

    Every third adds an index too, every fifth changes a column, and the last runs Python.
    """
    app = folder.name
    names = [f"{app.capitalize()}Model{number}" for number in range(models)]
    fields = {name: _first_fields(app, names, name, before) for name in names}
    indexes: dict[str, list[str]] = {name: [] for name in names}
    dependencies = [(before, "0001_initial")] if before is not None else []
    operations = [[_create(name, fields[name]) for name in names]]
    for number in range(2, migrations + 1):
        own = []
        for name in dict.fromkeys((names[number % models], names[(number + 1) % models])):
            fields[name][f"field{number}"] = 'models.CharField(max_length=50, blank=True, default="")'
            own.append(f'migrations.AddField("{name.lower()}", "field{number}", {fields[name][f"field{number}"]})')
        name = names[number % models]
        if number % 3 == 0:
            index = f'models.Index(fields=["field{number}"], name="{app}_field{number}_idx")'
            indexes[name].append(index)
            own.append(f'migrations.AddIndex("{name.lower()}", {index})')
        if number % 5 == 0:
            fields[name]["name"] = f"models.CharField(max_length={100 + number}, db_index=True)"
            own.append(f'migrations.AlterField("{name.lower()}", "name", {fields[name]["name"]})')
        if number == migrations:
            own.append("migrations.RunPython(count, migrations.RunPython.noop)")
        operations.append(own)
    (folder / "migrations").mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "migrations" / "__init__.py").touch()
    (folder / "models.py").write_text(
        "from django.db import models\n" + "".join(_model(name, fields[name], indexes[name]) for name in names)
    )
    for number, own in enumerate(operations, 1):
        after = dependencies if number == 1 else [(app, _migration_name(number - 1))]
        (folder / "migrations" / f"{_migration_name(number)}.py").write_text(_migration(names[0], after, own))


def _first_fields(app: str, names: Sequence[str], name: str, before: str | None) -> dict[str, str]:
    fields = {
        "name": "models.CharField(max_length=100, db_index=True)",
        "amount": "models.DecimalField(max_digits=12, decimal_places=2, default=0)",
        "made_at": "models.DateTimeField(auto_now_add=True)",
        "is_active": "models.BooleanField(default=True)",
    }
    if name != names[0]:
        fields["parent"] = f'models.ForeignKey("{app}.{names[0]}", on_delete=models.CASCADE, related_name="+")'
    elif before is not None:
        target = f"{before}.{before.capitalize()}Model0"
        fields["source"] = f'models.ForeignKey("{target}", null=True, on_delete=models.SET_NULL, related_name="+")'
    return fields


def _migration_name(number: int) -> str:
    return "0001_initial" if number == 1 else f"{number:04}_field{number}"


def _model(name: str, fields: Mapping[str, str], indexes: Sequence[str]) -> str:
    body = "".join(f"    {column} = {value}\n" for column, value in fields.items())
    meta = f"\n    class Meta:\n        indexes = [{', '.join(indexes)}]\n" if indexes else ""
    return f"\n\nclass {name}(models.Model):\n{body}{meta}"


def _create(name: str, fields: Mapping[str, str]) -> str:
    identifier = '("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"))'
    listed = ", ".join([identifier, *(f'("{column}", {value})' for column, value in fields.items())])
    return f'migrations.CreateModel("{name}", [{listed}])'


def _migration(model: str, after: Sequence[tuple[str, str]], operations: Sequence[str]) -> str:
    listed = "".join(f"        {operation},\n" for operation in operations)
    app = model.lower().partition("model")[0]
    function = (
        f'def count(apps, schema_editor):\n    model = apps.get_model("{app}", "{model}")\n'
        "    model.objects.using(schema_editor.connection.alias).count()\n\n\n"
    )
    return (
        f"import django.db.models.deletion\nfrom django.db import migrations, models\n\n\n{function}"
        f"class Migration(migrations.Migration):\n"
        f"    dependencies = {list(after)!r}\n    operations = [\n{listed}    ]\n"
    )
