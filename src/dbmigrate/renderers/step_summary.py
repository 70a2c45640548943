"""The summary that GitHub shows for a step: what `plain` prints as the answer, the findings and the result."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from pathlib import Path

from dbmigrate.errors import DbmigrateError, ExitCode
from dbmigrate.models.events import Event, PlanReady, RunFinished
from dbmigrate.models.reports import AnyReport
from dbmigrate.renderers.annotated import annotated_findings
from dbmigrate.renderers.markdown import Summary, append_summary
from dbmigrate.renderers.plain import PlainRenderer


class StepSummaryRenderer:
    """Lets `plain` write what is no progress, and appends all of it to a file at the end."""

    needs_streams = False

    def __init__(
        self, plain: PlainRenderer, text: StringIO, file: Path, command: str | None, warn: Callable[[str], None]
    ) -> None:
        """Take the renderer that writes to `text`; append to `file`, or pass a sentence to `warn`."""
        self._plain = plain
        self._text = text
        self._file = file
        self._warn = warn
        self._summary = Summary(f"dbmigrate {command}" if command else "dbmigrate")
        self._has_plan = False

    def show(self, event: Event) -> None:
        """Keep the warnings of the first plan, and the result."""
        match event:
            case PlanReady() if not self._has_plan:
                self._summary.findings += event.plan.warnings()
                self._has_plan = True
            case RunFinished():
                self._plain.show_result(event.result)
                self._summary.result = event.result
            case _:
                pass

    def answer(self, report: AnyReport) -> None:
        """Keep the answer, and its findings."""
        self._plain.answer(report)
        self._summary.findings += annotated_findings(report)

    def refuse(self, error: DbmigrateError) -> None:
        """Keep the error."""
        self._plain.refuse(error)

    def close(self, code: ExitCode) -> None:
        """Append the summary; one that cannot be written is a warning where the runner reads, and no more."""
        self._plain.close(code)
        text = self._text.getvalue()
        self._summary.text = text.removesuffix("\n").split("\n") if text else []
        try:
            append_summary(self._file, self._summary, code)
        except OSError as error:
            self._warn(f"the summary of this step cannot be written: {error}")
