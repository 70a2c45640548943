"""The installed apps, and what of the project bears on migrating: rules, receivers, constance."""

import functools
import os

import django
from django.apps import apps
from django.conf import settings
from django.db import router
from django.db.migrations.loader import MigrationLoader
from django.db.models import signals

from ..migrations.folders import migrations_folder
from ..migrations.routes import app_configs, tables_of
from .ownership import Ownership

RULE_SETTINGS = ("DATABASE_ROUTING_RULES", "DATABASE_APPS_MAPPING")


def describe_apps(root, disk, effects):
    """Return the installed apps (models.apps.App) in the order of INSTALLED_APPS."""
    names = disk.names_by_app()
    ownership = Ownership(root)
    judged = {config.label: ownership.judge(migrations_folder(config)) for config in app_configs()}
    return [
        {
            "label": config.label,
            "name": config.name,
            "is_own": judged[config.label][0],
            "why": judged[config.label][1],
            "migrations_folder": migrations_folder(config),
            "migrations_module": MigrationLoader.migrations_module(config.label)[0],
            "has_migrations": config.label in disk.loader.migrated_apps,
            "migrations": [name for name in names.get(config.label, []) if (config.label, name) not in disk.unwritten],
            "replaced": disk.replaced_in(config.label),
            "models": [
                {
                    "name": model._meta.model_name,
                    "table": model._meta.db_table,
                    "auto_created": bool(model._meta.auto_created),
                }
                for model in tables_of(config)
            ],
            "is_allowed_elsewhere": effects.routes.is_allowed_elsewhere(config),
            "touches_databases": bool(tables_of(config))
            or any(
                effects.touches_databases(disk.loader.disk_migrations[config.label, name])
                for name in names.get(config.label, [])
            ),
        }
        for config in app_configs()
    ]


def read_rules():
    """Return the entries of django-cfg's routing settings, with the installed app that each names."""
    rules = []
    for source in RULE_SETTINGS:
        configured = getattr(settings, source, None)
        if isinstance(configured, dict):
            for app, alias in configured.items():
                rules.append({"app": str(app), "label": _find_label(str(app)), "alias": str(alias), "source": source})
    return rules


def unfollowed_rules(rules):
    """Return {app label: alias} where no router has an allow_migrate, so that the rules alone say what goes where."""
    if any(hasattr(entry, "allow_migrate") for entry in router.routers):
        return {}
    return {rule["label"]: rule["alias"] for rule in rules if rule["label"] is not None}


def _find_label(app):
    for config in apps.get_app_configs():
        if app in (config.label, config.name):
            return config.label
    return None


def find_receivers():
    """Return the receivers of pre_migrate and post_migrate that `migrate` would call and that are not Django's own.

    It sends them for each app with a models module (django/core/management/sql.py): a receiver for another sender is
    never called, nor one whose object is gone.
    """
    found = []
    for name in ("pre_migrate", "post_migrate"):
        for receiver in live_receivers(name):
            described = {"signal": name, "name": _find_name(receiver)}
            if described not in found:
                found.append(described)
    return found


def live_receivers(name):
    """Yield the receivers of one of these signals that are not Django's own, as often as `migrate` would call them."""
    for config in apps.get_app_configs():
        if config.models_module is None:
            continue
        live = getattr(signals, name)._live_receivers(config)
        for receiver in [*live[0], *live[1]] if isinstance(live, tuple) else live:  # Django 5.0 tells async apart
            if not _is_djangos(receiver):
                yield receiver


def _find_name(receiver):
    """Return module and name of what a receiver calls."""
    receiver = _unwrap(receiver)
    # A bound method carries its function; a callable object only its class.
    named = receiver if hasattr(receiver, "__qualname__") else type(receiver)
    return "{}.{}".format(named.__module__, named.__qualname__)


def _is_djangos(receiver):
    """Whether the code that a receiver runs is Django's: a decorator takes over the names of what it wraps."""
    receiver = _unwrap(receiver)
    function = receiver if hasattr(receiver, "__code__") or hasattr(receiver, "__func__") else type(receiver).__call__
    code = getattr(getattr(function, "__func__", function), "__code__", None)
    if code is None:
        return _find_name(receiver).startswith("django.")
    return os.path.realpath(code.co_filename).startswith(os.path.dirname(os.path.realpath(django.__file__)) + os.sep)


def _unwrap(receiver):
    while isinstance(receiver, functools.partial):
        receiver = receiver.func
    return receiver


def find_constance():
    """Return the label of django-constance if it keeps its values in a database, else None."""
    backend = getattr(settings, "CONSTANCE_BACKEND", "") or ""
    for config in apps.get_app_configs():
        is_storage = config.name == "constance.backends.database"
        if is_storage or (config.name == "constance" and "database" in backend and list(config.get_models())):
            return {"label": config.label}
    return None
