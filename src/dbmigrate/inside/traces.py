"""The question `trace`: what a migration that did not get to its end has left in the database."""

from django.db import connections, migrations
from django.db import models as django_models

from .effects import Effects, database_operations
from .graph import Disk
from .routes import RouteBook


def trace(alias, migration):
    """Return [{"text", "is_there"}] for the operations of a migration that reach this database, in their order.

    is_there: whether the catalogue shows what the operation would have done; None where it cannot tell (RunPython, a
    column whose type changes).
    """
    connection = connections[alias]
    label, name = migration.split(".", 1)
    disk = Disk()
    loader = disk.for_connection(connection)
    effects = Effects(disk, RouteBook())
    state = loader.project_state((label, name), at_end=False)
    try:
        catalogue = _Catalogue(connection)
        found = []
        for operation in loader.graph.nodes[label, name].operations:
            before = state.clone()
            operation.state_forwards(label, state)
            for inner in database_operations([operation]):
                after = state if inner is operation else _after(before, label, inner)
                if effects.answer_operation(connection, label, inner)[0] != "no":
                    is_there = catalogue.shows(inner, label, before, after)
                    found.append({"text": inner.describe(), "is_there": is_there})
                    missing = catalogue.find_missing_parts(inner, label, after) if is_there else ()
                    found += [{"text": "{}: {}".format(inner.describe(), part), "is_there": False} for part in missing]
                before = after
        return found
    finally:
        connection.close()


def _after(state, label, operation):
    after = state.clone()
    operation.state_forwards(label, after)
    return after


class _Catalogue:
    """The tables, columns, indexes and constraints of one database, as they are."""

    def __init__(self, connection):
        self._connection = connection
        self._tables = set(connection.introspection.table_names())

    def shows(self, operation, label, before, after):
        """Whether the operation was done, as far as the catalogue tells; None if it does not."""
        look = next((look for kind, look in _LOOKS if type(operation) is kind), None)
        return None if look is None else look(self, operation, label, before, after)

    def find_missing_parts(self, operation, label, after):
        """Yield what is not there of a table or column that is.

        Django makes foreign keys, indexes and unique_together when all operations are done (BaseDatabaseSchemaEditor,
        deferred_sql), and the tables of many-to-many fields after the model's own.
        """
        if type(operation) is migrations.CreateModel:
            model = _model(after, label, operation.name)
            yield from self._find_missing_parts(model, model._meta.local_fields + model._meta.local_many_to_many)
            for columns in self._unique_together(model):
                if not self._has_part(model, columns, "unique"):
                    yield "unique together {}".format(", ".join(columns))
            for index in model._meta.indexes:
                if not self._has_constraint(model, index.name):
                    yield "index {}".format(index.name)
        elif type(operation) is migrations.AddField:
            model = _model(after, label, operation.model_name)
            yield from self._find_missing_parts(model, [model._meta.get_field(operation.name)])

    def _find_missing_parts(self, model, fields):
        editor = self._connection.schema_editor()
        for field in fields:
            if isinstance(field, django_models.ManyToManyField):
                through = field.remote_field.through
                if through._meta.auto_created and not self._has_table(through):
                    yield "table of {}".format(field.name)
                continue
            has_key = self._connection.features.supports_foreign_keys and getattr(field, "db_constraint", False)
            if has_key and not self._has_part(model, [field.column], "foreign_key"):
                yield "foreign key of {}".format(field.name)
            if editor._field_should_be_indexed(model, field) and not self._has_part(model, [field.column], "index"):
                yield "index on {}".format(field.name)

    def _unique_together(self, model):
        for names in model._meta.unique_together:
            yield [model._meta.get_field(name).column for name in names]

    def _has_part(self, model, columns, kind):
        parts = self._constraints(model).values()
        return any(part[kind] and sorted(part["columns"]) == sorted(columns) for part in parts)

    def _created(self, operation, label, before, after):
        return self._has_table(_model(after, label, operation.name))

    def _deleted(self, operation, label, before, after):
        return not self._has_table(_model(before, label, operation.name))

    def _renamed(self, operation, label, before, after):
        old, new = _model(before, label, operation.old_name), _model(after, label, operation.new_name)
        return None if old._meta.db_table == new._meta.db_table else self._has_table(new)

    def _added_field(self, operation, label, before, after):
        return self._has_field(_model(after, label, operation.model_name), operation.name)

    def _removed_field(self, operation, label, before, after):
        return not self._has_field(_model(before, label, operation.model_name), operation.name)

    def _renamed_field(self, operation, label, before, after):
        return self._has_field(_model(after, label, operation.model_name), operation.new_name)

    def _added_index(self, operation, label, before, after):
        return self._has_constraint(_model(after, label, operation.model_name), operation.index.name)

    def _added_constraint(self, operation, label, before, after):
        return self._has_constraint(_model(after, label, operation.model_name), operation.constraint.name)

    def _removed_constraint(self, operation, label, before, after):
        return not self._has_constraint(_model(before, label, operation.model_name), operation.name)

    def _has_table(self, model):
        return model._meta.db_table in self._tables

    def _has_field(self, model, name):
        field = model._meta.get_field(name)
        if isinstance(field, django_models.ManyToManyField):
            return self._has_table(field.remote_field.through)
        if field.column is None:
            return None
        if not self._has_table(model):
            return False
        with self._connection.cursor() as cursor:
            columns = self._connection.introspection.get_table_description(cursor, model._meta.db_table)
        return field.column in {column.name for column in columns}

    def _has_constraint(self, model, name):
        if not self._has_table(model):
            return False
        return name in self._constraints(model)

    def _constraints(self, model):
        with self._connection.cursor() as cursor:
            return self._connection.introspection.get_constraints(cursor, model._meta.db_table)


def _model(state, label, name):
    return state.apps.get_model(label, name)


_LOOKS = (
    (migrations.CreateModel, _Catalogue._created),
    (migrations.DeleteModel, _Catalogue._deleted),
    (migrations.RenameModel, _Catalogue._renamed),
    (migrations.AddField, _Catalogue._added_field),
    (migrations.RemoveField, _Catalogue._removed_field),
    (migrations.RenameField, _Catalogue._renamed_field),
    (migrations.AddIndex, _Catalogue._added_index),
    (migrations.RemoveIndex, _Catalogue._removed_constraint),
    (migrations.AddConstraint, _Catalogue._added_constraint),
    (migrations.RemoveConstraint, _Catalogue._removed_constraint),
)
