"""The words of a plan: what a step does, why a database has none, what comes before what."""

from __future__ import annotations

from collections.abc import Sequence

from dbmigrate.listing import MANY, listed
from dbmigrate.models.plan import (
    MigrationPlan,
    Need,
    PlannedDatabase,
    PlannedMigration,
    ShownPlan,
    SkipReason,
    Step,
)
from dbmigrate.models.result import DatabaseResult
from dbmigrate.renderers.durations import duration
from dbmigrate.renderers.words import extent, names, plural

SKIPS: dict[SkipReason, str] = {
    "open": "no router or rule says what belongs there",
    "replica": "a replica",
    "read-only": "read-only",
    "in-memory": "in memory, so nothing is kept",
    "same": "the same database as",
    "empty": "nothing belongs there",
    "excluded": "excluded by the configuration",
    "nothing-pending": "nothing pending",
    "not-selected": "not selected",
    "other-phase": "nothing pending for this phase",
}

UNSEEN: frozenset[SkipReason | None] = frozenset({"open", "replica", "in-memory", "excluded"})
"""Skips of databases that may hold something, so that nobody may call them up to date."""


UNDOING = "! undoing drops the tables and columns they created, with all data in them"


def cost(plan: MigrationPlan, boot_seconds: float, launcher: str) -> str:
    """Return what a plan costs next to its statements."""
    count = len(plan.steps) + (plan.make is not None)
    each = "each boots" if count > 1 else "it boots"
    boot = f"{each} the project (it took {duration(boot_seconds)} just now)"
    if launcher == "fork":
        boot = f"forked from the one that has booted the project (in {duration(boot_seconds)})"
    migrations = [migration for step in plan.steps for migration in step.migrations]
    idle = sum(not migration.does for migration in migrations)
    recorded = f"; {idle} of {plural(len(migrations), 'migration')} only recorded" if idle else ""
    unsafe = [migration.id for migration in migrations if migration.does and not migration.atomic]
    whole = f"; not atomic, so a failure is not rolled back: {listed([*dict.fromkeys(unsafe)])}" if unsafe else ""
    processes = f"{count} process{'es' if count > 1 else ''}"
    return f"Cost: {processes}, {boot}{recorded}{whole}"


def guard(plan: ShownPlan) -> str:
    """Return what becomes of what destroys data and is not written yet."""
    if plan.selection.allow_data_loss:
        return "The missing migrations would destroy data; with --allow-data-loss nobody is asked"
    return (
        "The missing migrations would destroy data, so dbmigrate all asks first, and refuses without a terminal: "
        f"{plan.make_first}, then rerun the command; or pass --allow-data-loss"
    )


def note(migration: PlannedMigration, *, explains: bool = False) -> str:
    """Return what is unusual about a planned migration, in brackets; "" where nothing is.

    `explains`: whether to say why it runs in its phase of a deploy.
    """
    notes: list[str] = [migration.phase] if migration.phase is not None else []
    if explains and migration.phase_because is not None:
        notes = [f"{migration.phase}: {migration.phase_because}"]
    notes += ["undone"] if migration.backwards else [] if migration.does else ["only recorded"]
    notes += [] if migration.is_written else ["not written yet"]
    return f" ({', '.join(notes)})" if notes else ""


def reason(step: Step) -> str | None:
    """Return why a step runs where nothing is pending, or None if something is."""
    if step.reason == "squashed":
        return f"nothing is pending; it runs to record what was squashed: {', '.join(step.because)}"
    if step.reason == "receivers":
        return f"nothing is pending; migrate runs because it calls {', '.join(step.because)}"
    if step.reason == "replaced-command":
        return f"nothing is pending; it runs because {step.because[0]} replaces the migrate command"
    if step.reason == "always":
        return "nothing is pending; it runs because of --always"
    return None


def work(step: Step) -> str:
    """Return what a step does: why it runs where nothing is pending, else how much it applies and makes."""
    only_recorded = sum(not migration.does for migration in step.migrations)
    own = counts(len(step.migrations), only_recorded) if step.migrations or not step.synced else ""
    return reason(step) or "; ".join(part for part in (own, synced(step.synced)) if part)


def synced(models: Sequence[str]) -> str:
    """Return "1 table by --run-syncdb (bare.thing)"; "" for none."""
    return f"{plural(len(models), 'table')} by --run-syncdb ({listed(models)})" if models else ""


def saving(receivers: Sequence[str]) -> str:
    """Return how to save the processes that run for receivers of migrate signals alone."""
    return (
        f"Where nothing is pending, a process runs only for {listed(receivers)}, as in Django's migrate; to "
        'avoid it: receivers = "pending" under [tool.dbmigrate]'
    )


def counts(applied: int, only_recorded: int) -> str:
    """Return "6 migrations, 2 only recorded"."""
    recorded = f", {only_recorded} only recorded" if only_recorded else ""
    return f"{plural(applied, 'migration')}{recorded}"


def skip_sentence(
    alias_is_owned_by: str | None, skip: SkipReason, reason: str | None = None, out_of_reach: int = 0
) -> str:
    """Return why a database is not migrated, and how many migrations it therefore lacks."""
    if skip == "same" and alias_is_owned_by is not None:
        return f"{SKIPS[skip]} {alias_is_owned_by} and is migrated through it"
    lacks = f"; {plural(out_of_reach, 'migration')} pending there" if out_of_reach else ""
    return (f"{SKIPS[skip]} ({reason})" if reason else SKIPS[skip]) + lacks


def planned_skip(database: PlannedDatabase) -> str:
    """Return why the plan has no step for a database."""
    assert database.skip is not None
    owner = database.because if database.kind == "same" else None
    reason = database.because if database.kind in ("replica", "read-only") else None
    return skip_sentence(owner, database.skip, reason, len(database.out_of_reach))


def uncovered(plan: ShownPlan) -> str:
    """Return which migrations call more code than the digest covers; "" for none."""
    code = plan.basis.code if plan.basis is not None else {}
    found = [identifier for identifier, one in code.items() if one.is_planned and one.has_more]
    if not found:
        return ""
    calls = "calls" if len(found) == 1 else "call"
    return (
        f"warning: {listed(found)} {calls} too many functions or modules of the project, and the digest does not cover "
        "all of them: an edit of the rest does not make this plan stale"
    )


def needs(plan: MigrationPlan) -> list[str]:
    """Return why one database comes before another: a sentence for each that comes before `default`, or is needed."""
    place = {step.alias: number for number, step in reversed(list(enumerate(plan.steps)))}
    told = [
        need
        for need in plan.needs
        if need.is_followed and need.first in place and place[need.first] < place.get(need.then, -1)
    ]
    more = [f"and {len(told) - MANY} more"] if len(told) > MANY else []
    return [f"{need.first} comes before {need.then}: {need.sentence}" for need in told[:MANY]] + more


def at_once(alias: str) -> str:
    """Return why a database takes everything in any phase of a deploy."""
    return f"{alias}: nothing is recorded there, so no old code uses it: all phases at once"


LATER = "Left for after the deploy (--phase post)"


def later(plan: MigrationPlan) -> list[str]:
    """Return what a run of the first phase leaves to the other: a line for each database."""
    return [
        f"{database.alias}: {listed([one.id for one in database.later])}"
        for database in plan.databases
        if database.later
    ]


def nothing_for_phase(plan: MigrationPlan) -> str:
    """Return that nothing of a phase is left, and what of the other is."""
    later = {migration.id for database in plan.databases for migration in database.later}
    return f"Nothing pending for this phase; {waiting(len(later))}"


def waiting(later: int) -> str:
    """Return how many migrations are left for after the deploy."""
    return f"{plural(later, 'migration')} left for after the deploy: dbmigrate all --phase post"


def left_out(need: Need) -> tuple[str, str]:
    """Return what a run does without that one of its databases may miss, and what to type."""
    if need.backwards:
        sentence = (
            f"{need.migration} stays applied on {need.alias}, which is not part of this run; it "
            f"{'needs' if need.is_certain else 'depends on'} {need.needed}, which is undone on {need.other}"
        )
        return sentence, f"undo it on {need.alias} first: the same command with --database {need.alias}"
    sentence = f"{need.sentence}; it is pending there, but not part of this run"
    return sentence, f"if it needs that one first: dbmigrate run --database {need.other}; or dbmigrate all"


def nothing_pending(
    databases: Sequence[PlannedDatabase | DatabaseResult], limits: Sequence[str], *, is_everything: bool
) -> str:
    """Return the last sentence where there was nothing to do; `is_everything`: no database and no app was named.

    `limits`: what was not looked at (MigrationPlan.limits), of which nothing is said, nor of what was skipped.
    """
    lacking = lacking_writes(databases)
    if lacking:
        return f"Nothing pending that could be applied: {lacking}"
    left_out = _all_left_out(databases)
    if left_out:
        return f"There is no database to migrate: {left_out}"
    if limits:
        return f"Nothing pending in what was checked{extent(limits)}"
    if not is_everything:
        return "Nothing pending: what was selected is up to date"
    unseen = [
        database.alias
        for database in databases
        if database.skip in UNSEEN or (database.skip == "read-only" and database.is_unknown)
    ]
    return f"Nothing pending: every database{f' but {names(unseen)}' if unseen else ''} is up to date"


def _all_left_out(databases: Sequence[PlannedDatabase | DatabaseResult]) -> str:
    """Return why each database that was asked for was left out; "" if one of them was not."""
    asked = [database for database in databases if database.skip != "not-selected"]
    reasons: dict[str, list[str]] = {}
    for database in asked:
        if database.skip is None or database.skip not in UNSEEN:
            return ""
        reasons.setdefault(SKIPS[database.skip], []).append(database.alias)
    return "; ".join(f"{names(aliases)} ({reason})" for reason, aliases in reasons.items())


def lacking_writes(databases: Sequence[PlannedDatabase | DatabaseResult]) -> str:
    """Return which databases take no writes and lack migrations; "" if none does."""
    return "; ".join(
        f"{database.alias} is read-only and lacks {plural(len(database.out_of_reach), 'migration')}"
        for database in databases
        if database.out_of_reach
    )
