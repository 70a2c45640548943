"""What `check --lint` adds: a linter reads the pending SQL of every PostgreSQL database."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from dbmigrate.commands.review import CommandContext, Review, locate_findings
from dbmigrate.commands.squawk import Squawk, findings_of, write_script
from dbmigrate.errors import UsageError
from dbmigrate.models.database import Database
from dbmigrate.models.findings import Finding, is_of_linter
from dbmigrate.models.migrations import MigrationId
from dbmigrate.models.reports import Linted, LintReport, NotLinted
from dbmigrate.models.selection import CheckSelection
from dbmigrate.models.settings import LINTER
from dbmigrate.models.sql import MigrationSql


def check_lint(wanted: CheckSelection) -> None:
    """Do nothing if what is selected and --lint go together.

    Raises:
        UsageError: one of them finds nothing without the other.
    """
    asked = [identifier for identifier in wanted.select if is_of_linter(identifier)]
    if asked and wanted.squawk is None:
        raise UsageError(f"--select: {asked[0]} is a linter rule and needs --lint", hint="add --lint")
    if wanted.squawk is not None and wanted.select and not asked:
        raise UsageError(
            "--lint is given, but --select names no linter rule", hint=f"--select {','.join((*wanted.select, LINTER))}"
        )


def lint(
    work: CommandContext, reviewed: Review, wanted: CheckSelection, executable: str, silent: Sequence[str]
) -> tuple[LintReport, tuple[Finding, ...]]:
    """Let the linter read what is pending on each PostgreSQL database, and return its findings with their places."""
    squawk = Squawk(
        executable, work.target.root, work.environment, exclude=_rules(wanted.ignore), include=_rules(wanted.select)
    )
    linted, not_linted, findings = [], [], []
    for database in reviewed.snapshot.databases:
        steps = [step for step in reviewed.plan.steps_on(database.alias) if step.migrations]
        pending = tuple(migration.id for step in steps for migration in step.migrations)
        if not steps or database.alias in silent:
            continue
        if database.vendor != "postgresql":
            reason = f"squawk reads only the SQL of PostgreSQL, not of {database.vendor}"
            not_linted.append(NotLinted(alias=database.alias, migrations=pending, because=reason))
            continue
        sql = [written for step in steps for written in work.host.sql(step.alias, step.migrations, step.scope)]
        for written in sql:
            if written.problem is not None:
                reason = written.why_not
                not_linted.append(NotLinted(alias=database.alias, migrations=(written.id,), because=reason))
        readable = [written for written in sql if written.problem is None]
        linted.append(Linted(alias=database.alias, migrations=tuple(written.id for written in readable)))
        atomic = {migration.id for step in steps for migration in step.migrations if migration.atomic}
        findings += _lint_database(work, squawk, database, readable, atomic)
    chosen = [finding for finding in findings if _is_chosen(finding.id, wanted)]
    report = LintReport(linted=tuple(linted), not_linted=tuple(not_linted))
    return report, locate_findings(work, chosen)


def _lint_database(
    work: CommandContext,
    squawk: Squawk,
    database: Database,
    sql: Sequence[MigrationSql],
    atomic: Collection[MigrationId],
) -> list[Finding]:
    """Return what the linter finds: in all that runs in transactions together, and in each that does not on its own."""
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


def _is_chosen(identifier: str, wanted: CheckSelection) -> bool:
    names = {identifier, LINTER}
    return (not wanted.select or bool(names & {*wanted.select})) and not names & {*wanted.ignore}
