"""What can be known to be wrong before anything is touched: small pure rules over a snapshot and its routing."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from dbmigrate.checks.apps_without_database import find_apps_without_database
from dbmigrate.checks.conflicts import find_conflicts
from dbmigrate.checks.inconsistent_history import find_inconsistent_history
from dbmigrate.checks.model_changes import find_model_changes
from dbmigrate.checks.open_databases import find_open_databases
from dbmigrate.checks.router_errors import find_router_errors
from dbmigrate.checks.routing_rules import find_broken_rules, find_rules_not_followed
from dbmigrate.checks.shared_databases import find_shared_databases
from dbmigrate.checks.unmigrated_apps import find_unmigrated_apps
from dbmigrate.models.findings import Finding
from dbmigrate.models.snapshot import Snapshot
from dbmigrate.routing import Routing

Rule = Callable[[Snapshot, Routing], Iterator[Finding]]

RULES: tuple[Rule, ...] = (
    find_model_changes,
    find_conflicts,
    find_inconsistent_history,
    find_unmigrated_apps,
    find_broken_rules,
    find_rules_not_followed,
    find_apps_without_database,
    find_router_errors,
    find_open_databases,
    find_shared_databases,
)
"""In the order of their ids."""


def run_checks(snapshot: Snapshot, routing: Routing) -> tuple[Finding, ...]:
    """Return what every rule finds, in the order of the ids."""
    return tuple(finding for rule in RULES for finding in rule(snapshot, routing))
