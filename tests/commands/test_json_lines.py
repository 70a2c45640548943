"""`--format jsonl` and `-o FILE`: what a machine reads is whole, however a command ends."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from support.background import read_until, start
from support.cli import EXECUTABLE, TIMEOUT_SECONDS, Outcome, clean_environment, dbmigrate
from support.in_process import in_this_process
from support.projects import (
    Project,
    create,
    failing,
    make_read_only,
    migration,
    model,
    simple_app,
    waiting_project,
    write_project,
)

from dbmigrate.models.json_lines import JsonLine
from dbmigrate.models.json_schema import line_schema
from dbmigrate.models.reports import Envelope

DOCS = Path(__file__).parents[2] / "docs"
BOTH = ("--format", "jsonl", "-o", "result.json")


def verdict(said: str, file: Path, code: int) -> list[Any]:
    """Return the lines; the first is the start, the last and the file say how the command ended."""
    for line in said.splitlines():
        JsonLine.model_validate_json(line)
    lines = [json.loads(line) for line in said.splitlines()]
    assert [line["type"] for line in lines if line["type"] in ("started", "finished")] == ["started", "finished"]
    assert (lines[0]["type"], lines[-1]["type"]) == ("started", "finished")
    times = [line["at"] for line in lines]
    assert times == sorted(times)
    assert all(at.endswith("Z") for at in times)
    envelope = json.loads(file.read_text())
    Envelope.model_validate(envelope)
    assert lines[-1]["exit"]["code"] == envelope["exit"]["code"] == code
    for key in ("version", "command", "exit", "error", "lost_output"):
        assert lines[-1][key] == envelope[key]
    answers = [line["result"] for line in lines if line["type"] == "answer"]
    assert answers == [envelope["result"]] if envelope["result"] is not None else answers == []
    assert [path.name for path in file.parent.glob(".dbmigrate-*")] == []
    return lines


def types(lines: list[Any]) -> list[str]:
    return [line["type"] for line in lines]


@pytest.fixture
def small(tmp_path: Path) -> Project:
    """Return a project with two apps on two databases, one of which fails."""
    app = {
        "models.py": model(),
        "migrations/0001_initial.py": migration(create()),
        "migrations/0002_fails.py": migration(
            "migrations.RunPython(fail)", head=failing("it fails"), after=(("blog", "0001_initial"),)
        ),
    }
    return write_project(
        tmp_path / "small",
        {"core": simple_app(), "blog": app},
        aliases=("default", "blog_db"),
        rules={"blog": "blog_db"},
    )


def test_the_schema_of_a_line_is_the_one_in_the_documents() -> None:
    assert (DOCS / "schema" / "line.json").read_text() == line_schema(), "python docs/generate.py --tables"


def test_a_run_that_fails_is_told_to_its_end(small: Project) -> None:
    outcome = dbmigrate("all", "--skip-makemigrations", *BOTH, cwd=small.root).expect(31)

    lines = verdict(outcome.stdout, small.root / "result.json", 31)
    assert outcome.stderr == ""
    assert types(lines)[:2] == ["started", "plan-ready"]
    assert types(lines)[-3:] == ["run-finished", "answer", "finished"]
    assert {"step-started", "step-output", "step-progress", "step-finished"} <= {*types(lines)}
    again = dbmigrate("plan", "--format", "json", "-o", "result.json", cwd=small.root).expect(0)
    assert (small.root / "result.json").read_text() == again.stdout


@pytest.mark.parametrize(("command", "code"), [("status --exit-code", 10), ("check --select NOPE", 2), ("reset", 4)])
def test_an_answer_is_one_line_and_a_refusal_none(small: Project, command: str, code: int) -> None:
    outcome = dbmigrate(*command.split(), *BOTH, cwd=small.root).expect(code)

    lines = verdict(outcome.stdout, small.root / "result.json", code)
    assert (lines[-1]["error"] is None) is (code == 10)


@pytest.mark.parametrize(
    ("words", "code"),
    [(("all", "--nope"), 2), (("nope",), 2), ((), 2), (("run",), 2), (("status",), 3)],
    ids=["option", "command", "nothing", "no name", "no project"],
)
def test_a_command_line_that_cannot_be_run_is_told_too(
    words: tuple[str, ...],
    code: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with in_this_process(monkeypatch, capsys) as run:
        outcome = run(*words, *BOTH, cwd=tmp_path).expect(code)

    lines = verdict(outcome.stdout, tmp_path / "result.json", code)
    assert types(lines) == ["started", "finished"]
    assert lines[-1]["error"]["message"]


def test_a_line_comes_when_it_happens_and_a_signal_is_the_last(tmp_path: Path) -> None:
    project, _, _ = waiting_project(tmp_path)
    process = start(project, "all", "--skip-makemigrations", "--grace", "0", *BOTH)
    said = read_until(process, '"step-progress"')

    process.send_signal(signal.SIGTERM)
    rest, _ = process.communicate(timeout=TIMEOUT_SECONDS)

    assert process.returncode == 143
    lines = verdict(said + rest, project.root / "result.json", 143)
    assert types(lines)[-3:] == ["run-finished", "answer", "finished"]
    assert "stopping" in types(lines)


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_before_anything_is_known_is_told_too(signum: int, code: int, tmp_path: Path) -> None:
    project = write_project(tmp_path / "slow", {"core": simple_app()})
    project.append("site_settings.py", "import time\ntime.sleep(600)")
    process = start(project, "status", *BOTH)
    said = read_until(process, '"started"')

    process.send_signal(signum)
    rest, _ = process.communicate(timeout=TIMEOUT_SECONDS)

    assert process.returncode == code
    assert types(verdict(said + rest, project.root / "result.json", code)) == ["started", "finished"]


@pytest.mark.parametrize(("command", "code"), [("status", 2), ("all --skip-makemigrations", 31)])
def test_the_file_says_how_it_ended_where_the_lines_cannot_be_written(small: Project, command: str, code: int) -> None:
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [EXECUTABLE, *command.split(), *BOTH],
            cwd=small.root,
            env=clean_environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )

    assert ended.returncode == code, ended.stderr
    assert "No space left on device" in ended.stderr
    assert json.loads((small.root / "result.json").read_text())["exit"]["code"] == code


def _place(kind: str, folder: Path, request: pytest.FixtureRequest) -> str:
    """Return what follows -o: a file that cannot be written, for a reason of this kind."""
    place = folder / "place"
    if kind == "folder":
        place.mkdir()
    elif kind == "link":
        place.symlink_to("victim.json")
    elif kind == "pipe":
        os.mkfifo(place)
    elif kind == "read-only":
        place.mkdir()
        make_read_only(place, request)
        return str(place / "x.json")
    return {"missing": str(folder / "no" / "x.json"), "dash": "-"}.get(kind, str(place))


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("missing", "No such file or directory (nothing was done)\nhint: name a file in a folder"),
        ("folder", "Is a directory (nothing was done)"),
        ("link", "it is a symbolic link (nothing was done)\nhint: name the file itself: -o "),
        ("pipe", "it is not a regular file (nothing was done)"),
        ("read-only", "(nothing was done)\nhint: name a file in a folder that can be written"),
        ("dash", "- is not one (nothing was done)\nhint: to print the document: --format json"),
    ],
)
def test_a_file_that_cannot_be_written_is_refused_before_anything(
    kind: str,
    why: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    place = _place(kind, tmp_path, request)
    with in_this_process(monkeypatch, capsys) as run:
        outcome = run("all", "-o", place, cwd=tmp_path).expect(2)

    assert why in outcome.stderr
    assert not (tmp_path / "victim.json").exists()


def test_the_old_file_stays_whole_where_the_new_one_does_not_fit(migrated_sample: Project) -> None:
    file = migrated_sample.root / "result.json"
    file.write_text("old")

    ended = _with_a_limit("status", "-o", "result.json", cwd=migrated_sample.root)

    assert "shop.0003_order_index" in ended.expect(0).stdout
    assert ended.stderr == "warning: -o result.json cannot be written (File too large); the exit code does not change\n"
    assert file.read_text() == "old"
    assert [path.name for path in file.parent.glob(".dbmigrate-*")] == []


def _with_a_limit(*words: str, cwd: Path) -> Outcome:
    """Run a command that can write no more than 100 bytes to any file."""
    argv = (str(EXECUTABLE), *words)
    ended = subprocess.run(
        argv,
        cwd=cwd,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)),
    )
    return Outcome(argv, cwd, ended.returncode, ended.stdout, ended.stderr)


def test_the_file_keeps_its_mode_and_the_streams_their_words(migrated_sample: Project) -> None:
    file = migrated_sample.root / "result.json"
    file.write_text("old")
    file.chmod(0o600)

    with_file = dbmigrate("wait", "-o", "result.json", cwd=migrated_sample.root).expect(0)

    assert with_file.stdout == dbmigrate("wait", cwd=migrated_sample.root).expect(0).stdout
    assert file.stat().st_mode & 0o777 == 0o600
    assert json.loads(file.read_text())["result"]["type"] == "wait"
