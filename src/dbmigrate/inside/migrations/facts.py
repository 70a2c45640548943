"""What is true of every migration wherever it is applied: the graph, told once for all databases."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db.migrations.graph import MigrationGraph
from django.db.migrations.loader import MigrationLoader

if TYPE_CHECKING:
    from ..protocol import MigrationReply


def describe_migrations(disk) -> dict[str, MigrationReply]:
    """Return every migration on disk, and those that are not written yet, by id."""
    parents = _find_parents(disk.loader)
    described: dict[str, MigrationReply] = {}
    for key, migration in disk.loader.disk_migrations.items():
        facts: MigrationReply = {"after": sorted(map(_id, parents[key]))}
        if migration.replaces:
            facts["replaces"] = [_id(replaced) for replaced in migration.replaces]
        if not migration.atomic:
            facts["atomic"] = False
        if key in disk.unwritten:
            facts["is_written"] = False
        if _is_initial(migration):
            facts["is_initial"] = True
        described[_id(key)] = facts
    return described


def _find_parents(loader):
    """Return {key: keys that it directly depends on} as the files say: squashed migrations stand next to the others.

    It is what MigrationLoader.build_graph begins with; at once it continues with what is applied, which differs.
    """
    reader = object.__new__(MigrationLoader)
    reader.__dict__.update(loader.__dict__)
    reader.graph = MigrationGraph()
    for key, migration in loader.disk_migrations.items():
        reader.graph.add_node(key, migration)
    for add in (reader.add_internal_dependencies, reader.add_external_dependencies):
        for key, migration in loader.disk_migrations.items():
            add(key, migration)
    return {key: [parent.key for parent in node.parents] for key, node in reader.graph.node_map.items()}


def _is_initial(migration):
    """Whether --fake-initial looks at a migration (django/db/migrations/executor.py, detect_soft_applied)."""
    if migration.initial is None:
        return all(app_label != migration.app_label for app_label, _ in migration.dependencies)
    return bool(migration.initial)


class Records:
    """What is recorded, once for all databases on which it is the same."""

    def __init__(self, disk):
        """Know of none yet."""
        self._known = disk.known
        self._numbers: dict[frozenset[tuple[str, str]], int] = {}

    def number(self, recorded) -> int:
        """Return the number of what is recorded on a database, {(app label, name): anything}."""
        return self._numbers.setdefault(self._known.intersection(recorded), len(self._numbers))

    def describe(self) -> list[list[str]]:
        """Return by number the sorted ids of what is recorded (models.snapshot.Snapshot.recorded)."""
        return [sorted(map(_id, recorded)) for recorded in self._numbers]


def _id(key):
    return "{}.{}".format(*key)
