"""The figures: a table, and a chart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from contenders import Taken


@dataclass
class Row:
    """One line of the table: a work, what ours is measured against, and the ratio to reach."""

    work: str
    against: str
    project: str
    theirs: Taken
    ours: Taken
    goal: float
    plus: float = 0.0
    """Seconds that are added to what it is measured against."""
    rounds: int = 0

    @property
    def ratio(self) -> float:
        """Our wall time as a share of theirs."""
        return self.ours.wall / (self.theirs.wall + self.plus)

    @property
    def cpu_ratio(self) -> float:
        """The same of the CPU time of all processes."""
        return self.ours.cpu / self.theirs.cpu if self.theirs.cpu else 0.0


def table(rows: Sequence[Row]) -> list[str]:
    """Return the table of the rows."""
    lines = [
        "| work | project | measured against | its time | dbmigrate | ratio | to reach | ratio of CPU time | rounds |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        reached = "" if row.ratio <= row.goal else " **missed**"
        cpu = f"{row.cpu_ratio:.2f}" if row.theirs.cpu else "–"
        lines.append(
            f"| {row.work} | {row.project} | {row.against} | {row.theirs.wall + row.plus:.2f} s "
            f"| {row.ours.wall:.2f} s | {row.ratio:.2f}{reached} | ≤ {row.goal:.2f} | {cpu} | {row.rounds} |"
        )
    return lines


def draw(rows: Sequence[Row]) -> str:
    """Return the chart: a bar for each ratio, and a mark where it was to be."""
    left, width, step = 430, 360, 24
    most = max(max(row.ratio, row.goal) for row in rows) * 1.1
    height = step * len(rows) + 40
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + width + 60} {height}" '
        'font-family="sans-serif" font-size="11" role="img">',
        "<title>Time of dbmigrate, as a share of the time of what it is measured against; the line is the goal</title>",
        f'<rect width="{left + width + 60}" height="{height}" fill="white"/>',
    ]
    for index, row in enumerate(rows):
        top = 20 + index * step
        color = "#2b8a3e" if row.ratio <= row.goal else "#c92a2a"
        label = f"{row.work}, {row.project}: to {row.against.split(',')[0]}".replace("`", "")
        label = label if len(label) < 78 else label[:77] + "…"
        goal = left + width * row.goal / most
        parts += [
            f'<text x="{left - 8}" y="{top + 12}" text-anchor="end">{label}</text>',
            f'<rect x="{left}" y="{top + 2}" width="{width * row.ratio / most:.1f}" height="13" fill="{color}"/>',
            f'<line x1="{goal:.1f}" x2="{goal:.1f}" y1="{top - 1}" y2="{top + 18}" stroke="black" stroke-width="2"/>',
            f'<text x="{left + width * row.ratio / most + 5:.1f}" y="{top + 12}">{row.ratio:.2f}</text>',
        ]
    return "\n".join([*parts, "</svg>\n"])
