"""What to do about a finding in an app that is installed: nobody writes into its files."""

from __future__ import annotations

from dbmigrate.models.snapshot import Snapshot


def is_installed(snapshot: Snapshot, label: str) -> bool:
    """Return whether an app is there and its migrations are not the project's to write."""
    app = snapshot.app(label)
    return app is not None and not app.is_own


def hint_where(snapshot: Snapshot, label: str, hint: str, *, identifier: str) -> str:
    """Return the hint to change a migration of an app; of one that is installed, the other ways out."""
    if not is_installed(snapshot, label):
        return hint
    return (
        f"{label} is a third-party app: upgrade to a release that fixes this, "
        f'or let MIGRATION_MODULES = {{"{label}": "…"}} name a copy of its migrations in the project; '
        f'to silence this: ignore = ["{identifier}"] under [tool.dbmigrate]'
    )
