"""Which findings of an answer are annotations on GitHub."""

from __future__ import annotations

from collections.abc import Sequence

from dbmigrate.models.findings import Finding
from dbmigrate.models.reports import AnyReport, CheckReport, MakeReport, PlanReport, StatusReport


def annotated_findings(report: AnyReport) -> Sequence[Finding]:
    """Return all that an answer shows, but for the notes of `status -v`."""
    match report:
        case PlanReport():
            if report.sql is not None or report.graph is not None:
                return ()
            notes = [finding for finding in report.plan.findings if finding.level == "note"]
            refusal = report.refusal.message if report.refusal is not None else ""
            stopping = [finding for finding in report.plan.findings if finding.sentence in refusal]
            return [*stopping, *report.plan.warnings(refusal), *notes]
        case CheckReport() | MakeReport():
            return report.findings
        case StatusReport():
            return [finding for finding in report.findings if finding.level != "note"]
        case _:
            return ()
