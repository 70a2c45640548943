"""Projects on real servers: SQLite, PostgreSQL and MariaDB side by side."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.cli import dbmigrate
from support.mariadb import DRIVER, MariadbServer
from support.postgresql import PostgresqlServer
from support.projects import Project, create, migration, model, simple_app, write_project

pytestmark = [pytest.mark.postgresql, pytest.mark.mariadb]

APPS = {"core": simple_app(), "blog": simple_app(), "shop": simple_app()}
RULES = {"blog": "blog_db", "shop": "shop_db"}


@pytest.fixture
def mixed(tmp_path: Path, postgresql: PostgresqlServer, mariadb: MariadbServer) -> Project:
    """Return a project with core on SQLite, blog on PostgreSQL and shop on MariaDB."""
    return write_project(
        tmp_path / "site",
        APPS,
        aliases={"default": {}, "blog_db": postgresql.create_database(), "shop_db": mariadb.create_database()},
        rules=RULES,
        settings=f"{DRIVER}DEBUG = True",
    )


def databases(project: Project) -> dict[str, dict[str, object]]:
    """Return what `status` says of every database."""
    report = dbmigrate("status", "--format", "json", cwd=project.root).expect(0).json["result"]
    return {database["alias"]: database for database in report["databases"]}


def test_three_kinds_of_databases_are_migrated_together(mixed: Project) -> None:
    dbmigrate("all", cwd=mixed.root).expect(0)

    described = databases(mixed)
    assert [str(database["server"]).split(" ")[0] for database in described.values()] == [
        "SQLite",
        "PostgreSQL",
        "MariaDB",
    ]
    assert [database["pending"] for database in described.values()] == [0, 0, 0]
    assert "Nothing pending" in dbmigrate("all", cwd=mixed.root).expect(0).stdout


@pytest.mark.soak
def test_reset_empties_all_three(mixed: Project) -> None:
    mixed.write("shop/models.py", model("Item", "name = models.TextField()"))
    mixed.write("shop/migrations/0001_initial.py", migration(create(field='("name", models.TextField())')))
    dbmigrate("all", cwd=mixed.root).expect(0)
    mixed.write("shop/models.py", model("Thing", "name = models.TextField()"))

    dbmigrate("reset", "--confirm", "site_settings", cwd=mixed.root).expect(0)

    assert "Nothing pending" in dbmigrate("all", cwd=mixed.root).expect(0).stdout
    assert "core_item" in mixed.tables()["default"]


@pytest.mark.soak
def test_two_names_of_one_mariadb_database_are_seen(tmp_path: Path, mariadb: MariadbServer) -> None:
    entry = mariadb.create_database()
    project = write_project(
        tmp_path,
        {"core": simple_app()},
        aliases={"default": entry, "copy": {**entry, "HOST": "localhost"}},
        settings=DRIVER,
    )

    outcome = dbmigrate("all", "--format", "json", cwd=project.root).expect(0)

    assert {entry["alias"]: entry["skip"] for entry in outcome.json["result"]["run"]["databases"]} == {
        "default": None,
        "copy": "same",
    }
    assert mariadb.tables(entry) == {"django_migrations", "core_item"}
