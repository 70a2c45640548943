"""Answers as tables and lists on stdout: the same rows for a terminal and for a log, boxes and colour apart."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import groupby
from typing import TYPE_CHECKING, TypeVar

from dbmigrate.listing import MANY, listed
from dbmigrate.models.findings import Finding, Level
from dbmigrate.models.plan import MigrationPlan, PlannedDatabase, Step
from dbmigrate.models.result import DatabaseResult, RunResult
from dbmigrate.models.result import DatabaseStatus as RunStatus
from dbmigrate.models.snapshot import UNKNOWN_STATES, Project, Recorded, describe_silence, label_of
from dbmigrate.renderers import answer_words, plan_words, run_words, verify_words, words
from dbmigrate.renderers.failures import failures
from dbmigrate.renderers.graphs import GRAPHS
from dbmigrate.renderers.sheet import Cell, Sheet, Table
from dbmigrate.renderers.wrapping import has_command

if TYPE_CHECKING:
    # A run has nothing to do with the answers of the other commands, and need not load them.
    from dbmigrate.models.reports import (
        AnyReport,
        CheckReport,
        DatabaseStatus,
        ExplainReport,
        InfoReport,
        LintReport,
        MakeReport,
        MigrationStatus,
        PlanReport,
        Repair,
        RoutedApp,
        SettingOrigin,
        SquashReport,
        StatusReport,
        StepSql,
        VerifyReport,
        WaitReport,
    )
    from dbmigrate.models.verification import VerifiedDatabase

MOST_LISTED = 12
"""Migrations of a step that are named; of more, only the apps are, unless `-v` is given."""

CELL_STYLES = {"[X]": "green", "[ ]": "yellow", "(x)": "dim", "?": "red", "": ""}

LEVEL_STYLES: dict[Level, str] = {"error": "bold red", "warning": "yellow", "note": "cyan"}

STATUS_STYLES: dict[RunStatus, str] = {
    "migrated": "green",
    "unchanged": "dim",
    "ran": "yellow",
    "skipped": "dim",
    "failed": "bold red",
    "interrupted": "yellow",
    "not-run": "yellow",
}


Row = TypeVar("Row", PlannedDatabase, DatabaseResult)


class Page:
    """Where answers are written."""

    def __init__(self, sheet: Sheet, *, verbosity: int, now: Callable[[], datetime]) -> None:
        """Write on this sheet; `now` gives aware UTC times."""
        self._now = now
        self._sheet = sheet
        self._verbosity = verbosity

    def show(self, report: AnyReport) -> None:
        """Write an answer; that of a run was written when it ended."""
        match report.type:
            case "plan":
                if report.graph is not None:
                    self._line(GRAPHS[report.graph](report.plan), is_copied=True)
                elif report.sql is not None:
                    self._show_sql(report.sql)
                else:
                    self._show_plan(report)
            case "status":
                self._show_status(report)
            case "info":
                self._show_info(report)
            case "make":
                self._show_made(report)
            case "squash":
                self._show_squashed(report)
            case "routes":
                self._routes(report.routes)
            case "explain":
                self._show_explained(report)
            case "check":
                self._show_check(report)
            case "verify":
                self._show_verified(report)
            case "wait":
                self._show_wait(report)
            case "run":
                pass

    def show_result(self, result: RunResult) -> None:
        """Write what a run did: a line per database, and the last sentence."""
        table = Table("database", "result", "what", "time")
        shown = [database for database in result.databases if database.skip != "not-selected"]
        for group in self._alike(shown, lambda database: database.status + run_words.database_sentence(database)):
            seconds = max(database.seconds for database in group)
            table.add_row(
                Cell(words.names([database.alias for database in group])),
                Cell(run_words.status(group[0]), style=STATUS_STYLES[group[0].status]),
                Cell(words.printable(run_words.database_sentence(group[0]))),
                Cell(words.longest(seconds, len(group))),
            )
        self._sheet.table(table)
        if not result.exit_code:
            if result.constance is not None:
                self._line(run_words.constance(result.constance, result), "green")
            receivers = next((database.ran_for for database in result.databases if database.ran_for), ())
            if receivers:
                self._line(plan_words.saving(receivers), "dim")
            self._line(run_words.verdict(result), "green")

    def _alike(self, databases: Sequence[Row], sentence: Callable[[Row], str]) -> list[list[Row]]:
        """Return the databases in groups: neighbours of one sentence where there are many, else each on its own."""
        is_grouped = len(databases) > MANY and self._verbosity < 1
        return [list(group) for _, group in groupby(databases, lambda row: sentence(row) if is_grouped else row.alias)]

    def _line(self, text: str = "", style: str = "", *, is_copied: bool = False) -> None:
        self._sheet.line(text, style, is_copied=is_copied)

    def _names(self, names: Sequence[str]) -> str:
        return ", ".join(names) if self._verbosity > 0 else listed(names)

    def _title(self, text: str) -> None:
        self._line()
        self._line(text, "bold")

    def _show_plan(self, report: PlanReport) -> None:
        plan = report.plan
        self._line(_project_line(report.project), "dim")
        if report.refusal is not None:
            ends = f"a run of this plan ends with {report.refused_with}"
            self._line(f"warning: {report.refusal.message}; {ends}", LEVEL_STYLES["warning"])
            self._line(f"   hint: {report.refusal.hint}", is_copied=has_command(report.refusal.hint))
        self._findings(plan.warnings(report.refusal.message if report.refusal is not None else ""))
        for need in plan.needed_elsewhere[:MANY]:
            sentence, hint = plan_words.left_out(need)
            self._line(f"warning: {sentence}", LEVEL_STYLES["warning"])
            self._line(f"   hint: {hint}", is_copied=has_command(hint))
        if plan.make is not None:
            self._title(f"First: {report.project.command_line(*plan.make.arguments)}")
            for change in plan.make.changes:
                for operation in change.operations:
                    self._line(f"  {change.app}: {operation}")
                homes = [database.alias for database in plan.databases if change.app in database.apps]
                self._line(f"  {change.app}: its new migration goes to {self._names(homes) or 'no database'}")
        elif plan.selection.writes_migrations:
            self._line("No changes detected")
        if plan.steps:
            at_once = f", up to {plan.jobs} databases at once" if plan.jobs > 1 else ""
            self._title(f"{words.plural(len(plan.steps), 'step')}{at_once}")
        for number, step in enumerate(plan.steps, 1):
            self._show_step(
                number, step, report.project, [finding for finding in plan.findings if finding.level == "note"]
            )
        for sentence in plan_words.needs(plan):
            self._line(f"  {sentence}")
        if plan.losses:
            self._line()
            self._line(plan_words.guard(plan), "yellow")
        if not plan.is_empty:
            self._line()
            self._limits(plan.limits)
            self._line(plan_words.cost(plan, report.boot_seconds, report.launcher), "dim")
        receivers = next((step.because for step in plan.steps if step.reason == "receivers"), ())
        if receivers:
            self._line(plan_words.saving(receivers), "dim")
        skipped = [database for database in plan.databases if database.skip not in (None, "not-selected")]
        if skipped:
            self._title("No step for")
        for group in self._alike(skipped, plan_words.planned_skip):
            self._line(f"  {words.names([database.alias for database in group])}: {plan_words.planned_skip(group[0])}")
        unopposed = [entry for entry in plan.databases if entry.unopposed and entry.is_targeted]
        if unopposed:
            self._title("Not created: no router claims these models here")
        for database in unopposed:
            self._line(f"  {database.alias}: {words.plural(database.unopposed, 'model')}")
        self._show_constance(plan)
        if plan.is_empty:
            self._line()
            is_everything = plan.selection.is_everything
            self._line(plan_words.nothing_pending(plan.databases, plan.limits, is_everything=is_everything), "green")

    def _show_made(self, report: MakeReport) -> None:
        self._findings(report.findings)
        if report.foreign:
            self._line(f"skipped, third-party app: {', '.join(report.foreign)}", "yellow")
            if not report.migrations:
                self._line("No changes detected in the project's own apps")
        for written in report.migrations:
            nowhere = f"no database that was checked{words.extent(report.limits)}" if report.limits else "no database"
            self._line(f"{written.id} goes to {self._names(written.aliases) or nowhere}")
        if report.next_words and not any(finding.stops for finding in report.findings):
            self._line(f"next: dbmigrate {shlex.join(report.next_words)}", is_copied=True)

    def _show_squashed(self, report: SquashReport) -> None:
        self._line(f"{', '.join(report.written)} replaces {', '.join(report.replaces)}")
        self._line(
            "next: commit it and deploy it everywhere; only then delete what it replaces and its `replaces` line"
        )

    def _show_step(self, number: int, step: Step, project: Project, notes: Sequence[Finding]) -> None:
        after = f" (after {self._names(step.after)})" if step.after else ""
        self._line(f"  {number}. {step.id}: {plan_words.work(step)}{after}", "bold")
        self._line(f"     {project.command_line(*step.arguments)}", "dim", is_copied=True)
        if step.scope is not None:
            self._line("     with a guard router that blocks apps not routed here", "dim")
        is_short = len(step.migrations) > MOST_LISTED and self._verbosity < 1
        if is_short:
            apps = Counter(label_of(migration.id) for migration in step.migrations)
            self._line("     " + ", ".join(f"{label} {count}" for label, count in apps.items()) + "  (-v lists them)")
            unwritten = [migration.id for migration in step.migrations if not migration.is_written]
            if unwritten:
                self._line(f"     not written yet: {', '.join(unwritten)}")
        for migration in step.migrations:
            if not is_short:
                self._line(f"     {migration.id}{plan_words.note(migration)}", "" if migration.does else "dim")
            for finding in notes:
                if step.alias in finding.aliases and migration.id in finding.migrations:
                    self._line(f"       ! {finding.sentence}", LEVEL_STYLES["warning" if finding.destroys else "note"])
        self._show_undoing(step)

    def _show_undoing(self, step: Step) -> None:
        is_real = "--fake" not in step.arguments
        if is_real and any(migration.backwards and migration.does for migration in step.migrations):
            self._line("       ! undoing drops the tables and columns they created, with all data in them", "yellow")

    def _show_constance(self, plan: MigrationPlan) -> None:
        if plan.constance is None:
            return
        state = "pending" if plan.constance.pending else "up to date"
        self._line()
        self._line(f"Constance: app {plan.constance.label} on {self._names(plan.constance.aliases)}, {state}")

    def _show_sql(self, sql: Sequence[StepSql]) -> None:
        for step in sql:
            for migration in step.migrations:
                self._line(f"-- database {step.alias}, migration {migration.id}", "bold", is_copied=True)
                if migration.problem is not None:
                    self._line(
                        f"-- {migration.why_not}",
                        is_copied=True,
                    )
                for statement in migration.statements:
                    self._sheet.statement(statement)
                if not migration.statements and migration.problem is None:
                    self._line("-- (only recorded)")
                self._line()

    def _show_status(self, report: StatusReport) -> None:
        if self._verbosity < 0:
            wrong = tuple(database for database in report.databases if _needs_care(database))
            report = report.model_copy(update={"databases": wrong})
        else:
            self._line(_project_line(report.project), "dim")
        notes = [finding for finding in report.findings if finding.level == "note"]
        is_brief = self._verbosity < 1
        self._findings(
            [finding for finding in report.findings if finding not in notes] if is_brief else report.findings
        )
        if report.databases or self._verbosity >= 0:
            self._sheet.table(self._status_table(report))
        for database in report.databases:
            if database.error is not None:
                # Not in the table: a driver's sentence would take the room of all other columns.
                error = words.printable(database.error)
                said = describe_silence(database.alias, database.trouble, error)
                is_skipped = database.is_skipped
                self._line(f"{said}; it is skipped" if is_skipped else said, "dim" if is_skipped else "red")
        self._limits(report.limits)
        if notes and self._verbosity == 0:
            self._line(f"{words.plural(len(notes), 'note')}, shown by dbmigrate check", "dim")
        if report.migrations is not None:
            self._show_migrations(report, report.migrations)

    def _limits(self, limits: Sequence[str]) -> None:
        """Write what was not looked at, so that nobody takes what is shown for all there is."""
        for limit in limits:
            self._line(f"checked: {words.printable(limit)}", "yellow")

    def _status_table(self, report: StatusReport) -> Table:
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
                "kind": Cell(_kind(database), short=database.kind_in_short),
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
                "last applied": self._last_applied(database.last_applied),
            }
            table.add_row(*(cells[heading] for heading in headings))
        return table

    def _last_applied(self, last: Recorded | None) -> Cell:
        if last is None:
            return Cell("")
        if not self._sheet.has_width:
            return Cell(f"{last.id} {words.moment(last.at)}")
        ago = answer_words.ago(last.at, self._now())
        return Cell(f"{last.id}, {ago}", short=ago)

    def _show_migrations(self, report: StatusReport, migrations: Sequence[MigrationStatus]) -> None:
        aliases = [database.alias for database in report.databases]
        silent = [database.alias for database in report.databases if database.state in UNKNOWN_STATES]
        table = Table("migration", *aliases)
        for row in migrations:
            cells = [_cell(row, alias, is_silent=alias in silent) for alias in aliases]
            table.add_row(Cell(f"{row.app}.{row.name}"), *[Cell(cell, style=CELL_STYLES[cell]) for cell in cells])
        self._sheet.table(table)
        legend = "[X] applied   [ ] pending   (x) only recorded, the app does not belong there"
        self._line(legend + ("   ? the database is unreachable" if silent else ""), "dim")

    def _show_check(self, report: CheckReport) -> None:
        if self._verbosity >= 0:
            self._line(_project_line(report.project), "dim")
        self._findings(report.findings)
        self._errors(report)
        if report.lint is not None:
            self._show_lint(report.lint)
        for reason in dict.fromkeys(entry.because for entry in report.not_run):
            ids = ", ".join(entry.id for entry in report.not_run if entry.because == reason)
            self._line(f"not run: {ids}: {reason}", "dim")
        if self._verbosity >= 0 or report.exit_code:
            self._line(answer_words.check_verdict(report), "red" if report.exit_code else "green")

    def _show_lint(self, lint: LintReport) -> None:
        for entry in lint.not_linted:
            self._line(f"not linted: {self._names(entry.migrations)} on {entry.alias}: {entry.because}", "yellow")
        if self._verbosity >= 0:
            for linted in lint.linted:
                self._line(f"linted: {words.plural(len(linted.migrations), 'migration')} on {linted.alias}", "dim")
            if not lint.linted:
                self._line("nothing to lint: no PostgreSQL database has pending migrations", "dim")

    def _show_verified(self, report: VerifyReport) -> None:
        if self._verbosity >= 0:
            self._line(_project_line(report.project), "dim")
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
            self._sheet.table(table)
        self._findings(report.findings)
        self._errors(report)
        if self._verbosity > 0:
            for database in report.databases:
                self._show_verified_database(database)
        if report.repairs is not None:
            self._show_repairs(report.repairs)
        if self._verbosity >= 0 or report.exit_code:
            self._line(verify_words.verify_verdict(report), "red" if report.exit_code else "green")

    def _show_verified_database(self, database: VerifiedDatabase) -> None:
        for migration in database.migrations:
            if migration.outcome == "pending-not-here":
                continue  # every other app of the project
            self._line(f"{database.alias}: {migration.id}: {verify_words.outcome(migration)}", "dim")
        for record in database.leftover:
            self._line(f"{database.alias}: {record.id}: recorded, but no longer in the code (harmless)", "dim")

    def _show_repairs(self, repairs: Sequence[Repair]) -> None:
        for repair in repairs:
            self._title(f"{repair.alias}, {repair.about}: {repair.why}")
            for note in repair.notes:
                self._line(note)
            if repair.statements:
                self._line(f"$ {shlex.join(repair.shell)} <<'SQL'", is_copied=True)
                for statement in repair.statements:
                    self._sheet.statement(statement)
                self._line("SQL", is_copied=True)
            for command in repair.commands:
                self._line(f"$ {command}", is_copied=True)
        if repairs:
            self._line()

    def _show_wait(self, report: WaitReport) -> None:
        self._errors(report)
        if not report.databases:
            self._line("there is no database to wait for; see the kind of each: dbmigrate status")
            return
        answering = [database.alias for database in report.databases if database not in report.silent]
        self._line(
            f"{len(answering)} of {words.plural(len(report.databases), 'database')} reachable"
            + (f": {self._names(answering)}" if answering else "")
        )

    def _show_info(self, report: InfoReport) -> None:
        self._line(_project_line(report.project), "dim")
        self._title("Project")
        self._origins(report.choices)
        self._line(f"  root: {report.root}; working directory: {report.working_directory}")
        self._title("Configuration")
        self._origins(report.configuration)
        self._title("Databases")
        for database in report.databases:
            apps = ", ".join(database.apps) or "no app"
            self._line(f"  {database.alias} ({_kind(database)}, {database.server or database.state}): {apps}")
            self._line(f"     {database.name}", "dim")
        self._title("Routers")
        for router in report.routers:
            self._line(f"  {router.name}" + ("" if router.has_allow_migrate else " (no allow_migrate)"))
        if not report.routers:
            self._line("  none")
        for rule in report.rules:
            self._line(f"  {rule.source}: {rule.app} -> {rule.alias}")
        self._title("Apps")
        self._routes(report.routes)
        self._title("Who owns the apps")
        self._owners(report.routes)
        for receiver in report.receivers:
            self._line(f"{receiver.signal} receiver: {receiver.name}")
        for command, module in report.replaced_commands.items():
            self._line(f"{command} is replaced by {module}")
        if report.constance is not None:
            self._line(f"constance keeps its values in a database: app {report.constance}")
        self._findings(report.findings)

    def _show_explained(self, report: ExplainReport) -> None:
        self._line(f"{report.model} (table {report.table}): where does it belong?", "bold")
        for database in report.databases:
            self._title(f"{database.alias}: {answer_words.belonging(database)}")
            for answer in database.answers:
                error = f": {answer.error}" if answer.error is not None else ""
                self._line(f"  {answer.router}: {answer_words.ROUTER_WORDS[answer.answer]}{error}")
            if not database.answers:
                self._line("  there is no router")

    def _origins(self, rows: Sequence[SettingOrigin]) -> None:
        for row in rows:
            value = _value(row)
            is_told = value is not None or row.origin != "default"
            self._line(f"  {row.key}{': not set' if value is None else f' = {value}'}" + f"  ({row.origin})" * is_told)

    def _owners(self, routes: Sequence[RoutedApp]) -> None:
        grouped: dict[tuple[bool, str], list[str]] = {}
        for route in routes:
            grouped.setdefault((route.is_own, route.why), []).append(route.label)
        for (is_own, why), labels in sorted(grouped.items(), key=lambda entry: not entry[0][0]):
            self._line(f"  {'own' if is_own else 'third-party'}, {why}: {', '.join(labels)}")

    def _routes(self, routes: Sequence[RoutedApp]) -> None:
        aliases = list(routes[0].answers) if routes else []
        table = Table("app", "belongs on", *aliases)
        for route in routes:
            belongs = self._names(route.aliases) if route.has_migrations else "no migrations"
            answers = [route.answers[alias] + ("*" if alias in route.split else "") for alias in aliases]
            table.add_row(Cell(route.label), Cell(belongs), *[Cell(answer) for answer in answers])
        self._sheet.table(table)
        for route in routes:
            for alias, models in route.split.items():
                said = ", ".join(f"{model} {answer}" for model, answer in models.items())
                self._line(f"* {route.label} on {alias}: {said}", "dim")

    def _errors(self, report: AnyReport) -> None:
        for sentence in failures(report):
            self._line(f"error: {words.printable(sentence)}", LEVEL_STYLES["error"])

    def _findings(self, findings: Sequence[Finding]) -> None:
        for finding in findings:
            self._line(f"{finding.level}: {finding.sentence}", LEVEL_STYLES[finding.level])
            self._line(f"   hint: {finding.hint}", is_copied=has_command(finding.hint))


def _project_line(project: Project) -> str:
    return f"{project.settings_module}, Django {project.django_version}, Python {project.python_version}"


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


def _cell(row: MigrationStatus, alias: str, *, is_silent: bool) -> str:
    if alias in row.belongs_on:
        if is_silent:
            return "?"
        return "[X]" if alias in row.applied_on else "[ ]"
    return "(x)" if alias in row.applied_on else ""


def _kind(database: DatabaseStatus) -> str:
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
    if database.only_recorded:
        text += f" ({database.only_recorded} only recorded)"
    return text


def _problems(database: DatabaseStatus) -> str:
    parts = [f"{words.plural(len(database.missing), 'table')} missing"] if database.missing else []
    parts += [f"{database.unknown} unknown to this code"] if database.unknown else []
    return ", ".join(parts) or "none"
