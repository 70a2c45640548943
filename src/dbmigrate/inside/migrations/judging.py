"""Whether the catalogue can say of an operation of a migration that it has run; where it cannot, a person has to."""

from collections import namedtuple

from django.db import migrations, models

from .schema import column_type

SHOWN = (
    migrations.CreateModel,
    migrations.DeleteModel,
    migrations.RenameModel,
    migrations.AlterModelTable,
    migrations.AlterUniqueTogether,
    migrations.AlterIndexTogether,
    migrations.AddIndex,
    migrations.RemoveIndex,
    getattr(migrations, "RenameIndex", migrations.AddIndex),  # since Django 4.1
    migrations.AddConstraint,
    migrations.RemoveConstraint,
    migrations.AddField,
    migrations.RemoveField,
    migrations.AlterField,
    migrations.RenameField,
)
"""What makes, renames or takes away what schema.SchemaWalk knows of; with no such part it does nothing."""

ATTRIBUTES = ("to", "to_field", "db_collation", "db_comment", "db_default", "db_tablespace", "expression", "db_persist")
"""Arguments of fields that a column shows and its type does not (django/db/models/fields/__init__.py)."""

_Column = namedtuple("_Column", "kind null rest")
"""What a field makes of its column: its type, whether it takes NULL, and everything else."""


def is_shown(operation):
    """Whether a look at tables, columns, indexes and constraints tells if an operation has run.

    Not what is in the rows, as after RunPython and RunSQL, nor what an operation of somebody's own does.
    """
    runs = type(operation).database_forwards
    return isinstance(operation, SHOWN) and str(getattr(runs, "__module__", "")).startswith("django.")


def alters_column(operation, before, after, connection):
    """Whether AlterField changes more of a column than its index and constraints: of that nothing is known.

    `before` and `after` are the field in the states before and after it.
    """
    if not isinstance(operation, migrations.AlterField) or isinstance(after, models.ManyToManyField):
        return False
    return _column(before, connection) != _column(after, connection)


def shows_alteration(before, after, connection, row):
    """Whether a column is as AlterField makes it, which is known where no more than NULL or a length changes.

    `row`: what Django's introspection says of the column (django/db/backends/base/introspection.py, FieldInfo).
    """
    if connection.vendor == "oracle":  # takes an empty text for NULL
        return False
    old, new = _column(before, connection), _column(after, connection)
    is_of_other_length = before.max_length != after.max_length and bool(before.max_length and after.max_length)
    if old.rest != new.rest or not (old.kind == new.kind or is_of_other_length):
        return False
    is_as_long = not is_of_other_length or after.max_length in (row.display_size, row.internal_size)
    return is_as_long and bool(row.null_ok) == after.null


def _column(field, connection):
    arguments = field.deconstruct()[3]
    kind = column_type(field, connection)
    described = {name: repr(arguments[name]).casefold() for name in ATTRIBUTES if name in arguments}
    # A field of the project's own, which only with its model can tell its type, may change it by any argument.
    unknown = repr(field.deconstruct()[1:]) if not kind and not field.is_relation else ""
    return _Column(kind, field.null, (field.get_internal_type(), field.primary_key, described, unknown))


def name_operation(operation):
    """Return in a few words what an operation is, for example "RunPython fill_sizes" or "Add field size to item"."""
    if isinstance(operation, migrations.RunPython):
        return "RunPython {}".format(getattr(operation.code, "__name__", "")).rstrip()
    if isinstance(operation, migrations.RunSQL):
        return "RunSQL"
    if is_shown(operation):
        return operation.describe()
    try:
        words = " ".join(str(operation.describe()).split())
    except Exception:  # the project's own
        words = ""
    return "{}: {}".format(type(operation).__name__, words) if words else type(operation).__name__


def sql_lines(operation):
    """Return the lines of SQL of a RunSQL, with the values that it is given; none for other operations."""
    if not isinstance(operation, migrations.RunSQL):
        return []
    statements = operation.sql if isinstance(operation.sql, (list, tuple)) else [operation.sql]
    lines = []
    for statement in statements:
        text, values = statement if isinstance(statement, (list, tuple)) else (statement, None)
        lines += [line.rstrip() for line in str(text).strip().splitlines() if line.strip()]
        lines += ["values: {!r}".format(values)] if values else []
    return lines
