"""What the host answers about servers next to `inspect`: do they answer, and who holds their locks."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from dbmigrate.models.base import Value
from dbmigrate.models.database import DatabaseState, Trouble

LIVELY_SECONDS = 10.0
"""A run that migrates asks for its lock every few seconds."""


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
    silent: float | None = None
    """How long its session has said nothing; None if the server does not tell, or it is no session of a server."""

    @property
    def is_silent(self) -> bool:
        """Whether its session has said nothing for longer than one does whose run lives."""
        return self.silent is not None and self.silent > LIVELY_SECONDS


class LockState(Value):
    """The answer to one try for the locks."""

    waiting: LockHolder | None
    """Who has the first lock that was not to be had; None if all are held now."""
    crowded: str | None = None
    """Alias whose pooler has no session left for the migrations, now that the locks are held; None if all have."""
    missing: dict[str, str]
    """Aliases that have no lock, with the reason."""
    held: tuple[str, ...]
    """Aliases whose lock is held now."""
    environment: dict[str, dict[str, str]]
    """By alias: variables with which a child's sessions end soon after the child."""
    marks: dict[str, str]
    """Variables with which any child's sessions are marked as those of this run."""


class LockCheck(Value):
    """Whether the lock of one database is still held."""

    state: Literal["held", "unsure", "retaken", "lost"]
    """"unsure": its server has not answered yet, or it is tried for again; "retaken": it was lost, is held again, and
    no other run had it meanwhile."""
    lost_at: datetime | None
    """When it was found to be lost; for "retaken" and "lost"."""
    because: str | None
    """Why it was lost, in the driver's words; for "retaken" and "lost"."""
    why_not_again: str | None
    """Why it could not be taken again, or not as it was; for "lost"."""
