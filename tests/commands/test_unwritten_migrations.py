"""What makemigrations would write: planned as if it were written, and never applied unasked where it destroys data."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support.cli import dbmigrate
from support.combinations import combinations
from support.projects import Project, applied, migration, model, simple_app, tables, write_project
from support.sites import ENGINES, Site
from support.terminal import CONTROL_C, ESCAPE, Terminal

FIELDS = ("name = models.CharField(max_length=20)", 'note = models.TextField(default="")')


def write_shop(root: Path) -> Project:
    """Write a project with two databases, all of it migrated, and then models that have changed."""
    project = write_project(
        root,
        {"orders": simple_app(), "blog": simple_app(), "staff": simple_app()},
        aliases=("default", "orders_db"),
        rules={"orders": "orders_db"},
    )
    dbmigrate("all", cwd=project.root).expect(0)
    project.write("orders/models.py", model("Item", *FIELDS))
    project.append("blog/models.py", "class Tag(models.Model):\n    pass\n")
    author = 'author = models.ForeignKey("blog.Tag", null=True, on_delete=models.CASCADE)'
    project.write("staff/models.py", model("Item", FIELDS[0], author))
    return project


def steps_of(plan: Any) -> dict[str, list[tuple[str, bool, bool]]]:
    """Return (migration, whether it does something there, whether it is written) by database."""
    found: dict[str, list[tuple[str, bool, bool]]] = {}
    for step in plan["steps"]:
        for entry in step["migrations"]:
            found.setdefault(step["alias"], []).append((entry["id"], entry["does"], entry["is_written"]))
    return found


@pytest.mark.soak
def test_the_plan_has_the_steps_of_what_would_be_written_and_the_run_does_them(tmp_path: Path) -> None:
    project = write_shop(tmp_path / "site")
    before = project.content()

    plan = dbmigrate("plan", "--format", "json", cwd=project.root).expect(0).json["result"]["plan"]

    assert steps_of(plan) == {
        "default": [
            ("blog.0002_tag", True, False),
            ("orders.0002_item_note", False, False),
            ("staff.0002_item_author", True, False),
        ],
        "orders_db": [("orders.0002_item_note", True, False)],
    }
    assert project.content() == before
    run = dbmigrate("all", "--format", "json", cwd=project.root).expect(0).json["result"]
    assert sorted(run["run"]["written"]) == ["blog.0002_tag", "orders.0002_item_note", "staff.0002_item_author"]
    assert {entry["alias"]: entry["applied"] for entry in run["run"]["databases"]} == {
        alias: [name for name, _, _ in names] for alias, names in steps_of(plan).items()
    }
    assert steps_of(run["plan"]) == {
        alias: [(name, does, True) for name, does, _ in names] for alias, names in steps_of(plan).items()
    }


@pytest.mark.soak
def test_what_is_not_written_yet_is_marked_wherever_the_plan_is_shown(tmp_path: Path) -> None:
    project = write_shop(tmp_path / "site")

    shown = dbmigrate("plan", "--exit-code", cwd=project.root).expect(11).stdout
    assert "     orders.0002_item_note (pre, only recorded, not written yet)\n" in shown
    assert "     orders.0002_item_note (pre, not written yet)\n" in shown
    assert "No step for" not in shown
    statements = dbmigrate("plan", "--sql", cwd=project.root).expect(0).stdout
    assert 'CREATE TABLE "blog_tag"' in statements
    assert "Add field note to item" in statements
    graph = dbmigrate("plan", "--graph", "mermaid", cwd=project.root).expect(0).stdout
    assert "orders_db<br>orders<br>1 pending, 1 not written yet" in graph
    status = dbmigrate("status", "--format", "json", cwd=project.root).expect(0).json["result"]
    assert [database["pending"] for database in status["databases"]] == [0, 0]


@pytest.mark.soak
def test_what_is_written_and_pending_comes_before_what_is_not(tmp_path: Path) -> None:
    project = write_shop(tmp_path / "site")
    dbmigrate("make", "blog", cwd=project.root).expect(0)
    project.append("blog/models.py", "class Word(models.Model):\n    pass\n")

    plan = dbmigrate("plan", "--format", "json", cwd=project.root).expect(0).json["result"]["plan"]

    assert steps_of(plan)["default"][:2] == [("blog.0002_tag", True, True), ("blog.0003_word", True, False)]


def test_a_foreign_key_that_would_cross_databases_is_found_in_what_is_not_written(tmp_path: Path) -> None:
    project = write_shop(tmp_path / "site")
    project.append(
        "orders/models.py",
        'class Line(models.Model):\n    to = models.ForeignKey("blog.Item", on_delete=models.CASCADE)\n',
    )
    before = project.content()

    refused = dbmigrate("all", cwd=project.root).expect(13)

    assert "DBM201: orders.line.to on orders_db is a foreign key to blog.item, which is on default" in refused.stderr
    assert refused.stderr.count("makemigrations would write it into orders.0002_") == 1
    assert "pending migration" not in refused.stderr
    assert project.content() == before


@pytest.mark.soak
@pytest.mark.mariadb
def test_what_a_failure_would_leave_half_done_is_said_of_what_is_not_written(site: Callable[..., Site]) -> None:
    project = site("mariadb").project
    dbmigrate("all", cwd=project.root).expect(0)
    project.write("core/models.py", model("Item", *FIELDS, "more = models.IntegerField(null=True)"))

    shown = dbmigrate("plan", cwd=project.root).expect(0).stdout

    assert "DBM303: a failure of core.0002_item_more_item_note on default would leave it half done" in shown


@pytest.mark.soak
def test_the_table_behind_a_many_to_many_field_is_named(tmp_path: Path) -> None:
    project = write_shop(tmp_path / "site")
    project.append("blog/models.py", 'class List(models.Model):\n    items = models.ManyToManyField("blog.Item")\n')
    dbmigrate("all", cwd=project.root).expect(0)
    with closing(sqlite3.connect(project.database("default"))) as connection:
        connection.execute("INSERT INTO blog_list_items (list_id, item_id) VALUES (1, 1)")
        connection.commit()
    text = (project.root / "blog/models.py").read_text()
    (project.root / "blog/models.py").write_text(text.replace('items = models.ManyToManyField("blog.Item")', "pass"))

    refused = dbmigrate("all", cwd=project.root).expect(11)

    assert "drops a table (blog_list_items, about 1 row): Remove field items from list" in refused.stderr


LOSSES: dict[str, tuple[Callable[[Project], object], str]] = {
    "field": (
        lambda project: project.write("core/models.py", model("Item", "other = models.IntegerField(null=True)")),
        "drops a column (core_item, about 2 rows): Remove field name from item",
    ),
    "model": (
        lambda project: project.write("core/models.py", "from django.db import models\n"),
        "drops a table (core_item, about 2 rows): Delete model Item",
    ),
}


def with_rows(site: Site) -> Project:
    """Return the project of a migrated site with two rows in a table."""
    site.query("INSERT INTO core_item (name) VALUES ('a'), ('b')")
    if site.entry.get("ENGINE", "").endswith("postgresql"):
        site.query("ANALYZE core_item")
    return site.project


@pytest.mark.soak
@pytest.mark.parametrize(
    ("loss", "engine", "command"),
    combinations(
        LOSSES,
        ENGINES,
        (("all",), ("run", "--auto"), ("all", "--no-lock")),
        quick=[("field", "sqlite", ("all",)), ("model", "postgresql", ("run", "--auto"))],
    ),
)
def test_nothing_is_written_or_applied_that_destroys_data_unasked(
    migrated_site: Callable[[str], Site], loss: str, engine: str, command: tuple[str, ...]
) -> None:
    site = migrated_site(engine)
    project = with_rows(site)
    change, words = LOSSES[loss]
    change(project)
    before, recorded = project.content(), site.recorded()

    refused = dbmigrate(*command, cwd=project.root, environment={"CI": "1"}).expect(11)

    assert "error: the model changes would delete data (nothing was changed):\n  core.0002_" in refused.stderr
    assert words.split("(")[0] in refused.stderr
    assert words.rpartition(": ")[2] in refused.stderr
    assert (
        "hint: dbmigrate make core\n"
        "      review what it wrote, then rerun the command\n"
        "      or pass --allow-data-loss\n"
    ) in refused.stderr
    assert project.content() == before
    assert site.recorded() == recorded

    shown = dbmigrate("plan", "--allow-data-loss", cwd=project.root).expect(0).stdout
    assert "with --allow-data-loss nobody is asked" in shown
    dbmigrate(*command, "--allow-data-loss", cwd=project.root).expect(0)
    assert len(site.recorded()) == len(recorded) + 1


@pytest.mark.parametrize("phase", ["pre", "post"])
def test_no_phase_of_a_deploy_writes_unasked_what_would_destroy_data(
    phase: str, migrated_site: Callable[[str], Site]
) -> None:
    site = migrated_site("sqlite")
    project = with_rows(site)
    LOSSES["model"][0](project)
    before, recorded = project.content(), site.recorded()
    command = ("all", "--phase", phase, "--no-input")

    refused = dbmigrate(*command, cwd=project.root).expect(11)

    assert "error: the model changes would delete data (nothing was changed):\n  core.0002_" in refused.stderr
    assert (project.content(), site.recorded()) == (before, recorded)

    dbmigrate(*command, "--allow-data-loss", cwd=project.root).expect(0)
    assert len(list((project.root / "core/migrations").glob("0002_*.py"))) == 1
    assert len(site.recorded()) == len(recorded) + (phase == "post")


def test_what_somebody_has_written_is_applied_as_ever(migrated_site: Callable[[str], Site]) -> None:
    project = with_rows(migrated_site("sqlite"))
    LOSSES["model"][0](project)
    dbmigrate("make", "core", cwd=project.root).expect(0)

    dbmigrate("all", cwd=project.root).expect(0)

    assert "core_item" not in tables(project.database("default"))


def test_a_check_that_is_ignored_does_not_let_data_go(migrated_site: Callable[[str], Site]) -> None:
    project = with_rows(migrated_site("sqlite"))
    project.write("pyproject.toml", '[tool.dbmigrate]\nignore = ["DBM304"]\n')
    LOSSES["field"][0](project)

    dbmigrate("all", cwd=project.root).expect(11)


def test_a_database_that_holds_nothing_yet_loses_nothing(migrated_site: Callable[[str], Site]) -> None:
    project = migrated_site("sqlite").project
    project.database("default").unlink()
    LOSSES["field"][0](project)

    dbmigrate("all", cwd=project.root).expect(0)

    assert len(applied(project.database("default"))) == 3


@pytest.mark.parametrize("key", ["n", ESCAPE, CONTROL_C, "\r"], ids=["no", "escape", "interrupt", "enter"])
def test_a_person_who_does_not_agree(migrated_site: Callable[[str], Site], key: str) -> None:
    project = with_rows(migrated_site("sqlite"))
    LOSSES["field"][0](project)
    before = project.content()
    terminal = Terminal(project, "all", columns=120)
    screen = terminal.wait_for("Write and apply it?")
    assert any("drops a column (core_item, about 2 rows): Remove field name from item" in line for line in screen)

    terminal.press(key)

    assert terminal.wait_for_end() == 4
    assert any("hint: dbmigrate make core" in line for line in terminal.screen())
    assert project.content() == before


def test_a_person_who_agrees_is_asked_once(migrated_site: Callable[[str], Site]) -> None:
    project = with_rows(migrated_site("sqlite"))
    LOSSES["field"][0](project)
    terminal = Terminal(project, "all", columns=120)
    terminal.wait_for("Write and apply it?")

    terminal.press("y")

    assert terminal.wait_for_end() == 0
    assert sum("Write and apply it?" in line for line in terminal.scrollback()) == 1
    with closing(sqlite3.connect(project.database("default"))) as connection:
        assert [row[1] for row in connection.execute("PRAGMA table_info(core_item)")] == ["id", "other"]


@pytest.mark.parametrize("words", [("all", "--no-input"), ("run", "--auto")])
def test_nobody_is_asked_who_wants_no_question(migrated_site: Callable[[str], Site], words: tuple[str, ...]) -> None:
    project = with_rows(migrated_site("sqlite"))
    LOSSES["field"][0](project)

    assert Terminal(project, *words).wait_for_end() == 11


def write_makemigrations(project: Project, *operations: str) -> None:
    """Give the project a makemigrations that writes these operations, whatever has changed."""
    text = migration(*operations, after=(("core", "0001_initial"),))
    project.write("core/management/__init__.py", "")
    project.write("core/management/commands/__init__.py", "")
    project.write(
        "core/management/commands/makemigrations.py",
        "from pathlib import Path\n"
        "from django.core.management.commands.makemigrations import Command as Django\n\n\n"
        "class Command(Django):\n"
        "    def handle(self, *labels, **options):\n"
        f"        Path('core/migrations/0002_gone.py').write_text({text!r})\n",
    )


def test_a_makemigrations_that_writes_more_than_was_foreseen_is_not_applied(
    migrated_site: Callable[[str], Site],
) -> None:
    project = with_rows(migrated_site("sqlite"))
    write_makemigrations(project, "migrations.DeleteModel('Item')")
    project.append("core/models.py", "class More(models.Model):\n    pass\n")

    refused = dbmigrate("all", cwd=project.root).expect(11)

    assert "(it is written now, and nothing was applied)" in refused.stderr
    assert "core_item" in tables(project.database("default"))


@pytest.mark.soak
@pytest.mark.parametrize("others", [(), ("migrations.RunSQL('DELETE FROM core_item')",)], ids=["agreed", "more"])
def test_a_person_who_agrees_to_one_loss_agrees_to_no_other(
    others: tuple[str, ...], migrated_site: Callable[[str], Site]
) -> None:
    project = with_rows(migrated_site("sqlite"))
    LOSSES["field"][0](project)
    other = "migrations.AddField('item', 'other', models.IntegerField(null=True))"
    write_makemigrations(project, *others, "migrations.RemoveField('item', 'name')", other)
    terminal = Terminal(project, "all", columns=120)
    terminal.wait_for("Write and apply it?")

    terminal.press("y")

    assert terminal.wait_for_end() == (11 if others else 0)
    with closing(sqlite3.connect(project.database("default"))) as connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(core_item)")]
    assert columns == (["id", "name"] if others else ["id", "other"])
    refused = [line for line in terminal.scrollback() if "deletes rows or drops what it names: Raw SQL" in line]
    assert len(refused) == len(others)
