"""`dbmigrate all` and `run` on real projects, through the real executable."""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest
from support.cli import Outcome, dbmigrate, looks, manage
from support.environments import EVERY_DJANGO, environment
from support.plain import after_plain_commands, read_databases
from support.postgresql import PostgresqlServer
from support.projects import (
    Project,
    applied,
    copy_sample,
    create,
    failing,
    migration,
    model,
    simple_app,
    write_project,
)

DOCS_ROUTER = """\
class BlogRouter:
    # The kind of router that Django's documentation shows: it speaks for its own app alone.
    def allow_migrate(self, db, app_label, model_name=None, **hints):
        if app_label == "blog":
            return db == "blog_db"
        return None
"""

CONTRIB = ("django.contrib.auth", "django.contrib.contenttypes")

BLOG_WITH_AUTHOR = {
    "models.py": model(
        "Post",
        'author = models.ForeignKey("auth.User", models.DO_NOTHING, db_constraint=False, related_name="+")',
    ),
    "migrations/0001_initial.py": migration(
        create(
            "Post",
            '("author", models.ForeignKey(db_constraint=False, on_delete=models.DO_NOTHING, related_name="+",'
            ' to="auth.user"))',
        ),
        after=(("auth", "0001_initial"),),
    ),
}


def statuses(outcome: Outcome) -> dict[str, str]:
    """Return the status of every database by its alias, from the JSON answer."""
    return {entry["alias"]: entry["status"] for entry in outcome.json["result"]["run"]["databases"]}


def count_boots(project: Project, settings: str = "myproj/settings.py") -> Path:
    """Let the project write a line to the returned file each time its settings are imported."""
    log = project.root.parent / "boots.log"
    project.append(settings, f"open({str(log)!r}, 'a').write('boot\\n')")
    return log


@pytest.mark.parametrize("name", EVERY_DJANGO)
def test_the_sample_is_migrated_as_plain_django_would(name: str, tmp_path: Path) -> None:
    python = environment(name)
    ours, plain = copy_sample(tmp_path / "ours"), copy_sample(tmp_path / "plain")
    commands = ("migrate --database=default", "migrate blog --database=blog_db", "migrate shop --database=shop_db")
    expected = after_plain_commands(plain, *commands, python=python)

    outcome = dbmigrate("all", "--settings", "myproj.settings", "--python", python, cwd=ours.root).expect(0)

    assert read_databases(ours) == expected
    assert outcome.stdout.endswith("Constance migrated successfully\nAll migrations completed successfully\n")
    assert "Nothing pending" in dbmigrate("all", "--python", python, cwd=ours.root).expect(0).stdout


@pytest.mark.soak
def test_a_log_says_what_people_who_come_from_django_cfg_look_for(sample: Project) -> None:
    outcome = dbmigrate("all", "--jobs", "1", cwd=sample.root).expect(0)

    spoken = [line for line in outcome.stderr.splitlines() if "Applying" not in line]
    assert spoken == [
        "Migrating all databases...",
        "No changes detected",
        "[default] Migrating database: default",
        "[default] Migrating all apps...",
        "[default] Migrations completed for default",
        "[blog_db] Migrating database: blog_db",
        "[blog_db] Migrating app: blog",
        "[blog_db] Migrations completed for blog_db",
        "[shop_db] Migrating database: shop_db",
        "[shop_db] Migrating app: shop",
        "[shop_db] Migrations completed for shop_db",
    ]
    assert "[blog_db] Applying blog.0003_post_slug (5 of 6)" in outcome.stderr


def test_nothing_pending_costs_exactly_one_boot(migrated_sample: Project) -> None:
    log = count_boots(migrated_sample)

    dbmigrate("all", cwd=migrated_sample.root).expect(0)

    assert log.read_text() == "boot\n"


def test_changed_models_are_written_down_and_migrated(migrated_sample: Project) -> None:
    text = (migrated_sample.root / "shop/models.py").read_text()
    migrated_sample.write("shop/models.py", text.replace("max_length=200", "max_length=300"))

    planned = dbmigrate("plan", "--exit-code", cwd=migrated_sample.root).expect(11)
    outcome = dbmigrate("all", cwd=migrated_sample.root).expect(0)

    assert "shop: Alter field name on product" in planned.stdout
    assert "Migrations written: shop.0004_alter_product_name" in outcome.stderr
    assert applied(migrated_sample.database("shop_db"))[-1] == "shop.0004_alter_product_name"


@pytest.mark.soak
def test_a_new_app_whose_migrations_are_still_to_be_written_is_routed_already(tmp_path: Path) -> None:
    # As `manage.py startapp` leaves it: a migrations package, and nothing in it.
    project = write_project(
        tmp_path,
        {"core": simple_app(), "blog": {"models.py": model(), "migrations/__init__.py": ""}},
        aliases=("default", "blog_db"),
        rules={"blog": "blog_db"},
    )

    planned = dbmigrate("plan", cwd=project.root).expect(0)
    named = dbmigrate("run", "--app", "blog", cwd=project.root).expect(0)
    outcome = dbmigrate("all", cwd=project.root).expect(0)

    assert "  blog: its new migration goes to blog_db" in planned.stdout
    assert "warning" not in planned.stdout
    assert "warning: DBM101: the models of blog changed" in named.stderr
    assert "warning" not in outcome.stderr
    assert "Migrations written: blog.0001_initial" in outcome.stderr
    assert "blog_item" in project.tables()["blog"]


@pytest.mark.soak
def test_with_skip_makemigrations_changed_models_are_a_warning(sample: Project) -> None:
    text = (sample.root / "shop/models.py").read_text()
    sample.write("shop/models.py", text.replace("max_length=200", "max_length=300"))

    outcome = dbmigrate("all", "--skip-makemigrations", cwd=sample.root).expect(0)

    assert "warning: DBM101: the models of shop changed" in outcome.stderr
    assert not list((sample.root / "shop/migrations").glob("0004*"))


@pytest.mark.parametrize("command", ["status", "plan"])
def test_the_exit_code_says_that_something_is_pending_where_it_is_asked_for(sample: Project, command: str) -> None:
    dbmigrate(command, "--exit-code", cwd=sample.root).expect(10)


def test_one_app_on_one_database(sample: Project) -> None:
    dbmigrate("run", "--database", "blog_db", "--app", "blog", cwd=sample.root).expect(0)

    assert sample.tables() == {"blog": {"django_migrations", "blog_post", "blog_tag", "blog_post_tags"}}


def test_an_app_alone_goes_wherever_it_is_routed_to(sample: Project) -> None:
    dbmigrate("run", "--app", "shop", cwd=sample.root).expect(0)

    assert list(sample.tables()) == ["shop"]


def test_run_auto_does_what_all_does(sample: Project) -> None:
    outcome = dbmigrate("run", "--auto", cwd=sample.root).expect(0)

    assert list(sample.tables()) == ["blog", "default", "shop"]
    assert "Constance migrated successfully" in outcome.stdout


def test_going_back_to_a_migration_and_forth_again(migrated_sample: Project) -> None:
    back = dbmigrate("run", "--app", "blog", "--to", "0002", "--format", "json", cwd=migrated_sample.root).expect(0)

    undone = next(entry for entry in back.json["result"]["run"]["databases"] if entry["alias"] == "blog_db")
    assert undone["undone"] == ["blog.0004_fill_slugs", "blog.0003_post_slug"]
    assert [name for name in applied(migrated_sample.database("blog_db")) if name.startswith("blog.")] == [
        "blog.0001_initial",
        "blog.0002_tags",
    ]
    dbmigrate("run", "--app", "blog", cwd=migrated_sample.root).expect(0)
    assert "blog.0004_fill_slugs" in applied(migrated_sample.database("blog_db"))


def shop_and_reviews(folder: Path) -> Project:
    """Return a project of `shop` on shop_db and `reviews` on default, whose migration comes after that of shop."""
    reviews = {
        "models.py": model(),
        "migrations/0001_initial.py": migration(create(), after=(("shop", "0001_initial"),)),
    }
    return write_project(
        folder / "site",
        {"shop": simple_app(), "reviews": reviews},
        aliases=("default", "shop_db"),
        rules={"shop": "shop_db"},
    )


def test_undoing_what_another_database_depends_on_is_told_as_done(tmp_path: Path) -> None:
    project = shop_and_reviews(tmp_path)
    manage("migrate", "--database=shop_db", cwd=project.root)

    dbmigrate("run", "--app", "shop", "--to", "zero", cwd=project.root).expect(0)

    assert applied(project.database("shop_db")) == []


@pytest.mark.soak
def test_with_scope_database_migrate_finds_nothing_more_to_record(tmp_path: Path) -> None:
    project = shop_and_reviews(tmp_path)
    project.write("pyproject.toml", '[tool.dbmigrate]\ndatabases.shop_db.scope = "database"\n')

    report = dbmigrate("all", "--format", "json", cwd=project.root).expect(0).json["result"]["run"]
    project.write(
        "reviews/migrations/0002_nothing.py",
        migration("migrations.RunPython(print)", after=(("reviews", "0001_initial"),)),
    )
    plan = dbmigrate("plan", "--exit-code", "--skip-makemigrations", cwd=project.root).expect(10)
    dbmigrate("all", "--skip-makemigrations", cwd=project.root).expect(0)

    assert {row["alias"]: row["only_recorded"] for row in report["databases"]} == {"default": 1, "shop_db": 1}
    assert "manage.py migrate --database=shop_db" in plan.stdout
    manage("migrate", "--check", "--database=shop_db", cwd=project.root)


def test_faking_records_without_running(sample: Project) -> None:
    dbmigrate("run", "--app", "shop", "--fake", cwd=sample.root).expect(0)

    assert "shop.0003_order_index" in applied(sample.database("shop_db"))
    assert sample.tables()["shop"] == {"django_migrations"}


@pytest.mark.soak
@pytest.mark.parametrize("name", ["django32", "newest"])
def test_with_the_router_of_djangos_docs_no_table_lands_where_it_does_not_belong(name: str, tmp_path: Path) -> None:
    project = write_project(
        tmp_path,
        {"blog": BLOG_WITH_AUTHOR},
        aliases=("default", "blog_db"),
        contrib=CONTRIB,
        settings='DATABASE_ROUTERS = ["docs_router.BlogRouter"]',
    )
    project.write("docs_router.py", DOCS_ROUTER)

    dbmigrate("all", "--python", environment(name), cwd=project.root).expect(0)

    assert project.tables()["blog"] == {"django_migrations", "blog_post"}
    assert "auth_user" in project.tables()["default"]
    assert "blog_post" not in project.tables()["default"]
    assert "auth.0001_initial" in applied(project.database("blog_db"))
    assert "Nothing pending" in dbmigrate("all", "--python", environment(name), cwd=project.root).stdout


@pytest.mark.soak
def test_rules_without_a_router_are_followed_with_a_warning(tmp_path: Path) -> None:
    project = write_project(
        tmp_path,
        {"blog": BLOG_WITH_AUTHOR},
        aliases=("default", "blog_db"),
        contrib=CONTRIB,
        settings='DATABASE_ROUTING_RULES = {"blog": "blog_db"}',
    )

    shown = [outcome.stdout for outcome in looks(["plan", "check"], cwd=project.root)]
    outcome = dbmigrate("all", cwd=project.root).expect(0)

    assert "warning: DBM203: no router has an allow_migrate that follows DATABASE_ROUTING_RULES" in outcome.stderr
    for text in (*shown, outcome.stderr):
        end = 'settings.DATABASE_ROUTING_RULES.get(app_label, "default")\n'
        compile(text[text.index("from django.conf") : text.index(end) + len(end)], "what is pasted", "exec")
    assert project.tables()["blog"] == {"django_migrations", "blog_post"}
    assert "blog_post" not in project.tables()["default"]


def test_without_routers_and_rules_the_other_databases_are_skipped_with_a_warning(tmp_path: Path) -> None:
    project = write_project(tmp_path, {"core": simple_app()}, aliases=("default", "archive"))

    outcome = dbmigrate("all", cwd=project.root).expect(0)

    assert "warning: DBM206: database archive is skipped" in outcome.stderr
    assert list(project.tables()) == ["default"]

    dbmigrate("run", "--database", "archive", cwd=project.root).expect(0)
    assert "core_item" in project.tables()["archive"]


def test_a_replica_and_an_excluded_database_are_left_alone(tmp_path: Path) -> None:
    project = write_project(
        tmp_path,
        {"core": simple_app()},
        aliases={
            "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "default.sqlite3"},
            "mirror": {"ENGINE": "django.db.backends.sqlite3", "NAME": "m.sqlite3", "TEST": {"MIRROR": "default"}},
            "old": {"ENGINE": "django.db.backends.sqlite3", "NAME": "old.sqlite3"},
        },
    )
    project.write("pyproject.toml", '[tool.dbmigrate]\nexclude = ["old"]\n')

    outcome = dbmigrate("all", "--format", "json", cwd=project.root).expect(0)

    assert statuses(outcome) == {"default": "migrated", "mirror": "skipped", "old": "skipped"}
    assert list(project.tables()) == ["default"]


def test_an_app_split_model_by_model_has_each_table_once(tmp_path: Path) -> None:
    both = "class Item(models.Model):\n    pass\n\n\nclass Order(models.Model):\n    pass\n"
    fields = '[("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"))]'
    project = write_project(
        tmp_path,
        {
            "shop": {
                "models.py": f"from django.db import models\n\n\n{both}",
                "migrations/0001_initial.py": migration(
                    f'migrations.CreateModel("Item", {fields})', f'migrations.CreateModel("Order", {fields})'
                ),
            }
        },
        aliases=("default", "orders"),
        settings='DATABASE_ROUTERS = ["split.Router"]',
    )
    project.write(
        "split.py",
        """\
        class Router:
            def allow_migrate(self, db, app_label, model_name=None, **hints):
                return db == ("orders" if model_name == "order" else "default")
        """,
    )

    dbmigrate("all", cwd=project.root).expect(0)

    assert project.tables() == {
        "default": {"django_migrations", "shop_item"},
        "orders": {"django_migrations", "shop_order"},
    }


@pytest.mark.parametrize(("flags", "environment"), [(("--keep-going",), {}), ((), {"DBMIGRATE_KEEP_GOING": "1"})])
def test_keep_going_leaves_out_only_what_needs_the_failed_database(
    tmp_path: Path, flags: tuple[str, ...], environment: dict[str, str]
) -> None:
    broken = {
        "models.py": model(),
        "migrations/0001_initial.py": migration("migrations.RunPython(fail)", head=failing()),
    }
    needs_blog = simple_app()
    needs_blog["migrations/0001_initial.py"] = migration(create(), after=(("blog", "0001_initial"),))
    project = write_project(
        tmp_path,
        {"core": simple_app(), "blog": broken, "shop": simple_app(), "news": needs_blog},
        aliases=("default", "blog_db", "shop_db", "news_db"),
        rules={"blog": "blog_db", "shop": "shop_db", "news": "news_db"},
    )

    words = ("all", "--skip-makemigrations", "--format", "json", *flags)
    outcome = dbmigrate(*words, cwd=project.root, environment=environment).expect(31)

    assert statuses(outcome) == {
        "default": "migrated",
        "blog_db": "failed",
        "shop_db": "migrated",
        "news_db": "not-run",
    }


def test_a_post_migrate_handler_that_fails_is_told_apart_from_a_migration(tmp_path: Path) -> None:
    project = write_project(
        tmp_path,
        {
            "core": {
                **simple_app(),
                "apps.py": """\
                from django.apps import AppConfig
                from django.db.models.signals import post_migrate

                def sync(**kwargs):
                    raise RuntimeError("no permission service")

                class CoreConfig(AppConfig):
                    name = "core"

                    def ready(self):
                        post_migrate.connect(sync)
                """,
            }
        },
    )

    outcome = dbmigrate("all", cwd=project.root).expect(31)

    assert "failed: a post_migrate handler failed after every migration was applied" in outcome.stderr
    assert applied(project.database("default")) == ["core.0001_initial"]


def test_receivers_of_the_project_run_although_nothing_is_pending(tmp_path: Path) -> None:
    project = write_project(
        tmp_path,
        {
            "core": {
                **simple_app(),
                "apps.py": """\
                from django.apps import AppConfig
                from django.db.models.signals import post_migrate

                def sync(using, **kwargs):
                    print("synced", using)

                class CoreConfig(AppConfig):
                    name = "core"

                    def ready(self):
                        post_migrate.connect(sync, sender=self)
                """,
            },
            "blog": simple_app(),
        },
        aliases=("default", "blog_db"),
        rules={"blog": "blog_db"},
    )
    dbmigrate("all", cwd=project.root).expect(0)

    plan = dbmigrate("plan", cwd=project.root).expect(0)
    outcome = dbmigrate("all", "-v", cwd=project.root).expect(0)
    report = dbmigrate("all", "--format", "json", cwd=project.root).expect(0).json["result"]["run"]
    saving = dbmigrate("all", "-v", cwd=project.root, environment={"DBMIGRATE_RECEIVERS": "pending"}).expect(0)

    because = "nothing is pending; migrate runs because it calls core.apps.sync (post_migrate)"
    way_out = 'to avoid it: receivers = "pending" under [tool.dbmigrate]'
    assert f"1. default: {because}" in plan.stdout
    assert f"2. blog_db:blog: {because}" in plan.stdout
    for alias in ("default", "blog_db"):
        assert f"[{alias}] {because}" in outcome.stderr
        assert f"synced {alias}" in outcome.stderr
    assert outcome.stdout.count("nothing was pending; ran for core.apps.sync (post_migrate)") == 2
    assert way_out in plan.stdout
    assert way_out in outcome.stdout
    assert [row["ran_for"] for row in report["databases"]] == [["core.apps.sync (post_migrate)"]] * 2
    assert "synced" not in saving.stderr
    assert saving.stdout.count("nothing pending") == 2


def test_only_receivers_that_migrate_would_call_and_that_are_not_djangos_start_a_process(tmp_path: Path) -> None:
    project = write_project(
        tmp_path,
        {
            "core": {
                **simple_app(),
                "apps.py": """                from functools import partial
                from django.apps import AppConfig
                from django.contrib.auth.management import create_permissions
                from django.db.models.signals import post_migrate, pre_migrate

                def sync(**kwargs):
                    raise AssertionError("nobody calls it")

                class Gone:
                    def sync(self, **kwargs):
                        raise AssertionError("it is gone")

                class CoreConfig(AppConfig):
                    name = "core"

                    def ready(self):
                        from django.apps import apps
                        post_migrate.connect(sync, sender=apps.get_app_config("bare"))
                        post_migrate.connect(sync, sender=CoreConfig)
                        pre_migrate.connect(sync, sender="core")
                        pre_migrate.connect(Gone().sync)
                        self.again = partial(create_permissions, verbosity=0)
                        post_migrate.connect(self.again, sender=self)
                """,
            },
            "bare": {"views.py": ""},
        },
        contrib=("django.contrib.contenttypes", "django.contrib.auth"),
    )
    dbmigrate("all", cwd=project.root).expect(0)

    outcome = dbmigrate("all", "-v", cwd=project.root).expect(0)

    assert "default   unchanged  nothing pending\n" in outcome.stdout


def test_a_receiver_with_the_name_of_one_of_djangos_is_none_of_djangos(tmp_path: Path) -> None:
    apps = """\
    from functools import wraps
    from django.apps import AppConfig
    from django.contrib.contenttypes.management import create_contenttypes
    from django.db.models.signals import post_migrate

    @wraps(create_contenttypes)
    def louder(*args, **kwargs):
        print("louder")

    class CoreConfig(AppConfig):
        name = "core"

        def ready(self):
            post_migrate.connect(louder)
    """
    project = write_project(
        tmp_path, {"core": {**simple_app(), "apps.py": apps}}, contrib=("django.contrib.contenttypes",)
    )
    dbmigrate("all", cwd=project.root).expect(0)

    assert "louder" in dbmigrate("all", "-v", cwd=project.root).expect(0).stderr


def test_a_replaced_migrate_command_runs_although_nothing_is_pending(tmp_path: Path) -> None:
    project = write_project(
        tmp_path,
        {
            "core": {
                **simple_app(),
                "management/__init__.py": "",
                "management/commands/__init__.py": "",
                "management/commands/migrate.py": (
                    "from django.core.management.commands.migrate import Command as Base\n\n"
                    "class Command(Base):\n    pass\n"
                ),
            }
        },
    )
    dbmigrate("all", cwd=project.root).expect(0)

    assert "because core replaces the migrate command" in dbmigrate("all", cwd=project.root).expect(0).stderr


@pytest.mark.soak
def test_an_app_without_migrations_gets_its_tables_with_run_syncdb(tmp_path: Path) -> None:
    project = write_project(tmp_path, {"core": simple_app(), "plain": {"models.py": model()}})

    warned = dbmigrate("all", cwd=project.root).expect(0)
    assert "warning: DBM104: app plain has models but no migrations" in warned.stderr
    assert (
        "   hint: for migrations:\n"
        "           dbmigrate make plain\n"
        "         for tables without migrations:\n"
        "           dbmigrate all --run-syncdb\n"
    ) in warned.stderr
    assert "plain_item" not in project.tables()["default"]

    planned = dbmigrate("plan", "--run-syncdb", cwd=project.root).expect(0)
    done = dbmigrate("all", "--run-syncdb", cwd=project.root).expect(0)
    again = dbmigrate("all", "--run-syncdb", cwd=project.root).expect(0)

    assert "plain_item" in project.tables()["default"]
    assert "1. default: 1 table by --run-syncdb (plain.item)" in planned.stdout
    assert "1 table by --run-syncdb (plain.item)" in done.stdout
    assert "All migrations completed successfully" in done.stdout
    assert "Nothing pending: every database is up to date" in again.stdout
    assert "DBM104" not in planned.stdout + done.stderr + again.stderr


def test_a_table_made_by_run_syncdb_before_a_migration_failed_has_moved_its_database(tmp_path: Path) -> None:
    broken = {
        "models.py": model(),
        "migrations/0001_initial.py": migration("migrations.RunPython(fail)", head=failing()),
    }
    project = write_project(tmp_path, {"core": broken, "plain": {"models.py": model()}})

    planned = dbmigrate("plan", "--run-syncdb", "--format", "json", cwd=project.root).expect(0).json["result"]["plan"]
    ended = dbmigrate("all", "--run-syncdb", "--format", "json", cwd=project.root).expect(31).json["result"]["run"]

    assert [step["synced"] for step in planned["steps"]] == [["plain.item"]]
    database = ended["databases"][0]
    assert (database["status"], database["applied"], database["synced"]) == ("failed", [], ["plain.item"])


@pytest.mark.postgresql
def test_postgresql_databases_are_migrated_and_two_names_for_one_are_seen(
    tmp_path: Path, postgresql: PostgresqlServer
) -> None:
    main, blog = postgresql.create_database(), postgresql.create_database()
    project = write_project(
        tmp_path,
        {"blog": BLOG_WITH_AUTHOR},
        aliases={"default": main, "blog_db": blog, "copy": {**main, "TEST": {}}},
        contrib=CONTRIB,
        rules={"blog": "blog_db"},
    )

    outcome = dbmigrate("all", "--format", "json", cwd=project.root).expect(0)

    assert statuses(outcome) == {"default": "migrated", "blog_db": "migrated", "copy": "skipped"}
    assert postgresql.tables(blog) == {"django_migrations", "blog_post"}
    assert "auth_user" in postgresql.tables(main)
    assert "PostgreSQL" in dbmigrate("status", cwd=project.root).expect(0).stdout


@pytest.mark.postgresql
def test_a_failed_migration_on_postgresql_is_rolled_back_and_the_next_run_finishes(
    tmp_path: Path, postgresql: PostgresqlServer
) -> None:
    entry = postgresql.create_database()
    text = migration(create(), "migrations.RunSQL('SELECT no_such_function()')")
    app = {"models.py": model(), "migrations/0001_initial.py": text}
    project = write_project(tmp_path, {"core": app}, aliases={"default": entry})

    outcome = dbmigrate("all", cwd=project.root).expect(30)
    assert "the database rolled core.0001_initial back" in outcome.stderr
    assert postgresql.tables(entry) == {"django_migrations"}

    project.write("core/migrations/0001_initial.py", migration(create()))
    dbmigrate("all", cwd=project.root).expect(0)
    assert postgresql.tables(entry) == {"django_migrations", "core_item"}


def test_the_interpreter_that_dbmigrate_runs_in_is_used_where_there_is_no_other(sample: Project) -> None:
    outcome = dbmigrate("info", "--format", "json", cwd=sample.root).expect(0)

    choices = {entry["key"]: entry for entry in outcome.json["result"]["choices"]}
    assert choices["python"]["value"] == sys.executable


def test_a_project_without_a_default_database(tmp_path: Path) -> None:
    project = write_project(
        tmp_path,
        {"core": simple_app()},
        aliases=("default", "main"),
        settings='DATABASES["default"] = {}\nDATABASE_ROUTERS = ["main_router.Router"]',
    )
    project.write(
        "main_router.py",
        """\
        class Router:
            def db_for_read(self, model, **hints):
                return "main"

            db_for_write = db_for_read

            def allow_migrate(self, db, app_label, **hints):
                return db == "main"
        """,
    )

    outcome = dbmigrate("all", "--format", "json", cwd=project.root).expect(0)

    assert statuses(outcome) == {"default": "skipped", "main": "migrated"}
    assert project.tables() == {"main": {"django_migrations", "core_item"}}


@pytest.mark.soak
def test_an_app_of_squashed_migrations_is_migrated_and_nothing_is_pending_then(tmp_path: Path) -> None:
    squashed = migration(create()).replace(
        "    dependencies", '    replaces = [("core", "0001_initial"), ("core", "0002_more")]\n    dependencies'
    )
    app = {
        **simple_app(),
        "migrations/0002_more.py": migration(after=(("core", "0001_initial"),)),
        "migrations/0001_squashed_0002_more.py": squashed,
    }
    squash = "migrations/0001_squashed_0002_more.py"
    before = {path: text for path, text in app.items() if path != squash}
    fresh = write_project(tmp_path / "fresh", {"core": app})
    halfway = write_project(tmp_path / "halfway", {"core": before})
    dbmigrate("run", "--app", "core", "--to", "0001_initial", cwd=halfway.root).expect(0)
    halfway.write(f"core/{squash}", app[squash])

    refused = dbmigrate("run", "--app", "core", "--to", "0001_initial", cwd=fresh.root).expect(2)
    assert "migration 0001_initial is part of 0001_squashed_0002_more" in refused.stderr
    for project in (fresh, halfway):
        dbmigrate("all", cwd=project.root).expect(0)
        assert "Nothing pending" in dbmigrate("all", cwd=project.root).expect(0).stdout
        assert "core.0001_squashed_0002_more" in applied(project.database("default"))


def test_a_model_without_a_table_is_never_a_success(tmp_path: Path) -> None:
    project = write_project(
        tmp_path,
        {"core": simple_app(), "blog": simple_app()},
        aliases=("default", "blog_db"),
        rules={"blog": "blog_db"},
    )
    dbmigrate("all", cwd=project.root).expect(0)
    _execute(project, "blog_db", "DROP TABLE blog_item")

    nothing_pending = dbmigrate("all", cwd=project.root).expect(12)
    elsewhere = dbmigrate("run", "--app", "core", cwd=project.root).expect(0)
    project.write("core/migrations/0002_more.py", migration(after=(("core", "0001_initial"),)))
    migrated = dbmigrate("all", "--format", "json", cwd=project.root).expect(12).json
    left_out = dbmigrate("all", cwd=project.root, environment={"DBMIGRATE_IGNORE": "DBM301"}).expect(0)
    _execute(project, "blog_db", "INSERT INTO django_migrations VALUES (99, 'blog', '0002_dropped', '2026-01-01')")
    older_image = dbmigrate("all", cwd=project.root).expect(0)

    said = "error: blog.item has no table on blog_db, and no pending migration creates it"
    assert nothing_pending.stderr.splitlines()[-4:] == [
        said,
        "hint: to see what is missing, and how to create it:",
        "        dbmigrate verify --repair --database blog_db",
        "exit 12 (drift): database, migration records and code disagree",
    ]
    told = "a run continues and then exits with 12"
    assert [told in one.stderr for one in (nothing_pending, elsewhere, older_image)] == [True, False, False]
    assert "successfully" not in nothing_pending.stdout
    assert "is up to date" not in nothing_pending.stdout
    assert [database["without_table"] for database in migrated["result"]["run"]["databases"]] == [[], ["blog.item"]]
    assert all(said not in outcome.stderr for outcome in (elsewhere, left_out, older_image))


def _execute(project: Project, alias: str, statement: str) -> None:
    with closing(sqlite3.connect(project.database(alias))) as connection, connection:
        connection.execute(statement)


def test_a_migration_whose_name_has_a_space_is_named_where_it_fails(tmp_path: Path) -> None:
    second = migration("migrations.RunPython(fail)", head=failing(), after=(("core", "0001_initial"),))
    write_project(tmp_path, {"core": simple_app(**{"migrations/0002 fill-in.py": second})})

    failed = dbmigrate("all", cwd=tmp_path).expect(31)

    assert "[default] Applying core.0002 fill-in (2 of 2)" in failed.stderr
    assert "[default] failed: core.0002 fill-in" in failed.stderr
