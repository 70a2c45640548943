"""What `info` and `info --explain` say of a project on a page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dbmigrate.renderers import answer_words
from dbmigrate.renderers.page import Page
from dbmigrate.renderers.sheet import Cell, Table
from dbmigrate.renderers.status_tables import kind_words

if TYPE_CHECKING:
    # A run has nothing to do with the answers of the other commands, and need not load them.
    from dbmigrate.models.reports import ExplainReport, InfoReport, RoutedApp, SettingOrigin


def show_info(page: Page, report: InfoReport) -> None:
    """Write what dbmigrate knows of a project and where each value comes from."""
    page.project(report.project)
    page.title("Project")
    _show_origins(page, report.choices)
    page.line(f"  root: {report.root}; working directory: {report.working_directory}")
    page.title("Configuration")
    _show_origins(page, report.configuration)
    page.title("Databases")
    for database in report.databases:
        apps = ", ".join(database.apps) or "no app"
        page.line(f"  {database.alias} ({kind_words(database)}, {database.server or database.state}): {apps}")
        page.line(f"     {database.name}", "dim")
    page.title("Routers")
    for router in report.routers:
        page.line(f"  {router.name}" + ("" if router.has_allow_migrate else " (no allow_migrate)"))
    if not report.routers:
        page.line("  none")
    for rule in report.rules:
        page.line(f"  {rule.source}: {rule.app} -> {rule.alias}")
    page.title("Apps")
    show_routes(page, report.routes)
    page.title("Who owns the apps")
    _show_owners(page, report.routes)
    for receiver in report.receivers:
        page.line(f"{receiver.signal} receiver: {receiver.name}")
    for command, module in report.replaced_commands.items():
        page.line(f"{command} is replaced by {module}")
    if report.constance is not None:
        page.line(f"constance keeps its values in a database: app {report.constance}")
    page.findings(report.findings)


def show_explained(page: Page, report: ExplainReport) -> None:
    """Write on which databases a model belongs, and what each router answered."""
    page.line(f"{report.model} (table {report.table}): where does it belong?", "bold")
    for database in report.databases:
        page.title(f"{database.alias}: {answer_words.belonging(database)}")
        for answer in database.answers:
            error = f": {answer.error}" if answer.error is not None else ""
            page.line(f"  {answer.router}: {answer_words.ROUTER_WORDS[answer.answer]}{error}")
        if not database.answers:
            page.line("  there is no router")


def _show_origins(page: Page, rows: Sequence[SettingOrigin]) -> None:
    for row in rows:
        value = _value(row)
        is_told = value is not None or row.origin != "default"
        page.line(f"  {row.key}{': not set' if value is None else f' = {value}'}" + f"  ({row.origin})" * is_told)


def _show_owners(page: Page, routes: Sequence[RoutedApp]) -> None:
    grouped: dict[tuple[bool, str], list[str]] = {}
    for route in routes:
        grouped.setdefault((route.is_own, route.why), []).append(route.label)
    for (is_own, why), labels in sorted(grouped.items(), key=lambda entry: not entry[0][0]):
        page.line(f"  {'own' if is_own else 'third-party'}, {why}: {', '.join(labels)}")


def show_routes(page: Page, routes: Sequence[RoutedApp]) -> None:
    """Write where the apps belong, and what the routers say of them."""
    aliases = list(routes[0].answers) if routes else []
    table = Table("app", "belongs on", *aliases)
    for route in routes:
        belongs = page.names(route.aliases) if route.has_migrations else "no migrations"
        answers = [route.answers[alias] + ("*" if alias in route.split else "") for alias in aliases]
        table.add_row(Cell(route.label), Cell(belongs), *[Cell(answer) for answer in answers])
    page.sheet.table(table)
    for route in routes:
        for alias, models in route.split.items():
            said = ", ".join(f"{model} {answer}" for model, answer in models.items())
            page.line(f"* {route.label} on {alias}: {said}", "dim")


def _value(row: SettingOrigin) -> str | None:
    match row.value:
        case None | "" | ():
            return None
        case tuple() as names:
            return ", ".join(names)
        case bool() as truth:
            return str(truth).lower()
        case float() as number:
            return f"{number:g}"
        case other:
            return str(other)
