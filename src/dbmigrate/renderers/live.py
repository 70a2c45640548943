"""`--format rich`: a live line per database on the terminal, then a summary."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.table import Table
from rich.text import Text

from dbmigrate.errors import DbmigrateError, ExitCode
from dbmigrate.listing import MANY
from dbmigrate.models.events import Event, PlanReady, RunFinished
from dbmigrate.models.plan import MigrationPlan
from dbmigrate.models.result import RunResult
from dbmigrate.renderers import failure_words, run_words, words
from dbmigrate.renderers.board import Board, Row, State
from dbmigrate.renderers.durations import duration
from dbmigrate.renderers.error_words import error_lines
from dbmigrate.renderers.lines import Level, Line, Story
from dbmigrate.renderers.page import Page
from dbmigrate.renderers.tables import show_report, show_result
from dbmigrate.renderers.wrapping import hang, hint_lines

if TYPE_CHECKING:
    from dbmigrate.models.reports import AnyReport

FRAMES_PER_SECOND = 8
BAR_WIDTH = 20
FEWEST_ROWS, ROWS_LEFT = 6, 4
"""Databases that have a line of their own: at least, and how many lines of the terminal stay free of them."""
NARROW = 60
"""Below this many columns the bar is left out."""

ALIAS_WIDTHS = {False: 24, True: 14}
"""The most of an alias that is shown, by whether the terminal is narrow."""

EMOJI: Mapping[Level, str] = {"start": "🚀 ", "make": "📝 ", "database": "🔄 ", "app": "📦 "}
INDENT: Mapping[Level, str] = {
    "written": "  ",
    "app": "  ",
    "reason": "  ",
    "command": "  $ ",
    "ended": "  ",
    "done": "  ",
}
LINE_STYLES: Mapping[Level, str] = {
    "start": "bold",
    "reason": "dim",
    "command": "dim",
    "output": "dim",
    "ended": "dim",
    "waiting": "yellow",
    "done": "green",
}
SYMBOLS = {
    "waiting": ("·", "."),
    "running": ("▶", ">"),
    "ok": ("✔", "+"),
    "failed": ("✘", "x"),
    "not-run": ("-", "-"),
}
BARS = (("━", "─"), ("#", "-"))
"""What is done and what is left, where the terminal has Unicode and where it has not."""
STATES: Mapping[State, str] = {
    "waiting": "waiting",
    "running": "running",
    "ok": "done",
    "failed": "failed",
    "not-run": "not started",
}
STYLES = {"waiting": "dim", "running": "cyan", "ok": "green", "failed": "bold red", "not-run": "yellow"}


class RichRenderer:
    """Draws the live view on the error console and answers on the page."""

    needs_streams = False

    def __init__(self, page: Page, console: Console, *, verbosity: int, clock: Callable[[], float]) -> None:
        """Draw on `console`, which must not interpret markup; `clock` gives seconds that only grow."""
        self._page = page
        self._console = console
        self._verbosity = verbosity
        self._clock = clock
        self._has_unicode = console.encoding.lower().startswith("utf")
        self._board = Board()
        self._story = Story()
        self._live: Live | None = None

    def show(self, event: Event) -> None:
        """Move the live view on."""
        self._board.take(event, self._clock())
        for line in self._story.lines_of(event):
            self._write(line)
        match event:
            case PlanReady():
                self._begin(event.plan)
            case RunFinished():
                self._finish(event.result)
            case _:
                pass

    def answer(self, report: AnyReport) -> None:
        """Write the answer of a command."""
        show_report(self._page, report)

    def refuse(self, error: DbmigrateError) -> None:
        """Write the error, its hint, and with `-v` the whole story."""
        self._stop()
        if error.detail is not None and self._verbosity > 0:
            self._print(error.detail, "dim")
        for begins, line in error_lines(error):
            if begins:
                self._labelled("error", line, "bold red")
            else:
                for part in hang(line, self._console.width):
                    self._print(part)
        if error.hint is not None:
            self._hint(error.hint)

    def close(self, code: ExitCode) -> None:
        """End the live view, and show with which exit code the command fails: it stands above the shell's prompt."""
        self._stop()
        if code:
            for line in hang(code.sentence, self._console.width):
                self._print(line, "dim")

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw the rows as they are now; called by the live view for every frame."""
        now = self._clock()
        is_narrow = options.max_width < NARROW
        shown, others = self._board.pick(max(FEWEST_ROWS, console.size.height - ROWS_LEFT))
        rows = [[*self._cells(row, now, is_narrow=is_narrow)] for row in shown]
        grid = Table.grid(padding=(0, 1))
        # The migration in flight comes last, so that nothing moves when its length changes, and it alone gives way.
        most = ALIAS_WIDTHS[is_narrow]
        for index, column in enumerate(zip(*rows, strict=True)):
            widest = max(cell.cell_len for cell in column)
            if index == 1:
                grid.add_column(no_wrap=True, overflow="ellipsis", min_width=min(widest, most), max_width=most)
            elif index < len(rows[0]) - 1:
                grid.add_column(no_wrap=True, min_width=widest, justify="right" if index > 1 else "left")
            else:
                grid.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        for cells in rows:
            grid.add_row(*cells)
        yield grid
        if others:
            yield self._summary(others)

    def _summary(self, others: Mapping[State, int]) -> Text:
        """Return the line about the databases that have no line of their own."""
        parts = []
        for state, count in others.items():
            symbol = SYMBOLS[state][0 if self._has_unicode else 1]
            parts.append(Text(f"{symbol} {words.plural(count, 'database')} {STATES[state]}", style=STYLES[state]))
        return Text("   ").join(parts)

    def _cells(self, row: Row, now: float, *, is_narrow: bool) -> Iterator[Text]:
        elapsed = row.elapsed(now)
        yield Text(SYMBOLS[row.state][0 if self._has_unicode else 1], style=STYLES[row.state])
        yield Text(row.alias)
        if not is_narrow:
            yield self._bar(row)
        yield Text(f"{row.done}/{row.total}" if row.total else "")
        yield Text(duration(elapsed) if elapsed is not None else "", style="dim")
        yield Text(row.current, style="dim")

    def _bar(self, row: Row) -> Text:
        """Return a bar that can be read without colour."""
        done, left = BARS[0 if self._has_unicode else 1]
        filled = BAR_WIDTH * min(row.done, row.total) // row.total if row.total else 0
        return Text.assemble((done * filled, STYLES[row.state]), (left * (BAR_WIDTH - filled), "dim"))

    def _write(self, line: Line) -> None:
        """Write a line, where this verbosity shows it and the live view does not."""
        match line.level:
            case "warning":
                self._labelled("warning", line.text, "yellow")
                if line.hint is not None:
                    self._hint(line.hint, "   hint: ")
            case "stopping":
                self._print(line.text, "yellow")
            case "list":
                self._print(line.text)
            case "progress" | "failed":
                pass  # the live view has the one, the report the other
            case "command" | "output" | "ended" if self._verbosity < 1:
                pass
            case "database" | "app" | "reason" if self._has_many and self._verbosity < 1:
                pass
            case "done" if self._has_many:
                pass
            case "output":
                self._say(f"  {line.alias or 'makemigrations'}  {line.text}", LINE_STYLES["output"])
            case level:
                symbol = EMOJI.get(level, "") if self._has_unicode else ""
                self._say(f"{INDENT.get(level, '')}{symbol}{line.text}", LINE_STYLES.get(level, ""))

    def _begin(self, plan: MigrationPlan) -> None:
        if plan.steps and self._live is None and self._verbosity >= 0:
            self._live = Live(
                self,
                console=self._console,
                refresh_per_second=FRAMES_PER_SECOND,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start()

    @property
    def _has_many(self) -> bool:
        """Whether a line for each database would be no reading."""
        return len(self._board.rows) > MANY

    def _finish(self, result: RunResult) -> None:
        self._stop()
        if self._verbosity >= 0:
            show_result(self._page, result)
        for database in result.databases:
            if database.failure is not None:
                for line in failure_words.failure_lines(database, database.failure, is_brief=self._verbosity < 1):
                    self._print(f"{database.alias}  {line}")
        if result.exit_code:
            self._labelled("error", run_words.verdict(result), "bold red")
            self._hint(failure_words.advice(result))

    def _stop(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _say(self, text: str, style: str = "") -> None:
        if self._verbosity >= 0:
            self._print(text, style)

    def _print(self, text: str, style: str = "") -> None:
        for line in text.splitlines() or [""]:
            self._console.print(Text(words.printable(line), style=style), soft_wrap=True)

    def _labelled(self, label: str, text: str, style: str) -> None:
        """Write a sentence that begins with what it is."""
        head = f"{label}: "
        first, *more = text.splitlines() or [""]
        self._headed(hang(head + words.printable(first), self._console.width), head, style)
        for line in more:
            self._console.print(Text(" " * len(head) + words.printable(line)), soft_wrap=True)

    def _hint(self, text: str, head: str = "hint: ") -> None:
        """Write what to do; the terminal itself breaks what is copied."""
        for number, line in enumerate(hint_lines(head, text)):
            shown = words.printable(line.text)
            parts = [shown] if line.is_copied else hang(shown, self._console.width)
            self._headed(parts, head.rstrip() if number == 0 else "", "cyan")

    def _headed(self, lines: Iterable[str], head: str, style: str) -> None:
        for number, line in enumerate(lines):
            shown = Text(line)
            if number == 0:
                shown.stylize(style, 0, len(head))
            self._console.print(shown, soft_wrap=True)
