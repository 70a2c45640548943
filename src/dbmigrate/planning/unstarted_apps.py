"""Apps without migrations that others depend on, as a new custom user model is: what is made, what is said. Pure."""

from __future__ import annotations

from dbmigrate.models.apps import App, Unstarted
from dbmigrate.models.database import DEFAULT_ALIAS, Database
from dbmigrate.models.snapshot import Snapshot
from dbmigrate.planning.project_commands import make_hint


def find_startable(snapshot: Snapshot, *, has_syncdb: bool = False) -> tuple[str, ...]:
    """Return the apps that makemigrations has to be called for by name, or it would leave them as they are.

    `has_syncdb`: whether `migrate` makes tables without migrations, where it can.
    """
    return tuple(
        unstarted.app
        for unstarted in find_stuck(snapshot)
        if unstarted.stops_django or (unstarted.why == "no-package" and not has_syncdb)
        if _app(snapshot, unstarted).is_own
    )


def find_stuck(snapshot: Snapshot) -> tuple[Unstarted, ...]:
    """Return those without which migrations cannot be applied.

    One without a migrations package whose tables are there has them from `--run-syncdb`, and does well.
    """
    return tuple(
        unstarted
        for unstarted in snapshot.unstarted
        if unstarted.stops_django or (unstarted.needed_by and _has_no_table(snapshot, _app(snapshot, unstarted)))
    )


def describe_unstarted(snapshot: Snapshot, unstarted: Unstarted) -> tuple[str, str]:
    """Return (what is missing and what that does, what to type)."""
    app = _app(snapshot, unstarted)
    needed = f", and {depending(unstarted)}" if unstarted.needed_by else ""
    nothing = "until it has, Django applies no migration of any app"
    match unstarted.why:
        case "empty":
            message = f"app {app.label} has no migrations yet{needed}: {nothing}"
        case "no-module":
            message = (
                f"MIGRATION_MODULES has the migrations of app {app.label} in {app.migrations_module}, "
                f"but that module does not exist{needed}: until it exists, Django applies no migration of any app"
            )
        case "no-package":
            message = f"app {app.label} has no migrations and no tables{needed}"
        case "no-init":
            message = f"{app.migrations_folder} has no __init__.py, so Django sees no migrations in it{needed}"
    return message, _hint(snapshot, app, unstarted)


def depending(unstarted: Unstarted) -> str:
    """Return for example "admin.0001_initial depends on it"; some migration must."""
    first, *more = unstarted.needed_by
    return f"{first} and {len(more)} more depend on it" if more else f"{first} depends on it"


def _hint(snapshot: Snapshot, app: App, unstarted: Unstarted) -> str:
    if unstarted.why == "no-init":
        return f"touch {app.migrations_folder}/__init__.py"
    tables = "; or, for tables without migrations: dbmigrate all --run-syncdb" if unstarted.why == "no-package" else ""
    if not app.is_own:
        return (
            f"{app.label} is a third-party app: upgrade to a release that has migrations, or "
            f'name a package of the project for them: MIGRATION_MODULES = {{"{app.label}": "…"}}, '
            f"then: dbmigrate make {app.label}{tables}"
        )
    return f"{make_hint(snapshot, app.label)}{'' if app.models else ' --empty'}{tables}"


def _app(snapshot: Snapshot, unstarted: Unstarted) -> App:
    app = snapshot.app(unstarted.app)
    assert app is not None, unstarted
    return app


def _has_no_table(snapshot: Snapshot, app: App) -> bool:
    """Return whether every table that `--run-syncdb` would make for an app is missing, and there is one."""
    homes = [
        f"{app.label}.{model.name}" in database.unsynced
        for model in app.models
        for database in snapshot.databases
        if _may_hold(database, app, model.name)
    ]
    return bool(homes) and all(homes)


def _may_hold(database: Database, app: App, model: str) -> bool:
    answer = database.routes[app.label].answer_for(model)
    is_known = database.state in ("ok", "absent")
    return is_known and (answer == "yes" or (answer == "none" and database.alias == DEFAULT_ALIAS))
