"""The use cases that only answer: `plan`, `status`, `info` and `wait`."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Literal

from dbmigrate.commands.basis import read_basis
from dbmigrate.commands.review import (
    CommandContext,
    Review,
    ReviewOptions,
    find_stops,
    review,
    review_or_refuse,
    review_patiently,
)
from dbmigrate.errors import ExitCode, ModelChangesError, ProjectError, UnreachableError, UsageError
from dbmigrate.listing import listed
from dbmigrate.models.events import Event
from dbmigrate.models.plan import MakeMigrations, Refusal, ShownPlan, Step
from dbmigrate.models.reports import (
    ExplainReport,
    InfoReport,
    PlanReport,
    RoutesReport,
    StatusReport,
    StepSql,
    WaitReport,
)
from dbmigrate.models.selection import Selection
from dbmigrate.models.sql import MigrationSql
from dbmigrate.models.target import Choice
from dbmigrate.nearest import nearest
from dbmigrate.planning.answers import (
    describe_info,
    describe_model,
    describe_routes,
    describe_status,
    describe_wait,
    only_about,
)
from dbmigrate.planning.basis import save_plan
from dbmigrate.planning.preflight import describe_stop, find_unwritable
from dbmigrate.planning.room import find_refusal
from dbmigrate.planning.selection import check_names
from dbmigrate.running.fork import describe_launcher


def plan(
    work: CommandContext,
    selection: Selection,
    *,
    sql: bool,
    graph: Literal["mermaid", "dot"] | None,
    is_saved: bool = False,
) -> Generator[Event, None, PlanReport]:
    """Answer what `all` or `run` would do, refusals included.

    `is_saved`: whether the plan is to be applied later, so that it has to hold what its migrations run.
    A database that takes no writes is part of the answer, a role that may not do what is pending, and one that has no
    connection for the lock.
    """
    reviewed = yield from review_or_refuse(
        work, selection, ReviewOptions(changes="compared", phases="shown"), is_run=False
    )
    refusal, refused_with = _find_refusal(work, reviewed)
    statements = None
    if sql:
        statements = tuple(
            StepSql(step=step.id, alias=step.alias, migrations=read_sql(work, step, reviewed.plan.make))
            for step in reviewed.plan.steps
        )
    return PlanReport(
        project=reviewed.snapshot.project,
        plan=_with_basis(work, reviewed, is_saved=is_saved),
        boot_seconds=work.host.boot_seconds,
        launcher=_launcher(work, reviewed, is_needed=not reviewed.plan.is_empty).value,
        sql=statements,
        graph=graph,
        refusal=refusal,
        refused_with=refused_with,
    )


def _with_basis(work: CommandContext, reviewed: Review, *, is_saved: bool) -> ShownPlan:
    """Return the plan with what it was made from, and its digest; without them if it writes migrations first.

    Raises:
        DbmigrateError: it is to be saved, and that cannot be asked.
    """
    shown = reviewed.shown
    if shown.make is not None:
        return shown
    try:
        basis = read_basis(work, reviewed, statements=is_saved).basis
    except (ProjectError, UnreachableError):
        if is_saved:
            raise
        return shown
    return shown.model_copy(update={"basis": basis, "digest": save_plan(shown, basis).digest})


def check_saved(plan: ShownPlan) -> None:
    """Do nothing if a plan can be applied later.

    Raises:
        ModelChangesError: it would write migrations, and nobody has read those.
    """
    if plan.make is not None:
        raise ModelChangesError(
            f"this plan cannot be applied later: models of {listed(plan.make.apps)} changed and have no migrations yet",
            hint=f"dbmigrate make {' '.join(plan.make.apps)}, commit the result and save the plan again; or pass "
            "--skip-makemigrations",
            changed=False,
        )


def _find_refusal(work: CommandContext, reviewed: Review) -> tuple[Refusal | None, ExitCode]:
    """Return why a run of a plan would be refused although it can be shown, and its exit code then."""
    unwritable = find_unwritable(reviewed.snapshot, reviewed.routing, reviewed.plan)
    if unwritable is not None:
        return unwritable, ExitCode.UNREACHABLE
    stopping = describe_stop(find_stops(reviewed))
    if stopping is not None or reviewed.plan.is_empty:
        return stopping, ExitCode.FINDINGS
    crowded = find_refusal(reviewed.snapshot, reviewed.plan.targeted, work.settings.lock_url)
    return crowded, ExitCode.LOCKED if crowded is not None else ExitCode.FINDINGS


def read_sql(work: CommandContext, step: Step, make: MakeMigrations | None) -> tuple[MigrationSql, ...]:
    """Return the statements of a step's migrations, in their order; none for those that are only recorded.

    `make`: what writes those of them first that are not written yet.
    """
    does = [migration for migration in step.migrations if migration.does]
    foreseen = make.apps if make is not None else ()
    read = {found.id: found for found in work.host.sql(step.alias, does, step.scope, foreseen)} if does else {}
    return tuple(
        read.get(migration.id) or MigrationSql(id=migration.id, statements=(), problem=None)
        for migration in step.migrations
    )


def status(
    work: CommandContext, databases: Sequence[str] = (), apps: Sequence[str] = (), *, migrations: bool
) -> Generator[Event, None, StatusReport]:
    """Answer how every database stands, or those that are named, with all apps or those that are named.

    One that does not answer is part of the answer.

    Raises:
        UsageError: a database or an app that is not there.
    """
    reviewed = yield from review_patiently(
        work,
        Selection(make_migrations=False),
        ReviewOptions(records=migrations or bool(apps), phases="shown"),
        all_of_them=True,
    )
    check_names(reviewed.snapshot, databases, apps)
    report = describe_status(
        reviewed.snapshot, reviewed.routing, reviewed.plan, reviewed.findings, apps=apps, migrations=migrations
    )
    return only_about(report, databases, apps)


def wait(work: CommandContext, selection: Selection) -> Generator[Event, None, WaitReport]:
    """Wait until every database answers that is to be migrated, as long as the settings say."""
    started_at = work.clock()
    reviewed = yield from review_patiently(work, selection, ReviewOptions())
    return describe_wait(reviewed.snapshot, reviewed.routing, selection, seconds=work.clock() - started_at)


def info(work: CommandContext, output: Choice) -> Generator[Event, None, InfoReport]:
    """Answer what the project is, how it was found, and what belongs where; `output`: the format of what is shown."""
    reviewed = yield from review_patiently(work, Selection(make_migrations=False), ReviewOptions(), all_of_them=True)
    launcher = _launcher(work, reviewed, is_needed=True)
    return describe_info(
        reviewed.snapshot,
        reviewed.routing,
        reviewed.plan,
        reviewed.findings,
        work.settings,
        work.target,
        {"launcher": launcher, "format": output},
    )


def _launcher(work: CommandContext, reviewed: Review, *, is_needed: bool) -> Choice:
    """Return how the next run would start its steps, which may differ once the URLs are imported.

    `is_needed`: whether there is a step that they have to be imported for. They are not where an SQLite file is not
    there: URLs that ask the database at import would make it.
    """
    is_absent = any(database.state == "absent" for database in reviewed.snapshot.databases)
    return describe_launcher(work.host, work.settings.launcher, warm_up=is_needed and not is_absent)


def show_routes(work: CommandContext) -> RoutesReport:
    """Answer what the routers say of every app on every database."""
    reviewed = review(work, Selection(make_migrations=False), ReviewOptions())
    return describe_routes(reviewed.snapshot, reviewed.routing)


def explain(work: CommandContext, model: str) -> ExplainReport:
    """Answer where one model ("label.Model") belongs, and which router says so.

    Raises:
        UsageError: there is no such model.
    """
    reviewed = review(work, Selection(make_migrations=False), ReviewOptions())
    asked = work.host.explain(model)
    if asked is None:
        names = [f"{app.label}.{own.name}" for app in reviewed.snapshot.apps for own in app.models]
        raise UsageError(f"there is no model {model}", hint=nearest(model.lower(), names, what="models"))
    return describe_model(asked, reviewed.snapshot, reviewed.routing)
