"""Which app belongs on which database, and what kind of database each alias therefore is. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from dbmigrate.models.plan import Kind
from dbmigrate.models.settings import Settings
from dbmigrate.models.snapshot import Answer, App, AppRoute, Database, MigrationId, PendingMigration, Snapshot

DEFAULT_ALIAS = "default"

WRITERS: tuple[Kind, ...] = ("default", "routed", "open", "empty")
"""Kinds of databases that could be migrated, if something belonged there."""


@dataclass(frozen=True)
class Place:
    """What of one app belongs on one alias."""

    models: frozenset[str]
    """Lower-case names of the models that belong there; empty for an app without models."""
    is_whole: bool
    """Whether all of the app does."""


@dataclass(frozen=True)
class KindOf:
    """The kind of an alias, and the fact that makes it so."""

    kind: Kind
    because: str | None = None
    """Owner of a "same", alias or words behind a "replica"; None for the other kinds."""


@dataclass(frozen=True)
class Routing:
    """The answers of routers and rules, made up for every alias."""

    places: Mapping[str, Mapping[str, Place]]
    """By alias, by app label: only what belongs there."""
    unopposed: Mapping[str, tuple[str, ...]]
    """By alias: models (label.model) nobody has an opinion about, and that do not belong there."""
    kinds: Mapping[str, KindOf]
    by_rules: bool
    """Whether the routing rules are the truth because no router has an allow_migrate."""
    split: tuple[tuple[str, ...], ...]
    """Groups of aliases of one physical database of which none has all that belongs on the others (DBM207)."""

    def aliases_of(self, label: str) -> tuple[str, ...]:
        """Return the aliases an app belongs on, in the order of DATABASES."""
        return tuple(alias for alias, places in self.places.items() if label in places)

    def ahead(self, database: Database) -> tuple[MigrationId, ...]:
        """Return what is recorded and newer than the code, of apps that belong there."""
        here = self.places[database.alias]
        return tuple(identifier for identifier in database.unknown if identifier.split(".", 1)[0] in here)

    def does(self, alias: str, migration: PendingMigration) -> bool:
        """Return whether a migration does something on an alias, the one more router considered."""
        if self.by_rules or migration.answer == "none":
            return migration.answer != "no" and self._has_place_for(alias, migration)
        return migration.answer in ("yes", "error")

    def takes(self, alias: str, name: str, answer: Answer) -> bool:
        """Return whether a model (label.model), of which the routers say `answer`, has its table on an alias.

        The model may be gone from the code by now, as those of old migrations are.
        """
        label, model = name.split(".", 1)
        place = self.places[alias].get(label)
        if not self.by_rules and answer != "none":
            return answer == "yes"
        if place is None:
            # An app without migrations has no place, and yet its tables may be made.
            return alias == DEFAULT_ALIAS and not self.by_rules
        return place.is_whole or model in place.models

    def is_migrated(self, alias: str) -> bool:
        """Return whether `all` looks after this alias itself."""
        return self.kinds[alias].kind in ("default", "routed")

    def _has_place_for(self, alias: str, migration: PendingMigration) -> bool:
        place = self.places[alias].get(migration.id.split(".", 1)[0])
        if place is None:
            return False
        return place.is_whole or any(model == "" or model in place.models for model in migration.undecided)


def route(snapshot: Snapshot, settings: Settings, *, named: Collection[str] = ()) -> Routing:
    """Decide what belongs where. `named` are aliases the user named: they are migrated although they are open."""
    by_rules = bool(snapshot.rules) and not any(router.has_allow_migrate for router in snapshot.routers)
    places: dict[str, dict[str, Place]] = {}
    unopposed: dict[str, tuple[str, ...]] = {}
    for database in snapshot.databases:
        takes_unopposed = database.alias == DEFAULT_ALIAS
        found = _places(snapshot, database, by_rules=by_rules, takes_unopposed=takes_unopposed)
        decided = database.alias in named or settings.open_of(database.alias) == "migrate"
        if not found and decided:
            found = _places(snapshot, database, by_rules=False, takes_unopposed=True)
        places[database.alias] = found
        unopposed[database.alias] = tuple(_left_out(snapshot, database, found))
    kinds, split = _kinds(snapshot, settings, places)
    return Routing(places=places, unopposed=unopposed, kinds=kinds, by_rules=by_rules, split=split)


def migrated_apps(snapshot: Snapshot) -> tuple[App, ...]:
    """Return the apps that `migrate` knows."""
    return tuple(app for app in snapshot.apps if app.has_migrations)


def has_router_error(snapshot: Snapshot, label: str) -> bool:
    """Return whether a router raised for an app, so that nobody knows where it belongs (DBM205)."""
    return any(error.model.split(".", 1)[0] == label for error in snapshot.router_errors)


def _places(snapshot: Snapshot, database: Database, *, by_rules: bool, takes_unopposed: bool) -> dict[str, Place]:
    ruled = {rule.label: rule.alias for rule in snapshot.rules if rule.label is not None}
    found = {}
    for app in migrated_apps(snapshot):
        if by_rules:
            is_here = ruled.get(app.label, DEFAULT_ALIAS) == database.alias
            place = Place(frozenset(model.name for model in app.models), is_whole=True) if is_here else None
        else:
            place = _place(app, database, database.routes[app.label], takes_unopposed=takes_unopposed)
        if place is not None:
            found[app.label] = place
    return found


def _place(app: App, database: Database, answers: AppRoute, *, takes_unopposed: bool) -> Place | None:
    def belongs(model: str | None) -> bool:
        answer = answers.answer if model is None else answers.answer_for(model)
        return answer == "yes" or (
            answer == "none" and (takes_unopposed or f"{app.label}.{model}" in database.existing)
        )

    if not app.models:
        return Place(frozenset(), is_whole=True) if belongs(None) else None
    models = frozenset(model.name for model in app.models if belongs(model.name))
    return Place(models, is_whole=len(models) == len(app.models)) if models else None


def _left_out(snapshot: Snapshot, database: Database, places: Mapping[str, Place]) -> list[str]:
    left_out = []
    for app in migrated_apps(snapshot):
        answers = database.routes[app.label]
        here = places[app.label].models if app.label in places else frozenset()
        left_out += [
            f"{app.label}.{model.name}"
            for model in app.models
            if answers.answer_for(model.name) == "none" and model.name not in here
        ]
    return left_out


def _kinds(
    snapshot: Snapshot, settings: Settings, places: Mapping[str, Mapping[str, Place]]
) -> tuple[dict[str, KindOf], tuple[tuple[str, ...], ...]]:
    kinds = {database.alias: _own_kind(snapshot, settings, database, places) for database in snapshot.databases}
    split = []
    for group in _physical_groups(snapshot, kinds):
        writers = tuple(alias for alias in group if kinds[alias].kind in WRITERS)
        owner = _owner(writers, places)
        if owner is None:
            split.append(writers)
            continue
        for alias in group:
            # What may only be read there may be all that belongs on an alias that nobody can migrate.
            if alias != owner and (alias in writers or _has_all_of(places[owner], places[alias])):
                kinds[alias] = KindOf("same", owner)
    return kinds, tuple(split)


def _own_kind(
    snapshot: Snapshot, settings: Settings, database: Database, places: Mapping[str, Mapping[str, Place]]
) -> KindOf:
    """Return the kind of one alias, looking at no other."""
    if database.alias in settings.exclude:
        return KindOf("excluded")
    if database.state == "no-engine":
        return KindOf("empty")
    if database.alias == DEFAULT_ALIAS:
        return KindOf("default")
    if database.mirror_of is not None:
        return KindOf("replica", f'TEST["MIRROR"] names {database.mirror_of}')
    if database.read_only is not None:
        return KindOf("replica", database.read_only)
    if places[database.alias]:
        return KindOf("routed")
    return KindOf("empty") if _refuses_everything(snapshot, database) else KindOf("open")


def _refuses_everything(snapshot: Snapshot, database: Database) -> bool:
    answers = [database.routes[app.label] for app in migrated_apps(snapshot)]
    return all(route.answer == "no" and set(route.models.values()) <= {"no"} for route in answers)


def _physical_groups(snapshot: Snapshot, kinds: Mapping[str, KindOf]) -> list[tuple[str, ...]]:
    """Return the aliases that share a database, for each database that has several and one that may be migrated."""
    groups: dict[str, list[str]] = {}
    for database in snapshot.databases:
        kind = kinds[database.alias].kind
        is_reader = database.read_only is not None and database.mirror_of is None and kind != "excluded"
        if database.identity is not None and (kind in WRITERS or is_reader):
            groups.setdefault(database.identity, []).append(database.alias)
    return [
        tuple(group)
        for group in groups.values()
        if len(group) > 1 and any(kinds[alias].kind in WRITERS for alias in group)
    ]


def _owner(group: tuple[str, ...], places: Mapping[str, Mapping[str, Place]]) -> str | None:
    """Return the alias on which everything belongs that belongs on the others; the default alias where it can be."""
    owners = [alias for alias in group if all(_has_all_of(places[alias], places[other]) for other in group)]
    return DEFAULT_ALIAS if DEFAULT_ALIAS in owners else next(iter(owners), None)


def _has_all_of(places: Mapping[str, Place], others: Mapping[str, Place]) -> bool:
    """Return whether everything that belongs on the one alias belongs on the other too."""
    return all(label in places and place.models <= places[label].models for label, place in others.items())
