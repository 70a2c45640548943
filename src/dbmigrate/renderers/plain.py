"""`--format plain`: a line per event, for logs; answers on stdout, everything else on stderr."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import TYPE_CHECKING, TextIO

from dbmigrate.errors import DbmigrateError, ExitCode
from dbmigrate.listing import MANY, listed
from dbmigrate.models.events import (
    CommandStarted,
    DatabaseAwaited,
    DatabaseReached,
    DdlLockTimeoutIgnored,
    Event,
    LockAwaited,
    LockLost,
    LockMissing,
    LocksTaken,
    MakeFinished,
    MakeStarted,
    MigrationsWritten,
    PlanReady,
    RunFinished,
    StepFinished,
    StepOutput,
    StepProgress,
    StepRetried,
    StepsCapped,
    StepSkipped,
    StepStarted,
    Stopping,
)
from dbmigrate.models.plan import MigrationPlan
from dbmigrate.models.result import RunResult
from dbmigrate.renderers import lock_words, words
from dbmigrate.renderers.durations import duration
from dbmigrate.renderers.failures import FAILING_BY_EXIT_CODE
from dbmigrate.renderers.tables import Page
from dbmigrate.renderers.wrapping import margin

if TYPE_CHECKING:
    from dbmigrate.models.reports import Answer

NORMAL, VERBOSE = 0, 1


class PlainRenderer:
    """Writes each event as it comes; with `-v` every line has its time, and what children print is forwarded."""

    def __init__(self, page: Page, err: TextIO, *, verbosity: int, now: Callable[[], datetime]) -> None:
        """Write answers to the page and the rest to `err`; `now` gives aware UTC times."""
        self._page = page
        self._err = err
        self._verbosity = verbosity
        self._now = now
        self._plan: MigrationPlan | None = None
        self._started: set[str] = set()
        self._completed = 0
        self._fails_by_exit_code = False

    def show(self, event: Event) -> None:
        """Write the event's lines."""
        match event:
            case DatabaseAwaited():
                self._say(None, words.awaited(event))
            case DatabaseReached():
                self._say(None, words.reached(event))
            case LockAwaited():
                self._say(None, lock_words.locked(event))
            case LocksTaken():
                self._say(None, lock_words.unlocked(event))
            case DdlLockTimeoutIgnored():
                self._warn(words.lock_timeout_without_effect(event))
            case StepRetried():
                self._warn(words.retried(event))
            case LockLost():
                self._warn(lock_words.announce_loss(event))
            case LockMissing():
                self._warn(lock_words.lockless(event))
            case StepsCapped():
                self._warn(words.capped(event))
            case PlanReady():
                self._show_plan(event.plan)
            case MakeStarted():
                self._say(None, words.making(event.make))
                self._say_verbose(None, "$ " + shlex.join(event.command))
            case MigrationsWritten():
                self._say(None, f"Migrations written: {listed(event.migrations) or 'none'}")
            case CommandStarted():
                self._say_verbose(None, "$ " + shlex.join(event.command))
            case StepStarted():
                if event.step.alias not in self._started:
                    self._say(event.step.alias, f"Migrating database: {event.step.alias}")
                    self._started.add(event.step.alias)
                self._say(event.step.alias, words.subject(event.step))
                because = words.reason(event.step)
                if because is not None:
                    self._say(event.step.alias, because)
                self._say_verbose(event.step.alias, "$ " + shlex.join(event.command))
            case StepProgress():
                act = self._act(backwards=event.backwards)
                self._say(event.alias, f"{act} {event.migration} ({event.position} of {event.total})")
            case StepOutput():
                self._say_verbose(event.alias, "  " + event.text)
            case StepFinished():
                self._show_finished(event)
            case Stopping():
                self._warn(words.stopping(event))
            case RunFinished():
                self._show_result(event.result)
            case StepSkipped() | MakeFinished():
                pass  # the report has the former, MigrationsWritten or an error the latter

    def answer(self, report: Answer) -> None:
        """Write the answer of a command; that of a run was written as it went."""
        self._fails_by_exit_code = report.type in FAILING_BY_EXIT_CODE
        self._page.show(report)

    def refuse(self, error: DbmigrateError) -> None:
        """Write the error, its hint, and with `-v` the whole story."""
        if error.detail is not None and self._verbosity >= VERBOSE:
            self._write(error.detail.splitlines())
        self._write(f"error: {line}" for line in error.message.splitlines())
        if error.hint is not None:
            first, *more = error.hint.splitlines()
            self._write([f"hint: {first}", *(f"{margin(first, 'hint: ')}{line}" for line in more)])

    def close(self, code: ExitCode) -> None:
        """Say why the command fails, if nothing has yet."""
        if code and self._fails_by_exit_code:
            self._write([f"error: {words.exit_sentence(code)}"])

    def _act(self, *, backwards: bool) -> str:
        if self._plan is not None and self._plan.selection.fake:
            return "Forgetting" if backwards else "Recording"
        return "Undoing" if backwards else "Applying"

    def _show_plan(self, plan: MigrationPlan) -> None:
        is_second = self._plan is not None
        self._plan = plan
        if is_second:
            return
        self._say(None, words.heading(plan))
        for finding in words.warnings(plan):
            self._warn(finding.sentence, finding.hint)
        if plan.selection.writes_migrations and plan.make is None:
            self._say(None, "No changes detected")

    def _show_finished(self, event: StepFinished) -> None:
        result = event.result
        assert self._plan is not None
        assert result.alias is not None
        if result.status != "ok":
            ended = "could not be started" if result.exit_code is None else words.exit_words(result.exit_code)
            self._warn(f"{result.id}: {ended} after {duration(result.seconds)}")
        elif result.id == [step.id for step in self._plan.steps if step.alias == result.alias][-1]:
            self._completed += 1
            count = len({step.alias for step in self._plan.steps})
            progress = f" ({self._completed} of {count} databases)" if count > MANY else ""
            self._say(result.alias, f"Migrations completed for {result.alias}{progress}")

    def _show_result(self, result: RunResult) -> None:
        if self._verbosity >= NORMAL:
            self._page.show_result(result)
        for database in result.databases:
            if database.failure is not None:
                self._write(
                    f"[{database.alias}] {words.printable(line)}"
                    for line in words.failure_lines(database, database.failure)
                )
        if result.exit_code:
            # Last, so that it is what a log ends with.
            self._write([f"error: {words.printable(words.verdict(result))}", words.exit_sentence(result.exit_code)])
            self._write([f"hint: {words.advice(result)}"])

    def _warn(self, text: str, hint: str | None = None) -> None:
        self._write([f"warning: {words.printable(line)}" for line in text.splitlines()])
        if hint is not None:
            first, *more = hint.splitlines()
            self._write([f"   hint: {first}", *(f"{margin(first, '   hint: ')}{line}" for line in more)])

    def _say(self, alias: str | None, text: str) -> None:
        if self._verbosity >= NORMAL:
            self._write([f"[{alias}] {words.printable(text)}" if alias is not None else words.printable(text)])

    def _say_verbose(self, alias: str | None, text: str) -> None:
        if self._verbosity >= VERBOSE:
            self._say(alias, text)

    def _write(self, lines: Iterable[str]) -> None:
        stamp = f"{self._now():%Y-%m-%dT%H:%M:%SZ} " if self._verbosity >= VERBOSE else ""
        for line in lines:
            self._err.write(f"{stamp}{line}\n")
        self._err.flush()
