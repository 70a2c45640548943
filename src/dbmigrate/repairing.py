"""From what `verify` found to what would put it right: statements and commands to be read, never run. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dbmigrate.checks.unknown_migrations import commands_to_undo
from dbmigrate.models.reports import Repair
from dbmigrate.models.snapshot import Snapshot
from dbmigrate.models.verification import VerifiedDatabase, VerifiedMigration

TRANSACTIONAL = ("sqlite", "postgresql")

ENDING_AT_AN_ERROR = {"sqlite": ("-bail",), "postgresql": ("-v", "ON_ERROR_STOP=1")}
"""Options of the command line clients that `dbshell` starts; that of MySQL ends there by itself."""


def find_repairs(snapshot: Snapshot, database: VerifiedDatabase, dbshell: Sequence[str]) -> Iterator[Repair]:
    """Yield what would put one database right, in the order in which it is to be done.

    `dbshell`: the project's command for it (Target.command).
    """
    described = snapshot.database(database.alias)
    vendor = described.vendor if described is not None else ""
    ending = ENDING_AT_AN_ERROR.get(vendor, ())
    shell = (*dbshell, *(("--", *ending) if ending else ()))
    taken_back: set[str] = set()
    for migration in database.drift:
        label = migration.id.split(".", 1)[0]
        if migration.outcome == "faked" and _can_be_applied_again(database, label, migration):
            if label not in taken_back:  # what comes after it is taken back with it
                taken_back.add(label)
                yield _take_back(snapshot, database.alias, label, migration)
        elif migration.outcome in ("faked", "missing"):
            yield Repair(
                alias=database.alias,
                about=migration.id,
                why="make what is missing",
                statements=_together(migration.statements, vendor),
                shell=shell,
                commands=(),
            )
        else:
            yield Repair(
                alias=database.alias,
                about=migration.id,
                why="make the rest of it, then record it" if migration.statements else "it is all there: record it",
                statements=_together(migration.statements, vendor),
                shell=shell if migration.statements else (),
                commands=(f"{_run(database.alias, label)} --to {migration.id.split('.', 1)[1]} --fake",),
            )
    for index in database.invalid_indexes:
        yield Repair(
            alias=database.alias,
            about=index.name,
            why="build the index again, without locking its table",
            statements=(f"REINDEX INDEX CONCURRENTLY {index.in_sql};",),
            shell=shell,
            commands=(),
        )
    if database.unknown:
        yield Repair(
            alias=database.alias,
            about=", ".join(record.id for record in database.unknown),
            why="run the code that has these migrations; only with that code they can be undone",
            statements=(),
            commands=commands_to_undo(snapshot, database.alias, [record.id for record in database.unknown]),
        )


def _can_be_applied_again(database: VerifiedDatabase, label: str, migration: VerifiedMigration) -> bool:
    """Return whether nothing is there of what would be taken back: the app's from this one on, and what needs it."""
    own = [other for other in database.migrations if other.recorded_at and other.id.startswith(f"{label}.")]
    needing = [other for other in database.migrations if other.id in migration.needed_by]
    return all(other.outcome in ("faked", "not-here") for other in (*own[own.index(migration) :], *needing))


def _take_back(snapshot: Snapshot, alias: str, label: str, migration: VerifiedMigration) -> Repair:
    app = snapshot.app(label)
    names: Sequence[str] = app.migrations if app is not None else ()
    position = names.index(migration.id.split(".", 1)[1])
    run = _run(alias, label)
    return Repair(
        alias=alias,
        about=migration.id,
        why="take the record back and apply it; or, if its tables do not belong there, let a router refuse them",
        statements=(),
        commands=(f"{run} --to {names[position - 1] if position else 'zero'} --fake", run),
    )


def _run(alias: str, label: str) -> str:
    return f"dbmigrate run --database {alias} --app {label}"


def _together(statements: tuple[str, ...], vendor: str) -> tuple[str, ...]:
    """Return statements of which all or none take effect, where the database can do that."""
    return ("BEGIN;", *statements, "COMMIT;") if len(statements) > 1 and vendor in TRANSACTIONAL else statements
