"""Phases of a deploy over generated graphs: projects of three apps on three databases, in any state."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from dbmigrate.models.database import Database
from dbmigrate.models.migrations import Effect, Migration, PhaseMark, PhaseWork
from dbmigrate.models.selection import Selection
from dbmigrate.models.snapshot import Snapshot
from dbmigrate.planning.decide import Decision, Goal, decide
from dbmigrate.planning.pending import with_pending
from support.snapshots import database, routes, settings, snapshot

HOMES = {"core": "default", "blog": "blog_db", "shop": "shop_db"}
"""By app: the database that it belongs on."""

WORK = PhaseWork(says="undecided", operation="0", text="Raw Python operation")


@dataclass(frozen=True)
class Graph:
    """What is on disk, what each migration says of itself, and what is applied where."""

    after: Mapping[str, tuple[str, ...]]
    """By migration, each after what it depends on."""
    marks: Mapping[str, str]
    applied: Mapping[str, Collection[str]]

    def ancestors(self, identifier: str) -> set[str]:
        """Return all that a migration depends on, directly or not."""
        found: set[str] = set()
        queue = list(self.after[identifier])
        while queue:
            one = queue.pop()
            if one not in found:
                found.add(one)
                queue += self.after[one]
        return found

    def is_left(self, identifier: str) -> bool:
        """Whether a migration has not done yet what it does on the database of its app, which is not a new one."""
        home = HOMES[identifier.split(".")[0]]
        return bool(self.applied[home]) and identifier not in self.applied[home]

    def is_late(self, identifier: str) -> bool:
        """Whether a migration is, or depends on, one that is left and runs after the deploy."""
        return any(self.marks[one] == "post" and self.is_left(one) for one in {identifier, *self.ancestors(identifier)})

    def faults(self) -> set[str]:
        """Return the migrations that are left and run before the deploy, but depend on what runs after it."""
        return {one for one in self.after if self.marks[one] == "pre" and self.is_left(one) and self.is_late(one)}


def draw(seed: int, count: int = 24) -> Graph:
    """Return a graph of migrations with marks at random, and any state of three databases that can be reached."""
    drawn, labels = random.Random(seed), [*HOMES]
    after: dict[str, tuple[str, ...]] = {}
    tips: dict[str, list[str]] = {label: [] for label in labels}
    for number in range(count - len(labels)):
        label = drawn.choice(labels)
        others = [one for one in after if not one.startswith(label)]
        own = tips[label] if drawn.random() < 0.3 else tips[label][-1:]  # several: it merges branches
        needed = {*own, *([drawn.choice(others)] if others and drawn.random() < 0.4 else [])}
        identifier = f"{label}.{number:04}"
        if own and len(tips[label]) < 3 and drawn.random() < 0.4:  # it begins a branch beside the last one
            needed = {*needed, *after[own[-1]]} - {*own}
            own = [] if any(one.startswith(label) for one in needed) else own
            needed |= {*own}
        after[identifier] = tuple(sorted(needed))
        tips[label] = [*(one for one in tips[label] if one not in needed), identifier]
    for number, label in enumerate(labels, count - len(labels)):
        after[f"{label}.{number:04}"] = tuple(tips[label])
    marks = {one: drawn.choice(["pre", "pre", "post", "either"]) for one in after}
    graph = Graph(after, marks, {})
    applied = {
        alias: {one for tip in drawn.sample([*after], drawn.randrange(5)) for one in {tip, *graph.ancestors(tip)}}
        for alias in HOMES.values()
    }
    return Graph(after, marks, applied)


def healed(graph: Graph) -> Graph:
    """Return a graph of which everything can run in its phase: what cannot run before the deploy runs after it."""
    late = {one for one in graph.after if graph.marks[one] == "pre" and graph.is_late(one)}
    return Graph(
        graph.after, {one: "post" if one in late else mark for one, mark in graph.marks.items()}, graph.applied
    )


def take(graph: Graph) -> Snapshot:
    """Return what a look at such a project finds."""
    databases: list[Database] = []
    recorded: list[tuple[str, ...]] = []
    for alias, applied in graph.applied.items():
        answers = routes(**{label: "yes" if home == alias else "no" for label, home in HOMES.items()})
        own = [one for one in graph.after if HOMES[one.split(".")[0]] == alias and one not in applied]
        effects = {one: Effect(answer="yes") for one in own}
        databases.append(database(alias, answers, recorded=len(recorded), effects=effects))
        recorded.append(tuple(sorted(applied)))
    migrations = {
        one: Migration(after=after, marks=(marked(graph.marks[one]),), work=WORK) for one, after in graph.after.items()
    }
    return with_pending(snapshot(*databases).model_copy(update={"migrations": migrations, "recorded": tuple(recorded)}))


def marked(phase: str) -> PhaseMark:
    """Return what a migration says that is marked for a phase."""
    return PhaseMark(attribute="safe", says=phase, text=phase)  # type: ignore[arg-type]


def decide_phase(taken: Snapshot, phase: str | None, **configured: object) -> Decision:
    """Return what follows from a snapshot for `dbmigrate all --phase …`."""
    return decide(taken, settings(**configured), Goal(Selection(phase=phase)))  # type: ignore[arg-type]


def migrated(graph: Graph, steps: Sequence[tuple[str, str | None, str | None]]) -> Graph:
    """Return the graph after `migrate --database ALIAS [APP [NAME]]`, as Django does it.

    Raises:
        AssertionError: a migration was named that is applied already: Django would go backwards.
    """
    applied = {alias: set(there) for alias, there in graph.applied.items()}
    for alias, label, name in steps:
        if name is not None:
            assert f"{label}.{name}" not in applied[alias], (alias, label, name)
            tips = [f"{label}.{name}"]
        else:
            tips = [one for one in graph.after if label is None or one.startswith(f"{label}.")]
        for tip in tips:
            applied[alias] |= {tip, *graph.ancestors(tip)}
    return Graph(graph.after, graph.marks, applied)
