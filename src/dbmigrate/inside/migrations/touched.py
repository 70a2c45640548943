"""Which tables the operations of migrations are about, by every name that a table has had; no state is made."""

from django.apps import apps
from django.db import models
from django.db.migrations import (
    AlterModelTable,
    CreateModel,
    DeleteModel,
    RemoveField,
    RenameField,
    RenameModel,
    RunPython,
    RunSQL,
)

from .effects import all_operations
from .routes import tables_of
from .schema import automatic_table, default_table, touched_models
from .used_models import find_models, words_in_sql

_WHOLE = (AlterModelTable, DeleteModel, RenameModel)
"""What changes the tables behind the fields of a model too."""


class TableNames:
    """What tables are called, as the migrations on disk say."""

    def __init__(self, loader):
        """Read the operations of all migrations."""
        self._given: dict[tuple[str, str], set[str]] = {}
        self._fields: dict[tuple[str, str], list[tuple[str, models.Field]]] = {}
        for (label, _), migration in loader.disk_migrations.items():
            for operation in all_operations(migration.operations):
                self._read(label, operation)

    def _read(self, label, operation):
        for key in touched_models(operation, label):
            self._fields.setdefault(key, []).extend(_fields_of(operation))
            if isinstance(operation, CreateModel):
                self._give(key, operation.options.get("db_table"))
            elif isinstance(operation, AlterModelTable):
                self._give(key, operation.table)

    def _give(self, key, table):
        if table:
            self._given.setdefault(key, set()).add(table)

    def find(self, label, operation, backwards):
        """Return the tables that an operation of an app makes, changes, points to or works on."""
        if isinstance(operation, RunSQL):
            sql = operation.reverse_sql if backwards else operation.sql
            words = set() if sql in (None, RunSQL.noop) else words_in_sql(sql)
            return {table for table in _all_tables() if table.casefold() in words}
        if isinstance(operation, RunPython):
            return self._find_worked_on(label, operation.reverse_code if backwards else operation.code)
        keys = touched_models(operation, label)
        if not keys:
            return set() if type(operation).__module__.startswith("django.") else _tables_of_app(label)
        own = _fields_of(operation)
        tables = {table for key in keys for table in self._names(key)}
        for key in keys:
            tables |= {table for name, field in own for table in self._find_related(key, name, field)}
            tables |= {
                table
                for name, field in self._fields.get(key, ())
                if isinstance(operation, _WHOLE) or name in _field_names(operation)
                for table in self._find_behind(key, name, field)
            }
        return tables

    def _find_related(self, key, name, field):
        """Return the tables that a field makes or points to."""
        tables = self._find_behind(key, name, field)
        related = getattr(field.remote_field, "model", None) if field.is_relation else None
        if isinstance(related, str) and related != "self":
            tables |= self._names(tuple(related.lower().split(".")) if "." in related else (key[0], related.lower()))
        return tables

    def _find_behind(self, key, name, field):
        """Return the table behind a ManyToManyField without a model of its own."""
        is_automatic = isinstance(field, models.ManyToManyField) and not field.remote_field.through
        return {automatic_table(field, table, name) for table in self._names(key)} if is_automatic else set()

    def _names(self, key):
        try:
            current = {apps.get_model(*key)._meta.db_table}
        except (LookupError, ValueError):
            current = {default_table(key)}
        return current | self._given.get(key, set())

    def _find_worked_on(self, label, function):
        if function in (None, RunPython.noop):
            return set()
        tables = {table for key in find_models(function) for table in self._names(key)}
        return tables or _tables_of_app(label)


def _field_names(operation):
    """Return the names of the field that an operation removes, or gives another name."""
    if not isinstance(operation, (RemoveField, RenameField)):
        return ()
    return tuple(getattr(operation, name, None) for name in ("name", "old_name", "new_name"))


def _fields_of(operation):
    if isinstance(operation, CreateModel):
        return list(operation.fields)
    field = getattr(operation, "field", None)
    return [(operation.name, field)] if isinstance(field, models.Field) else []


def _tables_of_app(label):
    return {model._meta.db_table for model in tables_of(apps.get_app_config(label))}


def _all_tables():
    return [model._meta.db_table for model in apps.get_models(include_auto_created=True)]
