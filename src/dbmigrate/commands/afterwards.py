"""After the steps: end what they left on servers, ask the databases what became of them, and make the result of it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from dbmigrate.commands.review import CommandContext, Review
from dbmigrate.errors import DbmigrateError, PartialError, ProjectError, UnreachableError
from dbmigrate.models.check_ids import MISSING_TABLES
from dbmigrate.models.database import Database
from dbmigrate.models.migrations import MigrationId
from dbmigrate.models.plan import MigrationPlan, Step
from dbmigrate.models.result import LostLock, OperationTrace, RunResult, StepResult
from dbmigrate.models.selection import Selection
from dbmigrate.models.snapshot import Snapshot
from dbmigrate.planning.lacking_tables import with_lacking_tables
from dbmigrate.planning.outcome import build_result, unasked, with_locations, with_spawned, with_traces
from dbmigrate.project.booted import SILENCE_SECONDS
from dbmigrate.running.process import SpawnLauncher
from dbmigrate.running.stopping import Stops

ORPHAN_SECONDS = 1.0
"""How long a server may take to end the statements of steps that have been ended."""


@dataclass(frozen=True)
class Run:
    """What was run."""

    selection: Selection
    reviewed: Review
    """From before the steps."""
    written: tuple[str, ...]
    """Migrations that makemigrations wrote."""
    results: Sequence[StepResult]
    stops: Stops
    started_at: float
    lost_locks: Sequence[LostLock] = ()


def find_result(work: CommandContext, run: Run) -> RunResult:
    """Return what became of a run.

    After a signal a project that does not answer in time hides nothing: then it is told what the steps have said.

    Raises:
        PartialError: the databases could not be asked, and no signal came.
    """
    busy = _end_orphans(work, run)
    plan, before = run.reviewed.plan, run.reviewed.snapshot
    after = _ask(work, run) if run.results else before
    settings, routing = work.settings, run.reviewed.routing
    counts = not run.selection.fake and MISSING_TABLES not in settings.ignore
    result = build_result(
        plan,
        run.results,
        before,
        after,
        written=run.written,
        signal=run.stops.signum,
        seconds=work.clock() - run.started_at,
        expects_table=lambda database, model: counts and routing.has(database, model),
        busy=busy,
        lost_locks=run.lost_locks,
    )
    backwards = _backwards(plan)
    result = with_lacking_tables(result, plan, after)
    if isinstance(work.launcher, SpawnLauncher):
        result = with_spawned(result)
    result = with_traces(result, lambda alias, migration: _trace(work, alias, migration, backwards))
    return with_locations(result, lambda migration: _locate(work, migration))


def is_undone(work: CommandContext, database: Database | None, step: Step, migration: MigrationId) -> bool:
    """Return whether a database has nothing of a migration that failed in a step; False if nobody can say."""
    planned = next((one for one in step.migrations if one.id == migration), None)
    if planned is None or database is None:
        return False
    try:
        if work.host.is_recorded(step.alias, migration) != planned.backwards:
            return False
        if database.transactional_ddl:
            return True
        return not planned.backwards and not any(one.is_there for one in work.host.trace(step.alias, migration))
    except DbmigrateError:
        return False


def _end_orphans(work: CommandContext, run: Run) -> Collection[str]:
    """End statements of steps that did not come to their end; return the databases on which that is not certain.

    Before the databases are asked: MySQL continues with a statement whose client is gone, and may be half way in it.
    """
    aliases = {result.alias for result in run.results if result.alias is not None and result.status in _CUT_SHORT}
    if not aliases:
        return ()
    try:
        return aliases & {*work.host.end_orphans(ORPHAN_SECONDS)}
    except (ProjectError, UnreachableError):
        return aliases


_CUT_SHORT = ("interrupted", "failed")


def _ask(work: CommandContext, run: Run) -> Snapshot:
    try:
        # Not for as long as --wait says: these have been reached.
        return work.host.inspect(afterwards=True, seconds=SILENCE_SECONDS)
    except ProjectError as error:
        if run.stops.signum is not None:
            late = "no answer arrived in the time left after the signal"
            return unasked(run.reviewed.snapshot, late if work.host.is_given_up else error.message)
        ended = ", ".join(f"{result.id}: {result.status}" for result in run.results)
        raise PartialError(
            f"the databases could not be checked after the run ({error.message}); the processes ended: {ended}",
            hint="check them with: dbmigrate status",
            detail=error.detail,
        ) from error


def _backwards(plan: MigrationPlan) -> Collection[MigrationId]:
    return {migration.id for step in plan.steps for migration in step.migrations if migration.backwards}


def _trace(
    work: CommandContext, alias: str, migration: MigrationId, backwards: Collection[MigrationId]
) -> Sequence[OperationTrace]:
    """Return what is left of a failed migration; nothing where it was to be undone, or the database is gone."""
    if migration in backwards:
        return ()
    try:
        return work.host.trace(alias, migration)
    except (ProjectError, UnreachableError):
        return ()


def _locate(work: CommandContext, migration: MigrationId) -> tuple[str, int | None] | None:
    """Return file and line of a migration; None where they cannot be found."""
    try:
        return work.host.locate([("migration", migration)])[0]
    except ProjectError:
        return None
