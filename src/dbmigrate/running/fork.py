"""The launcher whose children are copies of the host, which has booted the project already."""

from __future__ import annotations

import errno
import json
import os
import select
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import IO

from dbmigrate.errors import ProjectError, UsageError
from dbmigrate.models.settings import LauncherName
from dbmigrate.models.target import Choice
from dbmigrate.project.booted import BootedProject
from dbmigrate.running.process import ChildMessage, ChildRequest, Launcher, RunningChild, SpawnLauncher, watch

KILLED = -9
"""What is reported of a child of which nothing is known but that it has ended."""

BEGIN_SECONDS = 60.0
"""How long it may take until a child that was forked has a process id."""

CODE_SECONDS = 1.0
"""How long the process that waits for a child may take to report an end that the system has reported already."""

SLICE_SECONDS = 0.2
"""Between two looks whether a signal has come."""


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
        step = {key: begin[key] for key in ("death", "scope", "is_watched", "is_forward", "words")}
        own = {name: value for name, value in request.environment.items() if self._environment.get(name) != value}
        if self._host.is_busy:
            raise OSError(errno.EAGAIN, "the process that had booted the project is busy")
        ends = _make_pipes(4)
        out, err, told = (os.fdopen(reading, "rb") for reading, _ in ends[:3])
        status: IO[bytes] = os.fdopen(ends[3][0], "rb", buffering=0)  # what is to be read must be seen by select
        forked: SimpleQueue[int | None] = SimpleQueue()
        pid = None
        try:
            try:
                # Before there is a child: one that cannot be watched must not begin.
                watch((out, err, told), request.key, lambda: _wait_for_code(status, forked.get()), outbox)
                reason = self._host.fork(step, own, [writing for _, writing in ends])
            finally:
                for _, writing in ends:
                    os.close(writing)
            pid = None if reason is not None else _read_pid(status, self._host)
        except ProjectError as error:
            raise _host_has_ended() from error
        finally:
            forked.put(pid)
        return _ForkedChild(pid, status) if pid is not None else self._spawn.start(request, outbox)


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


def _read_pid(status: IO[bytes], host: BootedProject) -> int | None:
    """Return the process id of the copy that migrates; None if the system refused the second of the two forks.

    Raises:
        OSError: the host has ended, or had to be ended: it may have been stopped, and would begin the step later.
    """
    deadline = time.monotonic() + BEGIN_SECONDS
    while not _readable([status.fileno()], SLICE_SECONDS):
        if time.monotonic() >= min(deadline, host.ask_until):
            host.close()
    line = status.readline()
    if not line:
        raise _host_has_ended()
    return int(line) or None


def _readable(descriptors: Sequence[int], seconds: float | None) -> list[int]:
    """Wait until one of these can be read, or has ended; return which. select() takes no descriptor above 1023."""
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    return [descriptor for descriptor, _ in poll.poll(None if seconds is None else seconds * 1000)]


def _host_has_ended() -> OSError:
    # Nothing may be started any more, spawned neither: the locks have ended with it.
    return OSError(errno.ESRCH, "the process that had booted the project has exited, and its locks with it")


class _ForkedChild:
    def __init__(self, pid: int, status: IO[bytes]) -> None:
        self._pid = pid
        self._status = status

    def send_signal(self, signum: int) -> None:
        if self._status.closed:  # it has ended
            return
        try:
            os.killpg(self._pid, signum)
        except ProcessLookupError:
            pass


def _wait_for_code(status: IO[bytes], pid: int | None) -> int | None:
    """Wait until a child has ended and return its exit code; None if there is no child.

    The process that reports it may be stopped or killed. So the system is asked too, whose word counts: a child that
    has ended has ended, and one that has not is still waited for.
    """
    with status:
        if pid is None:
            return None
        line = _read_report(status, pid)
        return int(line) if line else _read_code_of_dead(pid)


def _read_report(status: IO[bytes], pid: int) -> bytes:
    """Return the line about a child's end; b"" if it has ended and nobody reports it."""
    try:
        process = os.pidfd_open(pid)
    except OSError:  # it has ended already; or an older kernel, where there is only the report
        return status.readline()
    try:
        ready = _readable([status.fileno(), process], None)
        if status.fileno() not in ready:
            ready = _readable([status.fileno()], CODE_SECONDS)
        line = status.readline() if ready else b""
        if not line:
            _readable([process], None)  # of a killed reporter the child gets a signal, and may take its time
        return line
    finally:
        os.close(process)


def _read_code_of_dead(pid: int) -> int:
    """Return the exit code of a child that nobody has waited for yet, as far as the system tells (proc(5), stat)."""
    try:
        _, _, rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")
    except OSError:
        return KILLED
    state, *_, status = rest.split()
    return os.waitstatus_to_exitcode(int(status)) if state == "Z" else KILLED
