"""SIGINT, SIGTERM and SIGHUP: an exception while nothing is migrated, a message to the runner while something is."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

from dbmigrate.cli.sink import is_unread
from dbmigrate.errors import ExitCode, ProjectError
from dbmigrate.running.stopping import Stops
from dbmigrate.system import MORE_PROCESSES, start_thread

if TYPE_CHECKING:
    from queue import SimpleQueue
    from types import FrameType

    from dbmigrate.running.process import ChildMessage

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class Terminated(BaseException):
    """SIGTERM or SIGHUP came while nothing was being migrated."""


def end_on_signals() -> None:
    """Let signals unwind the stack, so that the host is ended and the exit code says why.

    SIGINT too: under a shell's `&` it is inherited as ignored, and children would inherit that from here. A SIGHUP that
    is ignored (nohup) stays so. Process 1 of a container has no default actions, so each needs its handler.
    """

    def raise_terminated(signum: int, frame: FrameType | None) -> NoReturn:
        raise Terminated(signal.Signals(signum).name)

    signal.signal(signal.SIGINT, signal.default_int_handler)
    for signum in SIGNALS[1:]:
        if signal.getsignal(signum) is not signal.SIG_IGN:
            signal.signal(signum, raise_terminated)


def leave_on_signals(code: int, *, is_work: bool = True) -> None:
    """Let a signal end this process at once: all that is to be said was said.

    The exit code is the one that is decided; of an answer (`is_work` is False) that nobody has read it is the signal's.
    """

    def leave(signum: int, frame: FrameType | None) -> NoReturn:
        os._exit(code if is_work or not is_unread() else ExitCode.of_signal(signum))

    for signum in _heard():
        signal.signal(signum, leave)


@contextmanager
def listen(outbox: SimpleQueue[ChildMessage], grace: float | None = None) -> Iterator[Stops]:
    """Let signals put StopRequested on the queue while the block runs; what it is given has heard them too.

    Through a pipe and a thread, not from a Python handler: that one runs between two instructions of the main thread,
    and a signal in the moment before the thread begins to wait for the queue would be heard with the next message
    only, which a migration that prints nothing may never send.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    before_fd = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    before = {signum: signal.signal(signum, _ignore) for signum in _heard()}
    stops = Stops(time.monotonic, grace)
    reader = threading.Thread(target=_pass_on, args=(reading, outbox, stops), daemon=True)
    try:
        start_thread(reader)
    except OSError as error:
        raise ProjectError(f"dbmigrate cannot start: {error.strerror}", hint=MORE_PROCESSES, changed=False) from error
    try:
        yield stops
    finally:
        for signum, handler in before.items():
            if signal.getsignal(signum) is _ignore:  # and not what `leave_on_signals` has put there meanwhile
                signal.signal(signum, handler)
        signal.set_wakeup_fd(before_fd)
        os.close(writing)
        reader.join()
        os.close(reading)


def _heard() -> list[int]:
    return [signum for signum in SIGNALS if signal.getsignal(signum) is not signal.SIG_IGN]


def _ignore(signum: int, frame: FrameType | None) -> None:
    """Do nothing, unlike SIG_IGN, which children would inherit."""


def _pass_on(reading: int, outbox: SimpleQueue[ChildMessage], stops: Stops) -> None:
    from dbmigrate.running.process import StopRequested

    while signums := os.read(reading, 64):
        for signum in signums:
            if signum in SIGNALS:
                stops.note(signum)
                outbox.put(StopRequested(signum))


@contextmanager
def hold_back() -> Iterator[None]:
    """Let signals wait while the block imports: there are places in an import where an exception is swallowed.

    Not with pthread_sigmask: another thread of this process would take the signal, and the main thread raise all the
    same.
    """
    held: list[int] = []
    before = {signum: signal.signal(signum, lambda signum, frame: held.append(signum)) for signum in _heard()}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
    for taken in held:
        signal.raise_signal(taken)
