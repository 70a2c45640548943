"""The words of the answers about databases and models: `status`, `check`, `info --explain`."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING

from dbmigrate.models.findings import Level
from dbmigrate.renderers.words import TROUBLES, extent, plural

if TYPE_CHECKING:
    # A run has nothing to do with the answers of the other commands, and need not load them.
    from dbmigrate.models.reports import CheckReport, DatabaseStatus, ExplainedDatabase

ROUTER_WORDS = {
    "yes": "True",
    "no": "False",
    "none": "None (no opinion)",
    "error": "raised",
    "silent": "has no allow_migrate",
}


def belonging(database: ExplainedDatabase) -> str:
    """Return whether a model belongs on a database, and why."""
    why = {
        "routers": "a router raised" if database.answer == "error" else "the first answer that is not None counts",
        "rules": "no router has an allow_migrate, so the routing rules decide",
        "default": "no router has an opinion, and it is the default database",
        "silence": "no router has an opinion here, and they refuse it on default, which Django reads as yes",
        "existing": "no router has an opinion, and its table is there already, with the record of its migration",
        "open": 'no router has an opinion, and the configuration says open = "migrate"',
        "nobody": "no router has an opinion, and it is not the default database",
        "unmanaged": "it has no table that Django creates",
        "unfit": "this kind of server cannot hold it (required_db_vendor, required_db_features)",
        "replica": "the database is a replica; it is written elsewhere",
    }[database.because]
    return f"{'it belongs here' if database.belongs else 'it does not belong here'}: {why}"


def check_verdict(report: CheckReport) -> str:
    """Return how many findings of each level `check` has, and on how many databases something is pending."""
    counted = Counter(finding.level for finding in report.findings)
    levels: tuple[Level, ...] = ("error", "warning", "note")
    found = [plural(counted[level], level) for level in levels if counted[level]]
    if pending := [alias for alias, migrations in (report.pending or {}).items() if migrations]:
        found.append(f"migrations pending on {plural(len(pending), 'database')}")
    where = f"{plural(len(report.databases), 'database')} checked{extent(report.limits)}"
    if not report.databases and not report.not_checked:
        where = "no database was checked (see the kind of each: dbmigrate status)"
    if report.is_offline:
        where = "no database was checked (--offline)"
    return f"{where}: {', '.join(found) or 'nothing found'}"


def server(database: DatabaseStatus) -> str:
    """Return what a database that answers is."""
    return f"{database.server}, no file yet" if database.state == "absent" else database.server or database.state


def short_server(database: DatabaseStatus) -> str:
    """Return the product and its release without the last part: "PostgreSQL 17", "SQLite 3.40"."""
    if database.state != "ok":
        return "no file yet" if database.state == "absent" else database.state
    product, _, version = server(database).rpartition(" ")
    return f"{product} {version.rpartition('.')[0] or version}".strip()


def ago(at: str, now: datetime) -> str:
    """Return "2 h ago" for a time in ISO 8601, or its date where it is long ago; local times cannot be compared."""
    then = datetime.fromisoformat(at)
    if then.tzinfo is None:
        return f"{then:%Y-%m-%d %H:%M}"
    seconds = (now - then).total_seconds()
    for limit, unit, size in ((60, "s", 1), (3600, "min", 60), (48 * 3600, "h", 3600), (60 * 86400, "d", 86400)):
        if 0 <= seconds < limit:
            return f"{int(seconds // size)} {unit} ago"
    return f"{then:%Y-%m-%d}"


def silence(database: DatabaseStatus) -> str:
    """Return in a few words that a database does not answer, and why."""
    if database.trouble == "backend":
        return f"not checked: {TROUBLES[database.trouble]}"
    why = TROUBLES[database.trouble] if database.trouble not in (None, "other") else ""
    return f"{database.state}: {why}" if why else database.state
