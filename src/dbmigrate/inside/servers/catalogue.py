"""What a database's catalogue holds: tables, columns, indexes and constraints, through Django's introspection."""

ROW_NUMBERS = ("rowid", "oid", "_rowid_")
"""Columns that every table of SQLite has and its catalogue does not list; models of full text tables name them."""

COLUMN_NAMES = {
    "postgresql": """\
SELECT a.attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
WHERE c.relname = %s AND pg_table_is_visible(c.oid) AND a.attnum > 0 AND NOT a.attisdropped""",
    "mysql": """\
SELECT COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = %s""",
}
"""By vendor. Django's introspection reads the table itself there, which a role may not be allowed to do, and which
waits for whoever alters the table (django/db/backends/postgresql/introspection.py, get_table_description)."""


class Catalogue:
    """One database as it is; each table is looked at once, and only when it is asked about."""

    def __init__(self, connection):
        """List the tables and views; names are compared without their case, which some servers change."""
        self._connection = connection
        self._kinds = {}
        with connection.cursor() as cursor:
            for table in connection.introspection.get_table_list(cursor):
                self._kinds[table.name.casefold()] = (table.name, table.type)
        self._columns = {}
        self._column_names = {}
        self._constraints = {}

    def has_table(self, table):
        """Whether there is a table (not a view) of this name."""
        return self._kind_of(table)[1] in ("t", "p")

    def has_view(self, table):
        """Whether there is a view of this name."""
        return self._kind_of(table)[1] == "v"

    def has_column(self, table, column):
        """Whether the table is there and has this column."""
        if self._connection.vendor == "sqlite" and column.casefold() in ROW_NUMBERS:
            return self.has_table(table)
        return self.has_table(table) and column.casefold() in self.columns(table)

    def columns(self, table):
        """Return the folded names of the columns of a table that is there."""
        name = self._kind_of(table)[0]
        if self._connection.vendor not in COLUMN_NAMES:
            return set(self._columns_of(table))
        if name not in self._column_names:
            with self._connection.cursor() as cursor:
                cursor.execute(COLUMN_NAMES[self._connection.vendor], [name])
                self._column_names[name] = {column.casefold() for (column,) in cursor.fetchall()}
        return self._column_names[name]

    def row(self, table, column):
        """Return what Django's introspection says of a column (FieldInfo); None if it is not there."""
        return self._columns_of(table).get(column.casefold()) if self.has_table(table) else None

    def has_name(self, table, name):
        """Whether the table is there and has an index or a constraint of this name."""
        return self.has_table(table) and self._cut(name) in self._constraints_of(table)

    def has_on(self, table, columns, *kinds):
        """Whether one of its constraints is of one of these kinds and on just these columns, in any order.

        kinds: keys of what Django's get_constraints returns ("unique", "primary_key", "foreign_key", "index").
        """
        wanted = sorted(column.casefold() for column in columns)
        return self.has_table(table) and any(
            any(found[kind] for kind in kinds) and _fold(found["columns"]) == wanted
            for found in self._constraints_of(table).values()
        )

    def shows(self, part):
        """Whether a part of what migrations make (schema.Part) is there."""
        if part.kind == "table":
            return self.has_table(part.table)
        if part.kind == "column":
            return self.has_column(part.table, part.name)
        if part.name:
            return self.has_name(part.table, part.name)
        kinds = {
            "unique": ("unique", "primary_key"),
            "index": ("index", "unique", "primary_key"),
            "foreign key": ("foreign_key",),
        }[part.kind]
        return self.has_on(part.table, part.columns, *kinds)

    def invalid_indexes(self):
        """Return [(index, table, index in SQL)] of the indexes that PostgreSQL has marked as not valid.

        In SQL it is quoted where it has to be, and has its schema where that is not on the search path.
        """
        if self._connection.vendor != "postgresql":
            return []
        with self._connection.cursor() as cursor:
            cursor.execute(
                "SELECT i.relname, t.relname, i.oid::regclass::text FROM pg_index x"
                " JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid"
                " WHERE NOT x.indisvalid AND t.relkind = 'r' AND pg_table_is_visible(t.oid) ORDER BY 2, 1"
            )
            return cursor.fetchall()

    def _kind_of(self, table):
        return self._kinds.get(self._cut(table), ("", ""))

    def _cut(self, name):
        """Return a name as the catalogue is looked up.

        PostgreSQL cuts off what is too long for it, and says so in a notice that nobody reads.
        """
        return name[: self._connection.ops.max_name_length()].casefold()

    def _columns_of(self, table):
        name = self._kind_of(table)[0]
        if name not in self._columns:
            with self._connection.cursor() as cursor:
                rows = self._connection.introspection.get_table_description(cursor, name)
            self._columns[name] = {row.name.casefold(): row for row in rows}
        return self._columns[name]

    def _constraints_of(self, table):
        name = self._kind_of(table)[0]
        if name not in self._constraints:
            with self._connection.cursor() as cursor:
                found = self._connection.introspection.get_constraints(cursor, name)
            self._constraints[name] = {key.casefold(): value for key, value in found.items()}
        return self._constraints[name]


def _fold(columns):
    """Return the folded names of columns, sorted; None if there are none, or expressions among them.

    For an expression in an index SQLite has None in the place of a column.
    """
    return sorted(column.casefold() for column in columns) if columns and None not in columns else None
