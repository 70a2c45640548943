"""DBM201: a foreign key with a constraint whose two models are on different databases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from dbmigrate.models.check_ids import CROSS_DATABASE_RELATIONS
from dbmigrate.models.findings import Finding
from dbmigrate.models.migrations import MigrationId, PlannedRelation, Relation, label_of
from dbmigrate.models.snapshot import Snapshot
from dbmigrate.planning.checks.installed import is_installed
from dbmigrate.planning.routing import Routing

NOUNS = {
    "ForeignKey": "a foreign key",
    "OneToOneField": "a one-to-one field",
    "ManyToManyField": "a many-to-many field",
}


@dataclass
class _Cross:
    """One field, and where its two ends are apart."""

    to: str
    aliases: list[str] = field(default_factory=list)
    relation: Relation | None = None
    """The field as the models have it; None if only migrations do."""
    makers: dict[MigrationId, PlannedRelation] = field(default_factory=dict)
    """Pending migrations that would make the constraint."""
    unwritten: MigrationId | None = None
    """The migration that makemigrations would write for it."""


def find_cross_database_relations(snapshot: Snapshot, routing: Routing) -> Iterator[Finding]:
    """Yield a finding for each field; it stops what would apply a migration that makes the constraint."""
    crosses: dict[tuple[str, str], _Cross] = {}
    for relation in snapshot.relations:
        for alias in _apart(snapshot, routing, relation):
            cross = crosses.setdefault((relation.model, relation.field), _Cross(relation.to))
            cross.relation = relation
            cross.aliases.append(alias)
            cross.unwritten = _find_unwritten(snapshot, relation)
    for database in snapshot.databases:
        for migration in database.pending if routing.is_migrated(database.alias) else ():
            for planned in migration.relations if routing.does(database.alias, migration) else ():
                if _is_apart(snapshot, routing, database.alias, planned):
                    cross = crosses.setdefault((planned.model, planned.field), _Cross(planned.to))
                    if migration.is_written:
                        cross.makers.setdefault(migration.id, planned)
                    else:
                        cross.unwritten = migration.id
                    if database.alias not in cross.aliases:
                        cross.aliases.append(database.alias)
    for (model, name), cross in crosses.items():
        yield _describe(snapshot, routing, model, name, cross)


def _find_unwritten(snapshot: Snapshot, relation: Relation) -> MigrationId | None:
    name = f"{relation.model}.{relation.field}"
    return next((change.constraints[name] for change in snapshot.changes or () if name in change.constraints), None)


def _apart(snapshot: Snapshot, routing: Routing, relation: Relation) -> list[str]:
    """Return the aliases that have the table of the field and not the one it points to."""
    return [
        database.alias
        for database in snapshot.databases
        if routing.is_migrated(database.alias)
        and _has(snapshot, routing, database.alias, relation.model)
        and not _has(snapshot, routing, database.alias, relation.to)
        and relation.to not in database.present
    ]


def _has(snapshot: Snapshot, routing: Routing, alias: str, name: str) -> bool:
    label, model = name.split(".", 1)
    database = snapshot.database(alias)
    assert database is not None
    return routing.takes(alias, name, database.routes[label].answer_for(model))


def _is_apart(snapshot: Snapshot, routing: Routing, alias: str, planned: PlannedRelation) -> bool:
    return routing.takes(alias, planned.model, planned.answer) and not routing.takes(
        alias, planned.to, planned.to_answer
    )


def _describe(snapshot: Snapshot, routing: Routing, model: str, name: str, cross: _Cross) -> Finding:
    kind = NOUNS.get(cross.relation.kind if cross.relation is not None else "ForeignKey", "a relation")
    here = " and ".join(cross.aliases)
    target_label = label_of(cross.to)
    homes = [
        alias for alias in routing.placements if snapshot.app(target_label) and _has(snapshot, routing, alias, cross.to)
    ]
    where = " and ".join(homes) or "no database"
    message = (
        f"{model}.{name} on {here} is {kind} to {cross.to}, which is on {where}: "
        "no database can enforce a foreign key to a table in another one"
    )
    first = next(iter(cross.makers.items()), None)
    if first is not None:
        message += f"; pending migration {first[0]} would create it"
    if cross.unwritten is not None:
        message += f"; makemigrations would write it into {cross.unwritten}"
    return Finding(
        id=CROSS_DATABASE_RELATIONS,
        level="error",
        stops=first is not None or cross.unwritten is not None,
        message=message,
        hint=_hint(snapshot, model, name, cross),
        aliases=tuple(cross.aliases),
        apps=tuple(dict.fromkeys((label_of(model), target_label))),
        migrations=(*cross.makers, *([cross.unwritten] if cross.unwritten is not None else [])),
        subject=("field", model, name)
        if cross.relation is not None or first is None
        else ("operation", first[0], first[1].operation, name),
    )


def _hint(snapshot: Snapshot, model: str, name: str, cross: _Cross) -> str:
    label = label_of(model)
    if is_installed(snapshot, label):
        return f"{label} is a third-party app: let the routers put {model} and {cross.to} on one database"
    if cross.relation is not None and cross.relation.is_parent_link:
        return f"let the routers put {model} and its parent {cross.to} on one database, or make the parent abstract"
    written = "".join(
        f"; {identifier} is not applied yet: write db_constraint=False there too" for identifier in cross.makers
    )
    if cross.relation is None:
        return f"write db_constraint=False on {name} in {' and '.join(cross.makers)}"
    definition = cross.relation.definition or f"{name} = models.{cross.relation.kind}(…)"
    corrected = f"write: {without_constraint(definition)}"
    return f"{corrected}{written}" if cross.makers else f"{corrected}; then: dbmigrate make {label}"


def without_constraint(definition: str) -> str:
    """Return a field as it is written in the models, without the constraint in the database."""
    flat = " ".join(definition.split()).replace("( ", "(").replace(", )", ")").replace(",)", ")").replace(" )", ")")
    if "db_constraint=True" in flat:
        return flat.replace("db_constraint=True", "db_constraint=False")
    head, closing, tail = flat.rpartition(")")
    separator = "" if head.endswith("(") else ", "
    return f"{head}{separator}db_constraint=False{closing}{tail}"
