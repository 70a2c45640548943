"""The words of `verify`: what was found of a migration, and what differs on a database."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from dbmigrate.errors import ExitCode
from dbmigrate.renderers.words import extent, moment, plural

if TYPE_CHECKING:
    # A run has nothing to do with the answers of the other commands, and need not load them.
    from dbmigrate.models.reports import VerifyReport
    from dbmigrate.models.verification import Outcome, Part, VerifiedDatabase, VerifiedMigration

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
    """Return how many databases `verify` has looked at, and with what result."""
    looked_at = sum(database.error is None for database in report.databases)
    where = f"{plural(looked_at, 'database')} checked{extent(report.limits)}"
    if not report.databases and not report.exit_code:
        return "nothing was verified: there is no database to check; see the kind of each: dbmigrate status"
    unwritten = "".join(f"; {label} has no migrations yet" for finding in report.findings for label in finding.apps)
    if not report.exit_code:
        there = " there" if report.limits else ""
        return f"{where}: everything recorded{there} exists, and nothing is pending{there}{unwritten}"
    wrong = len(report.databases_in_disorder)
    return f"{where}: {wrong} {'needs' if wrong == 1 else 'need'} attention{unwritten}"


def repair_hint(report: VerifyReport) -> str | None:
    """Return the command that shows how to fix what differs; None where there is nothing to show, or it is shown."""
    if report.exit_code is ExitCode.DRIFT and report.repairs is None:
        return "to see how to fix it: dbmigrate verify --repair"
    return None
