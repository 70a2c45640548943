"""Check what the user asked for against what the project has. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Sequence

from dbmigrate.errors import ProjectError, UsageError
from dbmigrate.models.database import Database
from dbmigrate.models.migrations import label_of
from dbmigrate.models.selection import Selection
from dbmigrate.models.settings import Settings
from dbmigrate.models.snapshot import Snapshot
from dbmigrate.nearest import nearest
from dbmigrate.planning.phases import find_unmatched
from dbmigrate.planning.routing import Routing
from dbmigrate.planning.unseen_databases import find_limits


def check_settings(snapshot: Snapshot, settings: Settings, meant: Callable[[str], str | None]) -> None:
    """Do nothing if every alias in the configuration exists, and the project has a database at all.

    `meant` takes the settings module and returns a hint with those that may be meant.

    Raises:
        UsageError: an alias does not, with the place it stands in.
        ProjectError: the project has none.
    """
    if all(database.engine in ("", "django.db.backends.dummy") for database in snapshot.databases):
        raise ProjectError(
            f"the settings {snapshot.project.settings_module} have no DATABASES",
            hint=meant(snapshot.project.settings_module) or "pass --settings with the module that has them",
        )
    aliases = [database.alias for database in snapshot.databases]
    for key, named in (
        ("exclude", settings.exclude),
        ("order", settings.order),
        ("lock_url", settings.lock_url),
        ("databases", settings.databases),
    ):
        for alias in named:
            if alias not in aliases:
                raise UsageError(
                    f"{settings.origins[key]}: {key} names database {alias}, which is not in DATABASES",
                    hint=nearest(alias, aliases, what="databases"),
                )
    _check_order(settings)
    _check_phases(snapshot, settings)


def _check_phases(snapshot: Snapshot, settings: Settings) -> None:
    unmatched = find_unmatched(snapshot, settings)
    if unmatched is not None:
        label, _, _ = unmatched.partition(".")
        of_app = sorted(one for one in snapshot.migrations if label_of(one) == label)
        labels = sorted({label_of(one) for one in snapshot.migrations})
        meant = (
            nearest(unmatched.rstrip("*"), of_app, what=f"migrations of {label}")
            if of_app
            else nearest(label, labels, what="apps with migrations")
        )
        raise UsageError(
            f'{settings.origins["phases"]}: phases names "{unmatched}", which matches no migration',
            hint=f"remove it, or correct it: {meant}",
        )


def _check_order(settings: Settings) -> None:
    origin = settings.origins["order"]
    twice = next((alias for alias in settings.order if settings.order.count(alias) > 1), None)
    if twice is not None:
        raise UsageError(f"{origin}: order names database {twice} twice", hint=f"name {twice} once")


def check_selection(snapshot: Snapshot, routing: Routing, selection: Selection, *, may_read_only: bool) -> None:
    """Do nothing if every name exists and fits together.

    `may_read_only`: whether a database may be named that takes no writes.

    Raises:
        UsageError: a database or an app that is not there, a pair the routers refuse, a replica, `--to` or `--fake`
            with more or less than one app.
    """
    for alias in selection.databases:
        _check_alias(snapshot, routing, alias, may_read_only=may_read_only)
    for label in selection.apps:
        _check_app(snapshot, label, _labels_there(snapshot, routing, selection.databases))
    if (selection.to is not None or selection.fake) and len(selection.apps) != 1:
        flag = "--to" if selection.to is not None else "--fake"
        raise UsageError(f"{flag} requires exactly one app", hint=_app_hint(snapshot, routing, selection, flag))
    for label in selection.apps:
        _check_pair(snapshot, routing, selection, label)
    for alias in selection.databases:
        if selection.apps and not any(label in routing.placements[alias] for label in selection.apps):
            raise UsageError(
                f"database {alias} holds none of the apps {', '.join(selection.apps)}",
                hint=f"remove --database {alias}",
            )


def _labels_there(snapshot: Snapshot, routing: Routing, aliases: Iterable[str]) -> list[str]:
    """Return the labels of the apps that belong on one of these databases; of all apps if there is none of those."""
    there = {label for alias in aliases for label in routing.placements[alias]}
    return [app.label for app in snapshot.apps if app.label in there or not there]


def _app_hint(snapshot: Snapshot, routing: Routing, selection: Selection, flag: str) -> str:
    """Return the options that name one app: one of those that were named, or an own one that has the migration."""
    there = _labels_there(snapshot, routing, selection.databases)
    fitting = [
        app.label
        for app in snapshot.apps
        if app.is_own and selection.to is not None and any(name.startswith(selection.to) for name in app.migrations)
    ]
    named = [label for label in selection.apps or fitting if label in there]
    if not named:
        return f"remove {flag}"
    return " or ".join(f"--app {label}" for label in named[:3]) + f", or remove {flag}"


def check_names(snapshot: Snapshot, databases: Iterable[str], apps: Iterable[str]) -> None:
    """Do nothing if there are databases and apps of these names.

    Raises:
        UsageError: there is none of a name, with the nearest ones.
    """
    for alias in databases:
        _check_alias_is_there(snapshot, alias)
    for label in apps:
        _check_app(snapshot, label, [app.label for app in snapshot.apps])


def check_has_apps(routing: Routing, aliases: Iterable[str], *, or_unclaimed: bool) -> None:
    """Do nothing if something belongs on each of these databases, or (`or_unclaimed`) if nobody has decided that.

    One that does not answer may have tables of what nobody has an opinion about, which then belongs there.

    Raises:
        UsageError: nothing belongs on one of them, so that it is skipped.
    """
    for alias in aliases:
        is_unclaimed = routing.kinds[alias].kind == "open"
        is_reader = routing.kinds[alias].kind == "read-only" and bool(routing.placements[alias])
        if (
            not routing.is_migrated(alias)
            and not is_reader
            and not (is_unclaimed and (or_unclaimed or alias in routing.undecided))
        ):
            raise UsageError(
                f"no app is routed to database {alias}, so it is not migrated",
                hint="see what the routers say: dbmigrate info --routes"
                + ('; open = "migrate" under [tool.dbmigrate] puts every app there' if is_unclaimed else ""),
            )


def check_targets(snapshot: Snapshot, aliases: Iterable[str]) -> None:
    """Do nothing if each of these databases can go to the migrations that were asked for.

    Raises:
        UsageError: on one of them a squashed migration stands for one.
    """
    for alias in aliases:
        database = snapshot.database(alias)
        for target, way in database.ways.items() if database is not None else ():
            if way.replaced_by is not None:
                _, name = target.split(".", 1)
                raise UsageError(
                    f"on database {alias} migration {name} is part of {way.replaced_by}, "
                    "and Django cannot stop inside a squashed migration",
                    hint=f"--to {way.replaced_by}",
                )


def is_wanted(database: Database, routing: Routing, selection: Selection, *, or_read_only: bool = False) -> bool:
    """Return whether a database is to be migrated; one that does not answer counts by what the routers say.

    One that is open counts if it was named. `or_read_only`: or only held to what belongs there, because it takes no
    writes.
    """
    alias = database.alias
    is_reader = or_read_only and routing.kinds[alias].kind == "read-only"
    is_asked_for = alias in selection.databases and routing.kinds[alias].kind == "open"
    if not (routing.is_migrated(alias) or is_reader or is_asked_for or alias in routing.undecided):
        return False
    if selection.databases and database.alias not in selection.databases:
        return False
    return not selection.apps or any(label in routing.placements[database.alias] for label in selection.apps)


def _check_alias_is_there(snapshot: Snapshot, alias: str) -> Database:
    database = snapshot.database(alias)
    if database is None:
        aliases = [database.alias for database in snapshot.databases]
        raise UsageError(f"there is no database {alias} in DATABASES", hint=nearest(alias, aliases, what="databases"))
    return database


def _check_alias(snapshot: Snapshot, routing: Routing, alias: str, *, may_read_only: bool) -> None:
    database = _check_alias_is_there(snapshot, alias)
    kind = routing.kinds[alias]
    if kind.kind == "replica":
        raise UsageError(
            f"database {alias} is a replica ({kind.because}) and is not migrated",
            hint="migrate the database it replicates; the replica follows on its own",
        )
    if kind.kind == "in-memory":
        raise UsageError(
            f"database {alias} is in memory ({database.name}): what is migrated there is lost when the process ends",
            hint=f'remove --database {alias}, or let DATABASES["{alias}"] name a file or a server',
        )
    if kind.kind == "read-only" and not may_read_only:
        raise UsageError(
            f"database {alias} is read-only: {kind.because}",
            hint=f"make it writable, or remove --database {alias}; what is pending there: dbmigrate status",
        )
    if kind.kind == "excluded":
        raise UsageError(
            f"database {alias} is excluded by the configuration",
            hint=f"remove {alias} from `exclude` (dbmigrate info shows where it is set)",
        )
    if kind.kind == "same":
        raise UsageError(
            f"database {alias} is the same physical database as {kind.because} and is migrated through it",
            hint=f"use --database {kind.because}",
        )


def _check_app(snapshot: Snapshot, label: str, labels: Sequence[str]) -> None:
    """Do nothing if there is something to migrate of an app; `labels` are those that a hint may name."""
    app = snapshot.app(label)
    if app is None:
        named = next((app.label for app in snapshot.apps if app.name == label), None)
        hint = f"use its label: {named}" if named else nearest(label, labels, what="apps")
        raise UsageError(f"there is no app {label} in INSTALLED_APPS", hint=hint)
    if not app.has_migrations and not app.models:
        raise UsageError(
            f"app {label} has no models with tables and no migrations, so there is nothing to migrate",
            hint=f"remove --app {label}",
        )
    if not app.has_migrations:
        raise UsageError(f"app {label} has no migrations", hint=f"create them with: dbmigrate make {label}")


def _check_pair(snapshot: Snapshot, routing: Routing, selection: Selection, label: str) -> None:
    homes = routing.aliases_of(label)
    if homes and all(routing.kinds[alias].kind == "in-memory" for alias in homes):
        raise UsageError(
            f"app {label} belongs only on {', '.join(homes)}, which is in memory and keeps nothing",
            hint=f"let a router send {label} to a database that is a file or on a server, or remove --app {label}",
        )
    limits = find_limits(snapshot, routing)
    if not homes and limits:
        raise UsageError(
            f"app {label} belongs on no database that was checked ({'; '.join(limits)})",
            hint="to run the project's migrate for everything: dbmigrate all; where databases are added at run time, "
            "use the project's own command",
        )
    if selection.databases and not set(homes) & set(selection.databases):
        named = ", ".join(selection.databases)
        where = f"it belongs on {', '.join(homes)}" if homes else "it belongs on no database"
        words = ["--to", selection.to] if selection.to is not None else []
        words += ["--fake"] if selection.fake else []
        there = shlex.join(["dbmigrate", "run", "--app", label, "--database", homes[0], *words]) if homes else ""
        hint = there or "see: dbmigrate info"
        raise UsageError(f"app {label} is not routed to {named}; {where}", hint=hint)
    if not homes:
        raise UsageError(
            f"app {label} belongs on no database: the routers refuse it everywhere",
            hint="let a router allow it, or see: dbmigrate info",
        )
