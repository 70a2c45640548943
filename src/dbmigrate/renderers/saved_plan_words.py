"""The words of a saved plan, for a person who is asked whether to apply it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dbmigrate.listing import listed
from dbmigrate.models.basis import DIGEST_CHARACTERS, SavedMigration, SavedPlan, SavedStep
from dbmigrate.models.migrations import MigrationId
from dbmigrate.renderers.plan_words import UNDOING, counts, synced
from dbmigrate.renderers.words import plural, printable

MOST_LISTED = 12
"""Migrations of a database that are all named; of more, the first."""

Phases = Mapping[tuple[str, MigrationId], str]
"""By (alias, migration): the phase of a deploy in which it runs, where the plan has it."""


def summary(name: str, plan: SavedPlan, phases: Phases, warnings: Sequence[str]) -> list[str]:
    """Return what a saved plan would do: a line for each database, what to know before, and its digest."""
    aliases = list(dict.fromkeys(step.alias for step in plan.steps))
    phase = f" (phase {plan.selection.phase})" if plan.selection.phase is not None else ""
    lines = [f"Saved plan in {name}: {plural(len(aliases), 'database')}{phase}"]
    lines += [_database_line(alias, [step for step in plan.steps if step.alias == alias], phases) for alias in aliases]
    if not plan.selection.fake and any(one.backwards and one.does for step in plan.steps for one in step.migrations):
        lines.append(f"  {UNDOING}")
    lines += [f"  ! {warning}" for warning in warnings]
    return [printable(line) for line in [*lines, f"Digest: {plan.digest[:DIGEST_CHARACTERS]}"]]


def _database_line(alias: str, steps: Sequence[SavedStep], phases: Phases) -> str:
    migrations = [one for step in steps for one in step.migrations]
    tables = synced([model for step in steps for model in step.synced])
    count = counts(len(migrations), sum(not one.does for one in migrations)) if migrations or not tables else ""
    named = [_described(one, phases.get((alias, one.id))) for one in migrations]
    listing = f": {listed(named, most=MOST_LISTED)}" if named else ""
    return f"  {alias}: {'; '.join(part for part in (count + listing, tables) if part)}"


def _described(migration: SavedMigration, phase: str | None) -> str:
    notes = [phase] if phase is not None else []
    notes += ["undone"] if migration.backwards else [] if migration.does else ["only recorded"]
    return f"{migration.id} ({', '.join(notes)})" if notes else migration.id
