"""The words people read before a reset: what will be taken away."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dbmigrate.models.reset import KeptThing, ResetList
from dbmigrate.renderers.words import plural


def reset_lines(reset: ResetList) -> Iterator[str]:
    """Yield the list of databases and files, line by line."""
    yield from _database_lines(reset)
    yield f"Files that will be moved to {reset.kept_in}:"
    for file in reset.files:
        yield f"  {file.path}" + (f" ({', '.join(file.hand_written)})" if file.hand_written else "")
    if not reset.files:
        yield "  none"
    kinds = [*dict.fromkeys(kind for file in reset.files for kind in file.hand_written)]
    if kinds:
        yield f"makemigrations does not write {' or '.join(kinds)}: what they did is lost unless you copy them back"


def _database_lines(reset: ResetList) -> Iterator[str]:
    sizes = [
        f"{one.alias} ({plural(len(one.tables), 'table')}, {_total(one.tables.values())})" for one in reset.databases
    ]
    yield f"Databases that will be emptied: {', '.join(sizes)}"
    yield "Tables that will be dropped and recreated:"
    for database in reset.databases:
        tables = [f"{name} ({_rows(rows)})" for name, rows in database.tables.items()]
        yield f"  {database.alias}: {', '.join(tables) or 'none'}"
    if any(database.kept for database in reset.databases):
        yield "Kept, because no migration creates them:"
    for database in reset.databases:
        if database.kept:
            kept = [f"{thing.name} ({_describe_kept(thing)})" for thing in database.kept]
            yield f"  {database.alias}: {', '.join(kept)}"
    if any(database.lost for database in reset.databases):
        yield "Dropped with their tables, and not recreated by any migration:"
    for database in reset.databases:
        if database.lost:
            yield f"  {database.alias}: {', '.join(f'trigger {one.name} on {one.on}' for one in database.lost)}"


def _describe_kept(thing: KeptThing) -> str:
    return _rows(thing.rows) if thing.kind == "TABLE" else thing.kind.lower()


def _total(rows: Iterable[int | None]) -> str:
    counted = [*rows]
    return _rows(None if None in counted else sum(number for number in counted if number is not None))


def _rows(rows: int | None) -> str:
    return "rows not counted" if rows is None else plural(rows, "row")
