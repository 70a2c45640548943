"""What is wrong at the edge of the process: one sentence, a hint, 2 or 3; never 1, never a traceback."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import IO

import click
import pytest
from support.cli import EXECUTABLE, Outcome, clean_environment, dbmigrate
from support.in_process import InProcess
from support.projects import Project, applied, simple_app, write_project

from dbmigrate.cli.root import COMMANDS
from dbmigrate.config import DATABASE_KEYS, KEYS

MUCH = "9" * 400

Refusals = Callable[..., Outcome]


def is_one_sentence(outcome: Outcome, *codes: int) -> bool:
    """Whether a command was refused with one of these codes, in a sentence with a hint that fit on a screen."""
    text = outcome.stderr
    return (
        outcome.code in (codes or (2, 3))
        and "Traceback" not in text
        and "bug in dbmigrate" not in text
        and text.count("error: ") == 1
        and text.count("hint: ") == 1
        and len(text) < 2500 + sum(map(len, outcome.argv))
    )


def run(command: list[str], cwd: Path, stdout: int | IO[str] = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, without anything of the developer's in its environment."""
    environment = clean_environment()
    return subprocess.run(
        command, cwd=cwd, env=environment, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False
    )


@pytest.fixture
def refusals(tmp_path: Path, in_process: InProcess) -> Refusals:
    """Return what runs a command line in a folder without a project: whatever it says, 3 comes last."""

    def refuse(*words: str, **variables: str) -> Outcome:
        return in_process(*words, cwd=tmp_path, environment=variables)

    return refuse


WORDS = (
    *("", " ", "²", "nan", "inf", "-inf", "-1", "0", "1e400", "1_0", "0x10", "9999999999", MUCH, "9" * 5000),
    *("'", '"', "\udcff", "ä€😀", "a\nb", "-m", "~nosuchuser/x", "x" * 300, "x" * 5000, "a/" * 3000, "%s{x}$(x)"),
    *("/dev/null", "/dev/full", "/proc/self/mem", "/proc/self/root/x/y"),
)


def options_of(command: str) -> list[str]:
    """Return the options of a command that take a value, as they are typed."""
    parameters: list[click.Parameter] = import_module(f"dbmigrate.cli.{command}").command.params
    return [
        max(parameter.opts, key=len)
        for parameter in parameters
        if isinstance(parameter, click.Option) and not parameter.is_flag and not parameter.count
    ]


@pytest.mark.parametrize("words", [("-o", "answer.json"), ("--no-input",)])
def test_the_help_of_the_menu_leaves_out_what_the_menu_refuses(words: tuple[str, ...], refusals: Refusals) -> None:
    shown = refusals("menu", "--help")
    refused = refusals("menu", *words)

    assert words[0] not in shown.stdout
    assert "--settings" in shown.stdout
    assert f"error: the menu cannot be combined with {words[0]}\n" in refused.stderr


@pytest.mark.parametrize("command", [name for name in COMMANDS if options_of(name)])
def test_whatever_an_option_is_given_is_refused_in_a_sentence(command: str, refusals: Refusals) -> None:
    everywhere = {*options_of("menu")}
    names = [name for name in options_of(command) if name not in everywhere or command == "menu"]
    # With settings and no manage.py the project would be started.
    said = [refusals(command, name, word) for name in names if name != "--settings" for word in WORDS]

    assert [outcome for outcome in said if not is_one_sentence(outcome)] == []


def test_whatever_stands_for_a_name_is_refused_in_a_sentence(refusals: Refusals) -> None:
    said = [refusals(*before, word) for before in ((), ("make",), ("squash", "x"), ("completion",)) for word in WORDS]

    assert [outcome for outcome in said if not is_one_sentence(outcome) and outcome.argv != ("completion", "")] == []


@pytest.mark.soak
def test_whatever_a_variable_holds_is_refused_in_a_sentence(refusals: Refusals) -> None:
    wrong = []
    for key in KEYS:
        for word in WORDS:
            # With settings and no manage.py the project would be started; an empty variable is none.
            outcome = refusals("all", **{f"DBMIGRATE_{key.upper()}": word if key != "settings" else " "})
            wrong += [] if is_one_sentence(outcome) else [(key, word[:80], outcome)]

    assert wrong == []


VALUES = (
    *('"a\\u0000b"', '["a\\u0000b"]', '{default = "a\\u0000b://x"}', '"\'"', '""', '" "', '"²"', "[]", "[[]]", "{}"),
    *("{a = 1}", "[1]", "true", "1979-05-27", "07:32:00", "nan", "-inf", "-1", "0", "1e400", "1.5", MUCH, f"-{MUCH}"),
    *("0x" + "f" * 5000, "9" * 5000, "[" * 5000, '"' + "x" * 5000 + '"', '"\\ud800"', "1_0", '"9999999999"'),
)


@pytest.mark.soak
def test_whatever_a_file_says_of_a_key_is_refused_in_a_sentence(refusals: Refusals, tmp_path: Path) -> None:
    file = tmp_path / "pyproject.toml"
    tables = [(key, "[tool.dbmigrate]") for key in (*KEYS, "databases", "nothing") if key != "settings"]
    tables += [(key, "[tool.dbmigrate.databases.default]") for key in (*DATABASE_KEYS, "nothing")]
    wrong = []
    for key, table in tables:
        for value in VALUES:
            file.write_text(f"{table}\n{key} = {value}\n")
            wrong += [(key, value[:80], one) for one in [refusals("all")] if not is_one_sentence(one)]

    assert wrong == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('tool = "x"', "tool is not a table"),
        ("tool = [1]", "tool is not a table"),
        ("[tool]\ndbmigrate = 3", "[tool.dbmigrate]: is not a table"),
        (f"[tool.dbmigrate]\njobs = {MUCH}", "999 is not a whole number between 1 and 10000"),
        (f"[tool.dbmigrate]\nwait = {MUCH}", "999 is not a number of seconds between 0 and 2000000"),
        (f"x = {'[' * 5000}", "cannot be read: it is nested too deeply"),
        ('[tool.dbmigrate]\nmanage = "a\\u0000b"', "manage: 'a\\x00b' contains a NUL character"),
        ('[tool.dbmigrate]\nmanage = "\'"', "is not a command line: no closing quotation"),
        ("\udcff", "cannot be read: 'utf-8' codec can't decode"),
    ],
)
def test_a_file_above_that_is_wrong_is_named(in_process: InProcess, tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "pyproject.toml").write_text(text, errors="surrogateescape")
    (tmp_path / "project").mkdir()

    outcome = in_process("all", cwd=tmp_path / "project")

    assert is_one_sentence(outcome, 2), outcome
    assert str(tmp_path / "pyproject.toml") in outcome.stderr
    assert said in outcome.stderr


@pytest.mark.parametrize(
    ("words", "variables", "said"),
    [
        (("--manage", "'"), {}, """--manage: "'" is not a command line: no closing quotation"""),
        (("--manage", " "), {}, "--manage: ' ' is empty"),
        ((), {"DBMIGRATE_SETTINGS": " "}, "DBMIGRATE_SETTINGS: ' ' is empty"),
        ((), {"DBMIGRATE_JOBS": "²"}, "DBMIGRATE_JOBS: '²' is not a whole number between 1 and 10000"),
        ((), {"DBMIGRATE_WAIT": "nan"}, "DBMIGRATE_WAIT: 'nan' is not a number of seconds between 0 and 2000000"),
        (("--grace", "9999999999"), {}, "'--grace': 9999999999 is not a number of seconds between 0 and 2000000"),
        (("--grace", "nan"), {}, "'--grace': nan is not a number of seconds between 0 and 2000000"),
        (
            ("--ddl-lock-timeout", "3000000"),
            {},
            "'--ddl-lock-timeout': 3000000 is not a number of seconds above 0 and up to 2000000",
        ),
        (("--python", "~nosuchuser/python"), {}, "there is no interpreter ~nosuchuser/python"),
        (("--junit", "/dev/full"), {}, "--junit: /dev/full cannot be written: No space left on device"),
    ],
)
def test_a_value_that_nothing_can_be_done_with_is_named_before_anything_is_done(
    in_process: InProcess, sample: Project, words: tuple[str, ...], variables: dict[str, str], said: str
) -> None:
    outcome = in_process("all", *words, cwd=sample.root, environment=variables)

    assert is_one_sentence(outcome), outcome
    assert said in outcome.stderr
    assert sample.tables() == {}


def test_a_report_is_not_written_to_a_pipe_that_nobody_reads(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    outcome = dbmigrate("check", "--junit", "pipe", cwd=tmp_path)
    summary = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(tmp_path / "pipe")}
    github = dbmigrate("check", cwd=tmp_path, environment=summary).expect(3)

    assert is_one_sentence(outcome, 2), outcome
    assert f"--junit: {tmp_path}/pipe cannot be written: " in outcome.stderr
    assert "warning: the summary of this step cannot be written: " in github.stdout


@pytest.fixture
def locked(request: pytest.FixtureRequest) -> Path:
    """Return a folder that every user may enter, with a folder `locked` in it that the user of `run_there` may not."""
    place = Path(tempfile.mkdtemp())  # pytest's own folder is closed to other users
    request.addfinalizer(lambda: shutil.rmtree(place))
    request.addfinalizer(lambda: (place / "locked").chmod(0o700))
    place.chmod(0o755)
    (place / "locked").mkdir()
    (place / "locked" / "manage.py").write_text("")
    (place / "locked").chmod(0o700 if os.getuid() == 0 else 0o000)
    return place


def run_there(*words: str, cwd: Path, **variables: str) -> Outcome:
    """Run dbmigrate as a user whom the rights of files bind."""
    command = [str(EXECUTABLE), *words]
    if os.getuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("root cannot become another user without setpriv")
        command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *command]
    ended = subprocess.run(
        command,
        cwd=cwd,
        env=clean_environment(**variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if "dbmigrate/__main__.py" not in ended.stderr and ended.returncode in (126, 127):
        pytest.skip("the interpreter of the tests may be started by their user alone")
    return Outcome(tuple(command), cwd, ended.returncode, ended.stdout, ended.stderr)


@pytest.mark.soak
def test_a_path_that_may_not_be_looked_at_is_named(locked: Path) -> None:
    closed = locked / "locked"
    cases = [
        (("--python", str(closed / "python")), {}, f"the interpreter {closed}/python (from --python) cannot be used"),
        (("--project", str(closed / "x")), {}, f"{closed}/x cannot be used: Permission denied"),
        (("--manage", f"{closed}/manage.py"), {}, f"{closed}/manage.py cannot be used: Permission denied"),
        ((), {"VIRTUAL_ENV": str(closed)}, f"{closed}/bin/python cannot be used: Permission denied"),
        (("--junit", str(closed / "x")), {}, f"--junit: {closed}/x cannot be written: Permission denied"),
    ]
    for words, variables, said in cases:
        outcome = run_there("check", *words, cwd=locked, **variables)

        assert is_one_sentence(outcome), outcome
        assert said in outcome.stderr, outcome


def test_a_folder_above_and_a_file_of_configuration_that_may_not_be_read_are_named(locked: Path) -> None:
    (locked / "project").mkdir()
    (locked / "pyproject.toml").write_text("")
    (locked / "pyproject.toml").chmod(0o600 if os.getuid() == 0 else 0o000)
    file = run_there("all", cwd=locked / "project")
    (locked / "pyproject.toml").unlink()
    (locked / "pyproject.toml").symlink_to(locked / "locked" / "x")
    link = run_there("all", cwd=locked / "project")

    assert is_one_sentence(file, 2), file
    assert f"{locked}/pyproject.toml cannot be read: Permission denied" in file.stderr
    assert is_one_sentence(link, 3), link
    assert f"{locked}/pyproject.toml cannot be used: Permission denied" in link.stderr


def test_an_interpreter_in_a_folder_of_somebody_else_is_not_passed_over(locked: Path) -> None:
    (locked / "manage.py").write_text("")
    (locked / ".venv").symlink_to(locked / "locked")

    outcome = run_there("status", cwd=locked)

    assert is_one_sentence(outcome, 3), outcome
    assert f"{locked}/.venv/bin/python cannot be used: Permission denied" in outcome.stderr


@pytest.mark.parametrize("words", ["status", "all", "reset", "check --junit x", "status --project /"])
def test_a_working_directory_that_is_gone(tmp_path: Path, words: str) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()

    ended = run(["sh", "-c", 'rmdir "$PWD"; exec "$0" "$@"', str(EXECUTABLE), *words.split()], gone)

    assert ended.returncode == 3, ended
    assert ended.stderr.splitlines() == [
        "error: the working directory cannot be used: No such file or directory",
        "hint: change into the project's folder: cd DIR",
        "exit 3 (project): the project could not be loaded",
    ]


@pytest.mark.parametrize("most", [5, 8, 12])
def test_too_few_files_to_start_anything(tmp_path: Path, most: int) -> None:
    (tmp_path / "manage.py").write_text("")

    ended = run(["bash", "-c", f'ulimit -n {most} && exec "$@"', "-", str(EXECUTABLE), "status"], tmp_path)

    assert ended.returncode == 3, ended
    assert "did not start (Too many open files)\nhint: raise the number of open files: ulimit -n 1024" in ended.stderr
    assert "Traceback" not in ended.stderr


BUG = """
import tempfile
import dbmigrate.commands.show as answering
from dbmigrate.cli.root import cli

tempfile.tempdir = "/nowhere"
answering.status = lambda *_, **__: 1 / 0
cli.main(["status", *{words!r}])
"""


@pytest.mark.parametrize("words", [(), ("-v",)], ids=["", "verbose"])
def test_a_bug_is_told_also_where_no_temporary_file_can_be_made(sample: Project, words: tuple[str, ...]) -> None:
    ended = run([sys.executable, "-c", BUG.format(words=words)], sample.root)

    assert ended.returncode == 1
    assert "error: this is a bug in dbmigrate: ZeroDivisionError: division by zero" in ended.stderr
    assert "report it with what -v prints (no log could be written)\n" in ended.stderr
    assert ("Traceback" in ended.stderr) is bool(words)


LATE = """
import sys
import dbmigrate.cli.root as root
from dbmigrate.__main__ import main

def leave(code):
    raise OSError(24, "Too many open files")

root.leave = leave
sys.argv = ["dbmigrate", "all"]
main()
"""


@pytest.mark.soak
def test_what_fails_after_the_work_is_not_told_as_an_installation_that_cannot_be_loaded(sample: Project) -> None:
    ended = run([sys.executable, "-c", LATE], sample.root)

    assert ended.returncode == 1
    assert "error: dbmigrate was stopped: Too many open files\nhint: " in ended.stderr
    assert "check the databases with: dbmigrate status" in ended.stderr
    assert "loaded" not in ended.stderr
    assert "shop.0003_order_index" in applied(sample.database("shop_db"))


@pytest.mark.soak
def test_a_user_without_a_home_migrates_as_everybody(sample: Project) -> None:
    environment = {name: value for name, value in clean_environment().items() if name != "HOME"}
    environment |= {"NOT_UTF_8": "\udcff", "XDG_CACHE_HOME": "/dev/full"}

    ended = subprocess.run(
        [str(EXECUTABLE), "all"], cwd=sample.root, env=environment, capture_output=True, text=True, check=False
    )

    assert ended.returncode == 0, ended
    assert "shop.0003_order_index" in applied(sample.database("shop_db"))


ANSWERS = ("status --format json", "all --dry-run")
MORE_ANSWERS = ("plan --format github", "info --format rich", "check")


@pytest.mark.parametrize(
    "words",
    [
        *(*ANSWERS, "--help", "--version", "all --help", "completion bash"),
        *(pytest.param(words, marks=pytest.mark.soak) for words in MORE_ANSWERS),
    ],
)
def test_an_answer_that_standard_output_does_not_take_is_no_success(sample: Project, words: str) -> None:
    with Path("/dev/full").open("w") as full:
        ended = run([str(EXECUTABLE), *words.split()], sample.root, stdout=full)

    assert ended.returncode == 2, ended
    assert ended.stderr.splitlines()[-3:] == [
        "error: the answer cannot be written to standard output: No space left on device",
        "hint: free space on that disk (df -h), or raise the quota of this user",
        "exit 2 (usage): the command could not be carried out as given",
    ]
    assert ended.stderr.count("cannot be written") == 1


@pytest.mark.soak
@pytest.mark.parametrize("form", ["json", "plain"])
def test_work_is_done_also_where_nobody_can_be_told(sample: Project, form: str) -> None:
    with Path("/dev/full").open("w") as full:
        ended = [
            run([str(EXECUTABLE), *words, "--format", form], sample.root, stdout=full)
            for words in (("verify",), ("all",))
        ]

    verified, migrated = ended
    assert verified.returncode == 10  # it says more than that the answer is lost
    assert "warning: the answer cannot be written to standard output: No space left on device" in verified.stderr
    assert migrated.returncode == 0, migrated
    said = "warning: the output can no longer be written (No space left on device); the run continues"
    assert migrated.stderr.count(said) == 1
    assert "shop.0003_order_index" in applied(sample.database("shop_db"))


def test_an_error_is_told_on_stderr_where_standard_output_does_not_take_it(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        ended = run([str(EXECUTABLE), "status", "--format", "json"], tmp_path, stdout=full)

    assert ended.returncode == 3
    assert f"error: no manage.py in {tmp_path} or above it" in ended.stderr


@pytest.mark.soak
def test_a_reader_who_has_read_enough_of_an_answer_is_no_failure(sample: Project) -> None:
    for words in (("plan",), ("all", "--help")):
        reading, writing = os.pipe()
        os.close(reading)
        ended = run([str(EXECUTABLE), *words], sample.root, stdout=writing)
        os.close(writing)

        assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.soak
def test_databases_that_are_all_excluded_are_not_called_up_to_date(sample: Project) -> None:
    sample.write("pyproject.toml", '[tool.dbmigrate]\nexclude = ["default", "blog_db", "shop_db"]\n')
    nothing = "There is no database to migrate: default, blog_db, shop_db (excluded by the configuration)"

    said = {
        words: dbmigrate(*words.split(), cwd=sample.root).expect(0).stdout.splitlines()[-1]
        for words in ("all", "plan", "run --app blog", "check", "verify", "wait")
    }

    assert said == {
        "all": nothing,
        "plan": nothing,
        "run --app blog": nothing,
        "check": "no database was checked (see the kind of each: dbmigrate status): nothing found",
        "verify": "nothing was verified: there is no database to check; see the kind of each: dbmigrate status",
        "wait": "there is no database to wait for; see the kind of each: dbmigrate status",
    }
    assert sample.tables() == {}


def test_an_app_without_models_and_migrations_has_nothing_to_migrate(tmp_path: Path) -> None:
    write_project(tmp_path, {"core": simple_app()}, contrib=("django.contrib.messages",))

    for words in (("run", "--app", "messages"), ("plan", "--app", "messages")):
        refused = dbmigrate(*words, cwd=tmp_path).expect(2)
        assert "app messages has no models with tables and no migrations, so there is nothing to migrate" in (
            refused.stderr
        )
        assert "hint: remove --app messages\n" in refused.stderr
