"""Which apps and migrations a command that writes files may be given."""

from __future__ import annotations

import os
from pathlib import Path

from dbmigrate.errors import ModelChangesError, UsageError
from dbmigrate.models.apps import App
from dbmigrate.models.selection import Selection
from dbmigrate.models.snapshot import Snapshot
from dbmigrate.nearest import nearest

EVERYTHING = Selection(make_migrations=False)
"""What is reviewed before and after files are written."""


def check_own(app: App) -> None:
    """Do nothing if the app is the project's own.

    Raises:
        UsageError: it is a third-party app.
    """
    if not app.is_own:
        raise UsageError(
            f"app {app.label} is a third-party app ({app.why}): its migrations are in {app.migrations_folder}",
            hint=f"upgrade to a release of {app.label} that has the migration, or set MIGRATION_MODULES in the "
            "settings to a package of the project",
            changed=False,
        )


def check_writable(app: App) -> None:
    """Do nothing if migrations can be written into the folder of an app.

    Raises:
        ModelChangesError: they cannot.
    """
    folder = Path(app.migrations_folder)
    there = next(place for place in (folder, *folder.parents) if place.exists())
    if not os.access(there, os.W_OK):
        raise ModelChangesError(
            f"the migrations folder of app {app.label} is not writable: {folder}",
            hint="make the folder writable, or create the migration where the source code is",
            changed=False,
        )


def find_app(snapshot: Snapshot, label: str) -> App:
    """Return the app of a label.

    Raises:
        UsageError: there is none.
    """
    app = snapshot.app(label)
    if app is None:
        raise UsageError(
            f"there is no app {label} in INSTALLED_APPS",
            hint=nearest(label, [known.label for known in snapshot.apps], what="apps"),
        )
    return app
