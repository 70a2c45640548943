"""DBM404: a migration that runs before a deploy and after which the inserts of the old code fail."""

from __future__ import annotations

from collections.abc import Iterator

from dbmigrate.listing import listed
from dbmigrate.models.check_ids import REFUSED_INSERTS
from dbmigrate.models.findings import Finding
from dbmigrate.models.migrations import MigrationId, RefusedInsert, label_of
from dbmigrate.models.snapshot import Snapshot
from dbmigrate.planning.checks.installed import hint_where
from dbmigrate.planning.phases import split_phases
from dbmigrate.planning.routing import Routing

FIRST_DB_DEFAULT = 5
"""The major version of Django from which on fields have `db_default`."""


def find_refused_inserts(snapshot: Snapshot, routing: Routing) -> Iterator[Finding]:
    """Yield a warning for each column that will need a value, with the databases on which the old code inserts."""
    if not snapshot.phases:
        return
    split = split_phases(snapshot, routing)
    for identifier, aliases in split.doing.items():
        work = snapshot.migrations[identifier].work
        for refused in work.refused if work is not None and split.phase_of(identifier) == "pre" else ():
            here = tuple(alias for alias in aliases if _is_inserted_into(snapshot, routing, alias, identifier, refused))
            if here:
                yield _describe(snapshot, identifier, refused, here)


def _is_inserted_into(
    snapshot: Snapshot, routing: Routing, alias: str, identifier: MigrationId, refused: RefusedInsert
) -> bool:
    """Return whether the table of a model is on a database, and not only made with what is pending there."""
    database = snapshot.database(alias)
    pending = {one.id for one in database.pending} if database is not None else set()
    return (
        database is not None
        and pending.isdisjoint(refused.made_by)
        and routing.has(database, f"{label_of(identifier)}.{refused.model}")
    )


def _describe(snapshot: Snapshot, identifier: MigrationId, refused: RefusedInsert, aliases: tuple[str, ...]) -> Finding:
    label = label_of(identifier)
    return Finding(
        id=REFUSED_INSERTS,
        level="warning",
        stops=False,
        message=(
            f"{identifier} runs before the deploy on {listed(aliases)} ({refused.text}): {refused.field} is NOT NULL "
            f"there without a default in the database, so inserts of the old code into {label}.{refused.model} fail "
            "until the new code serves"
        ),
        hint=hint_where(snapshot, label, _hint(snapshot), identifier=REFUSED_INSERTS),
        aliases=aliases,
        apps=(label,),
        migrations=(identifier,),
        subject=("operation", identifier, refused.operation),
    )


def _hint(snapshot: Snapshot) -> str:
    by_database = "give the field db_default=…, or " if _has_db_default(snapshot.project.django_version) else ""
    return f"{by_database}use null=True now and make it NOT NULL in a later migration, which runs after the deploy"


def _has_db_default(version: str) -> bool:
    return int(version.split(".")[0]) >= FIRST_DB_DEFAULT
