"""Migrations as Django's loader sees them, read from disk once for all databases."""

from __future__ import annotations

import os
import re
import sys

from django.apps import apps
from django.db import DatabaseError
from django.db.migrations import state
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from .folders import forget_namespaces, list_files, migrations_folder

WITH_SQL = ("sqlite", "postgresql", "mysql", "oracle", "microsoft")
"""Vendors whose cursors take SQL; that of MongoDB is none."""

NO_SUCH_TABLE = 1146
"""Error number of MySQL."""


def read_records(connection):
    """Return {(app label, migration name): primary key} of django_migrations."""
    return {(label, name): pk for label, name, pk, _ in read_rows(connection, connection.introspection.table_names())}


def read_rows(connection, tables):
    """Return [(app label, migration name, primary key, when it was applied, for `_read_times`)].

    `tables`: the names of the tables. `MigrationRecorder.applied_migrations` reads those names itself, and
    makes a model of each row: with many databases that is most of the time.
    """
    meta = MigrationRecorder.Migration._meta
    if meta.db_table not in tables:
        _refuse_hidden_table(connection)
        return []
    if connection.vendor not in WITH_SQL:
        return list(MigrationRecorder(connection).migration_qs.values_list("app", "name", "pk", "applied"))
    columns = [meta.get_field(name).column for name in ("app", "name", "id", "applied")]
    words = [connection.ops.quote_name(name) for name in (*columns, meta.db_table)]
    with connection.cursor() as cursor:
        cursor.execute("SELECT {}, {}, {}, {} FROM {}".format(*words))
        return cursor.fetchall()


def _refuse_hidden_table(connection):
    """Raise what a server says of a django_migrations that it hides: MySQL lists no table that a user may not read."""
    if connection.vendor != "mysql":
        return
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM django_migrations WHERE 1 = 0")
    except DatabaseError as error:
        if error.args[:1] != (NO_SUCH_TABLE,):
            raise


def read_times(connection, loader):
    """Return {(app label, migration name): when it was applied} for what is recorded."""
    return dict(zip(loader.times, _read_times(connection, loader.times.values())))


def find_last(connection, loader):
    """Return (when, (app label, migration name)) of the newest record of a migration on disk, or None."""
    times = read_times(connection, loader)
    return max(((at, key) for key, at in times.items() if key in loader.disk_migrations), default=None)


def _read_times(connection, values):
    """Return as Django reads them when migrations were applied, which is in no order as the driver has it."""
    values = list(values)
    if connection is None or connection.vendor not in WITH_SQL:
        return values
    column = MigrationRecorder.Migration._meta.get_field("applied").cached_col
    for convert in (*connection.ops.get_db_converters(column), *column.get_db_converters(connection)):
        values = [convert(value, column, connection) for value in values]
    return values


class _SharedLoader(MigrationLoader):
    """A loader for one database which takes over what another has read from disk.

    `rows` are those of django_migrations (`read_rows`), `recorded` their primary keys, and `times` when each was
    applied, as the driver has it; `applied_migrations` counts squashed migrations in as soon as all they replace are
    applied.
    """

    def __init__(self, connection, disk, rows):
        self._disk = disk
        self.recorded = {(label, name): pk for label, name, pk, _ in rows}
        self.times = {(label, name): applied for label, name, _, applied in rows}
        self._parents = {}
        self.known = disk.known
        # As makemigrations does; that `migrate` would give up here is said by `Disk.unstarted`.
        super().__init__(connection, ignore_no_migrations=True)

    def load_disk(self):
        self.disk_migrations = self._disk.loader.disk_migrations
        self.migrated_apps = self._disk.loader.migrated_apps
        self.unmigrated_apps = self._disk.loader.unmigrated_apps

    def build_graph(self):
        """Take over the graph of another database: only what is applied of squashed migrations makes it differ."""
        self.load_disk()
        built = take_graph(self, self._disk, self.recorded)
        if built is not None:
            self._parents = built._parents
            return
        super().build_graph()
        self._disk.graphs[self._disk.squashing.intersection(self.recorded)] = self

    def parents_of(self, key):
        """Return what a migration directly depends on, sorted."""
        if key not in self._parents:
            self._parents[key] = sorted(parent.key for parent in self.graph.node_map[key].parents)
        return self._parents[key]

    def plan_all(self):
        """Return what `migrate` would run: [(migration, backwards)]; the same where the same is recorded."""
        recorded = self.known.intersection(self.recorded)
        if recorded not in self._disk.plans:
            self._disk.plans[recorded] = _executor(self).migration_plan(self.graph.leaf_nodes())
        return self._disk.plans[recorded]

    def may_be_inconsistent(self):
        """Whether a migration is recorded before one that it depends on; Django knows exceptions, and the words."""
        known = self.graph.node_map
        return any(
            parent not in self.recorded for key in self.recorded if key in known for parent in self.parents_of(key)
        )


def take_graph(loader, disk, recorded):
    """Have a loader go by a graph that was built already, with what is recorded: {(app label, name): anything}.

    Returns the loader that built it; None, having done nothing, where none has: what is applied of squashed migrations
    makes graphs differ.
    """
    built = disk.graphs.get(disk.squashing.intersection(recorded))
    if built is None:
        return None
    loader.disk_migrations = disk.loader.disk_migrations
    loader.migrated_apps = disk.loader.migrated_apps
    loader.unmigrated_apps = disk.loader.unmigrated_apps
    loader.graph, loader.replacements = built.graph, built.replacements
    loader.applied_migrations = dict(recorded)
    for key in built.replacements:
        if key in built.applied_migrations:
            loader.applied_migrations[key] = built.applied_migrations[key]
        else:
            loader.applied_migrations.pop(key, None)
    return built


class _ForeseeingLoader(MigrationLoader):
    """A loader that knows of migrations which are not written yet, next to those that another has read from disk."""

    def __init__(self, loader, unwritten):
        self._loader = loader
        self._unwritten = unwritten
        super().__init__(None, ignore_no_migrations=True)

    def load_disk(self):
        labels = {label for label, _ in self._unwritten}
        self.disk_migrations = {**self._loader.disk_migrations, **self._unwritten}
        self.migrated_apps = self._loader.migrated_apps | labels
        self.unmigrated_apps = self._loader.unmigrated_apps - labels


class Disk:
    """The migrations on disk, and their graph where nothing is applied."""

    def __init__(self):
        """Import every migration of every app."""
        before = list_files()
        forget_namespaces()
        # As makemigrations does: an app whose MIGRATION_MODULES entry is not there yet has no migrations.
        self._take(MigrationLoader(None, ignore_no_migrations=True), {})
        files = list_files()
        self._files = files if files == before else None

    def foreseeing(self, unwritten):
        """Return the same with migrations that are not written yet: {(app label, name): migration}."""
        disk = object.__new__(Disk)
        disk._take(_ForeseeingLoader(self.loader, unwritten), unwritten)
        disk._files = self._files
        return disk

    def _take(self, loader, unwritten):
        self.loader = loader
        self.unwritten = frozenset(unwritten)
        """(app label, name) of migrations that are in the graph and in no file."""
        # Their files may go as soon as there is the one that replaces them, which is recorded with the next migrate.
        self.known = frozenset(
            [*loader.disk_migrations]
            + [tuple(key) for migration in loader.disk_migrations.values() for key in migration.replaces]
        )
        """(app label, name) of every migration that is on disk, or that one on disk has squashed."""
        self.squashing = frozenset(
            key
            for squashed, migration in self.loader.replacements.items()
            for key in [squashed, *map(tuple, migration.replaces)]
        )
        self._consistent: dict[frozenset[tuple[str, str]], bool] = {}
        self.graphs = {}
        """By what is applied of `squashing`: a loader that has built its graph."""
        self.plans = {}
        """By what is recorded of `known`: what `migrate` would run."""
        self._names = None

    def is_current(self):
        """Whether the migrations folders are known to have the same files; a module that is imported stays as it is."""
        return self._files is not None and self._files == list_files()

    def unstarted(self):
        """Return the apps without migrations that `migrate` cannot do without (models.apps.Unstarted).

        `migrate` reads no migration at all while MIGRATION_MODULES names a module that is not there, or while the
        migrations package of an app is empty which a migration of another names by `__first__`, as every
        `swappable_dependency` does (MigrationLoader.load_disk and check_key, the same from Django 3.2 to 6.0).
        """
        started = {label for label, _ in self.loader.disk_migrations}
        needed: dict[str, list[str]] = {}
        for key, migration in sorted(self.loader.disk_migrations.items()):
            for label, name in (*migration.dependencies, *migration.run_before):
                if name in ("__first__", "__latest__") and label not in started:
                    needed.setdefault(label, []).append("{}.{}".format(*key))
        labels = [config.label for config in apps.get_app_configs() if config.label not in started]
        whys = [(label, self._why_unstarted(label)) for label in labels]
        return [
            {"app": label, "why": why, "needed_by": needed.get(label, [])}
            for label, why in whys
            if why in ("no-module", "no-init") or (why is not None and label in needed)
        ]

    def _why_unstarted(self, label):
        name, is_explicit = MigrationLoader.migrations_module(label)
        if label in self.loader.migrated_apps:
            return "empty"
        if name is None:
            return None  # switched off by the project
        if is_explicit and name not in sys.modules:
            return "no-module"
        folder = migrations_folder(apps.get_app_config(label))
        files = os.listdir(folder) if os.path.isdir(folder) else []
        return "no-init" if any(re.match(r"\d+\w*\.py$", file) for file in files) else "no-package"

    def conflicts(self):
        """Return {app label: sorted leaf migrations} for each app with more than one."""
        return {label: sorted(names) for label, names in self.loader.detect_conflicts().items()}

    def names_by_app(self):
        """Return {app label: names in dependency order}, migrations that a squashed one replaces included."""
        if self._names is None:
            self._names = self._sort_names()
        return self._names

    def replaced_in(self, label):
        """Return {name: squashed migration} for each migration of this app that a squashed one on disk replaces."""
        return {
            replaced: squashed
            for (app, squashed), migration in self.loader.replacements.items()
            for replaced_app, replaced in migration.replaces
            if app == replaced_app == label
        }

    def _sort_names(self):
        order = {key: index for index, key in enumerate(self._full_plan())}
        names: dict[str, list[str]] = {label: [] for label in self.loader.migrated_apps}
        for key in sorted(self.loader.disk_migrations, key=lambda key: (order.get(key, -1), key)):
            names[key[0]].append(key[1])
        return names

    def _full_plan(self):
        plan = []
        seen = set()
        for leaf in self.loader.graph.leaf_nodes():
            for key in self.loader.graph.forwards_plan(leaf):
                if key not in seen:
                    seen.add(key)
                    plan.append(key)
        return plan

    def project_state(self):
        """Return the state that the migrations describe, without what only rendered models need.

        AlterField looks through every field of every model for references to the altered one, to know what to render
        again; a state that is not rendered is the same either way (django/db/migrations/state.py, since 4.0).
        """
        referenced = getattr(state, "field_is_referenced", None)
        if referenced is None:
            return self.loader.project_state()
        state.field_is_referenced = lambda *arguments: True
        try:
            return self.loader.project_state()
        finally:
            state.field_is_referenced = referenced

    def for_connection(self, connection):
        """Return a loader that knows what is applied on this connection; None stands for an empty database."""
        rows = [] if connection is None else read_rows(connection, connection.introspection.table_names())
        return self.for_rows(connection, rows)

    def for_rows(self, connection, rows):
        """Return the same where the rows of django_migrations have been read already."""
        return _SharedLoader(connection, self, rows)

    def for_records(self, recorded):
        """Return a loader for a database that was asked already, by its records; None if that database was another."""
        if self.squashing.intersection(recorded) not in self.graphs:
            return None
        return _SharedLoader(None, self, [(*key, None, None) for key in recorded])

    def is_consistent(self, recorded):
        """Whether whatever these records depend on is among them; False too where nobody can say it."""
        if recorded not in self._consistent:
            loader = self.for_records(recorded)
            self._consistent[recorded] = loader is not None and not loader.may_be_inconsistent()
        return self._consistent[recorded]


def recorded_migrations(loader):
    """Return the migrations that are recorded on the loader's database, each after those it depends on."""
    graph = loader.graph
    ordered: dict[tuple[str, str], None] = {}
    for key in loader.applied_migrations:
        if key in graph.nodes:
            for parent in graph.forwards_plan(key):
                ordered.setdefault(parent)
    return [graph.nodes[key] for key in ordered if key in loader.applied_migrations]


def needing_migrations(loader, migration):
    """Return the ids of the recorded migrations of other apps that depend on this one: to undo it undoes them too."""
    found = loader.graph.backwards_plan((migration.app_label, migration.name))
    return ["{}.{}".format(*key) for key in found if key[0] != migration.app_label and key in loader.applied_migrations]


def _executor(loader):
    # MigrationExecutor.__init__ would read everything from disk and from the database once more.
    executor = object.__new__(MigrationExecutor)
    executor.connection = loader.connection
    executor.loader = loader
    return executor
