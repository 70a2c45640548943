"""The words people read, for every format that is text; those of a run follow django-cfg's `migrate_all`."""

from __future__ import annotations

import re
import shlex
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from dbmigrate.errors import ExitCode
from dbmigrate.frames import is_foreign_frame, is_frame
from dbmigrate.listing import MANY, listed
from dbmigrate.models.events import (
    DatabaseAwaited,
    DatabaseReached,
    DdlLockTimeoutIgnored,
    StepRetried,
    StepsCapped,
    Stopping,
)
from dbmigrate.models.findings import Level
from dbmigrate.models.plan import (
    MakeMigrations,
    MigrationPlan,
    Need,
    PlannedDatabase,
    PlannedMigration,
    ShownPlan,
    SkipReason,
    Step,
)
from dbmigrate.models.result import DatabaseResult, Failure, RunResult, SchemaChange
from dbmigrate.models.snapshot import Trouble
from dbmigrate.renderers import lock_words
from dbmigrate.renderers.durations import duration

if TYPE_CHECKING:
    # A run has nothing to do with the answers of the other commands, and need not load them.
    from dbmigrate.models.reports import CheckReport, DatabaseStatus, ExplainedDatabase, VerifyReport
    from dbmigrate.models.verification import Outcome, Part, VerifiedDatabase, VerifiedMigration

EXIT_MEANINGS = {
    ExitCode.OK: "done",
    ExitCode.PENDING: "migrations are not applied",
    ExitCode.MODEL_CHANGES: "migrations are missing",
    ExitCode.DRIFT: "database, migration records and code disagree",
    ExitCode.FINDINGS: "checks found errors",
    ExitCode.UNREACHABLE: "a database could not be checked",
    ExitCode.FAILED: "a step failed, no migration was completed",
    ExitCode.PARTIAL: "some databases moved, some failed or were not started",
    ExitCode.INTERRUPTED: "interrupted before everything was done",
    ExitCode.TERMINATED: "ended by a signal before everything was done",
}

FEW = 5
"""Sentences that one line holds; of more only the first are shown."""

MOST_FRAMES, MOST_BRIEF_LINES = 3, 6
"""Of a failed step on a terminal: frames of the project's own code, and lines of what it said."""

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
}

UNSEEN: frozenset[SkipReason | None] = frozenset({"open", "replica", "in-memory", "excluded"})
"""Skips of databases that may hold something, so that nobody may call them up to date."""

TROUBLES: dict[Trouble, str] = {
    "refused": "nothing is listening there",
    "unknown-host": "its host name is unknown",
    "silent": "it does not respond",
    "starting": "it is starting up",
    "not-accepting": "it does not accept connections now",
    "full": "it has no free connections now",
    "blocked": "it has blocked this machine after too many failed connections",
    "tls": "the TLS connection failed",
    "no-database": "the server has no such database yet",
    "no-file": "its file cannot be created",
    "password": "the server refused the login",
    "role": "the server does not know this user",
    "driver": "its driver cannot be loaded",
    "settings": "its driver rejects these settings",
    "backend": "its backend raised an error",
    "receiver": "a receiver of connection_created raised an error",
    "rights": "this user may not read it",
    "other": "it does not respond",
}

# SQLSTATE 42501 as psycopg names it, and MySQL's numbers; PostgreSQL's own words are English where its server is.
_LACKS_RIGHTS = re.compile(r"InsufficientPrivilege|permission denied|must be owner of|\((?:1044|1142|1143|1227|1370), ")

# CSI and OSC sequences, then every other control character but the tab.
_CONTROL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|[\x00-\x08\x0a-\x1f\x7f-\x9f]")


def printable(text: str) -> str:
    """Return the text without what would move the cursor, colour the terminal, or hide in a log."""
    return _CONTROL.sub("", text)


def printable_lines(text: str) -> str:
    """Return each line of the text as `printable` does; the line ends stay."""
    return "\n".join(printable(line) for line in text.splitlines())


def plural(count: int, noun: str) -> str:
    """Return "1 migration", "2 migrations"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


OUTCOMES: dict[Outcome, str] = {
    "there": "recorded and there",
    "not-here": "recorded, not routed here",
    "pending": "pending",
    "pending-not-here": "not recorded, not routed here",
    "faked": "recorded, but nothing of it is there",
    "missing": "recorded, but part of it is missing",
    "unrecorded": "all of it is there, but it is not recorded",
    "half-applied": "half applied: part of it is there, but it is not recorded",
}


def outcome(migration: VerifiedMigration) -> str:
    """Return what was found of a migration; what the catalogue shows is not all where it has data operations."""
    if migration.outcome == "unrecorded" and migration.unjudged:
        return "its tables and columns exist, but it is not recorded"
    return OUTCOMES[migration.outcome]


def part(found: Part) -> str:
    """Return for example "column blog_post.slug"."""
    if found.kind == "table":
        return f"table {found.table}" + (" (there is a view of that name)" if found.is_view else "")
    if found.kind == "column":
        return f"column {found.table}.{found.name}"
    names = {"unique": "unique constraint", "foreign key": "foreign key"}
    return f"{names.get(found.kind, found.kind)} {found.name} of {found.table}"


def drift(database: VerifiedDatabase) -> str:
    """Return what differs on one database in a few words."""
    if database.error is not None:
        return "not checked"
    if database.inconsistent is not None:
        return "inconsistent history"
    parts = [plural(len(database.drift), "migration")] if database.drift else []
    parts += [f"{len(database.unknown)} unknown to this code"] if database.unknown else []
    parts += [f"{plural(len(database.refused), 'column')} refusing inserts"] if database.refused else []
    invalid = len(database.invalid_indexes)
    parts += [f"{invalid} invalid index{'es' if invalid > 1 else ''}"] if invalid else []
    return ", ".join(parts) or "none"


def drift_sentences(database: VerifiedDatabase) -> list[str]:
    """Return a sentence for everything on one database that is not as it is recorded."""
    said = [] if database.inconsistent is None else [f"the history is inconsistent: {database.inconsistent}"]
    for migration in database.drift:
        sentence = f"{migration.id}: {outcome(migration)}"
        said.append(f"{sentence}{''.join(f'; {words}' for words in _particulars(migration))}")
    said += [
        f"index {index.name} of {index.table} is invalid: building it concurrently failed, so it is not used"
        for index in database.invalid_indexes
    ]
    said += [
        f"column {found.table}.{found.column} is in no model of this code, is NOT NULL and has no default: "
        f"every insert into {found.table} ({found.model}) fails"
        for found in database.refused
    ]
    said += [
        f"{record.id}: recorded {moment(record.at)}, but unknown to this code: the code that should run here has it"
        for record in database.unknown
    ]
    return said


def _particulars(migration: VerifiedMigration) -> Iterator[str]:
    named = {
        "missing": [part(found) for found in migration.missing if not found.is_taken_away],
        "still there": [part(found) for found in migration.missing if found.is_taken_away],
        "there": [part(found) for found in migration.there if not found.is_taken_away],
        "gone": [part(found) for found in migration.there if found.is_taken_away],
        "the database does not show whether these have run, and migrate would run them again": ()
        if migration.recorded_at
        else migration.unjudged,
    }
    return (f"{state}: {', '.join(texts)}" for state, texts in named.items() if texts)


def verify_verdict(report: VerifyReport) -> str:
    """Return the last line of `verify`."""
    looked_at = sum(database.error is None for database in report.databases)
    where = f"{plural(looked_at, 'database')} checked{extent(report.limits)}"
    if not report.databases and not report.exit_code:
        return "nothing was verified: there is no database to check; see the kind of each: dbmigrate status"
    unwritten = "".join(f"; {label} has no migrations yet" for finding in report.findings for label in finding.apps)
    if not report.exit_code:
        there = " there" if report.limits else ""
        return f"{where}: everything recorded{there} exists, and nothing is pending{there}{unwritten}"
    hint = ""
    if report.exit_code is ExitCode.DRIFT and report.repairs is None:
        hint = "; to see how to fix it: dbmigrate verify --repair"
    return f"{where}; {exit_sentence(report.exit_code)}{unwritten}{hint}"


ROUTER_WORDS = {
    "yes": "True",
    "no": "False",
    "none": "None (no opinion)",
    "error": "raised",
    "silent": "has no allow_migrate",
}


def belonging(database: ExplainedDatabase) -> str:
    """Return whether a model belongs on a database, and why."""
    why = {
        "routers": "a router raised" if database.answer == "error" else "the first answer that is not None counts",
        "rules": "no router has an allow_migrate, so the routing rules decide",
        "default": "no router has an opinion, and it is the default database",
        "silence": "no router has an opinion here, and they refuse it on default, which Django reads as yes",
        "existing": "no router has an opinion, and its table is there already, with the record of its migration",
        "open": 'no router has an opinion, and the configuration says open = "migrate"',
        "nobody": "no router has an opinion, and it is not the default database",
        "unmanaged": "it has no table that Django creates",
        "unfit": "this kind of server cannot hold it (required_db_vendor)",
        "replica": "the database is a replica; it is written elsewhere",
    }[database.because]
    return f"{'it belongs here' if database.belongs else 'it does not belong here'}: {why}"


def check_verdict(report: CheckReport) -> str:
    """Return the last line of `check`."""
    counted = Counter(finding.level for finding in report.findings)
    levels: tuple[Level, ...] = ("error", "warning", "note")
    found = ", ".join(plural(counted[level], level) for level in levels if counted[level])
    where = f"{plural(len(report.databases), 'database')} checked{extent(report.limits)}"
    if not report.databases and not report.not_checked:
        where = "no database was checked (see the kind of each: dbmigrate status)"
    failing = f"; {exit_sentence(report.exit_code)}" if report.exit_code else ""
    return f"{where}: {found or 'nothing found'}{failing}"


def server(database: DatabaseStatus) -> str:
    """Return what a database that answers is."""
    return f"{database.server}, no file yet" if database.state == "absent" else database.server or database.state


def short_server(database: DatabaseStatus) -> str:
    """Return the product and its release without the last part: "PostgreSQL 17", "SQLite 3.40"."""
    if database.state != "ok":
        return "no file yet" if database.state == "absent" else database.state
    product, _, version = server(database).rpartition(" ")
    return f"{product} {version.rpartition('.')[0] or version}".strip()


def moment(at: str) -> str:
    """Return a time in ISO 8601 to the second, in UTC where its zone is known ("2026-11-27T06:21:48Z")."""
    then = datetime.fromisoformat(at)
    return f"{then:%Y-%m-%dT%H:%M:%S}" if then.tzinfo is None else f"{then.astimezone(timezone.utc):%Y-%m-%dT%H:%M:%SZ}"


def ago(at: str, now: datetime) -> str:
    """Return "2 h ago" for a time in ISO 8601, or its date where it is long ago; local times cannot be compared."""
    then = datetime.fromisoformat(at)
    if then.tzinfo is None:
        return f"{then:%Y-%m-%d %H:%M}"
    seconds = (now - then).total_seconds()
    for limit, unit, size in ((60, "s", 1), (3600, "min", 60), (48 * 3600, "h", 3600), (60 * 86400, "d", 86400)):
        if 0 <= seconds < limit:
            return f"{int(seconds // size)} {unit} ago"
    return f"{then:%Y-%m-%d}"


def silence(database: DatabaseStatus) -> str:
    """Return in a few words that a database does not answer, and why."""
    if database.trouble == "backend":
        return f"not checked: {TROUBLES[database.trouble]}"
    why = TROUBLES[database.trouble] if database.trouble not in (None, "other") else ""
    return f"{database.state}: {why}" if why else database.state


def names(aliases: Sequence[str]) -> str:
    """Return "db1", "db1, db2" or "db1 … db9 (9 databases)"."""
    if len(aliases) < 4:
        return ", ".join(aliases)
    return f"{aliases[0]} … {aliases[-1]} ({len(aliases)} databases)"


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


def heading(plan: MigrationPlan) -> str:
    """Return the first line of a run."""
    if plan.selection.is_everything:
        return "Migrating all databases..."
    selection = plan.selection
    apps = listed(selection.apps) if selection.apps else "all apps"
    return f"Migrating {apps} on {listed(selection.databases)}..." if selection.databases else f"Migrating {apps}..."


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


def subject(step: Step) -> str:
    """Return the line above one step."""
    return f"Migrating app: {step.app}" if step.app is not None else "Migrating all apps..."


def guard(plan: ShownPlan) -> str:
    """Return what becomes of what destroys data and is not written yet."""
    if plan.selection.allow_data_loss:
        return "The missing migrations would destroy data; with --allow-data-loss nobody is asked"
    return (
        "The missing migrations would destroy data, so dbmigrate all asks first, and refuses without a terminal: "
        f"{plan.make_first}, then rerun the command; or pass --allow-data-loss"
    )


def note(migration: PlannedMigration) -> str:
    """Return what is unusual about a planned migration, in brackets; "" where nothing is."""
    notes = ["undone"] if migration.backwards else [] if migration.does else ["only recorded"]
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


def status(database: DatabaseResult) -> str:
    """Return in a word what became of one database: "migrated" also stands for what was undone, or only recorded."""
    if database.status != "migrated":
        return database.status
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
                return SKIPS["nothing-pending"]
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


def failure_subject(failure: Failure) -> str:
    """Return what failed, in a few words."""
    match failure.kind:
        case "post-migrate":
            if any("emit_post_migrate_signal" in line for line in failure.last_lines):
                return "a post_migrate handler failed after every migration was applied"
            return "migrate failed after every migration was applied"
        case "not-recorded":
            return f"{failure.migration} is not recorded"
        case "not-asked":
            return "migrate ended well, but the result could not be verified"
        case "launch":
            return "the process could not be started"
        case "interrupted":
            return f"{failure.migration or 'migrate'} was interrupted"
        case "command":
            return failure.migration if failure.migration is not None else "migrate failed"


def failure_lines(database: DatabaseResult, failure: Failure, *, is_brief: bool = False) -> list[str]:
    """Return everything known about a failed step; its last lines come last, `is_brief`: only those that say why."""
    ended = "" if failure.exit_code is None else f" ({exit_words(failure.exit_code)} after {duration(failure.seconds)})"
    lines = [f"failed: {failure_subject(failure)}{ended}", f"command: {shlex.join(failure.command)}"]
    if database.applied:
        lines.append(f"applied before: {listed(database.applied)}")
    if failure.raised_at is not None:
        lines.append(f"raised at: {failure.raised_at}")
    if failure.rolled_back is True and failure.backwards:
        lines.append(f"the database rolled this back: {failure.migration} is still applied")
    elif failure.rolled_back is True:
        left = "what exists of it existed before the migration started" if failure.traces else "nothing of it is left"
        lines.append(f"the database rolled {failure.migration} back: {left}")
    if failure.may_still_run:
        lines.append(
            f"the server may still be running {failure.migration}, although its process has ended: check its "
            "sessions (pg_stat_activity; SHOW PROCESSLIST)"
        )
    if failure.rolled_back is False:
        half = "half undone" if failure.backwards else "half done"
        lines.append(f"{failure.migration} may be {half}: this migration is not rolled back")
        if failure.backwards:
            lines.append(
                f"to see what is missing and how to create it: dbmigrate verify --repair --database {database.alias}"
            )
    if failure.traces:
        lines += trace_lines(failure)
        lines += [f"  {way}" for way in ways_on(database.alias, failure)]
    if failure.last_lines and failure.kind not in ("interrupted", "not-asked"):
        shown = brief(failure.last_lines) if is_brief else failure.last_lines
        is_whole = len(shown) == len(failure.last_lines)
        lines.append("its last lines:" if is_whole else "from its last lines (-v shows all of them):")
        lines += [f"  {line}" for line in shown]
    return lines


def brief(last_lines: Sequence[str]) -> list[str]:
    """Return the last frames of the project's own code and the exception; without a traceback the last lines."""
    frames = [number for number, line in enumerate(last_lines) if is_frame(line)]
    if not frames:
        return [*last_lines[-MOST_BRIEF_LINES:]]
    own = [number for number in frames if not is_foreign_frame(last_lines[number])][-MOST_FRAMES:] or frames[-1:]
    shown = [line for number in own for line in last_lines[number : number + 2]]
    end = next(
        (number for number in range(frames[-1] + 1, len(last_lines)) if not last_lines[number].startswith(" ")),
        len(last_lines),
    )
    return [*shown, *last_lines[end:][:MOST_BRIEF_LINES]]


def trace_lines(failure: Failure) -> list[str]:
    """Return which operations of the failed migration the database shows, which not, and which cannot be told."""
    by_state = {
        "there already": [trace.text for trace in failure.traces if trace.is_there is True],
        "not there": [trace.text for trace in failure.traces if trace.is_there is False],
        "unknown": [trace.text for trace in failure.traces if trace.is_there is None],
    }
    return [f"of {failure.migration}, {state}: {', '.join(texts)}" for state, texts in by_state.items() if texts]


def ways_on(alias: str, failure: Failure) -> list[str]:
    """Return what to do where something of the failed migration is left; what nobody has judged is not recorded."""
    assert failure.migration is not None
    app, name = failure.migration.split(".", 1)
    if failure.rolled_back is True:
        fake = "to record it without running it (only names were compared): dbmigrate all --fake-initial"
        return [
            *([fake] if failure.may_be_faked else []),
            "if an older installation of this project created it, see what differs and how to continue: "
            f"dbmigrate verify --repair --database {alias}",
            f"if it belongs to something else, let a router refuse {app} on {alias}, or rename what is there",
        ]
    record = f"dbmigrate run --database {alias} --app {app} --to {name} --fake"
    unknown = [trace.text for trace in failure.traces if trace.is_there is None]
    if unknown:
        return [
            "either do the rest by hand; this prints what is left, in order, and when to record it: "
            f"dbmigrate verify --repair --database {alias}",
            f"or undo by hand what is there, then rerun the command: it starts {failure.migration} from the "
            "beginning, so "
            f"{listed(unknown)} would run again",
        ]
    if all(trace.is_there is True for trace in failure.traces):
        return [f"all of it is there: record it with {record}, then rerun the command"]
    if not any(trace.is_there for trace in failure.traces) and all(trace.is_there is False for trace in failure.traces):
        first = "" if failure.kind == "interrupted" else "fix the cause, then "
        return [f"nothing of it is left: {first}rerun the command"]
    return [
        f"either do the rest by hand and record it with {record}",
        "or undo by hand what is there; then rerun the command",
    ]


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


def left_out(need: Need) -> tuple[str, str]:
    """Return what a run does without that one of its databases may miss, and what to type."""
    if need.backwards:
        sentence = (
            f"{need.migration} stays applied on {need.alias}, which is not part of this run; it "
            f"{'needs' if need.is_certain else 'depends on'} {need.needed}, which is undone on {need.other}"
        )
        return sentence, f"undo it on {need.alias} first: the same command with --database {need.alias}"
    sentence = f"{need.sentence}; it is pending there, but not part of this run"
    return sentence, f"if it needs it: dbmigrate run --database {need.other} first, or dbmigrate all"


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


def exit_words(code: int) -> str:
    """Return how a process ended."""
    return f"killed by signal {-code}" if code < 0 else f"exit {code}"


def extent(limits: Sequence[str]) -> str:
    """Return in brackets how far the databases were looked at; "" where they are all there is."""
    return f" ({'; '.join(limits)})" if limits else ""


def nothing_pending(
    databases: Sequence[PlannedDatabase | DatabaseResult], limits: Sequence[str], *, is_everything: bool
) -> str:
    """Return the last sentence where there was nothing to do; `is_everything`: no database and no app was named.

    `limits`: what was not looked at (MigrationPlan.limits), of which nothing is said, nor of what was skipped.
    """
    lacking = _lacking(databases)
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


def _lacking(databases: Sequence[PlannedDatabase | DatabaseResult]) -> str:
    """Return which databases take no writes and lack migrations; "" if none does."""
    return "; ".join(
        f"{database.alias} is read-only and lacks {plural(len(database.out_of_reach), 'migration')}"
        for database in databases
        if database.out_of_reach
    )


def longest(seconds: float, count: int) -> str:
    """Return how long one of some databases took, or the slowest of them; "" for no time at all."""
    return "" if not seconds else duration(seconds) if count == 1 else f"up to {duration(seconds)}"


def verdict(result: RunResult) -> str:
    """Return the last sentence of a run."""
    unlocked = [lock_words.lost(lock) for lock in result.unlocked]
    if not result.unfinished and unlocked:
        return f"{'; '.join(unlocked)}; every migration is recorded, but another run may have migrated them too"
    if not result.unfinished:
        if result.exit_code:
            return "; ".join(without_table(database) for database in result.databases if database.without_table)
        if not result.moved:
            if any(database.status == "ran" for database in result.databases):
                return f"Completed successfully; what it changed is not counted{extent(result.limits)}"
            return nothing_pending(result.databases, result.limits, is_everything=result.is_everything)
        lacking = _lacking(result.databases)
        is_undoing = any(database.undone for database in result.databases)
        done_words = "All selected migrations were undone" if is_undoing else "All migrations completed successfully"
        return done_words + (f"; {lacking}" if lacking else "")
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
    """Return that no database moved, as far as that is known; `partial`: what may be half done."""
    if result.moved or not all(database.is_asked for database in result.unfinished):
        return ""
    return "no migration was completed" if partial else "no database moved"


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


def constance(label: str, result: RunResult) -> str:
    """Return what became of django-constance's tables."""
    moved = any(migration.startswith(f"{label}.") for database in result.databases for migration in database.applied)
    return "Constance migrated successfully" if moved else "Constance is up to date"


def exit_sentence(code: ExitCode) -> str:
    """Return what a code other than 0 means after a run."""
    return f"exit {code.value} ({code.label}): {EXIT_MEANINGS[code]}"


FIX = "fix the cause, then"


def advice(result: RunResult) -> str:
    """Return what to do after a run that did not end with 0."""
    full = [one.alias for one in result.databases if one.failure is not None and one.failure.is_disk_full]
    then = _advice(result).removeprefix(f"{FIX} ")
    return f"free space on the disk of database {names(full)}, then {then}" if full else _advice(result)


def _advice(result: RunResult) -> str:
    if not result.unfinished and not result.unlocked:
        return "see why, and how to fix it: dbmigrate check --select DBM301"
    failures = [database.failure for database in result.databases if database.failure is not None]
    if result.unlocked:
        has_left = any(failure.rolled_back is False or failure.traces for failure in failures)
        return lock_words.after_loss([lock.alias for lock in result.unlocked], has_left=has_left)
    if any(failure.rolled_back is True and failure.traces for failure in failures):
        return "decide what to do with what was there already, listed above, before you rerun the command"
    lacking = next(filter(None, (_make_it_wait(database) for database in result.databases)), None)
    if any(failure.rolled_back is False or failure.traces for failure in failures):
        look = "check what the failed migration left, listed above"
        return f"{look}; {lacking}" if lacking else f"{look}, before you rerun the command"
    if any(failure.may_still_run for failure in failures):
        return "make sure that no session of the server still runs the migration, then rerun the command"
    if lacking is not None:
        return lacking
    stand_in = next(filter(None, (_stand_in(database, result) for database in result.databases)), None)
    if stand_in is not None:
        return stand_in
    if all(failure.kind == "not-asked" for failure in failures):
        return "once it is reachable, rerun the command: it verifies what is there and resumes where it stopped"
    if any(failure.is_spawned for failure in failures):
        return (
            f"{FIX} rerun the command; if the project allows one process of manage.py at a time, no step can be "
            "spawned while dbmigrate has it booted: use --launcher fork (dbmigrate info says if that is possible, "
            "and why not)"
        )
    if any(failure.kind != "interrupted" for failure in failures):
        return f"{FIX} rerun the command; it resumes where it stopped"
    return "rerun the command; it resumes where it stopped"


def _make_it_wait(database: DatabaseResult) -> str | None:
    """Return what lets a failed migration wait for the table of another app, or how to ask for it where it is."""
    failure = database.failure
    if failure is None or failure.lacks is None or failure.migration is None:
        return None
    lacks, own = failure.lacks, failure.migration.split(".", 1)[1]
    if lacks.migration is None:
        return (
            f"{failure.migration} asked {database.alias} for {lacks.table}, and the routers put app {lacks.app} on "
            f"{lacks.alias}: let it ask there, then rerun the command"
        )
    name = lacks.migration.split(".", 1)[1]
    what = lacks.table or f"a model of {lacks.app}"
    place = failure.file or f"migration {own}"
    order = ""
    if lacks.alias != database.alias and lacks.table is not None:
        order = f' (or, in pyproject.toml under [tool.dbmigrate], order = ["{lacks.alias}", "{database.alias}"])'
    return (
        f"{failure.migration} works with {what}, which {lacks.migration}, or one before it, creates on "
        f'{lacks.alias}, and it does not depend on that: add ("{lacks.app}", "{name}") to the dependencies in '
        f"{place}{order}, then rerun the command"
    )


def _stand_in(database: DatabaseResult, result: RunResult) -> str | None:
    """Return which other alias of a database may do what the role of this one was refused, and how to let it."""
    failure = database.failure
    if failure is None or not _LACKS_RIGHTS.search("\n".join([failure.message, *failure.last_lines])):
        return None
    others = [other.alias for other in result.databases if other.owner == database.alias and other.may_stand_in]
    if not others:
        return None
    return (
        f"the user of {database.alias} lacks a right; {others[0]} is the same database, and if its user has it, "
        f'add two lines under [tool.dbmigrate]: exclude = ["{database.alias}"] and '
        f'databases.{others[0]}.open = "migrate"'
    )
