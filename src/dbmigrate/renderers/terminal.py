"""The sheet of a terminal: boxes, colour, everything fitted to its width."""

from __future__ import annotations

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from dbmigrate.renderers.sheet import Table
from dbmigrate.renderers.wrapping import HANG, hang

UNLIMITED = 10_000


class TerminalSheet:
    """Draws with rich."""

    has_width = True

    def __init__(self, console: Console) -> None:
        """Draw on a console, which must not interpret markup."""
        self._console = console

    def line(self, text: str, style: str = "", *, is_copied: bool = False) -> None:
        """Write a line, or several, broken between words; the terminal itself breaks what is copied."""
        for line in [text] if is_copied else hang(text, self._console.width):
            self._console.print(Text(line, style=style), soft_wrap=True)

    def table(self, table: Table) -> None:
        """Draw a table with a line below its headings; or, where words of it would be broken, its rows as lists."""
        unlimited = self._console.options.update(max_width=UNLIMITED)
        for narrower in table.narrower():
            drawn = _drawn(narrower)
            least, most = Measurement.get(self._console, unlimited, drawn)
            if most <= self._console.width:
                self._console.print(drawn)
                self._name_left_out(table, narrower)
                return
        if least > self._console.width:
            self._list(narrower)
        else:
            _spread(narrower, drawn, self._console.width - least)
            self._console.print(drawn)
        self._name_left_out(table, narrower)

    def _name_left_out(self, table: Table, narrower: Table) -> None:
        left_out = [heading for heading in table.headings if heading not in narrower.headings]
        if left_out:
            self.line(f"not shown at this width: {', '.join(left_out)} (--format plain shows all)", "dim")

    def _list(self, table: Table) -> None:
        for first, *rest in table.rows:
            self.line(first.text, first.style or "bold")
            record = RichTable.grid(padding=(0, 1))
            record.add_column(no_wrap=True)
            record.add_column(overflow="fold")
            for heading, cell in zip(table.headings[1:], rest, strict=True):
                if cell.text:
                    record.add_row(Text(heading, style="dim"), Text(cell.text, style=cell.style))
            self._console.print(Padding(record, (0, 0, 0, HANG), expand=False))

    def statement(self, sql: str) -> None:
        """Write an SQL statement in colours, so that copying it gives the statement."""
        from rich.syntax import Syntax  # it loads pygments, which only `plan --sql` needs

        colored = Syntax("", "sql", theme="ansi_dark", background_color="default").highlight(sql)
        colored.rstrip()
        self._console.print(colored, soft_wrap=True)


def _drawn(table: Table) -> RichTable:
    drawn = RichTable(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, collapse_padding=True)
    for heading in table.headings:
        drawn.add_column(Text(heading, style="bold"), overflow="fold")
    for row in table.rows:
        drawn.add_row(*(Text(cell.text, style=cell.style, overflow="fold") for cell in row))
    return drawn


def _spread(table: Table, drawn: RichTable, spare: int) -> None:
    """Give each column the room of its longest word, and what is left first to those that need the least more.

    rich makes the widest ones narrower and breaks their words, although others could give way between theirs.
    """
    widths = []
    for number, column in enumerate(drawn.columns):
        texts = [table.headings[number], *(row[number].text for row in table.rows)]
        word = max(cell_len(word) for text in texts for word in text.split() or [""])
        line = max(cell_len(line) for text in texts for line in text.splitlines() or [""])
        widths.append((column, word, line))
    for column, word, line in sorted(widths, key=lambda widths: widths[2] - widths[1]):
        column.width = word + min(spare, line - word)
        spare -= column.width - word
