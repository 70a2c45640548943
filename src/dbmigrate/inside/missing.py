"""Tables that the recorded migrations made and that are not there."""

from django.db import migrations

from .routes import app_configs, tables_of


def find_missing_tables(connection, loader, routed, tables, belongs):
    """Return models.snapshot.MissingTable for one database, in the order of INSTALLED_APPS.

    `tables`: what is there; `belongs(label, answer)`: whether a model with this answer has its table here.

    The models as they are now are a cheap guess. Only where one has no table are the recorded migrations gone through:
    its table may be the business of a pending migration, or of one that is not written yet.
    """
    applied_labels = {label for label, _ in loader.applied_migrations}
    suspects = [
        model
        for config in app_configs()
        if config.label in applied_labels
        for model in tables_of(config)
        if belongs(config.label, _answer(routed, model)) and not has_table(model._meta.db_table, tables)
    ]
    if not suspects:
        return []
    # A view of that name is there on purpose.
    names = fold(connection.introspection.table_names(include_views=True))
    applied = [key for key in loader.applied_migrations if key in loader.graph.nodes]
    state = loader.project_state(applied)
    makers = [loader.graph.nodes[key] for key in _in_order(loader, applied)]
    found = []
    for model in suspects:
        table = model._meta.db_table
        if table.casefold() in names or not _is_in_state(state, model):
            continue
        maker = next((migration for migration in reversed(makers) if _makes(migration, model)), None)
        if maker is not None:
            found.append(
                {
                    "model": model._meta.label_lower,
                    "table": table,
                    "migration": "{}.{}".format(maker.app_label, maker.name),
                }
            )
    return found


def fold(names):
    """Return table names as they are compared: some servers change their case."""
    return {name.casefold() for name in names}


def has_table(table, tables):
    """Whether a table is among folded names; one in a schema of its own (`"a"."b"`) cannot be looked up and counts."""
    return table.casefold() in tables or '"."' in table


def _answer(routed, model):
    route = routed[model._meta.app_label]
    return route["models"].get(model._meta.model_name, route["answer"])


def _in_order(loader, keys):
    wanted = set(keys)
    ordered = {}
    for key in keys:
        for parent in loader.graph.forwards_plan(key):
            ordered.setdefault(parent)
    return [key for key in ordered if key in wanted]


def _is_in_state(state, model):
    owner, field = _owner(model)
    recorded = state.models.get((owner._meta.app_label, owner._meta.model_name))
    if recorded is None:
        return False
    if field is not None:
        return field in dict(recorded.fields)
    default = "{}_{}".format(owner._meta.app_label, owner._meta.model_name)
    named = recorded.options.get("db_table") or default
    return named == model._meta.db_table or model._meta.db_table[:20] == default[:20]


def _owner(model):
    """Return (model that a migration names, its ManyToManyField if this is the table behind one)."""
    owner = model._meta.auto_created
    if not owner:
        return model, None
    field = next(field for field in owner._meta.local_many_to_many if field.remote_field.through is model)
    return owner, field.name


def _makes(migration, model):
    owner, field = _owner(model)
    if migration.app_label != owner._meta.app_label:
        return False
    return any(_is_maker(operation, owner._meta.model_name, field) for operation in _flat(migration.operations))


def _is_maker(operation, name, field):
    if isinstance(operation, migrations.CreateModel):
        return operation.name_lower == name and (field is None or field in dict(operation.fields))
    if isinstance(operation, migrations.RenameModel):
        return field is None and operation.new_name_lower == name
    if isinstance(operation, migrations.AlterModelTable):
        return field is None and operation.name_lower == name
    if isinstance(operation, migrations.AddField):
        return operation.model_name_lower == name and operation.name == field
    return False


def _flat(operations):
    for operation in operations:
        if isinstance(operation, migrations.SeparateDatabaseAndState):
            yield from _flat(operation.state_operations)
        yield operation
