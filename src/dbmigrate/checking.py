"""The use case of `check`: everything that can be known to be wrong, told without touching anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dbmigrate.app import Work, review, targeted_aliases, wait_for_silent
from dbmigrate.checks import RULES, check_ids
from dbmigrate.models.reports import CheckReport, FailOn, NotChecked, NotRun
from dbmigrate.models.selection import Selection
from dbmigrate.preflight import find_silent

LOOK = Selection(make_migrations=False)


@dataclass(frozen=True)
class Wanted:
    """What of the checks is wanted, and what makes them fail."""

    select: tuple[str, ...] = ()
    """Ids; empty means all."""
    ignore: tuple[str, ...] = ()
    fail_on: FailOn = "error"
    pending: bool = False
    """Whether to fail also where migrations are not applied."""
    offline: bool = False
    """Whether to leave the databases alone."""


def check(work: Work, wanted: Wanted) -> CheckReport:
    """Run the checks that are wanted and answer what they found; a database that does not answer is left out.

    Raises:
        UsageError: an id that is not there.
    """
    check_ids(wanted.select, "--select")
    contact = not wanted.offline
    reviewed = review(work, LOOK, changes=True, contact=contact)
    silent = find_silent(reviewed.snapshot, reviewed.routing, LOOK)
    if silent and wait_for_silent(work, reviewed.snapshot, silent):
        reviewed = review(work, LOOK, changes=True)
        silent = find_silent(reviewed.snapshot, reviewed.routing, LOOK)
    ids = _chosen_ids(wanted)
    not_run = [rule.id for rule in RULES if rule.id in ids and rule.needs_databases and wanted.offline]
    targeted = targeted_aliases(reviewed.plan)
    return CheckReport(
        project=reviewed.snapshot.project,
        databases=tuple(alias for alias in targeted if alias not in silent),
        checks=tuple(identifier for identifier in ids if identifier not in not_run),
        findings=tuple(finding for finding in reviewed.findings if finding.id in ids and finding.id not in not_run),
        not_run=tuple(NotRun(id=identifier, because="it has to ask the databases") for identifier in not_run),
        not_checked=tuple(
            NotChecked(alias=database.alias, error=database.error or database.state)
            for database in reviewed.snapshot.databases
            if database.alias in silent
        ),
        pending={alias: reviewed.plan.pending_on(alias) for alias in targeted} if wanted.pending else None,
        fail_on=wanted.fail_on,
    )


def _chosen_ids(wanted: Wanted) -> Sequence[str]:
    return [
        rule.id for rule in RULES if (not wanted.select or rule.id in wanted.select) and rule.id not in wanted.ignore
    ]
