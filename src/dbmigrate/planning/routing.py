"""Which app belongs on which database, and what kind of database each alias therefore is. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from dbmigrate.models.apps import App
from dbmigrate.models.database import DEFAULT_ALIAS, UNKNOWN_STATES, Database
from dbmigrate.models.migrations import Answer, MigrationId, PendingMigration, label_of
from dbmigrate.models.plan import Kind
from dbmigrate.models.settings import Settings
from dbmigrate.models.snapshot import Snapshot

WRITERS: tuple[Kind, ...] = ("default", "routed", "open", "empty")
"""Kinds of databases that could be migrated, if something belonged there."""


@dataclass(frozen=True)
class Placement:
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
    """Owner of a "same", alias or words behind a "replica", why it takes no writes; else None."""


@dataclass(frozen=True)
class Routing:
    """The answers of routers and rules, made up for every alias."""

    placements: Mapping[str, Mapping[str, Placement]]
    """By alias, by app label: only what belongs there."""
    unmigrated: Mapping[str, Mapping[str, Placement]]
    """The same of apps without migrations: where --run-syncdb makes their tables."""
    unopposed: Mapping[str, tuple[str, ...]]
    """By alias: models (label.model) nobody has an opinion about, and that do not belong there."""
    kinds: Mapping[str, KindOf]
    undecided: frozenset[str]
    """Aliases that are "open" as far as is known: nobody could read what a run has made there."""
    by_rules: bool
    """Whether the routing rules are the truth because no router has an allow_migrate."""
    whole: frozenset[str]
    """Aliases that are migrated with all there is, whatever belongs there: the default one, and by configuration."""
    split: tuple[tuple[str, ...], ...]
    """Groups of aliases of one physical database of which none has all that belongs on the others (DBM207)."""

    def aliases_of(self, label: str) -> tuple[str, ...]:
        """Return the aliases an app belongs on, in the order of DATABASES."""
        return tuple(alias for alias, placements in self.placements.items() if label in placements)

    def ahead(self, database: Database) -> tuple[MigrationId, ...]:
        """Return what is recorded and newer than the code, of apps that belong there."""
        here = self.placements[database.alias]
        return tuple(identifier for identifier in database.unknown if label_of(identifier) in here)

    def does(self, alias: str, migration: PendingMigration) -> bool:
        """Return whether a migration does something on an alias, the guard router considered."""
        if migration.unasked:
            return True
        if self.by_rules or migration.answer == "none":
            return migration.answer != "no" and self._has_place_for(alias, migration)
        return migration.answer in ("yes", "error")

    def takes(self, alias: str, name: str, answer: Answer) -> bool:
        """Return whether a model (label.model), of which the routers say `answer`, has its table on an alias.

        The model may be gone from the code by now, as those of old migrations are.
        """
        label, model = name.split(".", 1)
        placement = self.placements[alias].get(label) or self.unmigrated[alias].get(label)
        if not self.by_rules and answer != "none" and self.kinds[alias].kind != "replica":
            return answer == "yes"
        if placement is None:
            return False
        return placement.is_whole or model in placement.models

    def has(self, database: Database, name: str) -> bool:
        """Return whether a model of this code (label.model) has its table on a database."""
        label, model = name.split(".", 1)
        return self.takes(database.alias, name, database.routes[label].answer_for(model))

    def is_migrated(self, alias: str) -> bool:
        """Return whether `all` looks after this alias itself."""
        return self.kinds[alias].kind in ("default", "routed")

    def is_checked(self, alias: str) -> bool:
        """Return whether `check` and `verify` hold this alias to what belongs there, if only to say it."""
        return self.is_migrated(alias) or (self.kinds[alias].kind == "read-only" and bool(self.placements[alias]))

    def _has_place_for(self, alias: str, migration: PendingMigration) -> bool:
        placement = self.placements[alias].get(label_of(migration.id))
        if placement is None:
            return False
        return placement.is_whole or any(
            model == "" or model in placement.models or model in migration.refused_on_default
            for model in migration.undecided
        )


def route(snapshot: Snapshot, settings: Settings, *, named: Collection[str] = ()) -> Routing:
    """Decide what belongs where. `named` are aliases the user named: they are migrated although they are open."""
    by_rules = bool(snapshot.rules) and not any(router.has_allow_migrate for router in snapshot.routers)
    found = {
        database.alias: _find_places(snapshot, settings, database, by_rules=by_rules, is_named=database.alias in named)
        for database in snapshot.databases
    }
    own_kinds = {
        database.alias: _own_kind(snapshot, settings, database, found[database.alias])
        for database in snapshot.databases
    }
    migrated = {app.label for app in migrated_apps(snapshot)}
    written = _without_replicas(snapshot, found, own_kinds)
    placements = {
        alias: {label: placement for label, placement in here.items() if label in migrated}
        for alias, here in written.items()
    }
    kinds, split = _kinds(snapshot, own_kinds, placements)
    return Routing(
        placements=placements,
        unmigrated={
            alias: {label: placement for label, placement in here.items() if label not in migrated}
            for alias, here in written.items()
        },
        unopposed={
            database.alias: tuple(_left_out(snapshot, database, placements[database.alias]))
            for database in snapshot.databases
        },
        kinds=kinds,
        undecided=frozenset(
            database.alias
            for database in snapshot.databases
            if database.state in UNKNOWN_STATES
            and kinds[database.alias].kind == "open"
            and _is_spoken_of(snapshot, database)
        ),
        by_rules=by_rules,
        whole=frozenset(
            database.alias
            for database in snapshot.databases
            if database.alias == DEFAULT_ALIAS or settings.scope_of(database.alias) == "database"
        ),
        split=split,
    )


def migrated_apps(snapshot: Snapshot) -> tuple[App, ...]:
    """Return the apps that `migrate` knows."""
    return tuple(app for app in snapshot.apps if app.has_migrations)


def is_migrated_whole(snapshot: Snapshot, routing: Routing, alias: str) -> bool:
    """Return whether a database is migrated in one process for all apps: each belongs there, or it was asked for."""
    placements = routing.placements[alias]
    return alias in routing.whole or all(
        app.label in placements and placements[app.label].is_whole for app in migrated_apps(snapshot)
    )


def has_router_error(snapshot: Snapshot, label: str) -> bool:
    """Return whether a router raised for an app, so that nobody knows where it belongs (DBM205)."""
    return any(label_of(error.model) == label for error in snapshot.router_errors)


def _find_places(
    snapshot: Snapshot, settings: Settings, database: Database, *, by_rules: bool, is_named: bool
) -> dict[str, Placement]:
    """Return what belongs on one database, apps without migrations included; everything, where it was decided so."""
    is_default = database.alias == DEFAULT_ALIAS
    # What an alias holds that no router speaks of proves nothing.
    existing = frozenset(database.existing if database.existing and _is_spoken_of(snapshot, database) else ())
    found = _placements(snapshot, database, existing, by_rules=by_rules, takes_unopposed=is_default)
    # A setting counts as well on what its first run has made there: that is no answer of a router.
    is_open = not found or not _placements(snapshot, database, (), by_rules=by_rules, takes_unopposed=is_default)
    if (is_named and not found) or (settings.unclaimed_policy(database.alias) == "migrate" and is_open):
        return _placements(snapshot, database, existing, by_rules=False, takes_unopposed=True)
    return found


def _placements(
    snapshot: Snapshot, database: Database, existing: Collection[str], *, by_rules: bool, takes_unopposed: bool
) -> dict[str, Placement]:
    """Return what belongs on one database; `existing`: models whose tables count there as an answer."""
    ruled = {rule.label: rule.alias for rule in snapshot.rules if rule.label is not None}
    found = {}
    for app in snapshot.apps:
        if by_rules:
            is_here = ruled.get(app.label, DEFAULT_ALIAS) == database.alias
            placement = Placement(frozenset(model.name for model in app.models), is_whole=True) if is_here else None
        else:
            placement = _placement(snapshot, app, database, existing, takes_unopposed=takes_unopposed)
        if placement is not None:
            found[app.label] = placement
    return found


def _placement(
    snapshot: Snapshot, app: App, database: Database, existing: Collection[str], *, takes_unopposed: bool
) -> Placement | None:
    answers = database.routes[app.label]
    default = snapshot.database(DEFAULT_ALIAS)
    on_default = default.routes[app.label] if default is not None else None

    def belongs(model: str | None) -> bool:
        if answers.answer_for(model) != "none":
            return answers.answer_for(model) == "yes"
        # Routers that refuse it wherever it is not, and are silent where it is: Django reads that as yes.
        is_excluded_elsewhere = app.touches_databases and on_default is not None and on_default.refuses(model)
        return takes_unopposed or is_excluded_elsewhere or f"{app.label}.{model}" in existing

    if not app.models:
        return Placement(frozenset(), is_whole=True) if belongs(None) else None
    models = frozenset(model.name for model in app.models if belongs(model.name))
    return Placement(models, is_whole=len(models) == len(app.models)) if models else None


def _is_spoken_of(snapshot: Snapshot, database: Database) -> bool:
    """Return whether some router says yes or no about anything on a database."""
    for app in snapshot.apps:
        answers = database.routes[app.label]
        names: list[str | None] = [model.name for model in app.models]
        if any(answers.answer_for(name) == "yes" or answers.refuses(name) for name in names or [None]):
            return True
    return False


def _without_replicas(
    snapshot: Snapshot, found: Mapping[str, Mapping[str, Placement]], kinds: Mapping[str, KindOf]
) -> dict[str, dict[str, Placement]]:
    """Leave out what is only read: nothing is written where an alias follows another, nor what is written elsewhere."""
    replicas = {alias for alias, kind in kinds.items() if kind.kind == "replica"}
    written = {
        (label, model)
        for alias, placements in found.items()
        if alias not in replicas
        for label, placement in placements.items()
        for model in (placement.models or {""})
    }
    kept: dict[str, dict[str, Placement]] = {}
    for database in snapshot.databases:
        placements = found[database.alias]
        if database.alias not in replicas:
            kept[database.alias] = dict(placements)
        elif database.mirror_of is not None:
            kept[database.alias] = {}
        else:
            kept[database.alias] = {
                label: placement
                for label, placement in placements.items()
                if any((label, model) not in written for model in (placement.models or {""}))
            }
    return kept


def _left_out(snapshot: Snapshot, database: Database, placements: Mapping[str, Placement]) -> list[str]:
    left_out = []
    for app in migrated_apps(snapshot):
        answers = database.routes[app.label]
        here = placements[app.label].models if app.label in placements else frozenset()
        left_out += [
            f"{app.label}.{model.name}"
            for model in app.models
            if answers.answer_for(model.name) == "none" and model.name not in here
        ]
    return left_out


def _kinds(
    snapshot: Snapshot, own_kinds: Mapping[str, KindOf], placements: Mapping[str, Mapping[str, Placement]]
) -> tuple[dict[str, KindOf], tuple[tuple[str, ...], ...]]:
    kinds = dict(own_kinds)
    split = []
    for group in _physical_groups(snapshot, kinds):
        writers = tuple(alias for alias in group if kinds[alias].kind in WRITERS)
        owner = _owner(writers, placements)
        if owner is None:
            split.append(writers)
            continue
        for alias in group:
            # What may only be read there may be all that belongs on an alias that nobody can migrate.
            if alias != owner and (alias in writers or _has_all_of(placements[owner], placements[alias])):
                kinds[alias] = KindOf("same", owner)
    return kinds, tuple(split)


def _own_kind(snapshot: Snapshot, settings: Settings, database: Database, placements: Collection[str]) -> KindOf:
    """Return the kind of one alias, looking at no other."""
    if database.alias in settings.exclude:
        return KindOf("excluded")
    if database.state == "no-engine":
        return KindOf("empty")
    if database.in_memory:
        return KindOf("in-memory")
    if database.alias == DEFAULT_ALIAS:
        return KindOf("default", database.read_only)
    if database.mirror_of is not None:
        return KindOf("replica", f'TEST["MIRROR"] names {database.mirror_of}')
    if database.read_only is not None:
        return KindOf("read-only" if database.vendor == "sqlite" else "replica", database.read_only)
    if placements:
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


def _owner(group: tuple[str, ...], placements: Mapping[str, Mapping[str, Placement]]) -> str | None:
    """Return the alias on which everything belongs that belongs on the others; the default alias where it can be."""
    owners = [alias for alias in group if all(_has_all_of(placements[alias], placements[other]) for other in group)]
    return DEFAULT_ALIAS if DEFAULT_ALIAS in owners else next(iter(owners), None)


def _has_all_of(placements: Mapping[str, Placement], others: Mapping[str, Placement]) -> bool:
    """Return whether everything that belongs on the one alias belongs on the other too."""
    return all(
        label in placements and placement.models <= placements[label].models for label, placement in others.items()
    )
