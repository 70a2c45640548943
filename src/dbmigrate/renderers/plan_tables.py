"""A plan and its SQL on a page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dbmigrate.listing import MANY
from dbmigrate.models.basis import DIGEST_CHARACTERS
from dbmigrate.models.findings import Finding
from dbmigrate.models.migrations import label_of
from dbmigrate.models.plan import MigrationPlan, Step
from dbmigrate.models.snapshot import Project
from dbmigrate.renderers import plan_words, words
from dbmigrate.renderers.page import LEVEL_STYLES, Page

if TYPE_CHECKING:
    # A run has nothing to do with the answers of the other commands, and need not load them.
    from dbmigrate.models.reports import PlanReport, StepSql


MOST_LISTED = 12
"""Migrations of a step that are named; of more, only the apps are, unless `-v` is given."""


def show_plan(page: Page, report: PlanReport) -> None:
    """Write the steps of a plan, its warnings, and why the other databases have no step."""
    plan = report.plan
    page.project(report.project)
    if report.refusal is not None:
        ends = f"a run of this plan ends with {report.refused_with}"
        page.line(f"warning: {report.refusal.message}; {ends}", LEVEL_STYLES["warning"])
        page.hint(report.refusal.hint)
    page.findings(plan.warnings(report.refusal.message if report.refusal is not None else ""))
    for need in plan.needed_elsewhere[:MANY]:
        sentence, hint = plan_words.left_out(need)
        page.line(f"warning: {sentence}", LEVEL_STYLES["warning"])
        page.hint(hint)
    if plan.make is not None:
        page.title(f"First: {report.project.command_line(*plan.make.arguments)}")
        for change in plan.make.changes:
            for operation in change.operations:
                page.line(f"  {change.app}: {operation}")
            homes = [database.alias for database in plan.databases if change.app in database.apps]
            page.line(f"  {change.app}: its new migration goes to {page.names(homes) or 'no database'}")
    elif plan.selection.writes_migrations:
        page.line("No changes detected")
    if plan.steps:
        at_once = f", up to {plan.jobs} databases at once" if plan.jobs > 1 else ""
        page.title(f"{words.plural(len(plan.steps), 'step')}{at_once}")
    for number, step in enumerate(plan.steps, 1):
        _show_step(
            page, number, step, report.project, [finding for finding in plan.findings if finding.level == "note"]
        )
    for sentence in plan_words.needs(plan):
        page.line(f"  {sentence}")
    _show_phases(page, plan)
    if plan.losses:
        page.line()
        page.line(plan_words.guard(plan), "yellow")
    if not plan.is_empty:
        page.line()
        page.limits(plan.limits)
        page.line(plan_words.cost(plan, report.boot_seconds, report.launcher), "dim")
    receivers = next((step.because for step in plan.steps if step.reason == "receivers"), ())
    if receivers:
        page.line(plan_words.saving(receivers), "dim")
    skipped = [database for database in plan.databases if database.skip not in (None, "not-selected")]
    if skipped:
        page.title("No step for")
    for group in page.alike(skipped, plan_words.planned_skip):
        page.line(f"  {words.names([database.alias for database in group])}: {plan_words.planned_skip(group[0])}")
    unopposed = [entry for entry in plan.databases if entry.unopposed and entry.is_targeted]
    if unopposed:
        page.title("Not created: no router claims these models here")
    for database in unopposed:
        page.line(f"  {database.alias}: {words.plural(database.unopposed, 'model')}")
    _show_constance(page, plan)
    if plan.is_empty:
        page.line()
        is_everything = plan.selection.is_everything
        if any(database.later for database in plan.databases):
            page.line(plan_words.nothing_for_phase(plan), "green")
            return
        page.line(plan_words.nothing_pending(plan.databases, plan.limits, is_everything=is_everything), "green")
    elif plan.digest is not None:
        page.line()
        uncovered = plan_words.uncovered(plan)
        if uncovered:
            page.line(uncovered, LEVEL_STYLES["warning"])
        page.line(f"Digest: {plan.digest[:DIGEST_CHARACTERS]}", is_copied=True)


def _show_phases(page: Page, plan: MigrationPlan) -> None:
    """Write which databases take everything at once, and what a phase leaves to the other one."""
    if plan.selection.phase is None:
        return
    for alias in plan.at_once:
        page.line(f"  {plan_words.at_once(alias)}")
    later = plan_words.later(plan)
    if later:
        page.title(plan_words.LATER)
    for line in later:
        page.line(f"  {line}")


def _show_step(page: Page, number: int, step: Step, project: Project, notes: Sequence[Finding]) -> None:
    after = f" (after {page.names(step.after)})" if step.after else ""
    page.line(f"  {number}. {step.id}: {plan_words.work(step)}{after}", "bold")
    page.line(f"     {project.command_line(*step.arguments)}", "dim", is_copied=True)
    if step.scope is not None:
        page.line("     with a guard router that blocks apps not routed here", "dim")
    is_short = len(step.migrations) > MOST_LISTED and page.verbosity < 1
    if is_short:
        apps = Counter(label_of(migration.id) for migration in step.migrations)
        page.line("     " + ", ".join(f"{label} {count}" for label, count in apps.items()) + "  (-v lists them)")
        unwritten = [migration.id for migration in step.migrations if not migration.is_written]
        if unwritten:
            page.line(f"     not written yet: {', '.join(unwritten)}")
    for migration in step.migrations:
        if not is_short:
            page.line(
                f"     {migration.id}{plan_words.note(migration, explains=page.verbosity >= 1)}",
                "" if migration.does else "dim",
            )
        for finding in notes:
            if step.alias in finding.aliases and migration.id in finding.migrations:
                page.line(f"       ! {finding.sentence}", LEVEL_STYLES["warning" if finding.destroys else "note"])
    _show_undoing(page, step)


def _show_undoing(page: Page, step: Step) -> None:
    is_real = "--fake" not in step.arguments
    if is_real and any(migration.backwards and migration.does for migration in step.migrations):
        page.line(f"       {plan_words.UNDOING}", "yellow")


def _show_constance(page: Page, plan: MigrationPlan) -> None:
    if plan.constance is None:
        return
    state = "pending" if plan.constance.pending else "up to date"
    page.line()
    page.line(f"Constance: app {plan.constance.label} on {page.names(plan.constance.aliases)}, {state}")


def show_sql(page: Page, sql: Sequence[StepSql]) -> None:
    """Write the statements of each migration, to be copied."""
    for step in sql:
        for migration in step.migrations:
            page.line(f"-- database {step.alias}, migration {migration.id}", "bold", is_copied=True)
            if migration.problem is not None:
                page.line(
                    f"-- {migration.why_not}",
                    is_copied=True,
                )
            for statement in migration.statements:
                page.sheet.statement(statement)
            if not migration.statements and migration.problem is None:
                page.line("-- (only recorded)")
            page.line()
