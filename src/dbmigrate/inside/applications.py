"""The installed apps, and what of the project bears on migrating: rules, receivers, constance."""

from django.apps import apps
from django.conf import settings
from django.db import router
from django.db.migrations.loader import MigrationLoader
from django.db.models import signals

from .folders import migrations_folder
from .ownership import Ownership
from .routes import app_configs, tables_of

RULE_SETTINGS = ("DATABASE_ROUTING_RULES", "DATABASE_APPS_MAPPING")


def describe_apps(root, disk, effects):
    """Return the installed apps (models.snapshot.App) in the order of INSTALLED_APPS."""
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
    """Return the receivers of pre_migrate and post_migrate that are not Django's own."""
    found = []
    for name in ("pre_migrate", "post_migrate"):
        for entry in getattr(signals, name).receivers:
            receiver = entry[1]() if hasattr(entry[1], "__callback__") else entry[1]
            if receiver is None:
                continue
            # A bound method carries its function; a callable object only its class.
            named = receiver if hasattr(receiver, "__qualname__") else type(receiver)
            if not named.__module__.startswith("django."):
                found.append({"signal": name, "name": "{}.{}".format(named.__module__, named.__qualname__)})
    return found


def find_constance():
    """Return the label of django-constance if it keeps its values in a database, else None."""
    backend = getattr(settings, "CONSTANCE_BACKEND", "") or ""
    for config in apps.get_app_configs():
        is_storage = config.name == "constance.backends.database"
        if is_storage or (config.name == "constance" and "database" in backend and list(config.get_models())):
            return {"label": config.label}
    return None
