"""Tables that the recorded migrations made and that are not there."""

from ..migrations.effects import database_operations
from ..migrations.graph import needing_migrations, recorded_migrations
from ..migrations.judging import is_shown, sql_lines
from ..migrations.routes import app_configs, tables_of
from ..migrations.schema import is_held_by, recorded_walk


def find_missing_tables(connection, loader, tables, belongs):
    """Return models.database.MissingTable for one database, in the order of INSTALLED_APPS.

    `tables`: what is there; `belongs(model)`: whether a model class has its table here.

    The models as they are now are a cheap guess. Only where one has no table are the recorded migrations gone through:
    its table may be the business of a pending migration, or of one that is not written yet.
    """
    applied_labels = {label for label, _ in loader.applied_migrations}
    suspects = [
        model
        for config in app_configs()
        if config.label in applied_labels
        for model in tables_of(config)
        if belongs(model) and not has_table(model._meta.db_table, tables) and _can_be_made(connection, model)
    ]
    if not suspects:
        return []
    # A view of that name is there on purpose.
    names = fold(connection.introspection.table_names(include_views=True))
    recorded = recorded_migrations(loader)
    walk = recorded_walk(connection, loader)
    made = {
        (part.model, part.table.casefold()): (part, maker)
        for part, maker in walk.makers.items()
        if part.kind == "table" and part.table.casefold() not in names
    }
    lost = [(model, *made[_key(model)]) for model in suspects if _key(model) in made]
    gone = [part for _, part, _ in lost]
    found = []
    for model, part, maker in lost:
        label, name = maker.split(".", 1)
        made_by = loader.graph.nodes[label, name]
        since = recorded[recorded.index(made_by) :]
        found.append(
            {
                "model": model._meta.label_lower,
                "table": model._meta.db_table,
                "migration": maker,
                "before": _before(loader, label, name),
                "is_taken_over": part in walk.taken_over,
                "is_redoable": part not in walk.taken_over
                and part not in walk.stated
                and not needing_migrations(loader, made_by)
                and all(
                    _is_about(operation, label, gone)
                    for migration in since
                    if migration.app_label == label
                    for operation in database_operations(migration.operations)
                ),
            }
        )
    return found


def find_unmade_tables(connection, loader, tables, belongs, effects):
    """Return models.database.MissingTable for the models that become managed here and have no table yet.

    Django makes none for them (AlterModelOptions.database_forwards does nothing), and believes that it is there.
    """
    taken_over = [
        (model, effects.taken_over_by(model._meta.app_label, model._meta.model_name))
        for config in app_configs()
        if config.label in loader.migrated_apps
        for model in tables_of(config)
        if belongs(model) and not has_table(model._meta.db_table, tables) and _can_be_made(connection, model)
    ]
    unmade = [
        (model, name)
        for model, name in taken_over
        if name is not None
        and (model._meta.app_label, name) not in loader.applied_migrations
        and not _may_be_made(connection, loader, effects, model)
    ]
    names = fold(connection.introspection.table_names(include_views=True)) if unmade and tables else set()
    return [
        {
            "model": model._meta.label_lower,
            "table": model._meta.db_table,
            "migration": "{}.{}".format(model._meta.app_label, name) if name else "",
            "is_recorded": False,
            "is_taken_over": True,
            "is_redoable": False,
        }
        for model, name in unmade
        if not has_table(model._meta.db_table, names)
    ]


def _can_be_made(connection, model):
    """Whether the server can hold a model that belongs here; the table behind a ManyToManyField is its model's."""
    options = (model._meta.auto_created or model)._meta
    return is_held_by(connection, options.required_db_vendor, options.required_db_features)


def _may_be_made(connection, loader, effects, model):
    """Whether a pending migration of the model's app does something that no state shows, and that may make its table.

    Of SQL it is known: then it names the table.
    """
    pending = (
        loader.graph.nodes[key]
        for key in loader.graph.nodes
        if key[0] == model._meta.app_label and key not in loader.applied_migrations
    )
    return any(
        model._meta.db_table.casefold() in " ".join(sql_lines(found.operation)).casefold()
        if sql_lines(found.operation)
        else "." in found.number or not is_shown(found.operation)
        for migration in pending
        for found in effects.reaching(connection, migration)
    )


def _key(model):
    """Return ((app label, lower-case name), folded table); the table behind a ManyToManyField is its model's."""
    owner = model._meta.auto_created or model
    return (owner._meta.app_label, owner._meta.model_name), model._meta.db_table.casefold()


def _before(loader, label, name):
    """Return the name of the migration of the same app to go back to, to undo this one; "zero" if it is the first."""
    parents = loader.graph.node_map[label, name].parents
    return max((node.key[1] for node in parents if node.key[0] == label), default="zero")


def _is_about(operation, label, tables):
    """Whether an operation of this app is about nothing but these tables (schema.Part)."""
    model = str(getattr(operation, "model_name", None) or getattr(operation, "name", "")).lower()
    return any(
        table.model == (label, model) and table.source in (("model", ""), ("field", getattr(operation, "name", None)))
        for table in tables
    )


def fold(names):
    """Return table names as they are compared: some servers change their case."""
    return {name.casefold() for name in names}


def has_table(table, tables):
    """Whether a table is among folded names; one in a schema of its own (`"a"."b"`) cannot be looked up and counts."""
    return table.casefold() in tables or '"."' in table
