"""What plain Django commands make of a project: run once for each project and interpreter, then remembered."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from support.cli import manage
from support.projects import Project, applied

CACHE = Path(__file__).parents[2] / ".cache" / "plain"


@dataclass(frozen=True)
class Databases:
    """The SQLite databases of a project, by file name without the suffix."""

    tables: dict[str, set[str]]
    applied: dict[str, list[str]]
    """Sorted."""


def read_databases(project: Project) -> Databases:
    """Return the databases as they are."""
    files = sorted(project.root.glob("*.sqlite3"))
    return Databases(tables=project.tables(), applied={file.stem: sorted(applied(file)) for file in files})


def after_plain_commands(project: Project, *commands: str, python: str) -> Databases:
    """Return the databases after these manage.py commands; the project must have none yet.

    An interpreter of `.cache/environments` is made once and never changed, so that its path stands for what it has.
    """
    key = hashlib.sha256(repr((python, commands, project.content())).encode()).hexdigest()[:16]
    file = CACHE / f"{key}.json"
    if not file.exists():
        for command in commands:
            manage(*command.split(), cwd=project.root, python=python)
        found = read_databases(project)
        CACHE.mkdir(parents=True, exist_ok=True)
        text = json.dumps(
            {"tables": {key: sorted(names) for key, names in found.tables.items()}, "applied": found.applied}
        )
        file.write_text(text)
    remembered = json.loads(file.read_text())
    return Databases(
        tables={key: set(names) for key, names in remembered["tables"].items()}, applied=remembered["applied"]
    )
