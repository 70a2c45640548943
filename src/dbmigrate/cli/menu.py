"""`dbmigrate menu`, and `dbmigrate` alone on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from dbmigrate.cli.global_options import read_global_options
from dbmigrate.cli.host_lifetime import KeptHost, open_project
from dbmigrate.cli.options import menu_options
from dbmigrate.cli.session import Session, keep_session, new_session, session_of
from dbmigrate.errors import DbmigrateError, ExitCode, Interrupted, UsageError
from dbmigrate.redact import Redactor

if TYPE_CHECKING:
    from dbmigrate.models.reports import StatusReport

REPEATED = ("settings", "project", "manage", "python")
"""Global options that the shown command line repeats: without them it would mean another project."""


@click.command("menu", short_help="Choose what to migrate in a menu.")
@menu_options
@click.pass_context
def command(context: click.Context) -> ExitCode:
    """Show databases and apps, and ask what to do. Needs a terminal.

    Each choice shows the command that does the same, and shows the plan and asks before anything changes.
    """
    return show_menu(context)


def show_menu(context: click.Context) -> ExitCode:
    """Run the menu until somebody leaves it.

    Raises:
        UsageError: this is no terminal, or nobody wants to be asked.
    """
    session = session_of(context)
    if not session.opens_menu:
        given = read_global_options(context)
        reason = "needs a terminal"
        if given.get("no_input"):
            reason = "cannot be combined with --no-input"
        elif session.is_for_machines:
            reason = f"cannot be combined with --format {given['format']}"
        elif session.output_file is not None:
            reason = "cannot be combined with -o"
        raise UsageError(
            f"the menu {reason}",
            hint="dbmigrate all, or one database or app: dbmigrate run --help",
        )
    from dbmigrate.menu.flow import Menu, command_line

    options = read_global_options(context)
    outside = _CommandLine(context.find_root(), options, session.redactor, has_color=session.has_color)
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

    def __init__(self, root: click.Context, options: dict[str, Any], redactor: Redactor, *, has_color: bool) -> None:
        from rich.console import Console

        self._root = root
        self._options = options
        self._redactor = redactor
        self._console = Console(markup=False, emoji=False, highlight=False, no_color=not has_color)
        self._keeper = KeptHost(self.say)
        self._is_refused = False
        root.obj = self._keeper
        self.has_unicode = self._console.encoding.lower().startswith("utf")

    def read_status(self) -> StatusReport | None:
        """Ask for the state of every database, migrations included."""
        session = self._new_session(("status",))
        try:
            with open_project(session, {}) as (work, output):
                from dbmigrate.commands import show

                return output.follow(show.status(work, migrations=True))
        except (DbmigrateError, KeyboardInterrupt) as error:
            self._refuse(error, session)
            return None

    def run(self, words: Sequence[str]) -> ExitCode:
        """Parse and run one command; whatever happens, the menu continues."""
        root = self._root.command
        assert isinstance(root, click.Group)
        session = self._new_session(words)
        keep_session(self._root, session)
        given = read_global_options(self._root)
        before = dict(given)
        try:
            name, sub, rest = root.resolve_command(self._root, list(words))
            assert sub is not None
            with sub.make_context(name, rest, parent=self._root) as context:
                code: ExitCode = sub.invoke(context)
                return code
        except (DbmigrateError, KeyboardInterrupt) as error:
            return self._refuse(error, session)
        finally:
            if given.get("output_file") is not None:
                self._keeper.ignore(session.cwd / given["output_file"])
            # What was given to this command (-o FILE) is not for the next one.
            given.clear()
            given.update(before)

    def plan(self, words: Sequence[str]) -> bool:
        """Show the plan; a refusal is shown too, and may have the code that stands for missing migrations."""
        self._is_refused = False
        code = self.run(["plan", "--exit-code", *words])
        return code in (ExitCode.PENDING, ExitCode.MODEL_CHANGES) and not self._is_refused

    def show_saved(self, file: str) -> bool:
        """Show a summary of the plan in a file, without a look at the project; a file that holds none is refused."""
        from dbmigrate.cli.saved_document import read_document
        from dbmigrate.renderers.saved_plan_words import summary

        session = self._new_session(("apply",))
        try:
            document = read_document(session.cwd, file)
        except DbmigrateError as error:
            self._refuse(error, session)
            return False
        for line in summary(file, document.plan, document.phases, document.warnings):
            self.say(line)
        return True

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

    def _new_session(self, words: Sequence[str]) -> Session:
        return new_session(words, self._redactor, command=words[0], options=self._options, keeper=self._keeper)

    def _refuse(self, error: DbmigrateError | KeyboardInterrupt, session: Session) -> ExitCode:
        self._is_refused = True
        known = error if isinstance(error, DbmigrateError) else Interrupted("interrupted; nothing was migrated")
        session.output.refuse(known)
        session.output.close(known.code)
        return known.code
