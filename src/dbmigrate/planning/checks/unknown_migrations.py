"""DBM302: recorded, and unknown to this code."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dbmigrate.models.database import Database
from dbmigrate.models.findings import Finding
from dbmigrate.models.migrations import MigrationId, label_of
from dbmigrate.models.snapshot import Snapshot
from dbmigrate.planning.routing import Routing

MOST_NAMED = 5


def find_unknown_migrations(snapshot: Snapshot, routing: Routing) -> Iterator[Finding]:
    """Yield an error for each database that other code has migrated, and a note for records of what is gone."""
    for database in snapshot.databases:
        if not routing.is_checked(database.alias):
            continue
        ahead = routing.ahead(database)
        gone = tuple(sorted({*database.unknown, *database.leftover} - {*ahead}))
        if ahead:
            yield _finding(
                database.alias,
                ahead,
                level="error",
                problem=f"this code does not know {_names(ahead)}: a newer release or another branch has applied "
                f"{_them(ahead)}, and the database is ahead of this code",
                hint=f"run the code that has {_them(ahead)} (a deploy that was rolled back leaves this behind); or to "
                f"undo {_them(ahead)}, {words_to_undo(snapshot, database.alias, ahead)}",
            )
        if gone:
            yield _finding(
                database.alias,
                gone,
                level="note",
                problem=f"{_names(gone)} {_be(gone)} no longer in the "
                "code: squashed, or part of an app that is not installed or has nothing there",
                hint=_hint_for_gone(snapshot, database, gone),
            )


def _hint_for_gone(snapshot: Snapshot, database: Database, gone: Sequence[MigrationId]) -> str:
    """Return what may be done about records of what is gone; none is forgotten that has left a table behind."""
    labels = dict.fromkeys(label_of(identifier) for identifier in gone)
    left = [table for label in labels for table in database.left_tables.get(label, ())]
    left += [f"{one.table}.{one.column}" for one in database.refusing if label_of(one.model) in labels]
    if left:
        more = f" and {len(left) - MOST_NAMED} more" if len(left) > MOST_NAMED else ""
        return (
            f"keep the records as long as this is there: {', '.join(left[:MOST_NAMED])}{more}; "
            "the code that has these migrations can remove it"
        )
    known = [label for label in labels if (app := snapshot.app(label)) is not None and app.has_migrations]
    if not known:
        return "harmless: none of their tables is left"
    forget = [snapshot.project.to_type("migrate", label, "--prune", f"--database={database.alias}") for label in known]
    return f"harmless; Django 4.1 and newer remove them with: {' && '.join(forget)}"


def words_to_undo(snapshot: Snapshot, alias: str, unknown: Sequence[MigrationId]) -> str:
    """Return how to take a database back to this code, which cannot do it: here the commands would undo others."""
    database = snapshot.database(alias)
    commands = []
    for label in dict.fromkeys(label_of(identifier) for identifier in unknown):
        last = database.undo_to.get(label, "zero") if database is not None else "zero"
        commands.append(f"dbmigrate run --database {alias} --app {label} --to {last}")
    # In quotes: a command that undoes something else with the code that is here is no line to paste here.
    return f"with the code that has {_names(tuple(unknown))}, type `{' && '.join(commands)}`"


def _finding(alias: str, identifiers: tuple[MigrationId, ...], *, level: str, problem: str, hint: str) -> Finding:
    return Finding(
        id="DBM302",
        level="error" if level == "error" else "note",
        stops=False,
        message=f"recorded on {alias}: {problem}",
        hint=hint,
        aliases=(alias,),
        apps=tuple(dict.fromkeys(label_of(identifier) for identifier in identifiers)),
    )


def _names(identifiers: tuple[MigrationId, ...]) -> str:
    more = len(identifiers) - MOST_NAMED
    return ", ".join(identifiers[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _be(identifiers: tuple[MigrationId, ...]) -> str:
    return "is" if len(identifiers) == 1 else "are"


def _them(identifiers: tuple[MigrationId, ...]) -> str:
    return "it" if len(identifiers) == 1 else "them"
