"""The question `inspect`: everything a plan is made from, as one dictionary (models/snapshot.py is its type)."""

import importlib
import platform
import sys

from django import get_version
from django.conf import settings
from django.db import connections

from .applications import (
    describe_apps,
    find_constance,
    find_receivers,
    find_replaced_commands,
    read_rules,
    unfollowed_rules,
)
from .changes import find_changes
from .databases import describe_database
from .graph import Disk
from .reaching import open_connections
from .relations import find_relations
from .routes import RouteBook, describe_routers

UNASKED = {"state": "unasked", "trouble": None, "error": None}


def inspect(root, changes, target, records, contact):
    """Look at the project and at every database; nothing is written anywhere.

    `changes`: whether to compare the models with the migrations. `target`: [app label, migration name or "zero"] for
    which each database says what it takes to get there, or None. `records`: whether to list what is applied.
    `contact`: whether to ask the databases; without, each is described as if it were empty.
    """
    importlib.invalidate_caches()  # makemigrations may have written files since the last question
    disk = Disk()
    routes = RouteBook()
    rules = read_rules()
    homes = unfollowed_rules(rules)
    try:
        reached = open_connections(list(connections)) if contact else dict.fromkeys(connections, UNASKED)
        databases = [
            describe_database(connections[alias], reached[alias], disk, routes, homes, target, records)
            for alias in connections
        ]
    finally:
        connections.close_all()
    return {
        "project": {
            "settings_module": settings.SETTINGS_MODULE if hasattr(settings, "SETTINGS_MODULE") else "",
            "django_version": get_version(),
            "python_version": platform.python_version(),
            "executable": sys.executable,
            "debug": bool(settings.DEBUG),
        },
        "databases": databases,
        "apps": describe_apps(root, disk),
        "routers": describe_routers(),
        "router_errors": routes.errors,
        "rules": rules,
        "conflicts": disk.conflicts(),
        "changes": find_changes(disk) if changes else None,
        "receivers": find_receivers(),
        "replaced_commands": find_replaced_commands(),
        "constance": find_constance(),
        "relations": find_relations([database["routes"] for database in databases], homes),
    }


def find_secrets():
    """Return the secret values of DATABASES, for scrubbing what children print; they never enter the snapshot."""
    words = ("PASSWORD", "PASSWD", "TOKEN", "SECRET")
    secrets = set()
    for alias in connections:
        configured = connections.databases[alias]
        for mapping in (configured, configured.get("OPTIONS") or {}):
            for key, value in mapping.items():
                if isinstance(value, str) and value and any(word in str(key).upper() for word in words):
                    secrets.add(value)
    return sorted(secrets)
