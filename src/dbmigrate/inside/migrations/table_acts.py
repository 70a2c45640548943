"""What a migration does to tables, for which a role needs rights: told from the states before and after it."""

from collections import namedtuple

from django.db import migrations, models
from django.db.migrations.state import ProjectState

from .graph import recorded_migrations
from .relations import planned_target
from .schema import ModelParts, automatic_table, column_type, has_table_of_its_own

Need = namedtuple("Need", "act name")
"""act: "make", "drop", "alter", "index", "unindex", "unique" (a constraint that is an index), "rename" or "reference",
and name: a table as a model names it; or act: "extension", and name: that of a PostgreSQL extension."""

Doing = namedtuple("Doing", "migration reaching needs")
"""An operation of a migration that the routers do not refuse (effects.Reaching), and its needs."""

# Not in every Django that is supported.
_RENAME_INDEX = getattr(migrations, "RenameIndex", ())  # since 4.1


def follow_plan(connection, loader, plan, reaching_of):
    """Yield a Doing for each operation of a plan, [(migration, backwards)], in the order that they run in.

    `reaching_of(migration, backwards)`: those of its operations that reach the database. Only what is known of Django's
    own operations is told: what others need is in no state.
    """
    state = None
    for migration, backwards in plan:
        if backwards:
            before = loader.project_state((migration.app_label, migration.name), at_end=False)
        else:
            before = state = _recorded_state(loader) if state is None else state
        reaching = {entry.number: entry for entry in reaching_of(migration, backwards)}
        found = [
            Doing(migration, reaching[number], needs)
            for number, needs in _walk(migration.app_label, migration.operations, before, connection, backwards)
            if number in reaching
        ]
        yield from reversed(found) if backwards else found


def _recorded_state(loader):
    state = ProjectState(real_apps=loader.unmigrated_apps)
    for migration in recorded_migrations(loader):
        for operation in migration.operations:
            operation.state_forwards(migration.app_label, state)
    return state


def _walk(label, operations, state, connection, backwards, prefix=""):
    """Yield (number, needs) for each operation, which the state is taken through."""
    for index, operation in enumerate(operations):
        number = "{}{}".format(prefix, index)
        if isinstance(operation, migrations.SeparateDatabaseAndState):
            # What it does to the database its own state does not know.
            yield from _walk(label, operation.database_operations, state.clone(), connection, backwards, number + ".")
            operation.state_forwards(label, state)
            continue
        keys = _keys(operation, label)
        before = {key: state.models[key].clone() for key in keys if key in state.models}
        operation.state_forwards(label, state)
        after = {key: state.models[key] for key in keys if key in state.models}
        yield number, _needs(operation, keys, before, after, state, connection, backwards)


def _keys(operation, label):
    """Return the keys of the model that an operation is about: two if it gets another name."""
    if isinstance(operation, migrations.RenameModel):
        return [(label, operation.old_name_lower), (label, operation.new_name_lower)]
    names = [getattr(operation, name, None) for name in ("model_name_lower", "name_lower", "model_name")]
    return [(label, name.lower()) for name in names if isinstance(name, str)][:1]


def _needs(operation, keys, before, after, state, connection, backwards):
    if not _is_djangos(operation, backwards):
        return []
    if backwards:
        keys, before, after = keys[::-1], after, before
    if not keys:
        return _needs_of_extension(operation, backwards)
    old, new = before.get(keys[0]), after.get(keys[-1])
    old, new = (one if one is not None and has_table_of_its_own(connection, one) else None for one in (old, new))
    change = _Change(connection, state, keys[-1])
    if old is None and new is None:
        return []
    if old is None:
        return list(change.make(new))
    if new is None:
        return list(change.drop(old))
    if isinstance(operation, _RENAME_INDEX) or _alters_only_table(operation):
        return [Need("alter", change.table(new))]
    return list(change.between(old, new, operation))


def _is_djangos(operation, backwards):
    runs = getattr(type(operation), "database_backwards" if backwards else "database_forwards")
    return str(getattr(runs, "__module__", "")).startswith("django.")


def _alters_only_table(operation):
    """Whether it changes a table in a way that its columns, indexes and constraints do not show."""
    return type(operation).__name__ in ("ValidateConstraint", "AlterModelTableComment", "AlterOrderWithRespectTo")


def _needs_of_extension(operation, backwards):
    is_extension = any(base.__name__ == "CreateExtension" for base in type(operation).__mro__)
    return [Need("extension", operation.name)] if is_extension and not backwards else []


class _Change:
    """What becomes of one model."""

    def __init__(self, connection, state, key):
        self._connection = connection
        self._state = state
        self._key = key

    def table(self, model):
        """Return the table of a model's state."""
        return ModelParts(self._connection, self._key, model).table

    def _parts(self, model):
        return list(ModelParts(self._connection, self._key, model).find())

    def make(self, model):
        """Yield what it takes to make the table, and those behind its ManyToManyFields."""
        table = self.table(model)
        yield Need("make", table)
        kinds = {(part.kind, len(part.columns)) for part in self._parts(model)}
        if any(kind == "index" for kind, _ in kinds):
            yield Need("index", table)
        # Made inside CREATE TABLE on no database: MySQL alters the table for them.
        if any(kind == "foreign key" or (kind == "unique" and count > 1) for kind, count in kinds):
            yield Need("alter", table)
        for name, field in _fields(model).items():
            yield from self._make_behind(table, name, field)
            yield from self._reference(field)

    def drop(self, model):
        """Yield what it takes to drop them."""
        yield Need("drop", self.table(model))
        for name, field in _fields(model).items():
            if _is_automatic(field):
                yield Need("drop", automatic_table(field, self.table(model), name))

    def between(self, old, new, operation):
        """Yield what it takes to make one of the other."""
        before, after, table = _fields(old), _fields(new), self.table(old)
        if table != self.table(new):
            yield Need("rename", table)
            yield Need("make", self.table(new))
        if isinstance(operation, migrations.RenameModel) or table != self.table(new):
            return
        if isinstance(operation, migrations.RenameField):
            columns = [self._columns(one) - self._columns(other) for one, other in ((old, new), (new, old))]
            if any(columns):
                yield Need("alter", table)
            return
        for name in [name for name in before if name not in after]:
            if _is_automatic(before[name]):
                yield Need("drop", automatic_table(before[name], table, name))
            elif self._has_column(before[name]):
                yield Need("alter", table)
        for name in [name for name in after if name not in before]:
            yield from self._add(table, name, after[name])
        for name in [name for name in after if name in before]:
            yield from self._alter(table, before[name], after[name])
        yield from self._index(table, old, new)

    def _add(self, table, name, field):
        yield from self._make_behind(table, name, field)
        if self._has_column(field):
            yield Need("alter", table)
            yield from self._reference(field)

    def _alter(self, table, before, after):
        if any(isinstance(field, models.ManyToManyField) for field in (before, after)):
            return
        if self._facts(before) != self._facts(after):
            yield Need("alter", table)
            if planned_target(before, *self._key) != planned_target(after, *self._key):
                yield from self._reference(after)

    def _facts(self, field):
        """Return what of a field is in the database; what is only in Python changes no column."""
        kind = "" if field.is_relation else column_type(field, self._connection)
        named = ("db_collation", "db_comment", "db_default", "db_constraint")
        return (
            kind,
            field.null,
            field.unique,
            field.primary_key,
            field.db_index,
            field.db_column,
            [repr(getattr(field, name, None)) for name in named],
            planned_target(field, *self._key),
        )

    def _index(self, table, old, new):
        """Yield what indexes and constraints take that are in one of the two; those of a gone column go with it."""
        before, after = self._indexes(old), self._indexes(new)
        fields = _fields(new)
        for kind, name, _ in after - before:
            is_check = kind == "constraint" and isinstance(_constraint(new, name), models.CheckConstraint)
            yield Need("index" if kind == "index" else "alter" if is_check else "unique", table)
        for kind, _, source in before - after:
            if source[0] != "field" or source[1] in fields:
                yield Need("unindex" if kind == "index" else "alter", table)

    def _indexes(self, model):
        kinds = ("index", "unique", "constraint")
        return {(part.kind, part.name, part.source) for part in self._parts(model) if part.kind in kinds}

    def _columns(self, model):
        return {part.name for part in self._parts(model) if part.kind == "column"}

    def _has_column(self, field):
        if isinstance(field, models.ManyToManyField):
            return False
        return isinstance(field, models.ForeignKey) or bool(column_type(field, self._connection))

    def _make_behind(self, table, name, field):
        if _is_automatic(field):
            behind = automatic_table(field, table, name)
            yield Need("make", behind)
            yield Need("alter", behind)
            yield Need("reference", table)
            yield from self._reference(field)

    def _reference(self, field):
        """Yield that a constraint points to a table, if this field makes one."""
        target = planned_target(field, *self._key)
        model = None if target is None else self._state.models.get(target)
        if model is not None and has_table_of_its_own(self._connection, model):
            yield Need("reference", ModelParts(self._connection, target, model).table)


def _fields(model):
    return dict(model.fields)


def _constraint(model, name):
    return next((one for one in model.options.get("constraints", ()) if one.name == name), None)


def _is_automatic(field):
    """Whether there is a table behind a ManyToManyField that no model of its own has."""
    return isinstance(field, models.ManyToManyField) and not field.remote_field.through
