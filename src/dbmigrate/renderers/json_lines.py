"""`--format jsonl`: a line of JSON for everything that happens, as it happens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, TextIO

from dbmigrate.errors import DbmigrateError, ExitCode
from dbmigrate.models.base import Value
from dbmigrate.models.events import Event
from dbmigrate.models.json_lines import AnswerLine, FinishedLine
from dbmigrate.renderers.json import as_json, write_text

if TYPE_CHECKING:
    from dbmigrate.models.reports import AnyReport


class JsonLinesRenderer:
    """Writes each line at once: events as they come, and last how the command finished."""

    needs_streams = False

    def __init__(self, out: TextIO, command: str | None, lost: Sequence[str], *, now: Callable[[], datetime]) -> None:
        """Write to `out`; `lost` holds at the end what others could not write."""
        self._out = out
        self._command = command
        self._lost = lost
        self._now = now
        self._error: DbmigrateError | None = None

    def show(self, event: Event) -> None:
        """Write the event."""
        self._write(event)

    def answer(self, report: AnyReport) -> None:
        """Write the answer, in one line."""
        self._write(AnswerLine(at=self._now(), result=report))

    def refuse(self, error: DbmigrateError) -> None:
        """Keep the error for the last line."""
        self._error = error

    def close(self, code: ExitCode) -> None:
        """Write how it ended."""
        self._write(FinishedLine.of(self._now(), self._command, code, self._error, self._lost))

    def _write(self, line: Value) -> None:
        write_text(self._out, as_json(line) + "\n")
