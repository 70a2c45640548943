"""The steps of the action: install dbmigrate, run it, comment on the pull request. Standard library only.

The inputs come as environment variables INPUT_*, never as text of a script, so that no shell reads them.

python3 action_steps.py install | run | comment
"""

from __future__ import annotations

import json
import os
import re
import shlex
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

sys.path.insert(0, str(Path(__file__).resolve().parent))

from plan_comment import comment_of, mark_of

VERSION = re.compile(r"[0-9][0-9A-Za-z.!+_-]*")
PER_PAGE = 100
ENDS_AFTER_SECONDS = 30


class WrongInput(Exception):  # noqa: N818 - what is wrong is the input
    """An input that cannot be used, and why."""


def install(environ: Mapping[str, str]) -> int:
    """Install the version that was asked for, or the action's own source, in an environment of its own."""
    version = environ.get("INPUT_VERSION", "").strip()
    if version and not VERSION.fullmatch(version):
        raise WrongInput(f"version: {version!r} is not a version, for example 0.2.0")
    folder = _place(environ) / "environment"
    source = Path(__file__).resolve().parents[2]
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    return subprocess.run([*pip, f"dbmigrate=={version}" if version else str(source)]).returncode


def run(environ: Mapping[str, str]) -> int:
    """Run the command, and hand its exit code on as the output exit-code."""
    code = subprocess.run(_command(environ), cwd=_folder(environ), env=_clean(environ)).returncode
    if environ.get("GITHUB_OUTPUT"):
        with Path(environ["GITHUB_OUTPUT"]).open("a", encoding="utf-8") as file:
            file.write(f"exit-code={code}\n")
    return code


def comment(environ: Mapping[str, str]) -> int:
    """Write the plan into the one comment of this action on the pull request; what GitHub refuses fails nothing."""
    if environ.get("INPUT_COMMENT", "true") != "true" or environ.get("INPUT_COMMAND") != "plan":
        return 0
    number = _pull_request(environ)
    if number is None:
        print("no pull request here: no comment is written")
        return 0
    document = _place(environ) / "plan.json"
    document.unlink(missing_ok=True)
    words = [*_command(environ), "--sql", "--format", "plain", "--output-file", str(document)]
    subprocess.run(words, cwd=_folder(environ), env=_clean(environ), stdout=subprocess.DEVNULL)
    if not document.is_file():
        print("::warning::dbmigrate wrote no plan: no comment is written")
        return 0
    key = (
        environ.get("INPUT_WORKING_DIRECTORY", "."),
        environ.get("INPUT_SETTINGS", ""),
        environ.get("INPUT_ARGS", ""),
    )
    try:
        _write(environ, number, comment_of(json.loads(document.read_text(encoding="utf-8")), key), mark_of(key))
    except HTTPError as refusal:
        refusal.close()
        hint = "; the job needs the permission pull-requests: write" if refusal.code == 403 else ""
        print(f"::warning::GitHub refused the comment ({refusal}){hint}")
    except (
        OSError,
        HTTPException,
        ValueError,
    ) as failure:  # no connection, half an answer, or an answer that is not JSON
        print(f"::warning::the comment could not be written ({type(failure).__name__}: {failure})")
    return 0


def _write(environ: Mapping[str, str], number: int, text: str, mark: str) -> None:
    """Edit the comment that has the mark, or write the first one."""
    comments = f"{environ['GITHUB_API_URL']}/repos/{environ['GITHUB_REPOSITORY']}/issues"
    login = _login(environ)
    ours = next(
        (one["id"] for one in _comments(environ, f"{comments}/{number}/comments") if _is_ours(one, mark, login)),
        None,
    )
    if ours is None:
        _ask(environ, "POST", f"{comments}/{number}/comments", {"body": text})
    else:
        _ask(environ, "PATCH", f"{comments}/comments/{ours}", {"body": text})


def _comments(environ: Mapping[str, str], url: str) -> Iterator[Any]:
    page = 1
    while found := _ask(environ, "GET", f"{url}?per_page={PER_PAGE}&page={page}"):
        yield from found
        if len(found) < PER_PAGE:
            return
        page += 1


def _login(environ: Mapping[str, str]) -> str | None:
    """Return whose token it is; None for that of a workflow or an app, which writes as a bot."""
    try:
        return str(_ask(environ, "GET", f"{environ['GITHUB_API_URL']}/user")["login"])
    except HTTPError as refusal:
        if refusal.code not in (401, 403):
            raise
        refusal.close()
        return None


def _is_ours(one: Any, mark: str, login: str | None) -> bool:
    """Return whether this token's owner wrote a comment; a mark in the comment of somebody else is not ours."""
    author = one["user"]
    is_own = author["login"] == login if login is not None else author["type"] == "Bot"
    return bool(is_own and one["body"].startswith(mark))


def _ask(environ: Mapping[str, str], method: str, url: str, body: object = None) -> Any:
    headers = {"Authorization": f"Bearer {environ.get('INPUT_TOKEN', '')}", "Accept": "application/vnd.github+json"}
    data = None if body is None else json.dumps(body).encode()
    request = Request(url, data=data, headers={**headers, "Content-Type": "application/json"}, method=method)
    with urlopen(request, timeout=ENDS_AFTER_SECONDS) as reply:
        return json.load(reply)


def _command(environ: Mapping[str, str]) -> list[str]:
    """Return the words to run; quotes hold words together, and nothing is expanded."""
    command = environ.get("INPUT_COMMAND", "")
    if not re.fullmatch(r"[a-z]+", command):
        raise WrongInput(f"command: {command!r} is not a command, for example check")
    try:
        words = shlex.split(environ.get("INPUT_ARGS", ""))
    except ValueError as error:
        raise WrongInput(f"args: {error}") from error
    settings = environ.get("INPUT_SETTINGS", "")
    dbmigrate = _place(environ) / "environment" / "bin" / "dbmigrate"
    return [str(dbmigrate), command, *([f"--settings={settings}"] if settings else []), *words]


def _folder(environ: Mapping[str, str]) -> Path:
    folder = Path(environ.get("INPUT_WORKING_DIRECTORY") or ".")
    if not folder.is_dir():
        raise WrongInput(f"working-directory: there is no folder {str(folder)!r}")
    return folder


def _place(environ: Mapping[str, str]) -> Path:
    """Return the folder of this action: in that of the runner, or outside of GitHub one of this user alone."""
    if environ.get("RUNNER_TEMP"):
        return Path(environ["RUNNER_TEMP"]) / "dbmigrate-action"
    folder = Path(tempfile.gettempdir()) / f"dbmigrate-action-{os.getuid()}"
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise WrongInput(f"{folder} exists and others can write to it: set RUNNER_TEMP to a folder of your own")
    return folder


def _clean(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what the project gets: its own environment, without the inputs and the token."""
    return {name: value for name, value in environ.items() if not name.startswith("INPUT_")}


def _pull_request(environ: Mapping[str, str]) -> int | None:
    path = environ.get("GITHUB_EVENT_PATH")
    if not path or not Path(path).is_file():
        return None
    number = json.loads(Path(path).read_text(encoding="utf-8")).get("pull_request", {}).get("number")
    return number if isinstance(number, int) else None


def main() -> None:
    """Do one step; exit 2 if an input cannot be used."""
    try:
        code = {"install": install, "run": run, "comment": comment}[sys.argv[1]](os.environ)
    except WrongInput as wrong:
        text = str(wrong).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
        print(f"::error::{text}")
        code = 2
    sys.exit(code)


if __name__ == "__main__":
    main()
