"""Which rights a database's role lacks for what is pending there; the server is asked, and nothing is tried."""

from __future__ import annotations

from typing import Any

from django.db import Error as DatabaseError

from ..migrations.meddling import may_give_rights, receiver_may_give_rights
from ..migrations.table_acts import follow_plan
from ..sentences import one_line
from ..servers.grants import MysqlRights, UnknownGrantsError
from ..servers.privileges import PostgresqlRights
from .applications import live_receivers
from .commands import find_replaced_commands
from .missing_tables import has_table

RECORD = "django_migrations"

_SERVERS: dict[str, Any] = {"postgresql": PostgresqlRights, "mysql": MysqlRights}


def describe_rights(connection, loader, effects, plan, tables):
    """Return role, rights_unknown and lacking of models.database.Database.

    `plan`: what is pending there or was asked for, [(migration, backwards)]; `tables`: the folded names of what is
    there. Where a project replaces `migrate` nothing is claimed: nobody knows in which schema and as whom it works.
    """
    described: dict[str, Any] = {"role": None, "rights_unknown": None, "lacking": []}
    if not plan or connection.vendor not in _SERVERS or "migrate" in find_replaced_commands():
        return described
    try:
        with connection.cursor() as cursor:
            rights = _SERVERS[connection.vendor](connection, cursor)
            described["lacking"] = _find(rights, connection, loader, effects, plan, tables)
            described["role"] = rights.role
    except (DatabaseError, UnknownGrantsError) as error:
        described["rights_unknown"] = one_line(str(error))
    return described


def _find(rights, connection, loader, effects, plan, tables):
    """Return models.migrations.LackingRight for what is known to be lacking: not what code may have changed by then."""
    for_record = rights.lacks_for_record(
        RECORD, is_there=RECORD in tables, directions={"backwards" if back else "forwards" for _, back in plan}
    )
    if not for_record and not rights.is_limited:
        return []
    if any(receiver_may_give_rights(receiver) for receiver in live_receivers("pre_migrate")):
        return []
    found: dict[Any, list[Any]] = {}
    is_changed = False
    for doing, lacks in _follow(rights, connection, loader, effects, plan, tables):
        is_changed = is_changed or may_give_rights(doing.reaching.operation)
        if is_changed:
            break
        for lack in lacks:
            needers = found.setdefault(lack, [])
            needer = {
                "id": "{}.{}".format(doing.migration.app_label, doing.migration.name),
                "model": doing.reaching.model,
                "answer": doing.reaching.answer,
            }
            if needer not in needers:
                needers.append(needer)
    # The table is made before any operation runs, and written to only after the first.
    recording = () if is_changed and RECORD in tables else for_record
    return [
        {**lack._asdict(), "is_for_record": lack in recording, "needed_by": found.get(lack, [])}
        for lack in [*recording, *(lack for lack in found if lack not in recording)]
    ]


def _follow(rights, connection, loader, effects, plan, tables):
    """Yield (table_acts.Doing, what is lacking for it) in the order of the plan."""
    made: set[str] = set()
    for doing in follow_plan(connection, loader, plan, lambda *planned: effects.reaching(connection, *planned)):
        made.update(need.name for need in doing.needs if need.act == "make")
        yield (
            doing,
            [
                lack
                for need in doing.needs
                # Of a table that is made and already there: --fake-initial leaves it, or making it fails.
                if not (need.name in made and has_table(need.name, tables) and '"."' not in need.name)
                for lack in rights.lacks(need, is_made=need.name in made)
            ],
        )
