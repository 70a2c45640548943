"""What it would do on a database to undo migrations there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..migrations.effects import database_operations
from ..servers.troubles import explain_failure
from .databases import MigrationDescriber
from .missing_tables import fold
from .rights import describe_rights

if TYPE_CHECKING:
    from ..protocol import ReachedReply, UndoingReply


def describe_undoing(connection, disk, effects, undone) -> UndoingReply | ReachedReply:
    """Return what undoing would do, and which rights it lacks; `undone`: ids in the order they would be undone.

    Of a database that does not answer any more: why, as `inspect` says it.
    """
    try:
        loader = disk.for_connection(connection)
        tables = fold(connection.introspection.table_names())
        plan = [(disk.loader.disk_migrations[tuple(identifier.split(".", 1))], True) for identifier in undone]
        described = MigrationDescriber(connection, loader, effects, tables, set()).describe(plan, only_what_stays=True)
        rights = describe_rights(connection, loader, effects, plan, tables)
        return {
            "undoing": {
                identifier: {**effect, "irreversible": _find_irreversible(migration)}
                for identifier, (migration, _, effect) in zip(undone, described)
            },
            "role": rights["role"],
            "rights_unknown": rights["rights_unknown"],
            "lacking": rights["lacking"],
        }
    except Exception as error:
        failure = explain_failure(error, connection)
        if failure is None:
            raise
        return failure
    finally:
        connection.close()


def _find_irreversible(migration):
    """Return the operation for which Django cannot undo a migration (Migration.unapply), or None."""
    operations = [*migration.operations, *database_operations(migration.operations)]
    return next((operation.describe() for operation in operations if not operation.reversible), None)
