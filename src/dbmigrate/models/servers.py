"""What the host answers about servers beside `inspect`: do they answer, and who holds their locks."""

from __future__ import annotations

from dbmigrate.models.base import Value
from dbmigrate.models.snapshot import DatabaseState, Trouble


class Reached(Value):
    """Whether one database answers."""

    state: DatabaseState
    trouble: Trouble | None
    error: str | None
    """Why not, in the driver's words."""


class LockHolder(Value):
    """Another run that holds the lock of a database."""

    alias: str
    holder: str
    """Its name, as far as the server tells: dbmigrate's process and machine, and the server's own number for it."""
    seconds: float | None
    """How long it has held the lock; None if the server does not tell."""


class LockState(Value):
    """The answer to one try for the locks."""

    waiting: LockHolder | None
    """Who has the first lock that was not to be had; None if all are held now."""
    missing: dict[str, str]
    """Aliases that have no lock, with the reason."""
    environment: dict[str, dict[str, str]]
    """By alias: variables with which a child's sessions end soon after the child."""
