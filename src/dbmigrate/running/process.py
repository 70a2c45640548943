"""Start children and report what they print and how they end, through one queue."""

from __future__ import annotations

import os
import selectors
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Literal, Protocol, Union

from dbmigrate.system import CHUNK_BYTES, start_thread

MAX_LINE_LENGTH = 65536
"""Bytes of one line that are kept: a key in it must be whole to be found; what has been read must fit into memory."""

DRAIN_SECONDS = 1.0
"""How long the pipes of a finished child are still read: a grandchild that inherited them may hold them open."""


MOST_WAITING = 200
"""Messages on the outbox above which children are read no further: memory must not grow with what they print, and a
signal is heard behind them."""

USUAL_LENGTH = 4000
"""Characters of a line above which fewer messages may wait."""

LEFT_BYTES = 4 * CHUNK_BYTES
"""What is read at most of a finished child's pipes; they hold 64 kB each."""

TAKEN_SECONDS = 0.005
"""Between two looks whether messages were taken from the outbox."""

TOLD_VARIABLE = "_DBMIGRATE_TELL"
"""The descriptor on which a step writes for dbmigrate (inside/steps/retelling.py)."""

CONNECT_SECONDS = "10"
"""libpq waits for ever by default: for a host that drops packets that is the life of the container."""


def child_environment(base: Mapping[str, str], *, settings: str | None) -> dict[str, str]:
    """Return the environment of everything that runs in the target's interpreter."""
    environment = {"PGCONNECT_TIMEOUT": CONNECT_SECONDS, **base}
    # A piped manage.py would show nothing until it ends.
    environment["PYTHONUNBUFFERED"] = "1"
    # Its pipes are read as UTF-8, and no character of a name may end a migration.
    environment["PYTHONIOENCODING"] = "utf-8:backslashreplace"
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
    marks: Mapping[str, str] = field(default_factory=dict)
    """Variables of its environment that the process which has the locks knows as well."""
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
class ChildTold:
    """A line that a step wrote for dbmigrate, and not for a person."""

    key: str
    text: str


ExitCode = Union[int, Literal["unsaid"]]
"""How a child ended, negative: by that signal; "unsaid" if its parent has to be asked (RunningChild.find_code)."""


@dataclass(frozen=True)
class ChildEnded:
    """The child has ended and its pipes were read; comes once, after all of its output."""

    key: str
    code: ExitCode


@dataclass(frozen=True)
class StopRequested:
    """A signal came to this process; not about one child."""

    signum: int


ChildMessage = Union[ChildOutput, ChildTold, ChildEnded, StopRequested]


class RunningChild(Protocol):
    """A child that was started."""

    def send_signal(self, signum: int) -> None:
        """Send a signal to the child and everything it started; harmless when it has ended."""

    def find_code(self) -> int:
        """Return the exit code of a child that has ended "unsaid", once."""


class Launcher(Protocol):
    """Starts children."""

    def warm_up(self) -> None:
        """Do what the first child would otherwise wait for.

        Raises:
            UsageError: children cannot be started in the way that was asked for.
        """

    def start(self, request: ChildRequest, outbox: SimpleQueue[ChildMessage]) -> RunningChild:
        """Start a child whose messages go to the outbox from now on, ChildEnded last.

        Raises:
            OSError: it could not be started; nothing was put on the outbox.
        """


class SpawnLauncher:
    """Starts each child as a fresh process in a session of its own."""

    def warm_up(self) -> None:
        """Do nothing: a fresh process has nothing before its start."""

    def start(self, request: ChildRequest, outbox: SimpleQueue[ChildMessage]) -> RunningChild:
        """Start the process, with a thread that reads its pipes and one that waits for it."""
        reading, writing = os.pipe()
        told = os.fdopen(reading, "rb")
        try:
            process = subprocess.Popen(
                request.argv,
                cwd=request.cwd,
                env={**request.environment, **request.marks, TOLD_VARIABLE: str(writing)},
                pass_fds=[writing],
                stdin=subprocess.DEVNULL if request.first_line is None else subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                # Its own session: ^C on the terminal reaches dbmigrate alone, which decides what the children hear.
                start_new_session=True,
            )
        except OSError:
            told.close()
            raise
        finally:
            os.close(writing)
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            watch((process.stdout, process.stderr, told), request.key, process.wait, outbox)
        except OSError:
            process.kill()  # one that waits for its first line has done nothing yet
            process.wait()
            raise
        if request.first_line is not None:
            assert process.stdin is not None
            _write_first_line(process.stdin, request.first_line)
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

    def find_code(self) -> int:
        return self._process.wait()


def _write_first_line(stdin: IO[bytes], line: str) -> None:
    try:
        with stdin:
            stdin.write(line.encode() + b"\n")
    except BrokenPipeError:
        pass  # it ended before it read; its exit status tells


Streams = tuple[IO[bytes], IO[bytes], IO[bytes]]
"""Stdout, stderr, and what a step writes for dbmigrate."""


def watch(streams: Streams, key: str, wait: Callable[[], ExitCode | None], outbox: SimpleQueue[ChildMessage]) -> None:
    """Report what comes on a child's streams, and its end when `wait` returns its code; None is no child.

    Raises:
        OSError: the system gives no thread or no file for it; nothing is reported.
    """
    gate = _Gate(outbox)
    # Made here, not in the thread: it takes one more file, and where there is none left nothing must have begun.
    selector = selectors.DefaultSelector()
    reader = threading.Thread(target=_read, args=(selector, streams, key, gate), daemon=True)

    def wait_for_end() -> None:
        code: ExitCode | None = "unsaid"
        try:
            code = wait()
        finally:  # also after a bug: a run that never hears of an end never ends
            if code is not None:
                _drain(reader, gate)
                gate.close_with(ChildEnded(key=key, code=code))

    try:
        start_thread(reader)
        start_thread(threading.Thread(target=wait_for_end, daemon=True))
    except OSError:
        gate.close()
        if not reader.is_alive():
            selector.close()
        raise


def _drain(reader: threading.Thread, gate: _Gate) -> None:
    """Wait until a finished child's pipes are read, or nothing has come for a while.

    A grandchild that inherited them may hold them open; if it continues writing, no more is read than the pipes held.
    """
    gate.left = LEFT_BYTES
    idle = 0.0
    while reader.is_alive() and idle < DRAIN_SECONDS:
        reader.join(DRAIN_SECONDS / 10)
        idle = 0.0 if gate.is_busy else idle + DRAIN_SECONDS / 10


def read_while_running(process: subprocess.Popen[bytes], pipe: IO[bytes]) -> Iterator[bytes]:
    """Yield what a child writes, as it comes, and what is left in its pipe when it has ended; b"" where it is silent.

    A grandchild that inherited the pipe may hold it open; that delays us by at most DRAIN_SECONDS.
    """
    deadline = None
    left = LEFT_BYTES
    with selectors.DefaultSelector() as selector, _ending(process):
        selector.register(pipe, selectors.EVENT_READ)
        while left > 0:
            if deadline is None and process.poll() is not None:
                deadline = time.monotonic() + DRAIN_SECONDS
            if selector.select(DRAIN_SECONDS / 10):
                chunk = os.read(pipe.fileno(), CHUNK_BYTES)
                if not chunk:
                    return
                left -= len(chunk) if deadline is not None else 0
                yield chunk
            elif deadline is not None and time.monotonic() >= deadline:
                return
            else:
                yield b""


@contextmanager
def _ending(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """End the child where a signal ends the block: whoever started it waits for its end.

    Not for ^C, which a child on our terminal gets itself, and may have something to say about.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise
    except BaseException:
        if process.poll() is None:
            process.terminate()
        raise


class _Gate:
    """Lets messages through until the child is reported as ended: a late grandchild says nothing after that."""

    def __init__(self, outbox: SimpleQueue[ChildMessage]) -> None:
        self._outbox = outbox
        self._lock = threading.Lock()
        self._is_open = True
        self.is_busy = False
        """Whether something was read and is not all reported yet."""
        self.left: int | None = None
        """Bytes that are still read; None is no limit."""

    def put(self, message: ChildMessage) -> None:
        # Not a queue with a limit: a signal must get on it at any time. Meanwhile the child waits for its full pipe.
        size = len(message.text) if isinstance(message, ChildOutput) else 0
        most = MOST_WAITING if size <= USUAL_LENGTH else MOST_WAITING * USUAL_LENGTH // size
        while self._outbox.qsize() >= most and self._is_open:
            time.sleep(TAKEN_SECONDS)
        with self._lock:
            if self._is_open:
                self._outbox.put(message)

    def close_with(self, message: ChildMessage) -> None:
        with self._lock:
            self._is_open = False
            self._outbox.put(message)

    def close(self) -> None:
        with self._lock:
            self._is_open = False


def _read(selector: selectors.BaseSelector, streams: Streams, key: str, gate: _Gate) -> None:
    """Read the pipes to their ends.

    Where both have something, stdout comes first: Django says "Applying x..." there, and the traceback that follows on
    stderr must not be told before it.
    """
    out, err, told = (_Lines(key, stream, gate) for stream in ("stdout", "stderr", "told"))
    with selector, streams[0], streams[1], streams[2]:
        for stream, lines in zip(streams, (out, err, told), strict=True):
            selector.register(stream, selectors.EVENT_READ, lines)
        while selector.get_map():
            ready = {id(chosen.data): chosen for chosen, _ in selector.select()}
            for lines in (out, err, told):
                chosen = ready.get(id(lines))
                if chosen is None:
                    continue
                gate.is_busy = True
                chunk = os.read(chosen.fd, CHUNK_BYTES)
                lines.take(chunk)
                gate.is_busy = False
                if not chunk:
                    selector.unregister(chosen.fileobj)
                if gate.left is not None:
                    gate.left -= len(chunk)
                    if gate.left <= 0:
                        return


class _Lines:
    """Cuts what comes on one stream into lines."""

    def __init__(self, key: str, stream: Literal["stdout", "stderr", "told"], gate: _Gate) -> None:
        self._key = key
        self._stream = stream
        self._gate = gate
        self._rest = b""

    def take(self, chunk: bytes) -> None:
        """Report the lines that a chunk ends, and what it begins; an empty one ends the stream."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            self._put(line, is_complete=True)
        if self._rest:
            self._rest = self._rest[:MAX_LINE_LENGTH]  # a line without an end must not grow for ever
            self._put(self._rest, is_complete=not chunk)

    def _put(self, line: bytes, *, is_complete: bool) -> None:
        if self._stream == "told":
            if is_complete:
                self._gate.put(ChildTold(key=self._key, text=line.decode("utf-8", errors="replace")))
            return
        self._gate.put(ChildOutput(key=self._key, stream=self._stream, text=_decode(line), is_complete=is_complete))


def _decode(line: bytes) -> str:
    text = line[:MAX_LINE_LENGTH].decode("utf-8", errors="replace").rstrip("\r")
    # A progress bar rewrites its line with carriage returns; what stands there last is what counts.
    return text.rsplit("\r", 1)[-1]
