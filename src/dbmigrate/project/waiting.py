"""Wait for what others have to do first: servers that start, and runs that hold a lock."""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence

from dbmigrate.errors import LockedError
from dbmigrate.models.database import INCURABLE, Trouble
from dbmigrate.models.events import DatabaseAwaited, DatabaseReached, LockAwaited, LockMissing, LocksTaken
from dbmigrate.models.servers import LockState, Reached
from dbmigrate.project.booted import SHORTEST_SILENCE, SILENCE_SECONDS, BootedProject
from dbmigrate.project.heartbeat import QUIET_SECONDS

SHORTEST_PAUSE, LONGEST_PAUSE = 0.1, 1.0
"""Seconds between two tries, the first and the longest."""

SHORTEST_TRY = 1.0
"""Seconds that a try gets at least, also the last one."""

Clock = Callable[[], float]
Sleep = Callable[[float], None]


def wait_for_databases(
    host: BootedProject, silent: Mapping[str, Reached], seconds: float, *, started_at: float, clock: Clock, sleep: Sleep
) -> Iterator[DatabaseAwaited | DatabaseReached]:
    """Ask these databases until all answer, the time is over, or one has a trouble that waiting does not cure.

    `silent`: what each of them has said since `started_at`, from when the seconds are counted. Each time a server gets
    as long to answer as has gone by: some wake up slowly, others never answer on a connection that was cut.
    """
    said: dict[str, Trouble | None] = {}
    waiting = dict(silent)
    pauses = _pauses()
    while True:
        left = max(0.0, started_at + seconds - clock())
        for alias, reached in waiting.items():
            is_news = said.get(alias) != reached.trouble
            if is_news and left and reached.trouble is not None and reached.trouble not in INCURABLE:
                yield DatabaseAwaited(
                    alias=alias, trouble=reached.trouble, error=reached.error or "", seconds_left=left
                )
            said[alias] = reached.trouble
        if not waiting or not left or any(said[alias] in INCURABLE for alias in waiting):
            return
        sleep(min(next(pauses), left))
        gone = clock() - started_at
        patience = max(SHORTEST_TRY, min(seconds - gone, max(SILENCE_SECONDS, gone)))
        for alias, reached in host.reach(list(waiting), seconds=patience).items():
            waiting[alias] = reached
            if reached.trouble is None:
                del waiting[alias]
                yield DatabaseReached(alias=alias, seconds=clock() - started_at)


def take_locks(
    host: BootedProject, aliases: Sequence[str], seconds: float, urls: Mapping[str, str], *, clock: Clock, sleep: Sleep
) -> Generator[LockAwaited | LocksTaken | LockMissing | DatabaseAwaited | DatabaseReached, None, LockState]:
    """Take the locks of these databases, waiting for other runs, and for room in poolers.

    Returns:
        The last answer: what children of each database need in their environment.

    Raises:
        LockedError: another run holds one, or a pooler is full, for longer than these seconds; or one cannot be tried
            at all.
        UnreachableError: a server says nothing for longer.
    """
    started_at = clock()
    holder: str | None = None
    crowded: str | None = None
    pauses = _pauses()
    while True:
        left = max(0.0, started_at + seconds - clock())
        patience = min(host.silence_seconds, max(SHORTEST_SILENCE, left))
        state = host.lock(aliases, urls, seconds=patience if seconds else None, may_wait=left > 0)
        now = clock()
        if crowded is not None and crowded != state.crowded:
            yield DatabaseReached(alias=crowded, seconds=now - started_at)
        if state.crowded is not None:
            left = max(0.0, started_at + seconds - now)
            if crowded != state.crowded:
                said = "its pooler has no connection left for the migrations, next to that of the lock"
                yield DatabaseAwaited(alias=state.crowded, trouble="full", error=said, seconds_left=left)
            crowded = state.crowded
            sleep(min(next(pauses), left))
            continue
        if state.waiting is None:
            if holder is not None:
                yield LocksTaken(seconds=now - started_at)
            for alias, reason in state.missing.items():
                yield LockMissing(alias=alias, because=reason)
            return state
        left = started_at + seconds - now
        if left <= 0:
            raise _locked(state, seconds)
        if holder != state.waiting.holder:
            holder = state.waiting.holder
            yield LockAwaited(holder=state.waiting, seconds_left=left)
        sleep(min(next(pauses), left))


def check_locks(host: BootedProject, *, sleep: Sleep) -> None:
    """Do nothing where every lock that was taken is still held, or was acquired again and nobody had it meanwhile.

    Raises:
        LockedError: one was lost.
    """
    while True:
        checks = host.check_locks({}, idle=QUIET_SECONDS).answer()
        for alias, check in checks.items():
            if check.state == "lost":
                raise LockedError(
                    f"the lock of database {alias} was lost ({check.because}), and could not be acquired again: "
                    f"{check.why_not_again}",
                    hint="rerun the command when no other run is migrating it",
                    changed=False,
                )
        if not any(check.state == "unsure" for check in checks.values()):
            return
        sleep(LONGEST_PAUSE)


def _locked(state: LockState, seconds: float) -> LockedError:
    assert state.waiting is not None
    held = f" for {state.waiting.seconds:.0f} s" if state.waiting.seconds is not None else ""
    silent = f" (it has been silent for {state.waiting.silent:.0f} s)" if state.waiting.is_silent else ""
    return LockedError(
        f"database {state.waiting.alias} is being migrated by {state.waiting.holder}{held}{silent}, "
        f"longer than --lock-wait {seconds:g}",
        hint="rerun the command when that run has finished, or wait longer: --lock-wait SECONDS; --no-lock "
        "does not prevent concurrent runs",
        changed=False,
    )


def _pauses() -> Iterator[float]:
    """Yield growing pauses, each a little different: what started together does not ask together."""
    pause = SHORTEST_PAUSE
    while True:
        yield pause * random.uniform(0.75, 1.25)
        pause = min(pause * 1.5, LONGEST_PAUSE)
