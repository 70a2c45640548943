"""Answers as tables and lists on stdout: the same rows for a terminal and for a log, boxes and colour apart."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from dbmigrate.models.result import DatabaseStatus as RunStatus
from dbmigrate.models.result import RunResult
from dbmigrate.renderers import plan_words, run_words, words
from dbmigrate.renderers.check_tables import show_check, show_verified
from dbmigrate.renderers.graphs import GRAPHS
from dbmigrate.renderers.info_tables import show_explained, show_info, show_routes
from dbmigrate.renderers.page import Page
from dbmigrate.renderers.plan_tables import show_plan, show_sql
from dbmigrate.renderers.sheet import Cell, Table
from dbmigrate.renderers.status_tables import show_status, show_wait

if TYPE_CHECKING:
    # A run has nothing to do with the answers of the other commands, and need not load them.
    from dbmigrate.models.reports import AnyReport, MakeReport, SquashReport


STATUS_STYLES: dict[RunStatus, str] = {
    "migrated": "green",
    "unchanged": "dim",
    "ran": "yellow",
    "skipped": "dim",
    "failed": "bold red",
    "interrupted": "yellow",
    "not-run": "yellow",
}


def show_report(page: Page, report: AnyReport) -> None:
    """Write an answer; that of a run was written when it ended."""
    match report.type:
        case "plan":
            if report.graph is not None:
                page.line(GRAPHS[report.graph](report.plan), is_copied=True)
            elif report.sql is not None:
                show_sql(page, report.sql)
            else:
                show_plan(page, report)
        case "status":
            show_status(page, report)
        case "info":
            show_info(page, report)
        case "make":
            _show_made(page, report)
        case "squash":
            _show_squashed(page, report)
        case "routes":
            show_routes(page, report.routes)
        case "explain":
            show_explained(page, report)
        case "check":
            show_check(page, report)
        case "verify":
            show_verified(page, report)
        case "wait":
            show_wait(page, report)
        case "run":
            pass


def show_result(page: Page, result: RunResult) -> None:
    """Write what a run did: a line per database, and the last sentence."""
    table = Table("database", "result", "what", "time")
    shown = [database for database in result.databases if database.skip != "not-selected"]
    for group in page.alike(shown, lambda database: database.status + run_words.database_sentence(database)):
        seconds = max(database.seconds for database in group)
        table.add_row(
            Cell(words.names([database.alias for database in group])),
            Cell(run_words.status(group[0]), style=STATUS_STYLES[group[0].status]),
            Cell(words.printable(run_words.database_sentence(group[0]))),
            Cell(words.longest(seconds, len(group))),
        )
    page.sheet.table(table)
    if not result.exit_code:
        if result.constance is not None:
            page.line(run_words.last_app(result.constance, result), "green")
        receivers = next((database.ran_for for database in result.databases if database.ran_for), ())
        if receivers:
            page.line(plan_words.saving(receivers), "dim")
        page.line(run_words.verdict(result), "green")


def _show_made(page: Page, report: MakeReport) -> None:
    page.findings(report.findings)
    if report.foreign:
        page.line(f"skipped, third-party app: {', '.join(report.foreign)}", "yellow")
        if not report.migrations:
            page.line("No changes detected in the project's own apps")
    for written in report.migrations:
        nowhere = f"no database that was checked{words.extent(report.limits)}" if report.limits else "no database"
        page.line(f"{written.id} goes to {page.names(written.aliases) or nowhere}")
    if report.next_words and not any(finding.stops for finding in report.findings):
        page.line(f"next: dbmigrate {shlex.join(report.next_words)}", is_copied=True)


def _show_squashed(page: Page, report: SquashReport) -> None:
    page.line(f"{', '.join(report.written)} replaces {', '.join(report.replaces)}")
    page.line("next: commit it and deploy it everywhere; only then delete what it replaces and its `replaces` line")
