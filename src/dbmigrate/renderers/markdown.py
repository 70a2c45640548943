"""The summary that GitHub shows for a step."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dbmigrate.errors import ExitCode
from dbmigrate.models.findings import Finding
from dbmigrate.models.result import RunResult
from dbmigrate.renderers import run_words, words
from dbmigrate.renderers.durations import duration
from dbmigrate.renderers.files import write_report

MOST_BYTES = 1024 * 1024
"""For all that a step appends; GitHub refuses a file that is larger."""

CUT = "… the rest does not fit; see the log of this step"

# What Markdown, GitHub's additions to it, or HTML would take for more than text.
_SPECIAL = re.compile(r"[&<>\\`*_{}\[\]#|~$@:]")


@dataclass
class Summary:
    """What a summary is made of."""

    name: str
    """The command."""
    findings: list[Finding] = field(default_factory=list)
    result: RunResult | None = None
    text: list[str] = field(default_factory=list)
    """What `plain` printed as the answer."""


def append_summary(file: Path, summary: Summary, code: ExitCode) -> None:
    """Append the summary to the file, as much of it as fits.

    Raises:
        OSError: the file cannot be written.
    """
    room = MOST_BYTES - (file.stat().st_size if file.exists() else 0)
    write_report(file, "a", render_summary(summary, code, most_bytes=room))


def render_summary(summary: Summary, code: ExitCode, *, most_bytes: int = MOST_BYTES) -> str:
    """Return the summary in Markdown: a heading, a table, and the answer as `plain` prints it."""
    blocks: list[Block] = [([f"### {escape(summary.name)}: {code.sentence}", ""], [], [])]
    if summary.result is not None:
        blocks.append(_table(("database", "result", "what", "time"), _results(summary.result)))
    if summary.findings:
        rows = [
            (finding.level, finding.id, finding.message, finding.location, finding.hint) for finding in summary.findings
        ]
        blocks.append(_table(("level", "check", "what is wrong", "where", "what to do"), rows))
    if summary.text:
        lines = [words.printable(line) for line in summary.text]
        fence = "`" * max(3, 1 + max((len(ticks) for ticks in re.findall("`+", "\n".join(lines))), default=0))
        opening = ["<details><summary>what was printed</summary>", "", f"{fence}text"]
        blocks.append((opening, lines, [fence, "", "</details>", ""]))
    return "".join(f"{line}\n" for line in _fitting(blocks, most_bytes))


def escape(text: str) -> str:
    """Return text that GitHub shows as it is, in one line."""
    shown = _SPECIAL.sub(lambda found: f"&#{ord(found[0])};", words.printable_lines(text))
    return shown.replace("\n", "<br>")


def _results(result: RunResult) -> list[tuple[str, ...]]:
    return [
        (
            database.alias,
            database.status,
            run_words.database_sentence(database),
            duration(database.seconds) if database.seconds else "",
        )
        for database in result.databases
        if database.skip != "not-selected"
    ]


Block = tuple[list[str], list[str], list[str]]
"""What begins a block, what may be cut, and what ends it."""


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Block:
    head = [f"| {' | '.join(headings)} |", "|" + "---|" * len(headings)]
    return head, [f"| {' | '.join(escape(cell) for cell in row)} |" for row in rows], [""]


def _fitting(blocks: Sequence[Block], most_bytes: int) -> list[str]:
    """Return the lines of the blocks, cut where they would be more than these bytes."""
    lines: list[str] = []
    room = most_bytes
    for head, body, end in blocks:
        frame = _size([*head, *end])
        # Kept free behind every block, so that it can be said that something is missing.
        room -= frame + _size([CUT, ""])
        if room < 0:
            return [*lines, CUT, ""] if lines else []
        fitting = 0
        while fitting < len(body) and room >= _size([body[fitting]]):
            room -= _size([body[fitting]])
            fitting += 1
        lines += [*head, *body[:fitting], *end]
        if fitting < len(body):
            return [*lines, CUT, ""]
        room += _size([CUT, ""])
    return lines


def _size(lines: Sequence[str]) -> int:
    return sum(len(line.encode("utf-8", errors="replace")) + 1 for line in lines)
