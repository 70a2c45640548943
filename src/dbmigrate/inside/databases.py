"""One database: does it answer, what is it, and what is applied and pending there."""

from django.core.exceptions import ImproperlyConfigured
from django.db import Error as DatabaseError

from .effects import Effects
from .graph import plan_all, plan_to
from .reaching import describe_failure
from .routes import app_configs, tables_of
from .servers import describe_server


def describe_database(connection, reached, disk, routes, target, records):
    """Return one entry of Snapshot.databases; a database that does not answer is described, never raised.

    `reached` is its answer to `reach`.
    """
    configured = connection.settings_dict
    routed = {config.label: routes.route(connection.alias, config) for config in app_configs()}
    description = {
        "alias": connection.alias,
        "engine": configured["ENGINE"],
        "vendor": getattr(connection, "vendor", ""),
        "name": str(configured.get("NAME") or ""),
        "host": str(configured.get("HOST") or ""),
        "port": str(configured.get("PORT") or ""),
        "mirror_of": (configured.get("TEST") or {}).get("MIRROR"),
        "transactional_ddl": bool(getattr(connection.features, "can_rollback_ddl", False)),
        "routes": routed,
        "server": "",
        "identity": None,
        "read_only": None,
        "applied": 0,
        "last_applied": None,
        "records": None,
        "unrecorded": [],
        "unknown": [],
        "inconsistent": None,
        "pending": [],
        "targeted": None,
        "target_replaced_by": None,
        "existing": [],
        "unsynced": [],
    }
    description.update(reached)
    if reached["state"] not in ("ok", "absent"):
        return description
    try:
        description.update(describe_server(connection, reached["state"]))
        description.update(_describe_contents(connection, reached["state"], disk, routes, routed, target, records))
    except (DatabaseError, ImproperlyConfigured, OSError) as error:
        description.update(describe_failure(error))
    finally:
        connection.close()
    return description


def _describe_contents(connection, state, disk, routes, routed, target, records):
    loader = disk.for_connection(connection if state == "ok" else None)
    tables = set(connection.introspection.table_names()) if state == "ok" else set()
    effects = Effects(disk, routes)
    describe = _migration_describer(connection, loader, effects)
    known = [key for key in loader.applied_migrations if key in loader.disk_migrations]
    recorded = [(row.applied, key) for key, row in loader.recorded.items() if key in loader.disk_migrations]
    targeted, replaced_by = (None, None) if target is None else plan_to(loader, *target)
    return {
        "applied": len(known),
        "last_applied": _describe_record(*max(recorded)) if recorded else None,
        "records": [_describe_record(*record) for record in sorted(recorded)] if records else None,
        "unrecorded": sorted(_id(key) for key in known if key not in loader.recorded),
        "unknown": sorted(_id(key) for key in loader.applied_migrations if key not in loader.disk_migrations),
        "inconsistent": _find_inconsistency(connection, loader) if state == "ok" else None,
        "pending": [describe(*planned) for planned in plan_all(loader)],
        "targeted": None if targeted is None else [describe(*planned) for planned in targeted],
        "target_replaced_by": replaced_by,
        "existing": [name for name, table in _undecided_tables(loader, routed) if table in tables],
        "unsynced": [name for name, table in _unmigrated_tables(loader, routed) if table not in tables],
    }


def _migration_describer(connection, loader, effects):
    def describe(migration, backwards):
        key = (migration.app_label, migration.name)
        answer, undecided = effects.answer(connection, migration)
        return {
            "id": _id(key),
            "answer": answer,
            "undecided": undecided,
            "after": [_id(parent.key) for parent in sorted(loader.graph.node_map[key].parents)],
            "atomic": bool(migration.atomic),
            "backwards": backwards,
        }

    return describe


def _describe_record(at, key):
    return {"id": _id(key), "at": at.isoformat()}


def _find_inconsistency(connection, loader):
    # Imported here to keep one name for "the loader's own exception" near its only use.
    from django.db.migrations.exceptions import InconsistentMigrationHistory

    try:
        loader.check_consistent_history(connection)
    except InconsistentMigrationHistory as error:
        return str(error)
    return None


def _undecided_tables(loader, routed):
    """Yield (label.model, table) of migrated apps where no router has an opinion on this alias."""
    for config in app_configs():
        if config.label in loader.migrated_apps:
            yield from _tables_answered(config, routed, ("none",))


def _unmigrated_tables(loader, routed):
    """Yield (label.model, table) of apps without migrations that the routers do not refuse on this alias."""
    for config in app_configs():
        if config.label not in loader.migrated_apps:
            yield from _tables_answered(config, routed, ("yes", "none"))


def _tables_answered(config, routed, answers):
    route = routed[config.label]
    for model in tables_of(config):
        name = model._meta.model_name
        if route["models"].get(name, route["answer"]) in answers:
            yield "{}.{}".format(config.label, name), model._meta.db_table


def _id(key):
    return "{}.{}".format(*key)
