"""What a check says."""

from __future__ import annotations

from typing import Literal

from dbmigrate.models.base import Value

Level = Literal["error", "warning", "note"]


class Finding(Value):
    """One thing a check found: a sentence with the names in it, and what to type or write next."""

    id: str
    """For example "DBM102"; docs/checks.md has a section for each."""
    level: Level
    stops: bool
    """Whether `all` and `run` refuse to touch anything while it stands."""
    message: str
    hint: str
    aliases: tuple[str, ...] = ()
    apps: tuple[str, ...] = ()
