"""In which order databases are migrated. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from itertools import pairwise

from dbmigrate.models.plan import Step
from dbmigrate.models.settings import Settings
from dbmigrate.models.snapshot import MigrationId, Snapshot
from dbmigrate.routing import DEFAULT_ALIAS


def order_databases(
    snapshot: Snapshot, settings: Settings, steps_by_alias: Mapping[str, Sequence[Step]]
) -> tuple[Step, ...]:
    """Return all steps with what each waits for; every step stands after the ones it waits for.

    The default database comes first. The aliases of `order` follow one another. A database comes after those whose
    pending migrations its own depend on. Where two databases depend on each other (apps split both ways), the one
    earlier in DATABASES goes first.
    """
    aliases = sorted(steps_by_alias, key=lambda alias: alias != DEFAULT_ALIAS)
    dependencies = _dependencies(snapshot, steps_by_alias)
    waits: dict[str, set[str]] = {alias: set() for alias in aliases}
    for alias, others in _wishes(aliases, settings, dependencies):
        for other in others:
            if other in waits and other != alias and alias not in _reach(waits, other):
                waits[alias].add(other)
    ordered: dict[str, None] = {}
    while len(ordered) < len(aliases):
        ordered[next(alias for alias in aliases if alias not in ordered and waits[alias] <= ordered.keys())] = None
    return tuple(step for alias in ordered for step in _chain(alias, steps_by_alias, waits[alias], dependencies[alias]))


def _wishes(
    aliases: Sequence[str], settings: Settings, dependencies: Mapping[str, set[str]]
) -> list[tuple[str, list[str]]]:
    """Return (alias, aliases it should wait for), the strongest wish first: a later one never undoes an earlier one."""
    wishes = [(alias, [DEFAULT_ALIAS]) for alias in aliases]
    # From the last to the first: of two that depend on each other the earlier one gets the others to wait for it.
    wishes += [(alias, sorted(dependencies[alias], key=aliases.index)) for alias in reversed(aliases)]
    named = [alias for alias in settings.order if alias in aliases]
    return wishes + [(later, [earlier]) for earlier, later in pairwise(named)]


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
    """Return, for each alias, the others on which a migration does something that its own migrations depend on."""
    doing: dict[MigrationId, set[str]] = {}
    for alias, steps in steps_by_alias.items():
        for step in steps:
            for migration in step.migrations:
                if migration.does:
                    doing.setdefault(migration.id, set()).add(alias)
    after = {migration.id: migration.after for database in snapshot.databases for migration in database.pending}
    dependencies: dict[str, set[str]] = {}
    for alias in steps_by_alias:
        own = {identifier for identifier, aliases in doing.items() if alias in aliases}
        # What it does itself it does not wait for: an app that lives on both.
        needed = {other for identifier in _ancestors(own, after) - own for other in doing.get(identifier, ())}
        dependencies[alias] = needed - {alias}
    return dependencies


def _ancestors(identifiers: Set[MigrationId], after: Mapping[MigrationId, tuple[MigrationId, ...]]) -> set[MigrationId]:
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
