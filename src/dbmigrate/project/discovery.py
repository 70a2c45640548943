"""From the working directory, the flags and the environment to the Target: manage.py, interpreter, settings."""

from __future__ import annotations

import importlib.util
import math
import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from dbmigrate.errors import ProjectError, UsageError
from dbmigrate.listing import FIRST, listed
from dbmigrate.models.settings import Settings
from dbmigrate.models.target import Choice, Target, project_hint
from dbmigrate.project.settings_modules import settings_hint
from dbmigrate.system import hint_for, looking, shortened

MANAGE = "manage.py"
ENVIRONMENT_FOLDERS = (".venv", "venv", "env")
NOT_PROJECTS = (*ENVIRONMENT_FOLDERS, "node_modules", "site-packages", "dist-packages")

CGROUP_LIMITS = (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"))
"""Files that hold a container's quota and its period, of cgroup version 2 and 1."""


def find_working_directory() -> Path:
    """Return the working directory.

    Raises:
        ProjectError: it was removed, or a folder above it may not be entered.
    """
    try:
        return Path.cwd()
    except OSError as error:
        raise ProjectError(
            f"the working directory cannot be used: {error.strerror}", hint="change into the project's folder: cd DIR"
        ) from error


@looking()
def find_project(cwd: Path, project: str | None) -> Path:
    """Return the folder the project is looked for in: `--project`, else the nearest upward with a manage.py, else cwd.

    Raises:
        ProjectError: `--project` is no folder, or the system lets nobody look at it.
    """
    if project is not None:
        folder = (cwd / project).absolute()
        if folder.is_file() and folder.name == MANAGE:
            folder = folder.parent
        if not folder.is_dir():
            raise ProjectError(
                f"--project {shortened(project)} is not a folder", hint=f"pass the folder that holds {MANAGE}"
            )
        return folder
    return next((above for above in (cwd, *cwd.parents) if (above / MANAGE).is_file()), cwd)


@looking()
def find_target(
    cwd: Path, project: str | None, settings: Settings, environ: Mapping[str, str], *, config_folder: Path | None
) -> Target:
    """Find the project and everything needed to run it; nothing is run.

    `config_folder` is where relative paths of the configuration file start.

    Raises:
        ProjectError: there is no project, or what was named is not there; the message says what was tried.
    """
    folder = find_project(cwd, project)
    root = find_root(folder)
    chosen_settings, settings_choice = _choose_settings(settings, environ)
    python = _choose_python(cwd, folder, root, settings, environ, config_folder)
    manage, manage_choice = _choose_manage(cwd, folder, settings, Path(python.value), settings_choice, config_folder)
    return Target(
        root=root,
        manage=manage,
        python=python.value,
        settings=chosen_settings,
        # `python -m django` finds the project by the working directory alone.
        cwd=folder if manage[0] == "-m" else cwd,
        choices={
            "project": Choice(str(folder), "--project" if project is not None else _found_reason(folder, cwd)),
            "manage": manage_choice,
            "python": python,
            "settings": settings_choice,
        },
        below=_find_below(folder, cwd) if manage == ("-m", "django") else (),
    )


def _found_reason(folder: Path, cwd: Path) -> str:
    if not (folder / MANAGE).is_file():
        return "the working directory"
    return f"the working directory has a {MANAGE}" if folder == cwd else f"the nearest folder upward with a {MANAGE}"


def find_squawk(environ: Mapping[str, str]) -> str:
    """Return the path of the linter: next to dbmigrate itself, where the extra puts it, else on PATH.

    Raises:
        UsageError: it is not installed.
    """
    beside = os.fspath(Path(sys.executable).parent)
    found = shutil.which("squawk", path=beside) or shutil.which("squawk", path=environ.get("PATH"))
    if found is None:
        raise UsageError(
            f"--lint needs squawk, which is neither in {beside} nor on PATH", hint="pip install 'dbmigrate[lint]'"
        )
    return found


@looking()
def find_root(folder: Path) -> Path:
    """Return the repository's root, else the nearest folder upward with a pyproject.toml, else the folder itself."""
    for mark in (".git", "pyproject.toml"):
        for place in (folder, *folder.parents):
            if (place / mark).exists():
                return place
    return folder


def _choose_settings(settings: Settings, environ: Mapping[str, str]) -> tuple[str | None, Choice]:
    """Return what to pass as `--settings`, and what will count: the environment is passed on as it is."""
    origin = settings.origins["settings"]
    from_environment = environ.get("DJANGO_SETTINGS_MODULE")
    if settings.settings is not None and (origin.startswith(("--", "DBMIGRATE_")) or not from_environment):
        return settings.settings, Choice(settings.settings, origin)
    if from_environment:
        return None, Choice(from_environment, "DJANGO_SETTINGS_MODULE")
    return None, Choice("", f"what {settings.manage or MANAGE} sets")


def _choose_python(
    cwd: Path,
    folder: Path,
    root: Path,
    settings: Settings,
    environ: Mapping[str, str],
    config_folder: Path | None,
) -> Choice:
    if settings.python is not None:
        origin = settings.origins["python"]
        start = cwd if origin.startswith(("--", "DBMIGRATE_")) else config_folder or cwd
        try:
            found = _find_executable(settings.python, start)
        except OSError as error:  # pathlib raises PermissionError before Python 3.12
            raise ProjectError(
                f"the interpreter {shortened(settings.python)} (from {origin}) cannot be used: {error.strerror}",
                hint=f"{hint_for(error)}; or pass --python with another one",
            ) from error
        if found is None:
            raise ProjectError(
                f"there is no interpreter {shortened(settings.python)} (from {origin}; looked in {start} and on PATH)",
                hint="pass --python with the path of the project's python",
            )
        return Choice(found, origin)
    has_django = importlib.util.find_spec("django") is not None
    # A hook of pre-commit runs in an environment of its own, which is then the active one and the first on PATH.
    is_ours = sys.prefix != sys.base_prefix and not has_django
    environment = environ.get("VIRTUAL_ENV")
    if environment and not (is_ours and _is_same(environment, sys.prefix)):
        python = _interpreter_of(Path(environment))
        if python is None:
            raise ProjectError(
                f"VIRTUAL_ENV names {environment}, which has no Python interpreter",
                hint="leave that environment (deactivate), or pass --python",
            )
        return Choice(python, "VIRTUAL_ENV")
    for place in _upwards(folder, root):
        for name in ENVIRONMENT_FOLDERS:
            python = _interpreter_of(place / name)
            if python is not None:
                where = "next to" if place == folder else "above"
                has_manage = settings.manage is None and (folder / MANAGE).is_file()
                return Choice(python, f"{name} {where} {MANAGE}" if has_manage else f"{name} in {place}")
    if has_django:
        return Choice(sys.executable, "the interpreter dbmigrate runs in, which has Django")
    folders = environ.get("PATH", os.defpath).split(os.pathsep)
    others = [name for name in folders if not (is_ours and _is_same(name, os.path.dirname(sys.executable)))]  # noqa: PTH120
    on_path = shutil.which("python3", path=os.pathsep.join(others))
    if on_path is None:
        raise ProjectError(
            f"no interpreter for the project: no VIRTUAL_ENV, no {', '.join(ENVIRONMENT_FOLDERS)} in {folder} "
            "or above, no Django next to dbmigrate, no python3 on PATH",
            hint="pass --python with the path of the project's python",
        )
    return Choice(on_path, "python3 on PATH")


def _is_same(folder: str, other: str) -> bool:
    return os.path.realpath(folder) == os.path.realpath(other)


def _find_executable(name: str, start: Path) -> str | None:
    try:
        path = start / Path(name).expanduser()
    except RuntimeError:  # there is no such user, or none with a home
        return None
    if path.is_dir():
        return _interpreter_of(path)
    if path.is_file() and os.access(path, os.X_OK):
        return os.path.abspath(path)  # noqa: PTH100 - a link to an interpreter must stay: it is what makes a venv
    return shutil.which(name) if os.sep not in name else None


def _interpreter_of(environment: Path) -> str | None:
    for relative in ("bin/python", "Scripts/python.exe"):
        if (environment / relative).is_file():
            return str((environment / relative).absolute())
    return None


def _upwards(folder: Path, root: Path) -> list[Path]:
    places = [folder]
    while places[-1] != root and places[-1] != places[-1].parent:
        places.append(places[-1].parent)
    return places


def _choose_manage(
    cwd: Path,
    folder: Path,
    settings: Settings,
    python: Path,
    settings_choice: Choice,
    config_folder: Path | None,
) -> tuple[tuple[str, ...], Choice]:
    if settings.manage is not None:
        origin = settings.origins["manage"]
        words = _split(settings.manage, origin)
        if words[:1] == ["-m"] and len(words) > 1:
            return tuple(words), Choice(f"python {settings.manage}", origin)
        tried = [place / words[0] for place in (folder, cwd, config_folder, python.parent) if place is not None]
        script = next((path for path in tried if path.is_file()), None)
        if script is None:
            raise ProjectError(
                f"there is no {shortened(words[0])} (from {origin}); tried {', '.join(map(str, dict.fromkeys(tried)))}",
                hint="pass --manage with a Python file, or with a script of the interpreter's bin folder",
            )
        return (str(script), *words[1:]), Choice(settings.manage, origin)
    script = folder / MANAGE
    if script.is_file():
        return (str(script),), Choice(str(script), f"{MANAGE} of the project")
    if settings_choice.value:
        return ("-m", "django"), Choice("python -m django", f"no {MANAGE}, and settings are given")
    below = _find_below(folder, cwd)
    where = f"no {MANAGE} in {folder}" + (" or above it" if folder == cwd and folder != folder.parent else "")
    if below:
        raise ProjectError(f"{where}, but in {listed(below, most=FIRST)}", hint=project_hint(below))
    meant = settings_hint(folder) or "pass --settings"
    raise ProjectError(
        where, hint=f"change into the project, pass --project DIR or --manage SCRIPT, or, to do without: {meant}"
    )


def _split(command: str, origin: str) -> list[str]:
    """Return the words of a command line; at least one.

    Raises:
        UsageError: a shell could not read it either.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        words, said = [], str(error)
    else:
        said = "it is empty"
    if not words:
        raise UsageError(
            f"{origin}: {shortened(repr(command))} is not a command line: {said[:1].lower()}{said[1:]}",
            hint='write it as in a shell, for example "src/manage.py" or "kiosk manage"',
        )
    return words


def _find_below(folder: Path, cwd: Path) -> tuple[str, ...]:
    """Return the folders one and two levels below that have a manage.py, as one would type them."""
    found = []
    for pattern in (f"*/{MANAGE}", f"*/*/{MANAGE}"):
        for file in sorted(folder.glob(pattern)):
            parts = file.relative_to(folder).parts[:-1]
            if not any(part.startswith(".") or part in NOT_PROJECTS for part in parts):
                found.append(os.path.relpath(file.parent, cwd))
    return tuple(found)


def count_cpus(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Return how many CPUs this process may use: those it may run on, and no more than a container's quota allows."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for files in CGROUP_LIMITS:
        try:
            quota, period = " ".join((cgroup / file).read_text() for file in files).split()
            return max(1, min(allowed, math.ceil(int(quota) / int(period)) if int(quota) > 0 else allowed))
        except (OSError, ValueError):
            continue  # another version, no container, or "max"
    return allowed
