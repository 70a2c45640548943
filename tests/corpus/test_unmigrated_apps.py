"""Apps without migrations that others depend on: every new project with a user model of its own has one."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from support.cli import clean_environment, dbmigrate, looks, manage
from support.combinations import combinations
from support.environments import EVERY_DJANGO, environment
from support.mariadb import DRIVER
from support.projects import (
    Project,
    applied,
    create,
    make_read_only,
    migration,
    model,
    simple_app,
    tables,
    write_project,
)
from support.terminal import CONTROL_C, DOWN, ENTER, Terminal

CONTRIB = ("django.contrib.contenttypes", "django.contrib.auth")
USER = "from django.contrib.auth.models import AbstractUser\n\n\nclass User(AbstractUser):\n    pass\n"
PACKAGES = ("empty", "none")
"""Whether the app has a migrations package, with nothing in it, or not even that."""


def start_project(folder: Path, package: str, python: str) -> Project:
    """Return what `startproject` and `startapp` make, with a user model."""
    folder.mkdir()
    for words in (("startproject", "site1", "."), ("startapp", "accounts")):
        subprocess.run(
            [python, "-m", "django", *words], cwd=folder, env=clean_environment(), check=True, capture_output=True
        )
    project = Project(folder)
    project.write("accounts/models.py", USER)
    project.append("site1/settings.py", 'INSTALLED_APPS += ["accounts"]\nAUTH_USER_MODEL = "accounts.User"\n')
    if package == "none":
        for file in (folder / "accounts" / "migrations").iterdir():
            file.unlink()
        (folder / "accounts" / "migrations").rmdir()
    return project


def write_site(
    root: Path, *, package: str = "empty", settings: str = "", entry: dict[str, Any] | None = None, **more: Any
) -> Project:
    """Write a project with a user model in `accounts` and an app `blog` whose migration depends on it."""
    blog = {
        "models.py": model(
            "Post",
            "title = models.TextField()",
            'author = models.ForeignKey("accounts.User", on_delete=models.CASCADE)',
        ),
        "migrations/0001_initial.py": migration(
            create(
                "Post",
                '("title", models.TextField()),'
                ' ("author", models.ForeignKey(to=settings.AUTH_USER_MODEL, on_delete=models.CASCADE))',
            ),
            head="from django.conf import settings\n",
        ).replace("dependencies = []", "dependencies = [migrations.swappable_dependency(settings.AUTH_USER_MODEL)]"),
    }
    accounts = {"models.py": USER, **({"migrations/__init__.py": ""} if package == "empty" else {})}
    return write_project(
        root,
        {"accounts": accounts, "blog": blog, **more},
        contrib=CONTRIB,
        aliases=("default",) if entry is None else {"default": entry},
        settings=f'AUTH_USER_MODEL = "accounts.User"\n{settings}',
    )


def planned(project: Project, *options: str) -> dict[str, list[str]]:
    """Return what `plan` would apply, by database."""
    document = dbmigrate("plan", *options, "--format", "json", cwd=project.root).expect(0).json["result"]["plan"]
    found: dict[str, list[str]] = {}
    for step in document["steps"]:
        found.setdefault(step["alias"], []).extend(entry["id"] for entry in step["migrations"])
    return found


@pytest.mark.soak
@pytest.mark.parametrize(
    ("django", "package"),
    combinations(EVERY_DJANGO, PACKAGES, quick=[("django32", "none"), ("newest", "empty")]),
)
def test_a_new_project_with_its_own_user_is_made_and_migrated(tmp_path: Path, django: str, package: str) -> None:
    python = environment(django)
    project = start_project(tmp_path / "site", package, python)
    before = project.content()
    shown = planned(project, "--python", python)
    assert project.content() == before

    ended = dbmigrate("all", "--python", python, "--format", "json", cwd=project.root).expect(0).json["result"]["run"]

    assert ended["written"] == ["accounts.0001_initial"]
    assert {entry["alias"]: entry["applied"] for entry in ended["databases"]} == shown
    assert {"accounts_user", "accounts_user_groups", "django_admin_log", "django_session"} <= tables(
        project.root / "db.sqlite3"
    )
    manage("migrate", "--check", cwd=project.root, python=python)
    manage("makemigrations", "--check", "--dry-run", cwd=project.root, python=python)
    assert "Nothing pending" in dbmigrate("all", "--python", python, cwd=project.root).expect(0).stdout


@pytest.mark.soak
@pytest.mark.parametrize(
    ("package", "engine", "launcher"),
    combinations(
        PACKAGES,
        [
            pytest.param("postgresql", marks=pytest.mark.postgresql),
            pytest.param("mariadb", marks=pytest.mark.mariadb),
        ],
        ("fork", "spawn"),
        quick=[("none", "postgresql", "spawn")],
    ),
)
def test_servers_that_take_no_key_to_a_missing_table_get_the_user_first(
    tmp_path: Path, request: pytest.FixtureRequest, package: str, engine: str, launcher: str
) -> None:
    server = request.getfixturevalue(engine)
    entry = server.create_database()
    project = write_site(
        tmp_path / "site", package=package, entry=entry, settings=DRIVER if engine == "mariadb" else ""
    )

    dbmigrate("run", "--auto", "--launcher", launcher, cwd=project.root).expect(0)

    assert {"accounts_user", "accounts_user_groups", "blog_post"} <= server.tables(entry)


def test_what_reads_says_what_is_missing_and_what_to_type(tmp_path: Path) -> None:
    project = write_site(tmp_path / "site")
    before = project.content()

    names = ("info", "status", "check", "verify", "plan", "wait")
    ended = dict(zip(names, looks(names, cwd=project.root), strict=True))

    assert {name: outcome.code for name, outcome in ended.items()} == {
        "info": 0,
        "status": 0,
        "check": 11,
        "verify": 10,
        "plan": 0,
        "wait": 0,
    }
    for name in ("info", "status", "check", "verify"):
        assert "app accounts has no migrations yet, and blog.0001_initial depends on it" in ended[name].stdout, name
        assert "hint: dbmigrate make accounts\n" in ended[name].stdout, name
    for name in ("info", "status", "verify"):
        assert "warning: DBM101: app accounts has no migrations yet" in ended[name].stdout, name
    assert ended["verify"].stdout.endswith("; accounts has no migrations yet\n")
    assert "accounts.0001_initial (not written yet)" in dbmigrate("plan", "-v", cwd=project.root).stdout
    assert project.content() == before


LAID_OUT = """\
dbmigrate make accounts
      or, for tables without migrations:
        dbmigrate all --run-syncdb"""


@pytest.mark.parametrize(
    ("package", "words", "hint"),
    [
        ("empty", ("all", "--skip-makemigrations"), "dbmigrate make accounts"),
        ("empty", ("run", "--app", "auth"), "dbmigrate make accounts"),
        ("none", ("plan", "--skip-makemigrations"), LAID_OUT),
        ("none", ("run", "--database", "default"), LAID_OUT),
    ],
)
def test_where_no_migrations_are_made_a_run_is_refused(
    tmp_path: Path, package: str, words: tuple[str, ...], hint: str
) -> None:
    project = write_site(tmp_path / "site", package=package)
    before = project.content()

    refused = dbmigrate(*words, cwd=project.root).expect(11)

    assert "blog.0001_initial depends on it" in refused.stderr
    assert "(nothing was changed)" in refused.stderr
    assert f"hint: {hint}\n" in refused.stderr
    assert project.content() == before


def test_the_menu_says_what_is_missing_and_offers_to_run_no_plan_that_is_refused(tmp_path: Path) -> None:
    project = write_site(tmp_path / "site")
    terminal = Terminal(project, columns=150)
    screen = terminal.wait_for("Exit")
    assert any("! app accounts has no migrations yet, and blog.0001_initial depends on it" in line for line in screen)

    terminal.press(DOWN, DOWN, ENTER)
    terminal.wait_for("Which app?")
    terminal.press("auth", ENTER)
    terminal.wait_for("Up to which migration?")
    terminal.press(ENTER)

    terminal.wait_for("$ dbmigrate run --app auth")
    shown = terminal.scrollback()
    assert any("error: app accounts has no migrations yet" in line for line in shown)
    assert not any("Run this plan?" in line for line in shown)
    terminal.press(CONTROL_C)
    assert terminal.wait_for_end() == 0


@pytest.mark.soak
@pytest.mark.parametrize("package", PACKAGES)
def test_make_without_names_makes_them_too(tmp_path: Path, package: str) -> None:
    project = write_site(tmp_path / "site", package=package)

    made = dbmigrate("make", cwd=project.root).expect(0)

    assert "accounts.0001_initial goes to default" in made.stdout
    dbmigrate("all", "--skip-makemigrations", cwd=project.root).expect(0)


@pytest.mark.soak
def test_several_of_them_that_need_each_other(tmp_path: Path) -> None:
    user = (
        "from django.contrib.auth.models import AbstractUser\nfrom django.db import models\n\n\n"
        "class User(AbstractUser):\n"
        '    shop = models.ForeignKey("shop.Shop", null=True, on_delete=models.CASCADE, related_name="staff")\n'
    )
    project = write_site(
        tmp_path / "site",
        shop={
            "models.py": model(
                "Shop",
                'owner = models.ForeignKey("accounts.User", null=True, on_delete=models.CASCADE, related_name="shops")',
            ),
            "migrations/__init__.py": "",
        },
        lists={
            "models.py": model("List", 'owner = models.ForeignKey("accounts.User", on_delete=models.CASCADE)'),
            "migrations/__init__.py": "",
        },
    )
    project.write("accounts/models.py", user)
    shown = planned(project)

    ended = dbmigrate("all", "--format", "json", cwd=project.root).expect(0).json["result"]["run"]

    assert sorted(ended["written"]) == [
        "accounts.0001_initial",
        "accounts.0002_initial",
        "lists.0001_initial",
        "shop.0001_initial",
    ]
    assert {entry["alias"]: entry["applied"] for entry in ended["databases"]} == shown
    manage("makemigrations", "--check", "--dry-run", cwd=project.root)


def test_migrations_that_would_need_each_other_are_not_written(tmp_path: Path) -> None:
    project = write_site(tmp_path / "site")
    project.write(
        "accounts/models.py",
        "from django.contrib.auth.models import AbstractUser\nfrom django.db import models\n\n\n"
        "class User(AbstractUser):\n"
        '    pinned = models.ForeignKey("blog.Post", null=True, on_delete=models.CASCADE, related_name="+")\n',
    )
    before = project.content()

    refused = dbmigrate("all", cwd=project.root).expect(11)

    assert "accounts that Django cannot load, because they depend on each other" in refused.stderr
    assert "accounts.0001_initial" in refused.stderr
    assert "hint: create them in two steps" in refused.stderr
    assert project.content() == before


@pytest.mark.parametrize("name", ["__first__", "__latest__"])
def test_a_migration_may_name_the_first_or_the_last_one_of_an_app(tmp_path: Path, name: str) -> None:
    project = write_project(
        tmp_path / "site",
        {
            "base": {"models.py": model(), "migrations/__init__.py": ""},
            "core": {
                "models.py": model(),
                "migrations/0001_initial.py": migration(create(), after=(("base", name),)),
            },
        },
    )

    dbmigrate("all", cwd=project.root).expect(0)

    assert applied(project.database("default")) == ["base.0001_initial", "core.0001_initial"]


@pytest.mark.soak
def test_an_app_that_has_nothing_to_write_can_be_given_an_empty_migration(tmp_path: Path) -> None:
    project = write_project(
        tmp_path / "site",
        {
            "base": {"migrations/__init__.py": ""},
            "core": {
                "models.py": model(),
                "migrations/0001_initial.py": migration(create(), after=(("base", "__first__"),)),
            },
        },
    )
    refused = dbmigrate("all", cwd=project.root).expect(11)
    assert "hint: dbmigrate make base --empty\n" in refused.stderr

    dbmigrate("make", "base", "--empty", cwd=project.root).expect(0)

    dbmigrate("all", cwd=project.root).expect(0)


def test_a_dependency_on_a_migration_that_is_gone_is_named_with_its_file(tmp_path: Path) -> None:
    project = write_project(
        tmp_path / "site",
        {
            "base": {"models.py": model(), "migrations/__init__.py": ""},
            "core": {
                "models.py": model(),
                "migrations/0001_initial.py": migration(create(), after=(("base", "0001_initial"),)),
            },
        },
    )

    refused = dbmigrate("all", cwd=project.root).expect(3)

    file = project.root / "core/migrations/0001_initial.py"
    assert f"core.0001_initial depends on base.0001_initial, which does not exist ({file})" in refused.stderr
    assert "dbmigrate make base" in refused.stderr
    file.write_text(file.read_text().replace("('base', '0001_initial')", "('base', '__first__')"))
    dbmigrate("all", cwd=project.root).expect(0)


def test_a_source_tree_that_cannot_be_written(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    project = write_site(tmp_path / "site")
    make_read_only(project.root / "accounts" / "migrations", request)

    refused = dbmigrate("all", cwd=project.root).expect(11)

    assert "its migrations folder is not writable (nothing was changed)" in refused.stderr
    assert "--skip-makemigrations" not in refused.stderr
    assert not project.database("default").exists()


def test_a_question_about_another_app_comes_before_anything_is_written(tmp_path: Path) -> None:
    project = write_site(tmp_path / "site", core={"models.py": model(), "migrations/0001_initial.py": migration()})
    project.write("core/migrations/0001_initial.py", migration(create("Item", '("title", models.CharField())')))
    before = project.content()

    refused = dbmigrate("all", cwd=project.root).expect(11)

    assert "needs an answer about app core" in refused.stderr
    assert project.content() == before


def test_an_installed_app_is_not_written_to_but_its_migrations_may_be_put_elsewhere(tmp_path: Path) -> None:
    project = write_project(
        tmp_path / "site",
        {
            "core": {
                "models.py": model("Item", 'owner = models.ForeignKey("vendor.Item", on_delete=models.CASCADE)'),
                "migrations/0001_initial.py": migration(
                    create("Item", '("owner", models.ForeignKey(to="vendor.item", on_delete=models.CASCADE))'),
                    after=(("vendor", "__first__"),),
                ),
            }
        },
        settings="""\
        import sys
        sys.path.append(str(BASE / "site-packages"))
        INSTALLED_APPS += ["vendor"]
        """,
    )
    write_project(tmp_path / "packages", {"vendor": {"models.py": model(), "migrations/__init__.py": ""}})
    (tmp_path / "packages" / "vendor").rename(project.root / "vendor")
    (project.root / "site-packages").mkdir()
    (project.root / "vendor").rename(project.root / "site-packages" / "vendor")
    before = project.content()
    refused = dbmigrate("all", cwd=project.root).expect(11)
    assert "vendor is a third-party app" in refused.stderr
    assert project.content() == before

    project.append("site_settings.py", 'MIGRATION_MODULES = {"vendor": "core.of_vendor"}\n')
    assert "that module does not exist" in dbmigrate("status", cwd=project.root).expect(0).stdout
    dbmigrate("all", cwd=project.root).expect(0)

    assert applied(project.database("default")) == ["vendor.0001_initial", "core.0001_initial"]
    assert (project.root / "core" / "of_vendor" / "0001_initial.py").exists()


def test_tables_that_syncdb_made_are_left_as_they_are(tmp_path: Path) -> None:
    project = write_project(
        tmp_path / "site",
        {
            "base": {"models.py": model()},
            "core": {
                "models.py": model(),
                "migrations/0001_initial.py": migration(create(), after=(("base", "__first__"),)),
            },
        },
    )
    dbmigrate("all", "--run-syncdb", cwd=project.root).expect(0)
    assert not (project.root / "base" / "migrations").exists()
    assert {"base_item", "core_item"} <= tables(project.database("default"))
    project.append("core/models.py", "class More(models.Model):\n    pass\n")

    ended = dbmigrate("all", "--format", "json", cwd=project.root).expect(0).json["result"]["run"]

    assert ended["written"] == ["core.0002_more"]
    assert not (project.root / "base" / "migrations").exists()


def test_migrations_that_django_does_not_see_are_not_written_over(tmp_path: Path) -> None:
    project = write_project(
        tmp_path / "site",
        {"base": {"models.py": model()}, "core": {"models.py": model(), "migrations/__init__.py": ""}},
    )
    written = project.write("base/migrations/0001_initial.py", migration(create(), head="# by hand\n"))
    text = written.read_text()
    hint = f"hint: touch {project.root}/base/migrations/__init__.py"

    assert hint in dbmigrate("check", cwd=project.root).expect(13).stdout
    assert hint in dbmigrate("make", "base", cwd=project.root).expect(11).stderr

    assert written.read_text() == text
    (project.root / "base" / "migrations" / "__init__.py").touch()
    dbmigrate("all", cwd=project.root).expect(0)
    assert "base_item" in tables(project.database("default"))


def test_a_user_that_comes_too_late_is_found_before_anything_is_written(tmp_path: Path) -> None:
    project = write_site(tmp_path / "site")
    settings = project.root / "site_settings.py"
    text = settings.read_text()
    post = project.root / "blog" / "models.py"
    models = post.read_text()
    settings.write_text(text.replace('AUTH_USER_MODEL = "accounts.User"', "").replace("'accounts', ", ""))
    post.write_text(models.replace("accounts.User", "auth.User"))
    dbmigrate("all", cwd=project.root).expect(0)
    settings.write_text(text)
    post.write_text(models)
    before = project.content()

    refused = dbmigrate("all", cwd=project.root).expect(13)

    assert "DBM103" in refused.stderr
    assert "accounts.0001_initial" in refused.stderr
    assert project.content() == before


def test_an_app_whose_migrations_are_switched_off_is_told_what_can_be_typed(tmp_path: Path) -> None:
    project = write_project(
        tmp_path, {"core": simple_app()}, settings='MIGRATION_MODULES = {"core": None}\n', aliases=("default",)
    )

    found = dbmigrate("check", cwd=tmp_path).expect(13)
    dbmigrate("all", "--run-syncdb", cwd=tmp_path).expect(0)

    assert "app core has models but no migrations (MIGRATION_MODULES switches them off)" in found.stdout
    assert found.stdout.index("dbmigrate all --run-syncdb") < found.stdout.index(
        'for migrations: remove "core" from MIGRATION_MODULES, then:\n           dbmigrate make core'
    )
    assert "core_item" in tables(project.database("default"))
