"""What answers are written on, and its plain kind: rich is loaded only where there is a terminal to draw on."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol, TextIO


class Cell(NamedTuple):
    """Text with a style, in rich's words ("bold red"); "" is none."""

    text: str
    style: str = ""
    short: str | None = None
    """What stands for the text where there is little room."""


class Table:
    """Rows below headings."""

    def __init__(self, *headings: str, spare: Sequence[str] = ()) -> None:
        """Begin without a row; `spare` are the headings of columns that a narrow terminal leaves out, first to last."""
        self.headings = headings
        self.spare = spare
        self.rows: list[tuple[Cell, ...]] = []

    def add_row(self, *cells: Cell) -> None:
        """Add a row with a cell for each heading."""
        self.rows.append(cells)

    def narrower(self) -> Iterator[Table]:
        """Give the table as it is, then with what is short, then with fewer and fewer columns."""
        yield self
        if not self.spare:
            return
        for count in range(len(self.spare) + 1):
            kept = [heading for heading in self.headings if heading not in self.spare[:count]]
            table = Table(*kept)
            for row in self.rows:
                cells = zip(self.headings, row, strict=True)
                table.add_row(
                    *(
                        Cell(cell.text if cell.short is None else cell.short, cell.style)
                        for heading, cell in cells
                        if heading in kept
                    )
                )
            yield table


class Sheet(Protocol):
    """Takes what an answer consists of, from its top to its end."""

    has_width: bool
    """Whether it is only so wide that a long line is broken."""

    def line(self, text: str, style: str = "", *, is_copied: bool = False) -> None:
        """Write a line, or several; one that is copied and pasted (`is_copied`) is not broken into lines."""

    def table(self, table: Table) -> None:
        """Write a table."""

    def statement(self, sql: str) -> None:
        """Write an SQL statement."""


class PlainSheet:
    """Writes for logs: no colour, no boxes, and no width that a line would be broken at."""

    has_width = False

    def __init__(self, file: TextIO) -> None:
        """Write to a stream."""
        self._file = file

    def line(self, text: str, style: str = "", *, is_copied: bool = False) -> None:
        """Write a line, or several, as they are."""
        self._file.write(f"{text}\n")
        self._file.flush()

    def table(self, table: Table) -> None:
        """Write the columns as wide as they have to be."""
        rows = [[[heading] for heading in table.headings]]
        rows += [[cell.text.splitlines() or [""] for cell in row] for row in table.rows]
        widths = [max(_width(line) for row in rows for line in row[column]) for column in range(len(table.headings))]
        lines = []
        for row in rows:
            for number in range(max(len(cell) for cell in row)):
                parts = [cell[number] if number < len(cell) else "" for cell in row]
                padded = (part + " " * (width - _width(part)) for part, width in zip(parts, widths, strict=True))
                lines.append("  ".join(padded).rstrip())
        self.line("\n".join(lines))

    def statement(self, sql: str) -> None:
        """Write an SQL statement."""
        self.line(sql)


def _width(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in text
    )
