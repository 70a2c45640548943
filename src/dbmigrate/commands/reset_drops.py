"""What `reset` drops in each database: what the migrations make again, as a trial has shown; and what it keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dbmigrate.commands.review import CommandContext
from dbmigrate.errors import DeclinedError
from dbmigrate.models.holdings import Holder, Holdings, Thing
from dbmigrate.models.migrations import label_of
from dbmigrate.models.snapshot import Project, Snapshot

RECORDS = "django_migrations"


@dataclass(frozen=True)
class Emptying:
    """What will be dropped in one database, and what stays."""

    alias: str
    tables: Mapping[str, int | None]
    """The rows of each table that will be dropped, Django's own record left out; None where they were not counted."""
    dropped: tuple[Thing, ...]
    """Those tables and the record, and views and the like: all that the migrations make again."""
    made: tuple[Thing, ...]
    """Tables that the migrations made in the trial, whether they were there or not."""
    kept: tuple[Thing, ...]
    """Tables and views that no migration makes; they stay as they are."""
    kept_rows: Mapping[str, int]
    """Of those tables, as far as they were counted, by the name that is shown."""
    lost: tuple[Thing, ...]
    """Triggers that go with their tables, and that no migration makes."""


def plan_emptyings(work: CommandContext, snapshot: Snapshot, made: Mapping[str, Holdings]) -> tuple[Emptying, ...]:
    """Decide what is dropped in each database of `made`, what its migrations made in a trial.

    Raises:
        DeclinedError: something that stays needs it, or it may be somebody else's.
    """
    held = {alias: work.host.describe_holdings(alias, count=True) for alias in made}
    emptyings = []
    for alias, holdings in held.items():
        if holdings.schema_name != made[alias].schema_name:
            raise DeclinedError(
                f"on database {alias} the current schema is {holdings.schema_name or 'none'}, and in a scratch "
                f"database it is {made[alias].schema_name or 'none'}, so it is unknown which tables would be recreated",
                hint=f'set search_path in DATABASES["{alias}"]["OPTIONS"], so that it applies to every database',
                changed=False,
            )
        # Another alias may have a schema of its own in the same database.
        others = {other.schema_name for name, other in held.items() if name != alias} - {holdings.schema_name}
        tried = [thing for thing in made[alias].things if thing.schema_name not in others]
        again = {thing.key for thing in tried}
        dropped = tuple(thing for thing in holdings.things if thing.key in again)
        tables = [thing for thing in dropped if thing.kind == "TABLE" and thing.name != RECORDS]
        check_holders(snapshot.project, alias, work.host.find_holders(alias, dropped) if tables else ())
        _check_made_here(snapshot, alias, tables)
        kept = tuple(thing for thing in holdings.things if thing not in dropped)
        gone = {(thing.schema_name, thing.name) for thing in tables}
        emptyings.append(
            Emptying(
                alias=alias,
                tables={thing.shown: holdings.rows.get(thing.in_sql) for thing in tables},
                dropped=dropped,
                made=tuple(thing for thing in tried if thing.kind == "TABLE"),
                kept=tuple(thing for thing in kept if thing.kind.endswith(("TABLE", "VIEW"))),
                kept_rows={thing.shown: holdings.rows[thing.in_sql] for thing in kept if thing.in_sql in holdings.rows},
                lost=tuple(
                    thing for thing in kept if thing.kind == "TRIGGER" and (thing.schema_name, thing.on) in gone
                ),
            )
        )
    return tuple(emptyings)


def check_holders(project: Project, alias: str, holders: Sequence[Holder]) -> None:
    """Do nothing if nothing that stays needs what is dropped.

    Raises:
        DeclinedError: something does.
    """
    if holders:
        first = holders[0]
        listed = ", ".join(
            f"a foreign key of {holder.name} points to {holder.to}"
            if holder.kind == "foreign key"
            else f"{holder.kind} {holder.name} reads {holder.to}"
            for holder in holders
        )
        drop = "that foreign key" if first.kind == "foreign key" else f"{first.kind} {first.name}"
        raise DeclinedError(
            f"on database {alias} tables that would be dropped are needed by something that no migration creates: "
            f"{listed}",
            hint=f"drop {drop} by hand, and recreate it afterwards: " + project.to_type("dbshell", "--database", alias),
            changed=False,
        )


def _check_made_here(snapshot: Snapshot, alias: str, tables: Sequence[Thing]) -> None:
    """Refuse tables of an app that has no migration recorded there: a table of the same name may be anybody's."""
    database = snapshot.database(alias)
    assert database is not None
    recorded = [*(record.id for record in database.records or ()), *database.unknown, *database.leftover]
    labels = {label_of(identifier) for identifier in recorded}
    there = {thing.name.casefold() for thing in tables}
    for app in snapshot.apps:
        taken = [model.table for model in app.models if model.table.casefold() in there]
        if taken and app.label not in labels:
            raise DeclinedError(
                f"table {taken[0]} exists on database {alias}, but no migration of {app.label} is recorded there, so "
                "it may not belong to this project",
                hint="drop it by hand if it is not needed; or see how it differs, and how to record it: "
                f"dbmigrate verify --repair --database {alias}",
                changed=False,
            )
