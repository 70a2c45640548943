"""A Launcher without processes: it says and does what a test wrote down."""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from queue import SimpleQueue

from dbmigrate.running.process import ChildEnded, ChildMessage, ChildOutput, ChildRequest, ChildTold, StopRequested


@dataclass
class FakeChild:
    """A child that has said everything and ends when it is told to, or at once."""

    key: str
    outbox: SimpleQueue[ChildMessage]
    ends_on: int | None
    signals: list[int] = field(default_factory=list)

    def send_signal(self, signum: int) -> None:
        """Remember the signal; end if it is the one."""
        self.signals.append(signum)
        if signum == self.ends_on:
            self.outbox.put(ChildEnded(self.key, -signum))

    def find_code(self) -> int:
        """Refuse: it always says how it ended."""
        raise AssertionError("nobody has to ask how a fake child ended")


@dataclass(frozen=True)
class Script:
    """What a fake child says and how it ends."""

    lines: tuple[str, ...] = ()
    code: int = 0
    ends_on: int | None = None
    """A signal it waits for; then it ends by it. None lets it end by itself with `code`."""
    cannot_start: str | None = None
    no_room: tuple[int, ...] = ()
    """Which tries to start it find no room for it; the first is 1."""
    told: str | None = None
    """What it writes for dbmigrate."""
    then_stop: tuple[int, ...] = ()
    """Signals that come to dbmigrate right after its lines."""


class FakeLauncher:
    """Starts children from scripts, by the key of the request."""

    def __init__(self, scripts: Mapping[str, Script] | None = None) -> None:
        """Take the scripts; a child without one ends well and says nothing."""
        self._scripts = scripts or {}
        self._tries: Counter[str] = Counter()
        self.started: list[str] = []
        self.children: dict[str, FakeChild] = {}
        self.on_start: Callable[[str], None] = lambda key: None

    def warm_up(self) -> None:
        """Do nothing."""

    def start(self, request: ChildRequest, outbox: SimpleQueue[ChildMessage]) -> FakeChild:
        """Put everything the child says on the outbox."""
        script = self._scripts.get(request.key, Script())
        if script.cannot_start is not None:
            raise FileNotFoundError(2, script.cannot_start)
        self._tries[request.key] += 1
        if self._tries[request.key] in script.no_room:
            raise OSError(errno.EMFILE, "Too many open files")
        self.started.append(request.key)
        self.on_start(request.key)
        child = FakeChild(request.key, outbox, script.ends_on)
        self.children[request.key] = child
        for line in script.lines:
            outbox.put(ChildOutput(request.key, "stdout", line, is_complete=True))
        if script.told is not None:
            outbox.put(ChildTold(request.key, script.told))
        for signum in script.then_stop:
            outbox.put(StopRequested(signum))
        if script.ends_on is None:
            outbox.put(ChildEnded(request.key, script.code))
        return child
