"""Run the steps of a plan as processes and tell what happens, in order, on the caller's thread."""

from __future__ import annotations

import errno
import signal
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from queue import Empty, SimpleQueue
from typing import Literal

from dbmigrate.models.events import (
    Event,
    LockLost,
    MakeFinished,
    MakeStarted,
    StepFinished,
    StepOutput,
    StepProgress,
    StepRetried,
    StepSkipped,
    StepStarted,
    Stopping,
)
from dbmigrate.models.migrations import MigrationId
from dbmigrate.models.plan import MakeMigrations, MigrationPlan, Step
from dbmigrate.models.result import NotLaunched, Overdue, RunInterrupted, RunUnlocked, StepFailed, StepResult, WhyNotRun
from dbmigrate.models.rooms import Cap
from dbmigrate.project.heartbeat import IDLE_SECONDS, QUIET_SECONDS, Heartbeat, without_locks
from dbmigrate.running.job import STOP_LEVEL_SECONDS, STOP_SIGNALS, Job, Pause, read_transient
from dbmigrate.running.process import (
    ChildEnded,
    ChildMessage,
    ChildOutput,
    ChildRequest,
    ChildTold,
    Launcher,
    StopRequested,
)
from dbmigrate.running.progress import MigrationWatch

MAKE = "makemigrations"

SCARCE = (errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM)
"""What the system says where it has no file, no process or no memory for one more child: until one has ended."""

FREEING_SECONDS = 0.3
"""A server may count the session of a child that has ended for so long."""

STOPPED_SECONDS = 2.0
"""For which a doubtful lock is still asked for after a signal, once nothing runs any more."""

LATER_SECONDS = 0.5
"""Between two tries to start a child again for which there was no room."""


@dataclass(frozen=True)
class Retry:
    """A failed step is tried once more."""

    pause: float
    """Seconds until then."""
    most_tries: int
    """How often it is tried at most."""
    blockers: tuple[str, ...] = ()
    """Sessions that were blocking it, as the server describes them."""


@dataclass(frozen=True)
class Children:
    """What it takes to start children for one target."""

    launcher: Launcher
    outbox: SimpleQueue[ChildMessage]
    """Where children and `listen` put what they have to say."""
    request: Callable[[Step | MakeMigrations], ChildRequest]
    clock: Callable[[], float]
    """Seconds that only grow."""
    heartbeat: Heartbeat = field(default_factory=without_locks)
    """Knows whether the locks of the run are still held."""
    grace: float | None = None
    """Seconds that what runs gets to finish after a first SIGTERM or SIGHUP; None is as long as it needs."""
    step_timeout: float | None = None
    """Seconds that one child of a step may run, before it is interrupted; None is as long as it needs."""
    again: Callable[[Step, StepResult, int], Retry | None] = lambda step, result, tries: None
    """(step, how it ended, how often its migration was tried) -> whether to try it again."""


def run_makemigrations(make: MakeMigrations, children: Children) -> Iterator[Event]:
    """Run makemigrations; MakeStarted comes first, MakeFinished last."""
    state = _RunState(children)
    yield MakeStarted(make=make, command=children.request(make).command)
    failed = state.start(make)
    if isinstance(failed, StepResult):
        yield MakeFinished(result=failed)
    while state.running:
        yield from state.listen(idle=QUIET_SECONDS)


def run_steps(
    plan: MigrationPlan, children: Children, *, keep_going: bool, jobs: int, caps: Sequence[Cap] = ()
) -> Iterator[Event]:
    """Run every step and yield what happens: exactly one StepFinished or StepSkipped for each step of the plan.

    A step's lines lie between its StepStarted and its StepFinished. At most `jobs` run at once, in plan order, a
    step after all of its `after`, and of the databases of a cap no more than it says. After a failure nothing new
    starts, or with `keep_going` only what does not need the failed step. While nobody knows whether a lock is held,
    what needs its database waits. A first StopRequested lets what runs finish, the second interrupts it. A lost lock
    is a failure that also interrupts what runs on its database.
    """
    state = _RunState(children, plan.steps, caps)
    waiting = list(plan.steps)
    while waiting or state.running or state.paused:
        yield from state.hear()
        yield from state.resume()
        has_news = state.has_news()
        if waiting and has_news:
            yield from state.confirm()
        for step in list(waiting) if has_news else ():
            if not state.unsuccessful and not state.stop_level and state.busy >= jobs:
                break
            verdict = _verdict(step, state, keep_going=keep_going)
            if verdict == "wait" or (verdict == "start" and not state.has_room(step, jobs)):
                continue
            if not isinstance(verdict, str):
                waiting.remove(step)
                yield StepSkipped(result=state.skip(step, why=verdict))
                continue
            failed = state.start(step)
            if failed == "later":
                state.wait_for_room()
                break
            waiting.remove(step)
            yield StepStarted(step=step, command=children.request(step).command)
            if failed is not None:
                yield StepFinished(result=failed)
        if state.running or state.paused or (waiting and (state.is_closing or state.unsure)):
            yield from state.listen()
    yield from state.confirm_end()


def _find_needed(steps: Sequence[Step]) -> dict[str, set[str]]:
    """Return by id of a step the aliases that it needs: its own, and those of the steps that it depends on."""
    needed: dict[str, set[str]] = {}
    for step in steps:  # each after those that it needs
        needed[step.id] = {step.alias}.union(*(needed[other] for other in step.needs))
    return needed


def _verdict(step: Step, state: _RunState, *, keep_going: bool) -> Literal["start", "wait"] | WhyNotRun:
    """Return "start", "wait", or why the step is not started any more."""
    if state.stop_level:
        return RunInterrupted()
    if state.lost and (step.alias in state.lost or not keep_going):
        return RunUnlocked()
    needed = set(step.after if not keep_going else step.needs)
    for result in state.unsuccessful:
        if result.status == "failed" and not keep_going:
            return StepFailed(step=result.id)
        if result.id in needed:
            # The step that failed, not the one that was not started because of it.
            return result.why if isinstance(result.why, WhyNotRun) else StepFailed(step=result.id)
    is_held_up = state.is_held_up(step)
    return "start" if not is_held_up and all(other in state.ended for other in step.after) else "wait"


class _RunState:
    """The children that run and the results of those that ended: the state of one run."""

    def __init__(self, children: Children, steps: Sequence[Step] = (), caps: Sequence[Cap] = ()) -> None:
        self._children = children
        self._needed = _find_needed(steps)
        self._caps = caps
        self._closing: list[tuple[str | None, float]] = []
        """Aliases whose sessions a server with a cap may still count, and until when."""
        self.running: dict[str, Job] = {}
        self.ended: dict[str, StepResult] = {}
        self.paused: dict[str, Pause] = {}
        self.unsuccessful: list[StepResult] = []
        """Of `ended`, those that did not end well, in the order in which they ended."""
        self._seen: tuple[int, ...] = ()
        self.stop_level = 0
        self._tries: Counter[tuple[str, MigrationId | None]] = Counter()
        self._deadline: float | None = None
        self._room_at: float | None = None
        """When to try again to start a child for which there was no room."""
        self._signum = 0
        self._touched: defaultdict[str, set[MigrationId]] = defaultdict(set)
        """By alias: migrations that steps which ended, or whose words say nothing, may have recorded or taken back."""

    @property
    def lost(self) -> frozenset[str]:
        """Aliases whose lock is lost."""
        return self._children.heartbeat.lost

    @property
    def unsure(self) -> frozenset[str]:
        """Aliases of whose lock nobody knows whether it is held."""
        return self._children.heartbeat.unsure

    def is_held_up(self, step: Step) -> bool:
        """Whether a step waits until it is known whether a lock is held: its own, or that of a database it needs."""
        return self._children.heartbeat.holds_up(self._needed[step.id])

    def start(self, step: Step | MakeMigrations, before: Job | None = None) -> StepResult | Literal["later"] | None:
        """Start a child; return a result if that is not possible, "later" if it may be once one that runs has ended.

        `before`: the one of the same step that failed and is retried.
        """
        request = self._children.request(step)
        started_at = self._children.clock() if before is None else before.started_at
        alias = step.alias if isinstance(step, Step) else None
        try:
            child = self._children.launcher.start(request, self._children.outbox)
        except OSError as error:
            if error.errno in SCARCE and self.running:
                return "later"
            why = NotLaunched(text=f"{request.argv[0]} could not be started: {error.strerror or error}")
            result = StepResult(id=request.key, alias=alias, status="failed", command=request.command, why=why)
            self._note(result)
            return result
        watch = MigrationWatch(step) if isinstance(step, Step) else None
        if isinstance(step, Step) and step.reason == "replaced-command":  # which may say whatever it likes
            self._touched[step.alias].update(migration.id for migration in step.migrations)
        job = Job(step, request.command, started_at, child, watch)
        if isinstance(step, Step) and self._children.step_timeout is not None:
            job.due_at = self._children.clock() + self._children.step_timeout
        if before is not None:
            job.watch, job.retries = before.watch, before.retries + 1
        self.running[request.key] = job
        return None

    def skip(self, step: Step, *, why: WhyNotRun) -> StepResult:
        result = StepResult(id=step.id, alias=step.alias, status="not-run", why=why)
        self._note(result)
        return result

    @property
    def busy(self) -> int:
        """How many steps run, or are about to again."""
        return len(self.running) + len(self.paused)

    def has_room(self, step: Step, jobs: int) -> bool:
        """Whether one more step may run: of all, and of those that share a limit with its database."""
        aliases = [job.alias for job in self.running.values()] + [pause.step.alias for pause in self.paused.values()]
        aliases += [alias for alias, _ in self._closing]
        shared = [cap for cap in self._caps if step.alias in cap.aliases]
        return self.busy < jobs and all(sum(alias in cap.aliases for alias in aliases) < cap.most for cap in shared)

    @property
    def is_closing(self) -> bool:
        """Whether a session is waited for that a server may still count."""
        return bool(self._closing)

    def has_news(self) -> bool:
        """Whether anything has started or ended since it was asked last; what children print is none."""
        self._closing = [one for one in self._closing if one[1] > self._children.clock()]
        now = (len(self.ended), len(self.running), len(self.paused), len(self._closing), self.stop_level)
        seen, self._seen = self._seen, now
        is_time = self._room_at is not None and self._room_at <= self._children.clock()
        if is_time:
            self._room_at = None
        return seen != self._seen or is_time

    def wait_for_room(self) -> None:
        """Have news after a while, also if nothing ends: what others use of the system counts too."""
        self._room_at = self._children.clock() + LATER_SECONDS

    def _note(self, result: StepResult) -> None:
        self.ended[result.id] = result
        if result.status != "ok":
            self.unsuccessful.append(result)

    def hear(self) -> Iterator[Event]:
        """Yield what signals have asked for while nobody listened; nothing runs then that could have said more."""
        while not self.running and not self._children.outbox.empty():
            yield from self._understand(self._children.outbox.get())

    def listen(self, *, idle: float = IDLE_SECONDS) -> Iterator[Event]:
        """Wait for one message and yield what it means; `idle`: seconds for which the locks may not be asked for."""
        # Before the queue, not when it is empty: a child that never stops printing is to be ended too.
        if self._deadline is not None and self._children.clock() >= self._deadline:
            yield self._escalate(self._signum, is_late=True)
        for job in self.running.values():
            job.press_on(self._children.clock())
        try:
            message = self._children.outbox.get(timeout=self._seconds_left())
        except Empty:
            pass
        else:
            yield from self._understand(message)
        due_at = self._children.heartbeat.due_at
        if due_at is not None and due_at <= self._children.clock():
            yield from self._beat(idle=idle)

    def _understand(self, message: ChildMessage) -> Iterator[Event]:
        if isinstance(message, StopRequested):
            yield self._escalate(message.signum)
        elif isinstance(message, ChildEnded):
            yield self._end(message)
        elif isinstance(message, ChildTold):
            self.running[message.key].transient = read_transient(message.text)
        else:
            yield from self._output(message)

    def confirm(self) -> Iterator[LockLost]:
        """Ask whether the locks are held, unless that is known from just now."""
        if not self._children.heartbeat.is_fresh:
            yield from self._beat()

    def confirm_end(self) -> Iterator[Event]:
        """Ask once more when everything has ended, and wait until it is known; not for what has failed anyway.

        After a signal not for long: then a lock of which nobody knows counts as lost.
        """
        failed = {result.alias for result in self.unsuccessful}
        yield from self._beat(idle=QUIET_SECONDS)
        until = self._children.clock() + STOPPED_SECONDS
        while self.unsure - failed and (not self.stop_level or self._children.clock() < until):
            yield from self.listen()
        for lock in self._children.heartbeat.give_up(self.unsure - failed):
            yield LockLost(lock=lock, running=())

    def _beat(self, *, idle: float = IDLE_SECONDS) -> Iterator[LockLost]:
        changed = {alias: sorted(migrations) for alias, migrations in self._changed().items()}
        before = (self.lost, self.unsure)
        found = self._children.heartbeat.beat(changed, idle=idle)
        if before != (self.lost, self.unsure):
            self._seen = ()  # what has waited may start, or never will
        for lock in found:
            running = {} if lock.is_retaken else self._running_on(lock.alias)
            for job in running.values():
                job.end(self._children.clock())
            yield LockLost(lock=lock, running=tuple(running))

    def _running_on(self, alias: str) -> dict[str, Job]:
        return {key: job for key, job in self.running.items() if job.alias == alias}

    def _changed(self) -> dict[str, set[MigrationId]]:
        """Return by alias which migrations this run may have recorded or taken back until now."""
        changed = defaultdict(set, {alias: {*migrations} for alias, migrations in self._touched.items()})
        for job in self.running.values():
            if job.watch is not None and job.alias is not None:
                changed[job.alias].update(job.watch.announced)
        return changed

    def resume(self) -> Iterator[StepFinished | LockLost]:
        """Start what was to be retried and is due; after a signal, or without a lock, end it as it stands."""
        is_over = bool(self.stop_level or self.lost)
        due = [key for key, pause in self.paused.items() if is_over or pause.until <= self._children.clock()]
        if due and not is_over:
            yield from self.confirm()
            is_over = bool(self.lost)
        for key in due:
            pause = self.paused[key]
            if self.is_held_up(pause.step) and not is_over:
                self.paused[key] = replace(pause, until=self._children.clock() + LATER_SECONDS)
            else:
                del self.paused[key]
                failed = pause.result if is_over else self.start(pause.step, pause.job)
                if failed == "later":
                    self.paused[key] = replace(pause, until=self._children.clock() + LATER_SECONDS)
                elif failed is not None:
                    self._note(failed)
                    yield StepFinished(result=failed)

    def _seconds_left(self) -> float | None:
        """Return how long to wait for a message: until the next pause, or a time that was set, is over."""
        times = [pause.until for pause in self.paused.values()]
        times += [until for _, until in self._closing]
        times += [job.due_at for job in self.running.values() if job.due_at is not None]
        times += [time for time in (self._deadline, self._room_at, self._children.heartbeat.due_at) if time is not None]
        return max(0.0, min(times) - self._children.clock()) if times else None

    def _escalate(self, signum: int, *, is_late: bool = False) -> Stopping:
        self.stop_level += 1
        self._signum = signum
        sent = STOP_SIGNALS.get(min(self.stop_level, max(STOP_SIGNALS)))
        if sent is not None:
            for job in self.running.values():
                job.child.send_signal(sent)
        # ^C is a person, who sees what still runs and can press it again; the others come from a system with a limit.
        grace = self._children.grace if signum != signal.SIGINT else None
        if grace is not None:
            self._deadline = self._children.clock() + (grace if self.stop_level == 1 else STOP_LEVEL_SECONDS)
        return Stopping(signal=signum, rung=self.stop_level, running=tuple(self.running), grace=grace, is_late=is_late)

    def _end(self, message: ChildEnded) -> MakeFinished | StepFinished | StepRetried:
        job = self.running.pop(message.key)
        if any(job.alias in cap.aliases for cap in self._caps):
            self._closing.append((job.alias, self._children.clock() + FREEING_SECONDS))
        code = job.child.find_code() if message.code == "unsaid" else message.code
        interrupted = (self.stop_level > 1 or job.alias in self.lost) and code != 0
        result = StepResult(
            id=message.key,
            alias=job.alias,
            status="ok" if code == 0 else "interrupted" if interrupted else "failed",
            exit_code=code,
            seconds=self._children.clock() - job.started_at,
            command=job.command,
            last_lines=job.tail.lines,
            raised_at=job.tail.raised_at,
            causes=tuple(job.tail.chain.causes),
            in_flight=job.watch.in_flight if job.watch is not None else None,
            done=tuple(job.watch.done) if job.watch is not None else (),
            transient=job.transient if code != 0 else None,
            retries=job.retries,
            why=self._why_ended(job) if code != 0 else None,
        )
        if isinstance(job.step, MakeMigrations):
            return MakeFinished(result=result)
        self._remember(job, job.step, result)
        return self._retry(job, job.step, result) or self._finish(result)

    def _why_ended(self, job: Job) -> Overdue | None:
        """Return why a child was ended that ran for too long; None for another."""
        limit = self._children.step_timeout
        return Overdue(limit=limit) if job.is_overdue and limit is not None else None

    def _remember(self, job: Job, step: Step, result: StepResult) -> None:
        """Remember what a step may have recorded or taken back."""
        if result.status == "ok":
            self._touched[step.alias].update(migration.id for migration in step.migrations)
        if job.watch is not None:
            self._touched[step.alias].update(job.watch.announced)

    def _finish(self, result: StepResult) -> StepFinished:
        self._note(result)
        return StepFinished(result=result)

    def _retry(self, job: Job, step: Step, result: StepResult) -> StepRetried | None:
        """Put a step aside that failed for a reason that passes; None if it is not retried."""
        is_over = bool(self.stop_level or self.lost or job.is_ended)
        if result.status != "failed" or result.transient is None or is_over:
            return None
        failed = (step.id, result.transient.migration)
        self._tries[failed] += 1
        again = self._children.again(step, result, self._tries[failed])
        if again is None:
            return None
        self.paused[step.id] = Pause(step, job, result, self._children.clock() + again.pause)
        return StepRetried(
            step=step,
            tries=self._tries[failed],
            pause=again.pause,
            blockers=again.blockers,
            most_tries=again.most_tries,
            migration=result.transient.migration,
            code=result.transient.code,
            reason=result.transient.words,
        )

    def _output(self, message: ChildOutput) -> Iterator[Event]:
        job = self.running[message.key]
        migration = job.watch.read(message.text) if job.watch is not None and message.stream == "stdout" else None
        if migration is not None:
            yield self._progress(job, message.key, migration)
        job.tail.take(message)
        if message.is_complete:
            yield StepOutput(step=message.key, alias=job.alias, stream=message.stream, text=message.text)

    def _progress(self, job: Job, key: str, migration: MigrationId) -> StepProgress:
        assert job.watch is not None
        assert job.alias is not None
        return StepProgress(
            step=key,
            alias=job.alias,
            migration=migration,
            position=job.watch.position,
            total=job.watch.total,
            backwards=job.watch.is_backwards,
        )
