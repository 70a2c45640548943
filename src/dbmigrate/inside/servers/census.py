"""How much each schema of a database holds: shows what a step did where its own connection does not look."""

from django.db import Error as DatabaseError

MOST_IN_ONE_QUESTION = 200
"""Schemas whose records are counted by one statement."""


def take_census(connection):
    """Return (current schema, {schema: {"tables": …, "records": …}}); None for what this server cannot say.

    "records" are rows of the schema's django_migrations. System schemas are left out. Only PostgreSQL has schemas
    inside of a database; where one of them may not be read nothing is counted.
    """
    if connection.vendor != "postgresql":
        return None, None
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_schema()")
            own = cursor.fetchone()[0]
            cursor.execute(
                "SELECT n.nspname, count(*), count(*) FILTER (WHERE c.relname = 'django_migrations')"
                " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
                " WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
                " GROUP BY 1 ORDER BY 1"
            )
            rows = cursor.fetchall()
            counted = {schema: {"tables": tables, "records": 0} for schema, tables, _ in rows}
            recording = [schema for schema, _, has_records in rows if has_records]
            for start in range(0, len(recording), MOST_IN_ONE_QUESTION):
                for schema, records in _count_records(connection, cursor, recording[start:][:MOST_IN_ONE_QUESTION]):
                    counted[schema]["records"] = records
    except DatabaseError:
        return None, None
    return own, counted


def _count_records(connection, cursor, schemas):
    question = " UNION ALL ".join(
        "SELECT %s::text, count(*) FROM {}.django_migrations".format(
            connection.ops.quote_name(schema).replace("%", "%%")  # the statement has parameters
        )
        for schema in schemas
    )
    cursor.execute(question, schemas)
    return cursor.fetchall()
