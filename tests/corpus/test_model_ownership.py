"""Where models belong when routers are silent: by exclusion, by what a run made, and never by a table alone."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from support.cli import dbmigrate, looks
from support.combinations import combinations
from support.postgresql import PostgresqlServer
from support.projects import Project, create, migration, model, simple_app, tables, write_project

ROUTED = 'DATABASE_ROUTERS = ["routers.Router"]\n'
AUTH = ("django.contrib.auth", "django.contrib.contenttypes")

BY_EXCLUSION = """\
class Router:
    def allow_migrate(self, db, app_label, model_name=None, **hints):
        if app_label == "metrics" and db != "metrics_db":
            return False
        if app_label == "shop" and db == "metrics_db":
            return False
        return None
"""

REFUSING_DEFAULT = """\
class Router:
    def allow_migrate(self, db, app_label, model_name=None, **hints):
        return False if db == "default" and app_label == "metrics" else None
"""


def excluding_project(folder: Path, router: str, *aliases: str) -> Project:
    """Write a project whose router never says True."""
    project = write_project(
        folder,
        {"shop": simple_app(), "metrics": simple_app(), "core": simple_app()},
        aliases=("default", *(aliases or ("metrics_db",))),
        settings=ROUTED,
    )
    project.write("routers.py", router)
    return project


@pytest.mark.soak
@pytest.mark.parametrize(
    ("router", "launcher"),
    combinations((BY_EXCLUSION, REFUSING_DEFAULT), ("fork", "spawn"), quick=[(BY_EXCLUSION, "fork")]),
)
def test_a_model_that_is_refused_elsewhere_is_made_where_the_router_is_silent(
    tmp_path: Path, router: str, launcher: str
) -> None:
    project = excluding_project(tmp_path, router)

    plan = dbmigrate("plan", "--format", "json", cwd=tmp_path).expect(0).json["result"]["plan"]
    done = dbmigrate("all", "--launcher", launcher, cwd=tmp_path).expect(0)

    assert {step["id"] for step in plan["steps"]} == {"default", "metrics_db:metrics"}
    assert "DBM204" not in done.stderr
    assert "DBM206" not in done.stderr
    assert project.tables() == {
        "default": {"django_migrations", "shop_item", "core_item"},
        "metrics": {"django_migrations", "metrics_item"},
    }
    looks({"status --exit-code": 0, "verify": 0, "check": 0}, cwd=tmp_path)


def test_where_silence_means_yes_info_says_so_and_run_takes_it(tmp_path: Path) -> None:
    project = excluding_project(tmp_path, BY_EXCLUSION)

    explained = dbmigrate("info", "--explain", "metrics.Item", "--format", "json", cwd=tmp_path).expect(0)
    dbmigrate("run", "--app", "metrics", cwd=tmp_path).expect(0)
    refused = dbmigrate("run", "--app", "metrics", "--database", "default", cwd=tmp_path).expect(2)

    assert [
        (entry["alias"], entry["belongs"], entry["because"]) for entry in explained.json["result"]["databases"]
    ] == [
        ("default", False, "routers"),
        ("metrics_db", True, "silence"),
    ]
    assert project.tables() == {"metrics": {"django_migrations", "metrics_item"}}
    assert "app metrics is not routed to default; it belongs on metrics_db" in refused.stderr


def test_silence_on_several_databases_puts_it_on_each(tmp_path: Path) -> None:
    project = excluding_project(tmp_path, REFUSING_DEFAULT, "eu", "us")

    dbmigrate("all", cwd=tmp_path).expect(0)

    assert project.tables() == {
        "default": {"django_migrations", "shop_item", "core_item"},
        "eu": {"django_migrations", "metrics_item"},
        "us": {"django_migrations", "metrics_item"},
    }


SPLIT = {
    "models.py": model("Order") + "\n\nclass Hit(models.Model):\n    name = models.CharField(max_length=20)\n"
    "    tags = models.ManyToManyField('self')\n",
    "migrations/0001_initial.py": migration(create("Order"), create("Visit")),
    "migrations/0002_hit.py": migration(
        'migrations.RenameModel("Visit", "Hit")',
        'migrations.AddField("Hit", "tags", models.ManyToManyField(to="shop.Hit"))',
        after=(("shop", "0001_initial"),),
    ),
}

SPLITTING = """\
HITS = ("hit", "visit")

class Router:
    def allow_migrate(self, db, app_label, model_name=None, **hints):
        if app_label == "shop" and model_name in HITS and db == "default":
            return False
        if app_label == "shop" and model_name == "refund" and db == "hits":
            return False
        return None
"""


@pytest.mark.parametrize("launcher", ["fork", pytest.param("spawn", marks=pytest.mark.soak)])
def test_an_app_split_by_exclusion_keeps_a_model_that_was_renamed(tmp_path: Path, launcher: str) -> None:
    project = write_project(
        tmp_path, {"shop": SPLIT, "core": simple_app()}, aliases=("default", "hits"), settings=ROUTED
    )
    project.write("routers.py", SPLITTING)

    dbmigrate("all", "--launcher", launcher, cwd=tmp_path).expect(0)

    assert project.tables() == {
        "default": {"django_migrations", "shop_order", "core_item"},
        "hits": {"django_migrations", "shop_hit", "shop_hit_tags"},
    }
    dbmigrate("verify", cwd=tmp_path).expect(0)


def test_apps_without_models_go_where_they_are_not_refused(tmp_path: Path) -> None:
    view = {"migrations/0001_initial.py": migration('migrations.RunSQL("CREATE TABLE raw (id integer)")')}
    only_read = {
        "models.py": model("Old") + "\n    class Meta:\n        managed = False\n",
        "migrations/0001_initial.py": migration(create("Old").replace(")])", ')], options={"managed": False})')),
    }
    project = write_project(
        tmp_path, {"raw": view, "ancient": only_read}, aliases=("default", "raw_db", "ancient_db"), settings=ROUTED
    )
    project.write(
        "routers.py",
        """
        class Router:
            def allow_migrate(self, db, app_label, **hints):
                return False if db != f"{app_label}_db" else None
        """,
    )

    dbmigrate("all", cwd=tmp_path).expect(0)

    assert project.tables() == {"default": {"django_migrations"}, "raw": {"django_migrations", "raw"}}


def test_tables_without_migrations_are_made_where_silence_means_yes(tmp_path: Path) -> None:
    project = write_project(
        tmp_path,
        {"metrics": {"models.py": model()}, "shop": simple_app(), "core": simple_app()},
        aliases=("default", "metrics_db"),
        settings=ROUTED,
    )
    project.write("routers.py", BY_EXCLUSION)

    dbmigrate("all", "--run-syncdb", cwd=tmp_path).expect(0)

    assert project.tables() == {
        "default": {"django_migrations", "shop_item", "core_item"},
        "metrics": {"metrics_item"},
    }


def make_older_site(file: Path, *, recorded: bool) -> bytes:
    """Make a database of another site with tables of the same names; return its content."""
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(
            "CREATE TABLE auth_user (id integer PRIMARY KEY, login text);"
            "CREATE TABLE auth_group (id integer PRIMARY KEY, label text);"
            "CREATE TABLE shop_item (id integer PRIMARY KEY, old text);"
        )
        if recorded:
            connection.executescript(
                "CREATE TABLE django_migrations (id integer PRIMARY KEY, app text, name text, applied text);"
                "INSERT INTO django_migrations VALUES (1, 'auth', '0001_initial', '2019-03-01 10:00:00');"
                "INSERT INTO django_migrations VALUES (2, 'shop', '0001_initial', '2019-03-02 10:00:00');"
            )
        connection.commit()
    return file.read_bytes()


@pytest.mark.soak
@pytest.mark.parametrize(
    ("recorded", "launcher"),
    combinations((True, False), ("fork", "spawn"), quick=[(True, "fork"), (False, "fork")]),
)
def test_an_older_site_with_tables_of_the_same_names_is_left_as_it_is(
    tmp_path: Path, recorded: bool, launcher: str
) -> None:
    project = write_project(tmp_path, {"shop": simple_app()}, aliases=("default", "legacy"), contrib=AUTH)
    before = make_older_site(project.database("legacy"), recorded=recorded)

    dbmigrate("plan", cwd=tmp_path).expect(0)
    done = dbmigrate("all", "--launcher", launcher, cwd=tmp_path).expect(0)

    there = (
        "it has 2 migrations of this project recorded, the last on 2019-03-02 (shop.0001_initial)"
        if recorded
        else "it has 3 tables and no migration of this project recorded"
    )
    assert f"database legacy is skipped: no router and no rule says what belongs there; {there}" in done.stderr
    assert "dbmigrate run --database legacy" in done.stderr
    assert "shop_item" in tables(project.database("default"))
    assert project.database("legacy").read_bytes() == before
    for command in (("check",), ("verify",), ("status", "--exit-code")):
        dbmigrate(*command, cwd=tmp_path).expect(0)
    assert project.database("legacy").read_bytes() == before


@pytest.mark.soak
def test_an_older_site_on_a_server_is_left_as_it_is(tmp_path: Path, postgresql: PostgresqlServer) -> None:
    older, entry = postgresql.create_database(), postgresql.create_database()
    with postgresql.session(older) as cursor:
        for table in ("auth_user", "auth_group", "shop_item"):
            cursor.execute(f"CREATE TABLE {table} (id int)")
    write_project(tmp_path, {"shop": simple_app()}, aliases={"default": entry, "legacy": older}, contrib=AUTH)

    dbmigrate("all", cwd=tmp_path).expect(0)

    assert postgresql.tables(older) == {"auth_user", "auth_group", "shop_item"}


def test_what_a_run_made_stays_where_some_router_speaks_of_the_database(tmp_path: Path) -> None:
    project = write_project(tmp_path, {"shop": simple_app(), "blog": simple_app()}, aliases=("default", "blog_db"))
    dbmigrate("run", "--database", "blog_db", cwd=tmp_path).expect(0)
    project.append("site_settings.py", ROUTED)
    project.write(
        "routers.py",
        """
        class Router:
            def allow_migrate(self, db, app_label, **hints):
                return db == "blog_db" if app_label == "blog" else None
        """,
    )
    project.write("shop/migrations/0002_more.py", migration(create("More"), after=(("shop", "0001_initial"),)))
    project.append("shop/models.py", "class More(models.Model):\n    name = models.CharField(max_length=20)\n")
    project.write(
        "shop/migrations/0003_size.py",
        migration(
            'migrations.AddField("Item", "size", models.IntegerField(default=1))', after=(("shop", "0002_more"),)
        ),
    )
    project.write(
        "shop/models.py",
        model("Item", "name = models.CharField(max_length=20)", "size = models.IntegerField(default=1)"),
    )
    project.append("shop/models.py", "class More(models.Model):\n    name = models.CharField(max_length=20)\n")

    dbmigrate("all", cwd=tmp_path).expect(0)

    with closing(sqlite3.connect(project.database("blog_db"))) as connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(shop_item)")]
    assert columns == ["id", "name", "size"]
    assert tables(project.database("blog_db")) == {"django_migrations", "shop_item", "blog_item"}


EMPTY_DEFAULT = """\
DATABASES["default"] = {}
DATABASE_ROUTERS = ["routers.Router"]
"""


def test_a_model_about_which_nobody_says_no_is_never_without_a_table_in_silence(tmp_path: Path) -> None:
    project = write_project(
        tmp_path, {"shop": simple_app(), "blog": simple_app()}, aliases=("default", "blog_db"), settings=EMPTY_DEFAULT
    )
    project.write(
        "routers.py",
        """
        class Router:
            def allow_migrate(self, db, app_label, **hints):
                return db == "blog_db" if app_label == "blog" else None
        """,
    )

    refused = dbmigrate("all", cwd=tmp_path).expect(13)
    assert project.tables() == {}
    dbmigrate("run", "--app", "blog", cwd=tmp_path).expect(0)
    again = dbmigrate("all", cwd=tmp_path).expect(13)

    assert (
        "error: DBM204: app shop belongs on no database: the routers say nothing on default and blog_db, "
        "default has no ENGINE, so it has no tables"
    ) in refused.stderr
    assert "DBM204" in again.stderr
    assert project.tables() == {"blog": {"django_migrations", "blog_item"}}


def test_a_model_that_is_refused_everywhere_is_a_warning_that_says_who_refuses(tmp_path: Path) -> None:
    project = write_project(
        tmp_path, {"shop": simple_app(), "blog": simple_app()}, aliases=("default", "blog_db"), settings=ROUTED
    )
    project.write(
        "routers.py",
        """
        class Router:
            def allow_migrate(self, db, app_label, **hints):
                return db == "default" and app_label != "blog"
        """,
    )

    done = dbmigrate("all", cwd=tmp_path).expect(0)

    assert (
        "warning: DBM204: app blog belongs on no database: the routers say no on default and blog_db, "
        "so it has no tables"
    ) in done.stderr


def test_a_data_migration_may_name_its_hints_as_it_likes(tmp_path: Path) -> None:
    hints = '{"alias": "default", "hints": 1, "entry": 2, "method": 3, "model_name": "gone"}'
    fill = migration(
        f"migrations.RunPython(migrations.RunPython.noop, hints={hints})",
        f"migrations.RunPython(fill, fill, hints={hints})",
        after=(("metrics", "0001_initial"),),
        head="def fill(apps, schema_editor):\n    print('filled', schema_editor.connection.alias)\n",
    )
    project = excluding_project(tmp_path, REFUSING_DEFAULT)
    project.write("metrics/migrations/0002_fill.py", fill)

    dbmigrate("plan", cwd=tmp_path).expect(0)
    done = dbmigrate("all", "--verbose", cwd=tmp_path).expect(0)
    dbmigrate("status", "--exit-code", cwd=tmp_path).expect(0)

    assert "filled metrics_db" in done.stdout + done.stderr


@pytest.mark.soak
def test_check_looks_at_each_table_that_belongs_somewhere_by_what_a_run_made_or_by_decision(tmp_path: Path) -> None:
    project = write_project(tmp_path, {"shop": simple_app(), "blog": simple_app()}, aliases=("default", "blog_db"))
    project.write("pyproject.toml", '[tool.dbmigrate]\ndatabases.blog_db.open = "migrate"\n')
    dbmigrate("all", cwd=tmp_path).expect(0)
    with closing(sqlite3.connect(project.database("blog_db"))) as connection:
        connection.execute("ALTER TABLE shop_item ADD COLUMN stray integer NOT NULL DEFAULT 0")
        connection.execute("PRAGMA writable_schema = 1")
        connection.execute("UPDATE sqlite_master SET sql = replace(sql, 'NOT NULL DEFAULT 0', 'NOT NULL')")
        connection.commit()

    decided = dbmigrate("check", cwd=tmp_path).expect(12)
    project.append("site_settings.py", ROUTED)
    project.write(
        "routers.py",
        """
        class Router:
            def allow_migrate(self, db, app_label, **hints):
                return db == "blog_db" if app_label == "blog" else None
        """,
    )
    project.write("pyproject.toml", "")
    made = dbmigrate("check", cwd=tmp_path).expect(12)
    project.write("pyproject.toml", '[tool.dbmigrate]\ndatabases.blog_db.open = "migrate"\n')
    (tmp_path / "routers.py").write_text("class Router:\n    pass\n")
    with closing(sqlite3.connect(project.database("blog_db"))) as connection:
        connection.execute("DROP TABLE shop_item")
    dropped = dbmigrate("check", cwd=tmp_path).expect(12)

    for outcome in (decided, made):
        assert "column stray of shop_item on blog_db is in no model of this code" in outcome.stdout
    assert "DBM301" not in made.stdout
    assert "shop.0001_initial is recorded on blog_db, but its table shop_item (shop.item) is missing" in dropped.stdout


def test_a_model_that_this_server_cannot_hold_is_not_missed_there(tmp_path: Path) -> None:
    required: dict[str, dict[str, object]] = {
        "Area": {"required_db_features": ["gis_enabled"]},
        "Ledger": {"required_db_vendor": "postgresql"},
        "Sealed": {"required_db_features": ["can_release_savepoints", "has_no_such_feature"]},
    }
    models = "".join(
        f"class {name}(models.Model):\n    name = models.TextField()\n    class Meta:\n        {key} = {value!r}\n"
        for name, options in required.items()
        for key, value in options.items()
    )
    made = [
        create(name, '("name", models.TextField())')[:-1] + f", options={options!r})"
        for name, options in required.items()
    ]
    blog = {"models.py": model() + models, "migrations/0001_initial.py": migration(create(), *made)}
    project = write_project(tmp_path, {"blog": blog}, aliases=("default", "blog_db"), rules={"blog": "blog_db"})

    dbmigrate("all", cwd=tmp_path).expect(0)

    assert tables(project.database("blog_db")) == {"django_migrations", "blog_item"}
    verify, *_ = looks({"verify": 0, "check": 0, "plan --exit-code": 0}, cwd=tmp_path)
    assert "blog_db   1                   0                0        none" in verify.stdout


ATTRIBUTE_ROUTER = """
class Router:
    def allow_migrate(self, db, app_label, model_name=None, **hints):
        database = getattr(hints.get("model"), "database", {})
        return None if database is None else db == database
"""


def attribute_project(folder: Path, otherwise: str) -> Project:
    """Write a project whose router reads an attribute of a model's class, `otherwise` where it has none."""
    attribute = 'database = "blog_db"'
    apps = {
        "blog": {
            "models.py": model("Item", attribute, "name = models.CharField(max_length=20)"),
            "migrations/0001_initial.py": simple_app()["migrations/0001_initial.py"],
        },
        "shop": simple_app(),
    }
    project = write_project(folder, apps, aliases=("default", "blog_db"), settings=ROUTED)
    project.write("routers.py", ATTRIBUTE_ROUTER.format(otherwise))
    return project


def test_a_router_that_reads_the_projects_class_is_found_before_migrate_makes_its_table_elsewhere(
    tmp_path: Path,
) -> None:
    project = attribute_project(tmp_path, '"default"')

    refused = dbmigrate("all", cwd=tmp_path).expect(13)
    ignored = dbmigrate("all", cwd=tmp_path, environment={"DBMIGRATE_IGNORE": "DBM211"}).expect(12)

    assert (
        "DBM211: router routers.Router allows blog.item on blog_db, but refuses it when migrate asks, so migrate "
        "neither creates nor changes its table there (routers.py:3)"
    ) in refused.stderr
    assert tables(project.database("blog_db")) == {"django_migrations"}
    assert "blog_item" in tables(project.database("default")), ignored


def test_a_router_without_an_opinion_when_migrate_asks_puts_no_table_on_default(tmp_path: Path) -> None:
    project = attribute_project(tmp_path, "None")

    dbmigrate("all", cwd=tmp_path).expect(0)

    assert tables(project.database("blog_db")) == {"django_migrations", "blog_item"}
    assert tables(project.database("default")) == {"django_migrations", "shop_item"}
