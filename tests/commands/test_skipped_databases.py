"""What is skipped is not judged, and nothing is written where an alias only reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest
from support.cli import dbmigrate, looks
from support.mariadb import DRIVER, MariadbServer
from support.postgresql import PostgresqlServer
from support.projects import Project, create, migration, model, simple_app, tables, write_project

DOWN: dict[str, Any] = {
    "ENGINE": "django.db.backends.postgresql",
    "NAME": "shop",
    "USER": "shop",
    "HOST": "127.0.0.1",
    "PORT": "1",
}

EVERYWHERE = """\
class Router:
    def db_for_read(self, model, **hints):
        return "replica"

    def db_for_write(self, model, **hints):
        return "default"

    def allow_migrate(self, db, app_label, **hints):
        return True
"""

ORDERS_APART = """\
class Router:
    def allow_migrate(self, db, app_label, **hints):
        return db != "orders_db" or app_label == "orders"
"""

SILENT = EVERYWHERE.replace("return True", "return False if app_label == 'nothing' else None")


def replicated_project(folder: Path, router: str, replica: dict[str, Any] | None = None) -> Project:
    """Write a project with a database and the replica that its models are read from."""
    project = write_project(
        folder,
        {"shop": simple_app(), "orders": simple_app()},
        aliases=("default", "replica"),
        settings=f"""
        DATABASE_ROUTERS = ["routers.Router"]
        DATABASES["replica"].update({replica or {}!r})
        DATABASES["replica"]["TEST"] = {{"MIRROR": "default"}}
        """,
    )
    project.write("routers.py", router)
    return project


@pytest.mark.soak
@pytest.mark.parametrize("state", ["follows", "down"])
@pytest.mark.parametrize("router", [EVERYWHERE, pytest.param(SILENT, marks=pytest.mark.soak)])
def test_nothing_belongs_on_a_replica_whether_it_answers_or_not(tmp_path: Path, router: str, state: str) -> None:
    project = replicated_project(tmp_path, router, DOWN if state == "down" else None)
    dbmigrate("all", cwd=tmp_path).expect(0)
    if state == "follows":
        project.database("replica").write_bytes(project.database("default").read_bytes())

    lines = {"info --format json": 0, "info --explain shop.Item --format json": 0}
    info, explained = (one.json["result"] for one in looks(lines, cwd=tmp_path))
    project.write("shop/models.py", model("Item", "name = models.CharField(max_length=30)"))
    made = dbmigrate("make", cwd=tmp_path).expect(0)

    assert {route["label"]: route["aliases"] for route in info["routes"]} == {
        "shop": ["default"],
        "orders": ["default"],
    }
    assert {entry["alias"]: entry["apps"] for entry in info["databases"]} == {
        "default": ["shop", "orders"],
        "replica": [],
    }
    assert [entry["belongs"] for entry in explained["databases"]] == [True, False]
    assert "shop.0002_alter_item_name goes to default\n" in made.stdout
    dbmigrate("run", "--app", "shop", cwd=tmp_path).expect(0)
    looks({"status --exit-code": 0, "check": 0, "verify": 0}, cwd=tmp_path)


def test_a_foreign_key_across_databases_names_where_its_target_is_written(tmp_path: Path) -> None:
    project = replicated_project(tmp_path, ORDERS_APART)
    project.append(
        "site_settings.py", 'DATABASES["orders_db"] = dict(DATABASES["default"], NAME=BASE / "orders.sqlite3")\n'
    )
    project.write("orders/models.py", model("Item", "shop = models.ForeignKey('shop.Item', models.CASCADE)"))

    found = dbmigrate("check", "--select", "DBM201", cwd=tmp_path).expect(13)

    assert "which is on default: no database can enforce" in found.stdout


@pytest.mark.soak
def test_the_command_after_make_leaves_nothing_pending(tmp_path: Path) -> None:
    project = write_project(
        tmp_path,
        {"shop": simple_app(), "orders": simple_app()},
        aliases=("default", "orders_db"),
        rules={"orders": "orders_db"},
    )
    dbmigrate("all", cwd=tmp_path).expect(0)
    for app, expected in (("orders", "all"), ("shop", "run --app shop")):
        project.write(f"{app}/models.py", model("Item", "name = models.CharField(max_length=30)"))

        made = dbmigrate("make", cwd=tmp_path).expect(0)

        assert f"next: dbmigrate {expected}\n" in made.stdout
        dbmigrate(*expected.split(), cwd=tmp_path).expect(0)
        dbmigrate("status", "--exit-code", cwd=tmp_path).expect(0)


@pytest.fixture
def unreadable(postgresql: PostgresqlServer) -> dict[str, Any]:
    """Return the entry of a database whose django_migrations its role may not read."""
    entry = postgresql.create_database()
    with postgresql.session(entry) as cursor:
        cursor.execute("CREATE TABLE django_migrations (id int, app text, name text, applied timestamptz)")
        cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = 'reader'")
        if cursor.fetchone() is None:
            try:
                cursor.execute("CREATE ROLE reader LOGIN")
            except (psycopg.errors.UniqueViolation, psycopg.errors.DuplicateObject):
                pass  # another worker was faster
    return {**entry, "USER": "reader"}


@pytest.mark.soak
def test_a_skipped_database_that_may_not_be_read_fails_nothing(tmp_path: Path, unreadable: dict[str, Any]) -> None:
    write_project(
        tmp_path,
        {"shop": simple_app()},
        aliases=("default", "legacy"),
        settings=f"DATABASES['legacy'] = {unreadable!r}\n",
    )

    done = dbmigrate("all", cwd=tmp_path).expect(0)
    status = dbmigrate("status", "--exit-code", cwd=tmp_path).expect(0)

    assert "database legacy is skipped" in done.stderr
    assert "unreachable" not in status.stdout
    assert "is unreachable" not in status.stdout
    assert "database legacy cannot be read: permission denied for table django_migrations" in status.stdout
    assert "it is skipped" in status.stdout
    looks({"check": 0, "verify": 0}, cwd=tmp_path)
    dbmigrate("wait", cwd=tmp_path).expect(0)


def test_a_database_to_migrate_that_may_not_be_read_is_not_called_unreachable(
    tmp_path: Path, unreadable: dict[str, Any]
) -> None:
    write_project(tmp_path, {"shop": simple_app()}, aliases={"default": unreadable})

    refused = dbmigrate("all", cwd=tmp_path).expect(21)
    status = dbmigrate("status", "--exit-code", cwd=tmp_path).expect(21)

    assert "error: database default cannot be read: permission denied for table django_migrations" in refused.stderr
    assert 'hint: GRANT SELECT ON django_migrations to the user of DATABASES["default"]' in refused.stderr
    assert "unreadable: this user may not read it" in status.stdout


@pytest.mark.parametrize("router", [None, SILENT], ids=["no router", "a router of other apps"])
def test_an_open_database_that_is_down_fails_nothing_unless_a_run_may_have_made_something_there(
    tmp_path: Path, router: str | None
) -> None:
    project = write_project(
        tmp_path, {"shop": simple_app()}, aliases=("default", "legacy"), settings=f"DATABASES['legacy'] = {DOWN!r}\n"
    )
    if router is not None:
        project.append("site_settings.py", 'DATABASE_ROUTERS = ["routers.Router"]\n')
        project.write("routers.py", router)

    dbmigrate("all", cwd=tmp_path).expect(0)
    looks({"status --exit-code": 0, "verify": 0}, cwd=tmp_path)


def test_a_database_that_a_router_speaks_of_and_that_may_not_be_read_any_more_is_not_skipped(
    tmp_path: Path, unreadable: dict[str, Any]
) -> None:
    project = write_project(
        tmp_path,
        {"shop": simple_app()},
        aliases=("default", "legacy"),
        settings=f"DATABASES['legacy'] = {unreadable!r}\nDATABASE_ROUTERS = ['routers.Router']\n",
        contrib=("django.contrib.contenttypes",),
    )
    project.write(
        "routers.py",
        """
        class Router:
            def allow_migrate(self, db, app_label, **hints):
                return False if (db, app_label) == ("legacy", "contenttypes") else None
        """,
    )

    refused = dbmigrate("all", cwd=tmp_path).expect(21)

    assert "database legacy cannot be read: permission denied for table django_migrations" in refused.stderr
    assert "GRANT SELECT ON django_migrations" in refused.stderr
    dbmigrate("status", "--exit-code", cwd=tmp_path).expect(21)


def test_status_of_an_app_shows_a_database_that_lacks_only_its_records(tmp_path: Path) -> None:
    project = write_project(
        tmp_path,
        {"shop": simple_app(), "blog": simple_app()},
        aliases=("default", "blog_db"),
        settings="DATABASE_ROUTERS = ['routers.Router']\n",
    )
    project.write(
        "routers.py",
        """
        class Router:
            def allow_migrate(self, db, app_label, **hints):
                return (db == "blog_db") == (app_label == "blog")
        """,
    )
    project.write("blog/migrations/0001_initial.py", migration(create("Item"), after=(("shop", "0001_initial"),)))
    dbmigrate("run", "--database", "default", cwd=tmp_path).expect(0)

    status = dbmigrate("status", "--app", "shop", "--exit-code", cwd=tmp_path).expect(10)

    assert "blog_db" in status.stdout


def test_a_role_that_may_not_connect_is_not_waited_for(
    tmp_path: Path, unreadable: dict[str, Any], postgresql: PostgresqlServer
) -> None:
    owner = postgresql.create_database()["USER"]
    postgresql.query({**unreadable, "USER": owner}, f"REVOKE CONNECT ON DATABASE {unreadable['NAME']} FROM PUBLIC")
    write_project(tmp_path, {"shop": simple_app()}, aliases={"default": unreadable})

    refused = dbmigrate("all", cwd=tmp_path).expect(21)

    assert "cannot be read: " in refused.stderr
    assert "permission denied for database" in refused.stderr
    assert 'hint: GRANT access to that database to the user of DATABASES["default"]' in refused.stderr


@pytest.mark.soak
@pytest.mark.mariadb
def test_a_table_that_mariadb_hides_is_not_taken_for_none(tmp_path: Path, mariadb: MariadbServer) -> None:
    entry = mariadb.create_database()
    project = write_project(tmp_path, {"shop": simple_app()}, aliases={"default": entry}, settings=DRIVER)
    dbmigrate("all", cwd=tmp_path).expect(0)
    name = entry["NAME"]
    mariadb.query(entry, "CREATE OR REPLACE USER hidden IDENTIFIED BY 'hidden'")
    mariadb.query(entry, f"GRANT SELECT ON {name}.shop_item TO hidden")
    project.append("site_settings.py", "DATABASES['default'].update(USER='hidden', PASSWORD='hidden')")

    refused = dbmigrate("all", cwd=tmp_path).expect(21)
    status = dbmigrate("status", "--exit-code", cwd=tmp_path).expect(21)

    assert "error: database default cannot be read: " in refused.stderr
    assert 'hint: GRANT SELECT ON django_migrations to the user of DATABASES["default"]' in refused.stderr
    assert "unreadable: this user may not read it" in status.stdout


def test_a_database_that_is_open_by_configuration_stays_so_once_it_was_migrated(tmp_path: Path) -> None:
    project = write_project(
        tmp_path,
        {"core": simple_app(), "secret": simple_app()},
        aliases=("default", "nobody"),
        settings='DATABASE_ROUTERS = ["quiet.Router"]\n',
    )
    project.write("quiet.py", QUIET_BUT_FOR_ONE_APP)
    project.write("pyproject.toml", '[tool.dbmigrate]\ndatabases.nobody.open = "migrate"\n')
    dbmigrate("all", cwd=project.root).expect(0)
    project.write("core/models.py", model() + model("Late").replace("from django.db import models\n", ""))
    project.write("core/migrations/0002_late.py", migration(create("Late"), after=(("core", "0001_initial"),)))
    for path, text in simple_app().items():
        project.write(f"more/{path}", text)
    project.write("more/__init__.py", "")
    project.write("more/migrations/__init__.py", "")
    project.append("site_settings.py", 'INSTALLED_APPS = [*INSTALLED_APPS, "more"]\n')

    dbmigrate("all", "--skip-makemigrations", cwd=project.root).expect(0)

    assert tables(project.database("nobody")) >= {"core_item", "core_late", "more_item"}
    assert "secret_item" not in tables(project.database("nobody"))


QUIET_BUT_FOR_ONE_APP = """\
class Router:
    def allow_migrate(self, db, app_label, **hints):
        return False if (db, app_label) == ("nobody", "secret") else None
"""
