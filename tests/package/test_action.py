"""The action: its shell steps, run as GitHub's runner runs them, with files and a server that stand in for GitHub.

`make package` runs them all.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.cli import EXECUTABLE, clean_environment
from support.documents import blocks
from support.projects import Project

ROOT = Path(__file__).parents[2]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
FIRST_LINE = "<!-- dbmigrate plan . myproj.settings 6a1b7a2f2b2a -->"
BOT = {"login": "github-actions[bot]", "type": "Bot"}


@dataclass
class Comments:
    """The comments of a pull request, and what was asked of the server."""

    written: list[dict[str, Any]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    refuses: int | None = None
    """The status of every answer; 0 for a connection that ends before the answer."""
    refuses_user: int = 403
    owner: str | None = None
    """Of the token; None for that of a workflow, which belongs to no user."""


@contextmanager
def github(comments: Comments) -> Iterator[str]:
    """Serve the comments as GitHub's API does, and yield its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/user":
                self._answer({"login": comments.owner}, status=comments.refuses_user if comments.owner is None else 200)
                return
            page = int(re.search(r"page=(\d+)$", self.path)[1])  # type: ignore[index]
            self._answer(comments.written[(page - 1) * 100 : page * 100])

        def do_POST(self) -> None:
            one = {"id": len(comments.written), "user": _author(comments), "body": self._body()}
            comments.written.append(one)
            self._answer(one)

        def do_PATCH(self) -> None:
            one = comments.written[int(self.path.rsplit("/", 1)[1])]
            one["body"] = self._body()
            self._answer(one)

        def _body(self) -> str:
            return str(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["body"])

        def _answer(self, value: object, status: int = 200) -> None:
            comments.asked.append(f"{self.command} {self.headers['Authorization']}")
            if comments.refuses == 0:
                self.close_connection = True
                return
            data = json.dumps(value).encode()
            self.send_response(comments.refuses or status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *arguments: object) -> None:
            """Write nothing on stderr."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def _author(comments: Comments) -> dict[str, str]:
    return BOT if comments.owner is None else {"login": comments.owner, "type": "User"}


@dataclass(frozen=True)
class Runner:
    """A job's folder and the runner's files."""

    project: Path
    folder: Path

    def steps(self, environment: dict[str, str], **given: str) -> dict[str, subprocess.CompletedProcess[str]]:
        """Run the steps after the installation, and return how each ended, by its name."""
        inputs = {name: str(one.get("default", "")) for name, one in ACTION["inputs"].items()}
        inputs |= {"token": "a-token"} | {name.replace("_", "-"): value for name, value in given.items()}
        executable = self.folder / "dbmigrate-action" / "environment" / "bin" / "dbmigrate"
        if not executable.exists():
            executable.parent.mkdir(parents=True)
            executable.symlink_to(EXECUTABLE)
        ended = {}
        for step in ACTION["runs"]["steps"][1:]:
            if "inputs.command == 'plan'" in step.get("if", "") and inputs["command"] != "plan":
                continue
            own = {name: re.fullmatch(r"\$\{\{ inputs\.([a-z-]+) \}\}", text) for name, text in step["env"].items()}
            assert all(own.values()), "an input is passed on as a variable, and nothing else is in it"
            variables = {name: inputs[match[1]] for name, match in own.items() if match is not None}
            ended[step["name"]] = self._bash(step["run"], {**environment, **variables})
        return ended

    def _bash(self, script: str, variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", script],
            cwd=self.project,
            env=clean_environment(GITHUB_ACTION_PATH=str(ROOT), RUNNER_TEMP=str(self.folder), **variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=90,
        )

    def on_pull_request(self, api: str) -> dict[str, str]:
        """Return the variables of a job that a pull request started."""
        event = self.folder / "event.json"
        event.write_text(json.dumps({"pull_request": {"number": 7}}))
        return {
            "GITHUB_ACTIONS": "true",
            "GITHUB_API_URL": api,
            "GITHUB_REPOSITORY": "someone/shop",
            "GITHUB_EVENT_PATH": str(event),
            "GITHUB_OUTPUT": str(self.folder / "output"),
        }


@pytest.fixture
def runner(sample: Project, tmp_path: Path) -> Runner:
    """A job that has checked out the sample."""
    folder = tmp_path / "runner temp"
    folder.mkdir()
    return Runner(sample.root, folder)


@pytest.mark.soak
@pytest.mark.parametrize("owner", [None, "release-robot"])
def test_a_plan_is_one_comment_that_is_edited(runner: Runner, owner: str | None) -> None:
    """It is found among more comments than one page has, and a person's with the same mark is left as it is."""
    person = {"login": "someone", "type": "User"}
    comments = Comments([{"id": n, "user": person, "body": FIRST_LINE} for n in range(100)], owner=owner)
    with github(comments) as api:
        first, second = (
            runner.steps(
                runner.on_pull_request(api), command="plan", args="--database blog_db", settings="myproj.settings"
            )
            for _ in range(2)
        )

    for ended in (first, second):
        assert [step.returncode for step in ended.values()] == [0, 0], ended
    assert [verb.split()[0] for verb in comments.asked] == [*["GET"] * 3, "POST", *["GET"] * 3, "PATCH"]
    assert {verb.split(" ", 1)[1] for verb in comments.asked} == {"Bearer a-token"}
    assert len(comments.written) == 101
    text = comments.written[-1]["body"]
    assert text.startswith(f"{FIRST_LINE}\n### dbmigrate plan: 6 migrations on 1 database\n")
    assert "| blog&#95;db | blog.0002&#95;tags |" in text
    assert "<details><summary>SQL on blog&#95;db: 6 migrations</summary>" in text
    assert 'CREATE TABLE "blog_post"' in text
    assert (runner.folder / "output").read_text() == "exit-code=0\n" * 2


@pytest.mark.soak
def test_what_an_input_says_is_never_run(runner: Runner) -> None:
    hostile = "$(touch pwned) `touch pwned`; touch pwned\n\"; touch pwned; '"
    quoted = "--database '$(touch pwned)'\n--database \"`touch pwned`\"\n"

    inputs = {
        "args": {"args": quoted},
        "settings": {"settings": hostile},
        "command": {"command": "check; touch pwned"},
        "unbalanced": {"args": '--database "blog_db'},
        "folder": {"working_directory": "$(touch pwned)"},
    }
    ended = {name: runner.steps({}, **given)["Run dbmigrate"] for name, given in inputs.items()}

    assert not list(runner.project.rglob("pwned"))
    assert {name: step.returncode for name, step in ended.items()} == {
        "args": 2,
        "settings": 3,
        "command": 2,
        "unbalanced": 2,
        "folder": 2,
    }
    assert "$(touch pwned)" in ended["args"].stdout
    assert ended["unbalanced"].stdout == "::error::args: No closing quotation\n"
    assert "::error::working-directory: there is no folder '$(touch pwned)'" in ended["folder"].stdout


@pytest.mark.soak
def test_what_an_input_says_is_never_run_in_the_step_that_comments(runner: Runner) -> None:
    comments = Comments()
    hostile = "$(touch pwned) `touch pwned`; touch pwned\n\"; touch pwned; ' --> @everyone"
    with github(comments) as api:
        on = runner.on_pull_request(api)
        by_settings = runner.steps(on, command="plan", settings=hostile)
        by_args = runner.steps(on, command="plan", args="--database '$(touch pwned) --> @everyone'")
        by_folder = runner.steps(on, command="plan", working_directory="$(touch pwned)")

    assert [[step.returncode for step in ended.values()] for ended in (by_settings, by_args, by_folder)] == [
        [3, 0],
        [2, 0],
        [2, 2],
    ]
    assert not list(runner.project.rglob("pwned"))
    assert len(comments.written) == 2
    assert not any("@everyone" in one["body"] for one in comments.written)
    assert [re.findall("-->", one["body"]) for one in comments.written] == [["-->"]] * 2


def test_outside_of_github_the_command_runs_and_nothing_is_commented(runner: Runner) -> None:
    ended = runner.steps({}, command="plan")

    assert [step.returncode for step in ended.values()] == [0, 0], ended
    assert ended["Comment on the pull request"].stdout == "no pull request here: no comment is written\n"


@pytest.mark.soak
def test_a_comment_that_github_refuses_is_a_warning_and_a_failure_is_the_commands(runner: Runner) -> None:
    models = runner.project / "shop" / "models.py"
    models.write_text(models.read_text().replace("max_length=200", "max_length=300"))
    with github(Comments(refuses=403)) as api:
        ended = runner.steps(runner.on_pull_request(api), command="plan", args="--exit-code")

    run, comment = ended.values()
    assert run.returncode == 11, run.stdout
    assert (runner.folder / "output").read_text() == "exit-code=11\n"
    assert comment.returncode == 0
    assert "::warning::GitHub refused the comment (HTTP Error 403" in comment.stdout
    assert comment.stdout.endswith("; the job needs the permission pull-requests: write\n")


@pytest.mark.soak
@pytest.mark.parametrize(
    ("comments", "warning"),
    [
        (Comments(refuses=422), "GitHub refused the comment (HTTP Error 422: Unprocessable Entity)"),
        (Comments(refuses_user=502), "GitHub refused the comment (HTTP Error 502: Bad Gateway)"),
        (Comments(refuses=0), "the comment could not be written (RemoteDisconnected: "),
    ],
    ids=["too-long", "who-it-is", "no-answer"],
)
def test_what_github_answers_fails_nothing_and_only_403_is_a_matter_of_permission(
    runner: Runner, comments: Comments, warning: str
) -> None:
    with github(comments) as api:
        comment = runner.steps(runner.on_pull_request(api), command="plan")["Comment on the pull request"]

    assert comment.returncode == 0, comment.stdout
    assert f"::warning::{warning}" in comment.stdout
    assert "permission" not in comment.stdout
    assert comments.written == []


def test_outside_of_github_a_folder_that_others_can_write_to_is_refused(tmp_path: Path) -> None:
    (tmp_path / f"dbmigrate-action-{os.getuid()}").mkdir(mode=0o777)
    (tmp_path / f"dbmigrate-action-{os.getuid()}").chmod(0o777)
    script = ACTION["runs"]["steps"][1]["run"]
    environment = clean_environment(GITHUB_ACTION_PATH=str(ROOT), TMPDIR=str(tmp_path), INPUT_COMMAND="check")

    ended = subprocess.run(
        ["bash", "-e", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
    )

    assert ended.returncode == 2
    assert "exists and others can write to it: set RUNNER_TEMP" in ended.stdout


@pytest.mark.parametrize("version", ["0.1; touch pwned", "$(id)", "--pre"])
def test_a_version_that_is_none_is_refused(tmp_path: Path, version: str) -> None:
    script = ACTION["runs"]["steps"][0]["run"]
    environment = clean_environment(GITHUB_ACTION_PATH=str(ROOT), RUNNER_TEMP=str(tmp_path), INPUT_VERSION=version)

    ended = subprocess.run(
        ["bash", "-e", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
    )

    assert ended.returncode == 2
    assert ended.stdout.startswith("::error::version: ")
    assert list(tmp_path.iterdir()) == []


def test_the_documents_name_the_inputs_and_the_hooks_that_there_are() -> None:
    page = (ROOT / "docs/ci.md").read_text()
    step, hooks = (yaml.safe_load(block) for block in blocks(page, "yaml") if "dbmigrate/dbmigrate" in block)
    there = {hook["id"] for hook in yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())}

    assert re.findall(r"^\| `([a-z-]+)` \|", page.split("### The action")[1].split("\n## ")[0], re.M) == [
        *ACTION["inputs"]
    ]
    assert {*step[0]["with"]} <= {*ACTION["inputs"]}
    assert {hook["id"] for hook in hooks["repos"][0]["hooks"]} == there
