"""What `status` and `wait` found on a page: a line per database, and the migrations of the apps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dbmigrate.models.database import UNKNOWN_STATES, Recorded, describe_silence
from dbmigrate.renderers import answer_words, words
from dbmigrate.renderers.page import Page
from dbmigrate.renderers.sheet import Cell, Table

if TYPE_CHECKING:
    # A run has nothing to do with the answers of the other commands, and need not load them.
    from dbmigrate.models.reports import DatabaseStatus, MigrationStatus, StatusReport, WaitReport


CELL_STYLES = {"[X]": "green", "[ ]": "yellow", "(x)": "dim", "?": "red", "": ""}


def show_status(page: Page, report: StatusReport) -> None:
    """Write the state of each database, and of each migration where that was asked for."""
    if page.verbosity < 0:
        wrong = tuple(database for database in report.databases if _needs_care(database))
        report = report.model_copy(update={"databases": wrong})
    else:
        page.project(report.project)
    notes = [finding for finding in report.findings if finding.level == "note"]
    is_brief = page.verbosity < 1
    page.findings([finding for finding in report.findings if finding not in notes] if is_brief else report.findings)
    if report.databases or page.verbosity >= 0:
        page.sheet.table(_status_table(page, report))
    for database in report.databases:
        if database.error is not None:
            # Not in the table: a driver's sentence would take the room of all other columns.
            error = words.printable(database.error)
            said = describe_silence(database.alias, database.trouble, error)
            is_skipped = database.is_skipped
            page.line(f"{said}; it is skipped" if is_skipped else f"warning: {said}", "dim" if is_skipped else "red")
            if not is_skipped and database.alias in report.cures:
                page.hint(report.cures[database.alias])
    page.limits(report.limits)
    if notes and page.verbosity == 0:
        page.line(f"{words.plural(len(notes), 'note')}, shown by dbmigrate check", "dim")
    if report.migrations is not None:
        _show_migrations(page, report, report.migrations)


def _status_table(page: Page, report: StatusReport) -> Table:
    """Return a line for each database."""
    has_problems = any(database.missing or database.unknown for database in report.databases)
    headings = ["database", "kind", "server", "applied", "pending", *["problems"] * has_problems, "last applied"]
    table = Table(*headings, spare=("server", "applied", "last applied", "kind"))
    for database in report.databases:
        is_up = database.state in ("ok", "absent")
        alarm = "dim" if database.is_skipped else "red"
        silence = Cell(answer_words.silence(database), alarm, short=database.state)
        cells = {
            "database": Cell(database.alias, "" if is_up else alarm),
            "kind": Cell(kind_words(database), short=database.kind_in_short),
            "server": Cell(answer_words.server(database), short=answer_words.short_server(database))
            if is_up
            else silence,
            "applied": Cell(str(database.applied) if is_up else "?"),
            "pending": Cell(
                _pending(database),
                style="yellow" if database.pending else "" if is_up else alarm,
                short=database.state if database.pending is None else str(database.pending),
            ),
            "problems": Cell(_problems(database) if is_up else "?", style="red" if is_up else alarm),
            "last applied": _last_applied(page, database.last_applied),
        }
        table.add_row(*(cells[heading] for heading in headings))
    return table


def _last_applied(page: Page, last: Recorded | None) -> Cell:
    if last is None:
        return Cell("")
    if not page.sheet.has_width:
        return Cell(f"{last.id} {words.moment(last.at)}")
    ago = answer_words.ago(last.at, page.now())
    return Cell(f"{last.id}, {ago}", short=ago)


def _show_migrations(page: Page, report: StatusReport, migrations: Sequence[MigrationStatus]) -> None:
    aliases = [database.alias for database in report.databases]
    silent = [database.alias for database in report.databases if database.state in UNKNOWN_STATES]
    table = Table("migration", *aliases)
    for row in migrations:
        cells = [_cell(row, alias, is_silent=alias in silent) for alias in aliases]
        table.add_row(Cell(f"{row.app}.{row.name}"), *[Cell(cell, style=CELL_STYLES[cell]) for cell in cells])
    page.sheet.table(table)
    legend = "[X] applied   [ ] pending   (x) only recorded, the app does not belong there"
    page.line(legend + ("   ? the database is unreachable" if silent else ""), "dim")


def _cell(row: MigrationStatus, alias: str, *, is_silent: bool) -> str:
    if alias in row.belongs_on:
        if is_silent:
            return "?"
        return "[X]" if alias in row.applied_on else "[ ]"
    return "(x)" if alias in row.applied_on else ""


def kind_words(database: DatabaseStatus) -> str:
    """Return what kind of database it is, and why."""
    if database.because is None or database.stands_for is not None:
        return database.kind_in_short
    return f"{database.kind} ({database.because})"


def _needs_care(database: DatabaseStatus) -> bool:
    """Return whether a database is not as it should be, or nobody knows."""
    is_unknown = database.error is not None and not database.is_skipped
    return bool(database.pending or database.missing or database.unknown) or is_unknown


def _pending(database: DatabaseStatus) -> str:
    if database.pending is None:
        return "?"
    text = str(database.pending)
    notes = [f"{count} {phase}" for phase, count in (database.by_phase or {}).items()]
    notes += [f"{database.only_recorded} only recorded"] if database.only_recorded else []
    return f"{text} ({', '.join(notes)})" if notes else text


def _problems(database: DatabaseStatus) -> str:
    parts = [f"{words.plural(len(database.missing), 'table')} missing"] if database.missing else []
    parts += [f"{database.unknown} unknown to this code"] if database.unknown else []
    return ", ".join(parts) or "none"


def show_wait(page: Page, report: WaitReport) -> None:
    """Write which databases were waited for in vain, and how many are reachable."""
    page.errors(report)
    if not report.databases:
        page.line("there is no database to wait for; see the kind of each: dbmigrate status")
        return
    answering = [database.alias for database in report.databases if database not in report.silent]
    page.line(
        f"{len(answering)} of {words.plural(len(report.databases), 'database')} reachable"
        + (f": {page.names(answering)}" if answering else "")
    )
