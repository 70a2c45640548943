"""In which order databases are migrated whose data migrations need what others have."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support.cli import dbmigrate, looks
from support.mariadb import DRIVER
from support.projects import Project, create, migration, model, simple_app, write_project

FIRST = "0001_initial"

ROUTER = """\
class Router:
    homes = {homes!r}

    def home(self, model):
        return self.homes.get(model._meta.app_label, "default")

    def db_for_read(self, model, **hints):
        return self.home(model)

    db_for_write = db_for_read

    def allow_migrate(self, db, app_label, **hints):
        return db == self.homes.get(app_label, "default")
"""

MAKES = """
def go(apps, schema_editor):
    apps.get_model({label!r}, {model!r}).objects.create(name="editors")

def back(apps, schema_editor):
    apps.get_model({label!r}, {model!r}).objects.all().delete()
"""


def makes(label: str, *after: tuple[str, str], model: str = "Item") -> str:
    """Return a migration that makes a row of another app's model."""
    return migration("migrations.RunPython(go, back)", after=after, head=MAKES.format(label=label, model=model))


def routed(root: Path, apps: Mapping[str, Mapping[str, str]], homes: Mapping[str, str], **more: Any) -> Project:
    """Write a project whose apps live on these databases, `default` if they are not named."""
    aliases = tuple(dict.fromkeys(("default", *homes.values())))
    more["settings"] = f'DATABASE_ROUTERS = ["routers.Router"]\n{more.get("settings", "")}'
    project = write_project(root, apps, aliases=aliases, **more)
    project.write("routers.py", ROUTER.format(homes=dict(homes)))
    return project


@pytest.fixture
def groups(tmp_path: Path) -> Project:
    """Return a project whose app on `default` makes a group, and whose groups are on `auth_db`."""
    core = simple_app()
    core["migrations/0002_group.py"] = makes(
        "auth", ("core", FIRST), ("auth", "0012_alter_user_first_name_max_length"), model="Group"
    )
    contrib = ("django.contrib.contenttypes", "django.contrib.auth")
    return routed(tmp_path / "site", {"core": core}, {"contenttypes": "auth_db", "auth": "auth_db"}, contrib=contrib)


NEED = "core.0002_group on default needs auth.0012_alter_user_first_name_max_length on auth_db"


@pytest.mark.soak
@pytest.mark.parametrize("launcher", ["fork", "spawn"])
def test_what_the_data_of_default_needs_of_another_database_is_there_first(groups: Project, launcher: str) -> None:
    environment = {"DBMIGRATE_LAUNCHER": launcher}
    plan = dbmigrate("plan", "--jobs", "1", cwd=groups.root, environment=environment).expect(0)

    dbmigrate("all", "--jobs", "1", cwd=groups.root, environment=environment).expect(0)

    assert "3. default: 16 migrations, 14 only recorded (after auth_db:auth)" in plan.stdout
    assert f"auth_db comes before default: {NEED}\n" in plan.stdout
    assert rows(groups, "auth_db", "auth_group") == 1


@pytest.mark.soak
@pytest.mark.parametrize(
    ("engine", "label", "what"),
    [
        # Django goes through the apps by their names: of this one the history of core knows nothing.
        ("sqlite", "shop", "a model of shop"),
        ("sqlite", "book", "book_item"),
        pytest.param("postgresql", "book", "book_item", marks=pytest.mark.postgresql),
        pytest.param("mariadb", "book", "book_item", marks=pytest.mark.mariadb),
    ],
)
def test_a_need_that_is_not_written_down_is_named_with_the_dependency_to_add(
    tmp_path: Path, request: pytest.FixtureRequest, engine: str, label: str, what: str
) -> None:
    server = None if engine == "sqlite" else request.getfixturevalue(engine)
    core = simple_app(**{"migrations/0002_item.py": makes(label, ("core", FIRST))})
    null = migration('migrations.AddField("item", "more", models.TextField(null=True))', after=((label, FIRST),))
    project = write_project(
        tmp_path,
        {"core": core, label: simple_app(**{"migrations/0002_more.py": null})},
        aliases={alias: server.create_database() if server is not None else {} for alias in ("default", "other_db")},
        settings=f'DATABASE_ROUTERS = ["routers.Router"]\n{DRIVER if engine == "mariadb" else ""}',
    )
    project.write("routers.py", ROUTER.format(homes={label: "other_db"}))

    failed = dbmigrate("all", "--skip-makemigrations", cwd=tmp_path).expect(31)

    hint = failed.stderr.splitlines()[-2]
    assert f"core.0002_item works with {what}, which {label}.0002_more, or one before it, creates on other_db" in hint
    assert f'add ("{label}", "0002_more") to the dependencies in core/migrations/0002_item.py' in hint
    assert ('order = ["other_db", "default"]' in hint) is (what == "book_item")
    project.write("core/migrations/0002_item.py", makes(label, ("core", FIRST), (label, "0002_more")))
    dbmigrate("all", "--skip-makemigrations", cwd=tmp_path).expect(0)


def test_a_migration_that_asks_the_wrong_database_for_a_table_is_told_where_it_is(tmp_path: Path) -> None:
    head = """
def go(apps, schema_editor):
    apps.get_model("shop", "Item").objects.using(schema_editor.connection.alias).create(name="x")
"""
    asks = migration("migrations.RunPython(go)", after=(("core", FIRST), ("shop", FIRST)), head=head)
    core = simple_app(**{"migrations/0002_item.py": asks})
    routed(tmp_path, {"core": core, "shop": simple_app()}, {"shop": "shop_db"})

    failed = dbmigrate("all", cwd=tmp_path).expect(31)

    assert "hint: core.0002_item asked default for shop_item, and the routers put app shop on shop_db" in failed.stderr


def test_a_need_names_the_migration_that_is_written_down_also_if_it_does_nothing(groups: Project) -> None:
    user = "from django.contrib.auth.models import AbstractUser\n\nclass User(AbstractUser):\n    pass\n"
    groups.write("people/__init__.py", "")
    groups.write("people/migrations/__init__.py", "")
    groups.write("people/models.py", user)
    groups.append("site_settings.py", 'INSTALLED_APPS.append("people")\nAUTH_USER_MODEL = "people.User"')
    groups.write("routers.py", ROUTER.format(homes={"auth": "auth_db", "contenttypes": "auth_db", "people": "auth_db"}))

    planned = dbmigrate("plan", cwd=groups.root).expect(0).stdout

    assert "core.0002_group on default needs auth.0012_alter_user_first_name_max_length on auth_db" in planned


@pytest.mark.parametrize("command", ["plan", "check", "all"])
def test_an_order_against_a_need_is_refused_with_the_need(groups: Project, command: str) -> None:
    outcome = dbmigrate(command, cwd=groups.root, environment={"DBMIGRATE_ORDER": "default,auth_db"}).expect(2)

    assert f"error: DBMIGRATE_ORDER: order puts default before auth_db, but {NEED} (nothing was changed)\n" in (
        outcome.stderr
    )
    assert 'hint: order = ["auth_db", "default"]' in outcome.stderr
    assert groups.tables() == {}


def test_an_order_that_puts_a_database_before_default_is_kept(tmp_path: Path) -> None:
    project = routed(tmp_path / "site", {"core": simple_app(), "blog": simple_app()}, {"blog": "blog_db"})

    outcome = dbmigrate(
        "plan", "--format", "json", cwd=project.root, environment={"DBMIGRATE_ORDER": "blog_db,default"}
    ).expect(0)

    assert [step["id"] for step in outcome.json["result"]["plan"]["steps"]] == ["blog_db:blog", "default"]


@pytest.mark.soak
def test_a_part_that_needs_what_is_pending_elsewhere_is_refused_and_its_hint_goes_on(groups: Project) -> None:
    outcome = dbmigrate("run", "--app", "core", cwd=groups.root).expect(2)
    before = groups.tables()
    dbmigrate("run", "--database", "auth_db", cwd=groups.root).expect(0)
    dbmigrate("run", "--app", "core", cwd=groups.root).expect(0)

    assert f"error: {NEED}; it is pending there, but not part of this run (nothing was changed)\n" in outcome.stderr
    assert (
        "hint: dbmigrate run --database auth_db\n"
        "      then rerun the command\n"
        "      or:\n"
        "        dbmigrate all\n"
        "      if this"
    ) in outcome.stderr
    assert before == {}
    assert rows(groups, "auth_db", "auth_group") == 1


def test_a_need_of_a_database_that_is_excluded_is_a_warning(groups: Project) -> None:
    outcome = dbmigrate("check", cwd=groups.root, environment={"DBMIGRATE_EXCLUDE": "auth_db"}).expect(0)

    assert f"warning: DBM210: {NEED}, and that database is skipped (excluded)" in outcome.stdout


@pytest.mark.soak
def test_databases_that_need_each_other_are_refused_and_the_hint_begins(tmp_path: Path) -> None:
    core, blog = simple_app(), simple_app()
    core["migrations/0002_data.py"] = makes("blog", ("core", FIRST), ("blog", FIRST))
    blog["migrations/0002_data.py"] = makes("core", ("blog", FIRST), ("core", FIRST))
    project = routed(tmp_path / "site", {"core": core, "blog": blog}, {"blog": "blog_db"})

    check = dbmigrate("check", cwd=project.root).expect(13)
    ignored = dbmigrate("plan", cwd=project.root, environment={"DBMIGRATE_IGNORE": "DBM210"}).expect(0)
    refused = dbmigrate("all", cwd=project.root).expect(13)
    before = project.tables()
    begin = "run --app blog --to 0001_initial --database blog_db"
    dbmigrate(*begin.split(), cwd=project.root).expect(0)
    dbmigrate("all", cwd=project.root).expect(0)

    message = (
        "error: DBM210: pending data migrations of default and blog_db need each other: core.0002_data on default "
        "needs blog.0001_initial on blog_db, and blog.0002_data on blog_db needs core.0001_initial on default"
    )
    assert message in check.stdout
    assert message in refused.stderr
    assert "warning: DBM210: pending data migrations of default and blog_db" in ignored.stdout + ignored.stderr
    assert f"hint: start with what is needed first:\n        dbmigrate {begin}\n      then rerun" in refused.stderr
    assert before == {}
    assert (rows(project, "default", "core_item"), rows(project, "blog_db", "blog_item")) == (1, 1)


@pytest.mark.soak
def test_needs_that_are_not_real_can_be_ignored(groups: Project) -> None:
    dbmigrate("run", "--database", "auth_db", cwd=groups.root).expect(0)
    with closing(sqlite3.connect(groups.database("auth_db"))) as connection, connection:
        connection.execute("DELETE FROM django_migrations WHERE name LIKE '0012%'")

    refused = dbmigrate("run", "--app", "core", cwd=groups.root).expect(2)
    dbmigrate("run", "--app", "core", cwd=groups.root, environment={"DBMIGRATE_IGNORE": "DBM210"}).expect(0)

    assert 'if this is wrong, ignore = ["DBM210"] under [tool.dbmigrate]' in refused.stderr
    assert rows(groups, "auth_db", "auth_group") == 1


def test_three_databases_in_a_chain_go_one_after_the_other(tmp_path: Path) -> None:
    core, blog, shop = simple_app(), simple_app(), simple_app()
    blog["migrations/0002_data.py"] = makes("shop", ("blog", FIRST), ("shop", FIRST))
    # Without a word of it in its own dependencies: run_before.
    core["migrations/0002_data.py"] = makes("blog", ("core", FIRST))
    blog["migrations/0002_data.py"] = blog["migrations/0002_data.py"].replace(
        "    operations", '    run_before = [("core", "0002_data")]\n    operations'
    )
    homes = {"blog": "blog_db", "shop": "shop_db"}
    project = routed(tmp_path / "site", {"core": core, "blog": blog, "shop": shop}, homes)

    outcome = dbmigrate("all", cwd=project.root).expect(0)

    started = [line.rpartition(" ")[2] for line in outcome.stderr.splitlines() if "Migrating database: " in line]
    assert started == ["shop_db", "blog_db", "default"]
    assert (rows(project, "shop_db", "shop_item"), rows(project, "blog_db", "blog_item")) == (1, 1)


FOREIGN_KEY = 'models.ForeignKey("core.Item", models.CASCADE, db_constraint=False)'

OPERATIONS = {
    "own": 'Item = apps.get_model("own", "Item")\n    Item.objects.update(name=slugify(datetime.date.today()))',
    "helper": 'fill(apps.get_model("helper", "Item"))',
    "reads": 'apps.get_model("core", "Item").objects.count()',
    "mixed": 'schema_editor.connection.cursor().close()\n    apps.get_model("core.Item").objects.count()',
    "leads": 'for one in apps.get_model("leads", "Item").objects.all():\n        one.core.name',
    "imports": "from core.models import Item\n    Item.objects.count()",
    "commands": 'call_command("check", apps.get_model("commands", "Item"))',
    "deletes": "migrations.RunSQL('DELETE FROM core_item')",
    "ownsql": "migrations.RunSQL('DELETE FROM ownsql_item')",
    "othersql": "migrations.RunSQL('SELECT 1')",
}
HEAD = """\
import datetime
from django.core.management import call_command
from django.utils.text import slugify

def fill(given):
    for one in given._default_manager.all():
        one.save()

"""


def test_a_data_migration_certainly_needs_what_its_source_shows_that_it_works_with(tmp_path: Path) -> None:
    apps = {"core": simple_app()}
    for label, operation in OPERATIONS.items():
        operations = [operation] if operation.startswith("migrations.") else ["migrations.RunPython(go)"]
        head = f"{HEAD}def go(apps, schema_editor):\n    {operation}\n"
        apps[label] = {
            "models.py": model("Item", f"core = {FOREIGN_KEY}"),
            "migrations/0001_initial.py": migration(
                create("Item", f'("core", {FOREIGN_KEY})'), after=(("core", FIRST),)
            ),
            "migrations/0002_data.py": migration(*operations, after=((label, FIRST),), head=head),
        }
    project = routed(tmp_path / "site", apps, {label: f"{label}_db" for label in OPERATIONS})

    plan = dbmigrate("plan", "--format", "json", cwd=project.root).expect(0).json["result"]["plan"]

    certain = {need["migration"].partition(".")[0] for need in plan["needs"] if need["is_certain"]}
    assert {need["alias"] for need in plan["needs"]} == {f"{label}_db" for label in OPERATIONS}
    assert certain == {"reads", "mixed", "leads", "deletes"}


UNKNOWN = {
    "sql": migration("migrations.RunSQL('CREATE VIEW made AS SELECT 1')", after=(("core", FIRST), ("blog", FIRST))),
    "cursor": migration(
        "migrations.RunPython(go)",
        after=(("core", FIRST), ("blog", FIRST)),
        head="def go(apps, schema_editor):\n    schema_editor.execute('SELECT 1')\n",
    ),
}


@pytest.mark.parametrize("kind", UNKNOWN)
def test_what_may_not_need_another_database_is_refused_nothing_and_default_goes_first(
    tmp_path: Path, kind: str
) -> None:
    core, blog = simple_app(), simple_app()
    core["migrations/0002_data.py"] = blog["migrations/0002_data.py"] = UNKNOWN[kind]
    project = routed(tmp_path / "site", {"core": core, "blog": blog}, {"blog": "blog_db"})

    _, planned = looks({"check": 0, "plan --format json": 0}, cwd=project.root)
    plan = planned.json["result"]["plan"]
    dbmigrate("run", "--database", "default", cwd=project.root).expect(0)
    dbmigrate("all", cwd=project.root).expect(0)

    assert [step["alias"] for step in plan["steps"]] == ["default", "blog_db"]
    assert "core_item" in project.tables()["default"]


SPLIT_ROUTER = """\
class Router:
    def allow_migrate(self, db, app_label, model_name=None, **hints):
        return db == ("other" if model_name == "tag" else "default")
"""

READS_TITLES = """
def go(apps, schema_editor):
    list(apps.get_model("blog", "Post").objects.using("default").values("title"))
"""


@pytest.mark.soak
def test_what_a_migration_of_another_database_reads_is_undone_after_it(tmp_path: Path) -> None:
    blog = {
        "models.py": model("Post", "title = models.TextField(default=str)") + "\nclass Tag(models.Model):\n    pass\n",
        f"migrations/{FIRST}.py": migration(create("Post", ""), create("Tag", "")),
        "migrations/0002_title.py": migration(
            "migrations.AddField('post', 'title', models.TextField(default=str))", after=(("blog", FIRST),)
        ),
        "migrations/0003_count.py": migration(
            "migrations.RunPython(go, go, hints={'model_name': 'tag'})",
            after=(("blog", "0002_title"),),
            head=READS_TITLES,
        ),
    }
    routers = 'DATABASE_ROUTERS = ["routers.Router"]\n'
    project = write_project(tmp_path / "site", {"blog": blog}, aliases=("default", "other"), settings=routers)
    project.write("routers.py", SPLIT_ROUTER)
    dbmigrate("all", cwd=project.root).expect(0)

    part = dbmigrate("plan", "--app", "blog", "--to", FIRST, "--database", "default", cwd=project.root).expect(0)
    undone = dbmigrate("run", "--app", "blog", "--to", FIRST, "--format", "json", cwd=project.root).expect(0)

    assert (
        "warning: blog.0003_count stays applied on other, which is not part of this run; "
        "it needs blog.0002_title, which is undone on default\n"
        "   hint: undo it on other first: the same command with --database other\n"
    ) in part.stdout
    planned = undone.json["result"]["plan"]["steps"]
    assert [(step["id"], step["after"]) for step in planned] == [
        ("other:blog", []),
        ("default:blog", ["other:blog"]),
    ]
    assert [step["to"] for step in planned] == [FIRST, FIRST]


def rows(project: Project, alias: str, table: str) -> int:
    """Return how many rows a table has."""
    with closing(sqlite3.connect(project.database(alias))) as connection:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
