"""What makemigrations did, held against what the models said that it would do."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from dbmigrate.commands.review import CommandContext
from dbmigrate.errors import ModelChangesError, ProjectError
from dbmigrate.models.apps import Change
from dbmigrate.models.migrations import MigrationId, label_of
from dbmigrate.models.snapshot import Snapshot
from dbmigrate.planning.outcome import new_migrations


def check_written(
    work: CommandContext,
    before: Snapshot,
    changes: Sequence[Change],
    written: Collection[MigrationId],
    *,
    way_on: str = "",
) -> None:
    """Do nothing if makemigrations, which ended well, wrote what it had to; a file may also have been amended.

    `way_on`: what can be passed to continue without it.

    Raises:
        ModelChangesError: models changed that no migration describes, still.
    """
    apps = {label_of(identifier) for identifier in written}
    silent = [change for change in changes if change.app not in apps]
    if not silent:
        return
    work.host.inspect()
    still = {change.app for change in work.host.find_changes([change.app for change in silent]) or ()}
    left = [change for change in silent if change.app in still]
    if left:
        described = "; ".join(f"{change.app} ({', '.join(change.operations)})" for change in left)
        module = before.commands["makemigrations"].module
        raise ModelChangesError(
            f"makemigrations exited with 0 but wrote no migration for {described}; the command comes from {module}"
            + (f"; written: {', '.join(written)}; no database was touched" if written else ""),
            changed=bool(written),
            hint="see what it does: "
            + before.project.to_type("makemigrations", *(change.app for change in left))
            + (
                f"; to continue without: {way_on}, or for good: skip_makemigrations = true under [tool.dbmigrate]"
                if way_on
                else ""
            ),
        )


def is_as_before(work: CommandContext, before: Snapshot) -> bool:
    """Return whether no migration was written since; False also where one was that cannot be read."""
    try:
        return not new_migrations(before, work.host.inspect())
    except ProjectError:
        return False
