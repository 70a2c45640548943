"""How many databases are migrated at the same time. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from dbmigrate.models.database import Database
from dbmigrate.models.plan import MigrationPlan
from dbmigrate.models.settings import Settings
from dbmigrate.models.snapshot import Snapshot

JOBS_PER_CPU = 4
"""Databases on servers that are migrated at the same time for each CPU: their children wait for most of the time."""

MOST_SERVER_JOBS = 16
"""Above this, more of them only where there are as many CPUs: every one is a connection of the server's."""


def count_jobs(plan: MigrationPlan, snapshot: Snapshot, settings: Settings, cpus: int) -> int:
    """Return how many databases of a plan may be migrated at the same time; `cpus`: how many this process may use."""
    aliases = {step.alias for step in plan.steps}
    busy = [database for database in snapshot.databases if database.alias in aliases]
    return max(1, min(settings.jobs or _default_jobs(busy, cpus), len(busy)))


def _default_jobs(databases: Sequence[Database], cpus: int) -> int:
    """Return how many databases to migrate at the same time; docs/performance.md has the measurement."""
    if all(database.vendor == "sqlite" for database in databases):
        return cpus
    return max(cpus, min(JOBS_PER_CPU * cpus, MOST_SERVER_JOBS))
