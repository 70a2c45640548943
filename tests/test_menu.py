"""The menu on a real terminal: keys in, whole screens out."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.cli import dbmigrate
from support.postgresql import PostgresqlServer
from support.projects import Project, applied, simple_app, write_project
from support.terminal import CONTROL_C, DOWN, ENTER, ESCAPE, Terminal

MENU = [
    "? What would you like to do?",
    "❯ Migrate all databases (recommended)",
    "  Migrate specific database",
    "  Migrate specific app",
    "  Show database status",
    "  View configuration info",
    "  Check for problems",
    "  Exit",
]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Return a project with two apps on two databases, the second one routed."""
    return write_project(
        tmp_path / "site",
        {"core": simple_app(), "blog": simple_app()},
        aliases=("default", "blog_db"),
        rules={"blog": "blog_db"},
    )


def header(*databases: str) -> list[str]:
    return [
        "📋 Current Configuration:",
        "  Databases:",
        *(f"    {line}" for line in databases),
        "  Apps: core, blog",
    ]


def test_the_first_screen_shows_where_everything_stands(project: Project) -> None:
    terminal = Terminal(project)

    screen = terminal.wait_for("Exit")

    assert [line for line in screen if line] == [
        "🗄 Django Database Migrator",
        *header("default  default, 2 pending", "blog_db  routed, 1 pending"),
        *MENU,
    ]
    terminal.press(CONTROL_C)
    assert terminal.wait_for_end() == 0
    assert project.tables() == {}


def test_a_database_is_chosen_planned_confirmed_and_migrated(project: Project) -> None:
    terminal = Terminal(project)
    terminal.wait_for("Exit")

    terminal.press(DOWN, ENTER)
    chosen = terminal.wait_for("? Which database?")
    terminal.press(DOWN, ENTER)
    planned = terminal.wait_for("Run this plan?")
    terminal.press(ENTER)
    done = terminal.wait_for("$ dbmigrate run --database blog_db")

    assert "? Which database?" in chosen
    assert "  1. blog_db:blog: 1 migration" in planned
    assert "All migrations completed successfully" in done
    assert "    blog_db  routed, nothing pending" in terminal.wait_for("nothing pending")
    assert applied(project.database("blog_db")) == ["blog.0001_initial"]
    terminal.press(ESCAPE)
    assert terminal.wait_for_end() == 0


def test_an_app_is_taken_back_to_nothing(project: Project) -> None:
    dbmigrate("all", cwd=project.root).expect(0)
    terminal = Terminal(project)
    terminal.wait_for("Exit")

    terminal.press(DOWN, DOWN, ENTER)
    terminal.wait_for("? Which app?")
    terminal.press(DOWN, ENTER)
    terminal.wait_for("? Up to which migration?")
    terminal.press(DOWN, DOWN, ENTER)
    terminal.wait_for("Run this plan?")
    terminal.press("y")
    done = terminal.wait_for("$ dbmigrate run --app blog --to zero")

    assert any("1 migration undone" in line for line in done)
    assert applied(project.database("blog_db")) == []


@pytest.mark.parametrize(("steps", "words"), [(3, "$ dbmigrate status"), (4, "$ dbmigrate info")])
def test_looking_shows_the_answer_and_the_command(project: Project, steps: int, words: str) -> None:
    terminal = Terminal(project, rows=60)
    terminal.wait_for("Exit")

    terminal.press(*[DOWN] * steps, ENTER)

    assert "default" in "".join(terminal.wait_for(words))
    terminal.press(CONTROL_C)
    assert terminal.wait_for_end() == 0


@pytest.mark.parametrize("key", [ESCAPE, CONTROL_C])
def test_going_back_at_every_question_changes_nothing(project: Project, key: str) -> None:
    terminal = Terminal(project)
    terminal.wait_for("Exit")
    for keys, question in (
        ((DOWN, ENTER), "Which database?"),
        ((DOWN, DOWN, ENTER), "Which app?"),
        ((ENTER,), "Run this plan?"),
    ):
        terminal.press(*keys)
        terminal.wait_for(question)
        terminal.press(key)
        terminal.wait_for("  View configuration info")

    terminal.press(key)

    assert terminal.wait_for_end() == 0
    assert project.tables() == {}


def test_a_second_action_boots_again_only_if_a_file_changed(project: Project, tmp_path: Path) -> None:
    log = tmp_path / "boots.log"
    project.append("site_settings.py", f"open({str(log)!r}, 'a').write('boot\\n')")
    terminal = Terminal(project, rows=70)
    terminal.wait_for("Exit")

    terminal.press(DOWN, DOWN, DOWN, ENTER)
    terminal.wait_for("$ dbmigrate status")
    boots_before = log.read_text().count("boot")
    project.append("site_settings.py", "raise RuntimeError('half written')")
    terminal.press(DOWN, DOWN, DOWN, ENTER)
    broken = terminal.wait_for("RuntimeError: half written")
    text = (project.root / "site_settings.py").read_text()
    project.write("site_settings.py", text.replace("raise RuntimeError('half written')", ""))
    terminal.press(DOWN, DOWN, DOWN, DOWN, ENTER)
    terminal.wait_for("$ dbmigrate info")

    assert boots_before == 1
    assert any("the project changed (site_settings.py): loading it again" in line for line in broken)
    terminal.press(CONTROL_C)
    assert terminal.wait_for_end() == 0


@pytest.mark.parametrize(
    "environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {"LANG": "C", "PYTHONIOENCODING": "ascii"}]
)
def test_a_poor_terminal_is_enough(project: Project, environment: dict[str, str]) -> None:
    terminal = Terminal(project, environment=environment)

    screen = terminal.wait_for("Exit")

    assert any("Migrate all databases (recommended)" in line for line in screen)
    terminal.press(CONTROL_C)
    assert terminal.wait_for_end() == 0


def test_a_terminal_that_becomes_narrow_shows_the_menu_still(project: Project) -> None:
    terminal = Terminal(project)
    terminal.wait_for("Exit")

    terminal.resize(40, 30)
    terminal.press(DOWN)
    screen = terminal.wait_for("❯ Migrate specific database")

    assert all(len(line) <= 40 for line in screen)
    terminal.press(CONTROL_C)
    assert terminal.wait_for_end() == 0


def test_without_a_terminal_the_commands_to_use_are_named(project: Project) -> None:
    outcome = dbmigrate("menu", cwd=project.root).expect(2)

    assert "the menu needs a terminal" in outcome.stderr
    assert "dbmigrate all" in outcome.stderr


@pytest.mark.postgresql
def test_postgresql_behind_the_menu(tmp_path: Path, postgresql: PostgresqlServer) -> None:
    entry = postgresql.create_database()
    project = write_project(tmp_path, {"core": simple_app()}, aliases={"default": entry})
    terminal = Terminal(project)
    terminal.wait_for("Exit")

    terminal.press(ENTER)
    terminal.wait_for("Run this plan?")
    terminal.press(ENTER)
    terminal.wait_for("$ dbmigrate all")

    assert postgresql.tables(entry) == {"django_migrations", "core_item"}
