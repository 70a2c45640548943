"""Where the table of another app is made that a failed migration works with, and that was not there. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from dbmigrate.models.apps import App
from dbmigrate.models.migrations import MigrationId, label_of
from dbmigrate.models.plan import MigrationPlan
from dbmigrate.models.result import DatabaseResult, Failure, LackingTable, RunResult
from dbmigrate.models.snapshot import Snapshot

_LACKS_A_TABLE = re.compile(r"no such table|UndefinedTable|relation \S+ does not exist|\(1146, ")
"""SQLite's words, psycopg's class for 42P01 and PostgreSQL's words, MySQL's number."""

_LACKS_AN_APP = re.compile(r"LookupError: (?:No installed app with label|App) '(\w+)'")
"""What Django says of an app, or a model of one, that the migrations before this one have not made."""


def with_lacking_tables(result: RunResult, plan: MigrationPlan, after: Snapshot) -> RunResult:
    """Add to every failure for a table that another app makes where that is, and what is missing for it.

    `after`: the databases as they are after the run.
    """
    databases = []
    for database in result.databases:
        failure = database.failure
        if failure is not None and failure.migration is not None and not failure.backwards:
            lacks = _find(database, failure, failure.migration, plan, after)
            failure = failure.model_copy(update={"lacks": lacks})
        databases.append(database.model_copy(update={"failure": failure}))
    return result.model_copy(update={"databases": tuple(databases)})


def _find(
    database: DatabaseResult, failure: Failure, migration: MigrationId, plan: MigrationPlan, after: Snapshot
) -> LackingTable | None:
    said = "\n".join([failure.message, *failure.last_lines])
    named = _named_app(said, after)
    if named is None and _LACKS_A_TABLE.search(said):
        named = _named_table(said, after)
    if named is None:
        return None
    app, table = named
    homes = [entry.alias for entry in plan.databases if app.label in entry.apps]
    if app.label == label_of(migration) or not homes:
        return None
    home = database.alias if database.alias in homes else homes[0]
    # A model comes from the history of the database that is migrated, a table from where it belongs.
    waiting_on = home if table is not None else database.alias
    waiting = {one.id for entry in after.databases if entry.alias == waiting_on for one in entry.pending}
    parents = {one.id: one.after for entry in after.databases for one in entry.pending}
    missing = next(
        (
            identifier
            for identifier in (f"{app.label}.{name}" for name in reversed(app.migrations) if name not in app.replaced)
            if identifier in waiting and migration not in _needed(identifier, parents)
        ),
        None,
    )
    if missing is None and (table is None or home == database.alias):
        return None
    return LackingTable(table=table, app=app.label, alias=home, migration=missing)


def _named_app(said: str, snapshot: Snapshot) -> tuple[App, str | None] | None:
    """Return the app of this code that the history of a migration does not have, and no table."""
    found = _LACKS_AN_APP.search(said)
    app = snapshot.app(found[1]) if found is not None else None
    return None if app is None else (app, None)


def _named_table(said: str, snapshot: Snapshot) -> tuple[App, str | None] | None:
    """Return the app and the table of this code that an error names."""
    for app in snapshot.apps:
        for model in app.models:
            if re.search(rf"(?<!\w){re.escape(model.table)}(?!\w)", said, re.IGNORECASE):
                return app, model.table
    return None


def _needed(identifier: MigrationId, parents: Mapping[MigrationId, tuple[MigrationId, ...]]) -> set[MigrationId]:
    """Return what a pending migration depends on, directly or not, of what is pending."""
    found: set[MigrationId] = set()
    queue = [identifier]
    while queue:
        new = [parent for parent in parents.get(queue.pop(), ()) if parent not in found]
        found.update(new)
        queue += new
    return found
