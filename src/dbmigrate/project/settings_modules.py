"""Which modules below a project's folder may be its settings: what to suggest where the right one is not named."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dbmigrate.listing import listed
from dbmigrate.nearest import nearest

PACKAGE = "settings"
SHARED = ("__init__", "base", "common", "defaults", "default", "shared")
"""Modules of a package of settings that the others import."""

DEEPEST = 2
"""Folders between the project's and a package of settings, at most."""

PASSED_BY = ("site-packages", "node_modules", "venv", "env", "tests")


def find_settings_modules(folder: Path) -> tuple[str, ...]:
    """Return the names of the settings below a project's folder, as `--settings` takes them."""
    found = []
    for package in _packages(folder, DEEPEST):
        parts = package.relative_to(folder).parts
        if (package / "__init__.py").is_file() or package.name == PACKAGE:
            files = sorted(file.stem for file in package.glob("*.py"))
            if package.name == PACKAGE:
                found += [".".join((*parts, name)) for name in files if name not in SHARED]
            elif PACKAGE in files:
                found.append(".".join((*parts, PACKAGE)))
    return tuple(found)


def settings_hint(folder: Path, named: str = "") -> str | None:
    """Return `--settings` with the modules that may be meant, those most like the named one; None if there are none."""
    modules = find_settings_modules(folder)
    below = tuple(module for module in modules if module.startswith(f"{named}."))
    if named in modules:
        return None
    if named and below:
        return f"{named} is a package; pass one of its modules: {_options(below)}"
    if not modules:
        return None
    if named:
        likely = nearest(named, modules, what="settings modules here")
        return f"pass --settings; {likely}"
    return f"pass {_options(modules)}"


def _options(modules: tuple[str, ...]) -> str:
    return listed([f"--settings {module}" for module in modules], most=4, separator=" or ")


def _packages(folder: Path, depth: int) -> Iterator[Path]:
    """Give the folders below that a name of a module can lead through, outer ones first."""
    try:
        inner = sorted(package for package in folder.iterdir() if package.is_dir())
    except OSError:
        return  # a folder of somebody else's
    for package in inner:
        if package.name.isidentifier() and package.name not in PASSED_BY:
            yield package
            if depth:
                yield from _packages(package, depth - 1)
