"""`--format github`: all that `plain` prints, and around it groups and annotations.

Everything goes to one stream. The runner reads stdout and stderr side by side, and what keeps it from obeying a line
that a child prints only holds for the lines that come behind it in the same stream.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from io import StringIO
from typing import TextIO

from dbmigrate.errors import DbmigrateError, ExitCode
from dbmigrate.models.events import (
    Event,
    PlanReady,
    RunFinished,
    StepFinished,
    StepSkipped,
    Stopping,
)
from dbmigrate.models.findings import Finding, Level
from dbmigrate.models.reports import AnyReport
from dbmigrate.models.result import RunResult
from dbmigrate.renderers import failure_words, run_words, words
from dbmigrate.renderers.annotated import annotated_findings
from dbmigrate.renderers.error_words import error_message, fact_message
from dbmigrate.renderers.failures import failures
from dbmigrate.renderers.groups import Groups
from dbmigrate.renderers.plain import PlainRenderer
from dbmigrate.renderers.repository_paths import RepositoryPaths
from dbmigrate.renderers.workflow import Annotations, guarded

LEVELS: dict[Level, str] = {"error": "error", "warning": "warning", "note": "notice"}


class GithubRenderer:
    """Lets `plain` write, passes on what it wrote, and adds GitHub's commands."""

    needs_streams = True

    def __init__(
        self,
        plain: PlainRenderer,
        text: StringIO,
        out: TextIO,
        *,
        command: str | None,
        paths: RepositoryPaths,
        has_summary: bool,
        make_token: Callable[[], str],
    ) -> None:
        """Take the renderer that writes to `text`; write to `out`.

        `has_summary`: whether the step has one (`step_summary.py`). `make_token` returns a word that nobody can guess.
        """
        self._plain = plain
        self._text = text
        self._out = out
        self._name = f"dbmigrate {command}" if command else "dbmigrate"
        self._paths = paths
        self._has_summary = has_summary
        self._make_token = make_token
        self._annotations = Annotations()
        self._groups = Groups(self._write, self._command)
        self._has_plan = False

    def show(self, event: Event) -> None:
        """Write the event's lines, in the group of their database."""
        if isinstance(event, RunFinished | Stopping):
            # A step that is cancelled has seconds left: what waits for its group is written now.
            self._groups.flush()
        for line in self._plain.lines_of(event):
            self._plain.write(line)
            if line.alias is None:
                self._write(self._take())
            else:
                self._groups.add(line.alias, self._take())
        match event:
            case PlanReady():
                self._groups.begin(event.plan)
                if not self._has_plan:
                    self._annotate(event.plan.warnings())
                self._has_plan = True
            case StepFinished() | StepSkipped() if event.result.alias is not None:
                self._groups.end_step(event.result.alias, event.result.id)
            case RunFinished():
                self._plain.show_result(event.result)
                self._write(self._take())
                self._annotate_result(event.result)
            case _:
                pass

    def answer(self, report: AnyReport) -> None:
        """Write the answer, and its findings as annotations."""
        self._plain.answer(report)
        self._write(self._take())
        self._annotate(annotated_findings(report))
        for text, hint in failures(report):
            self._error(text if hint is None else f"{text}\nhint: {hint}", title=self._name)

    def refuse(self, error: DbmigrateError) -> None:
        """Write the error, and as an annotation each fact that it is made of."""
        self._groups.flush()
        self._plain.refuse(error)
        self._write(self._take())
        for fact in error.facts:
            text = f"{fact_message(fact, error)}\nhint: {fact.hint}"
            self._error(text, title=fact.title, file=fact.file, line=fact.line)
        if not error.facts:
            hint = f"\nhint: {error.hint}" if error.hint is not None else ""
            self._error(f"{error_message(error)}{hint}", title=self._name)

    def close(self, code: ExitCode) -> None:
        """Show how many annotations GitHub would have dropped."""
        self._groups.flush()
        self._plain.close(code)
        self._write(self._take())
        if code and not self._annotations.count("error"):
            # A job that is red for it has to say so.
            self._error(code.sentence, title=self._name)
        more = ", ".join(words.plural(count, level) for level, count in self._annotations.more.items())
        if more:
            where = ", and in the summary of this step" if self._has_summary else ""
            self._write([f"{more} more: GitHub shows ten of each level; all of them are in the lines above{where}"])
        self._out.flush()

    def _take(self) -> list[str]:
        """Return the lines that `plain` wrote since the last time."""
        text = self._text.getvalue()
        self._text.seek(0)
        self._text.truncate()
        return text.removesuffix("\n").split("\n") if text else []

    def _write(self, lines: Sequence[str]) -> None:
        for line in guarded(lines, self._make_token):
            self._out.write(f"{line}\n")
        self._out.flush()

    def _command(self, line: str) -> None:
        if line:
            self._out.write(f"{line}\n")
            self._out.flush()

    def _annotate(self, findings: Sequence[Finding]) -> None:
        for finding in findings:
            file = self._paths.find(finding.file)
            # A file that is not in the repository has no place to be shown at.
            where = f" ({finding.location})" if finding.file is not None and file is None else ""
            text = words.printable_lines(f"{finding.message}{where}\nhint: {finding.hint}")
            level = LEVELS[finding.level]
            self._command(self._annotations.write(level, text, title=finding.id, file=file, line=finding.line))

    def _annotate_result(self, result: RunResult) -> None:
        for database in result.unfinished:
            failure = database.failure
            text = run_words.database_sentence(database)
            if failure is not None:
                first, *more = failure_words.failure_lines(database, failure)
                text = "\n".join([first, failure.message, *more])
            file, line = (failure.file, failure.line) if failure is not None else (None, None)
            self._error(text, title=f"database {database.alias}", file=file, line=line)
        for database in result.databases:
            if database.without_table:
                self._error(run_words.without_table(database), title=f"database {database.alias}")

    def _error(self, text: str, *, title: str, file: str | None = None, line: int | None = None) -> None:
        path = self._paths.find(file)
        shown = words.printable_lines(text)
        self._command(self._annotations.write("error", shown, title=title, file=path, line=line))
