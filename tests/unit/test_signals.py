"""Signals that another thread than the main one took: the system may give them to any."""

from __future__ import annotations

import signal
import threading
from queue import SimpleQueue

import pytest

from dbmigrate.cli.signals import hold_back, listen
from dbmigrate.running.process import ChildMessage, StopRequested


def take(signum: int) -> None:
    """Let a thread that is not the main one take a signal."""
    thread = threading.Thread(target=lambda: signal.pthread_kill(threading.get_ident(), signum))
    thread.start()
    thread.join()


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_heard_while_the_main_thread_waits_for_the_queue(signum: int) -> None:
    outbox: SimpleQueue[ChildMessage] = SimpleQueue()
    under_a_shell = signal.signal(signum, signal.default_int_handler)  # where a shell's `&` has it ignored
    before = signal.getsignal(signum)

    with listen(outbox):
        later = threading.Timer(0.1, take, (signum,))
        later.start()
        heard = outbox.get(timeout=20)
        later.join()

    assert heard == StopRequested(signum)
    assert signal.getsignal(signum) is before
    signal.signal(signum, under_a_shell)


def test_a_signal_that_is_held_back_comes_after_the_block() -> None:
    reached = False
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # under a shell's `&` it is ignored

    with pytest.raises(KeyboardInterrupt), hold_back():
        take(signal.SIGINT)
        reached = True

    signal.signal(signal.SIGINT, before)
    assert reached
