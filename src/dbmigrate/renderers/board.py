"""The state of the live view: one row per database, folded from the events. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Literal

from dbmigrate.models.events import Event, PlanReady, StepFinished, StepProgress, StepSkipped, StepStarted
from dbmigrate.models.plan import MigrationPlan

State = Literal["waiting", "running", "ok", "failed", "not-run"]


@dataclass(frozen=True)
class Row:
    """One database of the plan that has steps."""

    alias: str
    total: int
    """Migrations over all of its steps."""
    state: State = "waiting"
    done: int = 0
    current: str = ""
    """The migration in flight, or the app that is looked at."""
    started_at: float | None = None
    ended_at: float | None = None

    def elapsed(self, now: float) -> float | None:
        """Return the seconds since it started, until it ended; None before."""
        if self.started_at is None:
            return None
        return (self.ended_at if self.ended_at is not None else now) - self.started_at


@dataclass
class Board:
    """All rows, in the order of the plan."""

    rows: dict[str, Row] = field(default_factory=dict)
    _finished_steps: dict[str, int] = field(default_factory=dict)
    _plan: MigrationPlan | None = None

    def take(self, event: Event, now: float) -> None:
        """Move the rows on by one event."""
        match event:
            case PlanReady():
                self._begin(event.plan)
            case StepStarted():
                row = self.rows[event.step.alias]
                started_at = row.started_at if row.started_at is not None else now
                subject = event.step.app or "all apps"
                self.rows[row.alias] = replace(row, state="running", started_at=started_at, current=subject)
            case StepProgress():
                row = self.rows[event.alias]
                done = self._finished_steps.get(row.alias, 0) + event.position - 1
                self.rows[row.alias] = replace(row, done=done, current=event.migration, total=max(row.total, done + 1))
            case StepFinished() if event.result.alias is not None:
                self._finish(event, now)
            case StepSkipped() if event.result.alias is not None:
                row = self.rows[event.result.alias]
                if row.state != "failed":
                    self.rows[row.alias] = replace(row, state="not-run", current="", ended_at=now)
            case _:
                pass

    def pick(self, most: int) -> tuple[list[Row], dict[State, int]]:
        """Return the rows to show, and how many others there are in each state.

        All in their order where there is room; else those that failed, those that run, and those that ended last.
        """
        rows = list(self.rows.values())
        if len(rows) <= most:
            return rows, {}
        order = {"failed": 0, "running": 1, "ok": 2, "not-run": 3, "waiting": 4}
        ranked = sorted(rows, key=lambda row: (order[row.state], -(row.ended_at or 0.0)))
        chosen = {row.alias for row in ranked[: most - 1] if row.state != "waiting"}
        others = Counter(row.state for row in rows if row.alias not in chosen)
        return [row for row in rows if row.alias in chosen], dict(others)

    def _begin(self, plan: MigrationPlan) -> None:
        self._plan = plan
        self._finished_steps = {}
        self.rows = {}
        for step in plan.steps:
            row = self.rows.get(step.alias, Row(alias=step.alias, total=0))
            self.rows[step.alias] = replace(row, total=row.total + len(step.migrations))

    def _finish(self, event: StepFinished, now: float) -> None:
        result = event.result
        assert self._plan is not None
        assert result.alias is not None
        row = self.rows[result.alias]
        if result.status != "ok":
            self.rows[row.alias] = replace(row, state="failed", ended_at=now)
            return
        steps = self._plan.steps_on(row.alias)
        done = sum(len(step.migrations) for step in steps[: [step.id for step in steps].index(result.id) + 1])
        self._finished_steps[row.alias] = done
        is_last = steps[-1].id == result.id
        self.rows[row.alias] = replace(
            row, done=done, current="", state="ok" if is_last else "running", ended_at=now if is_last else None
        )
