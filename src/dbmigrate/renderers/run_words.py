"""The words of a run, from its heading to its last sentence; they follow django-cfg's `migrate_all`."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Sequence
from typing import Literal

from dbmigrate.listing import MANY, listed
from dbmigrate.models.events import (
    DatabaseAwaited,
    DatabaseReached,
    DdlLockTimeoutIgnored,
    StepRetried,
    StepsCapped,
    Stopping,
)
from dbmigrate.models.plan import MakeMigrations, MigrationPlan, PlannedMigration, Step
from dbmigrate.models.result import DatabaseResult, RunResult, SchemaChange
from dbmigrate.renderers import lock_words
from dbmigrate.renderers.durations import duration
from dbmigrate.renderers.failure_words import failure_subject
from dbmigrate.renderers.plan_words import (
    SKIPS,
    counts,
    lacking_writes,
    nothing_pending,
    skip_sentence,
    synced,
    waiting,
)
from dbmigrate.renderers.words import TROUBLES, extent, plural

FEW = 5
"""Sentences that one line holds; of more only the first are shown."""


Deed = Literal["migrate", "undo", "record", "forget"]
"""What a step does: "record" and "forget" only write or remove records (`--fake`)."""

_DOING: dict[Deed, str] = {
    "migrate": "Migrating",
    "undo": "Undoing migrations of",
    "record": "Recording migrations of",
    "forget": "Forgetting migrations of",
}

_DONE: dict[Deed, str] = {"migrate": "completed", "undo": "undone", "record": "recorded", "forget": "forgotten"}

_ALL_DONE: dict[Deed, str] = {
    "migrate": "All migrations completed successfully",
    "undo": "All selected migrations were undone",
    "record": "All selected migrations are recorded as applied; nothing was run (--fake)",
    "forget": "All selected migrations are recorded as not applied; nothing was run (--fake)",
}


def deed_of(migrations: Iterable[PlannedMigration], *, fake: bool) -> Deed:
    """Return what a step with these migrations does."""
    return _deed(is_undoing=any(migration.backwards for migration in migrations), fake=fake)


def _deed(*, is_undoing: bool, fake: bool) -> Deed:
    if is_undoing:
        return "forget" if fake else "undo"
    return "record" if fake else "migrate"


def heading(plan: MigrationPlan) -> str:
    """Return the first line of a run."""
    selection = plan.selection
    phase = f" (phase {selection.phase})" if selection.phase is not None else ""
    if selection.is_everything:
        return f"Migrating all databases{phase}..."
    doing = _DOING[deed_of((one for step in plan.steps for one in step.migrations), fake=selection.fake)]
    apps = listed(selection.apps) if selection.apps else "all apps"
    where = f" on {listed(selection.databases)}" if selection.databases else ""
    return f"{doing} {apps}{where}{phase}..."


def database_heading(alias: str, deed: Deed) -> str:
    """Return the line above the steps of one database."""
    return f"{_DOING[deed]} database: {alias}"


def completed(alias: str, deed: Deed) -> str:
    """Return the line below the steps of one database."""
    return f"Migrations {_DONE[deed]} for {alias}"


def awaited(event: DatabaseAwaited) -> str:
    """Return that a database is waited for, why, and for how long yet."""
    why = f"{TROUBLES[event.trouble]}: {event.error}"
    return f"Waiting for database: {event.alias} (up to {event.seconds_left:.0f} s): {why}"


def reached(event: DatabaseReached) -> str:
    """Return that a database answers now."""
    return f"Database is reachable: {event.alias} (after {duration(event.seconds)})"


def capped(event: StepsCapped) -> str:
    """Return how many databases are migrated at a time, and why not more."""
    cap = event.cap
    return f"{listed(cap.aliases)}: {cap.most} at a time, because {cap.because}"


def making(make: MakeMigrations) -> str:
    """Return the line above makemigrations."""
    return f"Making migrations for {listed(make.apps)}..."


def subject(step: Step, deed: Deed) -> str:
    """Return the line above one step."""
    return f"{_DOING[deed]} app: {step.app}" if step.app is not None else f"{_DOING[deed]} all apps..."


def status(database: DatabaseResult) -> str:
    """Return in a word what became of one database: "migrated" also stands for what was undone, or only recorded."""
    if database.status != "migrated":
        return database.status
    if database.fake:
        return "forgotten" if database.undone else "recorded"
    is_recorded = database.applied and set(database.applied) == {*database.faked}
    return "undone" if database.undone else "recorded" if is_recorded and not database.synced else "migrated"


def database_sentence(database: DatabaseResult) -> str:
    """Return what became of one database."""
    match database.status:
        case "migrated":
            return f"{done(database)}{_retries(database)}"
        case "unchanged":
            if database.counted is not None:
                return f"ran, and {plural(database.counted, 'schema')} are unchanged"
            if database.skip:
                return SKIPS[database.skip]
            return "nothing was pending" + (f"; ran for {listed(database.ran_for)}" if database.ran_for else "")
        case "ran":
            return "ran, not counted: nothing was pending where dbmigrate checked"
        case "skipped":
            assert database.skip is not None
            return skip_sentence(database.owner, database.skip, database.because, len(database.out_of_reach))
        case "failed":
            assert database.failure is not None
            return f"{failure_subject(database.failure)}{_moved(database)}{_retries(database)}"
        case "interrupted":
            return f"interrupted{_moved(database)}; {plural(len(database.remaining), 'migration')} not applied"
        case "not-run":
            cause = f" because {database.waited_for} failed" if database.waited_for else ""
            return f"not started{cause}{_moved(database)}; {plural(len(database.remaining), 'migration')} pending"


def _retries(database: DatabaseResult) -> str:
    return f"; {database.retries} {'retry' if database.retries == 1 else 'retries'}" if database.retries else ""


def done(database: DatabaseResult) -> str:
    """Return what was applied and undone on one database."""
    if database.fake:
        records = plural(len(database.applied) or len(database.undone), "migration")
        return f"{records} {'recorded' if database.applied else 'forgotten'}, nothing was run (--fake)"
    if database.undone:
        return f"{plural(len(database.undone), 'migration')} undone"
    others = [part for part in (synced(database.synced), _in_schemas(database.schemas)) if part]
    own = [counts(len(database.applied), database.only_recorded)] if database.applied or not others else []
    own += [f"{listed(database.faked)} recorded without being run (--fake-initial)"] if database.faked else []
    return "; ".join([*own, *others])


def _in_schemas(changes: Sequence[SchemaChange]) -> str:
    """Return "26 migrations and 18 tables in 2 schemas (t1, t2)": what a run added there; "" if it was not there."""
    if not changes:
        return ""
    counted = [
        plural(count, noun)
        for count, noun in (
            (sum(change.records for change in changes), "migration"),
            (sum(change.tables for change in changes), "table"),
        )
        if count
    ]
    where = f"{plural(len(changes), 'schema')} ({listed([change.schema_name for change in changes])})"
    return f"{' and '.join(counted) or 'changes'} in {where}"


def _moved(database: DatabaseResult) -> str:
    if not (database.applied or database.undone or database.synced or database.schemas):
        return ""
    return f", after {done(database)}" + ("" if database.is_asked else " (as its process said)")


def retried(event: StepRetried) -> str:
    """Return that a step is retried, why, and who was blocking it."""
    blockers = f"; blocked by: {'; '.join(event.blockers)}" if event.blockers else ""
    attempt = f"attempt {event.tries + 1} of {event.most_tries}"
    return (
        f"{event.step.alias}: retrying {event.migration or 'migrate'} ({event.reason}; {attempt}) "
        f"in {duration(event.pause)}; nothing was changed{blockers}"
    )


def lock_timeout_without_effect(event: DdlLockTimeoutIgnored) -> str:
    """Return that --ddl-lock-timeout does nothing on a database, and why."""
    return f"--ddl-lock-timeout has no effect on database {event.alias}: {event.because}"


def stopping(event: Stopping) -> str:
    """Return what a signal does, by how many came before."""
    running = listed(event.running) or "nothing"
    name = signal.Signals(event.signal).name
    if event.rung == 1:
        limit = f" (for up to {event.grace:g} s)" if event.grace is not None else ""
        again = "; ^C again interrupts" if event.signal == signal.SIGINT and event.running else ""
        return f"stopping ({name}): no new steps, still running{limit}: {running}{again}"
    why = "the time is up" if event.is_late else f"{name}, number {event.rung}"
    return f"stopping ({why}): terminating {running}"


def verdict(result: RunResult) -> str:
    """Return the last sentence of a run."""
    unlocked = [lock_words.lost(lock) for lock in result.unlocked]
    if not result.unfinished and unlocked:
        return f"{'; '.join(unlocked)}; every migration is recorded, but another run may have migrated them too"
    if not result.unfinished:
        if result.exit_code:
            return "; ".join(without_table(database) for database in result.databases if database.without_table)
        if result.is_already_applied:
            return "The saved plan is already applied: nothing to do"
        if not result.moved:
            if any(database.status == "ran" for database in result.databases):
                return f"Completed successfully; what it changed is not counted{extent(result.limits)}"
            if result.later:
                return f"Nothing pending for this phase; {waiting(result.later)}"
            return nothing_pending(result.databases, result.limits, is_everything=result.is_everything)
        lacking = lacking_writes(result.databases)
        deed = _deed(
            is_undoing=any(database.undone for database in result.databases),
            fake=any(database.fake for database in result.databases),
        )
        left = f"; {waiting(result.later)}" if result.later else ""
        return _ALL_DONE[deed] + left + (f"; {lacking}" if lacking else "")
    by_status = {
        "failed": [database for database in result.unfinished if database.status == "failed"],
        "interrupted": [database for database in result.unfinished if database.status == "interrupted"],
        "not started": [database for database in result.unfinished if database.status == "not-run"],
    }
    total = sum(database.status != "skipped" for database in result.databases)
    parts = []
    for what, found in by_status.items():
        if found:
            verb = "" if what == "failed" else "was " if len(found) == 1 else "were "
            parts.append(f"{len(found)} of {plural(total, 'database')} {verb}{what}: {_named(found)}")
    done = [database.alias for database in result.databases if database.status == "migrated"]
    partial = [half for half in map(_half_done, result.unfinished) if half]
    parts.append(f"migrated: {listed(done)}" if done else _unmoved(result, partial))
    parts += partial
    return "; ".join([*unlocked, *(part for part in parts if part)])


def _unmoved(result: RunResult, partial: Sequence[str]) -> str:
    """Return that no database was migrated, as far as that is known; `partial`: what may be half done."""
    if result.moved or not all(database.is_asked for database in result.unfinished):
        return ""
    return "no migration was completed" if partial else "no database was migrated"


def _half_done(database: DatabaseResult) -> str:
    """Return that the failed migration of a database may have left something there, or taken something away."""
    failure = database.failure
    if failure is None or failure.migration is None:
        return ""
    if failure.may_still_run:
        return f"{failure.migration} may still run on {database.alias}"
    is_left = failure.traces and any(trace.is_there is not False for trace in failure.traces)
    if failure.rolled_back is not False or (failure.traces and not is_left):
        return ""
    return f"{failure.migration} may be half {'undone' if failure.backwards else 'done'} on {database.alias}"


def without_table(database: DatabaseResult) -> str:
    """Return which models of a database have no table after a run; there must be one."""
    has, it = ("has", "it") if len(database.without_table) == 1 else ("have", "them")
    return f"{listed(database.without_table)} {has} no table on {database.alias}, and no pending migration creates {it}"


def _named(databases: Sequence[DatabaseResult]) -> str:
    named = [
        f"{database.alias} ({failure_subject(database.failure)}: {database.failure.message})"
        if database.failure is not None
        else database.alias
        for database in databases
    ]
    # The sentence of a failure is long.
    return listed(named, most=FEW if any(database.failure is not None for database in databases) else MANY)


def last_app(label: str, result: RunResult) -> str:
    """Return what became of django-constance's tables."""
    moved = any(migration.startswith(f"{label}.") for database in result.databases for migration in database.applied)
    return "Constance migrated successfully" if moved else "Constance is up to date"
