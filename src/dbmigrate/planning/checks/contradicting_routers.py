"""DBM211: a router that reads of a model what only the project's class has, and so answers migrate differently."""

from __future__ import annotations

from collections.abc import Iterator

from dbmigrate.models.apps import Contradiction
from dbmigrate.models.database import Database
from dbmigrate.models.findings import Finding
from dbmigrate.models.migrations import label_of
from dbmigrate.models.snapshot import Snapshot
from dbmigrate.planning.routing import Routing

LOOK_UP = (
    "migrate passes a model without the attributes and methods of the project's class: in allow_migrate, replace it "
    "with django.apps.apps.get_model(app_label, model_name), which raises LookupError if the model no longer exists"
)


def find_contradicting_routers(snapshot: Snapshot, routing: Routing) -> Iterator[Finding]:
    """Yield a finding for each model and database where migrate would make no table, or one that does not belong."""
    for contradiction in snapshot.contradictions:
        database = snapshot.database(contradiction.alias)
        if database is None or not routing.is_migrated(database.alias):
            continue
        belongs = routing.has(database, contradiction.model)
        if belongs and contradiction.as_migrated == "no":
            yield _describe(database, contradiction, "allows", "refuses", "neither creates nor changes its table")
        elif not belongs and contradiction.as_migrated == "yes":
            yield _describe(database, contradiction, "refuses", "allows", "creates its table")


def _describe(database: Database, contradiction: Contradiction, answer: str, as_migrated: str, outcome: str) -> Finding:
    label = label_of(contradiction.model)
    planned = database.pending if database.targeted is None else database.targeted
    migrations = tuple(migration.id for migration in planned if label_of(migration.id) == label)
    is_left_out = as_migrated == "refuses"
    return Finding(
        id="DBM211",
        level="error" if is_left_out and migrations else "warning",
        stops=is_left_out and bool(migrations),
        stops_work_only=True,
        message=(
            f"router {contradiction.router} {answer} {contradiction.model} on {contradiction.alias}, but {as_migrated} "
            f"it when migrate asks, so migrate {outcome} there"
        ),
        hint=LOOK_UP,
        aliases=(contradiction.alias,),
        apps=(label,),
        migrations=migrations if is_left_out else (),
        subject=("router", contradiction.router),
    )
