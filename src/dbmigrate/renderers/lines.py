"""The lines of a run: what each event says, for every format that people read. A renderer lays a line out.

A new event is a class in models/events.py and a case here.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from dbmigrate.listing import MANY, listed
from dbmigrate.models.events import (
    CommandOutput,
    CommandStarted,
    DatabaseAwaited,
    DatabaseReached,
    DdlLockTimeoutIgnored,
    Event,
    LockAwaited,
    LockLost,
    LockMissing,
    LocksTaken,
    MakeFinished,
    MakeStarted,
    MigrationsWritten,
    PlanReady,
    ResetListed,
    RunFinished,
    Started,
    StepFinished,
    StepOutput,
    StepProgress,
    StepRetried,
    StepsCapped,
    StepSkipped,
    StepStarted,
    Stopping,
)
from dbmigrate.models.plan import ShownPlan, Step
from dbmigrate.renderers import lock_words, plan_words, run_words, words
from dbmigrate.renderers.durations import duration
from dbmigrate.renderers.reset_words import reset_lines
from dbmigrate.sentences import changed_in_trial

Level = Literal[
    "start",
    "make",
    "written",
    "database",
    "app",
    "reason",
    "progress",
    "done",
    "note",
    "waiting",
    "warning",
    "failed",
    "stopping",
    "command",
    "output",
    "printed",
    "list",
    "ended",
]
"""What a line is: one of the steps of a run ("start" to "done"), a "note" next to them, "waiting" for somebody else, a
"warning" ("failed": that a process failed; "stopping": that the run ends), or what `-v` shows: the "command" of a
process, its "output", and that it "ended". "printed": a line of a command that is shown as it comes; "list": what
somebody has to agree to, which is shown however little is."""


@dataclass(frozen=True)
class Line:
    """What is said about an event; it may have several lines of text."""

    level: Level
    text: str
    alias: str | None = None
    """The database that is being migrated, if the line is about that."""
    hint: str | None = None


class Story:
    """Turns the events of one command into lines; it knows what was said before."""

    def __init__(self) -> None:
        """Begin with nothing said."""
        self._plan: ShownPlan | None = None
        self._started: set[str] = set()
        self._completed = 0

    def lines_of(self, event: Event) -> Iterator[Line]:
        """Yield the lines of the next event."""
        match event:
            case PlanReady():
                yield from self._begin(event.plan)
            case MakeStarted():
                yield Line("make", run_words.making(event.make))
                yield Line("command", shlex.join(event.command))
            case ResetListed():
                yield Line("list", "\n".join(reset_lines(event.reset)))
                if event.reset.changed:
                    yield Line("warning", changed_in_trial(event.reset.changed))
            case StepStarted():
                yield from self._start(event)
            case StepProgress():
                act = self._act(backwards=event.backwards)
                yield Line("progress", f"{act} {event.migration} ({event.position} of {event.total})", event.alias)
            case StepFinished():
                yield from self._end(event)
            case _:
                line = line_of(event)
                if line is not None:
                    yield line

    def _begin(self, plan: ShownPlan) -> Iterator[Line]:
        is_second = self._plan is not None
        self._plan = plan
        if is_second:
            return
        yield Line("start", run_words.heading(plan))
        for alias in plan.at_once if plan.selection.phase is not None else ():
            yield Line("note", plan_words.at_once(alias))
        for finding in plan.warnings():
            yield Line("warning", finding.sentence, hint=finding.hint)
        for need in plan.needed_elsewhere[:MANY]:
            sentence, hint = plan_words.left_out(need)
            yield Line("warning", sentence, hint=hint)
        if plan.selection.writes_migrations and plan.make is None:
            yield Line("note", "No changes detected")

    def _start(self, event: StepStarted) -> Iterator[Line]:
        step = event.step
        deed = self._deed_of(step)
        if step.alias not in self._started:
            self._started.add(step.alias)
            yield Line("database", run_words.database_heading(step.alias, deed), step.alias)
        yield Line("app", run_words.subject(step, deed), step.alias)
        reason = plan_words.reason(step)
        if reason is not None:
            yield Line("reason", reason, step.alias)
        yield Line("command", shlex.join(event.command), step.alias)

    def _end(self, event: StepFinished) -> Iterator[Line]:
        result = event.result
        assert self._plan is not None
        if result.status != "ok":
            ended = "could not be started" if result.exit_code is None else words.exit_words(result.exit_code)
            yield Line("failed", f"{result.id}: {ended} after {duration(result.seconds)}", result.alias)
            return
        yield Line("ended", f"{result.id} ended after {duration(result.seconds)}", result.alias)
        if result.alias is not None and result.id == self._plan.steps_on(result.alias)[-1].id:
            self._completed += 1
            count = len({step.alias for step in self._plan.steps})
            progress = f" ({self._completed} of {count} databases)" if count > MANY else ""
            done = run_words.completed(result.alias, self._deed_of(self._plan.steps_on(result.alias)[-1]))
            yield Line("done", f"{done}{progress}", result.alias)

    def _deed_of(self, step: Step) -> run_words.Deed:
        assert self._plan is not None
        return run_words.deed_of(step.migrations, fake=self._plan.selection.fake)

    def _act(self, *, backwards: bool) -> str:
        if self._plan is not None and self._plan.selection.fake:
            return "Forgetting" if backwards else "Recording"
        return "Undoing" if backwards else "Applying"


def line_of(event: Event) -> Line | None:
    """Return the line of an event that says the same whatever came before it; None if it says nothing."""
    match event:
        case DatabaseAwaited():
            return Line("waiting", run_words.awaited(event))
        case DatabaseReached():
            return Line("note", run_words.reached(event))
        case LockAwaited():
            return Line("waiting", lock_words.locked(event))
        case LocksTaken():
            return Line("note", lock_words.unlocked(event))
        case LockMissing():
            return Line("warning", lock_words.lockless(event))
        case LockLost():
            return Line("warning", lock_words.announce_loss(event))
        case DdlLockTimeoutIgnored():
            return Line("warning", run_words.lock_timeout_without_effect(event))
        case StepsCapped():
            return Line("warning", run_words.capped(event))
        case StepRetried():
            return Line("warning", run_words.retried(event), event.step.alias)
        case Stopping():
            return Line("stopping", run_words.stopping(event))
        case CommandStarted():
            return Line("command", shlex.join(event.command))
        case CommandOutput():
            return Line("printed", event.text)
        case MigrationsWritten():
            return Line("written", f"Migrations written: {listed(event.migrations) or 'none'}")
        case MakeFinished():
            return Line("ended", f"makemigrations ended after {duration(event.result.seconds)}")
        case StepOutput():
            return Line("output", event.text, event.alias)
        case PlanReady() | MakeStarted() | ResetListed() | StepStarted() | StepProgress() | StepFinished():
            return None  # they have several lines, or what they say depends on the plan: Story
        case StepSkipped() | RunFinished():
            return None  # the report at the end has them
        case Started():
            return None  # who reads along has started it
