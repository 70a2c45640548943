"""Tables that the recorded migrations made and that are not there."""

from django.db import connection as default_connection
from django.db import migrations
from django.db.backends.utils import strip_quotes, truncate_name

from .effects import database_operations
from .routes import answer_in, app_configs, tables_of


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
        if belongs(config.label, answer_in(routed, model)) and not has_table(model._meta.db_table, tables)
    ]
    if not suspects:
        return []
    # A view of that name is there on purpose.
    names = fold(connection.introspection.table_names(include_views=True))
    applied = [key for key in loader.applied_migrations if key in loader.graph.nodes]
    state = loader.project_state(applied)
    makers = [loader.graph.nodes[key] for key in _in_order(loader, applied)]
    lost = []
    for model in suspects:
        table = model._meta.db_table
        if table.casefold() in names or _recorded_table(state, model) != table.casefold():
            continue
        maker = next((migration for migration in reversed(makers) if _makes(migration, model)), None)
        if maker is not None:
            lost.append((model, maker))
    owners = {_owner(model) for model, _ in lost}
    return [
        {
            "model": model._meta.label_lower,
            "table": model._meta.db_table,
            "migration": "{}.{}".format(maker.app_label, maker.name),
            "before": _before(loader, maker),
            "is_redoable": all(
                _is_about(operation, owners)
                for migration in makers[makers.index(maker) :]
                if migration.app_label == maker.app_label
                for operation in database_operations(migration.operations)
            ),
        }
        for model, maker in lost
    ]


def _before(loader, migration):
    """Return the name of the migration of the same app to go back to, to undo this one; "zero" if it is the first."""
    parents = loader.graph.node_map[migration.app_label, migration.name].parents
    return max((node.key[1] for node in parents if node.key[0] == migration.app_label), default="zero")


def _is_about(operation, owners):
    """Whether an operation is about nothing but what is missing: one of these (model, field or None)."""
    name = getattr(operation, "model_name", None) or getattr(operation, "name", "")
    return any(
        owner._meta.model_name == str(name).lower() and field in (None, getattr(operation, "name", None))
        for owner, field in owners
    )


def fold(names):
    """Return table names as they are compared: some servers change their case."""
    return {name.casefold() for name in names}


def has_table(table, tables):
    """Whether a table is among folded names; one in a schema of its own (`"a"."b"`) cannot be looked up and counts."""
    return table.casefold() in tables or '"."' in table


def _in_order(loader, keys):
    wanted = set(keys)
    ordered = {}
    for key in keys:
        for parent in loader.graph.forwards_plan(key):
            ordered.setdefault(parent)
    return [key for key in ordered if key in wanted]


def _recorded_table(state, model):
    """Return the table that the recorded migrations gave a model, folded; None if they gave it none."""
    owner, field = _owner(model)
    recorded = state.models.get((owner._meta.app_label, owner._meta.model_name))
    if recorded is None or recorded.options.get("managed") is False:
        return None
    table = recorded.options.get("db_table") or _shortened(
        "{}_{}".format(owner._meta.app_label, owner._meta.model_name)
    )
    if field is not None:
        known = dict(recorded.fields).get(field)
        if known is None:
            return None
        table = getattr(known, "db_table", None) or _shortened("{}_{}".format(strip_quotes(table), field))
    return table.casefold()


def _shortened(name):
    # The default connection's limit, whichever database the table is on (Options.contribute_to_class).
    return truncate_name(name, default_connection.ops.max_name_length())


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
