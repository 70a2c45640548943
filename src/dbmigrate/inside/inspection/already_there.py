"""Tables and columns that a pending migration would make and that are there already: there it fails."""

from django.db import migrations, models
from django.db.migrations.state import ModelState

from ..migrations.judging import is_shown, sql_lines
from ..migrations.schema import ModelParts, automatic_table, column_type, has_table_of_its_own
from ..servers.catalogue import Catalogue
from .missing_tables import fold


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
        self._sql = []
        self._opaque_apps = set()

    def find(self, migration, reaching):
        """Return models.snapshot.MadePart for what the next migration makes; [] where nothing of it is there."""
        made = []
        for number, operation, answer, model in reaching if self._tables else ():
            for table, column in self._parts(migration.app_label, operation, model):
                made.append(
                    {
                        "operation": number,
                        "model": model,
                        "table": table,
                        "column": column,
                        "answer": answer,
                        "is_there": self._is_there(table, column),
                        "is_certain": not self._may_be_freed(migration.app_label, table),
                    }
                )
            self._remember(migration.app_label, operation, model)
        return made if any(part["is_there"] for part in made) else []

    def _parts(self, label, operation, model):
        """Yield (table, column) for each that an operation of Django's makes; the column is "" for a table.

        Of a new table that is there already also the columns, which Django does not compare.
        """
        if type(operation) is migrations.CreateModel:
            state = ModelState(label, operation.name, list(operation.fields), dict(operation.options), operation.bases)
            if has_table_of_its_own(state):
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

    def _is_there(self, table, column):
        if table.casefold() not in self._tables or {(table.casefold(), ""), (table.casefold(), column.casefold())} & (
            self._freed
        ):
            return False
        if not column:
            return table.casefold() in self._tables_here()
        if self._catalogue is None:
            self._catalogue = Catalogue(self._connection)
        return self._catalogue.has_column(table, column)

    def _tables_here(self):
        """Return the folded names of the tables where new ones are made; PostgreSQL lists other schemas' too."""
        if self._connection.vendor != "postgresql":
            return self._tables
        if self._here is None:
            with self._connection.cursor() as cursor:
                cursor.execute(
                    "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
                    " WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p', 'f')"
                )
                self._here = fold(name for (name,) in cursor.fetchall())
        return self._here

    def _may_be_freed(self, label, table):
        """Whether something that nobody can judge may have dropped or renamed a table before, on purpose."""
        return label in self._opaque_apps or any(table.casefold() in line for line in self._sql)

    def _remember(self, label, operation, model):
        """Remember what an operation takes away, or may take away."""
        if isinstance(operation, migrations.RunSQL):
            self._sql += [line.casefold() for line in sql_lines(operation)]
        elif not is_shown(operation) or isinstance(operation, migrations.AlterModelTable):
            self._opaque_apps.add(label)
        elif isinstance(operation, migrations.DeleteModel):
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
