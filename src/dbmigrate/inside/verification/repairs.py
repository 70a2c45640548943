"""The statements that would put right what a database lacks; written down, never run."""

import re

from django.db import migrations, models
from django.db.migrations.operations.base import Operation

from ..migrations.judging import sql_lines
from ..migrations.schema import state_columns, state_indexes
from ..sentences import one_line
from .traces import unjudged

CANNOT = " cannot be written as SQL: "


def write_parts(connection, catalogue, state, parts):
    """Return the statements that make these parts (schema.Part), as Django would; `state` has them.

    They are taken out of the state from the last to the first, and put back by operations of which the statements are
    kept: so each knows of those before it alone.
    """
    states, pairs = [state], []
    for part in reversed(parts):
        try:
            back, forth = _operations(states[-1], part)
            if connection.vendor == "sqlite" and _is_index_of_field(part):
                forth = _IndexAlone(part)
            before = states[-1].clone()
            for operation in back:
                operation.state_forwards(part.model[0], before)
        except Exception as error:  # a field or an operation of the project's own; the other parts are still told
            pairs.append((part, None, None, None, _words(error)))
            continue
        pairs.append((part, forth, before, states[-1], None))
        states.append(before)
    statements: list[str] = []
    refused: set[tuple[str, str]] = set()
    for part, forth, before, after, problem in reversed(pairs):
        if refused.intersection((part.table, column) for column in part.columns):
            continue  # what is on a column that is not made goes without saying
        name = "{} {}".format(part.kind, part.name or part.table)
        if problem is not None:
            statements.append(_cannot(name, problem))
            continue
        written = _write(connection, catalogue, part.model[0], forth, before, after, name)
        if part.kind == "column" and unwritten(written):
            refused.add((part.table, part.name))
        if connection.vendor == "postgresql":
            written = [statement for statement in written if not _makes_what_is_there(catalogue, part, statement)]
        statements += written
    return statements


def write_rest(connection, catalogue, migration, traces):
    """Return the statements of a half-applied migration that are left, with comments in the place of what is unjudged.

    `traces` (traces.Trace) are its operations that reach this database, with their states.
    """
    open_ones = unjudged(traces)
    count = len(migration.operations)
    statements = []
    for traced in traces:
        label = migration.app_label
        if traced in open_ones:
            statements += _comment(traced, count)
        elif not traced.is_there:
            statements += _write(
                connection, catalogue, label, traced.operation, traced.before, traced.after, traced.text
            )
        if traced.missing:
            statements += write_parts(connection, catalogue, traced.after, traced.missing)
    return statements


def unwritten(statements):
    """Return what of these is said instead of a statement, for there is none."""
    return [text[len("-- ") :] for text in statements if text.startswith("-- ") and CANNOT in text]


def _comment(traced, count):
    """Return the lines that stand where an operation would run of which nobody knows whether it has."""
    position = ".".join(str(int(digits) + 1) for digits in traced.number.split("."))
    line = "-- operation {} of {}, {}: it is unknown whether it has run".format(position, count, traced.text)
    return [line, *("--   {}".format(text) for text in sql_lines(traced.operation))]


def _write(connection, catalogue, label, operation, before, after, name):
    """Return the statements of one operation, or a comment that says why there are none."""
    try:
        with connection.schema_editor(collect_sql=True, atomic=False) as editor:
            operation.database_forwards(label, editor, before, after)
        written = [str(statement) for statement in editor.collected_sql]
    except Exception as error:  # of the project's own, or what is there is not what the migrations say
        return [_cannot(name, _words(error))]
    lost = _parts_lost(connection, catalogue, before, written)
    if lost:
        return [_cannot(name, "SQLite rebuilds the table, without its {}".format(", ".join(lost)))]
    return written


class _IndexAlone(Operation):
    """Makes the index of a field, for which Django makes a table of SQLite again."""

    def __init__(self, part):
        self._part = part

    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        part = self._part
        model = to_state.apps.get_model(*part.model)
        kind, suffix = (models.UniqueConstraint, "_uniq") if part.kind == "unique" else (models.Index, "")
        name = schema_editor._create_index_name(part.table, list(part.columns), suffix=suffix)
        schema_editor.execute(kind(fields=[part.source[1]], name=name).create_sql(model, schema_editor), params=None)


def _is_index_of_field(part):
    return part.source[0] == "field" and part.kind in ("index", "unique")


def _parts_lost(connection, catalogue, state, statements):
    """Return what is there and a table of SQLite would lose that is made again from the models."""
    if connection.vendor != "sqlite" or catalogue is None:
        return []
    made = {table.casefold() for text in statements for table in re.findall(r'CREATE TABLE "new__([^"]+)"', text)}
    if not made:
        return []
    known = state_columns(connection, state)
    lost = []
    for table in sorted(made.intersection(known)):
        if catalogue.has_table(table):
            lost += ["column {}".format(column) for column in sorted(catalogue.columns(table) - known[table])]
            lost += _indexes_and_triggers_lost(connection, table, state_indexes(connection, state, table))
    return lost


def _indexes_and_triggers_lost(connection, table, known):
    """Return the triggers of a table of SQLite, and its indexes that are not `known` (schema.Part) to the code."""
    names = {part.name.casefold() for part in known if part.name}
    columns = [sorted(column.casefold() for column in part.columns) for part in known]
    lost = []
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT type, name, sql FROM sqlite_master"
            " WHERE type IN ('index', 'trigger') AND sql IS NOT NULL AND lower(tbl_name) = %s ORDER BY 1, 2",
            [table],
        )
        for kind, name, sql in cursor.fetchall():
            if kind == "index" and name.casefold() in names:
                continue
            if kind == "index" and not re.search(r"\bWHERE\b", sql, re.I):
                cursor.execute("PRAGMA index_info({})".format(connection.ops.quote_name(name)))
                if sorted(str(row[2]).casefold() for row in cursor.fetchall()) in columns:
                    continue
            lost.append("{} {}".format(kind, name))
    return lost


def _cannot(name, why):
    return "-- {}{}{}".format(name, CANNOT, why)


def _words(error):
    return one_line(str(error))


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
