"""What can be known to be wrong before anything is touched: small pure rules over a snapshot and its routing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from dbmigrate.errors import UsageError
from dbmigrate.models.check_ids import (
    ALREADY_THERE,
    CONFLICTS,
    CROSS_DATABASE_RELATIONS,
    DANGERS,
    HALF_DONE_MIGRATIONS,
    MISSING_TABLES,
    MODEL_CHANGES,
    MUTUAL_NEEDS,
    PHASES,
    PHASES_BEHIND,
    REFUSED_INSERTS,
    UNMIGRATED_APPS,
)
from dbmigrate.models.findings import Category, Finding, is_of_linter
from dbmigrate.models.snapshot import Snapshot
from dbmigrate.nearest import nearest
from dbmigrate.planning.checks.already_there import find_already_there
from dbmigrate.planning.checks.apps_without_database import find_apps_without_database
from dbmigrate.planning.checks.conflicts import find_conflicts
from dbmigrate.planning.checks.contradicting_routers import find_contradicting_routers
from dbmigrate.planning.checks.cross_database_relations import find_cross_database_relations
from dbmigrate.planning.checks.dangers import find_dangers
from dbmigrate.planning.checks.data_migrations import find_data_migrations
from dbmigrate.planning.checks.endless_migrations import find_endless_migrations
from dbmigrate.planning.checks.half_done_migrations import find_half_done_migrations
from dbmigrate.planning.checks.inconsistent_history import find_inconsistent_history
from dbmigrate.planning.checks.lacking_rights import find_lacking_rights
from dbmigrate.planning.checks.missing_tables import find_missing_tables
from dbmigrate.planning.checks.model_changes import find_model_changes
from dbmigrate.planning.checks.mutual_needs import find_mutual_needs
from dbmigrate.planning.checks.phases import find_phases, find_phases_behind
from dbmigrate.planning.checks.refused_inserts import find_refused_inserts
from dbmigrate.planning.checks.refusing_columns import find_refusing_columns
from dbmigrate.planning.checks.router_errors import find_router_errors
from dbmigrate.planning.checks.routing_rules import find_broken_rules, find_rules_not_followed
from dbmigrate.planning.checks.shared_databases import find_shared_databases
from dbmigrate.planning.checks.stray_renames import find_stray_renames
from dbmigrate.planning.checks.unasking_operations import find_unasking_operations
from dbmigrate.planning.checks.unclaimed_databases import find_unclaimed_databases
from dbmigrate.planning.checks.unknown_migrations import find_unknown_migrations
from dbmigrate.planning.checks.unmigrated_apps import find_unmigrated_apps
from dbmigrate.planning.routing import Routing

GoesWith = Literal["files", "history", "tables"]
"""What has to be made anew (the migration files, the records, the tables) so that a finding is gone by itself."""


@dataclass(frozen=True)
class Rule:
    """One check."""

    id: str
    find: Callable[[Snapshot, Routing], Iterator[Finding]]
    category: Category | None = None
    goes_with: GoesWith | None = None
    needs_databases: bool = False
    """Whether it can only be answered by asking the databases."""
    is_about_plan: bool = False
    """Whether it holds only where a plan has one of the migrations that it is about."""
    may_be_ignored: bool = False
    """Of one that stops a run: whether `ignore` lets the run continue, because it is read from sources, grants or
    catalogues, which can mean something else than they seem to."""


RULES: tuple[Rule, ...] = (
    Rule(MODEL_CHANGES, find_model_changes, category="model-changes"),
    Rule(CONFLICTS, find_conflicts, goes_with="files"),
    Rule("DBM103", find_inconsistent_history, goes_with="history", needs_databases=True),
    Rule(UNMIGRATED_APPS, find_unmigrated_apps),
    Rule("DBM105", find_endless_migrations),
    Rule(CROSS_DATABASE_RELATIONS, find_cross_database_relations, goes_with="tables"),
    Rule("DBM202", find_broken_rules),
    Rule("DBM203", find_rules_not_followed),
    Rule("DBM204", find_apps_without_database),
    Rule("DBM205", find_router_errors),
    Rule("DBM206", find_unclaimed_databases),
    Rule("DBM207", find_shared_databases, needs_databases=True),
    Rule("DBM208", find_data_migrations),
    Rule("DBM209", find_unasking_operations, is_about_plan=True, may_be_ignored=True),
    Rule(MUTUAL_NEEDS, find_mutual_needs, needs_databases=True, may_be_ignored=True),
    Rule("DBM211", find_contradicting_routers, may_be_ignored=True),
    Rule("DBM212", find_stray_renames, is_about_plan=True, may_be_ignored=True),
    Rule(MISSING_TABLES, find_missing_tables, category="drift", needs_databases=True),
    Rule("DBM302", find_unknown_migrations, category="drift", needs_databases=True),
    Rule(HALF_DONE_MIGRATIONS, find_half_done_migrations, needs_databases=True),
    Rule(DANGERS, find_dangers, needs_databases=True),
    Rule("DBM305", find_lacking_rights, needs_databases=True, may_be_ignored=True),
    Rule("DBM306", find_refusing_columns, category="drift", needs_databases=True),
    Rule(
        ALREADY_THERE,
        find_already_there,
        category="drift",
        goes_with="history",
        needs_databases=True,
        is_about_plan=True,
        may_be_ignored=True,
    ),
    Rule(PHASES, find_phases),
    Rule(PHASES_BEHIND, find_phases_behind, needs_databases=True),
    Rule(REFUSED_INSERTS, find_refused_inserts, needs_databases=True, is_about_plan=True),
)
"""In the order of their ids."""

IDS = tuple(rule.id for rule in RULES)

IGNORABLE = frozenset(rule.id for rule in RULES if rule.may_be_ignored)

GOES_WITH = {rule.id: rule.goes_with for rule in RULES}

OF_PLANS = frozenset(rule.id for rule in RULES if rule.is_about_plan)


def run_checks(snapshot: Snapshot, routing: Routing, ignored: Collection[str] = ()) -> tuple[Finding, ...]:
    """Return what every rule finds, in the order of the ids, but for ignored ids.

    What stops a run and is ignored still stops it, or is a warning where its rule may be ignored.
    """
    return tuple(
        _ignore(rule, finding) if rule.id in ignored else _with_way_out(rule, finding)
        for rule in RULES
        for finding in _find(rule, snapshot, routing)
        if finding.stops or rule.id not in ignored
    )


def _find(rule: Rule, snapshot: Snapshot, routing: Routing) -> Iterator[Finding]:
    for finding in rule.find(snapshot, routing):
        yield finding if rule.category is None else finding.model_copy(update={"category": rule.category})


def _ignore(rule: Rule, finding: Finding) -> Finding:
    return finding.model_copy(update={"stops": False, "level": "warning"}) if rule.may_be_ignored else finding


def _with_way_out(rule: Rule, finding: Finding) -> Finding:
    """Return a finding that stops and may be ignored with a hint that says so; others as they are."""
    if not (finding.stops and rule.may_be_ignored):
        return finding
    hint = f'{finding.hint.removesuffix(";")}; if this is wrong, ignore = ["{rule.id}"] under [tool.dbmigrate]'
    return finding.model_copy(update={"hint": hint})


def check_ids(ids: Sequence[str], origin: str) -> None:
    """Do nothing if there is a check of each of these ids.

    Raises:
        UsageError: there is none; `origin` is where it was written.
    """
    for identifier in ids:
        if identifier not in IDS and not is_of_linter(identifier):
            raise UsageError(f"{origin}: there is no check {identifier}", hint=nearest(identifier, IDS, what="checks"))
