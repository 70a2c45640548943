"""What happens during a run, in the order it happens; renderers turn it into text."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, Union

from dbmigrate.models.base import LINE, Value
from dbmigrate.models.database import Trouble
from dbmigrate.models.migrations import MigrationId
from dbmigrate.models.plan import MakeMigrations, ShownPlan, Step
from dbmigrate.models.reset import ResetList
from dbmigrate.models.result import LostLock, RunResult, StepResult
from dbmigrate.models.rooms import Cap
from dbmigrate.models.servers import LockHolder


class Happening(Value):
    """What all events have."""

    at: datetime | None = None
    """When it passed the output, in UTC; None before."""


class Started(Happening):
    """The command begins to show what it does; comes first, and not from a use case."""

    type: Literal["started"] = "started"
    version: Literal[1] = 1
    """Of all events, and of what `--format json` prints."""
    command: str | None
    """None if the command line could not be read so far."""
    dbmigrate: str
    """The version of dbmigrate."""


class PlanReady(Happening):
    """The plan is made and nothing stands against it. Comes again after makemigrations wrote something."""

    type: Literal["plan-ready"] = "plan-ready"
    plan: ShownPlan


class DatabaseAwaited(Happening):
    """A database does not answer and is waited for. Comes again when the reason changes."""

    type: Literal["database-awaited"] = "database-awaited"
    alias: str
    trouble: Trouble
    error: str
    seconds_left: float


class DatabaseReached(Happening):
    """A database that was waited for answers."""

    type: Literal["database-reached"] = "database-reached"
    alias: str
    seconds: float


class LockAwaited(Happening):
    """Another run holds the lock of a database. Comes again when the holder changes."""

    type: Literal["lock-awaited"] = "lock-awaited"
    holder: LockHolder
    seconds_left: float


class LocksTaken(Happening):
    """Every lock is held, after another run was waited for."""

    type: Literal["locks-taken"] = "locks-taken"
    seconds: float


class LockMissing(Happening):
    """A database that nothing keeps two runs apart on."""

    type: Literal["lock-missing"] = "lock-missing"
    alias: str
    because: str


class LockLost(Happening):
    """A lock was lost while the run had it. Taken again it continues; else nothing new starts, what runs there ends."""

    type: Literal["lock-lost"] = "lock-lost"
    lock: LostLock
    running: tuple[str, ...]
    """Steps that are ended because of it."""


class DdlLockTimeoutIgnored(Happening):
    """A database where --ddl-lock-timeout does nothing."""

    type: Literal["ddl-lock-timeout-ignored"] = "ddl-lock-timeout-ignored"
    alias: str
    because: str


class StepsCapped(Happening):
    """Fewer databases are migrated at the same time than was asked for: a server has no room for more."""

    type: Literal["steps-capped"] = "steps-capped"
    cap: Cap


class MakeStarted(Happening):
    """makemigrations starts."""

    type: Literal["make-started"] = "make-started"
    make: MakeMigrations
    command: tuple[str, ...]


class MakeFinished(Happening):
    """makemigrations ended; if it failed, the run ends with an error."""

    type: Literal["make-finished"] = "make-finished"
    result: StepResult


class MigrationsWritten(Happening):
    """What makemigrations wrote; a PlanReady with the plan for it follows."""

    type: Literal["migrations-written"] = "migrations-written"
    migrations: tuple[MigrationId, ...]


class StepStarted(Happening):
    """A migrate process starts."""

    type: Literal["step-started"] = "step-started"
    step: Step
    command: tuple[str, ...]


class StepOutput(Happening):
    """A line that a child printed, decoded."""

    type: Literal["step-output"] = "step-output"
    step: str
    alias: str | None
    stream: Literal["stdout", "stderr"]
    text: Annotated[str, LINE]


class StepProgress(Happening):
    """A migration begins. Read from the child's words, so for showing only."""

    type: Literal["step-progress"] = "step-progress"
    step: str
    alias: str
    migration: MigrationId
    position: int
    """1 for the first migration of the step."""
    total: int
    backwards: bool
    """Whether it is taken back."""


class StepFinished(Happening):
    """A migrate process ended; whether it did what was planned is known only after verification."""

    type: Literal["step-finished"] = "step-finished"
    result: StepResult


class StepRetried(Happening):
    """A migrate process failed for a reason that passes, and is retried; its StepFinished is yet to come."""

    type: Literal["step-retried"] = "step-retried"
    step: Step
    tries: int
    """How often it was tried so far."""
    pause: float
    """Seconds until it is retried."""
    blockers: tuple[str, ...]
    """Sessions that were blocking it, as the server describes them."""
    most_tries: int
    """How often it is tried at most."""
    migration: MigrationId | None
    """The migration that failed; None if none had begun."""
    code: str
    """The server's: an SQLSTATE, a number of MySQL, or "SQLITE_BUSY"."""
    reason: str
    """For example "deadlock detected"."""


class StepSkipped(Happening):
    """A planned step that is not started: a step it needs failed, or the run stops."""

    type: Literal["step-skipped"] = "step-skipped"
    result: StepResult


class CommandStarted(Happening):
    """A command of the project starts that has our terminal: makemigrations of `make`, squashmigrations of `squash`."""

    type: Literal["command-started"] = "command-started"
    command: tuple[str, ...]


class ResetListed(Happening):
    """What a reset takes away; nothing was, and nobody has agreed yet."""

    type: Literal["reset-listed"] = "reset-listed"
    reset: ResetList


class CommandOutput(Happening):
    """A line that a command of the project printed which did not have our terminal."""

    type: Literal["command-output"] = "command-output"
    text: Annotated[str, LINE]


class Stopping(Happening):
    """A signal came, or the time after it is over. Rung 1 starts nothing new, 2 interrupts what runs, 3 ends it."""

    type: Literal["stopping"] = "stopping"
    signal: int
    rung: int
    running: tuple[str, ...]
    """Steps that are running."""
    grace: float | None = None
    """Seconds that they get; None is as long as they need."""
    is_late: bool = False
    """Whether it is the end of that time, and no new signal."""


class RunFinished(Happening):
    """The end of every run, once and last."""

    type: Literal["run-finished"] = "run-finished"
    result: RunResult


Event = Union[
    CommandOutput,
    CommandStarted,
    DatabaseAwaited,
    DatabaseReached,
    DdlLockTimeoutIgnored,
    LockAwaited,
    LockLost,
    LockMissing,
    LocksTaken,
    PlanReady,
    ResetListed,
    MakeStarted,
    MakeFinished,
    MigrationsWritten,
    StepStarted,
    StepOutput,
    StepProgress,
    StepFinished,
    StepRetried,
    StepSkipped,
    StepsCapped,
    Stopping,
    RunFinished,
    Started,
]
