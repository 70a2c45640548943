"""The menu on a real terminal: keys in, whole screens out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.cli import dbmigrate
from support.combinations import combinations
from support.postgresql import PostgresqlServer
from support.projects import Project, applied, migration, model, simple_app, waiting_project, write_project
from support.sites import ENGINES
from support.terminal import CONTROL_C, CONTROL_D, DOWN, ENTER, ESCAPE, UP, Terminal

MENU = [
    "? What would you like to do?",
    "❯ Migrate all databases (recommended)",
    "  Migrate specific database",
    "  Migrate specific app",
    "  Show database status",
    "  View configuration info",
    "  Check for problems",
    "  Apply a saved plan",
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


@pytest.mark.soak
def test_what_is_typed_counts_also_when_enter_comes_with_it(project: Project) -> None:
    terminal = Terminal(project)
    terminal.wait_for("Exit")
    terminal.press(DOWN, DOWN, ENTER)
    terminal.wait_for("Which app?")

    terminal.press("blog" + ENTER)

    assert "? Which app? blog  on blog_db, 1 pending" in terminal.wait_for("Up to which migration?")
    terminal.press("0001" + ENTER)
    terminal.wait_for("Run this plan?")
    terminal.press("n")
    assert "$ dbmigrate run --app blog --to 0001_initial" in terminal.wait_for("Save this plan")
    terminal.press("n")
    terminal.wait_for("  Exit")
    terminal.press(CONTROL_C)
    assert terminal.wait_for_end() == 0


@pytest.mark.soak
def test_an_app_is_taken_back_to_nothing(project: Project) -> None:
    dbmigrate("all", cwd=project.root).expect(0)
    terminal = Terminal(project)
    terminal.wait_for("Exit")

    terminal.press(DOWN, DOWN, ENTER)
    terminal.wait_for("? Which app?")
    terminal.press(DOWN, ENTER)
    terminal.wait_for("? Up to which migration?")
    terminal.press(DOWN, DOWN, ENTER)
    terminal.wait_for("Run this plan, which undoes migrations? (y/N)")
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


@pytest.mark.parametrize("key", [ESCAPE, CONTROL_C, pytest.param(CONTROL_D, marks=pytest.mark.soak)])
def test_going_back_at_every_question_changes_nothing(project: Project, key: str) -> None:
    terminal = Terminal(project)
    terminal.wait_for("Exit")
    for keys, question in (
        ((DOWN, ENTER), "Which database?"),
        ((DOWN, DOWN, ENTER), "Which app?"),
        ((ENTER,), "Run this plan?"),
        ((DOWN, DOWN, ENTER, ENTER), "Up to which migration?"),
    ):
        terminal.press(*keys)
        terminal.wait_for(question)
        terminal.press(key)
        terminal.wait_for("  View configuration info")

    terminal.press(key)

    assert terminal.wait_for_end() == 0
    assert project.tables() == {}


@pytest.mark.soak
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
    assert any("the project changed (site_settings.py): reloading it" in line for line in broken)
    terminal.press(CONTROL_C)
    assert terminal.wait_for_end() == 0


COLOR = re.compile(r"\x1b\[([0-9]+;)*[349][0-9](;[0-9]+)*m")


@pytest.mark.soak
@pytest.mark.parametrize(
    ("arguments", "environment"),
    [
        ((), {"NO_COLOR": "1"}),
        (("--color", "never"), {}),
        ((), {"TERM": "dumb"}),
        ((), {"LANG": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}),
    ],
)
def test_a_poor_terminal_is_enough(project: Project, arguments: tuple[str, ...], environment: dict[str, str]) -> None:
    terminal = Terminal(project, *arguments, environment=environment)

    terminal.wait_for("Exit")
    terminal.press(DOWN, ENTER)
    terminal.wait_for("Which database?")
    terminal.press(DOWN, ENTER)
    terminal.wait_for("Run this plan?")
    terminal.press(ENTER)
    terminal.wait_for("$ dbmigrate run --database blog_db")
    terminal.wait_for("  View configuration info")
    terminal.press(CONTROL_C)

    assert terminal.wait_for_end() == 0
    assert applied(project.database("blog_db")) == ["blog.0001_initial"]
    if "LANG" in environment:
        assert terminal.sent.isascii()
    else:
        assert not COLOR.search(terminal.sent)


@pytest.mark.soak
def test_a_terminal_that_becomes_narrow_is_enough_for_every_entry(project: Project) -> None:
    terminal = Terminal(project)
    terminal.wait_for("Exit")

    terminal.resize(40, 60)
    terminal.press(DOWN, DOWN, ENTER)
    terminal.wait_for("Which app?")
    terminal.press("bl", ENTER)
    terminal.wait_for("Up to which migration?")
    terminal.press(ENTER)
    terminal.wait_for("Run this plan?")
    terminal.press(ENTER)
    terminal.wait_for("$ dbmigrate run --app blog")
    terminal.press(DOWN, DOWN, DOWN, ENTER)
    terminal.wait_for("$ dbmigrate status")
    terminal.press(DOWN, DOWN, DOWN, DOWN, ENTER)
    terminal.wait_for("$ dbmigrate info")
    terminal.press(ESCAPE)

    assert terminal.wait_for_end() == 0
    assert applied(project.database("blog_db")) == ["blog.0001_initial"]


def test_an_interrupt_while_a_migration_runs_leads_back_to_the_menu(tmp_path: Path) -> None:
    project, ready, go = waiting_project(tmp_path)
    terminal = Terminal(project, rows=60)
    terminal.wait_for("Exit")
    terminal.press(ENTER)
    terminal.wait_for("Run this plan?")
    terminal.press(ENTER)
    terminal.wait_until(ready.exists)

    terminal.press(CONTROL_C)
    said = "stopping (SIGINT): no new steps, still running: default; ^C again interrupts"
    # Not wait_for, which wants the screen to rest: the live view moves on.
    terminal.wait_until(lambda: said in terminal.screen())
    go.touch()
    screen = terminal.wait_for("  View configuration info")

    assert any("not started" in line for line in screen)
    assert "$ dbmigrate all" in screen
    terminal.press(CONTROL_C)
    assert terminal.wait_for_end() == 0
    assert "core.0001_initial" in applied(project.database("default"))
    assert not project.database("blog_db").exists()


def test_run_with_nothing_named_is_the_menu(project: Project) -> None:
    terminal = Terminal(project, "run")

    terminal.wait_for("What would you like to do?")
    terminal.press(CONTROL_C)

    assert terminal.wait_for_end() == 0


@pytest.mark.parametrize("arguments", [("--no-input",), ("menu", "--no-input"), ("menu", "--format", "json")])
def test_who_does_not_want_to_be_asked_gets_no_menu(project: Project, arguments: tuple[str, ...]) -> None:
    assert Terminal(project, *arguments).wait_for_end() == 2


def test_without_a_terminal_the_commands_to_use_are_named(project: Project) -> None:
    outcome = dbmigrate("menu", cwd=project.root).expect(2)

    assert "the menu needs a terminal" in outcome.stderr
    assert "dbmigrate all" in outcome.stderr


WALK = """\
🗄 Django Database Migrator
📋 Current Configuration:
  Databases:
    default default, 2 pending
    blog_db routed, 1 pending
  Apps: core, blog
? What would you like to do? Show database status
site_settings, Django VERSION, Python VERSION
 database kind server applied pending last applied
 ─
 default default SERVER 0 2 (1 only recorded)
 blog_db routed SERVER 0 1
$ dbmigrate status
? What would you like to do? Check for problems
site_settings, Django VERSION, Python VERSION
2 databases checked: nothing found
$ dbmigrate check
? What would you like to do? View configuration info
...
$ dbmigrate info
? What would you like to do? Migrate specific database
? Which database? blog_db routed, 1 pending
site_settings, Django VERSION, Python VERSION
1 step
  1. blog_db:blog: 1 migration
     manage.py migrate blog --database=blog_db --no-input
     blog.0001_initial
Cost: 1 process, forked from the one that has booted the project (in TIME)
Digest: DIGEST
? Run this plan? No
nothing was changed; the same from the command line:
$ dbmigrate run --database blog_db
? Save this plan to apply it later? Yes
? In which file? plan.json
site_settings, Django VERSION, Python VERSION
1 step
  1. blog_db:blog: 1 migration
     manage.py migrate blog --database=blog_db --no-input
     blog.0001_initial
Cost: 1 process, forked from the one that has booted the project (in TIME)
Digest: DIGEST
$ dbmigrate plan --database blog_db -o plan.json
? What would you like to do? Migrate all databases (recommended)
site_settings, Django VERSION, Python VERSION
No changes detected
2 steps, up to 2 databases at once
  1. default: 2 migrations, 1 only recorded
     manage.py migrate --database=default --no-input
     blog.0001_initial (only recorded)
     core.0001_initial
  2. blog_db:blog: 1 migration (after default)
     manage.py migrate blog --database=blog_db --no-input
     blog.0001_initial
Cost: 2 processes, forked from the one that has booted the project (in TIME); 1 of 3 migrations only recorded
Digest: DIGEST
? Run this plan? Yes
🚀 Migrating all databases...
No changes detected
🔄 Migrating database: default
  📦 Migrating all apps...
  Migrations completed for default
🔄 Migrating database: blog_db
  📦 Migrating app: blog
  Migrations completed for blog_db
 database result what time
 ─
 default migrated 2 migrations, 1 only recorded TIME
 blog_db migrated 1 migration TIME
All migrations completed successfully
$ dbmigrate all
📋 Current Configuration:
  Databases:
    default default, nothing pending
    blog_db routed, nothing pending
  Apps: core, blog
? What would you like to do? Migrate specific app
? Which app? blog on blog_db, nothing pending
? Up to which migration? zero (undo all of them)
site_settings, Django VERSION, Python VERSION
1 step
  1. blog_db:blog: 1 migration
     manage.py migrate blog zero --database=blog_db --no-input
     blog.0001_initial (undone)
       ! undoing drops the tables and columns they created, with all data in them
Cost: 1 process, forked from the one that has booted the project (in TIME)
Digest: DIGEST
? Run this plan, which undoes migrations? Yes
🚀 Undoing migrations of blog...
🔄 Undoing migrations of database: blog_db
  📦 Undoing migrations of app: blog
  Migrations undone for blog_db
 database result what time
 ─
 blog_db undone 1 migration undone TIME
All selected migrations were undone
$ dbmigrate run --app blog --to zero
📋 Current Configuration:
  Databases:
    default default, nothing pending
    blog_db routed, 1 pending
  Apps: core, blog
? What would you like to do? Exit"""
"""The whole screen after a walk through every entry; space and what differs are taken out."""


def settled(screen: list[str]) -> list[str]:
    """Return the lines that are not empty, without versions, times, and what the width of a column makes of them."""
    text = "\n".join(line for line in screen if line.strip())
    # What info says of interpreter and folders is another thing on every machine.
    text = re.sub(r"(View configuration info\n).*?(\$ dbmigrate info)", r"\1...\n\2", text, flags=re.DOTALL)
    text = re.sub(r"\d+\.\d s\b", "TIME", text)
    text = re.sub(r"Digest: [0-9a-f]{12}\b", "Digest: DIGEST", text)
    text = re.sub(r"(Django|Python) [\d.]+", r"\1 VERSION", text)
    text = re.sub(r"(SQLite|PostgreSQL) [\d.]+(, no file yet)?", "SERVER", text)
    text = re.sub(r"─[─ ]*", "─", text)
    return [re.sub(r"(?<=\S) +", " ", line).rstrip() for line in text.splitlines()]


@pytest.mark.parametrize("engine", combinations(ENGINES[:2], quick=[("sqlite",)]))
def test_a_walk_through_every_entry(engine: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    aliases: dict[str, dict[str, str]] = {"default": {}, "blog_db": {}}
    if engine == "postgresql":
        server: PostgresqlServer = request.getfixturevalue("postgresql")
        aliases = {alias: server.create_database() for alias in aliases}
    project = write_project(
        tmp_path / "site",
        {"core": simple_app(), "blog": simple_app()},
        aliases=aliases,
        rules={"blog": "blog_db"},
    )
    terminal = Terminal(project, rows=240, columns=120)
    terminal.wait_for("  Exit")

    terminal.press(DOWN, DOWN, DOWN, ENTER)
    terminal.wait_for("$ dbmigrate status")
    terminal.press(UP, UP, UP, ENTER)
    terminal.wait_for("$ dbmigrate check")
    terminal.press(DOWN, DOWN, DOWN, DOWN, ENTER)
    terminal.wait_for("$ dbmigrate info")
    terminal.press(DOWN, ENTER)
    terminal.wait_for("Which database?")
    terminal.press("blog", ENTER)
    terminal.wait_for("Run this plan?")
    terminal.press("n")
    terminal.wait_for("Save this plan")
    terminal.press("y")
    terminal.wait_for("In which file?")
    terminal.press(ENTER)
    terminal.wait_for("$ dbmigrate plan")
    terminal.press(ENTER)
    terminal.wait_for("2 steps")
    terminal.wait_for("Run this plan? (Y/n)")
    terminal.press(ENTER)
    terminal.wait_for("$ dbmigrate all")
    terminal.wait_for("  Exit")
    terminal.press(DOWN, DOWN, ENTER)
    terminal.wait_for("Which app?")
    terminal.press("blog", ENTER)
    terminal.wait_for("Up to which migration?")
    terminal.press("zero", ENTER)
    terminal.wait_for("Run this plan, which undoes migrations? (y/N)")
    terminal.press("y")
    terminal.wait_for("$ dbmigrate run --app blog --to zero")
    terminal.wait_for("  Exit")
    terminal.press(UP, ENTER)

    assert terminal.wait_for_end() == 0
    assert settled(terminal.screen()) == WALK.splitlines()


def test_a_saved_plan_is_shown_before_somebody_is_asked_whether_to_apply_it(project: Project) -> None:
    dbmigrate("all", cwd=project.root).expect(0)
    drop = 'migrations.RemoveField("item", "name")'
    project.write("blog/models.py", model("Item", "pass"))
    project.write("blog/migrations/0002_drop.py", migration(drop, after=(("blog", "0001_initial"),)))
    dbmigrate("plan", "--skip-makemigrations", "-o", "plan.json", cwd=project.root).expect(0)
    terminal = Terminal(project, rows=120, columns=120)
    terminal.wait_for("  Exit")

    terminal.press(UP, UP, ENTER)
    terminal.wait_for("Which file?")
    terminal.press(ENTER)
    terminal.wait_for("Apply this plan, if nothing has changed? (y/N)")
    shown = "\n".join(settled(terminal.screen()))
    terminal.press("y")
    terminal.wait_for("$ dbmigrate apply plan.json")
    terminal.press(CONTROL_C)

    terminal.wait_for_end()
    assert (
        "Saved plan in plan.json: 2 databases\n"
        "  default: 1 migration, 1 only recorded: blog.0002_drop (post, only recorded)\n"
        "  blog_db: 1 migration: blog.0002_drop (post)\n"
        "  ! DBM304: blog.0002_drop on blog_db drops a column (blog_item): Remove field name from item\n"
        "Digest: DIGEST\n"
    ) in shown
    assert applied(project.database("blog_db")) == ["blog.0001_initial", "blog.0002_drop"]


def test_a_file_that_holds_no_plan_is_refused_before_anybody_is_asked(project: Project) -> None:
    terminal = Terminal(project)
    terminal.wait_for("  Exit")

    terminal.press(UP, UP, ENTER)
    terminal.wait_for("Which file?")
    terminal.press(ENTER)

    terminal.wait_for("error: plan.json cannot be read: No such file or directory (nothing was changed)")
    terminal.press(CONTROL_C)
    assert terminal.wait_for_end() == 0
    assert not any("Apply this plan" in line for line in terminal.screen())
