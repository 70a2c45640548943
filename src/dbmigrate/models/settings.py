"""How dbmigrate is configured: the merged value of files, environment and flags.

Standard library only, for the same reason as models/target.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Scope = Literal["app", "database"]
UnclaimedPolicy = Literal["skip", "migrate"]
ReceiverPolicy = Literal["always", "pending"]
LauncherName = Literal["auto", "fork", "spawn"]
Phase = Literal["pre", "post"]
"""Before the new code serves, while the old one still does; or after that, when only the new one does."""

THIRD_PARTY, UNMARKED = "third_party", "unmarked"
"""In `phases`: what counts for the migrations of third-party apps, and for those that neither a mark nor their
operations decide; "ask" is as if it was not there."""

LINTER = "squawk"
"""Begins the ids of what `check --lint` finds, and stands for all of them."""


@dataclass(frozen=True)
class DatabaseSettings:
    """What `[tool.dbmigrate.databases.<alias>]` may set for one database; None means "as for all"."""

    scope: Scope | None = None
    open: UnclaimedPolicy | None = None


@dataclass(frozen=True)
class Settings:
    """Every configuration key with its merged value."""

    settings: str | None = None
    manage: str | None = None
    python: str | None = None
    jobs: int | None = None
    """Databases migrated at the same time; None goes by the CPUs and by where the databases are."""
    launcher: LauncherName = "auto"
    """How steps are started; "auto" forks where that is safe."""
    scope: Scope = "app"
    open: UnclaimedPolicy = "skip"
    receivers: ReceiverPolicy = "always"
    """When `migrate` runs for receivers of its signals: also where nothing is pending, or only where something is."""
    exclude: tuple[str, ...] = ()
    order: tuple[str, ...] = ()
    """Aliases that are migrated one after the other in this order."""
    ignore: tuple[str, ...] = ()
    """Ids of checks whose findings are left out; what stops a run is not left out there."""
    skip_makemigrations: bool = False
    keep_going: bool = False
    """Whether a failure leaves databases going on that do not need the failed one."""
    wait: float = 0.0
    """Seconds to wait for databases that do not answer."""
    lock_wait: float = 60.0
    """Seconds to wait for another run on the same database."""
    grace: float | None = None
    """Seconds that running migrations get to finish after the first SIGTERM or SIGHUP; None is as long as they need."""
    step_timeout: float | None = None
    """Seconds that one migrate process may run before it is interrupted; None and 0 are as long as it needs."""
    ddl_lock_timeout: float | None = None
    """Seconds that a statement of a migration waits for a lock of other sessions; None is what the server says."""
    ddl_retries: int = 5
    """How often a step is retried that did not get its lock in that time."""
    lock_url: dict[str, str] = field(default_factory=dict)
    """By alias: another way to the database for its lock alone, around a pooler."""
    phases: dict[str, str] = field(default_factory=dict)
    """By pattern of migrations ("blog.0007*"), the first that matches counts: "pre" or "post". And by THIRD_PARTY and
    UNMARKED."""
    format: str = "auto"
    databases: dict[str, DatabaseSettings] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    """Where each value came from: "default", "DBMIGRATE_JOBS", "--jobs" or a file's path; keyed as in the file."""

    def scope_of(self, alias: str) -> Scope:
        """Return the scope for this alias: its own, else the general one."""
        own = self.databases.get(alias, DatabaseSettings()).scope
        return own if own is not None else self.scope

    def unclaimed_policy(self, alias: str) -> UnclaimedPolicy:
        """Return what to do with this alias when it is open: its own policy, else the general one."""
        own = self.databases.get(alias, DatabaseSettings()).open
        return own if own is not None else self.open
