"""Ask the project what a plan was made from."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from dbmigrate.commands.review import CommandContext, Review
from dbmigrate.models.basis import Basis, DatabaseFacts, FileHash
from dbmigrate.models.migrations import MigrationId
from dbmigrate.models.plan import PlannedMigration
from dbmigrate.models.sql import MigrationSql
from dbmigrate.planning.basis import build_basis, find_files, likeness_of, working_on


@dataclass(frozen=True)
class Evidence:
    """What a plan was made from, with what only its hash is kept of."""

    basis: Basis
    files: Mapping[MigrationId, FileHash | None]
    statements: Mapping[str, tuple[MigrationSql, ...]]
    """By alias; empty where it was not asked."""


def read_basis(
    work: CommandContext,
    reviewed: Review,
    *,
    statements: bool,
    files: Collection[MigrationId] = (),
    aliases: Collection[str] = (),
) -> Evidence:
    """Return what the plan of a review was made from.

    `statements`: with what each migration runs. `files`, `aliases`: migrations and databases to look at although they
    are not in the plan.

    Raises:
        UnreachableError: a database does not answer any more.
    """
    snapshot, plan = reviewed.snapshot, reviewed.plan
    working = {**dict.fromkeys(aliases, ()), **working_on(plan)}
    own = find_files(snapshot, plan)
    hashes = work.host.describe_files(sorted({*own, *files}))
    facts = {alias: work.host.describe_tables(alias, migrations) for alias, migrations in working.items()}
    read = _read_statements(work, reviewed, working, facts) if statements else None
    basis = build_basis(snapshot, plan, {one: hashes[one] for one in own}, facts, read)
    return Evidence(basis, hashes, read or {})


def _read_statements(
    work: CommandContext,
    reviewed: Review,
    working: Mapping[str, tuple[PlannedMigration, ...]],
    facts: Mapping[str, DatabaseFacts],
) -> dict[str, tuple[MigrationSql, ...]]:
    """Return what the plan runs on each database; on those that are alike to the server too it is asked once."""
    found: dict[str, tuple[MigrationSql, ...]] = {}
    alike: dict[object, str] = {}
    for alias, migrations in working.items():
        likeness = likeness_of(reviewed.snapshot, alias, migrations, facts[alias])
        first = alike.setdefault(likeness, alias)
        if first == alias and migrations:
            scope = next((step.scope for step in reviewed.plan.steps_on(alias)), None)
            found[alias] = work.host.sql(alias, migrations, scope, is_compared=True)
        else:
            found[alias] = found.get(first, ())
    return found
