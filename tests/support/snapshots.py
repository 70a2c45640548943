"""Literal snapshots, short enough to be read in a test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from dbmigrate.models.apps import App, AppModel, AppRoute, Change, Router, RouterError, RoutingRule
from dbmigrate.models.database import Database
from dbmigrate.models.findings import Finding
from dbmigrate.models.migrations import Answer, Migration, PendingMigration, Relation
from dbmigrate.models.plan import MigrationPlan, ShownPlan
from dbmigrate.models.selection import Selection, Targets
from dbmigrate.models.settings import Settings
from dbmigrate.models.snapshot import Command, Constance, Project, Receiver, Snapshot
from dbmigrate.planning.planner import build_plan
from dbmigrate.planning.routing import route

PROJECT = Project(
    settings_module="site_settings",
    django_version="5.2",
    python_version="3.11",
    executable="/python",
    debug=False,
    called="manage.py",
)
COMMANDS = {
    name: Command(module=f"django.core.management.commands.{name}", words={word: word for word in words})
    for name, words in {
        "migrate": ("--database", "--no-input", "--fake", "--fake-initial", "--run-syncdb"),
        "makemigrations": ("--no-input", "--name", "--empty", "--merge", "--update", "--dry-run", "--verbosity"),
        "squashmigrations": ("--no-input", "--no-optimize", "--squashed-name", "--verbosity"),
    }.items()
}
ROUTER = Router(name="routers.Router", has_allow_migrate=True)


def app(
    label: str,
    *models: str,
    migrations: tuple[str, ...] = ("0001_initial",),
    is_own: bool = True,
    has_migrations: bool = True,
) -> App:
    """Return an app with these models (one named like it if none are), each with a table of its own."""
    return App(
        label=label,
        name=label,
        is_own=is_own,
        why="below the project's root" if is_own else "installed in /srv/site-packages",
        migrations_folder=f"/srv/{label}/migrations",
        migrations_module=f"{label}.migrations",
        has_migrations=has_migrations,
        migrations=migrations,
        models=tuple(
            AppModel(name=name, table=f"{label}_{name}", auto_created=False) for name in models or (f"{label}item",)
        ),
    )


def app_without_models(label: str) -> App:
    """Return an app that has migrations and no models."""
    return app(label).model_copy(update={"models": ()})


def routes(**answers: Answer | dict[str, Answer]) -> dict[str, AppRoute]:
    """Return routes by app: an answer for all of it, or answers by model ("" stands for the models not named)."""
    return {
        label: AppRoute(answer=answer, models={})
        if isinstance(answer, str)
        else AppRoute(answer=answer.get("", "no"), models={name: said for name, said in answer.items() if name})
        for label, answer in answers.items()
    }


def pending(identifier: str, answer: Answer = "yes", *after: str, **more: Any) -> PendingMigration:
    """Return a pending migration; one with the answer "none" is about its app's model unless it says otherwise."""
    label = identifier.split(".")[0]
    if answer == "none":
        more.setdefault("undecided", (f"{label}item",))
    return PendingMigration(id=identifier, answer=answer, after=after, **more)


def database(alias: str, answers: Mapping[str, AppRoute], *waiting: PendingMigration, **more: Any) -> Database:
    """Return a database that answers, is its own, and has these migrations pending."""
    return Database(
        **{
            "alias": alias,
            "engine": "django.db.backends.sqlite3",
            "vendor": "sqlite",
            "name": f"/{alias}.sqlite3",
            "host": "",
            "port": "",
            "mirror_of": None,
            "state": "ok",
            "error": None,
            "server": "SQLite 3.40",
            "identity": alias,
            "read_only": None,
            "transactional_ddl": True,
            "pending": waiting,
            "routes": dict(answers),
            **more,
        }
    )


def snapshot(
    *databases: Database,
    apps: tuple[App, ...] = (),
    routers: tuple[Router, ...] = (ROUTER,),
    rules: Mapping[str, str] | None = None,
    changes: tuple[Change, ...] | None = (),
    receivers: tuple[Receiver, ...] = (),
    replaced_commands: Mapping[str, str] | None = None,
    constance: str | None = None,
    conflicts: Mapping[str, tuple[str, ...]] | None = None,
    router_errors: tuple[RouterError, ...] = (),
    relations: tuple[Relation, ...] = (),
) -> Snapshot:
    """Return a snapshot; without `apps` there is one with one model for every label the routes name."""
    labels = dict.fromkeys(label for entry in databases for label in entry.routes)
    apps = apps or tuple(app(label) for label in labels)
    known = {entry.label for entry in apps}
    graph = {
        one.id: Migration(after=one.after) for entry in databases for one in (*entry.pending, *(entry.targeted or ()))
    }
    return Snapshot(
        project=PROJECT,
        databases=tuple(
            entry.model_copy(update={"recorded": entry.recorded or 0}) if entry.state in ("ok", "absent") else entry
            for entry in databases
        ),
        migrations=graph,
        recorded=((),),
        apps=apps,
        routers=routers,
        router_errors=router_errors,
        rules=tuple(
            RoutingRule(
                app=label, label=label if label in known else None, alias=alias, source="DATABASE_ROUTING_RULES"
            )
            for label, alias in (rules or {}).items()
        ),
        conflicts=dict(conflicts or {}),
        changes=changes,
        receivers=receivers,
        replaced_commands=dict(replaced_commands or {}),
        commands=COMMANDS,
        constance=Constance(label=constance) if constance is not None else None,
        relations=relations,
    )


def settings(**values: Any) -> Settings:
    """Return a configuration with these values and the defaults."""
    return Settings(**values, origins={field.name: "default" for field in fields(Settings)})


def plan_of(
    taken: Snapshot, configured: Settings | None = None, targets: Targets | None = None, **selected: Any
) -> MigrationPlan:
    """Return the plan for a snapshot; without `targets` every database goes where the selection says."""
    selection = Selection(**selected)
    configured = configured or settings()
    if targets is None:
        targets = selection.targets_on(entry.alias for entry in taken.databases)
    routing = route(taken, configured, named=selection.databases)
    return build_plan(taken, routing, settings=configured, selection=selection, targets=targets)


def as_shown(plan: MigrationPlan, *findings: Finding) -> ShownPlan:
    """Return a plan as it is shown."""
    return ShownPlan.of(plan, jobs=4, findings=findings, losses=())


def steps(plan: MigrationPlan) -> dict[str, list[str]]:
    """Return the migrations of every step by its id, in plan order; "~" marks one that is only recorded."""
    return {
        step.id: [("" if migration.does else "~") + migration.id for migration in step.migrations]
        for step in plan.steps
    }


def skips(plan: MigrationPlan) -> dict[str, str]:
    """Return the reason of every database that has no step."""
    return {entry.alias: entry.skip for entry in plan.databases if entry.skip is not None}
