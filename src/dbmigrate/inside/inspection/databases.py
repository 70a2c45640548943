"""One database: does it answer, what is it, and what is applied and pending there."""

import math
import time
from functools import partial
from typing import NamedTuple

from django.apps import apps
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.migrations import RenameModel, RunPython, RunSQL, SeparateDatabaseAndState

from ..connections.silence import SilenceError
from ..migrations.asking import is_applied_as_django_does
from ..migrations.data_migrations import describe_data_operations
from ..migrations.effects import strongest_answer
from ..migrations.graph import find_last, read_rows, read_times
from ..migrations.history import find_cut_off, find_inconsistency, find_left_tables, find_unknown, find_way_back
from ..migrations.relations import find_planned_relations, find_present, follow_fields
from ..migrations.routes import answer_in, app_configs, tables_of
from ..migrations.schema import recorded_walk
from ..servers.census import take_census
from ..servers.connecting import MOST_OPEN
from ..servers.identity import describe_server, is_in_memory, why_no_writes
from ..servers.room import describe_room, find_pooler
from ..servers.troubles import explain_failure
from .already_there import AlreadyThere
from .commands import find_replaced_commands
from .dangers import DangerFinder
from .data_work import describe_data
from .missing_tables import find_missing_tables, find_unmade_tables, fold, has_table
from .rights import describe_rights
from .strays import find_refusing_columns

FRESH_SECONDS = 5.0
"""How long what was found about pending migrations counts for the look under the locks, if none was waited for."""


class Depth(NamedTuple):
    """Whether a look says of a database what takes time and not everybody needs."""

    records: bool
    checks: bool
    """What only checks, and what is asked before a run, need: columns that refuse inserts, and rights."""


class Known:
    """What was found about a database: the next look at the same migrations on disk need not work it out again."""

    def __init__(self, found, contents, at):
        """Keep what it was found to hold, what follows from that, and when that was found."""
        self.found = found
        self.contents = contents
        self.at = at
        self.description = None
        """The last whole description; None if the look did not come to its end."""
        self.looked_at = at

    def holds(self, rows, tables):
        """Whether it was found to hold just these rows of django_migrations and these tables (Locks.find_contents)."""
        state, recorded, known_tables, *_ = self.found
        return state == "ok" and known_tables == fold(tables) and recorded.keys() == {tuple(row[:2]) for row in rows}


class DatabaseDescriber:
    """Describes databases in one look at the project."""

    def __init__(self, disk, effects, makers, rules, depth, recorded, before, is_again):
        """Take what the look is about (Inspector.inspect, Depth); `rules`: routing rules that no router follows.

        `recorded`: what numbers the records (facts.Records). `before` is handed from one look at the same migrations on
        disk to the next: {alias: Known}. `is_again`: whether this look only repeats the one before
        (Inspector.expect_the_same).
        """
        self._disk = disk
        self._effects = effects
        self._makers = makers
        self._rules = rules
        self._depth = depth
        self._recorded = recorded
        self._before = before
        self._since = time.monotonic() - FRESH_SECONDS if is_again else math.inf

    def recall(self, connection, contents):
        """Return what `describe` said of a database a moment ago; None where it may be otherwise now.

        contents: the rows of django_migrations and the tables that its lock has read since (Locks.find_contents).
        """
        known = self._before.get(connection.alias)
        if known is None or known.description is None or known.looked_at < self._since:
            return None
        if known.found[-1] != self._depth or not known.holds(*contents) or _may_be_elsewhere():
            return None
        if any(room["others"] + _sessions_of_a_run() >= room["most"] for room in known.description.get("room") or ()):
            return None  # the locks have taken some of it since
        return {**known.description, "recorded": self._recorded.number(known.found[1])}

    def follow(self, connection, contents):
        """Return what `describe` would say of a database after a run, by what its lock has read (Locks.read_contents).

        None where something is pending that does anything there, or its schemas are counted: then it has to be asked.
        """
        described = self._describe_settings(connection)
        if isinstance(contents, SilenceError):
            return {**described, **(explain_failure(contents, connection) or {})}
        known = self._before.get(connection.alias)
        if known is None or known.description is None or known.found[0] != "ok" or _may_be_elsewhere():
            return None
        rows, names = contents
        try:
            loader = self._disk.for_rows(connection, rows)
            if any(
                self._effects.reaching(connection, *planned) or not is_applied_as_django_does(*planned)
                for planned in loader.plan_all()
            ):
                return None
            routed, foreign = described["routes"], known.found[3]
            follows = self._describe_contents(connection, "ok", loader, routed, fold(names), foreign)
            return {**known.description, "routes": routed, **follows}
        except Exception as error:
            if explain_failure(error, connection) is None:
                raise
            return None
        finally:
            connection.close()  # what is missing is looked for among the views too, for example

    def describe(self, connection, reached):
        """Return one entry of Snapshot.databases; a database that does not answer is described, never raised.

        `reached` is its answer to `reach`; one that was not asked is described as if it were empty. What is left out is
        as models.database.Database has it.
        """
        looked_at = time.monotonic()
        description = {**self._describe_settings(connection), **reached}
        routed, state = description["routes"], reached["state"]
        if state not in ("ok", "absent", "unasked"):
            return description
        try:
            if state != "unasked":
                description.update(describe_server(connection, state))
            if state == "ok":
                description["pooler"] = find_pooler(connection)
                description["room"] = [] if description["pooler"] is not None else describe_room(connection)
            description.update(self._read_contents(connection, state, routed))
            if state == "ok" and _may_be_elsewhere():
                description["schema_name"], description["census"] = take_census(connection)
            known = self._before[connection.alias]
            known.description, known.looked_at = dict(description), looked_at
        except Exception as error:
            failure = explain_failure(error, connection)
            if failure is None:
                raise
            description.update(failure)
        finally:
            connection.close()
        return description

    def _describe_settings(self, connection):
        """Return what is known of a database without asking it."""
        configured = connection.settings_dict
        return {
            "alias": connection.alias,
            "engine": configured["ENGINE"],
            "vendor": getattr(connection, "vendor", ""),
            "name": str(configured.get("NAME") or ""),
            "host": str(configured.get("HOST") or ""),
            "port": str(configured.get("PORT") or ""),
            "mirror_of": (configured.get("TEST") or {}).get("MIRROR"),
            "transactional_ddl": _can_roll_back(connection),
            "routes": {config.label: self._effects.routes.route(connection.alias, config) for config in app_configs()},
            "identity": None,
            "read_only": why_no_writes(connection),
            "in_memory": is_in_memory(connection),
        }

    def _read_contents(self, connection, state, routed):
        if state != "ok":
            loader = self._disk.for_connection(None)
            return self._describe_contents(connection, state, loader, routed, set(), set())
        names = connection.introspection.table_names()
        loader = self._disk.for_rows(connection, read_rows(connection, names))
        return self._describe_contents(connection, state, loader, routed, fold(names), _foreign_tables(connection))

    def _describe_contents(self, connection, state, loader, routed, tables, foreign):
        """Return what is applied and pending; where nothing is new, as it was said before."""
        found = (state, loader.recorded, tables, foreign, routed, self._depth)
        known = self._before.get(connection.alias)
        # Of what is pending the size of tables is told, and who has which right, which change at any time.
        if known is None or known.found != found or (known.at < self._since and loader.plan_all()):
            at = time.monotonic()
            known = Known(found, self._work_out(connection, state, loader, routed, tables, foreign), at)
            self._before[connection.alias] = known
        return {**known.contents, "recorded": self._recorded.number(loader.recorded)}

    def _work_out(self, connection, state, loader, routed, tables, foreign):
        last = find_last(connection, loader)
        unknown, leftover = find_unknown(loader)
        describer = MigrationDescriber(connection, loader, self._effects, tables, foreign)
        # SQLite takes a foreign key to a table that is not there, and of a database nobody asked the past is not known.
        only_what_stays = connection.vendor == "sqlite" or state == "unasked"
        # The states before what is pending cannot be made without a migration that is cut off.
        cut_off = find_cut_off(connection, loader, self._effects)
        planned = [] if cut_off else loader.plan_all()
        pending = describer.describe(planned, only_what_stays=only_what_stays)
        inconsistent = find_inconsistency(connection, loader, cut_off) if state == "ok" else None
        return {
            "last_applied": None if last is None else _describe_record(*last),
            "records": _list_records(connection, loader) if self._depth.records else None,
            "unknown": sorted(_id(key) for key in unknown),
            "leftover": sorted(_id(key) for key in leftover),
            "undo_to": find_way_back(loader, unknown),
            "left_tables": find_left_tables(loader, {*unknown, *leftover}, tables, _model_tables())
            if unknown or leftover
            else {},
            "inconsistent": inconsistent,
            "cut_off": [{"squashed": _id(squashed), "gone": [_id(key) for key in gone]} for squashed, gone in cut_off],
            "effects": {
                _id((migration.app_label, migration.name)): effect
                for migration, _, effect in pending
                if effect["answer"] != "no"
            },
            "existing": [
                model._meta.label_lower
                for model in _undecided_models(loader, routed)
                if has_table(model._meta.db_table, tables)
                and not self._makers.find(model).isdisjoint(loader.applied_migrations)
            ],
            "tables": len(tables) if state == "ok" else None,
            # Records without those they depend on make no history that could be gone through.
            "missing": [] if inconsistent is not None else self._find_missing(connection, loader, tables, routed),
            "refusing": []
            if inconsistent is not None or state != "ok" or not self._depth.checks
            else find_refusing_columns(
                connection,
                lambda model: answer_in(routed, model) in ("yes", "none"),
                lambda: recorded_walk(connection, loader).makers,
            ),
            "unsynced": [
                model._meta.label_lower
                for model in _unmigrated_models(loader, routed)
                if state != "unasked" and not has_table(model._meta.db_table, tables)
            ],
            "present": find_present(routed, tables - foreign),
            **describe_rights(
                connection,
                loader,
                self._effects,
                [] if state != "ok" or inconsistent is not None or not self._depth.checks else planned,
                tables,
            ),
        }

    def _find_missing(self, connection, loader, tables, routed):
        belongs = partial(self._may_belong, connection.alias, routed)
        return [
            *find_missing_tables(connection, loader, tables, belongs),
            *find_unmade_tables(connection, loader, tables, belongs, self._effects),
        ]

    def _may_belong(self, alias, routed, model):
        """Whether the routing (planning/routing.py) may expect a model class's table here even where it is not there.

        Going through the recorded migrations is dear: on a database of some apps nothing else can be missing.
        """
        answer = answer_in(routed, model)
        if self._rules:
            return answer != "no" and alias == self._rules.get(model._meta.app_label, DEFAULT_DB_ALIAS)
        if answer != "none":
            return answer == "yes"
        return (
            alias == DEFAULT_DB_ALIAS
            or self._effects.routes.refuses(DEFAULT_DB_ALIAS, model)
            or not any(route["answer"] == "yes" or "yes" in route["models"].values() for route in routed.values())
        )


def _sessions_of_a_run():
    """Return how many sessions a run may have at the same time at most, those of its look included."""
    return 2 * len(connections.databases) + MOST_OPEN


def _may_be_elsewhere():
    """Whether a migrate of the project's own may work in other schemas than the one that a session sees."""
    return "migrate" in find_replaced_commands()


def _model_tables():
    """Return {folded name of a table: app label} of every model of this code."""
    return {
        model._meta.db_table.casefold(): model._meta.app_label
        for model in apps.get_models(include_auto_created=True, include_swapped=True)
    }


def _can_roll_back(connection):
    """Return whether a failed migration is rolled back; a backend that raises for the question says no."""
    try:
        return bool(connection.features.can_rollback_ddl)
    except Exception as error:
        if explain_failure(error, connection) is None:
            raise
        return False


def _foreign_tables(connection):
    """Return the folded names of PostgreSQL's foreign tables: Django lists them, and no constraint may point to one."""
    if connection.vendor != "postgresql":
        return set()
    with connection.cursor() as cursor:
        cursor.execute("SELECT relname FROM pg_class WHERE relkind = 'f' AND pg_table_is_visible(oid)")
        return fold(name for (name,) in cursor.fetchall())


class MigrationDescriber:
    """Describes what migrations would do on one database (models.migrations.Effect)."""

    def __init__(self, connection, loader, effects, tables, foreign):
        """Take a database; `tables`: the folded names of what is there, `foreign`: those of foreign tables."""
        self._connection = connection
        self._loader = loader
        self._effects = effects
        self._tables = tables
        self._foreign = foreign

    def describe(self, plan, only_what_stays):
        """Return [(migration, backwards, effect)] for a plan, [(migration, backwards)], in its order."""
        dangers = DangerFinder(self._connection, self._effects, self._loader, self._tables)
        there = AlreadyThere(self._connection, self._effects, self._tables)
        described, made, is_known = [], [], True
        for migration, backwards in plan:
            reaching = self._effects.reaching(self._connection, migration, backwards)
            entry = self._describe(migration, backwards, reaching)
            is_known = is_known and all(map(_is_told, reaching))
            entry["strays"] = self._find_strays(migration, reaching) if is_known and not backwards else []
            entry.update(describe_data(reaching, backwards))
            if not backwards and reaching:
                before = _StateBefore(self._loader, migration)
                entry["data"] = describe_data_operations(migration.app_label, reaching)
                entry["makes"] = there.find(migration, reaching, before)
                entry["dangers"] = dangers.find(migration, reaching, before)
                entry["relations"] = find_planned_relations(
                    self._connection, self._effects, migration, reaching, before, self._tables - self._foreign
                )
                made.append((migration.app_label, reaching, entry["relations"]))
            described.append((migration, backwards, entry))
        follow_fields(made, only_what_stays)
        return described

    def _find_strays(self, migration, reaching):
        """Return models.migrations.StrayRename for the models that get another name and have no table under the old."""
        label = migration.app_label
        return [
            {
                "operation": found.number,
                "old": found.operation.old_name_lower,
                "new": found.model,
                "table": self._effects.table_of(label, found.operation.old_name_lower),
                "answer": found.answer,
                "old_answer": self._effects.answer_model(self._connection, label, found.operation.old_name_lower),
                "is_refused_on_default": self._effects.refuses(DEFAULT_DB_ALIAS, label, found.operation.old_name_lower),
            }
            for found in reaching
            if isinstance(found.operation, RenameModel)
            and self._effects.is_made_by_migrate(label, found.model)
            and not has_table(self._effects.table_of(label, found.operation.old_name_lower), self._tables)
        ]

    def _describe(self, migration, backwards, reaching):
        answer, undecided = strongest_answer(reaching)
        if not is_applied_as_django_does(migration, backwards):
            answer, undecided = "yes", []  # what it does besides nobody knows
        return {
            "answer": answer,
            "undecided": undecided,
            "refused_on_default": [
                name
                for name in undecided
                if name and self._effects.refuses(DEFAULT_DB_ALIAS, migration.app_label, name)
            ],
            "operations": len(reaching),
            "makes": [],
            "relations": [],
            "data": [],
            "dangers": [],
            "unasked": self._effects.find_unasked(self._connection, migration, backwards),
        }


def _is_told(found):
    """Whether an operation says which tables it makes: RunSQL and RunPython do not, whatever model their hints name."""
    return bool(found.model) and not isinstance(found.operation, (RunPython, RunSQL))


class _StateBefore:
    """Gives the project's state before an operation of a migration, and makes it only once it is wanted."""

    def __init__(self, loader, migration):
        self._loader = loader
        self._migration = migration
        self._states = {}

    def __call__(self, number):
        """Return the state before the operation of this number (effects.numbered_operations)."""
        if not self._states:
            key = (self._migration.app_label, self._migration.name)
            self._states[""] = self._loader.project_state(key, at_end=False)
            self._walk(self._migration.operations, "", self._states[""])
        return self._states[number]

    def _walk(self, operations, prefix, state):
        for index, operation in enumerate(operations):
            number = "{}{}".format(prefix, index)
            self._states[number] = state
            if isinstance(operation, SeparateDatabaseAndState):
                self._walk(operation.database_operations, number + ".", state)
            state = state.clone()
            operation.state_forwards(self._migration.app_label, state)


def _list_records(connection, loader):
    """Return the records of migrations on disk, the oldest first (models.database.Record)."""
    times = read_times(connection, loader)
    return [
        _describe_record(at, key)
        for at, key in sorted((at, key) for key, at in times.items())
        if key in loader.disk_migrations
    ]


def _describe_record(at, key):
    return {"id": _id(key), "at": at.isoformat()}


def _undecided_models(loader, routed):
    """Yield the models of migrated apps of which no router has an opinion on this alias."""
    for config in app_configs():
        if config.label in loader.migrated_apps:
            yield from _models_answered(config, routed, ("none",))


def _unmigrated_models(loader, routed):
    """Yield the models of apps without migrations that the routers do not refuse on this alias."""
    for config in app_configs():
        if config.label not in loader.migrated_apps:
            yield from _models_answered(config, routed, ("yes", "none"))


def _models_answered(config, routed, answers):
    route = routed[config.label]
    if route["answer"] in answers or route["models"]:
        yield from (model for model in tables_of(config) if answer_in(routed, model) in answers)


def _id(key):
    return "{}.{}".format(*key)
