"""Where the project is and how its manage.py is run.

Standard library only: the host process is started from this value before pydantic is imported.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Choice:
    """A value that was found, and the words that say why it is this one."""

    value: str
    reason: str


@dataclass(frozen=True)
class Target:
    """The project together with the interpreter that runs it."""

    root: Path
    """The repository's root, else the folder of manage.py: nothing outside of it is ever written."""
    manage: tuple[str, ...]
    """Script and the words before Django's own, for example ("/srv/app/manage.py",); ("-m", "django") without one."""
    python: str
    """Absolute path of the interpreter."""
    settings: str | None
    """Value for DJANGO_SETTINGS_MODULE; None leaves it to manage.py."""
    cwd: Path
    """Working directory of every child."""
    choices: dict[str, Choice]
    """What was chosen for "project", "manage", "python" and "settings", with the reason."""
    below: tuple[str, ...] = ()
    """Where there is no manage.py: the folders below that have one, relative to the working directory."""

    @property
    def called(self) -> str:
        """How a person calls its commands: "manage.py", the words given for --manage, or "python -m django"."""
        chosen = self.choices["manage"].value
        return Path(chosen).name if chosen == self.manage[0] else chosen

    @property
    def names(self) -> frozenset[str]:
        """What things are called in the paths and words that it is made of."""
        paths = (self.root, self.cwd, Path(self.python), *map(Path, self.manage))
        words = (*self.manage, *(str(path) for path in paths), *(choice.value for choice in self.choices.values()))
        return frozenset({*words, *(part for path in paths for part in path.parts)})

    @property
    def settings_option(self) -> str | None:
        """What follows the words of every command."""
        return f"--settings={self.settings}" if self.settings else None

    def command(self, *words: str) -> tuple[str, ...]:
        """Return the argv that a person would type to run a Django command in this project."""
        return (self.python, *self.manage, *words, *((self.settings_option,) if self.settings_option else ()))


MOST_FOLDERS = 3
"""Projects that a hint names where there are many."""


def project_hint(folders: tuple[str, ...]) -> str:
    """Return what to pass where these folders have a manage.py and the one that was looked at has none."""
    return "pass " + ", or ".join(f"--project {shlex.quote(folder)}" for folder in folders[:MOST_FOLDERS])


@dataclass(frozen=True)
class Twin:
    """The same project on scratch databases, with copies of its migrations folders: nothing it does is to last."""

    root: str
    """The project's root, links resolved: what is written below it is written down in the journal."""
    folder: str
    """Where the copies are, scratch databases of SQLite, and the journal; below the root."""
    packages: Mapping[str, str]
    """By dotted path of a migrations package: the folder that it is imported from instead."""
    labels: tuple[str, ...]
    """Apps that migrations are made for."""
    databases: Mapping[str, str]
    """By alias: NAME of its scratch database. The others are not connected to."""
