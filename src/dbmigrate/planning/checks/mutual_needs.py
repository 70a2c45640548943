"""DBM210: pending data migrations that no order of the databases gives what they need."""

from __future__ import annotations

from collections.abc import Iterator

from dbmigrate.models.check_ids import MUTUAL_NEEDS
from dbmigrate.models.findings import Finding
from dbmigrate.models.migrations import label_of
from dbmigrate.models.plan import Need
from dbmigrate.models.snapshot import Snapshot
from dbmigrate.planning.data_needs import beginnings, find_circles, find_needs
from dbmigrate.planning.routing import Routing


def find_mutual_needs(snapshot: Snapshot, routing: Routing) -> Iterator[Finding]:
    """Yield what needs each other, and what needs a database that is skipped although something is pending there."""
    migrated = [database.alias for database in snapshot.databases if routing.is_migrated(database.alias)]
    needs = find_needs(snapshot, routing, migrated)
    for circle in find_circles(needs):
        yield _describe_circle(snapshot, needs, circle)
    left_alone = [
        alias
        for alias, kind in routing.kinds.items()
        if kind.kind in ("excluded", "read-only") and routing.placements[alias]
    ]
    for need in find_needs(snapshot, routing, left_alone):
        if need.is_certain:
            yield _describe_left_alone(routing, need)


def _describe_circle(snapshot: Snapshot, needs: tuple[Need, ...], circle: tuple[Need, ...]) -> Finding:
    aliases = tuple(dict.fromkeys(need.alias for need in circle))
    first = next(beginnings(snapshot, [*circle, *needs]), circle[0])
    label, name = first.needed.split(".", 1)
    return Finding(
        id=MUTUAL_NEEDS,
        level="error",
        stops=True,
        message=f"pending data migrations of {' and '.join(aliases)} need each other: "
        + ", and ".join(need.sentence for need in circle),
        hint=f"start with what is needed first: dbmigrate run --app {label} --to {name} --database {first.other}, "
        "then rerun the command; or remove a dependency that the data does not need",
        aliases=aliases,
        apps=tuple(dict.fromkeys(label_of(need.migration) for need in circle)),
        migrations=tuple(dict.fromkeys(need.migration for need in circle)),
        subject=("migration", circle[0].migration),
    )


def _describe_left_alone(routing: Routing, need: Need) -> Finding:
    return Finding(
        id=MUTUAL_NEEDS,
        level="warning",
        stops=False,
        message=f"{need.sentence}, and that database is skipped ({routing.kinds[need.other].kind})",
        hint=f"migrate {need.other} first, in whatever way it is migrated; if {need.migration} does not use "
        f"{need.other}, "
        f'ignore = ["{MUTUAL_NEEDS}"] under [tool.dbmigrate]',
        aliases=(need.alias,),
        apps=(label_of(need.migration),),
        migrations=(need.migration,),
        subject=("migration", need.migration),
    )
