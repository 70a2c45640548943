"""What a run did, by database."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, computed_field, model_validator

from dbmigrate.errors import ExitCode
from dbmigrate.models.base import LINE, MESSAGE, Report, Value
from dbmigrate.models.migrations import MigrationId
from dbmigrate.models.plan import ShownPlan, SkipReason

StepStatus = Literal["ok", "failed", "interrupted", "not-run"]

DatabaseStatus = Literal["migrated", "unchanged", "ran", "skipped", "failed", "interrupted", "not-run"]
"""What became of a database. "ran": its migrate ran, and what it changed cannot be counted."""

FailureKind = Literal["command", "interrupted", "post-migrate", "not-recorded", "not-asked", "launch"]


class Transient(Value):
    """An error of a server that passes on its own, as a step says it that failed for it."""

    migration: MigrationId | None
    """None if it failed before its first migration."""
    code: str
    """The server's: an SQLSTATE, a number of MySQL, or "SQLITE_BUSY"."""
    words: str
    """For example "deadlock detected"."""
    is_clean: bool
    """Whether nothing of the migration was committed, as far as the process could see."""


class StepFailed(Value):
    """Why a step was not started: another one failed."""

    kind: Literal["step-failed"] = "step-failed"
    step: str
    """The one that failed, not one that was not started because of it."""

    @property
    def text(self) -> str:
        """What `StepResult.because` says."""
        return self.step


class RunInterrupted(Value):
    """Why a step was not started: a signal asked the run to end."""

    kind: Literal["interrupted"] = "interrupted"

    @property
    def text(self) -> str:
        """What `StepResult.because` says."""
        return self.kind


class RunUnlocked(Value):
    """Why a step was not started: a lock was lost, its own or, unless `--keep-going` is given, any."""

    kind: Literal["lock-lost"] = "lock-lost"

    @property
    def text(self) -> str:
        """What `StepResult.because` says."""
        return self.kind


class NotLaunched(Value):
    """Why a step failed: its process could not be started."""

    kind: Literal["not-launched"] = "not-launched"
    text: str
    """A sentence."""


class Overdue(Value):
    """Why a step failed: it ran for too long."""

    kind: Literal["overdue"] = "overdue"
    limit: float
    """In seconds."""

    @property
    def text(self) -> str:
        """What `StepResult.because` says."""
        return f"it ran for longer than step_timeout ({self.limit:g} s) and was interrupted"


WhyNotRun = StepFailed | RunInterrupted | RunUnlocked

WhyFailed = NotLaunched | Overdue
"""Why a step failed where its process cannot say it."""


class StepResult(Value):
    """How one process ended."""

    id: str
    alias: str | None
    """None for makemigrations."""
    status: StepStatus
    exit_code: int | None = None
    """The process's own: negative is the signal that ended it; None if it never started."""
    seconds: float = 0.0
    command: tuple[str, ...] = ()
    last_lines: Annotated[tuple[str, ...], LINE] = ()
    """The end of what it printed, both streams in the order in which the lines began; at most 25."""
    in_flight: MigrationId | None = None
    """The migration it had announced and not finished."""
    done: tuple[MigrationId, ...] = ()
    """The migrations that it said were done; what counts is what the database says."""
    raised_at: str | None = None
    """The last place outside of installed packages in a traceback it printed."""
    causes: Annotated[tuple[str, ...], LINE] = ()
    """The exceptions of the last traceback it printed, in the order in which they came of each other."""
    transient: Transient | None = None
    """What it failed for, if that passes on its own; None if it did not fail for it, or did not say."""
    retries: int = 0
    """How often it was retried."""
    why: Annotated[WhyNotRun | WhyFailed, Field(discriminator="kind")] | None = None
    """Of every "not-run"; of what failed only where its process cannot say it."""

    @model_validator(mode="before")
    @classmethod
    def _leave_out_because(cls, values: Any) -> Any:
        return {key: values[key] for key in values if key != "because"} if isinstance(values, dict) else values

    @computed_field  # type: ignore[prop-decorator]
    @property
    def because(self) -> str | None:
        """What `why` says, in one word or sentence: the step that failed, "interrupted", "lock-lost", or the reason."""
        return self.why.text if self.why is not None else None


class OperationTrace(Value):
    """One operation of a migration that did not get to its end."""

    text: str
    """In Django's words, for example "Create model Item"."""
    is_there: bool | None
    """Whether the database's catalogue shows it; None if the catalogue cannot tell."""


class LackingTable(Value):
    """A table, or a model, of another app that a failed migration works with, and that was not there."""

    table: str | None
    """None where the migration did not get as far: its history has no such model."""
    app: str
    alias: str
    """Where the app belongs."""
    migration: MigrationId | None
    """The last migration of the app that is pending there, and that the failed one could depend on; None if all of it
    is applied there."""


class Failure(Value):
    """Why a database is not where the plan wanted it."""

    kind: FailureKind
    """"command": the process failed; "interrupted": it was asked to end; "post-migrate": it failed after every
    migration was recorded; "not-recorded": it ended well and a migration is still not recorded; "not-asked": it
    ended well and the database could not be asked; "launch": it could not be started."""
    step: str
    command: tuple[str, ...]
    exit_code: int | None
    seconds: float
    migration: MigrationId | None
    """The migration that failed, if one did."""
    file: str | None = None
    """Of that migration: relative to the project's root, or absolute outside of it."""
    line: int | None = None
    backwards: bool = False
    """Whether it was to be undone."""
    rolled_back: bool | None
    """Whether the database undid the failed migration on its own; None if no migration failed."""
    may_be_faked: bool = False
    """Whether `--fake-initial` would have recorded the failed migration, for all that it makes was there before."""
    may_still_run: bool = False
    """Whether the server may still work on the failed migration: its process has ended, the server does not say."""
    traces: tuple[OperationTrace, ...] = ()
    """What is left of the failed migration; empty if nothing is, or nothing can be known."""
    raised_at: str | None = None
    """Where in the project's own code it was raised, for example "/srv/blog/migrations/0002_fill.py:5 in fill"."""
    last_lines: Annotated[tuple[str, ...], LINE]
    message: Annotated[str, MESSAGE]
    """The last line that says something, or the reason it could not start."""
    is_disk_full: bool = False
    """Whether it failed because the disk of the database is full."""
    is_spawned: bool = False
    """Whether it failed before its first migration in a process that ran the project's main anew."""
    lacks: LackingTable | None = None
    """The table it failed for, if another app makes it."""


class SchemaChange(Value):
    """What a run changed in one schema, other than the one that the alias works in."""

    schema_name: str
    tables: int
    """How many more there are than before; below 0 if there are fewer."""
    records: int
    """How many more migrations are recorded there."""


class DatabaseResult(Value):
    """What happened to one database."""

    alias: str
    status: DatabaseStatus
    skip: SkipReason | None
    """For "skipped" and "unchanged"."""
    owner: str | None
    """For a "same": the alias that looks after this database."""
    may_stand_in: bool = False
    """For a "same": whether it would be migrated in its owner's place if the configuration said so."""
    because: str | None = None
    """For a "read-only" one: why it takes no writes."""
    out_of_reach: tuple[MigrationId, ...] = ()
    """For a "read-only" one: what is pending there."""
    is_unknown: bool = False
    """Whether it could not be asked what is applied there; only of one that had no step."""
    applied: tuple[MigrationId, ...]
    """Recorded by this run, in plan order, as the database says afterwards."""
    is_asked: bool = True
    """Whether the database could be asked afterwards; if not, `applied` and `undone` are what its processes said."""
    undone: tuple[MigrationId, ...]
    """Taken back by this run, in plan order, as the database says afterwards."""
    only_recorded: int
    """How many of `applied` did nothing there, because the routers refuse all of their operations."""
    remaining: tuple[MigrationId, ...]
    """Planned, and not done."""
    synced: tuple[str, ...] = ()
    """Models (label.model) of apps without migrations whose tables this run made, as the database says afterwards."""
    seconds: float
    failure: Failure | None
    faked: tuple[MigrationId, ...] = ()
    """Those of `applied` that `--fake-initial` recorded without running them: all that they make was there."""
    fake: bool = False
    """Whether migrations were recorded (or their records taken back) without being run."""
    ran_for: tuple[str, ...] = ()
    """The receivers of migrate signals for which `migrate` ran although nothing was pending."""
    waited_for: str | None
    """For "not-run": the database whose failure kept it from starting, or None if it was the interruption."""
    schemas: tuple[SchemaChange, ...] = ()
    """Other schemas of the database that are not as they were before, where the project replaces `migrate`."""
    without_table: tuple[str, ...] = ()
    """Models (label.model) that belong there and have no table, which no migration is going to make (DBM301)."""
    retries: int = 0
    """How often a step of it was retried because of an error that passes."""
    counted: int | None = None
    """How many schemas were counted before and after for that; None if that could not be, or need not."""


class LostLock(Value):
    """A lock that a run had and did not keep."""

    alias: str
    at: datetime
    """When it was found to be lost, in UTC."""
    because: Annotated[str, MESSAGE]
    """Why, in the words of the driver, or of the system for a lock file."""
    is_retaken: bool
    """Whether it was taken again, and no other run had it meanwhile."""
    why_not_again: Annotated[str, MESSAGE] | None
    """Why it could not be taken again, or not as it was."""


class RunResult(Value):
    """Everything a run did; the report and the exit code are made from it alone."""

    written: tuple[str, ...]
    """Migrations that makemigrations wrote."""
    databases: tuple[DatabaseResult, ...]
    """In the order of DATABASES, the ones the selection left out included."""
    constance: str | None
    """Label of django-constance if this run looked after its tables and they are in place."""
    signal: int | None
    """The signal that asked to stop; None if none came."""
    seconds: float
    is_everything: bool = True
    """Whether no database and no app was named."""
    later: int = 0
    """How many different migrations it left to the other phase of a deploy."""
    limits: tuple[str, ...] = ()
    """What was not looked at (MigrationPlan.limits)."""
    lost_locks: tuple[LostLock, ...] = ()
    """Locks that were lost while it ran, those that were taken again included."""
    approved_by: Literal["plan", "digest"] | None = None
    """What the plan was compared with under the locks: a saved plan (`apply`) or a digest (`--expect`)."""
    is_already_applied: bool = False
    """Whether all that the saved plan wanted was done before, by the same code."""

    @property
    def unlocked(self) -> tuple[LostLock, ...]:
        """Locks that were lost for good: another run may have migrated the database at the same time."""
        return tuple(lost for lost in self.lost_locks if not lost.is_retaken)

    @property
    def moved(self) -> tuple[str, ...]:
        """Aliases on which at least one migration was applied or undone, in whichever schema, or a table made."""
        return tuple(
            database.alias
            for database in self.databases
            if database.applied or database.undone or database.synced or database.schemas
        )

    @property
    def unfinished(self) -> tuple[DatabaseResult, ...]:
        """Databases that failed, were interrupted, or were not started."""
        return tuple(database for database in self.databases if database.status in ("failed", "interrupted", "not-run"))

    @property
    def exit_code(self) -> ExitCode:
        """What the process says to a script."""
        if self.signal is not None and self.unfinished:
            return ExitCode.of_signal(self.signal)
        if self.unfinished or self.unlocked:
            return ExitCode.PARTIAL if self.moved else ExitCode.FAILED
        return ExitCode.DRIFT if any(database.without_table for database in self.databases) else ExitCode.OK


class RunReport(Report):
    """The answer of `all` and `run`."""

    type: Literal["run"] = "run"
    plan: ShownPlan
    """The plan that was run: the one made after makemigrations, if that wrote something."""
    run: RunResult

    @property
    def exit_code(self) -> ExitCode:
        """What the process returns."""
        return self.run.exit_code
