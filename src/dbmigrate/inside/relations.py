"""Foreign keys between models that the routers may put on different databases."""

from django.db.migrations import (
    AddField,
    AlterField,
    CreateModel,
    DeleteModel,
    RemoveField,
    RenameField,
    RenameModel,
)
from django.db.models import ForeignKey, ManyToManyField

from .missing import has_table
from .places import describe_field
from .routes import app_configs, tables_of


def find_relations(routed, rules):
    """Return the foreign keys with a constraint whose two models are not answered alike everywhere (Relation).

    `routed`: the routes of every alias, by label; `rules`: alias by label, where no router follows them.
    """
    found = []
    for config in app_configs():
        for model in tables_of(config):
            for field in model._meta.local_fields:
                target = _constrained_target(field)
                if target is not None and not _are_together(model, target, routed, rules):
                    found.append(_describe(model, field, target))
    return found


def _constrained_target(field):
    """Return the model with a table that a foreign key with a constraint points to, else None."""
    if not isinstance(field, ForeignKey) or not field.db_constraint or isinstance(field.remote_field.model, str):
        return None
    target = field.remote_field.model._meta.concrete_model
    # A table that Django does not make may be anywhere: nobody but its owner knows.
    return target if target is not None and target._meta.managed and not target._meta.swapped else None


def _are_together(model, target, routed, rules):
    if rules.get(model._meta.app_label) != rules.get(target._meta.app_label):
        return False
    return model is target or all(_answer(routes, model) == _answer(routes, target) for routes in routed)


def _answer(routes, model):
    route = routes[model._meta.app_label]
    return route["models"].get(model._meta.model_name, route["answer"])


def _describe(model, field, target):
    owner, kind = model, type(field).__name__
    if model._meta.auto_created:
        owner, kind = model._meta.auto_created, "ManyToManyField"
        field = next(field for field in owner._meta.local_many_to_many if field.remote_field.through is model)
    return {
        "model": owner._meta.label_lower,
        "field": field.name,
        "kind": kind,
        "to": target._meta.label_lower,
        "is_parent_link": bool(getattr(field.remote_field, "parent_link", False)),
        "definition": describe_field(owner, field.name),
    }


def find_planned_relations(connection, effects, migration, reaching, state_before, tables):
    """Return the foreign keys with a constraint that a migration makes towards models that may be elsewhere.

    `reaching`: its operations (effects.Reaching); `state_before`: returns the project's state before it; `tables`:
    what is on this database already.
    """
    found = []
    for number, operation, answer, _ in reaching:
        for model, name, target in constrained_fields(operation, migration.app_label, state_before):
            if has_table(effects.table_of(*target), tables):
                continue
            to_answer = effects.answer_model(connection, *target)
            if answer != "yes" or to_answer != "yes":
                found.append(
                    {
                        "model": "{}.{}".format(migration.app_label, model),
                        "field": name,
                        "to": "{}.{}".format(*target),
                        "answer": answer,
                        "to_answer": to_answer,
                        "operation": number,
                    }
                )
    return found


def constrained_fields(operation, label, state_before):
    """Return [(lower-case model name, field, (app label, model) it points to)] for the constraints it makes."""
    found = []
    for model, name, field in _fields_of(operation):
        target = _planned_target(field, label, model)
        if target is None or target == (label, model):
            continue
        if isinstance(operation, AlterField) and target == _target_before(state_before(), label, model, name):
            continue  # the constraint is there already
        found.append((model, name, target))
    return found


def drop_superseded(planned):
    """Leave out of [(label, reaching, relations)], in order, what a later migration of the list takes back.

    For databases that take a foreign key to a table that is not there (SQLite): only what stays counts.
    """
    for index, (label, _, relations) in enumerate(planned):
        later = [entry for other, reaching, _ in planned[index + 1 :] if other == label for entry in reaching]
        relations[:] = [relation for relation in relations if not any(_takes_back(entry, relation) for entry in later)]


def _takes_back(entry, relation):
    if relation["model"].split(".", 1)[1] != entry.model:
        return False
    if isinstance(entry.operation, (DeleteModel, RenameModel)):
        return True
    return isinstance(entry.operation, (AlterField, RemoveField, RenameField)) and relation["field"] in (
        entry.operation.name if not isinstance(entry.operation, RenameField) else entry.operation.old_name,
    )


def _fields_of(operation):
    """Return [(lower-case model name, name, field)] of the fields that an operation makes or changes."""
    if isinstance(operation, CreateModel):
        return [(operation.name_lower, name, field) for name, field in operation.fields]
    if isinstance(operation, (AddField, AlterField)):
        return [(operation.model_name_lower, operation.name, operation.field)]
    return []


def _target_before(state, label, model, name):
    return _planned_target(dict(state.models[label, model].fields)[name], label, model)


def _planned_target(field, label, model):
    """Return (app label, lower-case model name) of what a field of a migration constrains, else None."""
    is_automatic = isinstance(field, ManyToManyField) and not field.remote_field.through
    if not (field.remote_field.db_constraint if is_automatic else getattr(field, "db_constraint", False)):
        return None
    target = field.remote_field.model
    if not isinstance(target, str):
        return target._meta.app_label, target._meta.model_name
    if target == "self":
        return label, model
    app, _, name = target.rpartition(".")
    return app or label, name.lower()
