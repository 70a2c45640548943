"""Foreign keys between models that the routers may put on different databases."""

import functools

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

from ..source.locate import describe_field
from .routes import answer_in, app_configs, tables_of


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


def find_present(routed, tables):
    """Return the models (label.model) that a constraint points to and no router wants, whose table is there.

    `routed`: the routes of one alias; `tables`: what is on that database.
    """
    return sorted(
        target._meta.label_lower
        for target in _all_targets()
        if answer_in(routed, target) != "yes" and target._meta.db_table.casefold() in tables
    )


@functools.lru_cache(maxsize=None)  # models are imported once
def _all_targets():
    """Return the models that any constraint points to."""
    targets = {
        _constrained_target(field)
        for config in app_configs()
        for model in tables_of(config)
        for field in model._meta.local_fields
    }
    return targets - {None}


def _are_together(model, target, routed, rules):
    if rules.get(model._meta.app_label) != rules.get(target._meta.app_label):
        return False
    return model is target or all(answer_in(routes, model) == answer_in(routes, target) for routes in routed)


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

    `reaching`: its operations (effects.Reaching); `state_before(number)`: the project's state before one of them;
    `tables`: what is on this database already.
    """
    found = []
    for number, operation, answer, _ in reaching:
        for model, name, target in constrained_fields(
            operation, migration.app_label, lambda number=number: state_before(number)
        ):
            target = effects.concrete(*target)
            # A table that Django does not make may be anywhere: nobody but its owner knows.
            if not effects.is_made_by_migrate(*target) or effects.table_of(*target).casefold() in tables:
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
        target = planned_target(field, label, model)
        if target is None or target == (label, model):
            continue
        if isinstance(operation, AlterField) and target == _target_before(state_before(), label, model, name):
            continue  # the constraint is there already
        found.append((model, name, target))
    return found


def follow_fields(planned, only_what_stays):
    """Give the relations in [(label, reaching, relations)], which are in order, the names their fields have in the end.

    What a later operation takes back is left out, for a database that takes a foreign key to a table that is not there
    as long as no row is written (SQLite): there only what stays counts, which is what `only_what_stays` says. Elsewhere
    it is left out only if the same migration removes the field, before the constraint is made at its end.
    """
    for index, (label, reaching, relations) in enumerate(planned):
        later = [entry for other, entries, _ in planned[index + 1 :] if other == label for entry in entries]
        staying = []
        for relation in relations:
            at = [entry.number for entry in reaching].index(relation["operation"])
            is_gone, taken_back = _follow(relation, label, reaching[at + 1 :])
            if not (is_gone or taken_back):
                gone_later, taken_back = _follow(relation, label, later)
                taken_back = taken_back or gone_later
            if not is_gone and not (taken_back and only_what_stays):
                staying.append(relation)
        relations[:] = staying


def _follow(relation, label, entries):
    """Rename a relation as these operations do; return whether its field goes, and whether its constraint does."""
    model, field = relation["model"].split(".", 1)[1], relation["field"]
    is_gone = taken_back = False
    for entry in entries:
        operation = entry.operation
        if isinstance(operation, RenameModel):
            model = operation.new_name_lower if operation.old_name_lower == model else model
        elif entry.model != model:
            continue
        elif isinstance(operation, DeleteModel) or (isinstance(operation, RemoveField) and operation.name == field):
            is_gone = True
            break
        elif isinstance(operation, RenameField) and operation.old_name == field:
            field = operation.new_name
        elif (
            isinstance(operation, AlterField)
            and operation.name == field
            and planned_target(operation.field, label, model) is None
        ):
            taken_back = True
            break
    relation["model"], relation["field"] = "{}.{}".format(label, model), field
    return is_gone, taken_back


def _fields_of(operation):
    """Return [(lower-case model name, name, field)] of the fields that an operation makes or changes."""
    if isinstance(operation, CreateModel):
        return [(operation.name_lower, name, field) for name, field in operation.fields]
    if isinstance(operation, (AddField, AlterField)):
        return [(operation.model_name_lower, operation.name, operation.field)]
    return []


def _target_before(state, label, model, name):
    known = state.models.get((label, model))
    field = None if known is None else dict(known.fields).get(name)
    return None if field is None else planned_target(field, label, model)


def planned_target(field, label, model):
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
