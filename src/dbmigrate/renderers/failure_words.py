"""The words of a failed step: what failed, what it left, and what to do about it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from dbmigrate.frames import is_foreign_frame, is_frame
from dbmigrate.listing import listed
from dbmigrate.models.result import DatabaseResult, Failure, RunResult
from dbmigrate.renderers import lock_words
from dbmigrate.renderers.durations import duration
from dbmigrate.renderers.words import exit_words, names

MOST_FRAMES, MOST_BRIEF_LINES = 3, 6
"""Of a failed step on a terminal: frames of the project's own code, and lines of what it said."""

# SQLSTATE 42501 as psycopg names it, and MySQL's numbers; PostgreSQL's own words are English where its server is.
_LACKS_RIGHTS = re.compile(r"InsufficientPrivilege|permission denied|must be owner of|\((?:1044|1142|1143|1227|1370), ")


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


FIX = "fix the cause, then"


def advice(result: RunResult) -> str:
    """Return what to do after a run that did not end with 0."""
    full = [one.alias for one in result.databases if one.failure is not None and one.failure.is_disk_full]
    then = _advice(result).removeprefix(f"{FIX} ")
    return f"free space on the disk of database {names(full)}, then {then}" if full else _advice(result)


def _advice(result: RunResult) -> str:
    if not result.unfinished and not result.unlocked:
        without = [database.alias for database in result.databases if database.without_table]
        only = f" --database {without[0]}" if len(without) == 1 else ""
        return f"to see what is missing, and how to create it: dbmigrate verify --repair{only}"
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
    resume = "rerun the command; it resumes where it stopped"
    if result.approved_by is not None and result.moved:
        resume = "approve a new plan for the rest: a part of this one is applied, so it no longer holds"
    if any(failure.kind != "interrupted" for failure in failures):
        return f"{FIX} {resume}"
    return resume


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
