"""What is printed, in every format and on every kind of terminal."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pexpect
import pytest
from support.cli import EXECUTABLE, Outcome, clean_environment, dbmigrate, looks
from support.projects import (
    Project,
    applied,
    create,
    failing,
    migration,
    model,
    simple_app,
    waiting_project,
    write_project,
)
from support.runner import read_log
from support.terminal import CONTROL_C, ESCAPE, Terminal

from dbmigrate.models.json_schema import envelope_schema
from dbmigrate.models.reports import Envelope

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def small(tmp_path: Path) -> Project:
    """Return a project with two apps on two databases."""
    return write_project(
        tmp_path / "small",
        {"core": simple_app(), "blog": simple_app()},
        aliases=("default", "blog_db"),
        rules={"blog": "blog_db"},
    )


def on_a_terminal(
    project: Project, *arguments: str, columns: int = 80, environment: Mapping[str, str] | None = None
) -> tuple[int | None, list[str]]:
    """Run on a real terminal and return the exit code and what it was sent, line by line, colour and all."""
    child = pexpect.spawn(
        str(EXECUTABLE),
        list(arguments),
        cwd=str(project.root),
        env=clean_environment(**{"TERM": "xterm-256color", **(environment or {})}),
        dimensions=(30, columns),
        encoding="utf-8",
        timeout=60,
    )
    text = child.read()
    child.close()
    return child.exitstatus, text.replace("\r\n", "\n").split("\n")


def without_control(lines: list[str]) -> list[str]:
    """Return the lines without escape sequences."""
    return [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line) for line in lines]


LOOKING = ("plan", "plan --sql", "all --dry-run", "status", "info", "check", "wait")


def is_document(outcome: Outcome, command: str) -> bool:
    """Whether a command succeeded and wrote one document with its answer, and nothing else."""
    envelope = Envelope.model_validate_json(outcome.expect(0).stdout)
    return envelope.command == command.split()[0] and envelope.result is not None and outcome.stderr == ""


def test_every_answer_is_one_document_and_who_only_looks_writes_nothing(sample: Project) -> None:
    before = sample.content()

    answers = looks([f"{command} --format json" for command in LOOKING], cwd=sample.root)

    assert [command for command, look in zip(LOOKING, answers, strict=True) if not is_document(look, command)] == []
    assert sample.content() == before


@pytest.mark.parametrize("command", ["all", "run --app blog"])
def test_the_answer_of_a_run_is_one_document(sample: Project, command: str) -> None:
    outcome = dbmigrate(*command.split(), "--format", "json", cwd=sample.root)

    assert is_document(outcome, command)
    assert sample.tables() != {}


@pytest.mark.soak
@pytest.mark.parametrize("command", LOOKING)
def test_a_command_in_a_process_of_its_own_says_what_it_says_on_a_boot_that_it_shares(
    sample: Project, command: str
) -> None:
    line = f"{command} --format json"
    before = sample.content()

    alone = dbmigrate(*line.split(), cwd=sample.root).expect(0).json
    shared = looks(["status", line], cwd=sample.root)[1].json

    for document in (alone, shared):
        for measured in ("seconds", "boot_seconds"):
            document["result"].pop(measured, None)
    assert shared == alone
    assert sample.content() == before


def test_the_published_schema_is_that_of_the_models() -> None:
    assert (DOCS / "schema" / "envelope.json").read_text() == envelope_schema(), (
        "python -m dbmigrate.models.json_schema > docs/schema/envelope.json (a key that goes away breaks scripts)"
    )


def test_no_key_of_the_published_schema_went_away() -> None:
    published = json.loads((DOCS / "schema" / "envelope.json").read_text())

    required = {name: set(part.get("properties", ())) for name, part in published["$defs"].items()}
    assert {"code", "name"} <= required["ExitReport"]
    assert {"alias", "status", "applied", "remaining", "failure"} <= required["DatabaseResult"]


def test_a_run_that_failed_is_a_document_too(tmp_path: Path) -> None:
    app = {"models.py": model(), "migrations/0001_initial.py": migration("migrations.RunPython(fail)", head=failing())}
    project = write_project(tmp_path, {"core": app})

    outcome = dbmigrate("all", "--skip-makemigrations", "--format", "json", cwd=project.root).expect(30)

    failure = outcome.json["result"]["run"]["databases"][0]["failure"]
    assert (
        failure["kind"],
        failure["migration"],
        failure["rolled_back"],
        failure["exit_code"],
        failure["message"],
    ) == (
        "command",
        "core.0001_initial",
        True,
        1,
        "RuntimeError: boom",
    )


@pytest.mark.soak
def test_the_terminal_shows_the_words_of_the_reference_and_a_summary(sample: Project) -> None:
    code, lines = on_a_terminal(sample, "all")

    text = "\n".join(without_control(lines))
    assert code == 0
    for words in (
        "🚀 Migrating all databases...",
        "🔄 Migrating database: blog_db",
        "📦 Migrating app: blog",
        "Migrations completed for blog_db",
        "Constance migrated successfully",
        "All migrations completed successfully",
    ):
        assert words in text


SAID = [
    "🚀 Migrating all databases...",
    "No changes detected",
    "🔄 Migrating database: default",
    "  📦 Migrating all apps...",
    "  Migrations completed for default",
    "🔄 Migrating database: blog_db",
    "  📦 Migrating app: blog",
    "  Migrations completed for blog_db",
    "🔄 Migrating database: shop_db",
    "  📦 Migrating app: shop",
    "  Migrations completed for shop_db",
]


@pytest.mark.soak
@pytest.mark.parametrize("columns", [40, 60, 100])
def test_the_live_view_fits_frame_by_frame_and_leaves_a_whole_scrollback(sample: Project, columns: int) -> None:
    terminal = Terminal(sample, "all", "--jobs", "1", columns=columns, rows=30, keeps_frames=True)

    assert terminal.wait_for_end() == 0

    live = [line for frame in terminal.frames for line in frame if re.match("[·▶✔✘-] ", line)]
    assert {line.split()[1] for line in live} == {"default", "blog_db", "shop_db"}
    # A line that is too wide would go on in the next one, which begins with none of the symbols.
    known = ("🚀", "No ", "🔄", "  ", "·", "▶", "✔", " ", "default", "blog_db", "shop_db", "Constance", "All ")
    assert [line for frame in terminal.frames for line in frame if line and not line.startswith(known)] == []
    assert any(re.match(r"▶ default .*\d+/33 +\d\.\d s [a-z]", line) for line in live)
    left = [line for line in terminal.scrollback() if line]
    assert left[: len(SAID)] == SAID
    assert left[-2:] == ["Constance migrated successfully", "All migrations completed successfully"]
    assert not any(line.startswith(("▶", "✔")) for line in left)


@pytest.mark.soak
@pytest.mark.parametrize("narrow", [(40, 60), pytest.param((72, 80), marks=pytest.mark.soak)])
@pytest.mark.parametrize("command", ["plan", "info"])
def test_no_word_is_broken_on_a_narrow_terminal(sample: Project, command: str, narrow: tuple[int, ...]) -> None:
    terminals = {columns: Terminal(sample, *command.split(), columns=columns, rows=400) for columns in (200, *narrow)}
    assert [terminal.wait_for_end() for terminal in terminals.values()] == [0] * len(terminals)

    # Not counted: what is there to be copied, times, and the headings that a list of rows does not need.
    other = re.compile(r"─+|\d+\.\d|--.*|database|migration|app|last|applied")
    for columns in narrow:
        words = {word for line in terminals[200].screen() for word in line.split() if len(word) < columns // 2}
        found = {word for line in terminals[columns].screen() for word in line.split()}
        assert {word for word in words - found if not other.fullmatch(word)} == set(), columns


@pytest.mark.soak
@pytest.mark.parametrize("environment", [{}, {"NO_COLOR": "1", "LC_ALL": "C", "PYTHONUTF8": "0"}])
def test_status_has_a_line_for_each_database_at_every_width(tmp_path: Path, environment: dict[str, str]) -> None:
    aliases = ("default", "a_warehouse_with_a_long_name", "billing", "legacy")
    files = {alias: {"ENGINE": "django.db.backends.sqlite3", "NAME": f"{alias}.sqlite3"} for alias in aliases}
    copies: dict[str, dict[str, Any]] = {
        "replica": {**files["default"], "TEST": {"MIRROR": "default"}},
        "reporting": files["billing"],
    }
    apps = {label: simple_app() for label in ("core", "warehouse", "billing")}
    rules = {"warehouse": aliases[1], "billing": "billing"}
    project = write_project(tmp_path / "site", apps, aliases={**files, **copies}, rules=rules)
    dbmigrate("all", "--skip-makemigrations", cwd=project.root).expect(0)

    for columns in (60, 80, 100, 120):
        terminal = Terminal(project, "status", columns=columns, environment=environment)
        assert terminal.wait_for_end() == 0

        screen = terminal.screen()
        left_out = [number for number, line in enumerate(screen) if line.startswith("not shown at this width: ")]
        rows = [line.strip("| ") for line in screen[3 : left_out[0] if left_out else None] if line.strip("─-+| ")]
        assert [row.split()[0] for row in rows] == [*aliases, "replica", "reporting"], "\n".join(terminal.screen())
        shown = "\n".join(rows)
        assert "replica of default" in shown
        assert "same as billing" in shown
        assert ("s ago" in shown or "min ago" in shown) == (columns > 60), shown
        assert ("last applied" in "\n".join(screen[len(rows) :])) == (columns == 60), screen


def test_a_wide_status_names_server_and_last_migration(migrated_sample: Project) -> None:
    terminal = Terminal(migrated_sample, "status", columns=160)
    assert terminal.wait_for_end() == 0

    line = next(line for line in terminal.screen() if line.strip().startswith("blog_db"))
    assert re.search(r"blog_db +routed +SQLite [\d.]+ +6 +0 +blog\.0004_fill_slugs, \d+ (s|min|h) ago$", line), line


def test_status_of_some_databases_and_apps(migrated_sample: Project) -> None:
    two, app, wrong, missing = looks(
        {
            "status --database blog_db --database shop_db": 0,
            "status --app blog --migrations --format json": 0,
            "status --app blgo": 2,
            "status --database blgo_db": 2,
        },
        cwd=migrated_sample.root,
    )

    assert [line.split()[0] for line in two.stdout.splitlines()[2:]] == ["blog_db", "shop_db"]
    databases = app.json["result"]["databases"]
    counted = {database["alias"]: (database["applied"], database["pending"]) for database in databases}
    assert counted == {"default": (4, 0), "blog_db": (4, 0)}
    assert databases[1]["last_applied"]["id"] == "blog.0004_fill_slugs"
    assert {row["app"] for row in app.json["result"]["migrations"]} == {"blog"}
    assert "did you mean blog?" in wrong.stderr
    assert "did you mean blog_db" in missing.stderr


@pytest.mark.soak
@pytest.mark.parametrize(
    ("environment", "bar"),
    [
        ({"NO_COLOR": "1"}, "━━━━━━━━━━──────────  1/2"),
        ({"NO_COLOR": "1", "LC_ALL": "C", "PYTHONUTF8": "0"}, "##########----------  1/2"),
    ],
)
def test_the_bar_can_be_read_without_colour(tmp_path: Path, environment: dict[str, str], bar: str) -> None:
    head = (
        "import pathlib, time\n\n\ndef wait(apps, schema_editor):\n"
        f"    while not pathlib.Path({str(tmp_path / 'go')!r}).exists():\n        time.sleep(0.05)\n"
    )
    waiting = migration("migrations.RunPython(wait)", after=(("core", "0001_initial"),), head=head)
    app = simple_app(**{"migrations/0002_wait.py": waiting})
    project = write_project(tmp_path / "site", {"core": app})
    terminal = Terminal(project, "all", "--skip-makemigrations", columns=80, environment=environment)

    line = next(line for line in terminal.see("0002_wait") if "0002_wait" in line)
    (tmp_path / "go").touch()

    assert terminal.wait_for_end() == 0
    assert " ".join(bar.split()) in " ".join(line.split())


@pytest.mark.soak
def test_a_failed_step_on_a_terminal_shows_frames_of_the_project_and_all_with_v(tmp_path: Path) -> None:
    head = (
        "".join(f"def deep{n}(x):\n    return deep{n + 1}(x)\n\n\n" for n in range(6))
        + "def deep6(x):\n    from django.utils.dateparse import parse_date\n\n    return parse_date(x)\n\n\n"
        + "def fail(apps, schema_editor):\n    deep0(5)\n"
    )
    app = {"models.py": model(), "migrations/0001_initial.py": migration("migrations.RunPython(fail)", head=head)}
    project = write_project(tmp_path, {"core": app})
    words = ("all", "--skip-makemigrations")

    brief = Terminal(project, *words, columns=200, rows=60)
    assert brief.wait_for_end() == 30
    whole = Terminal(project, *words, "-v", columns=200, rows=200)
    assert whole.wait_for_end() == 30
    plain = dbmigrate(*words, cwd=project.root).expect(30)

    shown = brief.screen()
    start = next(number for number, line in enumerate(shown) if "from its last lines (-v shows all of them):" in line)
    end = next(number for number, line in enumerate(shown) if line.startswith("error: "))
    lines = shown[start + 1 : end]
    assert [re.findall(r"in (\w+)$", line)[0] for line in lines if ' File "' in line] == ["deep4", "deep5", "deep6"]
    assert lines[-1].endswith("TypeError: fromisoformat: argument must be str")
    assert len(lines) == 7
    for everything in (whole.scrollback(), plain.stderr.splitlines()):
        assert any("dateparse.py" in line for line in everything)
        assert any("its last lines:" in line for line in everything)


def test_an_interrupted_run_is_not_told_to_fix_a_cause(tmp_path: Path) -> None:
    head = (
        "import pathlib, time\n\n\ndef wait(apps, schema_editor):\n"
        f"    pathlib.Path({str(tmp_path / 'begun')!r}).touch()\n    time.sleep(60)\n"
    )
    app = {"models.py": model(), "migrations/0001_initial.py": migration("migrations.RunPython(wait)", head=head)}
    project = write_project(tmp_path / "site", {"core": app})
    terminal = Terminal(project, "all", "--skip-makemigrations", "--format", "plain", columns=200)

    terminal.wait_until((tmp_path / "begun").exists)
    terminal.press(CONTROL_C)
    terminal.see("stopping")
    terminal.press(CONTROL_C)

    assert terminal.wait_for_end() == 130
    assert terminal.screen()[-2:] == [
        "hint: rerun the command; it resumes where it stopped",
        "exit 130 (interrupted): interrupted before everything was done",
    ]


@pytest.mark.parametrize(("key", "code", "left"), [("n", 4, True), (ESCAPE, 4, True), ("y", 0, False)])
def test_undoing_is_asked_for_on_a_terminal(migrated_sample: Project, key: str, code: int, left: bool) -> None:
    terminal = Terminal(migrated_sample, "run", "--app", "blog", "--to", "0003")

    screen = terminal.wait_for("Undo them?")
    terminal.press(key)

    assert terminal.wait_for_end() == code
    assert "blog_db: 1 migration to undo: blog.0004_fill_slugs" in screen
    assert ("blog.0004_fill_slugs" in applied(migrated_sample.database("blog_db"))) is left


@pytest.mark.soak
@pytest.mark.parametrize("words", ["--to 0003 --no-input", "--to 0003 --fake"])
def test_undoing_is_not_asked_for_where_nobody_is_or_no_table_goes(migrated_sample: Project, words: str) -> None:
    terminal = Terminal(migrated_sample, "run", "--app", "blog", *words.split())

    assert terminal.wait_for_end() == 0
    assert not any("Undo them?" in line for line in terminal.scrollback())
    dbmigrate("run", "--app", "blog", "--to", "0002", cwd=migrated_sample.root).expect(0)


@pytest.mark.soak
@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {"CI": "true"}])
def test_no_colour_where_it_is_not_wanted(small: Project, environment: dict[str, str]) -> None:
    _, lines = on_a_terminal(small, "all", environment=environment)

    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", "\n".join(lines))


@pytest.mark.soak
def test_statements_are_coloured_and_can_be_copied_from_a_narrow_terminal(sample: Project) -> None:
    arguments = ("plan", "--sql", "--database", "blog_db")
    in_a_log = dbmigrate(*arguments, cwd=sample.root).expect(0).stdout.splitlines()

    code, lines = on_a_terminal(sample, *arguments, columns=40)

    assert code == 0
    assert any("\x1b[" in line and "CREATE" in line for line in lines)
    assert [line for line in without_control(lines) if line] == [line for line in in_a_log if line]


@pytest.mark.soak
@pytest.mark.parametrize(("value", "is_plain"), [("true", True), ("1", True), ("false", False), ("", False)])
def test_a_terminal_in_ci_gets_lines_for_a_log(small: Project, value: str, is_plain: bool) -> None:
    _, lines = on_a_terminal(small, "all", environment={"CI": value})

    assert ("[default] Migrating all apps..." in lines) is is_plain


@pytest.mark.soak
def test_no_emoji_where_the_terminal_cannot_show_them(small: Project) -> None:
    environment = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0"}

    _, lines = on_a_terminal(small, "all", environment=environment)

    assert all(line.isascii() for line in lines)


def test_quiet_says_nothing_unless_something_is_wrong(small: Project) -> None:
    outcome = dbmigrate("all", "-q", cwd=small.root).expect(0)

    assert (outcome.stdout, outcome.stderr) == ("", "")


def test_verbose_lines_have_a_time_and_what_children_print(small: Project) -> None:
    outcome = dbmigrate("all", "-v", cwd=small.root).expect(0)

    assert re.search(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ \[default\]   Running migrations:$", outcome.stderr, re.M)


@pytest.mark.soak
def test_verbose_on_a_terminal_has_commands_and_how_long_they_took(sample: Project) -> None:
    text = (sample.root / "shop/models.py").read_text()
    sample.write("shop/models.py", text.replace("max_length=200", "max_length=300"))

    _, lines = on_a_terminal(sample, "all", "-v", columns=200)

    said = "\n".join(without_control(lines))
    for words in ("makemigrations shop --no-input", "migrate --database=default --no-input"):
        assert re.search(rf"  \$ \S+python\S* \S+manage.py {words}", said), said
    for step in ("makemigrations", "default", "blog_db:blog", "shop_db:shop"):
        assert re.search(rf"  {step} ended after \d+\.\d s", said), said


def test_quiet_still_says_what_is_wrong(tmp_path: Path) -> None:
    app = {"models.py": model(), "migrations/0001_initial.py": migration("migrations.RunPython(fail)", head=failing())}
    project = write_project(tmp_path, {"core": app}, aliases=("default", "other"))

    outcome = dbmigrate("all", "-q", "--skip-makemigrations", cwd=project.root).expect(30)

    said = [line.split(":")[0] for line in outcome.stderr.splitlines()]
    assert outcome.stdout == ""
    assert said[:4] == ["warning", "   hint", "warning", "   hint"]
    assert {"error", "hint"} <= set(said)
    assert "[default]   RuntimeError: boom\n" in outcome.stderr
    assert said[-2:] == ["hint", "exit 30 (failed)"]


@pytest.mark.soak
def test_what_a_migration_prints_survives_every_format(tmp_path: Path) -> None:
    nasty = "[bold]x[/] :tada: \\x1b[31mred\\x1b[0m ::error::y \\x00 \\u2028 " + "long" * 3000
    shout = f"print({nasty!r}.encode().decode('unicode_escape'))"
    head = f"def shout(apps, schema_editor):\n    {shout}\n    raise SystemExit(3)\n"
    text = migration(create(), "migrations.RunPython(shout)", head=head)
    project = write_project(tmp_path, {"core": {"models.py": model(), "migrations/0001_initial.py": text}})

    plain = dbmigrate("all", "-v", cwd=project.root).expect(30)
    document = dbmigrate("all", "--format", "json", cwd=project.root).expect(30).json
    github = dbmigrate("all", "-v", "--format", "github", cwd=project.root).expect(30)
    code, lines = on_a_terminal(project, "all", "-v")

    assert "[bold]x[/] :tada: red ::error::y" in plain.stderr
    assert "\x1b" not in plain.stderr
    assert "\x00" not in plain.stderr
    assert any(
        "[bold]x[/] :tada:" in line for line in document["result"]["run"]["databases"][0]["failure"]["last_lines"]
    )
    assert any("[bold]x[/] :tada: red ::error::y" in line for line in read_log(github.stdout).text)
    assert "\x1b" not in github.stdout
    assert "\x00" not in github.stdout
    assert code == 30
    assert any("[bold]x[/] :tada: red ::error::y" in line for line in without_control(lines))


def test_the_same_run_tells_the_same_story_in_every_format(tmp_path: Path) -> None:
    app = {
        "models.py": model(),
        "migrations/0001_initial.py": migration(create()),
        "migrations/0002_fails.py": migration(
            "migrations.RunPython(fail)", head=failing("the disk is full"), after=(("core", "0001_initial"),)
        ),
    }
    told: dict[str, str] = {}
    for form in ("plain", "json", "github", "rich"):
        project = write_project(
            tmp_path / form,
            {"core": app, "blog": simple_app()},
            aliases=("default", "blog_db"),
            rules={"blog": "blog_db"},
        )
        words = ("all", "--skip-makemigrations", "--junit", "report.xml")
        files = {"GITHUB_STEP_SUMMARY": str(project.root / "summary.md")}
        if form == "rich":
            code, lines = on_a_terminal(project, *words, columns=200)
            assert code == 31
            told[form] = "\n".join(without_control(lines))
        else:
            outcome = dbmigrate(*words, "--format", form, cwd=project.root, environment=files).expect(31)
            told[form] = outcome.stdout + outcome.stderr
        told[f"junit beside {form}"] = (project.root / "report.xml").read_text()
        if form == "github":
            told["summary"] = (project.root / "summary.md").read_text()
            told["annotations"] = "\n".join(annotation.message for annotation in read_log(outcome.stdout).annotations)

    assert len(told) == 10
    for form, text in told.items():
        plain = text.replace("&#95;", "_").replace("&#58;", ":")
        for fact in ("core.0001_initial", "core.0002_fails", "the disk is full", "not started because default failed"):
            assert fact in plain or (form == "json" and fact == "not started because default failed"), (
                form,
                fact,
                text,
            )
    failed, waiting = json.loads(told["json"])["result"]["run"]["databases"]
    assert (failed["status"], waiting["status"], waiting["waited_for"]) == ("failed", "not-run", "default")


@pytest.mark.soak
def test_a_reader_that_goes_away_does_not_stop_the_run(sample: Project) -> None:
    shell = f"{EXECUTABLE} all -v 2>&1 | head -n 1"

    ended = subprocess.run(
        ["sh", "-c", shell], cwd=sample.root, env=clean_environment(), capture_output=True, text=True, timeout=60
    )

    assert ended.stdout.count("\n") == 1
    assert "blog.0004_fill_slugs" in applied(sample.database("blog_db"))


def start(project: Project, *arguments: str, under: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    """Start dbmigrate in the background, `under` another command."""
    return subprocess.Popen(
        [*under, str(EXECUTABLE), *arguments],
        cwd=project.root,
        env=clean_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # As under a shell's `&`: it must be heard all the same.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )


def read_until(process: subprocess.Popen[str], word: str) -> str:
    """Return the first line on stderr with this word."""
    assert process.stderr is not None
    line = process.stderr.readline()
    while word not in line:
        assert line, "it ended before it said so"
        line = process.stderr.readline()
    return line


def wait_for(file: Path) -> None:
    """Wait until a file is there."""
    import time

    deadline = time.monotonic() + 60
    while not file.exists():
        assert time.monotonic() < deadline, f"{file} did not appear"
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("signum", "code", "name"),
    [
        (signal.SIGINT, 130, "interrupted"),
        (signal.SIGTERM, 143, "terminated"),
        (signal.SIGHUP, 143, "terminated"),
    ],
)
def test_the_first_signal_lets_the_running_migration_finish(tmp_path: Path, signum: int, code: int, name: str) -> None:
    project, ready, go = waiting_project(tmp_path)
    process = start(project, "all", "--skip-makemigrations")
    wait_for(ready)

    process.send_signal(signum)
    said = read_until(process, "stopping")
    go.touch()
    _, rest = process.communicate(timeout=60)

    assert process.returncode == code
    assert "still running: default" in said
    assert "was not started: blog_db" in rest
    assert f"exit {code} ({name})" in rest
    assert "core.0001_initial" in applied(project.database("default"))
    assert not project.database("blog_db").exists()


def test_the_second_interrupt_ends_the_running_migration(tmp_path: Path) -> None:
    project, ready, _ = waiting_project(tmp_path)
    process = start(project, "all", "--skip-makemigrations")
    wait_for(ready)

    process.send_signal(signal.SIGINT)
    read_until(process, "stopping")
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)

    assert process.returncode == 130
    assert "1 of 2 databases was interrupted: default" in stderr
    assert "core.0001_initial" not in applied(project.database("default"))


@pytest.mark.soak
def test_after_the_grace_running_migrations_are_interrupted_also_as_process_1(tmp_path: Path) -> None:
    project, ready, _ = waiting_project(tmp_path)
    alone = ("unshare", "--fork", "--pid", "--mount-proc", "--kill-child")
    is_process_1 = subprocess.run([*alone, "true"], capture_output=True, check=False).returncode == 0
    process = start(project, "all", "--skip-makemigrations", "--grace", "0.5", under=alone if is_process_1 else ())
    wait_for(ready)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()

    os.kill(int(children[0]) if is_process_1 else process.pid, signal.SIGTERM)
    _, stderr = process.communicate(timeout=60)

    assert process.returncode == 143, stderr
    assert "stopping (SIGTERM): no new steps, still running (for up to 0.5 s): default" in stderr
    assert "stopping (the time is up): terminating default" in stderr
    assert "1 of 2 databases was interrupted: default" in stderr
    assert "core.0001_initial" not in applied(project.database("default"))


def test_an_interrupt_before_anything_was_touched(sample: Project) -> None:
    ready = sample.root.parent / "ready"
    sample.append("myproj/settings.py", f"import pathlib, time; pathlib.Path({str(ready)!r}).touch(); time.sleep(60)")
    process = start(sample, "all")
    wait_for(ready)

    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)

    assert process.returncode == 130, stderr
    assert "error: interrupted; nothing was migrated" in stderr
    assert sample.tables() == {}


IMPORTS = """
import sys
sys.argv = ["dbmigrate", {word!r}]
from dbmigrate.__main__ import main
main()
print(sorted({{"pydantic", "rich", "InquirerPy", "click"}} & set(sys.modules)))
"""


@pytest.mark.parametrize("word", ["--version", "--help", "-h"])
def test_what_scripts_ask_most_loads_nothing(word: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", IMPORTS.format(word=word)], capture_output=True, text=True, env=os.environ, check=True
    )

    assert ended.stdout.splitlines()[-1] == "[]"


def test_the_help_names_every_command_and_global_option(tmp_path: Path) -> None:
    from dbmigrate.cli.root import COMMANDS, cli

    text = dbmigrate("--help", cwd=tmp_path).expect(0).stdout

    options: list[Any] = [parameter for parameter in cli.params if parameter.name != "help"]
    names = {max(option.opts, key=len) for option in options} | set(COMMANDS)
    assert {name for name in names if name not in text} == set()
    assert dbmigrate("all", "--help", cwd=tmp_path).expect(0).stdout.startswith("Usage: dbmigrate all [OPTIONS]")


def test_h_is_short_for_help(tmp_path: Path) -> None:
    for words in ((), ("-v",), ("run",)):
        short = dbmigrate(*words, "-h", cwd=tmp_path).expect(0)

        assert short.stdout == dbmigrate(*words, "--help", cwd=tmp_path).stdout
        assert short.stdout.startswith(f"Usage: dbmigrate {'run ' if 'run' in words else ''}[OPTIONS]")


def test_without_a_command_and_a_terminal_there_is_help_and_a_usage_code(tmp_path: Path) -> None:
    outcome = dbmigrate(cwd=tmp_path).expect(2)

    assert outcome.stderr.startswith("Usage: dbmigrate")


def test_a_bug_exits_with_1_and_names_its_log(sample: Project) -> None:
    fault = "import dbmigrate.commands.show as answering\nanswering.status = lambda *_, **__: 1 / 0\n"
    fault += "from dbmigrate.cli.root import cli\ncli.main(['status'])"

    ended = subprocess.run(
        [sys.executable, "-c", fault], cwd=sample.root, env=clean_environment(), capture_output=True, text=True
    )

    assert ended.returncode == 1
    assert "error: this is a bug in dbmigrate: ZeroDivisionError" in ended.stderr
    log = re.search(r"the log (\S+\.log)", ended.stderr)
    assert log is not None
    assert "Traceback" in Path(log.group(1)).read_text()
    Path(log.group(1)).unlink()


@pytest.mark.soak
def test_what_to_type_next_and_the_exit_code_come_last_and_the_failed_steps_lines_above_them(tmp_path: Path) -> None:
    app = {"models.py": model(), "migrations/0001_initial.py": migration("migrations.RunPython(fail)", head=failing())}
    project = write_project(tmp_path, {"core": app})
    words = ("all", "--skip-makemigrations")

    plain = dbmigrate(*words, cwd=project.root).expect(30)
    github = dbmigrate(*words, "--format", "github", cwd=project.root).expect(30).stdout.splitlines()
    _, lines = on_a_terminal(project, *words)

    assert "\nerror: default: exit 1 after " in plain.stderr
    raised, error, hint, code = plain.stderr.splitlines()[-4:]
    assert raised == "[default]   RuntimeError: boom"
    assert error.startswith("error: 1 of 1 database failed: default (core.0001_initial: ")
    assert code == "exit 30 (failed): a step failed, no migration was completed"
    assert hint == "hint: fix the cause, then rerun the command; it resumes where it stopped"
    assert [line for line in github if not line.startswith("::")][-1] == code
    shown = [line.rstrip() for line in without_control(lines) if line.strip()]
    end = next(number for number, line in enumerate(shown) if line == "default    RuntimeError: boom")
    assert " ".join(" ".join(shown[end + 1 :]).split()) == " ".join((error, hint, code))


@pytest.mark.soak
@pytest.mark.parametrize("columns", [60, 80, 120])
def test_a_database_that_is_down_leaves_the_table_of_status_readable(tmp_path: Path, columns: int) -> None:
    entry = {"ENGINE": "django.db.backends.postgresql", "NAME": "x", "HOST": "127.0.0.1", "PORT": "1"}
    project = write_project(tmp_path, {"core": simple_app()}, aliases={"default": {}, "blog_db": entry}, rules={})

    plain = dbmigrate("status", cwd=project.root).expect(0).stdout.splitlines()
    _, sent = on_a_terminal(project, "status", columns=columns)
    lines = [line.rstrip() for line in without_control(sent)]

    error = next(line for line in plain if line.startswith("database blog_db is unreachable: "))
    assert "accepting TCP/IP connections?" in error
    assert max(len(line) for line in plain if line.startswith(("default ", "blog_db "))) < 120
    table = lines[next(number for number, line in enumerate(lines) if "────" in line) :]
    rows = table[1 : table.index("")]
    assert [row.split()[0] for row in rows] == ["default", "blog_db"], "\n".join(lines)
    assert "unreachable" in rows[1]
    assert " ".join(" ".join(lines).split()).count(error) == 1


def test_a_graph_of_nothing_pending_says_so_and_is_still_a_graph(migrated_sample: Project) -> None:

    drawn = dbmigrate("plan", "--graph", "dot", cwd=migrated_sample.root).expect(0)

    assert drawn.stdout.splitlines() == [
        "digraph plan {",
        "    rankdir=LR;",
        "    node [shape=box];",
        *[rf'    "{alias}" [label="{alias}\nnothing pending"];' for alias in ("default", "blog_db", "shop_db")],
        "}",
    ]
    assert drawn.stderr == ""

    migrated_sample.append("blog/models.py", "class Draft(models.Model):\n    pass\n")

    drawn = dbmigrate("plan", "--graph", "mermaid", cwd=migrated_sample.root).expect(0)
    assert '    db1["blog_db<br>blog<br>1 pending, 1 not written yet"]' in drawn.stdout.splitlines()


@pytest.mark.soak
@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_streams_that_are_closed_stop_nothing(sample: Project, closed: str) -> None:
    command = ["sh", "-c", f'exec "$0" all {closed}', str(EXECUTABLE)]

    ended = subprocess.run(
        command, cwd=sample.root, env=clean_environment(), capture_output=True, text=True, check=False
    )

    assert ended.returncode == 0, ended
    assert "Traceback" not in ended.stderr
    assert "shop.0003_order_index" in applied(sample.database("shop_db"))
