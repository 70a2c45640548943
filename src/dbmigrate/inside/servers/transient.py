"""Which errors of a server pass by themselves, told by its codes; the words are for people."""

import sqlite3

POSTGRESQL = {
    "40001": "could not serialize access",
    "40P01": "deadlock detected",
    "55P03": "lock timed out",
}
"""By SQLSTATE."""

INTERNAL = "XX000"
CONCURRENTLY = ("tuple concurrently updated", "tuple concurrently deleted")
"""Of two sessions that write to one row of a catalogue; elog() translates no words (access/heap/heapam.c)."""

DUPLICATE = "23505"

MYSQL = {1020: "record changed since last read", 1205: "lock wait timed out", 1213: "deadlock detected"}
"""By the number of the error; 1020 is what MariaDB says where innodb_snapshot_isolation is on."""

SQLITE = ("database is locked", "database table is locked", "database schema is locked")
"""Python has the codes (SQLITE_BUSY, SQLITE_LOCKED) since 3.11 only; SQLite translates no words."""


def find_transient(error):
    """Return (code, words) if an exception, or what it came of, is an error of a server that passes; else None."""
    seen = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        found = _of_postgresql(error) or _of_mysql(error) or _of_sqlite(error)
        if found is not None:
            return found
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return None


def _of_postgresql(error):
    """Look for the SQLSTATE as psycopg 3 and psycopg2 have it."""
    code = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    diagnosis = getattr(error, "diag", None)
    if not isinstance(code, str) or diagnosis is None:
        return None
    if code in POSTGRESQL:
        return code, POSTGRESQL[code]
    said = getattr(diagnosis, "message_primary", None) or ""
    if code == INTERNAL and said in CONCURRENTLY:
        return code, said
    if code == DUPLICATE and getattr(diagnosis, "schema_name", None) == "pg_catalog":
        # CREATE … IF NOT EXISTS in two sessions: both have looked before either has made it.
        return code, "created concurrently by another session ({})".format(diagnosis.table_name)
    return None


def _of_mysql(error):
    module = type(error).__module__.partition(".")[0]
    if module not in ("MySQLdb", "pymysql", "mysql") or not error.args:
        return None
    number = error.args[0]
    return (str(number), MYSQL[number]) if isinstance(number, int) and number in MYSQL else None


def _of_sqlite(error):
    if not isinstance(error, sqlite3.OperationalError) or not error.args:
        return None
    return next((("SQLITE_BUSY", said) for said in SQLITE if str(error.args[0]).startswith(said)), None)
