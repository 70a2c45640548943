"""The use case of `check`: everything that can be known to be wrong, told without touching anything."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from dbmigrate.commands.lint import check_lint, lint
from dbmigrate.commands.review import CommandContext, ReviewOptions, review_patiently
from dbmigrate.models.check_ids import CONFLICTS, MODEL_CHANGES
from dbmigrate.models.events import Event
from dbmigrate.models.findings import FailOn, Finding, Level
from dbmigrate.models.reports import CheckReport, NotChecked, NotRun
from dbmigrate.models.selection import CheckSelection, Selection
from dbmigrate.planning.checks import RULES, check_ids
from dbmigrate.planning.preflight import check_order, find_cures, find_silent

FAILING: dict[FailOn, tuple[Level, ...]] = {
    "note": ("note", "warning", "error"),
    "warning": ("warning", "error"),
    "error": ("error",),
    "destructive": ("error",),
}
"""By `--fail-on`: the levels of findings that make the command fail."""


def check(work: CommandContext, wanted: CheckSelection) -> Generator[Event, None, CheckReport]:
    """Run the checks that are wanted and answer what they found; a database that does not answer is left out.

    Raises:
        UsageError: an id or a database that is not there.
    """
    selection = Selection(databases=wanted.databases, make_migrations=False)
    check_ids(wanted.select, "--select")
    check_lint(wanted)
    options = ReviewOptions(
        changes="compared",
        stability=True,
        contact=not wanted.offline,
        named_unclaimed="looked-at",
        may_read_only=True,
        phases="judged",
    )
    reviewed = yield from review_patiently(work, selection, options)
    check_order(work.settings, reviewed.plan)
    silent = find_silent(reviewed.snapshot, reviewed.routing, selection, or_read_only=True)
    report, linted = lint(work, reviewed, wanted, wanted.squawk, silent) if wanted.squawk is not None else (None, ())
    ids = _chosen_ids(wanted)
    not_run = {
        rule.id: "needs a database, and --offline asks none"
        for rule in RULES
        if rule.needs_databases and wanted.offline
    }
    if reviewed.snapshot.changes is None:
        not_run[MODEL_CHANGES] = f"the leaf migrations conflict ({CONFLICTS})"
    targeted = reviewed.plan.checked
    own = (finding for finding in reviewed.findings if finding.id in ids and finding.id not in not_run)
    found = (*(finding for finding in own if _is_about(finding, wanted)), *linted)
    return CheckReport(
        project=reviewed.snapshot.project,
        databases=tuple(alias for alias in targeted if alias not in silent),
        checks=tuple(identifier for identifier in ids if identifier not in not_run),
        findings=tuple(_with_level(finding, wanted.fail_on) for finding in found),
        not_run=tuple(NotRun(id=one, because=not_run[one]) for one in ids if one in not_run),
        not_checked=tuple(
            NotChecked(alias=database.alias, error=database.error or database.state, trouble=database.trouble)
            for database in reviewed.snapshot.databases
            if database.alias in silent
        ),
        pending={alias: reviewed.plan.pending_on(alias) for alias in targeted} if wanted.pending else None,
        fail_on=wanted.fail_on,
        lint=report,
        limits=reviewed.plan.limits,
        cures=find_cures(reviewed.snapshot),
        is_offline=wanted.offline,
    )


def _chosen_ids(wanted: CheckSelection) -> Sequence[str]:
    return [
        rule.id for rule in RULES if (not wanted.select or rule.id in wanted.select) and rule.id not in wanted.ignore
    ]


def _with_level(finding: Finding, fail_on: FailOn) -> Finding:
    """Return the finding as an error if it makes the command fail, so that every format shows it as one."""
    fails = finding.level in FAILING[fail_on] or (finding.destroys and fail_on == "destructive")
    return finding.model_copy(update={"level": "error"}) if fails else finding


def _is_about(finding: Finding, wanted: CheckSelection) -> bool:
    """Return whether a finding is about one of the databases that are named, or about the project as a whole."""
    return not (wanted.databases and finding.aliases) or bool({*wanted.databases} & {*finding.aliases})
