"""What `check` and `verify` found on a page."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dbmigrate.renderers import answer_words, verify_words, words
from dbmigrate.renderers.page import Page
from dbmigrate.renderers.sheet import Cell, Table

if TYPE_CHECKING:
    # A run has nothing to do with the answers of the other commands, and need not load them.
    from dbmigrate.models.reports import CheckReport, LintReport, Repair, VerifyReport
    from dbmigrate.models.verification import VerifiedDatabase


def show_check(page: Page, report: CheckReport) -> None:
    """Write what `check` found, and what it did not look at."""
    if page.verbosity >= 0:
        page.project(report.project)
    page.findings(report.findings)
    page.errors(report)
    if report.lint is not None:
        _show_lint(page, report.lint)
    for reason in dict.fromkeys(entry.because for entry in report.not_run):
        ids = ", ".join(entry.id for entry in report.not_run if entry.because == reason)
        page.line(f"not run ({reason}): {ids}", "dim")
    if page.verbosity >= 0 or report.exit_code:
        page.line(answer_words.check_verdict(report), "red" if report.exit_code else "green")


def _show_lint(page: Page, lint: LintReport) -> None:
    for entry in lint.not_linted:
        page.line(f"not linted: {page.names(entry.migrations)} on {entry.alias}: {entry.because}", "yellow")
    if page.verbosity >= 0:
        for linted in lint.linted:
            page.line(f"linted: {words.plural(len(linted.migrations), 'migration')} on {linted.alias}", "dim")
        if not lint.linted:
            page.line("nothing to lint: no PostgreSQL database has pending migrations", "dim")


def show_verified(page: Page, report: VerifyReport) -> None:
    """Write where databases, records and code differ, and how to fix it."""
    if page.verbosity >= 0:
        page.project(report.project)
        table = Table("database", "recorded and there", "not routed here", "pending", "drift")
        for database in report.databases:
            is_known = database.error is None and database.inconsistent is None
            drift = verify_words.drift(database)
            table.add_row(
                Cell(database.alias),
                Cell(str(database.count("there")) if is_known else "?"),
                Cell(str(database.count("not-here")) if is_known else "?"),
                Cell(str(len(report.pending[database.alias])) if is_known else "?"),
                Cell(drift, style="red" if database.error or database.has_drift else "green"),
            )
        page.sheet.table(table)
    page.findings(report.findings)
    page.errors(report)
    if page.verbosity > 0:
        for database in report.databases:
            _show_verified_database(page, database)
    if report.repairs is not None:
        _show_repairs(page, report.repairs)
    if page.verbosity >= 0 or report.exit_code:
        page.line(verify_words.verify_verdict(report), "red" if report.exit_code else "green")
    hint = verify_words.repair_hint(report)
    if hint is not None:
        page.hint(hint, "hint: ")


def _show_verified_database(page: Page, database: VerifiedDatabase) -> None:
    for migration in database.migrations:
        if migration.outcome == "pending-not-here":
            continue  # every other app of the project
        page.line(f"{database.alias}: {migration.id}: {verify_words.outcome(migration)}", "dim")
    for record in database.leftover:
        page.line(f"{database.alias}: {record.id}: recorded, but no longer in the code (harmless)", "dim")


def _show_repairs(page: Page, repairs: Sequence[Repair]) -> None:
    for repair in repairs:
        page.title(f"{repair.alias}, {repair.about}: {repair.why}")
        for note in repair.notes:
            page.line(note)
        if repair.statements:
            page.line(f"{shlex.join(repair.shell)} <<'SQL'", is_copied=True)
            for statement in repair.statements:
                page.sheet.statement(statement)
            page.line("SQL", is_copied=True)
        for command in repair.commands:
            page.line(command, is_copied=True)
    if repairs:
        page.line()
