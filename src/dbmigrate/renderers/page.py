"""A page that answers are written on: lines, names, findings and errors, which all of them have."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import groupby
from typing import TYPE_CHECKING, TypeVar

from dbmigrate.listing import MANY, listed
from dbmigrate.models.findings import Finding, Level
from dbmigrate.models.plan import PlannedDatabase
from dbmigrate.models.result import DatabaseResult
from dbmigrate.models.snapshot import Project
from dbmigrate.renderers import words
from dbmigrate.renderers.failures import failures
from dbmigrate.renderers.sheet import Sheet
from dbmigrate.renderers.wrapping import hint_lines

if TYPE_CHECKING:
    # A run has nothing to do with the answers of the other commands, and need not load them.
    from dbmigrate.models.reports import AnyReport


LEVEL_STYLES: dict[Level, str] = {"error": "bold red", "warning": "yellow", "note": "cyan"}

Row = TypeVar("Row", PlannedDatabase, DatabaseResult)


class Page:
    """Where answers are written."""

    def __init__(self, sheet: Sheet, *, verbosity: int, now: Callable[[], datetime]) -> None:
        """Write on this sheet; `now` gives aware UTC times."""
        self.now = now
        self.sheet = sheet
        self.verbosity = verbosity

    def line(self, text: str = "", style: str = "", *, is_copied: bool = False) -> None:
        """Write a line; one that is to be copied is never broken."""
        self.sheet.line(text, style, is_copied=is_copied)

    def title(self, text: str) -> None:
        """Write an empty line and a title."""
        self.line()
        self.line(text, "bold")

    def names(self, names: Sequence[str]) -> str:
        """Return the names in one line: all of them only with `-v`."""
        return ", ".join(names) if self.verbosity > 0 else listed(names)

    def alike(self, databases: Sequence[Row], sentence: Callable[[Row], str]) -> list[list[Row]]:
        """Return the databases in groups: neighbours of one sentence where there are many, else each on its own."""
        is_grouped = len(databases) > MANY and self.verbosity < 1
        return [list(group) for _, group in groupby(databases, lambda row: sentence(row) if is_grouped else row.alias)]

    def limits(self, limits: Sequence[str]) -> None:
        """Write what was not looked at, so that nobody takes what is shown for all there is."""
        for limit in limits:
            self.line(f"checked: {words.printable(limit)}", "yellow")

    def errors(self, report: AnyReport) -> None:
        """Write what fails the command of an answer, in addition to its findings."""
        for sentence, hint in failures(report):
            self.line(f"error: {words.printable(sentence)}", LEVEL_STYLES["error"])
            if hint is not None:
                self.hint(hint)

    def hint(self, text: str, label: str = "   hint: ") -> None:
        """Write what to do about the line before."""
        for line in hint_lines(label, text):
            self.line(line.text, is_copied=line.is_copied)

    def findings(self, findings: Sequence[Finding]) -> None:
        """Write each finding and what to do about it."""
        for finding in findings:
            self.line(f"{finding.level}: {finding.sentence}", LEVEL_STYLES[finding.level])
            self.hint(finding.hint)

    def project(self, project: Project) -> None:
        """Write which project was asked."""
        versions = f"Django {project.django_version}, Python {project.python_version}"
        self.line(f"{project.settings_module}, {versions}", "dim")
