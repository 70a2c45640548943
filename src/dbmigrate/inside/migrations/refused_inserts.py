"""Which operations make the inserts of code that does not know them fail: a column that has to be given a value.

Django fills the rows that are there and takes the default away from the column (BaseDatabaseSchemaEditor.add_field).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import migrations
from django.db.models import NOT_PROVIDED

from .effects import model_name, numbered_operations

if TYPE_CHECKING:
    from ..protocol import RefusedInsertReply


def works_as_django(operation):
    """Whether what it does to a database is Django's own code, which does what its name says."""
    function = type(operation).database_forwards
    return (function.__module__ or "").startswith("django.")


def has_database_value(field):
    """Whether the database has a value, or takes NULL, for a row that is inserted without this field."""
    return bool(
        field.null
        or field.many_to_many
        or getattr(field, "generated", False)
        or getattr(field, "db_default", NOT_PROVIDED) is not NOT_PROVIDED
    )


def find_refused_inserts(migration, fields, makers) -> list[RefusedInsertReply]:
    """Return models.migrations.RefusedInsert for each column that needs a value after a migration.

    `fields`: {(model, field): Field} before it; `makers`: {model: ids of what created it}. There is nothing for a
    column that may have a default after all, by something that nobody can judge.
    """
    found: dict[tuple[str, str], RefusedInsertReply] = {}
    made, added = set(), set()
    for number, operation in numbered_operations(migration.operations):
        model, name = model_name(operation), _column_name(operation)
        if isinstance(operation, migrations.CreateModel):
            made.add(model)
        if isinstance(operation, (migrations.AddField, migrations.AlterField)) and works_as_django(operation):
            key = (model, name)
            if isinstance(operation, migrations.AddField):
                added.add(key)
            was_refusing = key in fields and key not in added and not has_database_value(fields[key])
            found.pop(key, None)
            if model not in made and not was_refusing and not has_database_value(operation.field):
                found[key] = {
                    "operation": number,
                    "model": model,
                    "field": name,
                    "text": operation.describe(),
                    "made_by": list(makers.get(model, ())),
                }
        elif not isinstance(operation, migrations.RunPython):
            for key in [key for key in found if _may_give_default(operation, name, key)]:
                del found[key]
    return list(found.values())


def _column_name(operation):
    name = getattr(operation, "old_name", None) or getattr(operation, "name", None)
    return name.lower() if isinstance(name, str) else None


def _may_give_default(operation, name, key):
    """Whether an operation may give a column a default, or takes it away: by its SQL, or by its name."""
    if isinstance(operation, migrations.RunSQL):
        sql = str(operation.sql).casefold()
        return "default" in sql and key[1] in sql
    return name == key[1] and model_name(operation) in (key[0], None)
