"""What the lines of `make package` have in common: a checked claim, a command, the builds, a repository."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from build import build

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
SAMPLE = ROOT / "fixtures" / "sample_django_project"
GIT = ("git", "-c", "user.name=test", "-c", "user.email=test@example.invalid", "-c", "init.defaultBranch=main")
ENDS_AFTER_SECONDS = 1800


class FailedError(Exception):
    """A claim is not true, and why."""


class SkippedError(Exception):
    """What the claim is checked with is not on this machine."""


@dataclass(frozen=True)
class Claim:
    """One claim about what is published, and what checks it."""

    group: str
    text: str
    check: Callable[[ReleaseFolder], None]
    """Raises FailedError or SkippedError."""


@dataclass(frozen=True)
class ReleaseFolder:
    """Where things are made: a folder that is removed at the end, and the builds in it."""

    folder: Path

    @cached_property
    def builds(self) -> tuple[Path, Path]:
        """Two folders with a wheel and an sdist each, built from two copies of the commit; the first is dist."""
        folders = (ROOT / "dist", self.folder / "dist")
        for folder in folders:
            build(folder)
        return folders

    @cached_property
    def wheel(self) -> Path:
        """The wheel in dist."""
        return next(self.builds[0].glob("*.whl"))

    @cached_property
    def sdist(self) -> Path:
        """The sdist in dist."""
        return next(self.builds[0].glob("*.tar.gz"))

    def unpacked(self, name: str) -> Path:
        """Return a folder with the files of the sdist, not in a repository."""
        folder = self.folder / name
        folder.mkdir()
        run(["tar", "-xzf", str(self.sdist), "--strip-components=1"], cwd=folder)
        return folder


def tracked() -> list[str]:
    """Return the paths of all files of the commit."""
    listed = run(["git", "ls-tree", "-r", "-z", "--name-only", "HEAD"], cwd=ROOT).split("\0")
    return sorted(name for name in listed if name)


def changed() -> list[str]:
    """Return the files of the work tree that are not what is committed."""
    return [line[3:] for line in run(["git", "status", "--porcelain"], cwd=ROOT).splitlines()]


def commit_all(folder: Path) -> Path:
    """Make a repository of a folder."""
    for words in (("init", "--quiet"), ("add", "-A"), ("commit", "--quiet", "-m", "everything")):
        run([*GIT, *words], cwd=folder)
    return folder


def run(
    command: Sequence[str],
    *,
    cwd: Path,
    exits: int = 0,
    environ: Mapping[str, str] | None = None,
    clean_environment: bool = False,
) -> str:
    """Run a command and return what it printed; `clean_environment`: with nothing of this environment but PATH.

    Raises:
        FailedError: it ended with another exit code than `exits`.
    """
    base = {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"} if clean_environment else {**os.environ}
    base.pop("VIRTUAL_ENV", None)
    ended = subprocess.run(
        command,
        cwd=cwd,
        env={**base, "UV_PYTHON_DOWNLOADS": "never", "PIP_DISABLE_PIP_VERSION_CHECK": "1", **(environ or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=ENDS_AFTER_SECONDS,
    )
    if ended.returncode != exits:
        raise FailedError(f"{' '.join(command)}: exit {ended.returncode}, not {exits}\n{ended.stdout[-4000:]}")
    return ended.stdout


def require(holds: bool, otherwise: str) -> None:
    """Raise FailedError with the reason unless something holds."""
    if not holds:
        raise FailedError(otherwise)
