"""From what `verify` found to what would put it right: statements and commands to be read, never run. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from dbmigrate.models.migrations import MigrationId, label_of
from dbmigrate.models.reports import Repair
from dbmigrate.models.snapshot import Snapshot
from dbmigrate.models.verification import VerifiedDatabase, VerifiedMigration
from dbmigrate.planning.checks.refusing_columns import hint_for_column
from dbmigrate.planning.checks.unknown_migrations import words_to_undo

TRANSACTIONAL = ("sqlite", "postgresql")

ENDING_AT_AN_ERROR = {"sqlite": ("-bail",), "postgresql": ("-v", "ON_ERROR_STOP=1")}
"""Options of the command line clients that `dbshell` starts; that of MySQL ends there on its own."""


def find_repairs(
    snapshot: Snapshot, database: VerifiedDatabase, dbshell: Sequence[str], judged: Collection[MigrationId] = ()
) -> Iterator[Repair]:
    """Yield what would put one database right, in the order in which it is to be done.

    `dbshell`: the project's command for it (Target.command). `judged`: migrations of which a person says that what the
    catalogue cannot show of them has run.
    """
    described = snapshot.database(database.alias)
    vendor = described.vendor if described is not None else ""
    ending = ENDING_AT_AN_ERROR.get(vendor, ())
    shell = (*dbshell, *(("--", *ending) if ending else ()))
    taken_back: set[str] = set()
    for migration in database.drift:
        label = label_of(migration.id)
        if migration.outcome == "faked" and _can_be_applied_again(database, label, migration):
            if label not in taken_back:  # what comes after it is taken back with it
                taken_back.add(label)
                yield _take_back(snapshot, database.alias, label, migration)
        elif migration.outcome in ("faked", "missing"):
            statements = _script(migration, vendor)
            yield Repair(
                alias=database.alias,
                about=migration.id,
                why="create what is missing",
                statements=statements,
                shell=shell if statements else (),
                commands=(),
                notes=(*_notes_on_rows(migration), *_notes_on_unwritten(database.alias, migration)),
            )
        else:
            yield _finish(database, migration, _script(migration, vendor), shell, judged)
    for index in database.invalid_indexes:
        yield Repair(
            alias=database.alias,
            about=index.name,
            why="rebuild the index without locking its table",
            statements=(f"REINDEX INDEX CONCURRENTLY {index.in_sql};",),
            shell=shell,
            commands=(),
        )
    ahead = [record.id for record in database.unknown]
    for column in database.refused:
        assert described is not None, "what was verified is in the snapshot"
        yield Repair(
            alias=database.alias,
            about=f"column {column.table}.{column.column}",
            why="allow inserts without it, or run the code that knows it",
            statements=(),
            commands=(),
            notes=(hint_for_column(snapshot, described, column, ahead),),
        )
    if ahead:
        yield Repair(
            alias=database.alias,
            about=", ".join(ahead),
            why="run the code that has these migrations; only that code can undo them",
            statements=(),
            commands=(),
            notes=(f"to undo them, {words_to_undo(snapshot, database.alias, ahead)}",),
        )


def _finish(
    database: VerifiedDatabase,
    migration: VerifiedMigration,
    statements: tuple[str, ...],
    shell: tuple[str, ...],
    judged: Collection[MigrationId],
) -> Repair:
    """Return how to make the rest of a migration and record it; not how to record what nobody has judged."""
    waiting = _waiting_for(database, migration, judged)
    label, name = migration.id.split(".", 1)
    record = f"{_run(database.alias, label)} --to {name} --fake"
    is_there = "its tables and columns are there" if migration.unjudged else "it is all there"
    rest = "create the rest of it" if statements or migration.unwritten else is_there
    later = _recorded_with(database, migration, judged)
    if any(other.unwritten for other in waiting):
        why = "first decide which project this table belongs to"
    elif waiting:
        why = f"{rest}; check what cannot be verified before you record it"
    elif later is not None:
        why = f"{rest}; it is recorded together with {later}"
    else:
        why = f"{rest}, then record it" if statements else f"{rest}: record it"
    return Repair(
        alias=database.alias,
        about=migration.id,
        why=why,
        statements=statements,
        shell=shell if statements else (),
        commands=() if waiting or later is not None else (record,),
        notes=tuple(note for other in waiting for note in _notes_on(database.alias, migration, other)),
        unjudged=() if migration.id in judged else migration.unjudged,
    )


def _waiting_for(
    database: VerifiedDatabase, migration: VerifiedMigration, judged: Collection[MigrationId]
) -> list[VerifiedMigration]:
    """Return what keeps a migration from being recorded: Django records with it all that it depends on."""
    return [
        other
        for other in database.migrations
        if other.id in (*migration.needs, migration.id)
        and (other.unwritten or (other.id not in judged and (other.unjudged or other.outcome == "pending")))
    ]


def _recorded_with(
    database: VerifiedDatabase, migration: VerifiedMigration, judged: Collection[MigrationId]
) -> MigrationId | None:
    """Return the last migration of the app whose record brings that of this one; None if there is none.

    Django ends each time with what its post_migrate handlers expect of a database that stands just there.
    """
    label = label_of(migration.id)
    for later in reversed(database.drift):
        is_of_app = later.id.startswith(f"{label}.") and migration.id in later.needs
        if is_of_app and later.outcome == "unrecorded" and not _waiting_for(database, later, judged):
            return later.id
    return None


def _notes_on(alias: str, migration: VerifiedMigration, other: VerifiedMigration) -> Iterator[str]:
    label, name = other.id.split(".", 1)
    if other.id != migration.id:
        yield f"recording {migration.id} also records {other.id}, which it depends on and which is not applied"
    if other.unwritten:
        yield from _notes_on_unwritten(alias, other)
        return
    if not other.unjudged:
        yield f"apply that first: {_run(alias, label)} --to {name}"
        return
    yield f"it is unknown whether these operations of {other.id} have run: {', '.join(other.unjudged)}"
    if other.outcome == "pending":
        yield f"if it has not run, apply it: {_run(alias, label)} --to {name}"
    else:
        yield (
            f"check the rows that they write, and run by hand, in this order, what has not run (migrate would start "
            f"{other.id} from the beginning and run all of them again)"
        )
    yield (
        f"once all of them have run, this prints how to record {other.id}: "
        f"dbmigrate verify --repair --database {alias} --judged {other.id}"
    )


def _notes_on_unwritten(alias: str, migration: VerifiedMigration) -> Iterator[str]:
    """Yield what a person has to decide where a table is not as any statement could make it without a loss."""
    if not migration.unwritten:
        return
    yield from migration.unwritten
    tables = ", ".join(dict.fromkeys(part.table for part in migration.missing))
    label = label_of(migration.id)
    yield f"if {tables} belongs to something else, let a router refuse {label} on {alias}, or rename the table"
    yield (
        "if it belongs to this project, create by hand what is missing, then: dbmigrate verify --repair --database "
        f"{alias}"
    )


def _notes_on_rows(migration: VerifiedMigration) -> tuple[str, ...]:
    """Return what is to be said of a recorded migration of which a table or column is missing."""
    if not migration.unjudged:
        return ()
    return (
        f"what {', '.join(migration.unjudged)} of {migration.id} wrote there is not restored: check the "
        "rows, and run it by hand where they need it",
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
        why="remove the record and apply it again; or, if its tables do not belong there, let a router refuse them",
        statements=(),
        commands=(f"{run} --to {names[position - 1] if position else 'zero'} --fake", run),
        notes=(f"applying it runs {', '.join(migration.unjudged)} of {migration.id} again",)
        if migration.unjudged
        else (),
    )


def _run(alias: str, label: str) -> str:
    return f"dbmigrate run --database {alias} --app {label}"


def _script(migration: VerifiedMigration, vendor: str) -> tuple[str, ...]:
    """Return what is handed to the database; nothing where all of it would be what cannot be written down."""
    said = {f"-- {words}" for words in migration.unwritten}
    return () if said.issuperset(migration.statements) else _together(migration.statements, vendor)


def _together(statements: tuple[str, ...], vendor: str) -> tuple[str, ...]:
    """Return statements of which all or none take effect, where the database can do that."""
    count = sum(not statement.startswith("--") for statement in statements)
    return ("BEGIN;", *statements, "COMMIT;") if count > 1 and vendor in TRANSACTIONAL else statements
