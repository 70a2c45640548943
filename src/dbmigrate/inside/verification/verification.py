"""The question `verify`: what is recorded, what belongs here, and what the catalogue really holds, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import connections

from ..inspection.strays import find_refusing_columns
from ..migrations.effects import Effects
from ..migrations.graph import Disk, needing_migrations, read_times, recorded_migrations
from ..migrations.history import find_cut_off, find_inconsistency, find_unknown
from ..migrations.judging import is_shown, name_operation
from ..migrations.routes import RouteBook
from ..migrations.schema import Part, SchemaWalk
from ..servers.catalogue import Catalogue
from ..servers.connecting import open_in_turn
from ..servers.troubles import explain_failure
from .repairs import unwritten, write_parts, write_rest
from .traces import Tracer, is_known_by_name, trace_from_start, unjudged

if TYPE_CHECKING:
    from ..protocol import ReachedReply, VerifiedDatabaseReply, VerifyReply

ALIKE = {"index": ("index", "unique", "constraint"), "unique": ("unique", "constraint")}
"""Kinds of parts that Catalogue.shows takes for one that is known by its columns alone."""


def verify(watch, placements: dict[str, dict[str, list[str] | None]], repair: bool) -> VerifyReply:
    """Return models.verification.VerifiedDatabase for each alias; nothing is written anywhere.

    `placements`: {alias: {app label: lower-case model names that belong there, or None for all}}. `repair`: whether to
    write down the statements that would put it right.
    """
    disk = Disk()
    routes = RouteBook()
    return [
        _describe(connections[alias], reached, disk, routes, placements[alias], repair)
        for alias, reached in open_in_turn(list(placements), watch)
    ]


def _describe(connection, reached: ReachedReply, disk, routes, placement, repair) -> VerifiedDatabaseReply:
    described: VerifiedDatabaseReply = {
        "alias": connection.alias,
        "error": reached["error"],
        "trouble": reached["trouble"],
        "inconsistent": None,
        "migrations": [],
        "invalid_indexes": [],
        "refusing": [],
        "unknown": [],
        "leftover": [],
    }
    if reached["state"] not in ("ok", "absent"):
        return described
    try:
        is_there = reached["state"] == "ok"
        loader = disk.for_connection(connection if is_there else None)
        times = read_times(connection, loader)
        effects = Effects(disk, routes)
        cut_off = find_cut_off(connection, loader, effects) if is_there else []
        described["inconsistent"] = find_inconsistency(connection, loader, cut_off) if is_there else None
        if described["inconsistent"] is None:
            catalogue = Catalogue(connection) if is_there else None
            verifier = _Verifier(connection, loader, times, effects, placement, catalogue, repair)
            described["migrations"] = verifier.describe()
            if is_there:
                described["refusing"] = find_refusing_columns(connection, verifier.has_model, verifier.made)
            described["invalid_indexes"] = [
                {"name": name, "table": table, "in_sql": in_sql}
                for name, table, in_sql in (catalogue.invalid_indexes() if catalogue is not None else [])
            ]
        unknown, leftover = find_unknown(loader)
        there = {*unknown, *leftover} & set(times)  # but for what has gone between two questions
        ahead = {key for key in there.intersection(unknown) if key[0] in placement}
        described["unknown"] = [_record(key, times) for key in sorted(ahead)]
        described["leftover"] = [_record(key, times) for key in sorted(there - ahead)]
    except Exception as error:
        failure = explain_failure(error, connection)
        if failure is None:
            raise
        described.update({"migrations": [], "error": failure["error"], "trouble": failure["trouble"]})
    finally:
        connection.close()
    return described


def _record(key, times):
    return {"id": "{}.{}".format(*key), "at": times[key].isoformat()}


class _Verifier:
    """Holds one database against its records."""

    def __init__(self, connection, loader, times, effects, placement, catalogue, repair):
        self._connection = connection
        self._loader = loader
        self._times = times
        self._effects = effects
        self._placement = placement
        self._catalogue = catalogue
        self._repair = repair
        self._walk = SchemaWalk(connection, loader)
        self._before = {}
        self._recorded = []
        self._begun = {}

    def has_model(self, model):
        """Whether the table of a model belongs here."""
        return self._belongs((model._meta.app_label, model._meta.model_name))

    def made(self):
        """Return the parts (schema.Part) that the recorded migrations have made, once `describe` was called."""
        return self._recorded

    def describe(self):
        """Return models.verification.VerifiedMigration for every migration, the recorded ones first."""
        recorded = recorded_migrations(self._loader)
        for migration in recorded:
            self._walk.apply(migration)
        made: dict[str, list[Part]] = {}
        for part, maker in self._walk.makers.items():
            if self._belongs(part.model) and self._is_expected(part):
                made.setdefault(maker, []).append(part)
        self._before = {_key(part): part for part in self._walk.makers}
        self._recorded = list(self._walk.makers)
        described = [self._describe_recorded(migration, made.get(_id(migration), [])) for migration in recorded]
        return described + self._describe_pending()

    def _describe_recorded(self, migration, parts):
        there = [part for part in parts if self._is_there(part)]
        missing = [part for part in parts if part not in there]
        if not missing:
            outcome = "there" if self._reaches(migration) else "not-here"
        elif there or (self._walk.taken_over | self._walk.stated).intersection(missing):
            outcome = "missing"  # what Django has never made is not made by applying the migration again
        else:
            outcome = "faked"
        unjudged = []
        # What it wrote into what is gone is gone too, or was half undone.
        if any(part.kind in ("table", "column") for part in missing):
            unjudged = [
                name_operation(found.operation)
                for found in self._effects.reaching(self._connection, migration)
                if not is_shown(found.operation)
            ]
        row = self._row(migration, outcome, missing, unjudged)
        if self._repair and outcome in ("faked", "missing"):
            row["statements"] = write_parts(self._connection, self._catalogue, self._walk.state, _named(missing))
            row["unwritten"] = unwritten(row["statements"])
        return row

    def _describe_pending(self):
        """Return a description of every migration that is not recorded."""
        tracer = Tracer(self._connection, self._effects, self._walk, self._catalogue)
        found = []
        for migration, _ in self._loader.plan_all():
            traces = [traced for traced in tracer.follow(migration) if self._is_about_here(migration, traced)]
            found.append((migration, traces, self._compare(migration, traces)))
        # Only now is it known what a later one takes away again.
        rows = [self._describe_unrecorded(*one) for one in found]
        told = {row["id"] for row in rows if row["outcome"] in ("unrecorded", "half-applied")}
        for row in rows:
            if row["id"] in told:
                row["needs"] = self._unrecorded_needs(row["id"])
        needed = {identifier for row in rows for identifier in row["needs"]}
        for row in rows:
            if row["id"] not in told | needed:
                row["unjudged"] = []  # it is merely pending
        return rows

    def _compare(self, migration, traces):
        """Return (parts that are there, parts to make, parts that are gone, parts to drop) of one that is not recorded.

        What should be gone and what is there are asked when the walk stands behind this migration.
        """
        there: list[Part] = []
        to_make: list[Part] = []
        removed: list[Part] = []
        for traced in traces:
            if "." in traced.number or getattr(traced.operation, "state_operations", None):
                continue  # what its state says may be there already, and on purpose
            for part in traced.added:
                if self._belongs(part.model) and not self._is_explained(part):
                    (there if self._is_there(part) else to_make).append(part)
            removed += [part for part in traced.removed if is_known_by_name(part) and self._belongs(part.model)]
        if there:
            self._begun.update((part, _id(migration)) for part in (*there, *to_make))
        gone: list[Part] = []
        to_drop: list[Part] = []
        for part in removed:
            # What a table that is not there lacks says nothing, nor what no migration has made that has begun.
            is_back = part in self._walk.makers
            is_made = _key(part) in self._before or self._begun.get(part, _id(migration)) != _id(migration)
            if is_made and not is_back and self._has_table(part.table):
                (to_drop if self._is_there(part) else gone).append(part)
        return there, to_make, gone, to_drop

    def _describe_unrecorded(self, migration, traces, compared):
        there, to_make, gone, to_drop = compared
        # What is made and taken away again, by this migration or a later one, need not be there.
        to_make = [part for part in to_make if part in self._walk.makers]
        if there or gone:
            outcome = "half-applied" if to_make or to_drop else "unrecorded"
        else:
            outcome = "pending" if self._reaches(migration) else "pending-not-here"
        row = self._row(migration, outcome, to_make, [one.text for one in unjudged(traces)])
        row["there"] = [self._describe_part(part) for part in there]
        row["there"] += [self._describe_part(part, is_taken_away=True) for part in gone]
        row["missing"] += [self._describe_part(part, is_taken_away=True) for part in _named(to_drop)]
        if outcome not in ("half-applied", "unrecorded"):
            row["missing"] = []  # it is merely pending
        if self._repair and outcome == "half-applied":
            row["statements"] = self._write_rest(row["id"])
            row["unwritten"] = unwritten(row["statements"])
        return row

    def _is_about_here(self, migration, traced):
        """Whether an operation concerns what belongs on this database."""
        model = traced.model
        return self._belongs((migration.app_label, model)) if model else migration.app_label in self._placement

    def _write_rest(self, identifier):
        """Return the statements that are left to do of a half-applied migration, in the order of its operations."""
        migration = self._loader.graph.nodes[tuple(identifier.split(".", 1))]
        traces = trace_from_start(
            self._connection, self._effects, self._loader, identifier, self._catalogue, keep_states=True
        )
        here = [traced for traced in traces if self._is_about_here(migration, traced)]
        return write_rest(self._connection, self._catalogue, migration, here)

    def _unrecorded_needs(self, identifier):
        plan = self._loader.graph.forwards_plan(tuple(identifier.split(".", 1)))[:-1]
        return ["{}.{}".format(*key) for key in plan if key not in self._loader.applied_migrations]

    def _row(self, migration, outcome, missing, unjudged):
        at = self._times.get((migration.app_label, migration.name))
        return {
            "id": _id(migration),
            "outcome": outcome,
            "recorded_at": at and at.isoformat(),
            "there": [],
            "missing": [self._describe_part(part) for part in _named(missing)],
            "needed_by": needing_migrations(self._loader, migration) if outcome == "faked" else [],
            "needs": [],
            "unjudged": unjudged,
            "statements": [],
            "unwritten": [],
        }

    def _describe_part(self, part, *, is_taken_away=False):
        return {
            "kind": part.kind,
            "table": part.table,
            "name": part.name or ", ".join(part.columns),
            "is_view": part.kind == "table" and self._catalogue is not None and self._catalogue.has_view(part.table),
            "is_taken_away": is_taken_away,
        }

    def _belongs(self, key):
        label, name = key
        if label not in self._placement:
            return False
        names = self._placement[label]
        return names is None or name in names

    def _is_expected(self, part):
        """Whether a part must be there: of a table that others have made only what every query names."""
        return part not in self._walk.taken_over or part.kind in ("table", "column")

    def _reaches(self, migration):
        return migration.app_label in self._placement and bool(self._effects.reaching(self._connection, migration))

    def _is_explained(self, part):
        """Whether the recorded migrations made it, or what the catalogue cannot tell from it: then it says nothing."""
        kinds = ALIKE.get(part.kind, ()) if not part.name else ()
        return _key(part) in self._before or any(
            other.table == part.table and other.kind in kinds and sorted(other.columns) == sorted(part.columns)
            for other in self._before.values()
        )

    def _has_table(self, table):
        return self._catalogue is not None and self._catalogue.has_table(table)

    def _is_there(self, part):
        return self._catalogue is not None and self._catalogue.shows(part)


def _named(missing):
    """Return what is missing without what a missing table would have."""
    tables = {part.table for part in missing if part.kind == "table"}
    return [part for part in missing if part.kind == "table" or part.table not in tables]


def _key(part):
    return part.kind, part.table, part.name, part.columns


def _id(migration):
    return "{}.{}".format(migration.app_label, migration.name)
