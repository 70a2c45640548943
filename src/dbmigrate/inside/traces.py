"""The question `trace`: what a migration that did not get to its end has left in the database."""

from django.db import connections, migrations

from .catalogue import Catalogue
from .effects import Effects, database_operations
from .graph import Disk
from .routes import RouteBook
from .schema import SchemaWalk


def trace(alias, migration):
    """Return [{"text", "is_there"}] for the operations of a migration that reach this database, in their order.

    is_there: whether the catalogue shows what the operation would have done; None where it cannot tell (RunPython, a
    column whose type changes). What is missing of a table or column that is there follows it, each for itself.
    """
    connection = connections[alias]
    label, name = migration.split(".", 1)
    disk = Disk()
    graph = disk.loader.graph
    effects = Effects(disk, RouteBook())
    walk = SchemaWalk(connection, disk.loader)
    for key in graph.forwards_plan((label, name))[:-1]:
        walk.apply(graph.nodes[key])
    failed = graph.nodes[label, name]
    try:
        catalogue = Catalogue(connection)
        before = frozenset(walk.makers)
        found = []
        for operation in failed.operations:
            # What SeparateDatabaseAndState does to the database its state does not know.
            scratch = walk.copy() if isinstance(operation, migrations.SeparateDatabaseAndState) else walk
            for inner in database_operations([operation]):
                added, removed = scratch.step(failed, inner)
                if effects.answer_operation(connection, label, inner)[0] != "no":
                    found += _describe(inner.describe(), added, removed, before, catalogue)
            if scratch is not walk or not list(database_operations([operation])):
                walk.step(failed, operation)
        return found
    finally:
        connection.close()


def _describe(text, added, removed, before, catalogue):
    if before.intersection(added) or (removed and not before.intersection(removed)):
        # A column that is taken away and made again, or made and taken away: what is there may be either.
        return [{"text": text, "is_there": None}]
    if not added:
        is_there = not catalogue.shows(removed[0]) if removed else None
        return [{"text": text, "is_there": is_there}]
    is_there = catalogue.shows(added[0])
    missing = [part for part in added[1:] if not catalogue.shows(part)] if is_there else []
    return [
        {"text": text, "is_there": is_there},
        *({"text": "{}: {}".format(text, _words(part)), "is_there": False} for part in missing),
    ]


def _words(part):
    """Return for example "foreign key of author"."""
    kind, source = part.source
    if kind == "field":
        return "{} {} {}".format(part.kind, "on" if part.kind == "index" else "of", source)
    if kind in ("unique_together", "index_together"):
        return "{} {}".format(kind.replace("_", " "), ", ".join(source))
    return "{} {}".format(part.kind, part.name)
