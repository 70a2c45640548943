"""Whether a lock is still held: it is asked in a thread, so that what is silent holds up nobody else."""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

from ..sentences import one_line

if TYPE_CHECKING:
    from ..protocol import HeldState, LockCheckReply

SILENT_SECONDS = 15.0
"""After so long without an answer its connection counts as gone, and the lock as lost."""

RETAKE_SECONDS = 25.0
"""After so long what tries to take a lost lock again is given up; it gives up on its own before, if it can."""

END_SECONDS = 0.5
"""What a thread gets to end once its connection is ended."""


class LockWatch:
    """The answers about one lock, in their order: held, perhaps doubtful, held again or lost; lost is the last one."""

    def __init__(self, lock):
        """Watch a lock that is held."""
        self._lock = lock
        self._thread: threading.Thread | None = None
        self._has_ended = threading.Event()
        """Whether nothing asks, in whichever thread."""
        self._has_ended.set()
        self._asked_at = 0.0
        self._lost_at: float | None = None
        self._why_lost: str | None = None
        self._why_not_again: str | None = None
        self._is_abandoned = False
        self._regained = None
        """The contents before a lock was lost, and those when it was held again, until they are compared."""

    def begin(self, changed, replacements):
        """Return whether it is to be asked now, by `ask_in_turn`.

        changed: labels of migrations ("app.name") that steps of this run may have recorded or taken back.
        replacements: {label of a squashed migration: labels of those it replaces}.
        """
        if self._why_not_again is not None or self._thread is not None:
            return False
        if self._regained is not None:
            # Steps continued while the lock was gone. Only now is known of each record of theirs that was read then.
            before, now = self._regained
            self._regained = None
            self._why_not_again = find_difference(before, now, changed, replacements)
            return False
        self._lost_at = self._why_lost = None
        self._is_abandoned = False
        self._asked_at = time.monotonic()
        self._has_ended.clear()
        return True

    def be_asked_by(self, thread):
        """Know the thread that asks; None where it is this one."""
        self._thread = thread

    @property
    def is_lost(self):
        """Whether it is not held any more."""
        return self._why_not_again is not None

    @property
    def is_asked(self):
        """Whether a thread asks, or tries to take the lock again."""
        return not self._has_ended.is_set()

    def answer(self, deadline: float) -> LockCheckReply:
        """Return what is known of the lock then (time.monotonic), or before.

        state: "held", "unsure" while the server is silent or the lock is tried for again, "retaken" after that, once,
        and "lost". lost_at: seconds since the epoch; because: why it was lost. Both None but for the last two.
        """
        if self._thread is not None:
            self._has_ended.wait(max(0.0, deadline - time.monotonic()))
            self._give_up_if_late()
            if not self.is_asked:
                self._thread = None
        return {
            "state": self._state(),
            "lost_at": self._lost_at,
            "because": self._why_lost,
            "why_not_again": self._why_not_again,
        }

    def stop(self):
        """Ask no more; return whether the lock's connection is free: not every driver can be woken."""
        if self.is_asked:
            self._lock.give_up()
            self._has_ended.wait(END_SECONDS)
        return not self.is_asked

    def _state(self) -> HeldState:
        if self._why_not_again is not None:
            return "lost"
        if self._thread is not None or self._regained is not None:
            return "unsure"
        return "held" if self._why_lost is None else "retaken"

    def _give_up_if_late(self):
        """End what lasts too long: first the question, then the try to take the lock again."""
        waited = time.monotonic() - self._asked_at
        if not self.is_asked:
            return
        if waited >= SILENT_SECONDS + RETAKE_SECONDS:
            if self._why_lost is None:
                self._lost_at, self._why_lost = time.time(), self._describe_silence(SILENT_SECONDS)
            self._why_not_again = self._describe_silence(RETAKE_SECONDS)
            self.stop()
        elif waited >= SILENT_SECONDS and self._why_lost is None and not self._is_abandoned:
            self._is_abandoned = True
            self._lock.abandon()

    def _describe_silence(self, seconds):
        return "{} did not answer for {:.0f} s".format(self._lock.keeper, seconds)

    def find_loss(self, idle):
        """Ask; return why the lock is lost, None if it is not, or if it cannot be taken again."""
        reason = None
        try:
            reason = self._lock.ask(idle)
        except OSError as error:
            self._note_failure(error)
        finally:
            if reason is None:
                self.end()
        return reason

    def regain(self, reason):
        """Try to take the lock again, which is lost for this reason."""
        if self._is_abandoned:
            reason = self._describe_silence(SILENT_SECONDS)
        self._lost_at = time.time()
        self._why_lost = reason
        try:
            before = self._lock.contents
            why_not = self._lock.retake()
            if why_not is None:
                self._regained = before, self._lock.contents
            elif self._why_not_again is None:
                self._why_not_again = why_not
        except OSError as error:
            self._note_failure(error)
        finally:
            self.end()

    def _note_failure(self, error):
        """Take an error for the end of the lock: the folder of its files is gone, or the disk is full."""
        self._lost_at = self._lost_at or time.time()
        self._why_lost = self._why_lost or one_line(str(error))
        self._why_not_again = one_line(str(error))

    def end(self):
        """Be asked no longer."""
        try:
            if self._thread is not None and self.is_asked:
                self._lock.leave_thread()
        finally:
            self._has_ended.set()


def ask_in_turn(watches, idle):
    """Ask some locks in one thread; return it. None if they were asked here.

    One that is silent holds up those behind it: they are to be locks that would all be silent then.
    """
    thread = threading.Thread(target=_ask, args=(watches, idle), daemon=True)
    for watch in watches:
        watch.be_asked_by(thread)
    try:
        thread.start()
    except RuntimeError:  # this process may have no more threads: for once what is silent holds up the others
        for watch in watches:
            watch.be_asked_by(None)
        _ask(watches, idle)
        return None
    return thread


def _ask(watches, idle):
    """Ask all before any is tried to be taken again, which may last."""
    try:
        reasons = [watch.find_loss(idle) for watch in watches]
        for watch, reason in zip(watches, reasons):
            if reason is not None:
                watch.regain(reason)
    finally:  # whatever one of them has raised: the others are asked again with the next question
        for watch in watches:
            watch.end()


def find_difference(before, now, changed, replacements):
    """Return what another run has done to the records of a database; None if nothing.

    before, now: what a lock has read (`contents`), None where it could not. changed, replacements: as of
    `LockWatch.begin`. Django records what a squashed migration replaces together with it, and the squashed one with the
    next `migrate` once all of that is recorded (executor.py, check_replacements).
    """
    if before is None or now is None:
        return "what is recorded in django_migrations cannot be read, so it is unknown whether another run had it"
    was, is_now = (Counter("{}.{}".format(*row[:2]) for row in rows) for rows, _ in (before, now))
    own = {*changed}
    for squashed, replaced in replacements.items():
        if squashed in own:
            own.update(replaced)
        if all(is_now[label] for label in replaced):
            own.add(squashed)
    others = sorted(
        label
        for label in {*was, *is_now}
        if is_now[label] != was[label] and (label not in own or is_now[label] > max(1, was[label]))
    )
    if not others:
        return None
    return "another run has changed what is recorded of {}".format(", ".join(others[:3]))
