"""DBM204: an app, or a model of one, that belongs on no database."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dbmigrate.models.apps import App
from dbmigrate.models.database import DEFAULT_ALIAS
from dbmigrate.models.findings import Finding
from dbmigrate.models.snapshot import Snapshot
from dbmigrate.planning.routing import Routing, has_router_error, migrated_apps
from dbmigrate.planning.unseen_databases import answers_may_differ, is_for_added_databases

OPINIONS = {"yes": "say yes", "no": "say no", "none": "say nothing", "error": "raise"}


def find_apps_without_database(snapshot: Snapshot, routing: Routing) -> Iterator[Finding]:
    """Yield a finding for each app whose tables, some or all, are made nowhere.

    It stops a run unless every answer is no: then somebody decided that there is no table.
    """
    for app in migrated_apps(snapshot):
        if has_router_error(snapshot, app.label):
            continue
        if answers_may_differ(snapshot) or is_for_added_databases(snapshot, routing, app):
            continue  # it has its tables where nobody looked (planning/unseen_databases.py)
        placements = [
            routing.placements[database.alias][app.label]
            for database in snapshot.databases
            if database.state != "no-engine" and app.label in routing.placements[database.alias]
        ]
        housed = {model for placement in placements for model in placement.models}
        homeless = [model.name for model in app.models if model.name not in housed]
        if "migrate" in snapshot.replaced_commands:
            # A command of the project's own may make elsewhere what is refused here.
            homeless = [model for model in homeless if not _is_decided(snapshot, routing, app.label, model)]
        if homeless:
            yield _describe(snapshot, routing, app, homeless)


def _describe(snapshot: Snapshot, routing: Routing, app: App, homeless: Sequence[str]) -> Finding:
    names = ", ".join(f"{app.label}.{name}" for name in homeless)
    is_whole = len(homeless) == len(app.models)
    what = f"app {app.label} belongs" if is_whole else f"{names} belong{'s' if len(homeless) == 1 else ''}"
    undecided = [model for model in homeless if not _is_decided(snapshot, routing, app.label, model)]
    shown = (undecided or homeless)[0]
    return Finding(
        id="DBM204",
        level="error" if undecided else "warning",
        stops=bool(undecided),
        stops_app_only=True,
        message=f"{what} on no database: {_why(snapshot, routing, app.label, shown)}, so it has no tables",
        hint=f"let a router's allow_migrate return True for {app.label if is_whole else names} on one alias, "
        "or set managed = False in the model's Meta if something else creates its table",
        apps=(app.label,),
        subject=("model", f"{app.label}.{shown}"),
    )


def _is_decided(snapshot: Snapshot, routing: Routing, label: str, model: str) -> bool:
    """Return whether a model has no table on purpose: refused everywhere, or not for the default database's server."""
    if routing.by_rules:
        return False
    answers = {database.alias: database.routes[label] for database in snapshot.databases}
    return all(route.answer_for(model) == "no" for route in answers.values()) or (
        DEFAULT_ALIAS in answers and model in answers[DEFAULT_ALIAS].unfit
    )


def _why(snapshot: Snapshot, routing: Routing, label: str, model: str) -> str:
    """Return what the routers, or the rules, really answered about a model on every alias."""
    if routing.by_rules:
        rule = next((rule for rule in snapshot.rules if rule.label == label), None)
        if rule is None:
            return f"no rule names it, and {DEFAULT_ALIAS} has no ENGINE"
        return f"{rule.source} puts it on {rule.alias}"
    unfit = [database.alias for database in snapshot.databases if model in database.routes[label].unfit]
    aliases: dict[str, list[str]] = {}
    for database in snapshot.databases:
        if database.alias not in unfit:
            aliases.setdefault(database.routes[label].answer_for(model), []).append(database.alias)
    said = [f"the routers {OPINIONS[answer]} on {' and '.join(where)}" for answer, where in aliases.items()]
    if unfit:
        said.append(
            f"the server of {' and '.join(unfit)} is of a kind that cannot hold it "
            "(required_db_vendor, required_db_features)"
        )
    return ", ".join([*said, *_notes(snapshot, routing, {alias for where in aliases.values() for alias in where})])


def _notes(snapshot: Snapshot, routing: Routing, aliases: set[str]) -> Iterator[str]:
    """Yield what else keeps a model from these aliases."""
    for database in snapshot.databases:
        kind = routing.kinds[database.alias]
        if database.alias in aliases and database.state == "no-engine":
            yield f"{database.alias} has no ENGINE"
        elif database.alias in aliases and kind.kind == "replica":
            yield f"{database.alias} is a replica ({kind.because})"
