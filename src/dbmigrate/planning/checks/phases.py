"""DBM401 and DBM402: phases of a deploy that cannot work as they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from dbmigrate.listing import listed
from dbmigrate.models.check_ids import PHASES, PHASES_BEHIND
from dbmigrate.models.database import UNKNOWN_STATES
from dbmigrate.models.findings import Finding
from dbmigrate.models.migrations import MigrationId, PhaseOf, label_of
from dbmigrate.models.snapshot import Snapshot
from dbmigrate.planning.phases import TABLE, Split, split_phases
from dbmigrate.planning.routing import Routing

MAY_BE = {
    "safe": "Safe.before_deploy(), Safe.after_deploy() or Safe.always()",
    "stage": "Stage.PRE_DEPLOY or Stage.POST_DEPLOY",
    "is_post_deployment": "False (before the deploy) or True (after it)",
}
"""By mark: what it may be."""


def find_phases(snapshot: Snapshot, routing: Routing) -> Iterator[Finding]:
    """Yield what nobody has decided, what is none of the words it may be, and what would run before what it needs."""
    if not snapshot.phases:
        return
    if all(database.state == "unasked" for database in snapshot.databases):
        # What is pending is unknown, and what is applied may be undecided; a wrong mark is wrong all the same.
        for identifier, found in snapshot.phases.items():
            if found.says == "wrong":
                yield _describe_undecided(snapshot, found, identifier)
        return
    split = split_phases(snapshot, routing)
    for identifier in split.undecided():
        yield _describe_undecided(snapshot, split.of[identifier], identifier)
    for identifier, other in split.contradictions():
        yield _describe_contradiction(split, identifier, other)


def find_phases_behind(snapshot: Snapshot, routing: Routing) -> Iterator[Finding]:
    """Yield what has to run before the deploy and has not, database by database."""
    if not snapshot.phases:
        return
    for alias, identifiers in split_phases(snapshot, routing).lacking().items():
        yield _behind(
            alias,
            f"database {alias} still lacks what runs before the deploy: {listed(identifiers)}",
            "dbmigrate all --phase pre; deploy the new code everywhere; then: dbmigrate all --phase post",
        )
    for database in snapshot.databases:
        if database.state in UNKNOWN_STATES and routing.is_migrated(database.alias):
            yield _behind(
                database.alias,
                f"database {database.alias} cannot be asked whether what runs before the deploy is applied there",
                f'make it reachable, or set exclude = ["{database.alias}"] under [tool.dbmigrate]',
            )


def _behind(alias: str, message: str, hint: str) -> Finding:
    # No `aliases`: it stops also a run that leaves this database out.
    return Finding(
        id=PHASES_BEHIND,
        level="note",
        stops=True,
        stops_phases=("post",),
        message=message,
        hint=hint,
        subject=("setting", "DATABASES", alias),
    )


def _describe_undecided(snapshot: Snapshot, found: PhaseOf, identifier: MigrationId) -> Finding:
    return _finding(identifier, found, _why_undecided(identifier, found), _how_to_decide(snapshot, identifier, found))


def _why_undecided(identifier: MigrationId, found: PhaseOf) -> str:
    if found.says == "wrong":
        return f"{found.text} of {identifier} does not say whether it runs before or after a deploy"
    if found.says == "mixed":
        return f"{identifier} has operations for before and for after a deploy: {found.text}"
    does = f" ({found.text})" if found.text else ""
    return f"nothing says whether {identifier} runs before or after a deploy{does}"


def _how_to_decide(snapshot: Snapshot, identifier: MigrationId, found: PhaseOf) -> str:
    configured = f'"{identifier}" = "pre" or "post" under {TABLE}; where no old code runs: dbmigrate all'
    app = snapshot.app(label_of(identifier))
    if app is not None and not app.is_own:
        return f'third_party = "pre" or "post", or {configured}'
    attribute = found.subject[-1] if found.says == "wrong" and found.by == "mark" else _usual_mark(snapshot)
    if attribute not in MAY_BE:
        attribute = "stage"
    splits = "split it in two, or " if found.says == "mixed" else ""
    return f"{splits}write {attribute} = {MAY_BE[attribute]} in its class, or {configured}"


def _usual_mark(snapshot: Snapshot) -> str:
    """Return the mark that the project's migrations have; the one that needs no package where they have none."""
    marks = Counter(mark.attribute for migration in snapshot.migrations.values() for mark in migration.marks)
    return marks.most_common(1)[0][0] if marks else "is_post_deployment"


def _describe_contradiction(split: Split, identifier: MigrationId, other: MigrationId) -> Finding:
    found, after = split.of[identifier], split.of[other]
    message = (
        f"{identifier} runs before the deploy ({found.text}) but depends on {other}, which runs after it "
        f"({after.text}) and is pending on {listed(split.doing[other])}"
    )
    hint = (
        f'"{identifier}" = "post" under {TABLE}, or remove the dependency; or apply {other} in a release of its own '
        "first, or both with dbmigrate all where no old code runs"
    )
    finding = _finding(identifier, found, message, hint)
    return finding.model_copy(update={"also": after.subject, "apps": (label_of(identifier), label_of(other))})


def _finding(identifier: MigrationId, found: PhaseOf, message: str, hint: str) -> Finding:
    # No `migrations`: it stops also a run that would leave this one out, for nobody knows whether that is right.
    return Finding(
        id=PHASES,
        level="error",
        stops=True,
        stops_phases=("pre", "post"),
        message=message,
        hint=hint,
        apps=(label_of(identifier),),
        subject=found.subject,
    )
