"""Packages that bend migrating: tenants by schema, routers for replicas, gevent in manage.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest
from support.cli import dbmigrate, manage
from support.environments import environment
from support.postgresql import PostgresqlServer
from support.projects import Project, migration, model, simple_app, write_project

pytestmark = pytest.mark.soak

CONTRIB = tuple(f"django.contrib.{name}" for name in ("auth", "contenttypes", "sessions"))


def everything(entry: dict[str, Any]) -> dict[str, dict[str, list[tuple[Any, ...]]]]:
    """Return what is in a PostgreSQL database: by schema its columns, indexes and records."""
    address = f"host={entry['HOST']} port={entry['PORT']} user={entry['USER']} dbname={entry['NAME']}"
    with psycopg.connect(address) as connection:
        found: dict[str, dict[str, list[tuple[Any, ...]]]] = {}
        for (schema,) in connection.execute(
            "SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'"
        ).fetchall():
            found[schema] = {
                "columns": connection.execute(
                    "SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns "
                    "WHERE table_schema = %s ORDER BY 1, 2",
                    [schema],
                ).fetchall(),
                "indexes": connection.execute(
                    "SELECT tablename, indexname FROM pg_indexes WHERE schemaname = %s ORDER BY 1, 2", [schema]
                ).fetchall(),
                "records": connection.execute(
                    f'SELECT app, name FROM "{schema}".django_migrations ORDER BY 1, 2'
                ).fetchall(),
            }
        return found


TENANT_MODELS = """\
from django.db import models
from django_tenants.models import DomainMixin, TenantMixin


class Client(TenantMixin):
    auto_create_schema = False


class Domain(DomainMixin):
    pass
"""

TENANT_SETTINGS = """\
SHARED_APPS = ["django_tenants", "customers", "django.contrib.contenttypes", "django.contrib.auth"]
TENANT_APPS = ["shop", "django.contrib.contenttypes", "django.contrib.auth"]
INSTALLED_APPS = list(dict.fromkeys(SHARED_APPS + TENANT_APPS))
TENANT_MODEL = "customers.Client"
TENANT_DOMAIN_MODEL = "customers.Domain"
DATABASE_ROUTERS = ["django_tenants.routers.TenantSyncRouter"]
"""

MAKE_TENANTS = """\
from django.db import connection
from customers.models import Client
for name in ("acme", "ajax"):
    Client(schema_name=name).save()
    connection.cursor().execute(f"CREATE SCHEMA {name}")
"""


def tenants_project(folder: Path, server: PostgresqlServer, python: str) -> tuple[Project, dict[str, Any]]:
    """Write a site whose tenants have schemas, and that has a second database for what is no Django's."""
    entry = {**server.create_database(), "ENGINE": "django_tenants.postgresql_backend"}
    project = write_project(
        folder,
        {"customers": {"models.py": TENANT_MODELS}, "shop": simple_app()},
        aliases={"default": entry, "archive": server.create_database()},
        settings=TENANT_SETTINGS,
    )
    project.write("customers/migrations/__init__.py", "")
    manage("makemigrations", "customers", "-v0", cwd=project.root, python=python)
    return project, entry


@pytest.mark.postgresql
@pytest.mark.parametrize("launcher", ["fork", "spawn"])
def test_tenants_by_schema(tmp_path: Path, postgresql: PostgresqlServer, launcher: str) -> None:
    python = environment("tenants")
    words = ("--python", python, "--launcher", launcher)
    ours, entry = tenants_project(tmp_path / "ours", postgresql, python)
    plain, plain_entry = tenants_project(tmp_path / "plain", postgresql, python)
    more = migration(
        "migrations.AddField('item', 'size', models.IntegerField(default=1))", after=(("shop", "0001_initial"),)
    )

    assert "manage.py migrate --database=default --noinput" in dbmigrate("plan", *words, cwd=ours.root).expect(0).stdout
    dbmigrate("all", *words, cwd=ours.root).expect(0)
    manage("migrate", "--noinput", cwd=plain.root, python=python)
    for project in (ours, plain):
        manage("shell", "-c", MAKE_TENANTS, cwd=project.root, python=python)
        project.write("shop/migrations/0002_size.py", more)
        project.write(
            "shop/models.py",
            model("Item", "name = models.CharField(max_length=20)", "size = models.IntegerField(default=1)"),
        )
    dbmigrate("all", *words, cwd=ours.root).expect(0)
    manage("migrate", "--noinput", cwd=plain.root, python=python)

    assert everything(entry) == everything(plain_entry)
    assert ("shop_item", "size", "integer", "NO") in everything(entry)["ajax"]["columns"]
    dbmigrate("verify", *words, cwd=ours.root).expect(0)
    dbmigrate("all", *words, cwd=ours.root).expect(0)


REPLICAS = {
    "multidb": 'DATABASE_ROUTERS = ["multidb.PinningReplicaRouter"]\nREPLICA_DATABASES = ["near", "far"]\n',
    "replicated": (
        'DATABASE_ROUTERS = ["django_replicated.router.ReplicationRouter"]\n'
        'REPLICATED_DATABASE_SLAVES = ["near", "far"]\nREPLICATED_DATABASE_DOWNTIME = 20\n'
        "REPLICATED_CHECK_STATE_ON_WRITE = True\n"
    ),
}

FILL = """\
def fill(apps, schema_editor):
    Item = apps.get_model("core", "Item")
    Item.objects.create(name="first")
    assert Item.objects.using(schema_editor.connection.alias).count() == 1
"""


@pytest.mark.postgresql
@pytest.mark.parametrize("package", sorted(REPLICAS))
def test_routers_for_replicas(tmp_path: Path, postgresql: PostgresqlServer, package: str) -> None:
    python = environment("replicas")
    fill = migration("migrations.RunPython(fill)", after=(("core", "0001_initial"),), head=FILL)
    projects, entries = [], []
    for name in ("ours", "plain"):
        entry = postgresql.create_database()
        near = {**entry, "TEST": {"MIRROR": "default"}}
        far = {**entry, "OPTIONS": {"options": "-c default_transaction_read_only=on"}}
        projects.append(
            write_project(
                tmp_path / name,
                {"core": simple_app(**{"migrations/0002_fill.py": fill})},
                aliases={"default": entry, "near": near, "far": far},
                contrib=CONTRIB,
                settings=REPLICAS[package],
            )
        )
        entries.append(entry)

    outcome = dbmigrate("all", "--python", python, "--format", "json", cwd=projects[0].root).expect(0)
    manage("migrate", cwd=projects[1].root, python=python)

    assert everything(entries[0]) == everything(entries[1])
    status = {database["alias"]: database["status"] for database in outcome.json["result"]["run"]["databases"]}
    assert status == {"default": "migrated", "near": "skipped", "far": "skipped"}
    dbmigrate("verify", "--python", python, cwd=projects[0].root).expect(0)
    assert "Nothing pending" in dbmigrate("all", "--python", python, cwd=projects[0].root).expect(0).stdout


GEVENT = "from gevent import monkey\nmonkey.patch_all()\nfrom psycogreen.gevent import patch_psycopg\npatch_psycopg()\n"


@pytest.mark.postgresql
@pytest.mark.parametrize("launcher", ["fork", "spawn"])
def test_gevent_in_manage_py(tmp_path: Path, postgresql: PostgresqlServer, launcher: str) -> None:
    python = environment("gevent")
    words = ("--python", python, "--launcher", launcher)
    projects, entries = [], []
    for name in ("ours", "plain"):
        aliases = {alias: postgresql.create_database() for alias in ("default", "audit", "kept")}
        project = write_project(
            tmp_path / name,
            {"core": simple_app()},
            aliases=aliases,
            contrib=(*CONTRIB, "axes"),
            rules={"axes": "audit", "sessions": "kept"},
            settings='SILENCED_SYSTEM_CHECKS = ["axes.W002", "axes.W003"]\n',
        )
        project.write("manage.py", GEVENT + (project.root / "manage.py").read_text())
        projects.append(project)
        entries.append(aliases)

    dbmigrate("all", *words, cwd=projects[0].root).expect(0)
    for command in ("migrate", "migrate axes --database=audit", "migrate sessions --database=kept"):
        manage(*command.split(), cwd=projects[1].root, python=python)

    for alias, entry in entries[0].items():
        assert everything(entry) == everything(entries[1][alias])
    dbmigrate("verify", *words, cwd=projects[0].root).expect(0)
    dbmigrate("check", *words, cwd=projects[0].root).expect(0)
    assert "Nothing pending" in dbmigrate("all", *words, cwd=projects[0].root).expect(0).stdout
