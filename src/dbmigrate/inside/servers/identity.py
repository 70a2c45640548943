"""What each kind of database server says of itself: product, identity, whether it takes writes."""

import hashlib
import os
import re
import urllib.parse
from typing import NamedTuple, Optional, Tuple


class Clue(NamedTuple):
    """What a server says of itself and of where a session's django_migrations is: it chooses what is worth a proof."""

    vendor: str
    identifier: Optional[str]
    """What the server's data are called, which copies of them are called too; None if it does not say."""
    process: str
    """What names the running server: for PostgreSQL the moment it was started, or else its address."""
    database: str
    home: str
    """PostgreSQL: the schema. MySQL has none: its databases are schemas."""
    later: Tuple[str, ...] = ()
    """Schemas whose django_migrations would be used as well, if one was made there first."""

    @property
    def words(self):
        """Equal for two aliases of one database, as far as names go."""
        return ":".join((self.vendor, self.process, self.database, self.home))


def describe_server(connection, state):
    """Return server, identity, read_only and clue for a connection that is open (or an SQLite file that is absent).

    clue: a `Clue` where names alone prove nothing; None where `identity` is certain, or all that can be known.
    """
    if connection.vendor == "sqlite":
        return _describe_sqlite(connection, state)
    describe = {"postgresql": _describe_postgresql, "mysql": _describe_mysql}.get(connection.vendor, _describe_other)
    with connection.cursor() as cursor:
        return describe(connection, cursor)


def sqlite_file(connection):
    """Return the absolute path of an SQLite database; None if it is another engine, in memory, or has no name."""
    if connection.vendor != "sqlite" or not connection.settings_dict["NAME"] or is_in_memory(connection):
        return None
    name, _ = _split_sqlite_name(connection)
    return os.path.abspath(name)


def is_in_memory(connection):
    """Return whether this is an SQLite database that lives as long as a process."""
    if connection.vendor != "sqlite" or not connection.settings_dict["NAME"]:
        return False  # Django connects to none without a name
    name, options = _split_sqlite_name(connection)
    # https://sqlite.org/inmemorydb.html; the VFS "memdb" shares one within a process.
    return name in ("", ":memory:") or options.get("mode") == "memory" or options.get("vfs") == "memdb"


def why_no_writes(connection):
    """Return why an SQLite file takes no writes, as its name and its rights tell; None for other engines."""
    file = sqlite_file(connection)
    if file is None:
        return None
    _, options = _split_sqlite_name(connection)
    if options.get("mode") == "ro":
        return "it is opened with mode=ro"
    if options.get("immutable", "0").lower() in ("1", "yes", "true", "on"):
        return "it is opened with immutable=1"
    if os.path.exists(file) and not _may_write(file):
        return "this user cannot write the file"
    return None


def _may_write(path):
    """Return whether this process may: as it opens files, not as the user who started it (man 2 access)."""
    return os.access(path, os.W_OK, effective_ids=os.access in os.supports_effective_ids)


def must_be_there(connection):
    """Return whether connecting to an SQLite file that is not there would fail, although it may be written."""
    return _split_sqlite_name(connection)[1].get("mode") == "rw"


def _split_sqlite_name(connection):
    """Return path and parameters of NAME, which may be a URI: Django lets every SQLite database be one."""
    name = str(connection.settings_dict["NAME"])
    if not name.startswith("file:"):
        return name, {}
    parts = urllib.parse.urlsplit(name)
    return urllib.parse.unquote(parts.path), dict(urllib.parse.parse_qsl(parts.query))


def _describe_sqlite(connection, state):
    file = sqlite_file(connection)
    read_only = why_no_writes(connection) or _why_no_journal(connection, file, state)
    if state == "ok":
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA query_only")
            if cursor.fetchone()[0]:
                read_only = "PRAGMA query_only is on"
    if file is None:
        identity = "sqlite:memory:{}".format(connection.alias)
    elif state == "ok":
        status = os.stat(file)  # one file under two names (link, other spelling) is one database
        identity = "sqlite:{}:{}".format(status.st_dev, status.st_ino)
    else:
        identity = "sqlite:{}".format(os.path.realpath(file))
    version = ".".join(str(part) for part in connection.Database.sqlite_version_info)
    return {"server": "SQLite {}".format(version), "identity": identity, "read_only": read_only, "clue": None}


def _why_no_journal(connection, file, state):
    """Return why SQLite cannot make the files that it needs next to a database; None if it can, or needs none."""
    folder = None if file is None else os.path.dirname(os.path.realpath(file))
    if folder is None or not os.path.isdir(folder) or _may_write(folder):
        return None
    if state == "ok":
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA journal_mode")
            if cursor.fetchone()[0] in ("memory", "off"):
                return None
    return "this user cannot write in its folder"


def _describe_postgresql(connection, cursor):
    cursor.execute(
        "SELECT current_setting('server_version'), current_database(), pg_is_in_recovery(),"
        " current_setting('transaction_read_only')"
    )
    version, database, is_standby, is_read_only = cursor.fetchone()
    read_only = None
    if is_standby:
        read_only = "the server is a standby (pg_is_in_recovery)"
    elif is_read_only == "on":
        read_only = "the server is read-only (default_transaction_read_only)"
    identifier, process = _describe_cluster(cursor)
    home, later = find_home(cursor)
    clue = Clue("postgresql", identifier, process, database, home, later)
    return {
        "server": "PostgreSQL {}".format(version.split(" ")[0]),
        "identity": clue.words,
        "read_only": read_only,
        "clue": clue,
    }


def _describe_cluster(cursor):
    """Return the cluster's system identifier, None if this role may not ask, and what names its running server."""
    cursor.execute(
        "SELECT has_function_privilege(to_regprocedure('pg_control_system()'), 'execute'),"
        " has_function_privilege(to_regprocedure('pg_postmaster_start_time()'), 'execute')"
    )
    may_ask_identifier, may_ask_start = cursor.fetchone()
    identifier = None
    if may_ask_identifier:
        cursor.execute("SELECT system_identifier FROM pg_control_system()")
        identifier = str(cursor.fetchone()[0])
    if may_ask_start:
        cursor.execute("SELECT extract(epoch FROM pg_postmaster_start_time())::text")
    else:
        cursor.execute("SELECT concat_ws(':', inet_server_addr(), inet_server_port())")
    return identifier, cursor.fetchone()[0]


def find_home(cursor):
    """Return the PostgreSQL schema whose django_migrations a session uses or would make, and what else it looks in.

    Once the table is seen nothing else counts; until then one that is made in a later schema of the search path would
    be used too. A schema that is named and not there yet may still be made, by a pre_migrate receiver for example.
    """
    cursor.execute(
        "SELECT current_setting('search_path'), current_user::text, current_schemas(false)::text[],"
        " (SELECT n.nspname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.oid = to_regclass('django_migrations'))"
    )
    path, user, usable, table_schema = cursor.fetchone()
    if table_schema is not None:
        return table_schema, ()
    named = [user if name == "$user" and user in usable else name for name in split_search_path(path)]
    hidden = set()
    if not set(named) <= {*usable, "$user"}:
        cursor.execute("SELECT nspname::text FROM pg_namespace WHERE nspname = ANY(%s)", [named])
        hidden = {name for (name,) in cursor.fetchall()} - {*usable}  # no right to use it: as if it was not named
    homes = [name for name in named if name not in hidden and name != "$user" and not name.startswith("pg_")]
    return (homes[0], tuple(homes[1:])) if homes else (path, ())


def split_search_path(path):
    """Return the names in a search path, as the server would read them."""
    found = []
    for quoted, plain in re.findall(r'"((?:[^"]|"")*)"|([^\s,"]+)', path):
        found.append(quoted.replace('""', '"') if quoted else plain.lower())
    return found


def _describe_mysql(connection, cursor):
    cursor.execute(
        "SHOW VARIABLES WHERE Variable_name IN ('version', 'server_uuid', 'hostname', 'port', 'datadir', 'read_only')"
    )
    values = {str(name): str(value) for name, value in cursor.fetchall()}
    # MariaDB has no server_uuid; host, port and data folder name one server as well.
    server = values.get("server_uuid") or ":".join(values.get(key, "") for key in ("hostname", "port", "datadir"))
    clue = Clue("mysql", server, server, find_mysql_database(cursor), "")
    version = values.get("version", "")
    product = "MariaDB" if "mariadb" in version.lower() else "MySQL"
    read_only = "the server is read-only (read_only)" if values.get("read_only") == "ON" else None
    return {
        "server": "{} {}".format(product, version.split("-")[0]),
        "identity": clue.words,
        "read_only": read_only,
        "clue": clue,
    }


def find_mysql_database(cursor):
    """Return the name of a session's database; in one spelling where the server makes no difference between them."""
    cursor.execute("SELECT DATABASE(), @@lower_case_table_names")
    name, are_folded = cursor.fetchone()
    return str(name).lower() if are_folded else str(name)


def hash_identity(connection, root):
    """Return the SHA-256 of what names a physical database and its schema: the same whichever way leads to it.

    It outlives the server's process, unlike what two aliases are compared by. An SQLite file is known by its place
    below `root`, the project's: the same project on another machine has the same databases.
    """
    if connection.vendor == "sqlite":
        file = sqlite_file(connection)
        parts = ["memory", connection.alias] if file is None else [_place_below(os.path.realpath(file), root)]
    else:
        name = {"postgresql": _name_postgresql, "mysql": _name_mysql}.get(connection.vendor, _name_other)
        with connection.cursor() as cursor:
            parts = name(connection, cursor)
    return hashlib.sha256("\0".join([connection.vendor, *parts]).encode("utf-8", "surrogateescape")).hexdigest()


def _place_below(file, root):
    root = os.path.realpath(root)
    return os.path.relpath(file, root) if file.startswith(root + os.sep) else file


def _name_postgresql(connection, cursor):
    cursor.execute("SELECT current_database()::text")
    (database,) = cursor.fetchone()
    identifier = _describe_cluster(cursor)[0]
    if identifier is None:  # everybody may ask for it, unless somebody has taken that right away
        cursor.execute("SELECT concat_ws(':', inet_server_addr(), inet_server_port())")
        (identifier,) = cursor.fetchone()
    return [identifier, database, find_home(cursor)[0]]


def _name_mysql(connection, cursor):
    clue = _describe_mysql(connection, cursor)["clue"]
    return [clue.process, clue.database]


def _name_other(connection, cursor):
    return [_describe_other(connection, cursor)["identity"]]


def _describe_other(connection, cursor):
    configured = connection.settings_dict
    identity = ":".join(str(configured.get(key) or "") for key in ("ENGINE", "HOST", "PORT", "NAME"))
    return {"server": connection.display_name, "identity": identity, "read_only": None, "clue": None}
