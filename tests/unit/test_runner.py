"""The order, the failure policy and the stopping of a run, with children that follow a script."""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from queue import SimpleQueue

import pytest
from support.children import FakeLauncher, Script

from dbmigrate.models.events import (
    Event,
    LockLost,
    MakeFinished,
    StepFinished,
    StepProgress,
    StepSkipped,
    StepStarted,
    Stopping,
)
from dbmigrate.models.migrations import MigrationId
from dbmigrate.models.plan import MakeMigrations, MigrationPlan, PlannedMigration, Step
from dbmigrate.models.selection import Selection
from dbmigrate.models.servers import LockCheck
from dbmigrate.project.heartbeat import Heartbeat
from dbmigrate.redact import Redactor
from dbmigrate.renderers.scrubbing import scrubbed
from dbmigrate.running.process import ChildMessage, ChildOutput, ChildRequest
from dbmigrate.running.runner import Children, Retry, run_makemigrations, run_steps


def step(key: str, *, after: tuple[str, ...] = (), needs: tuple[str, ...] = (), migrations: int = 0) -> Step:
    return Step(
        id=key,
        alias=key.split(":")[0],
        app=None,
        to=None,
        arguments=("migrate", f"--database={key}"),
        migrations=tuple(PlannedMigration(id=f"app.000{number}", does=True) for number in range(1, migrations + 1)),
        reason="pending",
        because=(),
        after=after,
        needs=needs,
        scope=None,
    )


def plan(*steps: Step) -> MigrationPlan:
    return MigrationPlan(selection=Selection(), make=None, databases=(), steps=steps, constance=None)


def children(launcher: FakeLauncher) -> Children:
    outbox: SimpleQueue[ChildMessage] = SimpleQueue()

    def request(work: Step | MakeMigrations) -> ChildRequest:
        key = work.id if isinstance(work, Step) else "makemigrations"
        return ChildRequest(key, ("python", "manage.py", *work.arguments), Path("/srv"), {})

    ticks = iter(range(10_000))
    return Children(launcher, outbox, request, clock=lambda: float(next(ticks)))


def run(launcher: FakeLauncher, planned: MigrationPlan, *, keep_going: bool = False, jobs: int = 4) -> list[Event]:
    return list(run_steps(planned, children(launcher), keep_going=keep_going, jobs=jobs))


def statuses(events: list[Event]) -> dict[str, str]:
    return {event.result.id: event.result.status for event in events if isinstance(event, StepFinished | StepSkipped)}


CHAIN = (step("default"), step("blog", after=("default",)), step("shop", after=("blog",), needs=("blog",)))


def test_a_step_starts_after_the_ones_it_waits_for() -> None:
    launcher = FakeLauncher()

    events = run(launcher, plan(*CHAIN))

    assert launcher.started == ["default", "blog", "shop"]
    assert statuses(events) == {"default": "ok", "blog": "ok", "shop": "ok"}


@pytest.mark.parametrize("doubts", [1, 3])
def test_a_step_starts_once_the_lock_is_known_to_be_held_after_a_doubt(doubts: int) -> None:
    launcher = FakeLauncher()
    states = iter(["unsure"] * doubts)

    def ask(changed: Mapping[str, Sequence[MigrationId]], idle: float) -> Answered:
        return Answered(next(states, "held"))

    shop = children(launcher)
    heartbeat = Heartbeat(["default", "blog"], ask, clock=shop.clock, now=lambda: datetime.now(timezone.utc))
    events = list(run_steps(plan(*CHAIN), replace(shop, heartbeat=heartbeat), keep_going=False, jobs=1))

    assert statuses(events) == {"default": "ok", "blog": "ok", "shop": "ok"}
    assert list(states) == []


def test_a_lock_in_doubt_when_a_stopped_run_has_ended_counts_as_lost() -> None:
    launcher = FakeLauncher({"default": Script(then_stop=(signal.SIGTERM,))})

    def ask(changed: Mapping[str, Sequence[MigrationId]], idle: float) -> Answered:
        return Answered("unsure" if launcher.started else "held")

    shop = children(launcher)
    heartbeat = Heartbeat(["default", "blog"], ask, clock=shop.clock, now=lambda: datetime.now(timezone.utc))
    events = list(run_steps(plan(step("default")), replace(shop, heartbeat=heartbeat), keep_going=False, jobs=1))

    assert statuses(events) == {"default": "ok"}
    assert isinstance(events[-1], LockLost)
    assert [(lost.alias, lost.is_retaken) for lost in heartbeat.all_lost] == [("blog", False), ("default", False)]


@pytest.mark.parametrize(("busy_seconds", "gone_at"), [(0, 15), (20, 35), (600, 59)])
def test_a_process_that_is_busy_with_a_question_that_was_given_up_is_gone_later(
    busy_seconds: int, gone_at: int
) -> None:
    seconds = 0.0
    heartbeat = Heartbeat(
        ["default"],
        lambda changed, idle: Unanswered(),
        clock=lambda: seconds,
        now=lambda: datetime.now(timezone.utc),
        is_busy=lambda: seconds <= busy_seconds,
    )

    found = []
    for seconds in range(70):
        found += [(seconds, lost.because) for lost in heartbeat.beat({})]

    assert found == [(gone_at, "the process that held it is gone: it does not respond")]


class Unanswered:
    """A question for the locks whose answer does not come."""

    def is_answered_within(self, seconds: float) -> bool:
        """Return that it is not there."""
        return False

    def answer(self) -> dict[str, LockCheck]:
        """Return nothing: nobody may ask for it."""
        raise AssertionError("there is no answer")


@pytest.mark.parametrize("keep_going", [False, True])
def test_a_doubtful_lock_holds_up_only_what_needs_its_database(keep_going: bool) -> None:
    launcher = FakeLauncher()
    states = iter(["unsure"] * 20)

    def ask(changed: Mapping[str, Sequence[MigrationId]], idle: float) -> Answered:
        return Answered("held", blog=next(states, "held"))

    shop = children(launcher)
    heartbeat = Heartbeat(["default", "blog"], ask, clock=shop.clock, now=lambda: datetime.now(timezone.utc))
    steps = (step("blog"), step("shop", after=("blog",), needs=("blog",)), step("default"), step("news"))
    events = list(run_steps(plan(*steps), replace(shop, heartbeat=heartbeat), keep_going=keep_going, jobs=1))

    assert launcher.started == ["default", "news", "blog", "shop"]
    assert set(statuses(events).values()) == {"ok"}


@dataclass
class Answered:
    """An answer about the locks that came at once."""

    state: str
    blog: str | None = None
    """Another state of the second database."""

    def is_answered_within(self, seconds: float) -> bool:
        """Return that it is there."""
        return True

    def answer(self) -> dict[str, LockCheck]:
        """Return the states of both databases."""
        unknown = {"lost_at": None, "because": None, "why_not_again": None}
        states = {"default": self.state, "blog": self.blog or self.state}
        return {alias: LockCheck.model_validate({"state": state, **unknown}) for alias, state in states.items()}


def test_independent_steps_start_together_up_to_the_number_of_jobs() -> None:
    launcher = FakeLauncher({key: Script(ends_on=signal.SIGINT) for key in "abc"})
    events = run_steps(plan(step("a"), step("b"), step("c")), children(launcher), keep_going=False, jobs=2)

    started = [next(events) for _ in range(2)]

    assert [event.step.id for event in started if isinstance(event, StepStarted)] == ["a", "b"]
    assert launcher.started == ["a", "b"]
    launcher.children["a"].send_signal(signal.SIGINT)
    rest = iter(events)
    assert isinstance(next(rest), StepFinished)
    assert launcher.started == ["a", "b"]


def test_after_a_failure_nothing_new_starts() -> None:
    launcher = FakeLauncher({"default": Script(lines=("boom",), code=1)})

    events = run(launcher, plan(*CHAIN))

    assert launcher.started == ["default"]
    assert statuses(events) == {"default": "failed", "blog": "not-run", "shop": "not-run"}


def test_keep_going_goes_on_with_what_does_not_need_the_failed_step() -> None:
    launcher = FakeLauncher({"blog": Script(code=1)})

    events = run(launcher, plan(*CHAIN, step("news", after=("default",))), keep_going=True, jobs=1)

    assert statuses(events) == {"default": "ok", "blog": "failed", "shop": "not-run", "news": "ok"}
    skipped = next(event for event in events if isinstance(event, StepSkipped))
    assert skipped.result.because == "blog"


def test_what_runs_may_finish_after_a_failure_elsewhere() -> None:
    launcher = FakeLauncher({"a": Script(code=1), "b": Script(code=0)})

    assert statuses(run(launcher, plan(step("a"), step("b"), step("c")), jobs=2)) == {
        "a": "failed",
        "b": "ok",
        "c": "not-run",
    }


def test_a_process_that_cannot_start_is_a_failed_step() -> None:
    events = run(FakeLauncher({"default": Script(cannot_start="No such file or directory")}), plan(*CHAIN))

    finished = next(event for event in events if isinstance(event, StepFinished))
    assert (finished.result.exit_code, finished.result.because) == (
        None,
        "python could not be started: No such file or directory",
    )


def test_the_migration_in_flight_is_told_with_its_number() -> None:
    lines = ("Running migrations:", "  Applying app.0001... OK", "  Applying app.0002...", "Traceback", "ValueError: x")
    events = run(FakeLauncher({"a": Script(lines=lines, code=1)}), plan(step("a", migrations=3)))

    progress = [event for event in events if isinstance(event, StepProgress)]
    assert [(event.migration, event.position, event.total) for event in progress] == [
        ("app.0001", 1, 3),
        ("app.0002", 2, 3),
    ]
    finished = next(event for event in events if isinstance(event, StepFinished))
    assert (finished.result.in_flight, finished.result.last_lines) == ("app.0002", lines)


def test_only_the_last_lines_of_a_child_are_kept() -> None:
    events = run(FakeLauncher({"a": Script(lines=tuple(map(str, range(1000))))}), plan(step("a")))

    finished = next(event for event in events if isinstance(event, StepFinished))
    assert finished.result.last_lines == tuple(map(str, range(975, 1000)))


def test_a_line_with_a_secret_is_read_as_it_came_and_shown_without_it() -> None:
    launcher = FakeLauncher({"a": Script(lines=("  Applying a.0001_s3cr3t...", "it is s3cr3t"), code=1)})

    events = run(launcher, plan(step("a")))

    finished = next(event for event in events if isinstance(event, StepFinished))
    shown = scrubbed(finished, Redactor(["s3cr3t"])).result
    assert (finished.result.in_flight, shown.last_lines[-1]) == ("a.0001_s3cr3t", "it is ***")


def test_the_first_signal_lets_what_runs_finish_and_starts_nothing_new() -> None:
    launcher = FakeLauncher({"default": Script(then_stop=(signal.SIGTERM,))})

    events = run(launcher, plan(*CHAIN))

    assert statuses(events) == {"default": "ok", "blog": "not-run", "shop": "not-run"}
    assert launcher.children["default"].signals == []
    assert [(event.rung, event.signal, event.running) for event in events if isinstance(event, Stopping)] == [
        (1, signal.SIGTERM, ("default",))
    ]


@pytest.mark.parametrize(("times", "last"), [(2, signal.SIGINT), (3, signal.SIGTERM), (4, signal.SIGKILL)])
def test_further_signals_interrupt_terminate_and_kill(times: int, last: int) -> None:
    script = Script(then_stop=(signal.SIGINT,) * times, ends_on=last)
    launcher = FakeLauncher({"default": script})

    events = run(launcher, plan(*CHAIN))

    assert statuses(events)["default"] == "interrupted"
    assert launcher.children["default"].signals[-1] == last


def test_after_the_grace_what_runs_is_interrupted() -> None:
    script = Script(then_stop=(signal.SIGTERM,), ends_on=signal.SIGINT)
    shop = replace(children(FakeLauncher({"default": script})), grace=0.0)

    events = list(run_steps(plan(step("default")), shop, keep_going=False, jobs=4))

    assert [(event.rung, event.is_late) for event in events if isinstance(event, Stopping)] == [(1, False), (2, True)]
    assert [event.result.status for event in events if isinstance(event, StepFinished)] == ["interrupted"]


def test_makemigrations_is_told_from_its_start_to_its_end() -> None:
    launcher = FakeLauncher({"makemigrations": Script(lines=("Migrations for 'app':",), code=3)})
    make = MakeMigrations(apps=("app",), changes=(), arguments=("makemigrations", "app"))

    events = list(run_makemigrations(make, children(launcher)))

    assert [event.type for event in events] == ["make-started", "step-output", "make-finished"]
    assert isinstance(events[-1], MakeFinished)
    assert events[-1].result.exit_code == 3


def test_a_line_that_is_never_finished_stands_where_it_began() -> None:
    launcher = FakeLauncher()
    shop = children(launcher)

    def speak(key: str) -> None:
        for stream, text, is_complete in (
            ("stdout", "  Applying app.0001...", False),
            ("stderr", "Traceback", True),
            ("stderr", "ValueError: x", True),
            ("stdout", "  Applying app.0001...", True),
        ):
            shop.outbox.put(ChildOutput(key, stream, text, is_complete))  # type: ignore[arg-type]

    launcher.on_start = speak

    events = list(run_steps(plan(step("a", migrations=1)), shop, keep_going=False, jobs=4))

    finished = next(event for event in events if isinstance(event, StepFinished))
    assert finished.result.last_lines == ("  Applying app.0001...", "Traceback", "ValueError: x")


def test_a_step_for_which_there_is_no_room_waits_for_one_that_runs() -> None:
    launcher = FakeLauncher({"b": Script(no_room=(1,))})

    events = run(launcher, plan(step("a"), step("b")))

    assert [type(event) for event in events] == [StepStarted, StepFinished, StepStarted, StepFinished]
    assert statuses(events) == {"a": "ok", "b": "ok"}


def test_a_step_for_which_there_is_no_room_although_nothing_runs_has_failed() -> None:
    events = run(FakeLauncher({"a": Script(no_room=(1,))}), plan(step("a")))

    assert statuses(events) == {"a": "failed"}


def test_a_step_that_is_tried_again_waits_for_room_too() -> None:
    told = '{"migration": null, "code": "SQLITE_BUSY", "words": "database is locked", "is_clean": true}'
    launcher = FakeLauncher({"a": Script(ends_on=signal.SIGINT), "b": Script(code=1, no_room=(2,), told=told)})
    tries = iter([Retry(pause=0.0, most_tries=2)])
    here = replace(children(launcher), again=lambda step, result, number: next(tries, None))
    launcher.on_start = lambda key: (
        launcher.children["a"].send_signal(signal.SIGINT) if launcher.started == ["a", "b", "b"] else None
    )

    events = list(run_steps(plan(step("a"), step("b")), here, keep_going=True, jobs=4))

    assert launcher.started == ["a", "b", "b"]
    assert statuses(events) == {"a": "failed", "b": "failed"}
