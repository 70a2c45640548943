"""The statements that would put right what a database lacks; written down, never run."""

import re

from django.db import migrations


def write_repair(connection, catalogue, state, parts):
    """Return the statements that make these parts (schema.Part), as Django would; `state` has them.

    Each is taken out of the state by one operation and put back by another, of which the statements are kept.
    """
    statements = []
    for part in parts:
        try:
            back, forth = _operations(state, part)
            label = part.model[0]
            before, after = state.clone(), state.clone()
            for operation in back:
                operation.state_forwards(label, before)
            with connection.schema_editor(collect_sql=True, atomic=False) as editor:
                forth.database_forwards(label, editor, before, after)
            written = [str(statement) for statement in editor.collected_sql]
            if connection.vendor == "postgresql":
                written = [statement for statement in written if not _makes_what_is_there(catalogue, part, statement)]
            statements += written
        except Exception as error:  # a field or an operation of the project's own; the other parts are still told
            words = " ".join(str(error).split())
            statements.append("-- {} {} cannot be written down: {}".format(part.kind, part.name or part.table, words))
    return statements


def _makes_what_is_there(catalogue, part, statement):
    """Whether a statement makes an index that is not missing: a unique text has one more on PostgreSQL, for LIKE."""
    found = re.match(r'CREATE INDEX "([^"]+)" ON ', statement)
    return found is not None and catalogue is not None and catalogue.has_name(part.table, found.group(1))


def _operations(state, part):
    """Return (operations that take the part out of the state, the one that puts it back)."""
    label, name = part.model
    model = state.models[part.model]
    kind, source = part.source
    if kind == "model":
        return [], migrations.CreateModel(model.name, list(model.fields.items()), model.options)
    if kind == "index":
        index = next(index for index in model.options["indexes"] if index.name == source)
        return [migrations.RemoveIndex(name, source)], migrations.AddIndex(name, index)
    if kind == "constraint":
        constraint = next(entry for entry in model.options["constraints"] if entry.name == source)
        return [migrations.RemoveConstraint(name, source)], migrations.AddConstraint(name, constraint)
    if kind == "field":
        field = model.fields[source]
        if part.kind in ("table", "column"):
            return [migrations.RemoveField(name, source)], migrations.AddField(name, source, field)
        without = field.clone()
        if part.kind == "foreign key":
            without.db_constraint = False
        elif part.kind == "unique":
            without._unique = False
        else:
            without.db_index = False
        return [migrations.AlterField(name, source, without)], migrations.AlterField(name, source, field)
    operation = {"unique_together": migrations.AlterUniqueTogether, "index_together": migrations.AlterIndexTogether}[
        kind
    ]
    every = set(model.options[kind])
    return [operation(name, {fields for fields in every if tuple(fields) != source})], operation(name, every)
