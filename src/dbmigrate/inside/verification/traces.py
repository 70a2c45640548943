"""What of a migration that is not recorded a database holds, operation by operation; the question `trace`."""

from __future__ import annotations

from collections import namedtuple
from typing import TYPE_CHECKING

from django.db import connections
from django.db.migrations import AlterField, RemoveField, SeparateDatabaseAndState

from ..migrations.effects import Effects, numbered_operations
from ..migrations.graph import Disk, read_records
from ..migrations.judging import alters_column, is_shown, name_operation, shows_alteration
from ..migrations.routes import RouteBook
from ..migrations.schema import SchemaWalk
from ..servers.catalogue import Catalogue

if TYPE_CHECKING:
    from ..protocol import TraceReply

Trace = namedtuple("Trace", "number operation model text is_there added removed missing before after")
"""An operation that reaches a database, and what the catalogue says of it.

number, model: effects.Reaching; is_there: whether the catalogue shows what it does, None where it cannot tell;
added, removed: schema.Part; missing: those of a table or column that is there which are not; before, after: the states
of the project around it, None if they are not wanted.
"""


def is_recorded(alias: str, migration: str) -> bool:
    """Return whether a migration is recorded on a database."""
    connection = connections[alias]
    try:
        return tuple(migration.split(".", 1)) in read_records(connection)
    finally:
        connection.close()


def trace(alias: str, migration: str) -> TraceReply:
    """Return whether they are there, for the operations of a migration that reach this database, in their order.

    What is missing of a table or column that is there follows it, each for itself.
    """
    connection = connections[alias]
    disk = Disk()
    try:
        catalogue = Catalogue(connection)
        found: TraceReply = []
        for traced in trace_from_start(connection, Effects(disk, RouteBook()), disk.loader, migration, catalogue):
            found.append({"text": traced.text, "is_there": traced.is_there})
            found += [
                {"text": "{}: {}".format(traced.text, _words(part)), "is_there": False} for part in traced.missing
            ]
        return found
    finally:
        connection.close()


def trace_from_start(connection, effects, loader, migration, catalogue, *, keep_states=False):
    """Return a Trace for each operation of one migration, after all that it depends on."""
    key = tuple(migration.split(".", 1))
    walk = SchemaWalk(connection, loader)
    for needed in loader.graph.forwards_plan(key)[:-1]:
        walk.apply(loader.graph.nodes[needed])
    tracer = Tracer(connection, effects, walk, catalogue, keep_states=keep_states)
    return list(tracer.follow(loader.graph.nodes[key]))


class Tracer:
    """Goes through migrations that are not recorded, after those that are."""

    def __init__(self, connection, effects, walk, catalogue, *, keep_states=False):
        """Go on where `walk` (SchemaWalk) stands; `catalogue` is None where there is no database yet."""
        self._connection = connection
        self._effects = effects
        self._walk = walk
        self._catalogue = catalogue
        self._keep_states = keep_states
        self._known = set(walk.makers)
        self._new = set()

    def follow(self, migration):
        """Go on by one migration, and yield a Trace for each operation that the routers do not refuse here."""
        self._known |= self._new  # what earlier ones have made; the operations of one may contradict each other
        self._new = set()
        for index, operation in enumerate(migration.operations):
            if not isinstance(operation, SeparateDatabaseAndState):
                numbered = [(str(index), operation)] if list(numbered_operations([operation])) else []
                yield from self._trace(self._walk, migration, operation, numbered)
                continue
            # What it does to the database its state does not know.
            scratch = self._walk.copy()
            for number, inner in numbered_operations(operation.database_operations, "{}.".format(index)):
                yield from self._trace(scratch, migration, inner, [(number, inner)])
            self._walk.step(migration, operation)

    def _trace(self, walk, migration, operation, numbered):
        """Go on by one operation and yield its Trace; `numbered` is empty if it does nothing to any database."""
        key = migration.app_label, str(getattr(operation, "model_name", "")).lower()
        field = _field(walk, key, operation)
        before = walk.state.clone() if self._keep_states else None
        added, removed = walk.step(migration, operation)
        self._new.update(added)
        after = walk.state.clone() if self._keep_states else None
        for number, _ in numbered:
            answer, model = self._effects.answer_operation(self._connection, migration.app_label, operation)
            if answer == "no":
                continue
            is_altered = field is not None and alters_column(
                operation, field, _field(walk, key, operation), self._connection
            )
            if is_shown(operation) and not added and not removed and not is_altered:
                continue  # it does nothing to a database
            is_known = is_shown(operation) and not (is_altered and not self._is_altered(walk, key, operation, field))
            is_there = self._is_there(added, removed) if is_known else None
            text = name_operation(operation)
            missing = [part for part in added[1:] if not self._shows(part)] if is_there and added else []
            yield Trace(number, operation, model, text, is_there, added, removed, missing, before, after)

    def _is_altered(self, walk, key, operation, before):
        """Whether the column is seen to be as AlterField makes it."""
        place = walk.column_of(key, operation.name)
        row = self._catalogue.row(*place) if place is not None and self._catalogue is not None else None
        return row is not None and shows_alteration(before, _field(walk, key, operation), self._connection, row)

    def _is_there(self, added, removed):
        if not added and not removed:
            return True  # what it changes of a column was looked at
        known = self._known
        if known.intersection(added) or (removed and not known.intersection(removed)):
            # A column that is taken away and made again, or made and taken away: what is there may be either.
            return None
        return self._shows(added[0]) if added else not self._shows(removed[0])

    def _shows(self, part):
        return self._catalogue is not None and self._catalogue.shows(part)


def unjudged(traces):
    """Return those of which a person has to say whether they have run: the catalogue cannot."""
    gone = {_field_of(one.operation) for one in traces if one.is_there and isinstance(one.operation, RemoveField)}
    return [
        traced
        for traced in traces
        if (traced.is_there is None or _may_be_another(traced))
        # What has been dropped since need not have been altered.
        and not (isinstance(traced.operation, AlterField) and _field_of(traced.operation) in gone)
    ]


def _field_of(operation):
    return operation.model_name_lower, operation.name


def _may_be_another(traced):
    """Whether what should be gone is an index or constraint without a name: another like it may be there."""
    return traced.is_there is False and not traced.added and not any(is_known_by_name(part) for part in traced.removed)


def is_known_by_name(part):
    """Whether a part is found by its name: a table, a column, and indexes and constraints that have one."""
    return part.kind == "table" or bool(part.name)


def _field(walk, key, operation):
    """Return the field that an operation alters, as the state has it now; None for other operations."""
    if not isinstance(operation, AlterField):
        return None
    model = walk.state.models.get(key)
    return model.fields.get(operation.name) if model is not None else None


def _words(part):
    """Return for example "foreign key of author"."""
    kind, source = part.source
    if kind == "field":
        return "{} {} {}".format(part.kind, "on" if part.kind == "index" else "of", source)
    if kind in ("unique_together", "index_together"):
        return "{} {}".format(kind.replace("_", " "), ", ".join(source))
    return "{} {}".format(part.kind, part.name)
