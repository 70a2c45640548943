"""What migrations make of a database: the tables, columns, indexes and constraints that a state of the project means.

Read from the states of the models, which are not rendered: rendering hundreds of models costs more than all the rest.
"""

import copy
from collections import namedtuple

from django.conf import settings
from django.db import connection as default_connection
from django.db import models
from django.db.backends.utils import truncate_name
from django.db.migrations import AlterModelOptions, RenameField
from django.db.migrations.state import ProjectState

from .effects import database_operations
from .graph import recorded_migrations

Part = namedtuple("Part", "kind table name columns model source")
"""Something that the catalogue should show.

kind: "table", "column", "index", "constraint", "unique" or "foreign key"; name: "" for what is known by its columns
alone; model: (app label, lower-case name); source: what in the model it comes from ("field", name), ("index", name),
("constraint", name), ("unique_together", fields), ("index_together", fields) or ("model", "").
"""


class SchemaWalk:
    """Goes through migrations in order and knows, after each operation, what should be there and who made it."""

    def __init__(self, connection, loader):
        """Start from nothing."""
        self._connection = connection
        self.state = ProjectState(real_apps=loader.unmigrated_apps)
        self.makers = {}
        """{Part: id of the migration that made it}."""
        self.taken_over = set()
        """The parts of `makers` that no migration has made: of models that were unmanaged before."""
        self.stated = set()
        """The tables among `makers` that stand in a state alone: their migrations do nothing to a database."""
        self._parts = {}

    def copy(self):
        """Return another that continues from here on its own."""
        other = copy.copy(self)
        other.state = self.state.clone()
        other.makers = dict(self.makers)
        other.taken_over = set(self.taken_over)
        other.stated = set(self.stated)
        other._parts = dict(self._parts)
        return other

    def apply(self, migration):
        """Go on by one migration."""
        for operation in migration.operations:
            self.step(migration, operation)

    def step(self, migration, operation):
        """Go on by one operation; return (parts it adds, parts it takes away)."""
        label = migration.app_label
        touched = touched_models(operation, label)
        before = {part: self.makers[part] for key in touched for part in self._parts.get(key, ())}
        operation.state_forwards(label, self.state)
        after = {}
        for key in touched:
            self._parts[key] = self._parts_of(key)
            after.update(dict.fromkeys(self._parts[key]))
        # A table that gets another name keeps its columns, and who made them.
        renamed = {_inside(part): maker for part, maker in before.items() if part.kind != "table"}
        columns = _renamed_columns(operation, before, after)
        taken_over = {_lasting(part, columns) for part in self.taken_over.intersection(before)}
        for part in after:
            if part not in before:
                self.makers[part] = renamed.get(_inside(part), "{}.{}".format(label, migration.name))
                if isinstance(operation, AlterModelOptions) or _lasting(part, {}) in taken_over:
                    self.taken_over.add(part)
                if part.kind == "table" and not any(database_operations(migration.operations)):
                    self.stated.add(part)
        for part in before:
            if part not in after:
                del self.makers[part]
                self.taken_over.discard(part)
                self.stated.discard(part)
        return [part for part in after if part not in before], [part for part in before if part not in after]

    def column_of(self, key, name):
        """Return (table, column) of a field, by its model's key and its name; None if it has no column."""
        found = (part for part in self._parts.get(key, ()) if part.kind == "column" and part.source == ("field", name))
        return next(((part.table, part.name) for part in found), None)

    def _parts_of(self, key):
        state = self.state.models.get(key)
        if state is None or not has_table_of_its_own(self._connection, state):
            return []
        return list(ModelParts(self._connection, key, state).find())


def recorded_walk(connection, loader):
    """Return a SchemaWalk that has gone through what is recorded on the loader's database."""
    walk = SchemaWalk(connection, loader)
    for migration in recorded_migrations(loader):
        walk.apply(migration)
    return walk


def state_columns(connection, state):
    """Return {folded table: folded names of its columns} of the models of a state that have a table each."""
    columns: dict[str, set[str]] = {}
    for key, model in state.models.items():
        if has_table_of_its_own(connection, model):
            for part in ModelParts(connection, key, model).find():
                if part.kind == "column":
                    columns.setdefault(part.table.casefold(), set()).add(part.name.casefold())
    return columns


def state_indexes(connection, state, table):
    """Return the parts (Part) that are indexes of a table, whose name is folded, or constraints on its columns."""
    return [
        part
        for key, model in state.models.items()
        if has_table_of_its_own(connection, model)
        for part in ModelParts(connection, key, model).find()
        if part.table.casefold() == table and part.kind in ("index", "unique", "constraint", "foreign key")
    ]


def column_type(field, connection):
    """Return the type of a field's column, None if it has none; "" where only its model could tell."""
    try:
        return field.clone().db_type(connection)
    except Exception:  # the project's own field, which asks its model for more: the field of a state has none
        return ""


def _inside(part):
    return part.kind, part.name, part.columns


def _lasting(part, columns):
    """Return what stays the same of a part when its table, or these columns of it, {old: new}, get another name."""
    if part.kind == "table":
        return part.kind, part.source
    return part.kind, columns.get(part.name, part.name), tuple(columns.get(name, name) for name in part.columns)


def _renamed_columns(operation, before, after):
    """Return {old: new} for the columns to which an operation gives another name."""
    old = {part.source: part.name for part in before if part.kind == "column"}
    if isinstance(operation, RenameField) and ("field", operation.old_name) in old:
        old["field", operation.new_name] = old.pop(("field", operation.old_name))
    return {old[part.source]: part.name for part in after if part.kind == "column" and part.source in old}


def automatic_table(field, table, name):
    """Return the table behind a ManyToManyField of this name without a model of its own; `table` is its model's."""
    return field.db_table or _shorten("{}_{}".format(table.strip('"'), name))


def default_table(key):
    """Return the table of a model, (app label, lower-case name), that is given no other name."""
    return _shorten("{}_{}".format(*key))


def _shorten(name):
    """Return the name of a table that Django made up.

    It is shortened for the default connection, whichever database the table is on (Options.contribute_to_class).
    """
    return truncate_name(name, default_connection.ops.max_name_length())


def has_table_of_its_own(connection, state):
    """Whether Django makes a table for a state of a model on this kind of server (Options.can_migrate)."""
    options = state.options
    if not is_held_by(connection, options.get("required_db_vendor"), options.get("required_db_features") or ()):
        return False
    swapped_for = getattr(settings, options.get("swappable") or "", None)
    is_swapped = swapped_for and swapped_for.lower() != "{}.{}".format(state.app_label, state.name_lower)
    return options.get("managed", True) and not options.get("proxy") and not options.get("abstract") and not is_swapped


def is_held_by(connection, vendor, features):
    """Whether the server is of a kind, and can do, what the options of a model require."""
    return vendor in (None, "", connection.vendor) and all(
        getattr(connection.features, name, False) for name in features
    )


def touched_models(operation, label):
    """Return the keys of the models that an operation changes."""
    inner = getattr(operation, "state_operations", None)  # of SeparateDatabaseAndState and of RunSQL
    if inner:
        return {key for operation in inner for key in touched_models(operation, label)}
    names = (
        getattr(operation, attribute, None)
        for attribute in ("name_lower", "model_name_lower", "old_name_lower", "new_name_lower", "model_name")
    )
    return {(label, name.lower()) for name in names if isinstance(name, str)}


class ModelParts:
    """The parts of one model."""

    def __init__(self, connection, key, state):
        """Take a state of the model (app label, lower-case name) that has a table of its own."""
        self._connection = connection
        self._features = connection.features
        self._key = key
        self._state = state
        self._fields = dict(state.fields)
        self.table = state.options.get("db_table") or default_table(key)

    def find(self):
        """Yield every part, the table first."""
        if '"."' in self.table:
            return  # in a schema of its own, which Django's introspection does not look into
        yield self._part("table", source=("model", ""))
        for name, field in self._fields.items():
            yield from self._of_field(name, field)
        options = self._state.options
        for index in options.get("indexes", ()):
            if self._is_supported(index):
                yield self._part("index", index.name, self._columns_of(index), source=("index", index.name))
        for constraint in options.get("constraints", ()):
            if self._is_supported(constraint):
                columns = self._columns_of(constraint)
                yield self._part("constraint", constraint.name, columns, source=("constraint", constraint.name))
        for kind, option in (("unique", "unique_together"), ("index", "index_together")):
            for fields in options.get(option) or ():
                columns = [self._column(name) for name in fields]
                if all(columns):
                    yield self._part(kind, columns=columns, source=(option, tuple(fields)))

    def _of_field(self, name, field):
        source = ("field", name)
        if isinstance(field, models.ManyToManyField):
            if not field.remote_field.through:
                yield Part("table", automatic_table(field, self.table, name), "", (), self._key, source)
            return
        column = self._column(name)
        if column is None:
            return
        yield self._part("column", column, source=source)
        is_key = isinstance(field, models.ForeignKey)
        if field.primary_key:
            return
        if field.unique:
            yield self._part("unique", columns=[column], source=source)
        elif field.db_index and not (is_key and self._connection.vendor == "mysql") and not self._is_limited(field):
            yield self._part("index", columns=[column], source=source)
        if is_key and field.db_constraint and self._features.supports_foreign_keys:
            yield self._part("foreign key", columns=[column], source=source)

    def _part(self, kind, name="", columns=(), source=None):
        return Part(kind, self.table, name, tuple(columns), self._key, source)

    def _columns_of(self, index_or_constraint):
        """Return the columns that it is on; none if it is made of expressions."""
        names = [name.lstrip("-") for name in getattr(index_or_constraint, "fields", ())]
        return [self._column(name) or name for name in names]

    def _column(self, name):
        """Return the column of a field, or None if it has none (a relation over several, a composite key)."""
        field = self._fields.get(name)
        if field is None or isinstance(field, models.ManyToManyField) or type(field).__name__ == "CompositePrimaryKey":
            return None
        if isinstance(field, models.ForeignKey):
            return field.db_column or "{}_id".format(name)
        if field.is_relation or column_type(field, self._connection) is None:
            return None
        return field.db_column or name

    def _is_limited(self, field):
        """Whether MySQL cannot index such a column, so that Django makes no index."""
        limited = getattr(self._connection, "_limited_data_types", ())
        return bool(limited) and not field.is_relation and column_type(field, self._connection) in limited

    def _is_supported(self, index_or_constraint):
        """Whether Django makes it on this database; what a server cannot do it leaves out, with a warning at most."""
        features = self._features
        wants = {
            "condition": "supports_partial_indexes",
            "include": "supports_covering_indexes",
            "expressions": "supports_expression_indexes",
            "deferrable": "supports_deferrable_unique_constraints",
        }
        if getattr(index_or_constraint, "nulls_distinct", None) is not None and not getattr(
            features, "supports_nulls_distinct_unique_constraints", False
        ):
            return False
        if isinstance(index_or_constraint, models.CheckConstraint):
            return features.supports_table_check_constraints and features.can_introspect_check_constraints
        return all(
            getattr(features, feature)
            for attribute, feature in wants.items()
            if getattr(index_or_constraint, attribute, None)
        )
