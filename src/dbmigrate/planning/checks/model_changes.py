"""DBM101: models changed and no migration says so."""

from __future__ import annotations

from collections.abc import Iterator

from dbmigrate.models.apps import Unstarted
from dbmigrate.models.check_ids import MODEL_CHANGES
from dbmigrate.models.findings import Finding
from dbmigrate.models.snapshot import Snapshot
from dbmigrate.planning.project_commands import make_hint
from dbmigrate.planning.routing import Routing
from dbmigrate.planning.unstarted_apps import describe_unstarted, find_stuck


def find_model_changes(snapshot: Snapshot, _routing: Routing) -> Iterator[Finding]:
    """Yield a finding for each app; a warning where its migrations are not the project's to write.

    An app without any is found also where no models were compared, if Django can do nothing until it has some.
    """
    stuck = {unstarted.app: unstarted for unstarted in find_stuck(snapshot) if unstarted.stops_django}
    changed = [change.app for change in snapshot.changes or ()]
    for label, unstarted in stuck.items():
        app = snapshot.app(label)
        if label not in changed or app is None or not app.is_own:
            yield _describe_stuck(snapshot, unstarted)
    for change in snapshot.changes or ():
        app = snapshot.app(change.app)
        is_own = app is not None and app.is_own
        if change.app in stuck and not is_own:
            continue
        reason = f" ({describe_unstarted(snapshot, stuck[change.app])[0]})" if change.app in stuck else ""
        yield Finding(
            id=MODEL_CHANGES,
            level="error" if is_own else "warning",
            stops=False,
            message=f"the models of {change.app} changed, but no migration covers this: {'; '.join(change.operations)}"
            + reason,
            hint=(
                make_hint(snapshot, change.app)
                if is_own
                else f"{change.app} is a third-party app: upgrade to a release that has the migration, "
                "or use a setting of it (such as DEFAULT_AUTO_FIELD)"
            ),
            apps=(change.app,),
            subject=() if change.model is None else ("model", change.model),
        )


def _describe_stuck(snapshot: Snapshot, unstarted: Unstarted) -> Finding:
    app = snapshot.app(unstarted.app)
    message, hint = describe_unstarted(snapshot, unstarted)
    return Finding(
        id=MODEL_CHANGES,
        level="error",
        stops=False,
        message=message,
        hint=hint,
        apps=(unstarted.app,),
        subject=("model", f"{app.label}.{app.models[0].name}") if app is not None and app.models else (),
    )
