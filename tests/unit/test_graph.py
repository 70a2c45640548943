"""The graph of migrations, held against what Django's loader and executor say of the same files and records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db.migrations import Migration as DjangoMigration
from django.db.migrations.exceptions import CircularDependencyError, NodeNotFoundError
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
from hypothesis import given, reject
from hypothesis import strategies as st

from dbmigrate.models.migrations import Migration
from dbmigrate.planning.graph import Graph, build_graph

Key = tuple[str, str]


class DjangosLoader(MigrationLoader):  # type: ignore[misc] # Django has no types
    """Django's loader, which finds these migrations on its disk and these records in its database."""

    def __init__(self, migrations: Mapping[str, Migration], recorded: Sequence[str]) -> None:
        self._migrations = migrations
        self._recorded = {key(one): None for one in recorded}
        super().__init__(None)

    def load_disk(self) -> None:
        self.disk_migrations = {}
        for identifier, migration in self._migrations.items():
            made = DjangoMigration(*reversed(key(identifier)))
            made.dependencies = [key(one) for one in migration.after]
            made.replaces = [key(one) for one in migration.replaces]
            self.disk_migrations[key(identifier)] = made
        self.migrated_apps = {label for label, _ in self.disk_migrations}
        self.unmigrated_apps: set[str] = set()

    @property
    def applied_migrations(self) -> dict[Key, Any]:
        return self._recorded

    @applied_migrations.setter
    def applied_migrations(self, nothing: object) -> None:
        """Keep the records where the loader begins without a database."""

    def plan(self, *targets: tuple[str, str | None]) -> list[tuple[str, bool]]:
        executor = object.__new__(MigrationExecutor)
        executor.loader = self
        return [
            (f"{migration.app_label}.{migration.name}", backwards)
            for migration, backwards in executor.migration_plan(list(targets))
        ]


def key(identifier: str) -> Key:
    label, name = identifier.split(".", 1)
    return label, name


def ids(keys: Sequence[Key]) -> list[str]:
    return [f"{label}.{name}" for label, name in keys]


@st.composite
def projects(draw: st.DrawFn) -> tuple[dict[str, Migration], list[str]]:
    """Draw the migrations of three apps, some of them squashed, and what is recorded of them."""
    written: list[str] = []
    migrations: dict[str, Migration] = {}
    for number in range(draw(st.integers(1, 12))):
        label = draw(st.sampled_from(["a", "a_b", "b"]))
        own = [one for one in written if one.startswith(f"{label}.")]
        needed = {*own[-1:], *(draw(st.lists(st.sampled_from(written), max_size=2)) if written else ())}
        migrations[f"{label}.{number:04}"] = Migration(after=tuple(sorted(needed)))
        written.append(f"{label}.{number:04}")
    replaced: list[str] = []
    for number in range(draw(st.integers(0, 3))):
        label = draw(st.sampled_from(written)).split(".")[0]
        chain = [one for one in migrations if one.startswith(f"{label}.") and one not in replaced]
        start = draw(st.integers(0, len(chain) - 1))
        squashed = chain[start : start + draw(st.integers(1, 4))]
        needed = {one for inner in squashed for one in migrations[inner].after} - {*squashed}
        migrations[f"{label}.s{number}"] = Migration(after=tuple(sorted(needed)), replaces=tuple(squashed))
        replaced += squashed
    recorded = draw(st.one_of(st.sets(st.sampled_from([*migrations])), st.just({*written[: len(written) // 2]})))
    for gone in draw(st.sets(st.sampled_from(replaced))) if replaced else ():
        del migrations[gone]
    return migrations, sorted(recorded)


@given(projects())
def test_order_squashes_and_ways_are_those_of_django(project: tuple[dict[str, Migration], list[str]]) -> None:
    migrations, recorded = project
    try:
        loader = DjangosLoader(migrations, recorded)
    except (CircularDependencyError, NodeNotFoundError):
        reject()  # such a project cannot be looked at

    graph = build_graph(migrations, recorded)

    assert {one: sorted(after) for one, after in graph.parents.items()} == {
        ".".join(one): sorted(ids([parent.key for parent in node.parents]))
        for one, node in loader.graph.node_map.items()
    }
    assert sorted(graph.applied) == sorted(ids([*loader.applied_migrations]))
    assert [(one, False) for one in graph.pending()] == loader.plan(*loader.graph.leaf_nodes())
    for target in graph.parents:
        assert graph.way_to(target) == loader.plan(key(target)), target
        assert graph.needed_by(target) == ids(loader.graph.forwards_plan(key(target)))[:-1]
    for label in ("a", "a_b", "b"):
        assert graph.way_to_zero(label) == loader.plan((label, None)), label


BLOG = {
    "blog.0001": Migration(),
    "blog.0002": Migration(after=("blog.0001",)),
    "blog.0001_squashed": Migration(replaces=("blog.0001", "blog.0002")),
    "blog.0003": Migration(after=("blog.0001_squashed",)),
    "shop.0001": Migration(after=("blog.0002",)),
}


def graph_of(*recorded: str) -> Graph:
    return build_graph(BLOG, recorded)


def test_a_squashed_migration_stands_for_what_it_replaces_where_nothing_of_that_is_applied() -> None:
    assert graph_of().pending() == ["blog.0001_squashed", "blog.0003", "shop.0001"]


def test_what_a_squashed_migration_replaces_counts_where_half_of_it_is_applied() -> None:
    graph = graph_of("blog.0001")

    assert graph.pending() == ["blog.0002", "blog.0003", "shop.0001"]
    assert graph.parents["blog.0003"] == {"blog.0002"}


def test_a_squashed_migration_is_applied_where_all_that_it_replaces_is() -> None:
    graph = graph_of("blog.0001", "blog.0002", "shop.0001")

    assert "blog.0001_squashed" in graph.applied
    assert graph.pending() == ["blog.0003"]
    assert graph.way_to_zero("blog") == [("shop.0001", True), ("blog.0001_squashed", True)]
