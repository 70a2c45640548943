"""The use case of `verify`: is what is recorded really there, and what would put it right."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence

from dbmigrate.commands.review import CommandContext, ReviewOptions, review_patiently
from dbmigrate.errors import UsageError
from dbmigrate.models.database import UNKNOWN_STATES, Database
from dbmigrate.models.events import Event
from dbmigrate.models.migrations import MigrationId
from dbmigrate.models.reports import Repair, VerifyReport
from dbmigrate.models.selection import Selection
from dbmigrate.models.snapshot import Snapshot
from dbmigrate.models.verification import VerifiedDatabase
from dbmigrate.nearest import nearest
from dbmigrate.planning.preflight import find_cures
from dbmigrate.planning.repairs import find_repairs
from dbmigrate.planning.routing import Routing
from dbmigrate.planning.selection import is_wanted


def verify(
    work: CommandContext, named: Sequence[str] = (), *, repair: bool, judged: Sequence[MigrationId] = ()
) -> Generator[Event, None, VerifyReport]:
    """Compare every database that `all` migrates with its records; an unreachable one is skipped.

    `named`: only these databases, if any are. `repair`: also answer what to type or to run to put each thing right;
    nothing is run. `judged`: migrations of which a person says that all that nothing shows has run.

    Raises:
        UsageError: a named database is not there, or not looked after; or there is no such migration.
    """
    selection = Selection(databases=tuple(named), make_migrations=False)
    reviewed = yield from review_patiently(
        work, selection, ReviewOptions(named_unclaimed="refused", may_read_only=True)
    )
    _check_judged(reviewed.snapshot, judged)
    routing = reviewed.routing
    aliases = [
        database.alias
        for database in reviewed.snapshot.databases
        # One that was named and is not migrated does not answer, and that is said.
        if is_wanted(database, routing, selection, or_read_only=True)
        and (routing.is_checked(database.alias) or database.alias in named)
    ]
    databases = _verify(work, reviewed.snapshot, {alias: _places(routing, alias) for alias in aliases}, repair=repair)
    return VerifyReport(
        project=reviewed.snapshot.project,
        databases=databases,
        limits=reviewed.plan.limits,
        cures=find_cures(reviewed.snapshot),
        pending={alias: reviewed.plan.pending_on(alias) for alias in aliases},
        repairs=tuple(fix for database in databases for fix in _repairs(work, reviewed.snapshot, database, judged))
        if repair
        else None,
        findings=tuple(finding.as_remark() for finding in reviewed.findings if finding.category == "model-changes"),
    )


def _verify(
    work: CommandContext,
    snapshot: Snapshot,
    placements: Mapping[str, Mapping[str, Sequence[str] | None]],
    *,
    repair: bool,
) -> tuple[VerifiedDatabase, ...]:
    """Return what is found on each database; one that did not answer just now has no routing to be held to."""
    silent = {database.alias: database for database in snapshot.databases if database.state in UNKNOWN_STATES}
    asked = {alias: placement for alias, placement in placements.items() if alias not in silent}
    found = {database.alias: database for database in work.host.verify(asked, repair=repair)} if asked else {}
    return tuple(found[alias] if alias in found else _unasked(silent[alias]) for alias in placements)


def _unasked(database: Database) -> VerifiedDatabase:
    return VerifiedDatabase(
        alias=database.alias,
        error=database.error,
        trouble=database.trouble,
        inconsistent=None,
        migrations=(),
        invalid_indexes=(),
        unknown=(),
        leftover=(),
    )


def _check_judged(snapshot: Snapshot, judged: Sequence[MigrationId]) -> None:
    known = [f"{app.label}.{name}" for app in snapshot.apps for name in app.migrations]
    for identifier in judged:
        if identifier not in known:
            raise UsageError(
                f"--judged: there is no migration {identifier}", hint=nearest(identifier, known, what="migrations")
            )


def _repairs(
    work: CommandContext, snapshot: Snapshot, database: VerifiedDatabase, judged: Sequence[MigrationId]
) -> Iterator[Repair]:
    shell = work.target.command("dbshell", "--database", database.alias)
    return find_repairs(snapshot, database, shell, judged)


def _places(routing: Routing, alias: str) -> dict[str, list[str] | None]:
    return {
        label: None if placement.is_whole else sorted(placement.models)
        for label, placement in routing.placements[alias].items()
    }
