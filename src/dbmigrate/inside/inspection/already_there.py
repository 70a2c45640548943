"""Tables and columns that a pending migration would make and that are there already: there it fails."""

from django.db import migrations, models
from django.db.migrations.state import ModelState

from ..migrations.schema import ModelParts, automatic_table, column_type, has_table_of_its_own
from ..servers.catalogue import Catalogue

ONLY_ADDING = (
    migrations.CreateModel,
    migrations.AddField,
    migrations.AddIndex,
    migrations.AddConstraint,
    migrations.AlterModelOptions,
    migrations.AlterModelManagers,
    migrations.AlterUniqueTogether,
)
"""What takes no table and no column away. After anything else it is not certain that one is still in the way."""


class AlreadyThere:
    """Goes through the pending migrations of one database in their order.

    What an earlier one drops or renames is not there any more when a later one makes it.
    """

    def __init__(self, connection, effects, tables):
        """`tables`: the folded names of those that are there."""
        self._connection = connection
        self._effects = effects
        self._tables = tables
        self._here = None
        self._catalogue = None
        self._freed = set()
        self._is_certain = True
        """Whether nothing that is pending before takes anything away, or may: a table, a column, by whatever name."""

    def find(self, migration, reaching, state_before):
        """Return models.migrations.MadePart for what the next migration makes; [] where nothing of it is there.

        state_before(number): the project's state before an operation; it is asked only where something is there.
        """
        made = []
        for number, operation, answer, model in reaching if self._tables else ():
            parts = [] if self._is_remade_for(operation) else list(self._parts(migration.app_label, operation, model))
            found = [
                {
                    "operation": number,
                    "model": model,
                    "table": table,
                    "column": column,
                    "answer": answer,
                    "is_there": self._is_there(table, column),
                    "is_certain": self._is_certain,
                }
                for table, column in parts
            ]
            if any(part["is_there"] for part in found) and type(operation) is migrations.AddField:
                # The model may be managed only since a later migration: then Django adds nothing here.
                then = state_before(number).models[migration.app_label, model]
                found = found if then.options.get("managed", True) else []
            made += found
            self._remember(migration.app_label, operation, model)
            self._is_certain &= type(operation) in ONLY_ADDING
        return made if any(part["is_there"] for part in made) else []

    def _parts(self, label, operation, model):
        """Yield (table, column) for each that an operation of Django's makes; the column is "" for a table.

        Of a new table that is there already also the columns, which Django does not compare.
        """
        if type(operation) is migrations.CreateModel:
            state = ModelState(label, operation.name, list(operation.fields), dict(operation.options), operation.bases)
            if has_table_of_its_own(self._connection, state):
                for part in ModelParts(self._connection, (label, state.name_lower), state).find():
                    # Of a table that is not there the columns say nothing more.
                    if part.kind == "table" or (part.kind == "column" and self._is_there(part.table, "")):
                        yield part.table, part.name
        elif type(operation) is migrations.AddField and self._effects.is_made_by_migrate(label, model):
            table, field = self._effects.table_of(label, model), operation.field
            if isinstance(field, models.ManyToManyField):
                if not field.remote_field.through:
                    yield automatic_table(field, table, operation.name), ""
            elif isinstance(field, models.ForeignKey):
                yield table, field.db_column or "{}_id".format(operation.name)
            elif not field.is_relation and column_type(field, self._connection) is not None:
                yield table, field.db_column or operation.name

    def _is_remade_for(self, operation):
        """Whether SQLite makes the whole table again, and does not fail for a column that is there.

        Source: django/db/backends/sqlite3/schema.py, add_field; a default of the database came with Django 5.0.
        """
        if self._connection.vendor != "sqlite" or type(operation) is not migrations.AddField:
            return False
        field = operation.field
        has_default = (
            field.has_default() or getattr(field, "db_default", models.NOT_PROVIDED) is not models.NOT_PROVIDED
        )
        return field.primary_key or field.unique or not field.null or has_default

    def _is_there(self, table, column):
        if table.casefold() not in self._tables or {(table.casefold(), ""), (table.casefold(), column.casefold())} & (
            self._freed
        ):
            return False
        if not column:
            return self._as_compared(table) in self._tables_here()
        if self._catalogue is None:
            self._catalogue = Catalogue(self._connection)
        return self._catalogue.has_column(table, column)

    def _as_compared(self, table):
        """Return a table's name as the server compares it: "User" and "user" may be two (detect_soft_applied)."""
        if self._connection.features.ignores_table_name_case:
            return table.casefold()
        return table[: self._connection.ops.max_name_length()]

    def _tables_here(self):
        """Return the names, as they are compared, of the tables where new ones are made."""
        if self._connection.features.ignores_table_name_case:
            return self._tables
        if self._here is None:
            with self._connection.cursor() as cursor:
                if self._connection.vendor == "postgresql":  # Django lists those of other schemas too
                    cursor.execute(
                        "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
                        " WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p', 'f')"
                    )
                    self._here = {name for (name,) in cursor.fetchall()}
                else:
                    self._here = {table.name for table in self._connection.introspection.get_table_list(cursor)}
        return self._here

    def _remember(self, label, operation, model):
        """Remember what an operation takes away, as far as its names say it."""
        if isinstance(operation, migrations.DeleteModel):
            self._free(self._effects.table_of(label, model))
        elif isinstance(operation, migrations.RenameModel):
            self._free(self._effects.table_of(label, operation.old_name_lower))
        elif isinstance(operation, (migrations.RemoveField, migrations.RenameField, migrations.AlterField)):
            name = getattr(operation, "old_name", None) or operation.name
            table = self._effects.table_of(label, model)
            self._free(table, name)
            self._free(table, "{}_id".format(name))
            self._free("{}_{}".format(table, name))

    def _free(self, table, column=""):
        self._freed.add((table.casefold(), column.casefold()))
