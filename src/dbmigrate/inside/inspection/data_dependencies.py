"""Which migrations work on data, and what those depend on: they run only where all of that has been done."""

from django.db.migrations import RunPython, RunSQL
from django.db.migrations.operations.base import Operation

from ..migrations.used_models import find_apps, find_apps_in_sql


def describe_data(reaching, backwards):
    """Return what a migration does to rows on a database, by its operations that reach it.

    `backwards`: whether it is to be undone. The answer is part of models.snapshot.PendingMigration.
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


class Dependencies:
    """Collects, over all databases, what migrations that work on data depend on."""

    def __init__(self):
        """Know of none yet."""
        self._found = {}
        self._walked = {}

    def add(self, loader, described):
        """Take what is to be done on the loader's database (models.snapshot.PendingMigration)."""
        for entry in described:
            if entry["works_on_data"]:
                # By graph: where a squashed migration is partly applied it is another one.
                key = (id(loader.graph), entry["id"])
                if key not in self._walked:
                    label, name = entry["id"].split(".", 1)
                    self._walked[key] = loader.graph.forwards_plan((label, name))[:-1]
                    self._found.setdefault(entry["id"], {}).update(dict.fromkeys(self._walked[key]))

    def among(self, databases):
        """Return {migration: what it depends on, directly or not, that is to be done on one of these databases}."""
        to_do = {entry["id"] for one in databases for entry in (*one["pending"], *(one["targeted"] or ()))}
        named = {identifier: ["{}.{}".format(*key) for key in keys] for identifier, keys in self._found.items()}
        return {
            identifier: [needed for needed in all_of_it if needed in to_do] for identifier, all_of_it in named.items()
        }
