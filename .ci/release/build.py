"""Build the wheel and the sdist of what is committed, with the tools of the environment that runs this.

python .ci/release/build.py dist
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def copy_committed(folder: Path) -> Path:
    """Copy the files of the commit, so that nothing that merely lies about, or is only edited, is built in."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile() as archive:
        subprocess.run(["git", "archive", "--format=tar", "HEAD"], cwd=ROOT, check=True, stdout=archive)
        archive.seek(0)
        subprocess.run(["tar", "-xf", "-"], cwd=folder, check=True, stdin=archive)
    return folder


def build(to: Path) -> None:
    """Replace a folder by one with a wheel and an sdist.

    Raises:
        RuntimeError: the build failed; with what it printed.
    """
    with tempfile.TemporaryDirectory(prefix="dbmigrate-build-") as folder:
        source = copy_committed(Path(folder))
        shutil.rmtree(to, ignore_errors=True)
        command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(to.resolve())]
        ended = subprocess.run(command, cwd=source, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if ended.returncode != 0:
            raise RuntimeError(ended.stdout)


if __name__ == "__main__":
    build(Path(sys.argv[1]))
