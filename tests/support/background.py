"""Run `dbmigrate` in the background, and wait for what it does."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from support.cli import launch
from support.projects import Project


def start(project: Project, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """Start dbmigrate in the background."""
    reading, writing = os.pipe()
    with Path(os.devnull).open() as nothing:
        process = launch(
            *arguments, cwd=project.root, environment=environment, descriptors=(nothing.fileno(), writing, writing)
        )
    os.close(writing)
    process.stdout = os.fdopen(reading)
    return process


def until(condition: Callable[[], object], what: str, seconds: float = 60) -> None:
    """Wait until something is so."""
    started_at = time.monotonic()
    while not condition():
        assert time.monotonic() - started_at < seconds, f"after {seconds} s: not {what}"
        time.sleep(0.05)


def read_until(process: subprocess.Popen[str], words: str) -> str:
    """Read what a process that was started prints, up to the line with these words, and return it."""
    said = []
    for line in process.stdout or ():
        said.append(line)
        if words in line:
            return "".join(said)
    raise AssertionError(f"it has not said {words!r}: {''.join(said)}")


def is_alive(pid: int) -> bool:
    """Return whether a process runs; one that only waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def children(parent: int) -> list[int]:
    """Return the processes that a process has started and that are still its own."""
    found = []
    for file in Path("/proc").glob(f"{parent}/task/*/children"):
        try:
            found += [int(pid) for pid in file.read_text().split()]
        except OSError:
            continue
    return found


def descendants(pid: int) -> list[int]:
    """Return its children, theirs, and so on, from the top."""
    return [one for child in children(pid) for one in (child, *descendants(child))]


def children_of(pid: int) -> list[int]:
    return [
        int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split() if is_alive(int(child))
    ]
