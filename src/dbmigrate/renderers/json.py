"""`--format json`: one document, whatever happens."""

from __future__ import annotations

from typing import TextIO

from dbmigrate.errors import DbmigrateError, ExitCode
from dbmigrate.models.events import Event
from dbmigrate.models.reports import Answer, Envelope


class JsonRenderer:
    """Keeps the answer or the error, and writes the envelope at the end."""

    def __init__(self, out: TextIO, command: str | None) -> None:
        """Write to `out`, and nothing anywhere else."""
        self._out = out
        self._command = command
        self._answer: Answer | None = None
        self._error: DbmigrateError | None = None

    def show(self, event: Event) -> None:
        """Show nothing: the answer tells it all."""

    def answer(self, report: Answer) -> None:
        """Keep the answer."""
        self._answer = report

    def refuse(self, error: DbmigrateError) -> None:
        """Keep the error."""
        self._error = error

    def close(self, code: ExitCode) -> None:
        """Write the document."""
        envelope = Envelope.of(self._command, code, self._answer, self._error)
        self._out.write(envelope.model_dump_json(indent=2) + "\n")
        self._out.flush()
