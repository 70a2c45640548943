"""dbmigrate in an environment of its own that is the active one, as pre-commit runs it: it is not the project's."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
from support.cli import EXECUTABLE, clean_environment
from support.projects import Project

SITE_PACKAGES = Path(sysconfig.get_path("purelib"))
WITHOUT = ("django", "constance")


@pytest.fixture
def own_environment(tmp_path: Path) -> Path:
    """An environment with everything of this one but Django."""
    folder = tmp_path / "own"
    venv.create(folder, symlinks=True)
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
    for path in SITE_PACKAGES.iterdir():
        if not path.name.lower().startswith(WITHOUT):
            (packages / path.name).symlink_to(path)
    executable = folder / "bin" / "dbmigrate"
    executable.write_text(EXECUTABLE.read_text().replace(sys.executable, str(folder / "bin" / "python")))
    executable.chmod(0o755)
    return folder


def _check(own: Path, project: Project, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(own / "bin" / "dbmigrate"), "check", "--offline"],
        cwd=project.root,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=90,
    )


@pytest.mark.parametrize("place", [".venv", "PATH"])
def test_an_active_environment_of_its_own_is_not_the_projects(
    sample: Project, own_environment: Path, place: str
) -> None:
    path = f"{own_environment / 'bin'}:/usr/bin:/bin"
    if place == ".venv":
        (sample.root / ".venv").symlink_to(sys.prefix)
    else:
        path = f"{own_environment / 'bin'}:{Path(sys.executable).parent}:/usr/bin:/bin"
    environment = clean_environment(VIRTUAL_ENV=str(own_environment), PATH=path)

    ended = _check(own_environment, sample, environment)

    assert ended.returncode == 0, ended.stdout


def test_an_active_environment_that_is_another_one_stays_the_projects(sample: Project, own_environment: Path) -> None:
    """Also where it has no Django: the error names it."""
    other = own_environment.parent / "other"
    venv.create(other, symlinks=True)
    environment = clean_environment(VIRTUAL_ENV=str(other), PATH="/usr/bin:/bin")

    ended = _check(own_environment, sample, environment)

    assert ended.returncode == 3, ended.stdout
    assert str(other / "bin" / "python") in ended.stdout
