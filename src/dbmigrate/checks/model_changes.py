"""DBM101: models changed and no migration says so."""

from __future__ import annotations

from collections.abc import Iterator

from dbmigrate.models.findings import Finding
from dbmigrate.models.snapshot import Snapshot
from dbmigrate.routing import Routing
from dbmigrate.spelling import make_hint


def find_model_changes(snapshot: Snapshot, _routing: Routing) -> Iterator[Finding]:
    """Yield a finding for each app; a warning where its migrations are not the project's to write."""
    for change in snapshot.changes or ():
        app = snapshot.app(change.app)
        is_own = app is not None and app.is_own
        yield Finding(
            id="DBM101",
            level="error" if is_own else "warning",
            stops=False,
            message=f"the models of {change.app} changed and no migration says so: {'; '.join(change.operations)}",
            hint=(
                make_hint(snapshot, change.app)
                if is_own
                else f"{change.app} is installed, not the project's: look for a release that brings the migration, "
                "or a setting of it (such as DEFAULT_AUTO_FIELD)"
            ),
            apps=(change.app,),
            subject=() if change.model is None else ("model", change.model),
        )
