"""What the host reports as wrong, as the errors a person sees: what happened, where, and what to type next."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Union

from dbmigrate.confidential import find_secrets
from dbmigrate.errors import (
    DbmigrateError,
    DeclinedError,
    LockedError,
    ModelChangesError,
    ProjectError,
    UnreachableError,
)
from dbmigrate.inside import protocol
from dbmigrate.inside.protocol import FailureKind
from dbmigrate.listing import FIRST, listed
from dbmigrate.models.base import MESSAGE
from dbmigrate.models.database import describe_silence
from dbmigrate.models.target import Target, project_hint
from dbmigrate.nearest import nearest
from dbmigrate.planning.room import write_lock_url
from dbmigrate.project.replies import ReplyError, find_misfit
from dbmigrate.project.settings_modules import settings_hint
from dbmigrate.redact import Redactor
from dbmigrate.sentences import one_line
from dbmigrate.system import MORE_FILES

ENGINES = (
    *(f"django.db.backends.{name}" for name in ("postgresql", "mysql", "sqlite3", "oracle")),
    *(f"django.contrib.gis.db.backends.{name}" for name in ("postgis", "mysql", "spatialite", "oracle")),
)

NO_BACKEND = "isn't an available database backend"
"""What Django says of every backend that cannot be imported and is not one of its own."""

DRIVERS = {
    "psycopg2 or psycopg": "'psycopg[binary]'",
    "psycopg2": "psycopg2-binary",
    "MySQLdb": "mysqlclient",
    "oracledb": "oracledb",
    "cx_Oracle": "cx_Oracle",
}
"""What Django says that it cannot load ("Error loading … module"), or Python -> the package that has it."""


SHAPES: dict[FailureKind, object] = {
    "python-too-old": protocol.PlainFailure,
    "django-too-old": protocol.PlainFailure,
    "no-django": protocol.DjangoFailure,
    "exit": protocol.CodeFailure,
    "no-command": protocol.PlainFailure,
    "exec": protocol.PlainFailure,
    "project": protocol.ProjectFailure,
    "router": protocol.RouterFailure,
    "engine": protocol.EngineFailure,
    "migrations": protocol.MigrationsFailure,
    "database": protocol.DatabaseFailure,
    "circular": protocol.CircularFailure,
    "scratch": protocol.ScratchFailure,
    "emptying": protocol.CodeFailure,
    "no-lock": Union[protocol.LockFailure, protocol.PlainFailure],
    "no-room": protocol.LockFailure,
    "no-pool": protocol.LockFailure,
    "no-files": protocol.PlainFailure,
    "no-writes": protocol.PlainFailure,
    "silent-lock": protocol.SilentLockFailure,
}
"""What each failure carries."""


def explain(error: Mapping[str, Any], target: Target, redactor: Redactor, printed: str) -> DbmigrateError:
    """Return the error a person sees for one that the host reported; `redactor` learns the secrets that come with it.

    Raises:
        ReplyError: it is none that the protocol has.
    """
    redactor.learn(find_secrets(_named_values(error)))  # first of all: they may be in what is said
    _check(error)
    kind, said = error["kind"], str(error["message"])
    shown = _sentence(redactor.scrub(said))
    if kind == "no-lock":
        return LockedError(
            f"the lock could not be acquired on {said}",
            hint=f"{_way_to_a_lock(error)}--no-lock, which does not prevent concurrent runs",
            changed=False,
        )
    if kind == "no-room":
        return LockedError(
            f"the lock needs its own connection, but no connection is free on {said}",
            hint="allow that user one more connection; or use another user for the lock, under [tool.dbmigrate]: "
            f"{_lock_url(error)}; or --no-lock, which does not prevent concurrent runs",
            changed=False,
        )
    if kind == "no-pool":
        return LockedError(
            f"database {said}: its lock needs its own connection, and the pooler in front of the database has no "
            "second one for the migrations",
            hint="raise its pool size to 2 or more (PgBouncer: default_pool_size, max_client_conn); or let the lock "
            f"bypass it, under [tool.dbmigrate]: {_lock_url({**error, 'host': 'SERVER', 'port': 'PORT'})}; "
            "or --no-lock, which does not prevent concurrent runs",
            changed=False,
        )
    if kind == "silent-lock":
        return UnreachableError(
            f"{describe_silence(error['alias'], 'silent', said)} when its lock was requested",
            hint="rerun the command when it is reachable; lock_url gives the lock another route to it, "
            "--no-lock takes no lock",
            changed=False,
        )
    if kind == "no-files":
        return LockedError(
            f"the lock could not be acquired on {said}: each database needs one open file",
            hint=f"{MORE_FILES}; --no-lock takes no locks",
            changed=False,
        )
    if kind == "no-writes":
        return UnreachableError(
            f"cannot write next to the SQLite database, where it needs files of its own: {said}",
            hint="make that folder writable for this user, and any such file that another user left "
            "there; or let NAME in DATABASES name a file in another folder",
            changed=False,
        )
    if kind == "database":
        return UnreachableError(
            describe_silence(str(error["alias"]), error["trouble"], said),
            hint="see which databases are reachable: dbmigrate status",
        )
    if kind == "scratch":
        return _explain_scratch(error, shown)
    if kind in ("router", "engine"):
        return _explain_setting(kind, error, target, redactor, printed)
    if kind == "circular":
        apps = " and ".join(error["apps"])
        return ModelChangesError(
            f"makemigrations would write migrations for {apps} that Django cannot load, because they depend on each "
            "other: "
            f"{said}",
            hint="create them in two steps: remove the foreign key from the new model, dbmigrate make "
            f"{' '.join(error['apps'])}, add it again, and rerun that command",
            changed=False,
        )
    if kind == "migrations":
        return _explain_migrations(error, shown, target, printed)
    python, manage = target.python, " ".join(target.manage)
    reason = target.choices["python"].reason
    location = f" ({error['file']}, line {error['line']})" if error.get("file") else ""
    detail = _detail(error, printed)
    message, hint = {
        "python-too-old": (
            f"{python} is {said}; dbmigrate needs Python 3.8 or newer in the project",
            f"pass --python with another interpreter (this one was taken from {reason})",
        ),
        "django-too-old": (
            f"{python} has {said}; dbmigrate needs Django 3.2 or newer",
            f"upgrade Django there, or pass --python with another interpreter (this one was taken from {reason})",
        ),
        "no-django": (
            f"Django cannot be imported by {python}: {said}",
            f"pass --python with the project's interpreter (this one was taken from {reason})"
            + _consoles_hint(error.get("consoles") or ()),
        ),
        "exit": (
            f"the project exited while it was loaded: {said}{location}",
            f"see why with: {' '.join(target.command('check'))}",
        ),
        "no-command": (
            f"{manage} did not run a Django command: {said}",
            "pass --manage with the script that runs Django's commands",
        ),
        "exec": (
            f"{manage} cannot be loaded: {said}",
            "pass --python with the interpreter it changes to, and --manage with the script that it runs",
        ),
        "emptying": (shown, "-v shows the whole traceback"),
        "project": (
            f"the project could not be loaded: {shown}{location}",
            _project_hint(said, target, is_path_safe=bool(error.get("safe_path"))),
        ),
    }[kind]
    return ProjectError(message, hint=hint, detail=detail)


def _named_values(error: object) -> Sequence[tuple[str, str]]:
    values = error.get("named_values", []) if isinstance(error, dict) else []
    if find_misfit(values, list[tuple[str, str]], "values") is not None:
        raise ReplyError("the values that come with a failure are not pairs of strings")
    return [(name, value) for name, value in values]


def _check(error: object) -> None:
    """Raise ReplyError for what is no failure of the protocol."""
    kind, said = (error.get("kind"), error.get("message")) if isinstance(error, dict) else (None, error)
    if kind not in SHAPES:
        raise ReplyError(f"the process of the project reports a failure of the unknown kind {kind!r}: {said}")
    misfit = find_misfit(error, SHAPES[kind], f"the failure {kind!r}")
    if misfit is not None:
        raise ReplyError(f"{misfit}; it says: {said}")


def _way_to_a_lock(error: Mapping[str, Any]) -> str:
    """Return what can be done where a lock cannot be taken, up to the "or" before --no-lock."""
    if "vendor" not in error:
        return ""  # a file's
    url = _lock_url({**error, "host": "SERVER", "port": "PORT"})
    if error["vendor"] == "mysql":
        return f"if this server has no named locks, take the lock on one that has, under [tool.dbmigrate]: {url}; or "
    return f"behind a pooler, let the lock bypass it, under [tool.dbmigrate]: {url}; or "


def _lock_url(error: Mapping[str, Any]) -> str:
    server = {key: str(error[key]) for key in ("alias", "vendor", "host", "port", "name")}
    return write_lock_url(**server)


def _consoles_hint(consoles: Sequence[tuple[str, str | None]]) -> str:
    """Return what can be passed instead, where scripts next to the interpreter bring their own Django."""
    if not consoles:
        return ""
    ways = [f"{f'--python {python} ' if python else ''}--manage {name}" for name, python in consoles]
    return (
        f", or --manage with a script that brings its own Django, and any words it needs before migrate: "
        f"{', '.join(ways)}"
    )


def _explain_scratch(error: Mapping[str, Any], said: str) -> DeclinedError:
    """Return the error for a scratch database that cannot be made next to one of the project's."""
    alias, user = str(error["alias"]), str(error["user"] or "ROLE")
    hint = {
        "postgresql": f'give the role the right that Django\'s tests need too: ALTER ROLE "{user}" CREATEDB',
        "mysql": "give the user the right that Django's tests need too: "
        f"GRANT ALL PRIVILEGES ON `test\\_%`.* TO '{user}'@'localhost'",
    }.get(str(error["vendor"]), "recreate that database by hand, and name the others with --database")
    if error["is_full"]:
        hint = "wait until others have closed their connections, or allow that user one more"
    return DeclinedError(
        f"no scratch database can be created next to database {alias}: {said}; so it is unknown whether its "
        "migrations can be applied from scratch",
        hint=hint,
        changed=False,
    )


def _detail(error: Mapping[str, Any], printed: str) -> str | None:
    """Return what only `-v` shows: the traceback, and what the project printed."""
    return "\n".join(part for part in (str(error.get("traceback") or ""), printed) if part) or None


def _explain_setting(
    kind: str, error: Mapping[str, Any], target: Target, redactor: Redactor, printed: str
) -> ProjectError:
    """Return the error for an entry of DATABASE_ROUTERS or DATABASES that cannot be loaded."""
    said = str(error["message"])
    location = f" ({error['file']}, line {error['line']})" if error.get("file") else ""
    detail = _detail(error, printed)
    if kind == "router":
        entry = str(error["entry"])
        hint = _router_hint(entry, error, target)
        return ProjectError(
            f"the entry {entry} of DATABASE_ROUTERS cannot be loaded: {_sentence(redactor.scrub(said))}{location}",
            hint=hint,
            detail=detail,
        )
    alias, engine = str(error["alias"]), str(error["engine"])
    if error["because"] is not None and not error["is_wrong"] and NO_BACKEND in said:
        # Django's sentence speaks of a wrong name, and means the exception before it.
        said = str(error["because"])
    return ProjectError(
        f"the ENGINE of database {alias}, {engine}, cannot be loaded: {_sentence(redactor.scrub(said))}{location}",
        hint=_engine_hint(alias, engine, one_line(said), target, is_wrong=error["is_wrong"]),
        detail=detail,
    )


def _explain_migrations(error: Mapping[str, Any], said: str, target: Target, printed: str) -> ProjectError:
    """Return the error for migrations that Django cannot load."""
    detail = _detail(error, printed)
    if error["missing"] is None:
        location = f" ({error['file']}, line {error['line']})" if error.get("file") else ""
        return ProjectError(
            f"the migrations could not be loaded: {said}{location}",
            hint=f"run it directly to see: {' '.join(target.command('showmigrations'))} (-v shows the whole traceback)",
            detail=detail,
        )
    label, name = str(error["missing"]).split(".", 1)
    file = f" ({error['written_in']})" if error["written_in"] else ""
    names = [str(found) for found in error["names"]]
    if not error["is_installed"]:
        hint = f"add the app with the label {label} to INSTALLED_APPS, or remove the dependency"
    elif names:
        hint = f"fix the dependency, or restore {name}; {nearest(name, names, what=f'migrations of {label}')}"
    else:
        hint = (
            f"restore the migrations of {label} (git log --diff-filter=D --name-only shows when they were deleted); "
            f'or write ("{label}", "__first__") for the dependency, then: dbmigrate make {label}'
        )
    return ProjectError(
        f"migration {error['needed_by']} depends on {label}.{name}, which does not exist{file}",
        hint=hint,
        detail=detail,
    )


def _router_hint(entry: str, error: Mapping[str, Any], target: Target) -> str:
    names = [str(name) for name in error["names"]]
    if error["is_text"]:
        return "DATABASE_ROUTERS is a string, but must be a list of names: [...]"
    if not error["is_wrong"]:
        return _see_by_itself(target, "from django.db import router; router.routers")
    if names:
        return f"fix the entry in DATABASE_ROUTERS; {nearest(entry, names, what='routers there')}"
    return f"fix the entry {entry} in DATABASE_ROUTERS, or remove it"


def _engine_hint(alias: str, engine: str, said: str, target: Target, *, is_wrong: bool) -> str:
    missing = re.search(r"Error loading (.+?) module|No module named '(\w+)'$", said)
    package = DRIVERS.get(missing[1] or missing[2]) if missing is not None else None
    if package is not None:
        return f"install its driver for the project: {target.python} -m pip install {package}"
    if not is_wrong:
        return _see_by_itself(target, f'from django.db import connections; connections["{alias}"]')
    if engine.startswith("django."):
        return f'fix ENGINE of DATABASES["{alias}"]; {nearest(engine, ENGINES, what="engines of Django")}'
    return f'fix ENGINE of DATABASES["{alias}"], or install the package that it is part of'


def _see_by_itself(target: Target, statement: str) -> str:
    """Return a hint that loads one entry and nothing else: not every command of Django's loads all of them."""
    command = shlex.join(target.command("shell", "-c", statement))
    return f"run it directly to see: {command} (-v shows the whole traceback)"


def _sentence(said: str) -> str:
    """Return an exception in one line: of a SyntaxError the last, of a message with several lines all of them."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    if not lines:
        return "it did not say why"
    whole = lines[-1] if said.startswith("  File") or lines[0].startswith("File ") else one_line(said)
    return MESSAGE.shorten(whole)


def _project_hint(said: str, target: Target, *, is_path_safe: bool) -> str:
    if is_path_safe:
        return (
            f"PYTHONSAFEPATH keeps the folder of {target.called} off sys.path, for {target.called} itself as well: "
            f"unset it, or let {target.called} put its folder there"
        )
    chosen = target.choices["settings"]
    folder = Path(target.choices["project"].value)
    meant = settings_hint(folder, chosen.value)
    if "DJANGO_SETTINGS_MODULE" in said or "settings are not configured" in said:
        return meant or "pass --settings, set DJANGO_SETTINGS_MODULE, or set settings under [tool.dbmigrate]"
    if target.below and said.startswith("ModuleNotFoundError"):
        below = listed(target.below, most=FIRST)
        return f"there is no manage.py in {target.cwd}, but in {below}: {project_hint(target.below)}"
    missing = re.search(r"^ModuleNotFoundError: No module named '([\w.]+)'", said)
    if missing is not None and f"{chosen.value}.".startswith(f"{missing[1]}."):
        return f"the settings module {chosen.value} (from {chosen.reason}) must be importable in {target.root}; " + (
            meant or "pass --settings or --project"
        )
    if said.startswith("ImproperlyConfigured") and meant is not None and "is a package" in meant:
        return meant
    return f"run it directly to see: {' '.join(target.command('check'))} (-v shows the whole traceback)"
