"""The launcher whose children are copies of the host, which has booted the project already."""

from __future__ import annotations

import errno
import json
import os
import select
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import IO

from dbmigrate.errors import ProjectError, UsageError
from dbmigrate.models.settings import LauncherName
from dbmigrate.models.target import Choice
from dbmigrate.project.booted import BootedProject
from dbmigrate.running.process import (
    ChildMessage,
    ChildRequest,
    ExitCode,
    Launcher,
    RunningChild,
    SpawnLauncher,
    watch,
)

UNKNOWN = -int(signal.SIGKILL)
"""What is reported of a child of which nobody knows more than that it has ended: as if somebody had killed it."""

SLICE_SECONDS = 0.05
"""Between two looks whether a child has ended, where the system does not report it (before Linux 5.3 or glibc 2.36)."""


def choose_launcher(host: BootedProject, wanted: LauncherName, environment: Mapping[str, str]) -> Launcher:
    """Return the launcher; whether the host can be forked is decided again before the first child."""
    if wanted == "spawn" or (wanted == "auto" and host.why_not_fork(warm_up=False) is not None):
        return SpawnLauncher()
    return ForkLauncher(host, environment, or_nothing=wanted == "fork")


def describe_launcher(host: BootedProject, wanted: LauncherName, *, warm_up: bool) -> Choice:
    """Return the launcher of the next run, with the reason; `warm_up`: once the host is ready for the first child.

    Raises:
        UsageError: `fork` was asked for and is not available.
    """
    if wanted == "spawn":
        return Choice("spawn", "each step is a fresh process, as configured")
    reason = host.why_not_fork(warm_up=warm_up)
    if reason is None:
        return Choice("fork", "each step is a copy of the process that was booted")
    if wanted == "fork":
        raise _refuse(reason)
    return Choice("spawn", f"each step is a fresh process: {reason}")


def _refuse(reason: str) -> UsageError:
    return UsageError(f"steps cannot be forked: {reason}", hint="remove --launcher fork: steps are spawned then")


class ForkLauncher:
    """Lets the host fork each child; starts a fresh process where the host cannot."""

    def __init__(self, host: BootedProject, environment: Mapping[str, str], *, or_nothing: bool) -> None:
        """Fork from this host; `environment` is its own. `or_nothing`: refuse to warm up where it cannot be forked."""
        self._host = host
        self._environment = environment
        self._or_nothing = or_nothing
        self._spawn = SpawnLauncher()
        self._ended: list[int] = []
        """Process ids of children whose end was read: they may be reaped."""

    def warm_up(self) -> None:
        """Let the host import what every child needs.

        Raises:
            UsageError: the host cannot be forked, and nothing else was wanted.
        """
        reason = self._host.why_not_fork(warm_up=True)
        if reason is not None and self._or_nothing:
            raise _refuse(reason)

    def start(self, request: ChildRequest, outbox: SimpleQueue[ChildMessage]) -> RunningChild:
        """Start the child, with a thread that reads its pipes and one that waits for its end."""
        assert request.first_line is not None
        begin = json.loads(request.first_line)
        step = {**begin, "is_marked": bool(request.marks)}
        own = {name: value for name, value in request.environment.items() if self._environment.get(name) != value}
        if self._host.is_busy:
            raise OSError(errno.EAGAIN, "the process that had booted the project is busy")
        ends = _make_pipes(4)
        out, err, told = (os.fdopen(reading, "rb") for reading, _ in ends[:3])
        status: IO[bytes] = os.fdopen(ends[3][0], "rb", buffering=0)  # what is to be read must be seen by poll
        forked: SimpleQueue[int | str] = SimpleQueue()
        reply: int | str = "nothing was forked"
        try:
            # Before there is a child: one that cannot be watched must not begin.
            watch((out, err, told), request.key, lambda: self._wait_for_code(status, forked.get()), outbox)
            ended = list(self._ended)
            reply = self._host.fork(step, own, [writing for _, writing in ends], ended)
            del self._ended[: len(ended)]
        except ProjectError as error:
            # Nothing may be started any more, spawned neither: the locks have ended with it.
            message = "the process that had booted the project has exited, and its locks with it"
            raise OSError(errno.ESRCH, message) from error
        finally:
            for _, writing in ends:
                os.close(writing)
            forked.put(reply)
        if isinstance(reply, str):
            return self._spawn.start(request, outbox)
        return _ForkedChild(self._host, reply, status)

    def _wait_for_code(self, status: IO[bytes], pid: int | str) -> ExitCode | None:
        """Wait until a child has ended, and return the exit code that it has said; None if there is no child."""
        with status:
            if isinstance(pid, str):
                return None
            _wait_for_end(pid, status.fileno())
            # Not to the end of the pipe: a process that the child has left behind may hold it open.
            line = status.readline() if _is_readable(status.fileno(), 0) else b""
        if not line.rstrip(b"\n").isdigit():
            return "unsaid"
        self._ended.append(pid)
        return int(line)


def _make_pipes(count: int) -> list[tuple[int, int]]:
    """Return the ends of pipes, to read from and to write to.

    Raises:
        OSError: there is no file left for one of them; none is open then.
    """
    ends: list[tuple[int, int]] = []
    try:
        ends.extend(os.pipe() for _ in range(count))
    except OSError:
        for reading, writing in ends:
            os.close(reading)
            os.close(writing)
        raise
    return ends


class _ForkedChild:
    def __init__(self, host: BootedProject, pid: int, status: IO[bytes]) -> None:
        self._host = host
        self._pid = pid
        self._status = status

    def send_signal(self, signum: int) -> None:
        if self._status.closed:  # it has ended
            return
        try:
            os.killpg(self._pid, signum)
        except ProcessLookupError:
            with suppress(ProcessLookupError):
                os.kill(self._pid, signum)  # it was forked this moment, and has no group of its own yet

    def find_code(self) -> int:
        try:
            code = self._host.how_ended(self._pid)
        except ProjectError:  # it has ended, and its children with it
            code = None
        return UNKNOWN if code is None else code


def _wait_for_end(pid: int, status: int) -> None:
    """Wait until a child of the host has ended; the host may have ended too, or be stopped."""
    try:
        process = os.pidfd_open(pid)
    # It is gone already; or the kernel is older, a container forbids the call, or this Python was built without it.
    except (OSError, AttributeError):
        while not _has_ended(pid, status):
            time.sleep(SLICE_SECONDS)
        return
    try:
        _is_readable(process, None)
    finally:
        os.close(process)


def _is_readable(descriptor: int, seconds: float | None) -> bool:
    """Return whether this can be read, or has ended, within this time. select() takes no descriptor above 1023."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(None if seconds is None else seconds * 1000))


def _has_ended(pid: int, status: int) -> bool:
    """Whether a child of the host has ended, reaped or not, as far as the system tells."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] == b"Z"
    except OSError:
        pass  # there is none, or it is another user's by now and hidden
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    return _is_readable(status, 0)
