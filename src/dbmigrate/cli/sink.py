"""Output that holds nobody up: pipes and terminals are written to by a thread, since their reader may not read."""

from __future__ import annotations

import contextlib
import io
import os
import select
import stat
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from typing import BinaryIO

MOST_BYTES = 1 << 20
"""What waits for a reader in memory at most, and one write more."""

MOST_SPOOLED_BYTES = 256 << 20
"""What waits in addition in a file, for a reader that is slow: what runs must not wait for it."""

WRITE_BYTES = 4096
"""Of one write to the system: a pipe takes so much at once, and what was taken is known."""

FLUSH_SECONDS = 0.2
"""How long a flush waits, so that two streams that lead to one place stay in order; not for one that is stuck."""

SLICE_SECONDS = 0.2

END_SECONDS = 10.0
"""How long a reader may take nothing until it gets no more: it does not read. One that is slow gets everything."""

STOPPED_SECONDS = 0.5
"""The same after a signal, which leaves little time."""

STOPPED_IN_ALL_SECONDS = 3.0
"""How long a slow reader may take for all that is left after a signal."""


class Spool:
    """A queue of bytes in a file that has no name: it is gone with its process."""

    def __init__(self) -> None:
        """Hold nothing, and make no file for that."""
        self._file: BinaryIO | None = None
        self._began = 0
        self._ended = 0

    @property
    def size(self) -> int:
        """How many bytes are in it."""
        return self._ended - self._began

    def put(self, data: bytes) -> bool:
        """Add bytes; return False if they do not fit, or there is no room for such a file."""
        if self.size + len(data) > MOST_SPOOLED_BYTES:
            return False
        import tempfile  # few runs need it

        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - as long as the spool
            self._file.seek(self._ended)
            left = memoryview(data)
            while left:
                left = left[self._file.write(left) :]
        except OSError:
            return False
        self._ended += len(data)
        return True

    def take(self, count: int) -> bytes:
        """Return the first bytes, at most so many."""
        if self._file is None or not self.size:
            return b""
        self._file.seek(self._began)
        data = self._file.read(min(count, self.size))
        self._began += len(data)
        if not self.size:
            self._began = self._ended = self._file.truncate(0)
        return data

    def close(self) -> None:
        """Drop what is in it."""
        self._began = self._ended = 0
        if self._file is not None:
            self._file.close()
            self._file = None


class Sink(io.RawIOBase):
    """Takes bytes at once and passes them on to a descriptor in a thread.

    A reader that is slow gets everything, out of a file where memory does not hold it; one that does not read loses it.
    Writing raises what the system has said of an earlier write.
    """

    def __init__(self, name: str, stream: TextIO) -> None:
        """Pass on to the descriptor of a stream, which stays open; `name` is "stdout" or "stderr"."""
        self.name = name
        self.stream = stream
        self.is_patient = True
        """Whether a write waits for its reader where too much waits already; else it is dropped."""
        self.lost_bytes = 0
        """What was dropped."""
        self._descriptor = stream.fileno()
        self._changed = threading.Condition()
        self._waiting = bytearray()
        self._spool = Spool()
        self._untold_bytes = 0
        self._error: OSError | None = None
        self._taken_at = time.monotonic()
        self._is_behind = False
        self._is_over = False
        self._thread: threading.Thread | None = None

    def writable(self) -> bool:
        """Return that it is."""
        return True

    def fileno(self) -> int:
        """Return the descriptor it passes on to."""
        return self._descriptor

    def isatty(self) -> bool:
        """Return whether that is a terminal."""
        return os.isatty(self._descriptor)

    def write(self, chunk: bytes | bytearray | memoryview) -> int:  # type: ignore[override]
        """Take bytes; wait for the reader only where it is patient and has much to do already."""
        data = bytes(chunk)
        with self._changed:
            while self.is_patient and self._is_full and self._error is None:
                self._changed.wait(SLICE_SECONDS)
            self._raise_error()
            missing = f"\n({self._untold_bytes} bytes of output are missing here: the reader did not keep up)\n"
            if self._is_over or not self._keep(missing.encode() + data if self._untold_bytes else data):
                self.lost_bytes += len(data)
                self._untold_bytes += len(data)
                return len(data)
            self._untold_bytes = 0
            self._begin()
            self._changed.notify_all()
        return len(data)

    @property
    def _is_full(self) -> bool:
        return len(self._waiting) >= MOST_BYTES or self._spool.size > 0

    def _keep(self, data: bytes) -> bool:
        """Let bytes wait for the reader; return False if it does not read, or is too far behind."""
        if self._is_full:
            return time.monotonic() - self._taken_at < END_SECONDS and self._spool.put(data)
        if not self._waiting:
            self._taken_at = time.monotonic()
        self._waiting += data
        return True

    def flush(self) -> None:
        """Wait a moment until everything was passed on; a reader that is behind is waited for once."""
        if self._is_over:
            return
        with self._changed:
            if not self._is_behind:
                self._is_behind = not self._changed.wait_for(self._is_idle, FLUSH_SECONDS)
            self._raise_error()

    def finish(self, seconds: float | None, seconds_in_all: float | None = None) -> int:
        """Wait until everything was passed on; return how many bytes were dropped.

        `seconds`: of silence the reader is given; `seconds_in_all`: in all. None waits for ever.
        """
        began_at = time.monotonic()
        with self._changed:
            while not self._is_idle():
                now = time.monotonic()
                is_unread = seconds is not None and now - self._taken_at >= seconds
                if is_unread or (seconds_in_all is not None and now - began_at >= seconds_in_all):
                    self.lost_bytes += len(self._waiting) + self._spool.size
                    break
                self._changed.wait(SLICE_SECONDS)
            self._is_over = True
            self._spool.close()
        return self.lost_bytes

    @property
    def is_unread(self) -> bool:
        """Whether something waits for the reader."""
        return not self._is_idle()

    def _is_idle(self) -> bool:
        return not self._waiting or self._error is not None

    def _raise_error(self) -> None:
        if self._error is not None:
            raise OSError(self._error.errno, self._error.strerror) from self._error

    def _begin(self) -> None:
        if self._thread is not None:
            return
        self._thread = threading.Thread(target=self._pass_on, name=f"dbmigrate {self.name}", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # the system gives no thread
            self._thread = None
            self._write_all()

    def _write_all(self) -> None:
        while self._waiting:
            del self._waiting[: os.write(self._descriptor, self._waiting)]

    def _pass_on(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting)
                chunk = bytes(self._waiting[:WRITE_BYTES])
            try:
                count = self._write_some(chunk)
                with self._changed:
                    del self._waiting[:count]
                    if len(self._waiting) < MOST_BYTES // 2:
                        self._waiting += self._spool.take(MOST_BYTES // 2)
                    self._taken_at = time.monotonic()
                    self._is_behind = self._is_behind and bool(self._waiting)
                    self._changed.notify_all()
            except OSError as error:
                with self._changed:
                    self._error = error
                    self._changed.notify_all()
                return

    def _write_some(self, chunk: bytes) -> int:
        """Write to the system, and wait for as long as it takes; only this thread does."""
        while True:
            try:
                return os.write(self._descriptor, chunk)
            except BlockingIOError:  # whoever shares the descriptor does not want to wait
                select.select([], [self._descriptor], [], SLICE_SECONDS)


def take_streams() -> None:
    """Put sinks in the place of stdout and stderr where they lead to somebody who may not read."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if _may_be_stuck(stream):
            stream.flush()
            sink = Sink(name, stream)
            wrapped = io.TextIOWrapper(
                sink, encoding=stream.encoding, errors=stream.errors, newline="", write_through=True
            )
            setattr(sys, name, wrapped)


def sinks() -> Sequence[Sink]:
    """Return those that stand for stdout and stderr."""
    buffers = [getattr(stream, "buffer", None) for stream in (sys.stdout, sys.stderr)]
    return [buffer for buffer in buffers if isinstance(buffer, Sink)]


@contextmanager
def impatient() -> Iterator[None]:
    """While the block runs no write waits for a reader."""
    for sink in sinks():
        sink.is_patient = False
    try:
        yield
    finally:
        for sink in sinks():
            sink.is_patient = True


def is_unread() -> bool:
    """Return whether something was written that nobody has taken yet."""
    return any(sink.is_unread for sink in sinks())


def finish_streams(seconds: float | None, seconds_in_all: float | None = None) -> None:
    """Wait for the readers, say on stderr what was dropped, and give the streams back.

    `seconds`: for which a reader may take nothing; `seconds_in_all`: for which it may continue. None waits for ever.
    """
    for sink in sinks():  # stdout comes first
        lost = sink.finish(seconds, seconds_in_all)
        if lost:
            said = f"warning: {lost} bytes of output were not written to {sink.name}: its reader does not keep up\n"
            with impatient(), contextlib.suppress(OSError):
                sys.stderr.write(said)
        setattr(sys, sink.name, sink.stream)


def _may_be_stuck(stream: TextIO) -> bool:
    """Return whether a stream leads to a pipe, a socket or a terminal."""
    try:
        mode = os.fstat(stream.fileno()).st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or stream.isatty()
