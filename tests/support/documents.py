"""Run what stands in documents."""

from __future__ import annotations

import os
import re
import subprocess

from support.cli import EXECUTABLE, clean_environment
from support.projects import Project


def blocks(text: str, language: str) -> list[str]:
    """Return the fenced blocks of a document in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.M | re.S)


def shell(
    script: str, project: Project, *arguments: str, flags: tuple[str, ...] = ("-e",), **more: str
) -> subprocess.CompletedProcess[str]:
    """Run a script with `sh`, as the first process of a container would; it ends at the first failure (`-e`)."""
    path = f"{EXECUTABLE.parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["sh", *flags, "-c", script, "entrypoint", *arguments],
        cwd=project.root,
        env=clean_environment(PATH=path, **more),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=90,
    )


def run_console(text: str, project: Project) -> None:
    """Run the console blocks of a document in their order; "..." stands for any lines of their output."""
    for block in blocks(text, "console"):
        for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
            command, _, expected = part.partition("\n")

            ended = shell(command, project, DBMIGRATE_JOBS="1")

            assert ended.returncode == 0, f"$ {command}\n{ended.stdout}"
            printed = iter(_normal(ended.stdout))
            for line in _normal(expected):
                assert line == "..." or line in printed, (
                    f"$ {command}\n{line!r} is not (or not there) in\n{ended.stdout}"
                )


def _normal(text: str) -> list[str]:
    """Return the lines without what differs between two runs and machines."""
    without_times = re.sub(r"\d+\.\d s", "0.0 s", text)
    return [re.sub(r"SQLite [\d.]+", "SQLite", line).rstrip() for line in without_times.splitlines()]
