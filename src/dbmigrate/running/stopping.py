"""The signals that come while something is migrated, and how long a question may still take after them."""

from __future__ import annotations

import math
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

BRIEF_SECONDS = 1.0
"""For a question while children run: what is to end them must not wait for it."""

REPORT_SECONDS = 4.0
"""After the grace: children that hear nothing are killed 2 s after it, and all has to be over 5 s after it."""

PATIENT_SECONDS = 15.0
"""For what is asked after the steps where nobody has set a limit."""


class Stops:
    """What was heard since a run began to listen."""

    def __init__(self, clock: Callable[[], float], grace: float | None = None) -> None:
        """Hear nothing yet; `grace`: seconds that what runs gets after a SIGTERM or SIGHUP, None is no limit."""
        self._clock = clock
        self._grace = grace
        self._heard: list[tuple[int, float]] = []
        self._asks_since: float | None = None

    def note(self, signum: int) -> None:
        """Take a signal; called from another thread than all the rest."""
        self._heard.append((signum, self._clock()))

    @property
    def signum(self) -> int | None:
        """The last signal; None if none came."""
        return self._heard[-1][0] if self._heard else None

    @property
    def is_asking(self) -> bool:
        """Whether nothing is migrated now (`asking`)."""
        return self._asks_since is not None

    @contextmanager
    def asking(self) -> Iterator[None]:
        """While the block runs nothing is migrated, and a question has the time that is left."""
        self._asks_since = self._clock()
        try:
            yield
        finally:
            self._asks_since = None

    def ask_until(self) -> float:
        """Return the time at which a question that was not answered is given up because of a signal."""
        if not self._heard:
            return math.inf
        signum, first_at = self._heard[0]
        if self._asks_since is None:
            return first_at + BRIEF_SECONDS
        later = [at for _, at in self._heard[1:] if at >= self._asks_since]
        if later:
            return later[0]
        if self._grace is not None and signum != signal.SIGINT:
            return first_at + self._grace + REPORT_SECONDS
        return max(first_at, self._asks_since) + PATIENT_SECONDS
