"""The sheet of a terminal: boxes, colour, lines folded to its width."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from dbmigrate.renderers.sheet import Table

ROOM_FOR_NAMES = 76
"""Columns of a terminal from which on the table of `status` has room for the names of migrations."""


class TerminalSheet:
    """Draws with rich."""

    has_width = True

    def __init__(self, console: Console) -> None:
        """Draw on a console, which must not interpret markup."""
        self._console = console

    def line(self, text: str, style: str = "") -> None:
        """Write a line, or several; the terminal breaks it where it is too long."""
        self._console.print(Text(text, style=style), soft_wrap=True)

    def table(self, table: Table) -> None:
        """Draw a table with a line below its headings."""
        drawn = RichTable(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, collapse_padding=True)
        for heading in table.headings:
            drawn.add_column(Text(heading, style="bold"), overflow="fold")
        # As long as there is room for both.
        drawn.columns[-1].no_wrap = table.is_last_whole and self._console.width >= ROOM_FOR_NAMES
        for row in table.rows:
            drawn.add_row(*(Text(cell.text, style=cell.style, overflow="fold") for cell in row))
        self._console.print(drawn)

    def statement(self, sql: str) -> None:
        """Write an SQL statement in colours."""
        from rich.syntax import Syntax  # it loads pygments, which only `plan --sql` needs

        self._console.print(Syntax(sql, "sql", theme="ansi_dark", background_color="default", word_wrap=True))
