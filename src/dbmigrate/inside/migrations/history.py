"""What the records of one database say of themselves, and against the code."""

from django.db.migrations.exceptions import InconsistentMigrationHistory


def find_inconsistency(connection, loader, cut_off):
    """Return Django's words if a migration is recorded before one that it depends on, else None.

    And words of our own if a squashed migration is cut off, of which Django says nothing; `cut_off`: `find_cut_off`.
    """
    for (label, name), gone in cut_off:
        return (
            "{0}.{1} replaces migrations of which some are applied there, and others are neither applied nor on disk "
            "({2}), so Django ignores {0}.{1}".format(label, name, ", ".join("{}.{}".format(*key) for key in gone))
        )
    if not loader.may_be_inconsistent():
        return None
    try:
        loader.check_consistent_history(connection)
    except InconsistentMigrationHistory as error:
        return str(error)
    return None


def find_cut_off(connection, loader, effects):
    """Return [(squashed migration, those it replaces that are neither applied nor on disk)] where Django drops both.

    It drops a squashed migration of which only a part is applied, for those it replaces, whose files may be gone. Only
    what matters on this database: it does something there, or something of its app is pending.
    """
    found = []
    for key, migration in loader.replacements.items():
        replaced = [tuple(one) for one in migration.replaces]
        gone = [one for one in replaced if one not in loader.applied_migrations and one not in loader.disk_migrations]
        is_begun = any(one in loader.applied_migrations for one in replaced)
        if is_begun and gone and _matters(connection, loader, effects, key[0], migration):
            found.append((key, gone))
    return found


def _matters(connection, loader, effects, label, migration):
    return bool(effects.reaching(connection, migration)) or any(
        pending.app_label == label for pending, _ in loader.plan_all()
    )


def find_unknown(loader):
    """Return (migrations of code that is not this one, migrations gone from the code) of those that are recorded.

    Of other code, a newer release or another branch, is what was recorded after a migration of its app that this code
    knows. What was squashed away is older than all of those, or than the squashed one that stands for it.
    """
    known = loader.known
    oldest: dict[str, int] = {}
    squashed: dict[str, int] = {}
    for key, number in loader.recorded.items():
        if key in known:
            oldest[key[0]] = min(oldest.get(key[0], number), number)
            if "_squashed_" in key[1]:  # as squashmigrations names it; `replaces` goes when all databases have it
                squashed[key[0]] = max(squashed.get(key[0], number), number)
    unknown: list[tuple[str, str]] = []
    leftover: list[tuple[str, str]] = []
    for key, number in loader.recorded.items():
        if key not in known:
            label = key[0]
            is_other = label in loader.migrated_apps and number > max(oldest.get(label, 0), squashed.get(label, 0))
            (unknown if is_other else leftover).append(key)
    return unknown, leftover


def find_way_back(loader, unknown):
    """Return {app label: the last migration that this code knows and that was recorded before these; or "zero"}."""
    known = loader.known
    before = {}
    for label in {label for label, _ in unknown}:
        first = min(loader.recorded[key] for key in unknown if key[0] == label)
        earlier = [(number, key[1]) for key, number in loader.recorded.items() if key[0] == label and key in known]
        before[label] = max([one for one in earlier if one[0] < first], default=(0, "zero"))[1]
    return before


def find_left_tables(loader, records, tables, known_tables):
    """Return {app label: tables that are still there} of the apps of records that this code does not know.

    `tables`: folded names of what is there; `known_tables`: {folded name: app label} of all models of this code.
    """
    left = {}
    for label in sorted({label for label, _ in records}):
        prefix = "{}_".format(label).casefold()
        found = sorted(name for name in tables if name.startswith(prefix) and known_tables.get(name, label) == label)
        found = [name for name in found if name not in known_tables or label not in loader.migrated_apps]
        if found:
            left[label] = found
    return left
