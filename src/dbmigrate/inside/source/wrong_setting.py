"""What an exception is about: an entry of DATABASES or DATABASE_ROUTERS, which Django does not name, or migrations.

Nothing of the project is imported or run for it: what it runs has just failed.
"""

from __future__ import annotations

import ast
import inspect
import sys
import traceback
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING, Any

from ..sentences import one_line

if TYPE_CHECKING:
    from ..protocol import FailureKind

METHODS = ("allow_migrate", "allow_relation", "db_for_read", "db_for_write")


MIGRATIONS = ("django.db.migrations.loader", "django.db.migrations.graph")


def find_wrong_entry(error: BaseException) -> tuple[FailureKind, dict[str, Any]] | None:
    """Return (kind, fields) for what Django raised while it loaded a router, a backend or the migrations, or None.

    The innermost frame counts: a router may open a connection while it is made. `is_wrong`: whether the entry itself is
    wrong, and not what is run when it is loaded.
    """
    found: tuple[FailureKind, dict[str, Any]] | None = None
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    for frame in frames:
        if frame.f_globals.get("__name__") in MIGRATIONS:
            found = "migrations", _describe_missing_migration(error, frame.f_locals.get("self"))
        if frame.f_globals.get("__name__") != "django.db.utils":
            continue
        # ConnectionRouter.routers and ConnectionHandler.create_connection, the same from Django 3.2 to 6.0.
        name, local = frame.f_code.co_name, frame.f_locals
        if name == "routers" and "r" in local:
            found = "router", _describe_router(str(local["r"]), error, frames[-1])
        elif name == "create_connection" and "db" in local:
            found = "engine", _describe_engine(str(local.get("alias")), str(local["db"].get("ENGINE")), error)
    return found


def _describe_missing_migration(error, loader) -> dict[str, Any]:
    """Return which migration is not there and what depends on it; nothing of other errors."""
    node, origin = getattr(error, "node", None), getattr(error, "origin", None)
    if node is None or origin is None:
        return {"missing": None}
    label, name = node
    app = _app_config(label)
    return {
        "missing": "{}.{}".format(label, name),
        "needed_by": str(origin),
        "written_in": getattr(sys.modules.get(type(origin).__module__), "__file__", None),
        "is_installed": app is not None,
        "names": sorted(key[1] for key in getattr(loader, "disk_migrations", {}) if key[0] == label),
    }


def _app_config(label):
    from django.apps import apps

    return next((config for config in apps.get_app_configs() if config.label == label), None)


def _describe_router(entry, error, innermost):
    from django.conf import settings

    raised_in = innermost.f_globals.get("__name__")
    is_wrong = (
        (isinstance(error, ImportError) and raised_in == "django.utils.module_loading")
        or _is_missing(error, entry.rpartition(".")[0])
        # It can be imported, and is no class to be called.
        or (isinstance(error, TypeError) and raised_in == "django.db.utils" and not _is_class(entry))
    )
    return {
        "entry": entry,
        "is_text": isinstance(settings.DATABASE_ROUTERS, str),
        "is_wrong": is_wrong,
        "names": _routers_beside(entry) if is_wrong else [],
    }


def _describe_engine(alias, engine, error):
    # load_backend raises its own error for every ImportError while a backend is imported that is not one of Django's.
    cause = error.__cause__ if isinstance(error.__cause__, ImportError) else None
    is_wrong = _is_missing(cause or error, engine + ".base")
    reason = None if cause is None else "{}: {}".format(type(cause).__name__, one_line(str(cause)))
    return {"alias": alias, "engine": engine, "is_wrong": is_wrong, "because": reason}


def _is_missing(error, module_name):
    """Return whether a module is not there, or a package that it is in; another that it imports does not count."""
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    return missing is not None and (module_name + ".").startswith(missing + ".")


def _routers_beside(entry):
    """Return the dotted names of the routers in the module that an entry names, or that it is."""
    try:
        for module_name in (entry.rpartition(".")[0], entry):
            named = ["{}.{}".format(module_name, name) for name in _find_routers(module_name)]
            if named:
                return named
    except (Exception, SystemExit):  # a metaclass or a finder of the project's; what is wrong is already being told
        pass
    return []


def _find_routers(module_name):
    if module_name in sys.modules:
        loaded = [(name, value) for name, value in vars(sys.modules[module_name]).items() if inspect.isclass(value)]
        return sorted(name for name, cls in loaded if any(hasattr(cls, word) for word in METHODS))
    folders = getattr(sys.modules.get(module_name.rpartition(".")[0]), "__path__", None)
    spec = PathFinder.find_spec(module_name, folders) if folders is not None else None
    read_source = getattr(spec.loader if spec is not None else None, "get_source", None)
    source = read_source(module_name) if read_source is not None else None
    classes = [node for node in ast.parse(source or "").body if isinstance(node, ast.ClassDef)]
    return [node.name for node in classes if {getattr(part, "name", None) for part in node.body} & {*METHODS}]


def _is_class(entry):
    module_name, _, name = entry.rpartition(".")
    return inspect.isclass(vars(sys.modules[module_name]).get(name)) if module_name in sys.modules else False
