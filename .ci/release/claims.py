"""What the lines of `make package` have in common: a checked claim, a command, a copy of the tracked files."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
ENDS_AFTER_SECONDS = 1800


class FailedError(Exception):
    """A claim is not true, and why."""


class SkippedError(Exception):
    """What the claim is checked with is not on this machine."""


@dataclass(frozen=True)
class Line:
    """One claim about what is published, and what checks it."""

    group: str
    claim: str
    check: Callable[[Workshop], None]
    """Raises FailedError or SkippedError."""


@dataclass(frozen=True)
class Workshop:
    """Where things are made: a folder that is removed at the end, and the builds in it."""

    folder: Path

    @cached_property
    def builds(self) -> tuple[Path, Path]:
        """Two folders with a wheel and an sdist each, built from two copies of the tracked files; the first is dist."""
        return self._build("first", ROOT / "dist"), self._build("second", self.folder / "dist")

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

    def _build(self, name: str, to: Path) -> Path:
        source = copy_tracked(self.folder / name)
        shutil.rmtree(to, ignore_errors=True)
        run([sys.executable, "-m", "build", "--no-isolation", "--outdir", str(to)], cwd=source)
        return to


def tracked() -> list[str]:
    """Return the paths of all files that git knows and that are there; the work tree's text counts."""
    listed = run(["git", "ls-files", "-z"], cwd=ROOT).split("\0")
    return sorted(name for name in listed if name and (ROOT / name).exists())


def copy_tracked(folder: Path) -> Path:
    """Copy the tracked files alone, so that nothing that merely lies about is built in."""
    for name in tracked():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    return folder


def run(
    command: Sequence[str], *, cwd: Path, exits: int = 0, environ: Mapping[str, str] | None = None, cut: bool = False
) -> str:
    """Run a command and return what it printed; `cut`: with nothing of this environment but PATH.

    Raises:
        FailedError: it ended with another exit code than `exits`.
    """
    base = {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"} if cut else {**os.environ}
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


def claim(holds: bool, otherwise: str) -> None:
    """Raise FailedError with the reason unless something holds."""
    if not holds:
        raise FailedError(otherwise)
