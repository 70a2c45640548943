"""Whether the locks of a run are still held: asked every few seconds, before each step and before the report."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timezone
from typing import NoReturn, Protocol

from dbmigrate.errors import DbmigrateError
from dbmigrate.models.migrations import MigrationId
from dbmigrate.models.result import LostLock
from dbmigrate.models.servers import LockCheck

BEAT_SECONDS = 3.0
"""Between two questions. It also keeps the connection in use: balancers cut idle ones, the shortest after a minute."""

DOUBT_SECONDS = 0.5
"""The same while a server has not answered."""

FRESH_SECONDS = 0.2
"""An answer is good for so long: steps that start together ask once."""

LOOK_SECONDS = 1.0
"""How long an answer is waited for; meanwhile no signal is heard."""

SILENT_SECONDS = 15.0
"""After so long without an answer the process that holds the locks counts as gone; not while it is busy."""

IDLE_SECONDS = 45.0
"""A server that knows no keepalives for sessions ends the lock's after so many seconds without a question."""

QUIET_SECONDS = 600.0
"""The same while the project itself is looked at, and nothing is asked."""


class Inquiry(Protocol):
    """A question for locks that was asked."""

    def is_answered_within(self, seconds: float) -> bool:
        """Return whether the answer comes in this time; one that does not may still come."""

    def answer(self) -> Mapping[str, LockCheck]:
        """Return the answer by alias, once, when it has come."""


Ask = Callable[[Mapping[str, Sequence[MigrationId]], float], Inquiry]
"""(what steps of this run may have recorded or taken back by alias, seconds to the next question) -> the question."""


class Heartbeat:
    """What is known of the locks of one run."""

    def __init__(
        self,
        aliases: Sequence[str],
        ask: Ask,
        *,
        clock: Callable[[], float],
        now: Callable[[], datetime],
        is_busy: Callable[[], bool] = lambda: False,
    ) -> None:
        """Know that the locks of these aliases are held; `clock` gives seconds that only grow, `now` UTC.

        `is_busy`: whether the process that holds them is still at work on a question that was given up.
        """
        self._aliases = tuple(aliases)
        self._ask = ask
        self._is_busy = is_busy
        self._clock = clock
        self._now = now
        self._inquiry: Inquiry | None = None
        self._asked_at = clock()
        self._sent_at = 0.0
        self._heard_at = 0.0
        """When the question was sent, or could be heard at last."""
        self._known_at: float | None = None
        self.unsure: frozenset[str] = frozenset()
        """Aliases of whose lock nobody knows whether it is held."""
        self._is_unanswered = False
        self.all_lost: list[LostLock] = []
        """Every lock that was lost, also those that were taken again."""

    @property
    def lost(self) -> frozenset[str]:
        """Aliases whose lock is lost for good."""
        return frozenset(lost.alias for lost in self.all_lost if not lost.is_retaken)

    @property
    def due_at(self) -> float | None:
        """When to ask the next time; None if there is nothing to ask."""
        if not set(self._aliases) - self.lost:
            return None
        return self._asked_at + (DOUBT_SECONDS if self.unsure else BEAT_SECONDS)

    @property
    def is_fresh(self) -> bool:
        """Whether an answer came just now, or there is nothing to ask."""
        if self.due_at is None:
            return True
        return self._known_at is not None and self._clock() - self._known_at < FRESH_SECONDS and not self.unsure

    def holds_up(self, aliases: Collection[str]) -> bool:
        """Whether nothing that needs these databases may start until more is known of their locks."""
        return self._is_unanswered or not self.unsure.isdisjoint(aliases)

    def beat(self, changed: Mapping[str, Sequence[MigrationId]], *, idle: float = IDLE_SECONDS) -> list[LostLock]:
        """Ask, or look for the answer of the last question, and return the locks that were found to be lost.

        `changed`, `idle`: as of `Ask`.
        """
        if self.due_at is None:
            return []
        self._asked_at, self._known_at = self._clock(), None
        is_new = self._inquiry is None
        try:
            if self._inquiry is None:
                self._sent_at = self._heard_at = self._asked_at
                self._inquiry = self._ask(changed, idle)
            if self._is_busy() and self._asked_at - self._sent_at < IDLE_SECONDS:
                self._heard_at = self._asked_at
            if not self._inquiry.is_answered_within(LOOK_SECONDS if is_new else 0):
                self.unsure, self._is_unanswered = frozenset(self._aliases) - self.lost, True
                is_gone = self._asked_at - self._heard_at >= SILENT_SECONDS
                return self._lose_all("it does not respond") if is_gone else []
            inquiry, self._inquiry = self._inquiry, None
            checks = inquiry.answer()
        except DbmigrateError as error:
            return self._lose_all(error.message)
        return self._learn(checks)

    def give_up(self, aliases: Collection[str]) -> list[LostLock]:
        """Count doubtful locks as lost, because nobody waits for an answer any more; return them."""
        self.unsure -= frozenset(aliases)
        lost = [
            LostLock(
                alias=alias,
                at=self._now(),
                because="its server did not answer before the run was stopped, so nothing is known about it",
                is_retaken=False,
                why_not_again=None,
            )
            for alias in sorted(aliases)
        ]
        self.all_lost += lost
        return lost

    def _learn(self, checks: Mapping[str, LockCheck]) -> list[LostLock]:
        self._known_at = self._asked_at = self._clock()
        self._is_unanswered = False
        self.unsure = frozenset(alias for alias, check in checks.items() if check.state == "unsure")
        known = self.lost
        found = [
            LostLock(
                alias=alias,
                at=check.lost_at or self._now(),
                because=check.because or "",
                is_retaken=check.state == "retaken",
                why_not_again=check.why_not_again,
            )
            for alias, check in checks.items()
            if check.state in ("retaken", "lost") and alias not in known
        ]
        self.all_lost += found
        return found

    def _lose_all(self, why: str) -> list[LostLock]:
        reason = f"the process that held it is gone: {why}"
        lost = [
            LostLock(alias=alias, at=self._now(), because=reason, is_retaken=False, why_not_again=None)
            for alias in self._aliases
            if alias not in self.lost
        ]
        self.unsure, self._is_unanswered = frozenset(), False
        self.all_lost += lost
        return lost


def without_locks() -> Heartbeat:
    """Return the heartbeat of a run that has no locks: there is nothing to ask."""

    def ask(changed: Mapping[str, Sequence[MigrationId]], idle: float) -> NoReturn:
        raise AssertionError("there is no lock to ask for")

    return Heartbeat((), ask, clock=lambda: 0.0, now=lambda: datetime.now(timezone.utc))
