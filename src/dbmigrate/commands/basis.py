"""Ask the project what a plan was made from."""

from __future__ import annotations

from collections.abc import Collection

from dbmigrate.commands.review import CommandContext, Review
from dbmigrate.models.basis import Basis
from dbmigrate.models.plan import PlannedMigration
from dbmigrate.models.sql import MigrationSql
from dbmigrate.planning.basis import build_basis, find_files, working_on


def read_basis(work: CommandContext, reviewed: Review, *, statements: bool, aliases: Collection[str] = ()) -> Basis:
    """Return what the plan of a review was made from.

    `statements`: with what each migration runs. `aliases`: databases to look at although the plan has no step there.

    Raises:
        UnreachableError: a database does not answer any more.
    """
    snapshot, plan = reviewed.snapshot, reviewed.plan
    working = {**dict.fromkeys(aliases, ()), **working_on(plan)}
    return build_basis(
        snapshot,
        plan,
        work.host.describe_files(find_files(snapshot, plan)),
        {alias: work.host.describe_tables(alias, migrations) for alias, migrations in working.items()},
        {alias: read_statements(work, reviewed, alias, working[alias]) for alias in working} if statements else None,
    )


def read_statements(
    work: CommandContext, reviewed: Review, alias: str, migrations: tuple[PlannedMigration, ...]
) -> tuple[MigrationSql, ...]:
    """Return what these migrations of the plan run on a database, in their order, as it is compared."""
    scope = next((step.scope for step in reviewed.plan.steps_on(alias)), None)
    return work.host.sql(alias, migrations, scope, is_compared=True) if migrations else ()
