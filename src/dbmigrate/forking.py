"""The launcher whose children are copies of the host, which has booted the project already."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping
from queue import SimpleQueue
from typing import IO

from dbmigrate.errors import ProjectError, UsageError
from dbmigrate.host import Host
from dbmigrate.models.settings import LauncherName
from dbmigrate.models.target import Choice
from dbmigrate.process import ChildMessage, ChildRequest, Launcher, RunningChild, SpawnLauncher, watch

KILLED = -9
"""What is reported of a child of which nothing is known but that its host is gone."""


def choose_launcher(host: Host, wanted: LauncherName, environment: Mapping[str, str]) -> Launcher:
    """Return the launcher; whether the host can be forked is decided again before the first child."""
    if wanted == "spawn" or (wanted == "auto" and host.why_not_fork(warm_up=False) is not None):
        return SpawnLauncher()
    return ForkLauncher(host, environment, or_nothing=wanted == "fork")


def describe_launcher(host: Host, wanted: LauncherName, *, warm_up: bool) -> Choice:
    """Return the launcher of the next run, with the reason; `warm_up`: once the host is ready for the first child.

    Raises:
        UsageError: `fork` was asked for and is not to be had.
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
    return UsageError(f"steps cannot be forked: {reason}", hint="leave out --launcher fork: steps are spawned then")


class ForkLauncher:
    """Lets the host fork each child; starts a fresh process where the host cannot."""

    def __init__(self, host: Host, environment: Mapping[str, str], *, or_nothing: bool) -> None:
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
        step = {key: begin[key] for key in ("death", "scope", "words")}
        own = {name: value for name, value in request.environment.items() if self._environment.get(name) != value}
        ends = _make_pipes(3)
        out, err, status = (os.fdopen(reading, "rb") for reading, _ in ends)
        forked: SimpleQueue[bool] = SimpleQueue()
        pid = None
        try:
            try:
                # Before there is a child: one that cannot be watched must not begin.
                watch((out, err), request.key, lambda: _read_code(status) if forked.get() else None, outbox)
                reason = self._host.fork(step, own, [writing for _, writing in ends])
            finally:
                for _, writing in ends:
                    os.close(writing)
            pid = None if reason is not None else _read_pid(status)
        except ProjectError as error:
            raise _host_has_ended() from error
        finally:
            forked.put(pid is not None)
            if pid is None:
                status.close()
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


def _read_pid(status: IO[bytes]) -> int | None:
    """Return the process id of the copy that migrates; None if the system refused the second of the two forks.

    Raises:
        OSError: the host has ended.
    """
    line = status.readline()
    if not line:
        raise _host_has_ended()
    return int(line) or None


def _host_has_ended() -> OSError:
    # Nothing may be started any more, spawned neither: the locks have ended with it.
    return OSError(errno.ESRCH, "the process that had booted the project has ended, and its locks with it")


class _ForkedChild:
    def __init__(self, pid: int, status: IO[bytes]) -> None:
        self._pid = pid
        self._status = status

    def send_signal(self, signum: int) -> None:
        if self._status.closed or not self._pid:  # it has ended
            return
        try:
            os.killpg(self._pid, signum)
        except ProcessLookupError:
            pass


def _read_code(status: IO[bytes]) -> int:
    with status:
        line = status.readline()
    return int(line) if line else KILLED
