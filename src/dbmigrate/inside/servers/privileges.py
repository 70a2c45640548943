"""What a role may do in a PostgreSQL database, as its catalogue says."""

import re
from collections import namedtuple

from django.apps import apps

from .identity import split_search_path

Lack = namedtuple("Lack", "right on owner grant is_certain")
"""A right that a role lacks, what on, who owns that (None where another than its owner may do it), the statement that
gives it, and whether the role lacks it for certain: a server may let it all the same."""

_ROLE = """
SELECT current_user::text, r.rolsuper, current_database()::text, current_schema()::text, current_setting('search_path'),
       has_any_column_privilege(c.oid, 'INSERT'), has_table_privilege(c.oid, 'DELETE'),
       (SELECT min(quote_ident(m.nspname) || '.' || quote_ident(s.relname))
          FROM pg_depend d
          JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'
          JOIN pg_namespace m ON m.oid = s.relnamespace
         WHERE d.classid = 'pg_class'::regclass AND d.refobjid = c.oid AND d.deptype = 'a'
           AND CASE s.relkind WHEN 'S' THEN NOT has_sequence_privilege(s.oid, 'USAGE, UPDATE') END)
  FROM pg_roles r LEFT JOIN pg_class c ON c.oid = to_regclass('django_migrations')
 WHERE r.rolname = current_user
"""
"""The number of a row comes from a sequence that is a thing of its own where Django before 4.1 made the table."""

# Tables of extensions are nobody's business but theirs.
_LIMITS = """
SELECT n.nspname::text, has_schema_privilege(n.oid, 'USAGE'), has_schema_privilege(n.oid, 'CREATE'),
       pg_has_role(n.nspowner, 'USAGE'), c.relname::text, pg_table_is_visible(c.oid), pg_get_userbyid(c.relowner)::text,
       pg_has_role(c.relowner, 'USAGE'), has_any_column_privilege(c.oid, 'REFERENCES')
  FROM pg_namespace n
  LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relkind IN ('r', 'p', 'f', 'v', 'm')
   AND NOT EXISTS (SELECT 1 FROM pg_depend d
                    WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
 WHERE (n.nspname = ANY(%s) OR (n.nspname = ANY(current_schemas(false)) AND pg_table_is_visible(c.oid)))
   AND (NOT has_schema_privilege(n.oid, 'CREATE') OR NOT has_schema_privilege(n.oid, 'USAGE')
        OR NOT pg_has_role(c.relowner, 'USAGE'))
"""

# "trusted" is a column since PostgreSQL 13. Hosts let roles that administer a server, but are no superusers, make
# extensions that are not trusted.
_EXTENSION = """
SELECT coalesce((to_jsonb(v) ->> 'trusted')::boolean, false), has_database_privilege(current_database(), 'CREATE'),
       EXISTS (SELECT 1 FROM pg_roles r
                WHERE (r.rolsuper OR r.rolcreaterole OR r.rolcreatedb OR r.rolreplication)
                  AND pg_has_role(r.oid, 'MEMBER'))
  FROM pg_available_extensions a
  JOIN pg_available_extension_versions v ON v.name = a.name AND v.version = a.default_version
 WHERE a.name = %s AND a.installed_version IS NULL AND v.superuser
"""


class _Table(namedtuple("_Table", "schema name owner is_owned is_schema_owned may_reference")):
    __slots__ = ()

    @property
    def full_name(self):
        return self.schema, self.name


class PostgresqlRights:
    """What the role of one open connection may not do."""

    def __init__(self, connection, cursor):
        """Ask the server: once where the role is a superuser, else twice."""
        self._connection = connection
        self._cursor = cursor
        cursor.execute(_ROLE)
        self.role, self._is_super, self._database, self._home, self._path, *self._record = cursor.fetchone()
        self._schemas, self._tables, self._extensions = {}, {}, {}
        if not self._is_super:
            self._ask_limits()

    @property
    def is_limited(self):
        """Whether there is anything that the role cannot do: a superuser too needs a schema to create tables in."""
        return not self._is_super or self._home is None

    def lacks_for_record(self, table, *, is_there, directions):
        """Return what is lacking to record what goes in these directions: "forwards", "backwards", or both."""
        if not is_there:
            return self._lacks_to_make(self._home)
        if self._is_super:
            return []
        may_insert, may_delete, sequence = self._record
        lacks = []
        if "forwards" in directions and not may_insert:
            lacks.append(self._lack("INSERT", "table", table, "GRANT INSERT ON {} TO {};"))
        if "forwards" in directions and sequence is not None:
            grant = "GRANT USAGE ON SEQUENCE {} TO {};".format(sequence, _quoted(self.role))
            lacks.append(Lack("USAGE", "sequence {}".format(sequence), None, grant, True))
        if "backwards" in directions and not may_delete:
            lacks.append(self._lack("DELETE", "table", table, "GRANT DELETE ON {} TO {};"))
        return lacks

    def lacks(self, need, *, is_made):
        """Return what is lacking for a need (table_acts.Need); `is_made`: of a table that the same plan makes."""
        if self._is_super and (self._home is not None or need.act != "make"):
            return []
        if need.act == "extension":
            return self._lacks_for_extension(need.name)
        schema, name = split_table(self._connection, need.name)
        if need.act == "make":
            return self._lacks_to_make(schema or self._home)
        table = None if is_made else self._find(schema, name)
        if table is None:
            return []
        if need.act == "reference":
            grant = "GRANT REFERENCES ON {} TO {};"
            return [] if table.may_reference else [self._lack("REFERENCES", "table", table.full_name, grant)]
        if not table.is_owned and not (need.act == "drop" and table.is_schema_owned):
            grant = "ALTER TABLE {} OWNER TO {};"
            return [self._lack("ownership", "table", table.full_name, grant, owner=table.owner)]
        return self._lacks_to_make(table.schema) if need.act in ("index", "unique", "rename") else []

    def _ask_limits(self):
        named = {split_table(self._connection, model._meta.db_table)[0] for model in apps.get_models()}
        self._cursor.execute(_LIMITS, [sorted({self._home, *named} - {None})])
        for schema, *rights, name, is_visible, owner, is_owned, may_reference in self._cursor.fetchall():
            may_use, may_create, is_schema_owned = rights
            self._schemas[schema] = (may_use, may_create)
            if name is not None:
                table = _Table(schema, name, owner, is_owned, is_schema_owned, may_reference)
                self._tables[schema, name] = table
                if is_visible:
                    self._tables[None, name] = table

    def _find(self, schema, name):
        return self._tables.get((schema, name))

    def _lacks_to_make(self, schema):
        """Return what is lacking to make a table in a schema; None is that there is none to make it in."""
        if schema is None:
            return self._lacks_of_path()
        rights = self._schemas.get(schema, (True, True))
        lacking = [right for right, may in (("USAGE", rights[0]), ("CREATE", rights[1])) if not may]
        if not lacking:
            return []
        right = ", ".join(lacking)
        return [self._lack(right, "schema", schema, "GRANT {} ON SCHEMA {{}} TO {{}};".format(right))]

    def _lacks_of_path(self):
        """Return what is lacking where the role may use no schema of its search path: tables have no place."""
        names = [name for name in split_search_path(self._path) if name != "$user" and not name.startswith("pg_")]
        self._cursor.execute("SELECT nspname::text FROM pg_namespace WHERE nspname = ANY(%s)", [names])
        there = {name for (name,) in self._cursor.fetchall()}
        hidden = next((name for name in names if name in there), None)
        if hidden is not None:
            return [self._lack("USAGE, CREATE", "schema", hidden, "GRANT USAGE, CREATE ON SCHEMA {} TO {};")]
        grant = "CREATE SCHEMA {} AUTHORIZATION {};"
        return [self._lack("a schema to create in", "search path", names[0], grant)] if names else []

    def _lacks_for_extension(self, name):
        if name not in self._extensions:
            self._cursor.execute(_EXTENSION, [name])
            self._extensions[name] = self._cursor.fetchone()
        if self._extensions[name] is None:
            return []  # it is there, anybody may make it, or the server does not have it
        is_trusted, may_create, is_administrator = self._extensions[name]
        if is_trusted and not may_create:
            return [self._lack("CREATE", "database", self._database, "GRANT CREATE ON DATABASE {} TO {};")]
        if is_trusted or is_administrator:
            return []
        # Hosts have lists of extensions that any role may make (pgextwlist, rds.allowed_extensions).
        grant = "CREATE EXTENSION {};".format(_quoted(name))
        return [Lack("superuser", "extension {}".format(name), None, grant, False)]

    def _lack(self, right, kind, name, grant, owner=None):
        names = name if isinstance(name, tuple) else (name,)
        quoted = ".".join(_quoted(part) for part in names)
        return Lack(right, "{} {}".format(kind, ".".join(names)), owner, grant.format(quoted, _quoted(self.role)), True)


def split_table(connection, name):
    """Return (schema or None, table) of a table as a model names it; a name may hold the quotes in its middle."""
    quoted = connection.ops.quote_name(name)
    mark = quoted[:1]
    parts = re.findall("{0}((?:[^{0}]|{0}{0})*){0}".format(re.escape(mark)), quoted)
    return (parts[0], parts[1]) if len(parts) == 2 else (None, parts[0] if parts else name)


def _quoted(name):
    return '"{}"'.format(name.replace('"', '""'))
