"""One child that runs: what it has said, and when it has to end."""

from __future__ import annotations

import signal
from collections import deque
from dataclasses import dataclass, field

from pydantic import ValidationError

from dbmigrate.frames import FRAME, Chain, is_foreign_frame
from dbmigrate.models.plan import MakeMigrations, Step
from dbmigrate.models.result import StepResult, Transient
from dbmigrate.running.process import ChildOutput, RunningChild
from dbmigrate.running.progress import MigrationWatch

LAST_LINES = 25
"""Lines of a child that are kept for the report of its failure."""

# The first signal sends nothing: what runs may finish. SIGINT before SIGTERM: psycopg cancels the statement on the
# server, where SIGTERM would leave the session working with its locks.
STOP_SIGNALS = {2: signal.SIGINT, 3: signal.SIGTERM, 4: signal.SIGKILL}

STOP_LEVEL_SECONDS = 1.0
"""Between two stop levels once the time that running migrations were given is over."""


@dataclass
class Job:
    """A child that runs."""

    step: Step | MakeMigrations
    command: tuple[str, ...]
    started_at: float
    child: RunningChild
    watch: MigrationWatch | None
    retries: int = 0
    due_at: float | None = None
    """When it is interrupted, or ended harder; None is never."""
    stop_level: int = 1
    """The last that it has heard by itself, whatever the whole run was asked for."""
    has_lost_lock: bool = False
    """Whether it is ended because its lock is lost."""
    transient: Transient | None = None
    """What it said last of why a migration failed."""
    tail: Tail = field(default_factory=lambda: Tail(LAST_LINES))

    @property
    def alias(self) -> str | None:
        """The database that it migrates; None for makemigrations."""
        return self.step.alias if isinstance(self.step, Step) else None

    @property
    def is_ended(self) -> bool:
        """Whether it was interrupted on its own, because of its time or its lock."""
        return self.stop_level > 1

    @property
    def is_overdue(self) -> bool:
        """Whether it was interrupted because it took too long."""
        return self.is_ended and not self.has_lost_lock

    def end(self, now: float) -> None:
        """Interrupt it with the next `press_on`, unless that has begun: its lock is lost."""
        if not self.is_ended:
            self.due_at, self.has_lost_lock = now, True

    def press_on(self, now: float) -> None:
        """Interrupt it when that is due, and end it harder each second from then on: its server may be silent."""
        if self.due_at is not None and now >= self.due_at:
            self.stop_level = min(self.stop_level + 1, max(STOP_SIGNALS))
            self.child.send_signal(STOP_SIGNALS[self.stop_level])
            self.due_at = now + STOP_LEVEL_SECONDS


@dataclass(frozen=True)
class Pause:
    """A step that failed and is retried."""

    step: Step
    job: Job
    """The child that failed."""
    result: StepResult
    """How it ended the last time."""
    until: float


def read_transient(line: str) -> Transient | None:
    """Return what a step says of its failure; None where another process of the project's wrote to the same pipe."""
    try:
        return Transient.model_validate_json(line)
    except ValidationError:
        return None


class Tail:
    """The last lines of a child, both streams in the order in which the lines began.

    Django leaves "Applying x..." unfinished while a traceback comes on the other stream: what failed, then why.
    """

    def __init__(self, size: int) -> None:
        """Keep so many lines."""
        self._lines: deque[list[str]] = deque(maxlen=size)
        self._unfinished: dict[str, list[str]] = {}
        self.raised_at: str | None = None
        """The last frame of a traceback that is in no installed package: the project's own."""
        self.chain = Chain()

    def take(self, output: ChildOutput) -> None:
        """Take a line, or the beginning of one."""
        line = self._unfinished.pop(output.stream, None)
        if line is None:
            line = [""]
            self._lines.append(line)
        line[0] = output.text
        frame = FRAME.match(output.text)
        if frame is not None and not is_foreign_frame(output.text):
            self.raised_at = f"{frame['file']}:{frame['line']} in {frame['name']}"
        if not output.is_complete:
            self._unfinished[output.stream] = line
        elif output.stream == "stderr":
            self.chain.take(output.text)

    @property
    def lines(self) -> tuple[str, ...]:
        """Those that are kept, in their order."""
        return tuple(line for (line,) in self._lines)
