"""Interpreters with other Djangos, made once and kept in `.cache/environments`."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

CACHE = Path(__file__).parents[2] / ".cache" / "environments"
INSIDE = Path(__file__).parents[2] / "src" / "dbmigrate" / "inside"


@dataclass(frozen=True)
class Recipe:
    """Which Python, the best first, and what is installed."""

    pythons: tuple[str, ...]
    packages: tuple[str, ...]


RECIPES = {
    "django22": Recipe(("3.8", "3.9", "3.7"), ("Django==2.2.*",)),
    "django32": Recipe(("3.8", "3.9", "3.10"), ("Django==3.2.*", "django-constance>=3")),
    "django42": Recipe(("3.8", "3.9", "3.10", "3.11", "3.12"), ("Django==4.2.*", "django-constance>=4")),
    "django52": Recipe(("3.10", "3.11", "3.12", "3.13"), ("Django==5.2.*", "django-constance>=4")),
    "newest": Recipe(("3.14", "3.13", "3.12"), ("Django==6.1.*", "django-constance>=4")),
    "axes-and-silk-old": Recipe(("3.8", "3.9", "3.10"), ("Django==3.2.*", "django-axes", "django-silk")),
    "axes-and-silk-new": Recipe(("3.13", "3.12", "3.11", "3.10"), ("Django", "django-axes", "django-silk")),
    "wagtail-old": Recipe(("3.8", "3.9", "3.10", "3.11"), ("Django==4.2.*", "wagtail==5.2.*", "django-axes")),
    "wagtail-new": Recipe(("3.13", "3.12", "3.11", "3.10"), ("wagtail>=7", "django-axes")),
    "psycopg2": Recipe(("3.8", "3.9", "3.10", "3.11", "3.12"), ("Django==4.2.*", "psycopg2-binary")),
    "settings-tools": Recipe(
        ("3.13", "3.12", "3.11", "3.10"),
        ("Django==5.2.*", "django-configurations", "dynaconf", "python-dotenv", "dj-database-url"),
    ),
    "pool": Recipe(("3.13", "3.12", "3.11", "3.10"), ("Django==5.2.*", "psycopg[binary,pool]")),
    "tenants": Recipe(("3.13", "3.12", "3.11", "3.10"), ("Django==5.2.*", "django-tenants", "psycopg[binary]")),
    "replicas": Recipe(
        ("3.13", "3.12", "3.11", "3.10"),
        ("Django==5.2.*", "django-multidb-router", "django-replicated", "psycopg[binary]"),
    ),
    "gevent": Recipe(
        ("3.13", "3.12", "3.11", "3.10"), ("Django==5.2.*", "gevent", "psycogreen", "psycopg2-binary", "django-axes")
    ),
    "phases": Recipe(("3.13", "3.12", "3.11", "3.10"), ("Django==5.2.*", "django-safemigrate", "django-syzygy")),
    "no-django": Recipe(("3.8", "3.9", "3.10", "3.11", "3.12", "3.13"), ()),
}

SUPPORTED = ("django32", "django42", "django52", "newest")
EVERY_DJANGO = [name if name == SUPPORTED[0] else pytest.param(name, marks=pytest.mark.soak) for name in SUPPORTED]
"""As parameters: the oldest in `make test`, next to the one of this environment; the others in `make soak`."""


def environment(name: str) -> str:
    """Return the path of the python of an environment; the test is skipped where no fitting Python is installed."""
    recipe = RECIPES[name]
    found = next(((version, path) for version in recipe.pythons if (path := find_python(version))), None)
    if found is None:
        pytest.skip(f"environment {name} needs one of Python {', '.join(recipe.pythons)}")
    version, base = found
    key = hashlib.sha256(repr((version, recipe.packages)).encode()).hexdigest()[:8]
    folder = CACHE / f"{name}-{key}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "done").exists():
            _make(folder, base, recipe.packages)
    return str(folder / "bin" / "python")


def _make(folder: Path, base: str, packages: tuple[str, ...]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([base, "-m", "venv", str(folder)], check=True, timeout=300)
    if packages:
        install = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, *packages], check=True, timeout=600)
    (folder / "done").touch()


def make_all() -> None:
    """Make every environment there is a Python for, several at a time, so that no test has to wait for it."""
    pythons = {}
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        for name, result in [(name, pool.submit(environment, name)) for name in RECIPES]:
            try:
                python = result.result()
                pythons[Path(python).resolve()] = python
            except pytest.skip.Exception as skipped:
                print(f"{name}: {skipped.msg}")  # noqa: T201 - the one line of a program
    for python in pythons.values():
        # The tests let no process write bytecode, so each would compile what runs in it again.
        subprocess.run([python, "-m", "compileall", "-q", str(INSIDE)], check=True, timeout=60)


def find_python(version: str) -> str | None:
    """Return an interpreter of this version that starts: on PATH, or of pyenv."""
    roots = [Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"]
    candidates = [str(path) for root in roots for path in sorted(root.glob(f"{version}.*/bin/python"))]
    on_path = shutil.which(f"python{version}")
    for candidate in [*candidates, on_path]:
        if candidate and subprocess.run([candidate, "-c", "import sys"], capture_output=True).returncode == 0:
            return candidate
    return None


if __name__ == "__main__":
    make_all()
