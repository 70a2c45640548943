"""Whether a step that failed for a reason that passes is retried, how often, and after which pause."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dbmigrate.errors import DbmigrateError
from dbmigrate.models.migrations import MigrationId
from dbmigrate.models.plan import Step
from dbmigrate.models.result import StepResult
from dbmigrate.running.runner import Retry

LOCK_TIMEOUT = "55P03"
"""SQLSTATE of a statement that waited for a lock as long as it may (lock_timeout)."""

LOCK_PAUSE = 2.0
"""Seconds before the second try of a migration that got no lock; each further pause is twice as long."""

DOUBLINGS = 8
"""After which these pauses grow no more: they are 8 minutes then."""

FEWEST_TRIES = 4
"""How often a migration is tried that another session was in the way of."""

PAUSE = 0.5
"""Seconds before the second try; each further pause is twice as long, and up to half of it is chance: of two that were
in each other's way one has to come first."""

LONGEST_PAUSE = 8.0


@dataclass(frozen=True)
class Retrying:
    """Decides for the steps of one run."""

    ddl_retries: int | None
    """How often a migration is retried that got no lock in time; None where no such time was set."""
    jobs: int
    """How many databases are migrated at the same time: as many may be in the way of one."""
    is_undone: Callable[[Step, MigrationId], bool]
    """Whether the database says that nothing is there of a migration that failed."""
    find_blockers: Callable[[str], Sequence[str]]
    """Sessions that hold locks on an alias."""

    def again(self, step: Step, result: StepResult, tries: int) -> Retry | None:
        """Return whether to try a step again: only if it is known that the failed migration has changed nothing."""
        failed = result.transient
        if failed is None or not failed.is_clean:
            return None
        if failed.migration is None and result.in_flight is not None:  # it was caught, and a migration failed later
            return None
        is_late = failed.code == LOCK_TIMEOUT
        most_tries = max(FEWEST_TRIES, self.jobs + 1)
        if is_late:
            most_tries = 1 + (self.ddl_retries or 0)
        if tries >= most_tries:
            return None
        try:
            if failed.migration is not None and not self.is_undone(step, failed.migration):
                return None
            blockers = tuple(self.find_blockers(step.alias)) if is_late else ()
        except DbmigrateError:  # other steps may be running: nothing that is asked here may end them
            return None
        if is_late:
            return Retry(pause=LOCK_PAUSE * 2 ** min(tries - 1, DOUBLINGS), most_tries=most_tries, blockers=blockers)
        pause = min(LONGEST_PAUSE, PAUSE * 2 ** (tries - 1))
        return Retry(pause=pause * random.uniform(0.5, 1.0), most_tries=most_tries)
