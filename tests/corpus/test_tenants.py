"""Routers that answer by what is connected: a schema for each tenant, databases that are added at run time."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.cli import dbmigrate
from support.postgresql import PostgresqlServer
from support.projects import Project, migration, model, simple_app, write_project

MIGRATE = "tenants/management/commands/migrate.py"

BY_SCHEMA = """\
from django.db import connections

class Router:
    def allow_migrate(self, db, app_label, **hints):
        is_shared = getattr(connections[db], "tenant", "public") == "public"
        return None if is_shared == (app_label != "shop") else False
"""

EACH_SCHEMA = """\
from django.core.management.commands.migrate import Command as Migrate
from django.db import connections

class Command(Migrate):
    def handle(self, *args, **options):
        connection = connections[options["database"]]
        with connection.cursor() as cursor:
            cursor.execute("SELECT nspname FROM pg_namespace WHERE nspname IN ('public', 'one', 'two') ORDER BY 1 DESC")
            schemas = [name for (name,) in cursor.fetchall()]
        for schema in sorted(schemas, key=lambda name: name != "public"):
            connection.tenant = schema
            with connection.cursor() as cursor:
                cursor.execute(f"SET search_path TO {schema}")
            super().handle(*args, **options)
"""

ADDED = """\
class Router:
    def allow_migrate(self, db, app_label, **hints):
        return (db == "default") == (app_label != "shop")
"""

EACH_FILE = """\
from django.conf import settings
from django.core.management.commands.migrate import Command as Migrate
from django.db import connections

class Command(Migrate):
    def handle(self, *args, **options):
        super().handle(*args, **options)
        connections.databases["one"] = {**connections.databases["default"], "NAME": settings.BASE / "one.sqlite3"}
        super().handle(*args, **{**options, "database": "one"})
"""

PUBLIC_ONLY = "default: schema public only; migrate is replaced by tenants"


def tenant_project(folder: Path, router: str, command: str | None, aliases: dict[str, dict[str, str]]) -> Project:
    """Write a project with an app for all and one for each tenant; `command` replaces migrate."""
    apps = {"customers": simple_app(), "shop": simple_app(), "tenants": {}}
    project = write_project(folder, apps, aliases=aliases, settings='DATABASE_ROUTERS = ["routers.Router"]\n')
    project.write("routers.py", router)
    if command is not None:
        project.write("tenants/management/__init__.py", "")
        project.write("tenants/management/commands/__init__.py", "")
        project.write(MIGRATE, command)
    return project


@pytest.mark.soak
@pytest.mark.parametrize("launcher", ["fork", "spawn"])
def test_what_a_replaced_migrate_does_in_other_schemas_is_counted(
    tmp_path: Path, postgresql: PostgresqlServer, launcher: str
) -> None:
    entry = postgresql.create_database()
    project = tenant_project(tmp_path, BY_SCHEMA, EACH_SCHEMA, {"default": entry})
    first = dbmigrate("all", "--launcher", launcher, cwd=tmp_path).expect(0)
    postgresql.query(entry, "CREATE SCHEMA one")
    postgresql.query(entry, "CREATE SCHEMA two")
    postgresql.query(entry, 'CREATE SCHEMA "100%s"')
    postgresql.query(entry, 'CREATE TABLE "100%s".django_migrations (id int)')

    verified = dbmigrate("verify", cwd=tmp_path).expect(0)
    second = dbmigrate("all", "--launcher", launcher, cwd=tmp_path).expect(0)
    third = dbmigrate("all", "--launcher", launcher, cwd=tmp_path).expect(0)

    assert "DBM204" not in first.stderr
    assert "2 migrations, 1 only recorded" in first.stdout
    assert f"1 database checked ({PUBLIC_ONLY}): everything recorded there exists" in verified.stdout
    assert "4 migrations and 4 tables in 2 schemas (one, two)" in second.stdout
    assert "All migrations completed successfully" in second.stdout
    assert "ran, and 4 schemas are unchanged" in third.stdout
    assert f"Nothing pending in what was checked ({PUBLIC_ONLY})" in third.stdout
    for outcome in (first, verified, second, third):
        assert "up to date" not in outcome.stdout
    status = dbmigrate("status", cwd=tmp_path).expect(0)
    assert f"checked: {PUBLIC_ONLY}" in status.stdout
    assert f"1 database checked ({PUBLIC_ONLY}): nothing found" in dbmigrate("check", cwd=tmp_path).expect(0).stdout
    project.write("shop/models.py", model("Item", "name = models.CharField(max_length=30)"))
    made = dbmigrate("make", cwd=tmp_path).expect(0)
    assert f"goes to no database that was checked ({PUBLIC_ONLY})\nnext: dbmigrate all\n" in made.stdout


def test_a_failure_behind_other_schemas_says_what_moved_there(tmp_path: Path, postgresql: PostgresqlServer) -> None:
    entry = postgresql.create_database()
    project = tenant_project(tmp_path, BY_SCHEMA, EACH_SCHEMA, {"default": entry})
    dbmigrate("all", cwd=tmp_path).expect(0)
    postgresql.query(entry, "CREATE SCHEMA one")
    project.write(MIGRATE, f"{EACH_SCHEMA}        raise RuntimeError('the second tenant is broken')\n")

    failed = dbmigrate("all", cwd=tmp_path).expect(31)

    assert "after 2 migrations and 2 tables in 1 schema (one)" in failed.stdout


def test_a_replaced_migrate_that_cannot_be_loaded_is_no_run_with_nothing_to_do(tmp_path: Path) -> None:
    project = tenant_project(tmp_path, ADDED, EACH_FILE, {"default": {}})
    dbmigrate("all", cwd=tmp_path).expect(0)
    project.append(MIGRATE, "raise RuntimeError('no such tenant')\n")

    refused = dbmigrate("all", cwd=tmp_path).expect(3)

    assert "the migrate command of tenants" in refused.stderr
    assert "no such tenant" in refused.stderr


def test_a_replaced_migrate_that_cannot_be_counted_is_said_to_have_run(tmp_path: Path) -> None:
    project = tenant_project(tmp_path, ADDED, EACH_FILE, {"default": {}})
    dbmigrate("all", cwd=tmp_path).expect(0)
    project.database("one").unlink()

    done = dbmigrate("all", cwd=tmp_path).expect(0)
    document = dbmigrate("all", "--format", "json", cwd=tmp_path).expect(0).json["result"]["run"]

    assert "DBM204" not in done.stderr
    assert project.tables() == {
        "default": {"django_migrations", "customers_item"},
        "one": {"django_migrations", "shop_item"},
    }
    assert "ran, not counted" in done.stdout
    assert "up to date" not in done.stdout
    assert [database["status"] for database in document["databases"]] == ["ran"]
    assert document["limits"][0] == (
        "default: what its entry in DATABASES connects to only; migrate is replaced by tenants"
    )


def test_apps_for_databases_that_are_added_at_run_time_are_not_said_to_have_no_tables(tmp_path: Path) -> None:
    tenant_project(tmp_path, ADDED, None, {"default": {}})
    dbmigrate("all", cwd=tmp_path).expect(0)

    again = dbmigrate("all", cwd=tmp_path).expect(0)
    checked = dbmigrate("check", cwd=tmp_path).expect(0)
    refused = dbmigrate("run", "--app", "shop", cwd=tmp_path).expect(2)

    limit = (
        "only the databases in DATABASES; the routers refuse shop on each of them, "
        "and not on one that is added at run time"
    )
    assert f"Nothing pending in what was checked ({limit})" in again.stdout
    assert "DBM204" not in again.stderr + checked.stdout
    assert limit in checked.stdout
    assert limit in refused.stderr


def test_a_router_that_looks_at_the_connection_answers_for_now_only(tmp_path: Path) -> None:
    tenant_project(tmp_path, BY_SCHEMA, None, {"default": {}})

    checked = dbmigrate("check", cwd=tmp_path).expect(0)

    assert "DBM204" not in checked.stdout
    assert "routers.Router answers by what is connected" in checked.stdout


def test_what_was_skipped_is_not_called_up_to_date(tmp_path: Path) -> None:
    write_project(tmp_path, {"shop": simple_app()}, aliases=("default", "legacy"))
    dbmigrate("all", cwd=tmp_path).expect(0)

    again = dbmigrate("all", cwd=tmp_path).expect(0)

    assert "Nothing pending: every database but legacy is up to date" in again.stdout


def test_a_failing_migration_of_a_tenant_project_names_it(tmp_path: Path) -> None:
    project = tenant_project(tmp_path, ADDED, EACH_FILE, {"default": {}})
    project.write("customers/migrations/0001_initial.py", migration('migrations.RunSQL("broken")'))

    failed = dbmigrate("all", cwd=tmp_path).expect(30)

    assert "customers.0001_initial" in failed.stdout
