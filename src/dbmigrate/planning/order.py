"""In which order databases are migrated. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence, Set
from itertools import combinations, pairwise

from dbmigrate.models.database import DEFAULT_ALIAS
from dbmigrate.models.migrations import MigrationId
from dbmigrate.models.plan import MigrationPlan, Need, Step
from dbmigrate.models.settings import Settings
from dbmigrate.models.snapshot import Snapshot
from dbmigrate.planning.data_needs import find_way
from dbmigrate.planning.graph import build_graph


def order_databases(
    snapshot: Snapshot, settings: Settings, steps_by_alias: Mapping[str, Sequence[Step]], needs: Sequence[Need]
) -> tuple[Step, ...]:
    """Return all steps with what each waits for; every step stands after the ones it waits for.

    A database comes after those that it needs (`find_circles` and `find_contradiction` say where that is not possible).
    The aliases of `order` follow one another. The default database comes first. A database comes after those whose
    pending migrations its own depend on. Where two databases depend on each other (apps split both ways), the one
    earlier in DATABASES goes first.
    """
    aliases = sorted(steps_by_alias, key=lambda alias: alias != DEFAULT_ALIAS)
    dependencies = _dependencies(snapshot, steps_by_alias)
    waits: dict[str, set[str]] = {alias: set() for alias in aliases}
    for need in needs:
        if need.then in dependencies and need.first in dependencies:
            dependencies[need.then].add(need.first)
    for alias, others in _wishes(aliases, settings, dependencies, needs):
        for other in others:
            if other in waits and other != alias and alias not in _reach(waits, other):
                waits[alias].add(other)
    ordered: dict[str, None] = {}
    while len(ordered) < len(aliases):
        ordered[next(alias for alias in aliases if alias not in ordered and waits[alias] <= ordered.keys())] = None
    return tuple(step for alias in ordered for step in _chain(alias, steps_by_alias, waits[alias], dependencies[alias]))


def _wishes(
    aliases: Sequence[str], settings: Settings, dependencies: Mapping[str, set[str]], needs: Sequence[Need]
) -> list[tuple[str, list[str]]]:
    """Return (alias, aliases it should wait for), the strongest wish first: a later one never undoes an earlier one."""
    wishes = [(need.then, [need.first]) for need in needs if need.is_certain and need.then in aliases]
    named = [alias for alias in settings.order if alias in aliases]
    wishes += [(later, [earlier]) for earlier, later in pairwise(named)]
    # The default database last: of databases that only may need each other it comes first.
    unknown = sorted(needs, key=lambda need: need.then == DEFAULT_ALIAS)
    wishes += [(need.then, [need.first]) for need in unknown if not need.is_certain and need.then in aliases]
    wishes += [(alias, [DEFAULT_ALIAS]) for alias in aliases]
    # From the last to the first: of two that depend on each other the earlier one gets the others to wait for it.
    return wishes + [(alias, sorted(dependencies[alias], key=aliases.index)) for alias in reversed(aliases)]


def find_contradiction(plan: MigrationPlan, order: Sequence[str]) -> tuple[str, str, tuple[Need, ...]] | None:
    """Return two aliases of `order` that cannot follow one another, and what the first needs of the other."""
    named = [alias for alias in order if plan.steps_on(alias)]
    for earlier, later in combinations(named, 2):
        way = find_way(plan.needs, earlier, later)
        if way:
            return earlier, later, way
    return None


def _reach(waits: Mapping[str, set[str]], alias: str) -> set[str]:
    """Return everything this alias waits for, directly or not."""
    reached: set[str] = set()
    queue = [alias]
    while queue:
        for other in waits[queue.pop()] - reached:
            reached.add(other)
            queue.append(other)
    return reached


def _dependencies(snapshot: Snapshot, steps_by_alias: Mapping[str, Sequence[Step]]) -> dict[str, set[str]]:
    """Return, for each alias, the others on which a migration does something that its own migrations depend on.

    Of what is undone it is the other way round.
    """
    dependencies: dict[str, set[str]] = {alias: set() for alias in steps_by_alias}
    if len(dependencies) < 2:
        return dependencies
    after = _find_parents(snapshot, dependencies)
    for backwards in (False, True):
        doing = _doing(steps_by_alias, backwards=backwards)
        for alias in steps_by_alias:
            own = {identifier for identifier, aliases in doing.items() if alias in aliases}
            # What it does itself it does not wait for: an app that lives on both.
            needed = {other for identifier in _ancestors(own, after) - own for other in doing.get(identifier, ())}
            for other in needed - {alias}:
                dependencies[other if backwards else alias].add(alias if backwards else other)
    return dependencies


def _find_parents(snapshot: Snapshot, aliases: Collection[str]) -> dict[MigrationId, set[MigrationId]]:
    """Return what each migration directly depends on, on any of these databases: squashed ones may count on some."""
    after: dict[MigrationId, set[MigrationId]] = {}
    histories = {database.recorded for database in snapshot.databases if database.alias in aliases}
    for recorded in (snapshot.recorded[number] for number in histories if number is not None):
        for identifier, parents in build_graph(snapshot.migrations, recorded).parents.items():
            after.setdefault(identifier, set()).update(parents)
    return after


def _doing(steps_by_alias: Mapping[str, Sequence[Step]], *, backwards: bool) -> dict[MigrationId, set[str]]:
    """Return the aliases on which each migration does something, of those that are applied or that are undone."""
    doing: dict[MigrationId, set[str]] = {}
    for alias, steps in steps_by_alias.items():
        for migration in (migration for step in steps for migration in step.migrations):
            if migration.does and migration.backwards == backwards:
                doing.setdefault(migration.id, set()).add(alias)
    return doing


def _ancestors(identifiers: Set[MigrationId], after: Mapping[MigrationId, Set[MigrationId]]) -> set[MigrationId]:
    found: set[MigrationId] = set()
    queue = [parent for identifier in identifiers for parent in after.get(identifier, ())]
    while queue:
        identifier = queue.pop()
        if identifier not in found:
            found.add(identifier)
            queue.extend(after.get(identifier, ()))
    return found


def _chain(
    alias: str, steps_by_alias: Mapping[str, Sequence[Step]], waits: set[str], dependencies: set[str]
) -> list[Step]:
    """Return the steps of one alias, one after the other, the first one after the databases it waits for."""
    last = {other: steps[-1].id for other, steps in steps_by_alias.items()}
    order = list(steps_by_alias)
    waited = sorted(waits, key=order.index)
    after = tuple(last[other] for other in waited)
    needs = tuple(last[other] for other in waited if other in dependencies)
    chained = []
    for step in steps_by_alias[alias]:
        chained.append(step.model_copy(update={"after": after, "needs": needs}))
        after = needs = (step.id,)
    return chained
