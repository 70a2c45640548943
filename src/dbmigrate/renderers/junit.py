"""`--junit FILE`: next to any format, a report that CI servers read: a test case for each check, or each database."""

from __future__ import annotations

import re
import shlex
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from dbmigrate.errors import DbmigrateError, ExitCode, UsageError
from dbmigrate.models.database import describe_silence
from dbmigrate.models.events import Event
from dbmigrate.models.findings import Finding, is_of_linter
from dbmigrate.models.migrations import MigrationId
from dbmigrate.models.reports import AnyReport, CheckReport, VerifyReport
from dbmigrate.models.result import DatabaseResult, RunReport
from dbmigrate.models.verification import VerifiedDatabase
from dbmigrate.renderers import failure_words, run_words, verify_words, words
from dbmigrate.renderers.encoding import encodable
from dbmigrate.renderers.error_words import error_message, fact_message
from dbmigrate.renderers.files import write_report
from dbmigrate.renderers.repository_paths import RepositoryPaths
from dbmigrate.system import shortened

CaseOutcome = Literal["passed", "failure", "error", "skipped"]

# ElementTree writes what XML 1.0 has no way to write (section 2.2), and nobody could read it back.
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Case:
    """One test case."""

    name: str
    group: str
    """What stands after "dbmigrate." in its class name."""
    outcome: CaseOutcome = "passed"
    type: str = ""
    """Of a failure or error, for example the id of a check."""
    message: str = ""
    """Why it did not pass, in a line."""
    text: str = ""
    """The whole of it."""
    printed: str = ""
    seconds: float = 0.0
    file: str | None = None
    line: int | None = None


class JunitRenderer:
    """Writes the file at the end; until then it holds a report that says that the end was not reached."""

    needs_streams = False

    def __init__(
        self, file: Path, command: str | None, paths: RepositoryPaths, clock: Callable[[], float], now: datetime
    ) -> None:
        """Take the file, and write to it at once; `clock` gives seconds that only grow.

        Raises:
            UsageError: it cannot be written.
        """
        self._file = file
        self._command = command or "dbmigrate"
        self._paths = paths
        self._clock = clock
        self._started_at = clock()
        self._timestamp = now.isoformat(timespec="seconds")
        self._cases: list[Case] = []
        unfinished = Case(self._command, self._command, "error", "unfinished", "it was stopped before it could report")
        try:
            self._write([unfinished])
        except OSError as error:
            raise UsageError(
                f"--junit: {shortened(str(file))} cannot be written: {error.strerror or error} (nothing was done)",
                hint="name a file in a folder that can be written; to make the folder: mkdir -p "
                + shlex.quote(shortened(str(file.parent))),
            ) from error

    def show(self, event: Event) -> None:
        """Do nothing: the answer has it all."""

    def answer(self, report: AnyReport) -> None:
        """Keep the cases of an answer."""
        self._cases += cases_of(report, self._command)

    def refuse(self, error: DbmigrateError) -> None:
        """Keep an error that ended the command: each fact that it is made of."""
        for fact in error.facts:
            message = fact_message(fact, error)
            text = f"{fact.title}: {message}\nhint: {fact.hint}"
            self._cases.append(
                Case(fact.title, self._command, "error", fact.title, message, text, file=fact.file, line=fact.line)
            )
        if not error.facts:
            message = error_message(error)
            text = message + (f"\nhint: {error.hint}" if error.hint is not None else "")
            first = message.partition("\n")[0]
            self._cases.append(Case(self._command, self._command, "error", error.code.label, first, text))

    def close(self, code: ExitCode) -> None:
        """Write the file."""
        self._write(self._cases or [Case(self._command, self._command)])

    def _write(self, cases: Sequence[Case]) -> None:
        name = f"dbmigrate {self._command}"
        counts = {
            "tests": str(len(cases)),
            "failures": str(sum(case.outcome == "failure" for case in cases)),
            "errors": str(sum(case.outcome == "error" for case in cases)),
            "skipped": str(sum(case.outcome == "skipped" for case in cases)),
            "time": f"{self._clock() - self._started_at:.3f}",
        }
        root = ElementTree.Element("testsuites", {"name": name, **counts})
        suite = ElementTree.SubElement(root, "testsuite", {"name": name, **counts, "timestamp": self._timestamp})
        for case in cases:
            self._add(suite, case)
        ElementTree.indent(root)
        text = ElementTree.tostring(root, encoding="unicode")
        write_report(self._file, "w", f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n')

    def _add(self, suite: ElementTree.Element, case: Case) -> None:
        attributes = {"name": case.name, "classname": f"dbmigrate.{case.group}", "time": f"{case.seconds:.3f}"}
        if case.file is not None:
            attributes["file"] = self._paths.find(case.file) or case.file
            if case.line is not None:
                attributes["line"] = str(case.line)
        element = ElementTree.SubElement(suite, "testcase", _clean_all(attributes))
        if case.outcome == "skipped":
            ElementTree.SubElement(element, "skipped", _clean_all({"message": case.message}))
        elif case.outcome != "passed":
            why = ElementTree.SubElement(
                element, case.outcome, _clean_all({"type": case.type, "message": case.message})
            )
            why.text = _clean(case.text)
        if case.printed:
            ElementTree.SubElement(element, "system-out").text = _FORBIDDEN.sub("", case.printed)


def cases_of(report: AnyReport, command: str) -> list[Case]:
    """Return the test cases of an answer; one that stands for the command where there is nothing to count."""
    match report:
        case CheckReport():
            return list(_check_cases(report))
        case RunReport():
            return [_database_case(database, command) for database in report.run.databases]
        case VerifyReport():
            return [_verified_case(database, report.pending[database.alias]) for database in report.databases]
        case _:
            return [Case(command, command)]


def _check_cases(report: CheckReport) -> Iterator[Case]:
    failing = set(report.failing)
    for identifier in report.checks:
        found = [finding for finding in report.findings if finding.id == identifier]
        yield from _finding_cases(identifier, found, failing)
    for linted in report.lint.linted if report.lint is not None else ():
        for migration in linted.migrations:
            found = [
                finding
                for finding in report.findings
                if is_of_linter(finding.id) and finding.aliases == (linted.alias,) and migration in finding.migrations
            ]
            yield from _finding_cases(f"squawk {migration} on {linted.alias}", found, failing)
    for entry in report.lint.not_linted if report.lint is not None else ():
        for migration in entry.migrations:
            yield Case(f"squawk {migration} on {entry.alias}", "check", "skipped", message=entry.because)
    for not_run in report.not_run:
        yield Case(not_run.id, "check", "skipped", message=not_run.because)
    for database in report.not_checked:
        message = describe_silence(database.alias, database.trouble, database.error)
        yield Case(f"database {database.alias}", "check", "error", "unreachable", message, message)
    for alias, migrations in (report.pending or {}).items():
        message = f"{words.plural(len(migrations), 'migration')} pending" if migrations else ""
        outcome: CaseOutcome = "failure" if migrations else "passed"
        yield Case(f"pending on {alias}", "check", outcome, "pending", message, "\n".join(migrations))


def _finding_cases(name: str, found: Sequence[Finding], failing: set[Finding]) -> Iterator[Case]:
    """Give a case for each finding that fails, or one that passed; what does not fail is printed by the first."""
    printed = "\n".join(
        f"{finding.level}: {finding.sentence}\nhint: {finding.hint}" for finding in found if finding not in failing
    )
    wrong = [finding for finding in found if finding in failing]
    if not wrong:
        yield Case(name, "check", printed=printed)
    seen: Counter[str] = Counter()
    for number, finding in enumerate(wrong):
        # One of several needs a name of its own: servers tell cases apart by it.
        own = name if len(wrong) == 1 else f"{name} {finding.location}".rstrip()
        seen[own] += 1
        yield Case(
            own if seen[own] == 1 else f"{own} ({seen[own]})",
            "check",
            "failure",
            finding.id,
            finding.message,
            f"{finding.level}: {finding.sentence}\nhint: {finding.hint}",
            printed if number == 0 else "",
            file=finding.file,
            line=finding.line,
        )


def _verified_case(database: VerifiedDatabase, pending: Sequence[MigrationId]) -> Case:
    if database.error is not None:
        message = describe_silence(database.alias, database.trouble, database.error)
        return Case(database.alias, "verify", "error", "unreachable", message, message)
    drift = verify_words.drift_sentences(database)
    if drift:
        return Case(database.alias, "verify", "failure", "drift", verify_words.drift(database), "\n".join(drift))
    if pending:
        message = f"{words.plural(len(pending), 'migration')} pending"
        return Case(database.alias, "verify", "failure", "pending", message, "\n".join(pending))
    return Case(database.alias, "verify")


def _database_case(database: DatabaseResult, command: str) -> Case:
    outcomes: dict[str, CaseOutcome] = {"failed": "failure", "interrupted": "error", "not-run": "error"}
    outcome = outcomes.get(database.status, "skipped" if database.status == "skipped" else "passed")
    failure = database.failure
    sentence = run_words.database_sentence(database)
    if outcome == "passed" and database.without_table:
        outcome, sentence = "failure", run_words.without_table(database)
    return Case(
        database.alias,
        command,
        outcome,
        failure.kind if failure is not None else database.status,
        f"{sentence}: {failure.message}" if failure is not None else sentence,
        "\n".join(failure_words.failure_lines(database, failure)) if failure is not None else sentence,
        sentence if outcome == "passed" else "",
        database.seconds,
        failure.file if failure is not None else None,
        failure.line if failure is not None else None,
    )


def _clean_all(attributes: dict[str, str]) -> dict[str, str]:
    return {name: _clean(value) for name, value in attributes.items()}


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("", encodable(text))
