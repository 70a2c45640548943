"""What the records of one database say of themselves, and against the code."""

from django.db.migrations.exceptions import InconsistentMigrationHistory


def find_inconsistency(connection, loader):
    """Return Django's words if a migration is recorded before one that it depends on, else None."""
    if not loader.may_be_inconsistent():
        return None
    try:
        loader.check_consistent_history(connection)
    except InconsistentMigrationHistory as error:
        return str(error)
    return None


def find_unknown(loader):
    """Return (migrations newer than the code, migrations gone from the code) of those that are recorded.

    Newer is what was recorded after all that the code knows of that app; what was squashed away is older.
    """
    # Their files may go as soon as there is the one that replaces them, which is recorded with the next migrate.
    known = {
        *loader.disk_migrations,
        *(key for migration in loader.disk_migrations.values() for key in migration.replaces),
    }
    newest = {}
    for key, number in loader.recorded.items():
        if key in known:
            newest[key[0]] = max(newest.get(key[0], 0), number)
    unknown, leftover = [], []
    for key, number in loader.recorded.items():
        if key not in known:
            is_newer = key[0] in loader.migrated_apps and number > newest.get(key[0], 0)
            (unknown if is_newer else leftover).append(key)
    return unknown, leftover
