"""The order between databases as a drawing in Mermaid or Graphviz's DOT."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from dbmigrate.models.plan import MigrationPlan

DOT_BREAK = r"\n"


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
    """Return, for each database with steps in plan order, the databases it waits for."""
    alias_of = {step.id: step.alias for step in plan.steps}
    waits: dict[str, list[str]] = {}
    for step in plan.steps:
        others = waits.setdefault(step.alias, [])
        others += [alias for alias in (alias_of[before] for before in step.after) if alias not in (step.alias, *others)]
    return waits


def _label(plan: MigrationPlan, alias: str, line_break: str) -> str:
    steps = [step for step in plan.steps if step.alias == alias]
    count = sum(len(step.migrations) for step in steps)
    apps = ", ".join(step.app for step in steps if step.app is not None) or "all apps"
    return line_break.join((alias, apps, f"{count} pending"))
