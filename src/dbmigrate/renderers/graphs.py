"""The order between databases as a drawing in Mermaid or Graphviz's DOT."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from dbmigrate.models.plan import MigrationPlan

DOT_BREAK = r"\n"

EMPTY = ""
"""Stands for a database where the plan looks after none: a drawing has at least one node."""


def mermaid(plan: MigrationPlan) -> str:
    """Return a Mermaid flowchart: an arrow leads from a database to one that waits for it."""
    waits = _waits(plan)
    names = {alias: f"db{number}" for number, alias in enumerate(waits)}
    lines = ["flowchart LR"]
    lines += [f'    {names[alias]}["{_label(plan, alias, "<br>")}"]' for alias in waits]
    lines += [f"    {names[before]} --> {names[alias]}" for alias, others in waits.items() for before in others]
    return "\n".join(lines)


def dot(plan: MigrationPlan) -> str:
    """Return a DOT digraph: an arrow leads from a database to one that waits for it."""
    waits = _waits(plan)
    lines = ["digraph plan {", "    rankdir=LR;", "    node [shape=box];"]
    lines += [f'    "{alias}" [label="{_label(plan, alias, DOT_BREAK)}"];' for alias in waits]
    lines += [f'    "{before}" -> "{alias}";' for alias, others in waits.items() for before in others]
    return "\n".join([*lines, "}"])


GRAPHS: Mapping[str, Callable[[MigrationPlan], str]] = {"mermaid": mermaid, "dot": dot}


def _waits(plan: MigrationPlan) -> dict[str, list[str]]:
    """Return, for each database with steps in plan order, the databases it waits for.

    A plan without steps has those in it that it found up to date: an empty drawing would say nothing.
    """
    alias_of = {step.id: step.alias for step in plan.steps}
    waits: dict[str, list[str]] = {}
    for step in plan.steps:
        others = waits.setdefault(step.alias, [])
        others += [alias for alias in (alias_of[before] for before in step.after) if alias not in (step.alias, *others)]
    if not waits:
        waits = {
            database.alias: [] for database in plan.databases if database.skip in ("nothing-pending", "other-phase")
        }
    return waits or {EMPTY: []}


def _label(plan: MigrationPlan, alias: str, line_break: str) -> str:
    if not plan.steps:
        return _idle_label(plan, alias, line_break)
    steps = plan.steps_on(alias)
    migrations = [migration for step in steps for migration in step.migrations]
    unwritten = sum(not migration.is_written for migration in migrations)
    apps = ", ".join(step.app for step in steps if step.app is not None) or "all apps"
    not_written = f", {unwritten} not written yet" if unwritten else ""
    return line_break.join((alias, apps, f"{len(migrations)} pending{not_written}"))


def _idle_label(plan: MigrationPlan, alias: str, line_break: str) -> str:
    changed = {change.app for change in plan.make.changes} if plan.make is not None else set()
    apps = [app for database in plan.databases if database.alias == alias for app in database.apps if app in changed]
    state = f"migrations to create: {', '.join(apps)}" if apps else "nothing pending"
    return state if alias == EMPTY else line_break.join((alias, state))
