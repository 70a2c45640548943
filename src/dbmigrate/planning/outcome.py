"""From what the processes did and what the databases say afterwards to the result of a run. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import dropwhile

from dbmigrate.models.database import Database, SchemaCount
from dbmigrate.models.migrations import MigrationId, label_of
from dbmigrate.models.plan import MigrationPlan, PlannedDatabase, PlannedMigration, Step
from dbmigrate.models.result import (
    DatabaseResult,
    DatabaseStatus,
    Failure,
    FailureKind,
    LostLock,
    OperationTrace,
    RunResult,
    SchemaChange,
    StepFailed,
    StepResult,
)
from dbmigrate.models.snapshot import Snapshot
from dbmigrate.planning.checks.missing_tables import is_drift
from dbmigrate.sentences import one_line


def build_result(
    plan: MigrationPlan,
    results: Sequence[StepResult],
    before: Snapshot,
    after: Snapshot,
    *,
    written: Sequence[MigrationId],
    signal: int | None,
    seconds: float,
    lost_locks: Sequence[LostLock] = (),
    expects_table: Callable[[Database, str], bool] = lambda database, model: True,
    busy: Collection[str] = (),
) -> RunResult:
    """Compare the plan with the databases as they are now: neither a process's code nor its words are trusted.

    Of a database that could not be asked the words are told, and that they are only that. `expects_table`: whether it
    counts that a model (label.model) has no table on a database. `busy`: aliases whose server may still be at work on
    what a step has left.
    """
    by_step = {result.id: result for result in results}
    databases = []
    for planned in plan.databases:
        steps = plan.steps_on(planned.alias)
        database = after.database(planned.alias)
        if steps and database is not None:
            was = before.database(planned.alias)
            is_busy = planned.alias in busy
            databases.append(_Judge(plan, planned, steps, by_step, was, database, is_busy=is_busy).judge())
        else:
            databases.append(_untouched(planned))
        if database is not None and planned.is_targeted:
            without = tuple(model for model in _without_table(plan, database) if expects_table(database, model))
            databases[-1] = databases[-1].model_copy(update={"without_table": without})
    result = RunResult(
        written=tuple(written),
        databases=tuple(databases),
        constance=None,
        signal=signal,
        seconds=seconds,
        is_everything=plan.selection.is_everything,
        later=len({migration.id for planned in plan.databases for migration in planned.later}),
        limits=plan.limits,
        lost_locks=tuple(lost_locks),
    )
    return result.model_copy(update={"constance": _find_last_app(plan, result)})


def unasked(before: Snapshot, reason: str) -> Snapshot:
    """Return the snapshot of databases that could not be asked after a run."""
    said = {"state": "unreachable", "trouble": "silent", "error": reason, "missing": ()}
    return before.model_copy(update={"databases": tuple(one.model_copy(update=said) for one in before.databases)})


def with_traces(result: RunResult, find: Callable[[str, MigrationId], Sequence[OperationTrace]]) -> RunResult:
    """Add to every failure what is left of its migration; `find` looks at a database for the traces of a migration."""
    databases = []
    for database in result.databases:
        failure = database.failure
        if failure is not None and failure.migration in database.remaining:
            traces = tuple(find(database.alias, failure.migration))
            if failure.rolled_back is False or any(trace.is_there for trace in traces):
                failure = failure.model_copy(update={"traces": traces})
        databases.append(database.model_copy(update={"failure": failure}))
    return result.model_copy(update={"databases": tuple(databases)})


def with_spawned(result: RunResult) -> RunResult:
    """Mark the failures of processes that ran the project's main anew and did not get to a migration."""
    databases = []
    for database in result.databases:
        failure = database.failure
        if failure is not None and failure.kind == "command" and failure.migration is None and not database.applied:
            failure = failure.model_copy(update={"is_spawned": True})
        databases.append(database.model_copy(update={"failure": failure}))
    return result.model_copy(update={"databases": tuple(databases)})


def with_locations(result: RunResult, locate: Callable[[MigrationId], tuple[str, int | None] | None]) -> RunResult:
    """Add to every failure of a migration where that one is; `locate` returns its file and line."""
    databases = []
    for database in result.databases:
        failure = database.failure
        location = locate(failure.migration) if failure is not None and failure.migration is not None else None
        if failure is not None and location is not None:
            line = _line_raised(failure, location[0]) or location[1]
            failure = failure.model_copy(update={"file": location[0], "line": line})
        databases.append(database.model_copy(update={"failure": failure}))
    return result.model_copy(update={"databases": tuple(databases)})


def _line_raised(failure: Failure, file: str) -> int | None:
    """Return the line of a migration's file in which it failed; None where it failed in another file."""
    place, _, line = (failure.raised_at or "").rpartition(" in ")[0].rpartition(":")
    is_in_file = place == file or place.endswith(f"/{file}")
    return int(line) if is_in_file and line.isdigit() else None


def new_migrations(before: Snapshot, after: Snapshot) -> tuple[MigrationId, ...]:
    """Return the migrations that are on disk now and were not."""
    known = {f"{app.label}.{name}" for app in before.apps for name in app.migrations}
    return tuple(
        f"{app.label}.{name}" for app in after.apps for name in app.migrations if f"{app.label}.{name}" not in known
    )


def _untouched(planned: PlannedDatabase) -> DatabaseResult:
    return DatabaseResult(
        alias=planned.alias,
        status="unchanged" if planned.skip in ("nothing-pending", "other-phase") else "skipped",
        skip=planned.skip,
        owner=planned.because if planned.kind == "same" else None,
        may_stand_in=planned.may_stand_in,
        because=planned.because if planned.skip == "read-only" else None,
        out_of_reach=tuple(migration.id for migration in planned.out_of_reach),
        is_unknown=planned.is_unknown,
        applied=(),
        undone=(),
        only_recorded=0,
        remaining=(),
        seconds=0.0,
        failure=None,
        waited_for=None,
    )


def _without_table(plan: MigrationPlan, database: Database) -> tuple[str, ...]:
    """Return the selected models that have no table, where that is an error."""
    models = dict.fromkeys(missing.model for missing in database.missing)
    wanted = plan.selection.apps
    return tuple(model for model in models if is_drift(database, model) and (not wanted or label_of(model) in wanted))


def _find_last_app(plan: MigrationPlan, result: RunResult) -> str | None:
    if plan.constance is None:
        return None
    unfinished = {database.alias for database in result.unfinished}
    return None if unfinished & set(plan.constance.aliases) else plan.constance.label


@dataclass(frozen=True)
class _Judge:
    """Judges one database that had steps."""

    plan: MigrationPlan
    planned: PlannedDatabase
    steps: Sequence[Step]
    results: Mapping[str, StepResult]
    before: Database | None
    """As it was before the run."""
    database: Database
    """As it is after the run."""
    is_busy: bool
    """Whether its server may still be at work on what a step has left."""

    def judge(self) -> DatabaseResult:
        """Return what happened to it."""
        migrations = [migration for step in self.steps for migration in step.migrations]
        done = [migration for migration in migrations if self._is_done(migration)]
        own = [self.results[step.id] for step in self.steps if step.id in self.results]
        failure = self._failure()
        schemas = self._changed_schemas()
        synced = self._synced()
        return DatabaseResult(
            alias=self.planned.alias,
            status=self._status(own, failure, is_moved=bool(done or synced or schemas)),
            skip=None,
            owner=None,
            applied=tuple(migration.id for migration in done if not migration.backwards),
            undone=tuple(migration.id for migration in done if migration.backwards),
            only_recorded=sum(not migration.does for migration in done if not migration.backwards),
            faked=tuple(
                migration.id
                for migration in done
                if self.plan.selection.fake_initial and migration.does and migration.may_be_faked
            ),
            remaining=tuple(migration.id for migration in migrations if migration not in done),
            synced=synced,
            seconds=sum(result.seconds for result in own),
            failure=failure,
            fake=self.plan.selection.fake,
            retries=sum(result.retries for result in own),
            ran_for=next((step.because for step in self.steps if step.reason == "receivers"), ()),
            waited_for=self._waited_for(own),
            is_asked=self._is_asked,
            schemas=schemas or (),
            counted=None if schemas is None else len(self.database.census or ()),
        )

    @property
    def _is_asked(self) -> bool:
        return self.database.state in ("ok", "absent")

    def _is_done(self, migration: PlannedMigration) -> bool:
        """Return whether a migration is where it should be, as the database says, or else as its process said."""
        if not self._is_asked:
            return any(migration.id in self.results[step.id].done for step in self.steps if step.id in self.results)
        is_pending = migration.id in {pending.id for pending in self.database.pending}
        return self.database.state == "ok" and is_pending == migration.backwards

    def _synced(self) -> tuple[str, ...]:
        """Return the models whose tables `--run-syncdb` has made; nothing of a database that could not be asked."""
        if self.database.state != "ok":
            return ()
        return tuple(model for model in self.plan.synced_on(self.planned.alias) if model not in self.database.unsynced)

    def _status(self, own: Sequence[StepResult], failure: Failure | None, *, is_moved: bool) -> DatabaseStatus:
        if any(result.status == "interrupted" for result in own):
            return "interrupted"
        if failure is not None:
            return "failed"
        if any(result.status == "not-run" for result in own) or len(own) < len(self.steps):
            return "not-run"
        if is_moved:
            return "migrated"
        is_uncounted = self._changed_schemas() is None and any(step.reason == "replaced-command" for step in self.steps)
        return "ran" if is_uncounted else "unchanged"

    def _changed_schemas(self) -> tuple[SchemaChange, ...] | None:
        """Return what is not as it was in other schemas than the alias's own; None where that was not counted."""
        if self.before is None or self.before.census is None or self.database.census is None:
            return None
        nothing = SchemaCount(tables=0, records=0)
        changes = []
        for schema in sorted({*self.before.census, *self.database.census} - {self.database.schema_name}):
            was, now = self.before.census.get(schema, nothing), self.database.census.get(schema, nothing)
            if was != now:
                changes.append(
                    SchemaChange(schema_name=schema, tables=now.tables - was.tables, records=now.records - was.records)
                )
        return tuple(changes)

    def _waited_for(self, own: Sequence[StepResult]) -> str | None:
        """Return the database whose failure kept a step of this one from starting."""
        skipped = next((result for result in own if result.status == "not-run"), None)
        if skipped is None or not isinstance(skipped.why, StepFailed):
            return None
        blocker = next((step.alias for step in self.plan.steps if step.id == skipped.why.step), None)
        return blocker if blocker != self.planned.alias else None

    def _failure(self) -> Failure | None:
        for step in self.steps:
            result = self.results.get(step.id)
            if result is None or result.status == "not-run":
                continue
            missing = [migration for migration in step.migrations if not self._is_done(migration)]
            if result.status == "interrupted":
                return self._describe(step, result, missing, kind="interrupted")
            if result.status == "failed":
                return self._describe(step, result, missing)
            if step.migrations and not self._is_asked:
                return self._describe(step, result, missing, kind="not-asked")
            if missing:
                return self._describe(step, result, missing, kind="not-recorded")
        return None

    def _describe(
        self,
        step: Step,
        result: StepResult,
        missing: Sequence[PlannedMigration],
        *,
        kind: FailureKind | None = None,
    ) -> Failure:
        if kind is None:
            kind = self._kind(step, result, missing)
        migration = (
            self._failed_migration(result, missing) if kind in ("command", "interrupted", "not-recorded") else None
        )
        is_silent = self.is_busy or not self._is_asked
        may_still_run = migration is not None and is_silent and self.database.vendor != "sqlite"  # which is no server
        planned = next((planned for planned in step.migrations if planned.id == migration), None)
        rolled_back = self._is_rolled_back(step, migration) if kind in ("command", "interrupted") else None
        return Failure(
            kind=kind,
            step=step.id,
            command=result.command,
            exit_code=result.exit_code,
            seconds=result.seconds,
            migration=migration,
            backwards=planned is not None and planned.backwards,
            rolled_back=None if rolled_back and may_still_run else rolled_back,
            may_be_faked=planned is not None and planned.may_be_faked and not planned.works_on_data,
            may_still_run=may_still_run,
            raised_at=result.raised_at,
            last_lines=result.last_lines,
            message=self._message(result, kind),
            is_disk_full=kind in ("command", "post-migrate") and _is_disk_full(result),
        )

    def _kind(self, step: Step, result: StepResult, missing: Sequence[PlannedMigration]) -> FailureKind:
        if result.exit_code is None:
            return "launch"
        return "post-migrate" if step.migrations and not missing else "command"

    def _failed_migration(self, result: StepResult, missing: Sequence[PlannedMigration]) -> MigrationId | None:
        """Return the migration it had announced, if that one is not recorded."""
        pending = {migration.id for migration in missing}
        if result.in_flight is not None:
            return result.in_flight if result.in_flight in pending else None
        return missing[0].id if missing and result.status == "ok" else None

    def _is_rolled_back(self, step: Step, failed: MigrationId | None) -> bool | None:
        atomic = next((migration.atomic for migration in step.migrations if migration.id == failed), None)
        return None if atomic is None else atomic and self.database.transactional_ddl

    def _message(self, result: StepResult, kind: FailureKind) -> str:
        if self.database.error is not None:
            return f"the database could not be checked afterwards: {self.database.error}"
        if kind == "not-recorded":
            return "the process succeeded, but the database has no record of the migration"
        if result.why is not None:
            return result.why.text
        said = telling_line(result.last_lines)
        if SYMPTOM in said:
            said = next((cause for cause in reversed(result.causes) if SYMPTOM not in cause), said)
        return f"the disk of the database is full: {said}" if _is_disk_full(result) else said


def _is_disk_full(result: StepResult) -> bool:
    return any(map(_DISK_FULL.search, result.causes))


SYMPTOM = "TransactionManagementError"
"""What Django raises of a transaction in which something was raised before: that, it says, or hides, is the cause.

Its editor of SQLite's schema asks for broken foreign keys on its way out of whatever was raised (schema.py, __exit__).
"""

_DISK_FULL = re.compile(
    r"\bDiskFull\b|database or disk is full|No space left on device|Disk quota exceeded|\((?:1021|1114|3675),"
)
"""The driver's class for PostgreSQL's 53100, the words of SQLite, which has no others, and the numbers of MySQL."""

REFUSED = "CommandError:"
"""What Django prints before the words of a command that does not do what it is asked for."""


def telling_line(lines: Sequence[str]) -> str:
    """Return what says why: the exception, else the last line, or the first error where system checks failed."""
    said = [line.strip() for line in lines if line.strip()]
    if any(line.startswith("SystemCheckError") for line in said) and "ERRORS:" in said[:-1]:
        return said[said.index("ERRORS:") + 1]
    # Django shows no traceback of these; one that stands above is of something that was logged.
    command_errors = [number for number, line in enumerate(said) if line.startswith(REFUSED)]
    if command_errors:
        return " ".join(said[command_errors[-1] :])
    return _exception(lines) or (said[-1] if said else "it printed nothing")


def is_refusal(lines: Sequence[str]) -> bool:
    """Return whether a command that failed ended by its own words, and not by an exception that nobody expected."""
    return any(line.strip().startswith(REFUSED) for line in lines) or _exception(lines) is None


def _exception(lines: Sequence[str]) -> str | None:
    """Return the exception that ends the last traceback, on one line; None if there is no traceback."""
    frames = [number for number, line in enumerate(lines) if line.startswith('  File "')]
    if not frames:
        return None
    # Below the last frame come its source and its marks, indented, then the exception, perhaps with several lines.
    below = dropwhile(lambda line: not line or line.startswith(" "), lines[frames[-1] + 1 :])
    return one_line("\n".join(line for line in below if line.strip(" ^"))) or None
