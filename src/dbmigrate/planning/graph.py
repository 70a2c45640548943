"""How the migrations depend on each other on a database, and in which order Django applies and undoes them. Pure.

Migrations are compared by their ids: a label holds no character that sorts before the dot, so that they sort as
Django's pairs of label and name do.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from dbmigrate.models.migrations import Migration, MigrationId, label_of


@dataclass(frozen=True)
class Graph:
    """The migrations that count on a database: of squashed ones either they or what they replace."""

    parents: Mapping[MigrationId, Collection[MigrationId]]
    """By migration: what it directly depends on."""
    children: Mapping[MigrationId, Collection[MigrationId]]
    applied: Collection[MigrationId]
    """What is recorded, and the squashed migrations of which everything is recorded that they replace."""

    def pending(self) -> list[MigrationId]:
        """Return what is not applied, in the order Django would apply it (source: MigrationExecutor.migration_plan).

        As Django does, it looks for nothing before the last migration of an app where that one is applied.
        """
        seen: set[MigrationId] = set()
        leaves = [one for one in self.parents if not self._in_app(self.children[one], one)]
        ahead = sorted(leaf for leaf in leaves if leaf not in self.applied)
        return [one for leaf in ahead for one in _walk(self.parents, leaf, seen) if one not in self.applied]

    def needed_by(self, migration: MigrationId) -> list[MigrationId]:
        """Return what a migration depends on, directly or not, each after what it depends on itself."""
        return list(_walk(self.parents, migration, set()))[:-1]

    def way_to(self, target: MigrationId) -> list[tuple[MigrationId, bool]]:
        """Return (migration, whether it is undone) for what it takes to get to a migration of the graph."""
        if target not in self.applied:
            return [(one, False) for one in _walk(self.parents, target, set()) if one not in self.applied]
        # Django goes back through the next ones of the app: others that depend on the target itself may stay.
        return self._undo(sorted(self._in_app(self.children[target], target)))

    def way_to_zero(self, label: str) -> list[tuple[MigrationId, bool]]:
        """Return the same for undoing all of an app."""
        own = [one for one in self.parents if label_of(one) == label]
        return self._undo(sorted(one for one in own if not self._in_app(self.parents[one], one)))

    def _undo(self, starts: Collection[MigrationId]) -> list[tuple[MigrationId, bool]]:
        seen: set[MigrationId] = set()
        return [(one, True) for start in starts for one in _walk(self.children, start, seen) if one in self.applied]

    def _in_app(self, others: Collection[MigrationId], migration: MigrationId) -> list[MigrationId]:
        label = label_of(migration)
        return [one for one in others if label_of(one) == label]


def build_graph(migrations: Mapping[MigrationId, Migration], recorded: Collection[MigrationId]) -> Graph:
    """Return the graph of a database on which these migrations are recorded.

    A squashed migration counts where all or nothing of what it replaces is applied, otherwise what it replaces does
    (source: MigrationLoader.build_graph and replace_migration, MigrationGraph).
    """
    parents = {identifier: set(migration.after) for identifier, migration in migrations.items()}
    children: dict[MigrationId, set[MigrationId]] = {identifier: set() for identifier in parents}
    for identifier, needed in parents.items():
        for one in needed:
            children.setdefault(one, set()).add(identifier)
    applied = set(recorded)
    for squashed in _inner_first(migrations):
        replaced = set(migrations[squashed].replaces)
        is_applied, is_untouched = replaced <= applied, not replaced & applied
        if is_applied:
            applied.add(squashed)
        else:
            applied.discard(squashed)
        if is_applied or is_untouched:
            _put_in(parents, children, squashed, replaced)
        else:
            _leave_out(parents, children, squashed, replaced)
    return Graph(parents, children, applied)


def _inner_first(migrations: Mapping[MigrationId, Migration]) -> Iterator[MigrationId]:
    """Yield the squashed migrations, each after those that it replaces."""
    replaced = {identifier: migration.replaces for identifier, migration in migrations.items() if migration.replaces}
    seen: set[MigrationId] = set()
    for squashed in replaced:
        yield from (one for one in _walk(replaced, squashed, seen) if one in replaced)


Edges = dict[MigrationId, set[MigrationId]]


def _put_in(parents: Edges, children: Edges, squashed: MigrationId, replaced: Collection[MigrationId]) -> None:
    """Let a squashed migration stand for what it replaces (MigrationGraph.remove_replaced_nodes)."""
    for one in replaced:
        for child in children.pop(one, ()):
            parents[child].discard(one)
            if child not in replaced:
                _connect(parents, children, child, squashed)
        for parent in parents.pop(one, ()):
            children[parent].discard(one)
            if parent not in replaced:
                _connect(parents, children, squashed, parent)


def _leave_out(parents: Edges, children: Edges, squashed: MigrationId, replaced: Collection[MigrationId]) -> None:
    """Let the last of what it replaces stand for a squashed migration (MigrationGraph.remove_replacement_node)."""
    inner = {parent for one in replaced for parent in parents.get(one, ())}
    for child in children.pop(squashed):
        parents[child].discard(squashed)
        for one in replaced:
            if one in parents and one not in inner:
                _connect(parents, children, child, one)
    for parent in parents.pop(squashed):
        children[parent].discard(squashed)


def _connect(parents: Edges, children: Edges, child: MigrationId, parent: MigrationId) -> None:
    parents[child].add(parent)
    children[parent].add(child)


def _walk(
    edges: Mapping[MigrationId, Collection[MigrationId]], start: MigrationId, seen: set[MigrationId]
) -> Iterator[MigrationId]:
    """Yield what is reached, each after what it leads to, and add it to `seen` (MigrationGraph.iterative_dfs)."""
    stack = [(start, False)]
    while stack:
        one, is_done = stack.pop()
        if one in seen:
            continue
        if is_done:
            seen.add(one)
            yield one
        else:
            stack.append((one, True))
            stack += [(other, False) for other in sorted(edges.get(one, ()))]
