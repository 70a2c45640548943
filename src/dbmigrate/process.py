"""Start children and report what they print and how they end, through one queue."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Literal, Protocol, Union

MAX_LINE_LENGTH = 4000
"""Characters of one line that are kept; the rest is dropped and said so."""

DRAIN_SECONDS = 1.0
"""How long the pipes of a finished child are still read: a grandchild that inherited them may hold them open."""

CHUNK_BYTES = 65536

CONNECT_SECONDS = "10"
"""libpq waits for ever by default: for a host that drops packets that is the life of the container."""


def child_environment(base: Mapping[str, str], *, settings: str | None) -> dict[str, str]:
    """Return the environment of everything that runs in the target's interpreter."""
    environment = {"PGCONNECT_TIMEOUT": CONNECT_SECONDS, **base}
    # A piped manage.py would show nothing until it ends.
    environment["PYTHONUNBUFFERED"] = "1"
    if settings is not None:
        environment["DJANGO_SETTINGS_MODULE"] = settings
    return environment


@dataclass(frozen=True)
class ChildRequest:
    """What to start: argv as lists, never a shell line."""

    key: str
    """Names the child in every message about it."""
    argv: tuple[str, ...]
    cwd: Path
    environment: Mapping[str, str]
    first_line: str | None = None
    """Written to its stdin, which is then closed; None gives it an empty stdin."""
    shown_as: tuple[str, ...] | None = None
    """What it amounts to, for people, where that is not `argv`."""

    @property
    def command(self) -> tuple[str, ...]:
        """What a person would type to do the same."""
        return self.shown_as if self.shown_as is not None else self.argv


@dataclass(frozen=True)
class ChildOutput:
    """Text of one line; an unfinished one is reported too, and again when it grew."""

    key: str
    stream: Literal["stdout", "stderr"]
    text: str
    is_complete: bool


@dataclass(frozen=True)
class ChildEnded:
    """The child has ended and its pipes were read; comes once, after all of its output."""

    key: str
    returncode: int


@dataclass(frozen=True)
class StopRequested:
    """A signal came to this process; not about one child."""

    signum: int


ChildMessage = Union[ChildOutput, ChildEnded, StopRequested]


class RunningChild(Protocol):
    """A child that was started."""

    def send_signal(self, signum: int) -> None:
        """Send a signal to the child and everything it started; harmless when it has ended."""


class Launcher(Protocol):
    """Starts children."""

    def start(self, request: ChildRequest, outbox: SimpleQueue[ChildMessage]) -> RunningChild:
        """Start a child whose messages go to the outbox from now on, ChildEnded last.

        Raises:
            OSError: it could not be started; nothing was put on the outbox.
        """


class SpawnLauncher:
    """Starts each child as a fresh process in a session of its own."""

    def start(self, request: ChildRequest, outbox: SimpleQueue[ChildMessage]) -> RunningChild:
        """Start the process, with two threads that read its pipes and one that waits for it."""
        process = subprocess.Popen(
            request.argv,
            cwd=request.cwd,
            env=dict(request.environment),
            stdin=subprocess.DEVNULL if request.first_line is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # Its own session: ^C on the terminal reaches dbmigrate alone, which decides what the children hear of it.
            start_new_session=True,
        )
        if request.first_line is not None:
            assert process.stdin is not None
            _write_first_line(process.stdin, request.first_line)
        threading.Thread(target=_watch, args=(process, request.key, outbox), daemon=True).start()
        return _SpawnedChild(process)


class _SpawnedChild:
    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def send_signal(self, signum: int) -> None:
        if self._process.returncode is not None:
            return
        try:
            os.killpg(self._process.pid, signum)
        except ProcessLookupError:
            pass


def _write_first_line(stdin: IO[bytes], line: str) -> None:
    try:
        with stdin:
            stdin.write(line.encode() + b"\n")
    except BrokenPipeError:
        pass  # it ended before it read; its exit status tells


def _watch(process: subprocess.Popen[bytes], key: str, outbox: SimpleQueue[ChildMessage]) -> None:
    assert process.stdout is not None
    assert process.stderr is not None
    gate = _Gate(outbox)
    readers = [
        threading.Thread(target=_read, args=(process.stdout, key, "stdout", gate), daemon=True),
        threading.Thread(target=_read, args=(process.stderr, key, "stderr", gate), daemon=True),
    ]
    for reader in readers:
        reader.start()
    returncode = process.wait()
    for reader in readers:
        reader.join(DRAIN_SECONDS)
    gate.close_with(ChildEnded(key=key, returncode=returncode))


class _Gate:
    """Lets messages through until the child is reported as ended: a late grandchild says nothing after that."""

    def __init__(self, outbox: SimpleQueue[ChildMessage]) -> None:
        self._outbox = outbox
        self._lock = threading.Lock()
        self._is_open = True

    def put(self, message: ChildMessage) -> None:
        with self._lock:
            if self._is_open:
                self._outbox.put(message)

    def close_with(self, message: ChildMessage) -> None:
        with self._lock:
            self._is_open = False
            self._outbox.put(message)


def _read(pipe: IO[bytes], key: str, stream: Literal["stdout", "stderr"], gate: _Gate) -> None:
    rest = b""
    with pipe:
        while True:
            try:
                chunk = os.read(pipe.fileno(), CHUNK_BYTES)
            except OSError:
                break
            if not chunk:
                break
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                gate.put(ChildOutput(key=key, stream=stream, text=_decode(line), is_complete=True))
            if rest:
                rest = rest[: MAX_LINE_LENGTH * 4]  # a line without an end must not grow for ever
                gate.put(ChildOutput(key=key, stream=stream, text=_decode(rest), is_complete=False))
    if rest:
        gate.put(ChildOutput(key=key, stream=stream, text=_decode(rest), is_complete=True))


def _decode(line: bytes) -> str:
    text = line.decode("utf-8", errors="replace").rstrip("\r")
    # A progress bar rewrites its line with carriage returns; what stands there last is what counts.
    text = text.rsplit("\r", 1)[-1]
    if len(text) <= MAX_LINE_LENGTH:
        return text
    return f"{text[:MAX_LINE_LENGTH]} … ({len(text) - MAX_LINE_LENGTH} more characters)"
