"""The use case of `check`: everything that can be known to be wrong, told without touching anything."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from dbmigrate.app import Review, Work, locate_findings, review, targeted_aliases, wait_for_silent
from dbmigrate.checks import RULES, check_ids, is_of_linter
from dbmigrate.errors import UsageError
from dbmigrate.linting import Squawk, findings_of, write_script
from dbmigrate.models.findings import Finding
from dbmigrate.models.reports import CheckReport, FailOn, Linted, LintReport, NotChecked, NotLinted, NotRun
from dbmigrate.models.selection import Selection
from dbmigrate.models.settings import LINTER
from dbmigrate.models.snapshot import Database, MigrationId
from dbmigrate.models.sql import MigrationSql
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
    squawk: str | None = None
    """The linter, if it is to read the pending SQL."""


def check(work: Work, wanted: Wanted) -> CheckReport:
    """Run the checks that are wanted and answer what they found; a database that does not answer is left out.

    Raises:
        UsageError: an id that is not there.
    """
    check_ids(wanted.select, "--select")
    _check_lint(wanted)
    contact = not wanted.offline
    reviewed = review(work, LOOK, changes=True, contact=contact)
    silent = find_silent(reviewed.snapshot, reviewed.routing, LOOK)
    if silent and wait_for_silent(work, reviewed.snapshot, silent):
        reviewed = review(work, LOOK, changes=True)
        silent = find_silent(reviewed.snapshot, reviewed.routing, LOOK)
    lint, linted = _lint(work, reviewed, wanted, wanted.squawk, silent) if wanted.squawk is not None else (None, ())
    ids = _chosen_ids(wanted)
    not_run = [rule.id for rule in RULES if rule.id in ids and rule.needs_databases and wanted.offline]
    targeted = targeted_aliases(reviewed.plan)
    return CheckReport(
        project=reviewed.snapshot.project,
        databases=tuple(alias for alias in targeted if alias not in silent),
        checks=tuple(identifier for identifier in ids if identifier not in not_run),
        findings=(
            *(finding for finding in reviewed.findings if finding.id in ids and finding.id not in not_run),
            *linted,
        ),
        not_run=tuple(NotRun(id=identifier, because="it has to ask the databases") for identifier in not_run),
        not_checked=tuple(
            NotChecked(alias=database.alias, error=database.error or database.state)
            for database in reviewed.snapshot.databases
            if database.alias in silent
        ),
        pending={alias: reviewed.plan.pending_on(alias) for alias in targeted} if wanted.pending else None,
        fail_on=wanted.fail_on,
        lint=lint,
    )


def _chosen_ids(wanted: Wanted) -> Sequence[str]:
    return [
        rule.id for rule in RULES if (not wanted.select or rule.id in wanted.select) and rule.id not in wanted.ignore
    ]


def _check_lint(wanted: Wanted) -> None:
    asked = [identifier for identifier in wanted.select if is_of_linter(identifier)]
    if asked and wanted.squawk is None:
        raise UsageError(f"--select: {asked[0]} is found by the linter alone", hint="add --lint")
    if wanted.squawk is not None and wanted.select and not asked:
        raise UsageError(
            "--select names nothing of what --lint finds", hint=f"--select {','.join((*wanted.select, LINTER))}"
        )


def _lint(
    work: Work, reviewed: Review, wanted: Wanted, executable: str, silent: Sequence[str]
) -> tuple[LintReport, tuple[Finding, ...]]:
    """Let the linter read what is pending on each PostgreSQL database, and return its findings with their places."""
    squawk = Squawk(
        executable, work.target.root, work.environment, exclude=_rules(wanted.ignore), include=_rules(wanted.select)
    )
    linted, not_linted, findings = [], [], []
    for database in reviewed.snapshot.databases:
        steps = [step for step in reviewed.plan.steps if step.alias == database.alias and step.migrations]
        pending = tuple(migration.id for step in steps for migration in step.migrations)
        if not steps or database.alias in silent:
            continue
        if database.vendor != "postgresql":
            because = f"squawk reads the SQL of PostgreSQL alone, not of {database.vendor}"
            not_linted.append(NotLinted(alias=database.alias, migrations=pending, because=because))
            continue
        sql = [written for step in steps for written in work.host.sql(step.alias, step.migrations, step.scope)]
        for written in sql:
            if written.problem is not None:
                because = f"its SQL cannot be written down before those above it are applied: {written.problem}"
                not_linted.append(NotLinted(alias=database.alias, migrations=(written.id,), because=because))
        readable = [written for written in sql if written.problem is None]
        linted.append(Linted(alias=database.alias, migrations=tuple(written.id for written in readable)))
        atomic = {migration.id for step in steps for migration in step.migrations if migration.atomic}
        findings += _lint_database(work, squawk, database, readable, atomic)
    chosen = [finding for finding in findings if _is_chosen(finding.id, wanted)]
    report = LintReport(linted=tuple(linted), not_linted=tuple(not_linted))
    return report, locate_findings(work, chosen)


def _lint_database(
    work: Work, squawk: Squawk, database: Database, sql: Sequence[MigrationSql], atomic: Collection[MigrationId]
) -> list[Finding]:
    """Return what the linter finds: in all that runs in transactions together, and in each that does not by itself."""
    found = re.search(r"[0-9]+(\.[0-9]+)?", database.server)
    version = found[0] if found is not None else None
    together = [written for written in sql if written.id in atomic and written.statements]
    texts = [together, *([written] for written in sql if written.id not in atomic and written.statements)]
    findings: list[Finding] = []
    for migrations in texts:
        if migrations:
            script = write_script(
                migrations, in_transaction=migrations is together, lock_timeout=work.settings.ddl_lock_timeout
            )
            violations = squawk.read(script.text, version=version)
            findings += findings_of(violations, script, database.alias)
    return findings


def _rules(ids: Sequence[str]) -> list[str]:
    """Return the names of rules as the linter knows them; that of what it cannot read is no rule to it."""
    names = [identifier.partition(":")[2] for identifier in ids if is_of_linter(identifier)]
    return [name for name in names if name and name != "syntax-error"]


def _is_chosen(identifier: str, wanted: Wanted) -> bool:
    names = {identifier, LINTER}
    return (not wanted.select or bool(names & {*wanted.select})) and not names & {*wanted.ignore}
