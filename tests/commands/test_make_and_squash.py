"""`dbmigrate make` and `squash` on real projects."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest
from support.cli import dbmigrate, looks
from support.projects import Project, applied, create, make_read_only, migration, model, simple_app, write_project
from support.terminal import CONTROL_C, Terminal

FIELDS = ("name = models.CharField(max_length=20)", "one = models.IntegerField(default=1)")


def add(field: str, after: str) -> str:
    return migration(
        f'migrations.AddField("item", {field!r}, models.IntegerField(default=1))', after=(("blog", after),)
    )


@pytest.fixture(scope="module")
def migrated_once(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = write_blog(tmp_path_factory.mktemp("migrated") / "site")
    dbmigrate("all", cwd=project.root).expect(0)
    return project


@pytest.fixture
def migrated(migrated_once: Project, tmp_path: Path) -> Project:
    """Return the project with everything applied."""
    return migrated_once.copy_to(tmp_path / "site")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Return the project with nothing applied."""
    return write_blog(tmp_path / "site")


def write_blog(folder: Path) -> Project:
    """Write a project whose app blog has three migrations and lives on blog_db."""
    blog = {
        "models.py": model("Item", *FIELDS, "two = models.IntegerField(default=1)"),
        "migrations/0001_initial.py": migration(create()),
        "migrations/0002_one.py": add("one", "0001_initial"),
        "migrations/0003_two.py": add("two", "0002_one"),
    }
    return write_project(
        folder,
        {"core": simple_app(), "blog": blog},
        aliases=("default", "blog_db"),
        rules={"blog": "blog_db"},
    )


def test_make_says_where_each_new_migration_goes_and_status_shows_it(project: Project) -> None:
    project.write("blog/models.py", model("Item", *FIELDS))

    outcome = dbmigrate("make", "blog", "--name", "less", cwd=project.root).expect(0)

    assert outcome.stdout == "blog.0004_less goes to blog_db\nnext: dbmigrate all\n"
    assert "Migrations for 'blog':" in outcome.stderr
    rows = dbmigrate("status", "--migrations", cwd=project.root).expect(0).stdout
    assert re.search(r"^blog\.0004_less +\[ \] *$", rows, re.M), rows


def test_make_sees_what_it_wrote_into_a_package_that_was_not_there(tmp_path: Path) -> None:
    settings = 'MIGRATION_MODULES = {"core": "kept.core_migrations"}'
    project = write_project(tmp_path / "site", {"core": {"models.py": model()}}, settings=settings)
    project.write("kept/__init__.py", "")

    written = dbmigrate("make", "core", "--format", "json", cwd=project.root).expect(0).json["result"]["migrations"]

    assert [one["id"] for one in written] == ["core.0001_initial"]
    assert (project.root / "kept/core_migrations/0001_initial.py").exists()


def test_status_lists_migrations_only_when_asked(project: Project) -> None:
    # Before the first run no database is there, so none has records.
    assert "blog.0001_initial" not in dbmigrate("status", cwd=project.root).expect(0).stdout
    assert "blog.0001_initial" in dbmigrate("status", "--migrations", cwd=project.root).expect(0).stdout


def test_make_without_a_change_says_what_django_says(project: Project) -> None:
    outcome = dbmigrate("make", cwd=project.root).expect(0)

    assert (outcome.stdout, "No changes detected" in outcome.stderr) == ("", True)


@pytest.mark.soak
@pytest.mark.parametrize("more", [(), ("--format", "json")])
def test_make_ends_with_the_command_and_not_with_what_that_started(project: Project, more: tuple[str, ...]) -> None:
    project.write("blog/models.py", model("Item", *FIELDS))
    project.append(
        "site_settings.py",
        """
import subprocess, sys
if "makemigrations" in sys.argv:
    held = subprocess.Popen(["sleep", "600"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    open("held", "w").write(str(held.pid))
""",
    )
    try:
        outcome = dbmigrate("make", "blog", *more, cwd=project.root).expect(0)
    finally:
        os.kill(int((project.root / "held").read_text()), signal.SIGKILL)

    assert "blog.0004_remove_item_two" in outcome.stdout


def test_make_lets_django_ask_at_a_terminal(project: Project) -> None:
    text = (project.root / "core/models.py").read_text()
    project.write("core/models.py", text + "    rank = models.IntegerField()\n")
    terminal = Terminal(project, "make", "core")

    terminal.wait_for("Select an option:")
    terminal.press("1\r")
    terminal.wait_for(">>>")
    terminal.press("7\r")

    assert "core.0002_item_rank goes to default" in terminal.wait_for("goes to")
    assert terminal.wait_for_end() == 0


@pytest.mark.soak
@pytest.mark.parametrize(("key", "code"), [(CONTROL_C, 130), ("2\r", 30)])
def test_leaving_at_djangos_question_writes_nothing(project: Project, key: str, code: int) -> None:
    text = (project.root / "core/models.py").read_text()
    project.write("core/models.py", text + "    rank = models.IntegerField()\n")
    terminal = Terminal(project, "make", "core")

    terminal.wait_for("2) Quit and manually define a default value in models.py.")
    terminal.wait_for("Select an option:")
    terminal.press(key)

    assert terminal.wait_for_end() == code
    assert any(line.startswith("error: ") for line in terminal.screen())
    assert [file.name for file in (project.root / "core/migrations").glob("0*")] == ["0001_initial.py"]


def test_make_that_is_quiet_says_where_the_migration_goes(project: Project) -> None:
    project.write("blog/models.py", model("Item", *FIELDS))

    outcome = dbmigrate("make", "blog", "-q", cwd=project.root).expect(0)

    assert (outcome.stdout.splitlines()[0], outcome.stderr) == ("blog.0004_remove_item_two goes to blog_db", "")


def test_make_without_a_terminal_quotes_the_question(project: Project) -> None:
    text = (project.root / "core/models.py").read_text()
    project.write("core/models.py", text + "    rank = models.IntegerField()\n")
    before = project.content()

    outcome = dbmigrate("make", "core", cwd=project.root).expect(11)

    assert "non-nullable field 'rank' to item" in outcome.stderr
    assert "hint: at a terminal: dbmigrate make core" in outcome.stderr
    assert project.content() == before


@pytest.mark.parametrize("words", [(), ("--empty",)])
def test_make_in_a_read_only_tree(project: Project, words: tuple[str, ...], request: pytest.FixtureRequest) -> None:
    project.write("blog/models.py", model("Item", *FIELDS))
    make_read_only(project.root / "blog/migrations", request)
    before = project.content()

    outcome = dbmigrate("make", "blog", *words, cwd=project.root).expect(11)

    assert f"app blog is not writable: {project.root}/blog/migrations (nothing was changed)" in outcome.stderr
    assert "hint: make the folder writable" in outcome.stderr
    assert project.content() == before
    assert "Remove field two" in dbmigrate("make", "blog", "--dry-run", cwd=project.root).expect(0).stderr


@pytest.fixture
def installed(project: Project) -> Project:
    """Return the project with an app that lies where packages are installed, and whose models changed."""
    project.write("site-packages/vendor/__init__.py", "")
    project.write("site-packages/vendor/migrations/__init__.py", "")
    project.write("site-packages/vendor/migrations/0001_initial.py", migration(create()))
    project.write("site-packages/vendor/migrations/0002_more.py", migration(after=(("vendor", "0001_initial"),)))
    project.write("site-packages/vendor/models.py", model("Item", *FIELDS))
    project.append("site_settings.py", "import sys\nsys.path.append(str(BASE / 'site-packages'))")
    project.append("site_settings.py", "INSTALLED_APPS = [*INSTALLED_APPS, 'vendor']")
    return project


@pytest.mark.parametrize(
    "arguments", [("make", "vendor"), ("make", "vendor", "--empty"), ("squash", "vendor", "0002", "--no-input")]
)
def test_an_installed_app_is_not_written(installed: Project, arguments: tuple[str, ...]) -> None:
    before = installed.content()

    outcome = dbmigrate(*arguments, cwd=installed.root).expect(2)

    assert "app vendor is a third-party app" in outcome.stderr
    assert "hint: upgrade to a release of vendor" in outcome.stderr
    assert installed.content() == before


def test_make_without_names_writes_the_projects_own_apps_alone(installed: Project) -> None:
    before = installed.content()

    nothing = dbmigrate("make", cwd=installed.root).expect(0)
    unchanged = installed.content()
    installed.write("blog/models.py", model("Item", *FIELDS))
    outcome = dbmigrate("make", cwd=installed.root).expect(0)

    assert "No changes detected in the project's own apps" in nothing.stdout
    assert unchanged == before
    assert "skipped, third-party app: vendor" in outcome.stdout
    assert "blog.0004_remove_item_two goes to blog_db" in outcome.stdout
    assert not list((installed.root / "site-packages/vendor/migrations").glob("0003*"))


NAMES_THAT_DO_NOT_FIT = {
    "make blgo": ("no app blgo", "did you mean blog?"),
    "make --empty": ("--empty needs the name of an app", "dbmigrate make core --empty"),
    "squash blgo 0002": ("no app blgo", "did you mean blog?"),
    "squash blog 0009": ("app blog has no migration 0009", "0003_two"),
    "squash blog 0003 0001": ("nothing to squash from 0003_two to 0001_initial",),
    "squash blog 1 2 3": ("one or two migrations",),
}


def test_names_that_do_not_fit(project: Project) -> None:
    before = project.content()

    outcomes = looks(dict.fromkeys(NAMES_THAT_DO_NOT_FIT, 2), cwd=project.root)

    for outcome, words in zip(outcomes, NAMES_THAT_DO_NOT_FIT.values(), strict=True):
        assert [word for word in words if word not in outcome.stderr] == [], outcome
    assert project.content() == before


def test_squash_joins_migrations_and_says_what_to_do_then(migrated: Project) -> None:
    outcome = dbmigrate("squash", "blog", "0003", "--no-input", cwd=migrated.root).expect(0)

    assert outcome.stdout.startswith(
        "blog.0001_squashed_0003_two replaces blog.0001_initial, blog.0002_one, blog.0003_two\nnext: commit it"
    )
    recorded = dbmigrate("all", cwd=migrated.root).expect(0)
    assert "it runs to record what was squashed: blog.0001_squashed_0003_two" in recorded.stderr
    assert "blog.0001_squashed_0003_two" in applied(migrated.database("blog_db"))
    assert "Migrating database" not in dbmigrate("all", cwd=migrated.root).expect(0).stderr


@pytest.mark.soak
@pytest.mark.parametrize(("key", "code"), [("n\r", 4), (CONTROL_C, 130)])
def test_a_no_to_the_question_of_squashmigrations_changes_nothing(migrated: Project, key: str, code: int) -> None:
    before = migrated.content()
    terminal = Terminal(migrated, "squash", "blog", "0003")

    terminal.wait_for("Do you wish to proceed?")
    terminal.press(key)

    assert terminal.wait_for_end() == code
    assert not any(" replaces " in line for line in terminal.screen())
    assert migrated.content() == before


def test_squash_is_refused_while_a_database_stands_between(project: Project) -> None:
    dbmigrate("run", "--app", "blog", "--to", "0002", cwd=project.root).expect(0)
    before = project.content()

    outcome = dbmigrate("squash", "blog", "0001", "0003", cwd=project.root).expect(13)

    assert "is between 0001_initial and 0003_two of app blog: blog_db is at 0002_one" in outcome.stderr
    assert (
        "hint: migrate it first:\n        dbmigrate run --database blog_db --app blog --to 0003_two" in outcome.stderr
    )
    assert project.content() == before


@pytest.mark.soak
def test_what_django_refuses_to_squash_is_told_in_its_words(migrated: Project) -> None:
    dbmigrate("squash", "blog", "0002", "--no-input", "--squashed-name", "both", cwd=migrated.root).expect(0)
    dbmigrate("all", cwd=migrated.root).expect(0)
    before = migrated.content()

    outcome = dbmigrate("squash", "blog", "0001_both", "0003", "--no-input", cwd=migrated.root).expect(2)
    taken = dbmigrate("squash", "blog", "0002", "0003", "--no-input", "--squashed-name", "one", cwd=migrated.root)

    assert "error: squashmigrations refused: You cannot squash squashed migrations!" in outcome.stderr
    assert "CommandError: You cannot squash squashed migrations!" in outcome.stderr
    assert "(nothing was changed)\nhint: see which migrations there are: dbmigrate status" in outcome.stderr
    assert migrated.content() == before, taken


def test_a_migration_that_is_squashed_already_is_not_squashed_again(migrated: Project) -> None:
    dbmigrate("squash", "blog", "0003", "--no-input", cwd=migrated.root).expect(0)
    before = migrated.content()

    outcome = dbmigrate("squash", "blog", "0003", "--no-input", cwd=migrated.root).expect(2)

    assert outcome.stderr == (
        "error: migration 0003_two of app blog is replaced by the squashed migration 0001_squashed_0003_two "
        "(nothing was changed)\nhint: see which migrations there are: dbmigrate status --migrations --app blog\n"
        "exit 2 (usage): the command could not be carried out as given\n"
    )
    assert migrated.content() == before


@pytest.mark.parametrize("arguments", [("make",), ("make", "blog"), ("make", "blog", "--empty")])
def test_two_leaf_migrations_stop_make_before_anything_is_run(project: Project, arguments: tuple[str, ...]) -> None:
    project.write("blog/migrations/0003_other.py", migration(after=(("blog", "0002_one"),)))
    before = project.content()

    outcome = dbmigrate(*arguments, cwd=project.root).expect(13)

    assert outcome.stderr == (
        "error: DBM102: app blog has 2 leaf migrations: 0003_other and 0003_two (nothing was changed)\n"
        "hint: dbmigrate make blog --merge\n"
        "exit 13 (findings): checks found errors\n"
    )
    assert project.content() == before


@pytest.mark.soak
def test_the_migration_that_make_merges_joins_two_leaves(project: Project) -> None:
    project.write("blog/migrations/0003_other.py", migration(after=(("blog", "0002_one"),)))

    outcome = dbmigrate("make", "blog", "--merge", "--no-input", cwd=project.root).expect(0)

    assert "blog.0004_merge" in outcome.stdout
    dbmigrate("all", cwd=project.root).expect(0)


@pytest.mark.parametrize(
    ("command", "django"),
    [("make blog --empty --name more", "makemigrations blog"), ("squash blog 0001 0003", "squashmigrations blog")],
)
def test_the_command_that_runs_is_shown_on_demand(project: Project, command: str, django: str) -> None:
    shown = dbmigrate(*command.split(), "-v", cwd=project.root).expect(0)

    lines = [line for line in shown.stderr.splitlines() if "/manage.py " in line]
    assert len(lines) == 1, shown
    assert re.search(rf"Z \$ /\S+ /\S+/manage.py {django}", lines[0])


@pytest.mark.soak
def test_the_command_that_runs_is_shown_at_a_terminal_too(project: Project) -> None:
    brief = Terminal(project, "make", "--dry-run", columns=300)
    shown = Terminal(project, "make", "--dry-run", "-v", columns=300)

    assert (brief.wait_for_end(), shown.wait_for_end()) == (0, 0)
    assert not any("/manage.py" in line for line in brief.scrollback())
    assert any(re.search(r"^  \$ /\S+ /\S+/manage.py makemigrations", line) for line in shown.scrollback())
