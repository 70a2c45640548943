"""Which records of a database another run has made while a lock was lost."""

# mypy: allow-untyped-calls

from __future__ import annotations

import threading
import time

import pytest

from dbmigrate.inside.locks.lock_watch import LockWatch, ask_in_turn, find_difference

FIRST, SECOND, SQUASHED = ("blog", "0001_initial"), ("blog", "0002_x"), ("blog", "0001_squashed_0002_x")
REPLACEMENTS = {"blog.0001_squashed_0002_x": ["blog.0001_initial", "blog.0002_x"]}
Records = list[tuple[str, str]]


@pytest.mark.parametrize(
    ("before", "now", "changed", "differs"),
    [
        ([FIRST], [FIRST], [], False),
        ([FIRST], [FIRST, SECOND], ["blog.0002_x"], False),
        ([FIRST], [FIRST, SECOND], [], True),
        ([FIRST], [FIRST, FIRST], ["blog.0001_initial"], True),
        ([FIRST, SECOND], [FIRST], ["blog.0002_x"], False),
        ([], [FIRST, SECOND, SQUASHED], ["blog.0001_squashed_0002_x"], False),
        ([FIRST, SECOND], [FIRST, SECOND, SQUASHED], [], False),
        ([FIRST], [FIRST, SQUASHED], [], True),
    ],
    ids=["same", "own", "foreign", "own-twice", "undone", "squashed", "squashed-before", "squashed-by-another"],
)
def test_what_is_not_of_this_run_differs(before: Records, now: Records, changed: list[str], differs: bool) -> None:
    assert (find_difference((before, []), (now, []), changed, REPLACEMENTS) is not None) is differs


class Regained:
    """A lock that was lost, and is held again by the time it is asked."""

    keeper = "its file system"

    def __init__(self) -> None:
        self.contents: tuple[Records, list[str]] = ([], [])

    def ask(self, idle: float) -> str:
        """Return why it is not held."""
        return "the server has released it"

    def retake(self) -> None:
        """Hold it; a step of the run has recorded something meanwhile."""
        self.contents = ([FIRST], [])

    def leave_thread(self) -> None:
        """Have nothing open there."""


def test_a_record_that_was_announced_after_the_question_is_the_runs_own() -> None:
    watch = LockWatch(Regained())

    assert watch.begin([], {})
    ask_in_turn([watch], 45)
    first = watch.answer(time.monotonic() + 60)
    assert not watch.begin(["blog.0001_initial"], {})
    second = watch.answer(0.0)

    assert (first["state"], second["state"]) == ("unsure", "retaken")


class Hung:
    """A lock file on a file system that does not answer until it is thawed."""

    keeper = "its file system"

    def __init__(self) -> None:
        self.thawed = threading.Event()

    def ask(self, idle: float) -> None:
        """Return that it is held, once the file system answers."""
        assert self.thawed.wait(20)

    def leave_thread(self) -> None:
        """Have nothing open there."""


def test_a_file_system_that_hangs_holds_up_no_other_question() -> None:
    lock = Hung()
    watch = LockWatch(lock)

    watch.begin([], {})
    ask_in_turn([watch], 45)
    hung = watch.answer(0.0)
    lock.thawed.set()
    thawed = watch.answer(time.monotonic() + 60)

    assert (hung["state"], thawed["state"]) == ("unsure", "held")


class Lost(Hung):
    """A lock file that was deleted, and can be taken again once its file system is thawed."""

    def __init__(self) -> None:
        super().__init__()
        self.contents: tuple[Records, list[str]] = ([], [])

    def ask(self, idle: float) -> str:  # type: ignore[override]
        """Return why it is not held."""
        return "its lock file was deleted"

    def retake(self) -> None:
        """Hold it, once the file system answers."""
        assert self.thawed.wait(20)


def test_a_lost_lock_holds_up_no_answer_about_those_that_are_asked_with_it() -> None:
    lost, held = Lost(), Hung()
    held.thawed.set()
    watches = [LockWatch(lost), LockWatch(held)]
    began = [watch.begin([], {}) for watch in watches]

    thread = ask_in_turn(watches, 45)
    states = [watches[1].answer(time.monotonic() + 60)["state"], watches[0].answer(0.0)["state"]]
    lost.thawed.set()
    thread.join(60)

    assert began == [True, True]
    assert states == ["held", "unsure"]
    assert [watch.is_asked for watch in watches] == [False, False]
