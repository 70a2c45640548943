"""DBM302: recorded, and unknown to this code."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dbmigrate.models.findings import Finding
from dbmigrate.models.snapshot import MigrationId, Snapshot
from dbmigrate.routing import Routing

MOST_NAMED = 5


def find_unknown_migrations(snapshot: Snapshot, routing: Routing) -> Iterator[Finding]:
    """Yield an error for each database that is ahead of the code, and a note for records of what is gone from it."""
    for database in snapshot.databases:
        if not routing.is_migrated(database.alias):
            continue
        ahead = routing.ahead(database)
        gone = tuple(sorted({*database.unknown, *database.leftover} - {*ahead}))
        if ahead:
            yield _finding(
                database.alias,
                ahead,
                level="error",
                problem=f"this code does not know {_names(ahead)}: the database is ahead of it",
                hint="run the code that has them (a deploy that was rolled back leaves this behind), or with that code "
                f"undo them: {' && '.join(commands_to_undo(snapshot, database.alias, ahead))}",
            )
        if gone:
            yield _finding(
                database.alias,
                gone,
                level="note",
                problem=f"{_names(gone)} {_be(gone)} gone from the code: "
                "squashed away, or of an app that is not installed or has nothing there",
                hint="harmless; Django 4.1 and newer forget them with: "
                + _commands_to_prune(snapshot, database.alias, gone),
            )


def commands_to_undo(snapshot: Snapshot, alias: str, unknown: Sequence[MigrationId]) -> tuple[str, ...]:
    """Return the commands that take a database back to this code; they work with the code that has the migrations."""
    commands = []
    for label in dict.fromkeys(identifier.split(".", 1)[0] for identifier in unknown):
        app = snapshot.app(label)
        last = app.migrations[-1] if app is not None and app.migrations else "zero"
        commands.append(f"dbmigrate run --database {alias} --app {label} --to {last}")
    return tuple(commands)


def _commands_to_prune(snapshot: Snapshot, alias: str, gone: Sequence[MigrationId]) -> str:
    labels = dict.fromkeys(identifier.split(".", 1)[0] for identifier in gone)
    return " && ".join(
        snapshot.project.command_line("migrate", label, "--prune", f"--database={alias}") for label in labels
    )


def _finding(alias: str, identifiers: tuple[MigrationId, ...], *, level: str, problem: str, hint: str) -> Finding:
    return Finding(
        id="DBM302",
        level="error" if level == "error" else "note",
        stops=False,
        message=f"recorded on {alias}: {problem}",
        hint=hint,
        aliases=(alias,),
        apps=tuple(dict.fromkeys(identifier.split(".", 1)[0] for identifier in identifiers)),
    )


def _names(identifiers: tuple[MigrationId, ...]) -> str:
    more = len(identifiers) - MOST_NAMED
    return ", ".join(identifiers[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _be(identifiers: tuple[MigrationId, ...]) -> str:
    return "is" if len(identifiers) == 1 else "are"
