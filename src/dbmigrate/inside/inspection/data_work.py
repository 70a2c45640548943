"""Which migrations work on data: they run only where all that they depend on has been done."""

from django.db.migrations import RunPython, RunSQL
from django.db.migrations.operations.base import Operation

from ..migrations.used_models import find_apps, find_apps_in_sql


def describe_data(reaching, backwards):
    """Return what a migration does to rows on a database, by its operations that reach it.

    `backwards`: whether it is to be undone. The answer is part of models.migrations.Effect.
    """
    working = [entry.operation for entry in reaching if _works_on_data(entry.operation, backwards)]
    found = [_find_apps(operation, backwards) for operation in working]
    return {
        "works_on_data": bool(working),
        "works_with": sorted(set().union(*found)),
    }


def _works_on_data(operation, backwards):
    if isinstance(operation, RunPython):
        return (operation.reverse_code if backwards else operation.code) not in (None, RunPython.noop)
    if isinstance(operation, RunSQL):
        return (operation.reverse_sql if backwards else operation.sql) not in (None, RunSQL.noop)
    # Of an operation of the project's own nobody knows; one that is made from one of Django's changes the schema.
    return not any(base is not Operation and base.__module__.startswith("django.") for base in type(operation).__mro__)


def _find_apps(operation, backwards):
    if isinstance(operation, RunPython):
        return find_apps(operation.reverse_code if backwards else operation.code)
    if isinstance(operation, RunSQL):
        return find_apps_in_sql(operation.reverse_sql if backwards else operation.sql)
    return ()
