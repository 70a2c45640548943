"""What each kind of database server says of itself: product, identity, whether it takes writes."""

import os
import urllib.parse


def describe_server(connection, state):
    """Return server, identity and read_only for a connection that is open (or an SQLite file that is absent)."""
    if connection.vendor == "sqlite":
        return _describe_sqlite(connection, state)
    describe = {"postgresql": _describe_postgresql, "mysql": _describe_mysql}.get(connection.vendor, _describe_other)
    with connection.cursor() as cursor:
        return describe(connection, cursor)


def sqlite_file(connection):
    """Return the absolute path of an SQLite database, or None if it is another engine or in memory."""
    if connection.vendor != "sqlite":
        return None
    name = str(connection.settings_dict["NAME"])
    if name.startswith("file:"):
        parts = urllib.parse.urlsplit(name)
        if "mode=memory" in parts.query or ":memory:" in parts.path:
            return None
        name = urllib.parse.unquote(parts.path)
    return None if name == ":memory:" or not name else os.path.abspath(name)


def _describe_sqlite(connection, state):
    file = sqlite_file(connection)
    read_only = None
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
    return {"server": "SQLite {}".format(version), "identity": identity, "read_only": read_only}


def _describe_postgresql(connection, cursor):
    cursor.execute(
        "SELECT current_setting('server_version'), current_database(), current_schema(),"
        " pg_is_in_recovery(), current_setting('transaction_read_only')"
    )
    version, database, schema, is_standby, is_read_only = cursor.fetchone()
    read_only = None
    if is_standby:
        read_only = "the server is a standby (pg_is_in_recovery)"
    elif is_read_only == "on":
        read_only = "the server is read-only (default_transaction_read_only)"
    identity = "postgresql:{}:{}:{}".format(_postgresql_cluster(cursor), database, schema)
    return {"server": "PostgreSQL {}".format(version.split(" ")[0]), "identity": identity, "read_only": read_only}


def _postgresql_cluster(cursor):
    cursor.execute("SELECT has_function_privilege('pg_control_system()', 'execute')")
    if cursor.fetchone()[0]:
        # Equal for a primary and its standbys, whatever name or pooler they are reached by.
        cursor.execute("SELECT system_identifier FROM pg_control_system()")
    else:
        cursor.execute("SELECT inet_server_addr(), inet_server_port(), pg_postmaster_start_time()")
    return ":".join(str(part) for part in cursor.fetchone())


def _describe_mysql(connection, cursor):
    cursor.execute(
        "SHOW VARIABLES WHERE Variable_name IN ('version', 'server_uuid', 'hostname', 'port', 'datadir', 'read_only')"
    )
    values = {str(name): str(value) for name, value in cursor.fetchall()}
    cursor.execute("SELECT DATABASE()")
    database = cursor.fetchone()[0]
    # MariaDB has no server_uuid; host, port and data folder name one server as well.
    server = values.get("server_uuid") or ":".join(values.get(key, "") for key in ("hostname", "port", "datadir"))
    version = values.get("version", "")
    product = "MariaDB" if "mariadb" in version.lower() else "MySQL"
    read_only = "the server is read-only (read_only)" if values.get("read_only") == "ON" else None
    return {
        "server": "{} {}".format(product, version.split("-")[0]),
        "identity": "mysql:{}:{}".format(server, database),
        "read_only": read_only,
    }


def _describe_other(connection, cursor):
    configured = connection.settings_dict
    identity = ":".join(str(configured.get(key) or "") for key in ("ENGINE", "HOST", "PORT", "NAME"))
    return {"server": connection.display_name, "identity": identity, "read_only": None}
