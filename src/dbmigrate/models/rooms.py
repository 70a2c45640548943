"""How many connections a server has room for."""

from __future__ import annotations

from typing import Literal

from dbmigrate.models.base import Value


class Room(Value):
    """A limit on the sessions of a role, a user of MySQL, a database or a server."""

    kind: Literal["role", "user", "database", "server"]
    name: str
    """Of the role or the database, 'user'@'host' of MySQL's; empty for the server."""
    key: str
    """Equal for databases whose sessions count together."""
    most: int
    """How many there may be."""
    others: int
    """How many there are, the one that asked left out: those of other clients, and of other connections of the run."""


class Cap(Value):
    """Databases of which only some are migrated at a time."""

    aliases: tuple[str, ...]
    most: int
    because: str
    """The limit that leaves no room for more."""
