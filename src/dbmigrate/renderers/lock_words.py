"""The words people read about locks: who is waited for, and what was lost."""

from __future__ import annotations

from collections.abc import Sequence

from dbmigrate.listing import listed
from dbmigrate.models.events import LockAwaited, LockLost, LockMissing, LocksTaken
from dbmigrate.models.result import LostLock
from dbmigrate.renderers.durations import duration


def locked(event: LockAwaited) -> str:
    """Return who holds a lock, since when, and for how long it is waited for."""
    held = f", for {duration(event.holder.seconds)} now" if event.holder.seconds is not None else ""
    silent = f", silent for {duration(event.holder.silent)}" if event.holder.is_silent and event.holder.silent else ""
    return (
        f"Waiting for the lock of database: {event.holder.alias} (up to {event.seconds_left:.0f} s): "
        f"held by {event.holder.holder}{held}{silent}"
    )


def unlocked(event: LocksTaken) -> str:
    """Return that the locks are held after a wait."""
    return f"The lock is free (after {duration(event.seconds)}): checking the databases again"


def lockless(event: LockMissing) -> str:
    """Return that nothing keeps two runs apart on a database."""
    return f"no lock on database {event.alias}: {event.because}; make sure that only one run migrates it at a time"


def announce_loss(event: LockLost) -> str:
    """Return that a lock was lost, when and why, and what that means for the run."""
    if event.lock.is_retaken:
        return f"{lost(event.lock)}; it was acquired again, and no other run had it in between: the run continues"
    running = f", interrupting {listed(event.running)}" if event.running else ""
    return f"{lost(event.lock)}; no new steps{running}"


def lost(lock: LostLock) -> str:
    """Return when and why a lock was lost, and why it could not be acquired again."""
    again = f"; it could not be acquired again: {lock.why_not_again}" if lock.why_not_again else ""
    return f"the lock of {lock.alias} was lost at {lock.at:%H:%M:%S} UTC ({lock.because}){again}"


def after_loss(aliases: Sequence[str], *, has_left: bool) -> str:
    """Return what to type after a run that has lost the locks of these databases; `has_left`: half of a migration."""
    options = " ".join(f"--database {alias}" for alias in aliases)
    left = "check what the failed migration left, listed above, " if has_left else ""
    return (
        f"check that no other run is migrating {listed(aliases)}: dbmigrate verify {options}; "
        f"{left}then rerun the command; it resumes where it stopped"
    )
