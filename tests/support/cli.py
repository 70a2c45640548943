"""Run the installed `dbmigrate` as its users do."""

from __future__ import annotations

import atexit
import fcntl
import json
import os
import subprocess
import sys
import tempfile
import termios
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.preloaded import Preloaded

EXECUTABLE = Path(sys.executable).parent / "dbmigrate"
KEPT = str(Path(__file__).with_name("kept.py"))
TIMEOUT_SECONDS = 110
WITHOUT_COPIES = "TESTS_WITHOUT_COPIES"
"""Set where every command is to be a process of the installed executable."""

_HOME = tempfile.TemporaryDirectory(prefix="home-")
"""Of every process the tests start; it goes away with the test session."""
atexit.register(_HOME.cleanup)

_PRELOADED = Preloaded()


@dataclass(frozen=True)
class Outcome:
    """How one command ended; its repr is what a failing test prints."""

    argv: tuple[str, ...]
    cwd: Path
    code: int
    stdout: str
    stderr: str

    def __repr__(self) -> str:
        return (
            f"\n$ cd {self.cwd}\n$ {' '.join(self.argv)}\n[exit {self.code}]\n"
            f"--- stdout\n{self.stdout}\n--- stderr\n{self.stderr}\n---"
        )

    def expect(self, code: int) -> Outcome:
        """Return itself if the exit code is this one."""
        assert self.code == code, f"expected exit {code}: {self!r}"
        return self

    @property
    def json(self) -> Any:
        """Stdout as JSON."""
        return json.loads(self.stdout)


def clean_environment(**more: str) -> dict[str, str]:
    """Return an environment without anything of the developer's."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": _HOME.name,
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        **more,
    }


def dbmigrate(*arguments: str, cwd: Path, environment: Mapping[str, str] | None = None) -> Outcome:
    """Run the program to its end, in a process of its own (support.preloaded); `make soak` runs the executable."""
    return _run((str(EXECUTABLE), *arguments), cwd, environment, is_copy=not os.environ.get(WITHOUT_COPIES))


def execute(*arguments: str, cwd: Path, environment: Mapping[str, str] | None = None) -> Outcome:
    """Run the executable to its end."""
    return _run((str(EXECUTABLE), *arguments), cwd, environment, is_copy=False)


def launch(
    *arguments: str, cwd: Path, environment: Mapping[str, str] | None = None, descriptors: tuple[int, int, int]
) -> subprocess.Popen[str]:
    """Start the program with these files as stdin, stdout and stderr; a terminal that stdout is controls it."""
    argv, variables = (str(EXECUTABLE), *arguments), clean_environment(**(environment or {}))
    is_copy = sys.platform == "linux" and not os.environ.get(WITHOUT_COPIES)
    copy = _PRELOADED.start(argv, cwd, variables, descriptors) if is_copy else None
    if copy is not None:
        return copy
    stdin, stdout, stderr = descriptors
    is_terminal = os.isatty(stdout)
    return subprocess.Popen(
        argv,
        cwd=cwd,
        env=variables,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        text=True,
        start_new_session=is_terminal,
        preexec_fn=(lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0)) if is_terminal else None,
    )


def looks(
    lines: Iterable[str] | Mapping[str, int], *, cwd: Path, environment: Mapping[str, str] | None = None
) -> list[Outcome]:
    """Run commands that write nothing one after the other in one process, on one boot of the project (support.kept).

    A mapping says with which code each has to end. That they say what they say alone is proved in test_output.
    """
    words = [line.split() for line in lines]
    ended = _run((KEPT,), cwd, environment, is_copy=True, stdin=json.dumps(words)).expect(0)
    outcomes = [
        Outcome(("dbmigrate", *line), cwd, found["code"], found["stdout"], found["stderr"])
        for line, found in zip(words, ended.json, strict=True)
    ]
    if isinstance(lines, Mapping):
        for outcome, code in zip(outcomes, lines.values(), strict=True):
            outcome.expect(code)
    return outcomes


def _run(
    argv: tuple[str, ...], cwd: Path, environment: Mapping[str, str] | None, *, is_copy: bool, stdin: str = ""
) -> Outcome:
    variables = clean_environment(**(environment or {}))
    ended = _PRELOADED.run(argv, cwd, variables, TIMEOUT_SECONDS, stdin) if is_copy else None
    if ended is None:
        ended = subprocess.run(
            [sys.executable, *argv] if argv[0].endswith(".py") else argv,
            cwd=cwd,
            env=variables,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
    return Outcome(argv, cwd, ended.returncode, ended.stdout, ended.stderr)


def manage(*arguments: str, cwd: Path, python: str = sys.executable) -> Outcome:
    """Run the project's manage.py by itself, for comparison; it must succeed."""
    argv = (python, "manage.py", *arguments)
    ended = subprocess.run(
        argv, cwd=cwd, env=clean_environment(), capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False
    )
    return Outcome(argv, cwd, ended.returncode, ended.stdout, ended.stderr).expect(0)
