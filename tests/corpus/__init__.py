"""Small faulty projects, and healthy ones beside them that look alike; a module for each family of checks."""

from corpus import databases, history, relations, routers, rows, strangers, tables

CASES = (
    *relations.CASES,
    *routers.CASES,
    *databases.CASES,
    *history.CASES,
    *tables.CASES,
    *rows.CASES,
    *strangers.CASES,
)
