"""`--format plain`: a line per event, for logs; answers on stdout, everything else on stderr."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, TextIO

from dbmigrate.errors import DbmigrateError, ExitCode
from dbmigrate.models.events import Event, RunFinished
from dbmigrate.models.result import RunResult
from dbmigrate.renderers import failure_words, run_words, words
from dbmigrate.renderers.error_words import error_lines
from dbmigrate.renderers.lines import Line, Story
from dbmigrate.renderers.page import Page
from dbmigrate.renderers.tables import show_report, show_result
from dbmigrate.renderers.wrapping import hint_lines

if TYPE_CHECKING:
    from dbmigrate.models.reports import AnyReport

NORMAL, VERBOSE = 0, 1


class PlainRenderer:
    """Writes each event as it comes; with `-v` every line has its time, and what children print is forwarded."""

    needs_streams = False

    def __init__(self, page: Page, err: TextIO, *, verbosity: int, now: Callable[[], datetime]) -> None:
        """Write answers to the page and the rest to `err`; `now` gives aware UTC times."""
        self._page = page
        self._err = err
        self._verbosity = verbosity
        self._now = now
        self._story = Story()

    def show(self, event: Event) -> None:
        """Write the event's lines."""
        for line in self.lines_of(event):
            self.write(line)
        if isinstance(event, RunFinished):
            self.show_result(event.result)

    def lines_of(self, event: Event) -> Iterator[Line]:
        """Yield what an event says; each event is asked for once, in order."""
        return self._story.lines_of(event)

    def write(self, line: Line) -> None:
        """Write a line, where this verbosity shows it."""
        match line.level:
            case "command":
                self._say_verbose(line.alias, f"$ {line.text}")
            case "output":
                self._say_verbose(line.alias, f"  {line.text}")
            case "failed":
                self._write([f"error: {words.printable(line.text)}"])
            case "warning" | "stopping":
                self._warn(line.text, line.hint)
            case "list":
                self._write(words.printable(part) for part in line.text.splitlines())
            case "printed":
                self._write([words.printable(line.text)])
            case "ended":
                pass  # with the next line's time
            case _:
                self._say(line.alias, line.text)

    def answer(self, report: AnyReport) -> None:
        """Write the answer of a command; that of a run was written as it went."""
        show_report(self._page, report)

    def refuse(self, error: DbmigrateError) -> None:
        """Write the error, its hint, and with `-v` the whole story."""
        if error.detail is not None and self._verbosity >= VERBOSE:
            self._write(error.detail.splitlines())
        self._write(f"error: {line}" if begins else line for begins, line in error_lines(error))
        if error.hint is not None:
            self._write_hint("hint: ", error.hint)

    def close(self, code: ExitCode) -> None:
        """Show with which exit code the command fails: last, so that it is what a log ends with."""
        if code:
            self._write([code.sentence])

    def show_result(self, result: RunResult) -> None:
        """Write what became of each database, and what follows from that."""
        if self._verbosity >= NORMAL:
            show_result(self._page, result)
        for database in result.databases:
            if database.failure is not None:
                self._write(
                    f"[{database.alias}] {words.printable(line)}"
                    for line in failure_words.failure_lines(database, database.failure)
                )
        if result.exit_code:
            self._write([f"error: {words.printable(run_words.verdict(result))}"])
            self._write_hint("hint: ", failure_words.advice(result))

    def _warn(self, text: str, hint: str | None = None) -> None:
        self._write([f"warning: {words.printable(line)}" for line in text.splitlines()])
        if hint is not None:
            self._write_hint("   hint: ", hint)

    def _write_hint(self, label: str, hint: str) -> None:
        self._write(line.text for line in hint_lines(label, hint))

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
