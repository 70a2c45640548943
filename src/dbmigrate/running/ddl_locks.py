"""Migrations that wait for locks of other sessions: have the server give them up after a while."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from dbmigrate.models.database import Database
from dbmigrate.models.events import DdlLockTimeoutIgnored
from dbmigrate.models.plan import MigrationPlan, Step
from dbmigrate.models.snapshot import Snapshot


@dataclass(frozen=True)
class Traffic:
    """What a run does about --ddl-lock-timeout."""

    timeout: float | None
    """Seconds; None if it was not asked for."""

    def environment(self, step: Step, database: Database | None, own: Mapping[str, str]) -> dict[str, str]:
        """Return the variables of a step's child: its own, with the timeout where the step may be retried."""
        if self.timeout is None or _why_not(step, database, own) is not None:
            return dict(own)
        return {**own, "PGOPTIONS": f"{own['PGOPTIONS']} -c lock_timeout={max(1, round(self.timeout * 1000))}"}

    def warnings(
        self, plan: MigrationPlan, snapshot: Snapshot, environments: Mapping[str, Mapping[str, str]]
    ) -> Iterator[DdlLockTimeoutIgnored]:
        """Yield each database of the plan on which the timeout has no effect, with the reason."""
        if self.timeout is None:
            return
        reasons = {
            step.alias: _why_not(step, snapshot.database(step.alias), environments.get(step.alias, {}))
            for step in plan.steps
        }
        for alias, reason in reasons.items():
            if reason is not None:
                yield DdlLockTimeoutIgnored(alias=alias, because=reason)


def _why_not(step: Step, database: Database | None, own: Mapping[str, str]) -> str | None:
    """Return why a step must not, or cannot, be given up and retried."""
    if database is None or database.vendor != "postgresql":
        return "only PostgreSQL rolls back a migration that is cancelled"
    unsafe = [migration.id for migration in step.migrations if migration.does and not migration.atomic]
    if unsafe:
        return f"{unsafe[0]} is not atomic, so it cannot be retried"
    if "PGOPTIONS" not in own:
        return 'its connections do not accept PGOPTIONS (a pooler, OPTIONS["options"], or PostgreSQL before 14)'
    return None
