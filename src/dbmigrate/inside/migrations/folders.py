"""The folders that migrations are in, or would be made in."""

import importlib
import os
import sys

from django.apps import apps
from django.db.migrations.loader import MigrationLoader


def migrations_folder(config):
    """Return the folder an app's migrations are in, or would be made in."""
    return _migrations_folders(config)[0]


def list_files():
    """Return {migrations folder: names in it, None where there is none}; None if a folder is not known yet."""
    files: dict[str, frozenset[str] | None] = {}
    for config in apps.get_app_configs():
        name, is_explicit = MigrationLoader.migrations_module(config.label)
        if is_explicit and name is not None and name not in sys.modules:
            return None  # of MIGRATION_MODULES, and may be anywhere
        for folder in _migrations_folders(config):
            try:
                files[folder] = frozenset(os.listdir(folder)) - {"__pycache__"}
            except OSError:
                files[folder] = None
    return files


def forget_namespaces():
    """Forget migrations folders without an `__init__.py`: makemigrations may have written one, and Python kept them."""
    for config in apps.get_app_configs():
        name = MigrationLoader.migrations_module(config.label)[0]
        module = sys.modules.get(name or "")
        if hasattr(module, "__path__") and getattr(module, "__file__", None) is None:
            del sys.modules[name]


def _migrations_folders(config):
    name, is_explicit = MigrationLoader.migrations_module(config.label)
    module = sys.modules.get(name or "")
    if module is None and is_explicit and name is not None:
        return [_folder_to_make(name) or os.path.join(config.path, "migrations")]
    return list(getattr(module, "__path__", ())) or [os.path.join(config.path, "migrations")]


def _folder_to_make(name):
    """Return where makemigrations makes a package that is not there (MigrationWriter.basedir); None if nowhere."""
    found = name.split(".")
    missing: list[str] = []
    while len(found) > 1:
        missing.insert(0, found.pop())
        try:
            path = importlib.import_module(".".join(found)).__path__
        except (ImportError, AttributeError):
            continue
        return os.path.join(next(iter(path)), *missing)
    return None
