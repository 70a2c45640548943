"""The figures: kept as JSON, shown as a table and as a chart."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path

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


@dataclass
class Part:
    """What was measured in one go: rows of the table, or lines of a table of its own."""

    day: str
    load: float
    """Processes that wanted a CPU, the mean of the last fifteen minutes, those of the measurement with them."""
    versions: str
    rows: list[Row]
    lines: list[str]


def read_parts(file: Path) -> dict[str, Part]:
    """Return the parts that were kept, by name."""
    if not file.exists():
        return {}
    parts = {}
    for name, entry in json.loads(file.read_text()).items():
        rows = [Row(**{**row, "theirs": Taken(**row["theirs"]), "ours": Taken(**row["ours"])}) for row in entry["rows"]]
        parts[name] = Part(**{**entry, "rows": rows})
    return parts


def write_parts(file: Path, parts: Mapping[str, Part]) -> None:
    """Keep parts for `read_parts`."""
    unfinished = file.with_suffix(".unfinished")
    unfinished.write_text(json.dumps({name: asdict(part) for name, part in parts.items()}, indent=1) + "\n")
    unfinished.replace(file)


def document(parts: Mapping[str, Part]) -> list[str]:
    """Return what the document shows of parts: with what and when they were measured, and the tables."""
    rows = [row for part in parts.values() for row in part.rows]
    lines = [*table(rows), ""] if rows else []
    told = "Times are wall times; the table above shows the median of the rounds. Each part was measured separately:"
    for versions, names in groupby(parts, key=lambda name: parts[name].versions):
        each = (f"*{name}* on {parts[name].day} with a load of {parts[name].load}" for name in names)
        told += f" {', '.join(each)} ({versions})."
    lines += textwrap.wrap(told, 120, break_long_words=False, break_on_hyphens=False)
    for part in parts.values():
        lines += ["", *part.lines] if part.lines else []
    return lines


def table(rows: Sequence[Row]) -> list[str]:
    """Return the table of the rows."""
    lines = [
        "| work | project | compared with | its time | dbmigrate | ratio | limit | ratio of CPU time | rounds |",
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
    most = max((max(row.ratio, row.goal) for row in rows), default=1.0) * 1.1
    height = step * len(rows) + 40
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + width + 60} {height}" '
        'font-family="sans-serif" font-size="11" role="img">',
        "<title>Time of dbmigrate, as a share of the time of what it is compared with; the line is the limit</title>",
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
