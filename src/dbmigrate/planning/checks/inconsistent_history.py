"""DBM103: a migration is recorded before one that it depends on, or only a part of a squashed one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from shlex import quote

from dbmigrate.models.database import CutOff
from dbmigrate.models.findings import Finding
from dbmigrate.models.migrations import MigrationId, label_of
from dbmigrate.models.snapshot import Snapshot
from dbmigrate.planning.routing import Routing

# Django's words (django/db/migrations/loader.py, check_consistent_history, the same from 3.2 to 6.0).
WORDS = re.compile(r"Migration (?P<later>\S+) is applied before its dependency (?P<earlier>\S+) on database")


def find_inconsistent_history(snapshot: Snapshot, routing: Routing) -> Iterator[Finding]:
    """Yield a finding for each database, with Django's words."""
    for database in snapshot.databases:
        if database.inconsistent is None or not routing.is_checked(database.alias):
            continue
        if database.cut_off:
            yield _describe_cut_off(snapshot, database.alias, database.inconsistent, database.cut_off[0])
            continue
        match = WORDS.match(database.inconsistent)
        later, earlier = match.group("later", "earlier") if match else ("APP.MIGRATION", "APP.MIGRATION")
        app = label_of(earlier)
        record, take_back = (
            _recorder(snapshot, act, database.alias, identifier)
            for act, identifier in (("record_applied", earlier), ("record_unapplied", later))
        )
        yield Finding(
            id="DBM103",
            level="error",
            stops=True,
            message=f"the history of database {database.alias} is inconsistent: {database.inconsistent}",
            # Django looks at the history before it fakes or undoes anything, so neither is a way out.
            hint=(
                f"if everything that {earlier} creates and writes (RunPython, RunSQL) is there, record it: {record}; "
                f"otherwise remove the record of {later}: {take_back}"
            ),
            aliases=(database.alias,),
            apps=tuple(dict.fromkeys((label_of(later), app))) if match else (),
            subject=("migration", later) if match else (),
        )


def _describe_cut_off(snapshot: Snapshot, alias: str, words: str, cut_off: CutOff) -> Finding:
    squashed, gone = cut_off.squashed, ", ".join(cut_off.gone)
    app = label_of(squashed)
    record = "; ".join(_recorder(snapshot, "record_applied", alias, one) for one in cut_off.gone)
    return Finding(
        id="DBM103",
        level="error",
        stops=True,
        message=f"the history of database {alias} is inconsistent: {words}",
        hint=(
            f"restore the files of all migrations that {squashed} replaces, for example from version control, and run: "
            f"dbmigrate run --app {app} --database {quote(alias)}; or, if everything that {gone} creates and writes "
            f"(RunPython, RunSQL) is there, record it: {record}"
        ),
        aliases=(alias,),
        apps=(app,),
        subject=("migration", squashed),
    )


def _recorder(snapshot: Snapshot, act: str, alias: str, identifier: MigrationId) -> str:
    app, name = identifier.split(".", 1)
    return (
        f'{snapshot.project.to_type("shell")} -c "from django.db import connections; '
        "from django.db.migrations.recorder import MigrationRecorder; "
        f"MigrationRecorder(connections['{alias}']).{act}('{app}', '{name}')\""
    )
