"""`dbmigrate menu`, and `dbmigrate` alone on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from dbmigrate.cli.global_options import read_global_options
from dbmigrate.cli.host_lifetime import KeptHost
from dbmigrate.cli.options import global_options
from dbmigrate.cli.output import follow
from dbmigrate.cli.session import current_session, redactor_of, session_of
from dbmigrate.errors import DbmigrateError, ExitCode, Interrupted, UsageError

if TYPE_CHECKING:
    from dbmigrate.models.reports import StatusReport

REPEATED = ("settings", "project", "manage", "python")
"""Global options that the shown command line repeats: without them it would mean another project."""


@click.command("menu", short_help="Choose what to migrate in a menu.")
@global_options
@click.pass_context
def command(context: click.Context) -> ExitCode:
    """Show databases and apps, and ask what to do; every choice shows its plan and its command line first."""
    return show_menu(context)


def show_menu(context: click.Context) -> ExitCode:
    """Run the menu until somebody leaves it.

    Raises:
        UsageError: this is no terminal, or nobody wants to be asked.
    """
    if not session_of(context).has_menu:
        given = read_global_options(context)
        because = "needs a terminal"
        if given.get("no_input"):
            because = "cannot be combined with --no-input"
        elif session_of(context).is_for_machines:
            because = f"cannot be combined with --format {given['format']}"
        raise UsageError(
            f"the menu {because}",
            hint="dbmigrate all, or one database or app: dbmigrate run --help",
        )
    from dbmigrate.menu.flow import Menu, command_line

    options = read_global_options(context)
    session = session_of(context)
    outside = _CommandLine(context.find_root(), options, has_color=session.has_color)
    global_words = [f"--{name}={options[name]}" for name in REPEATED if options.get(name)]
    menu = Menu(
        session.prompter(),
        outside,
        lambda words: command_line(global_words, words),
    )
    try:
        menu.show()
    finally:
        outside.close()
    return ExitCode.OK


class _CommandLine:
    """Runs commands as if they had been typed, all on one host."""

    def __init__(self, root: click.Context, options: dict[str, Any], *, has_color: bool) -> None:
        from rich.console import Console

        self._root = root
        self._options = options
        self._redactor = redactor_of(root)
        self._console = Console(markup=False, emoji=False, highlight=False, no_color=not has_color)
        self._keeper = KeptHost(self.say)
        self._is_refused = False
        root.obj = self._keeper
        self.has_unicode = self._console.encoding.lower().startswith("utf")

    def look(self) -> StatusReport | None:
        """Ask for the state of every database, migrations included."""
        session = current_session(self._options, "status", self._redactor, self._keeper)
        try:
            with session.open({}) as (work, renderer):
                from dbmigrate.commands import show

                return follow(renderer, show.status(work, migrations=True))
        except (DbmigrateError, KeyboardInterrupt) as error:
            self._refuse(error)
            return None

    def run(self, words: Sequence[str]) -> ExitCode:
        """Parse and run one command; whatever happens, the menu goes on."""
        root = self._root.command
        assert isinstance(root, click.Group)
        try:
            name, sub, rest = root.resolve_command(self._root, list(words))
            assert sub is not None
            with sub.make_context(name, rest, parent=self._root) as context:
                code: ExitCode = sub.invoke(context)
                return code
        except (DbmigrateError, KeyboardInterrupt) as error:
            return self._refuse(error)

    def plan(self, words: Sequence[str]) -> bool:
        """Show the plan; a refusal is shown too, and may have the code that stands for missing migrations."""
        self._is_refused = False
        code = self.run(["plan", "--exit-code", *words])
        return code in (ExitCode.PENDING, ExitCode.MODEL_CHANGES) and not self._is_refused

    def say(self, text: str, *, is_heading: bool = False) -> None:
        """Print a line."""
        from dbmigrate.renderers.wrapping import hang

        text = self._redactor.scrub(text, is_own=True)
        is_copied = text.startswith("$ ")
        for line in [text] if is_copied else hang(text, self._console.width):
            self._console.print(line, style="bold" if is_heading else None, soft_wrap=True)

    def symbol(self, name: str) -> str:
        """Return an emoji where the terminal has it."""
        return {"database": "🗄️ ", "configuration": "📋 "}[name] if self.has_unicode else ""

    def close(self) -> None:
        """End the host."""
        self._keeper.close()

    def _refuse(self, error: DbmigrateError | KeyboardInterrupt) -> ExitCode:
        self._is_refused = True
        known = error if isinstance(error, DbmigrateError) else Interrupted("interrupted; nothing was migrated")
        session = current_session(self._options, None, self._redactor)
        session.renderer(self._options.get("format") or "auto").refuse(known)
        return known.code
