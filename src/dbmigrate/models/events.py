"""What happens during a run, in the order it happens; renderers turn it into text."""

from __future__ import annotations

from typing import Literal, Union

from dbmigrate.models.base import Value
from dbmigrate.models.plan import MakeMigrations, MigrationPlan, Step
from dbmigrate.models.result import RunResult, StepResult
from dbmigrate.models.snapshot import MigrationId


class PlanReady(Value):
    """The plan is made and nothing stands against it. Comes again after makemigrations wrote something."""

    type: Literal["plan-ready"] = "plan-ready"
    plan: MigrationPlan


class MakeStarted(Value):
    """makemigrations starts."""

    type: Literal["make-started"] = "make-started"
    make: MakeMigrations
    command: tuple[str, ...]


class MakeFinished(Value):
    """makemigrations ended; if it failed, the run ends with an error."""

    type: Literal["make-finished"] = "make-finished"
    result: StepResult


class MigrationsWritten(Value):
    """What makemigrations wrote; a PlanReady with the plan for it follows."""

    type: Literal["migrations-written"] = "migrations-written"
    migrations: tuple[MigrationId, ...]


class StepStarted(Value):
    """A migrate process starts."""

    type: Literal["step-started"] = "step-started"
    step: Step
    command: tuple[str, ...]


class StepOutput(Value):
    """A line that a child printed: decoded, scrubbed of secrets, bounded in length."""

    type: Literal["step-output"] = "step-output"
    step: str
    alias: str | None
    stream: Literal["stdout", "stderr"]
    text: str


class StepProgress(Value):
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


class StepFinished(Value):
    """A migrate process ended; whether it did what was planned is known only after verification."""

    type: Literal["step-finished"] = "step-finished"
    result: StepResult


class StepSkipped(Value):
    """A planned step that is not started: a step it needs failed, or the run stops."""

    type: Literal["step-skipped"] = "step-skipped"
    result: StepResult


class Stopping(Value):
    """A signal came. Rung 1 starts nothing new, 2 interrupts what runs, 3 ends it."""

    type: Literal["stopping"] = "stopping"
    signal: int
    rung: int
    running: tuple[str, ...]
    """Steps that are running."""


class RunFinished(Value):
    """The end of every run, once and last."""

    type: Literal["run-finished"] = "run-finished"
    result: RunResult


Event = Union[
    PlanReady,
    MakeStarted,
    MakeFinished,
    MigrationsWritten,
    StepStarted,
    StepOutput,
    StepProgress,
    StepFinished,
    StepSkipped,
    Stopping,
    RunFinished,
]
