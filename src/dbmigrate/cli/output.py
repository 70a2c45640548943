"""What a command shows, wherever it is shown: in a format on the streams, and in the files that were asked for."""

from __future__ import annotations

import os
import shlex
import stat
import time
from collections.abc import Generator
from contextlib import closing, suppress
from datetime import datetime, timezone
from functools import partial
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

from dbmigrate import __version__
from dbmigrate.cli.signals import hold_back, leave_on_signals
from dbmigrate.errors import DbmigrateError, ExitCode, ProjectError, UsageError
from dbmigrate.models.target import Choice
from dbmigrate.project.discovery import find_project, find_root
from dbmigrate.system import shortened

if TYPE_CHECKING:
    from dbmigrate.cli.session import Session
    from dbmigrate.models.events import Event
    from dbmigrate.models.reports import AnyReport
    from dbmigrate.renderers.base import Renderer
    from dbmigrate.renderers.fan_out import FanOut
    from dbmigrate.renderers.github import GithubRenderer
    from dbmigrate.renderers.plain import PlainRenderer
    from dbmigrate.renderers.repository_paths import RepositoryPaths
    from dbmigrate.renderers.step_summary import StepSummaryRenderer

Answered = TypeVar("Answered")


class Output:
    """All output of one command.

    It is made before the command line is read, belongs to the error boundary, and is closed once: what ended the
    command comes last, and everywhere.
    """

    def __init__(self, session: Session) -> None:
        """Show nothing yet: the format may stand in the configuration."""
        self._session = session
        self._lost: list[str] = []
        self._made: FanOut | None = None
        self._file: str | None = None
        self._is_file_checked = False

    def check_files(self, junit: str | None = None) -> None:
        """Find out whether the files that were asked for can be written, before anything is done.

        Raises:
            UsageError: one cannot.
        """
        file = self._session.output_file
        self._is_file_checked = True
        if file is not None:
            _check_file(self._session, file, junit)
            self._file = file
        if junit is not None:
            from dbmigrate.renderers.junit import JunitRenderer

            session = self._session
            report = JunitRenderer(
                session.cwd / junit, session.command, _repository_paths(session), time.monotonic, _now()
            )
            self._sinks.add(report, f"--junit {junit}")

    def begin(self, wanted: str) -> None:
        """Begin to show what comes in a format; "auto" looks at the streams."""
        chosen = self.find_format().value if wanted == "auto" else wanted
        self._sinks.add(_build_renderer(self._session, chosen, self._lost))
        summary = self._session.environ.get("GITHUB_STEP_SUMMARY")
        if chosen == "github" and summary:
            self._sinks.add(_build_summary(self._session, Path(summary)), "GITHUB_STEP_SUMMARY")
        if self._file is not None:
            from dbmigrate.renderers.json import JsonRenderer

            write = partial(_replace_file, self._session, self._file)
            # Last: what the others could not write is in it.
            self._sinks.add(JsonRenderer(write, self._session.command, self._lost), f"-o {self._file}")
        from dbmigrate.models.events import Started

        self.show(Started(command=self._session.command, dbmigrate=__version__))

    def find_format(self) -> Choice:
        """Return the format that "auto" stands for, and why it is that one."""
        environ = self._session.environ
        is_terminal = self._is_on_terminal
        is_dumb, is_ci = environ.get("TERM") == "dumb", environ.get("CI", "") not in ("", "0", "false")
        if is_terminal and not is_dumb and not is_ci:
            return Choice("rich", "auto: the output is a terminal")
        if is_terminal:
            return Choice("plain", f"auto: a terminal, and {'TERM=dumb' if is_dumb else 'CI is set'}")
        if environ.get("GITHUB_ACTIONS") != "true":
            return Choice("plain", "auto: the output is not a terminal")
        if self._keeps_for_later:
            return Choice("plain", "auto: GITHUB_ACTIONS=true, but the output is a file")
        return Choice("github", "auto: GITHUB_ACTIONS=true")

    def note_format(self) -> None:
        """Report that annotations are missing where they might be expected."""
        if self._session.verbosity >= 0 and self._keeps_for_later and not self._is_on_terminal:
            self._session.err.write(
                "note: GITHUB_ACTIONS=true, but the output is a file: plain text (--format github for more)\n"
            )

    @property
    def _is_on_terminal(self) -> bool:
        return self._session.out.isatty() and self._session.err.isatty()

    @property
    def _keeps_for_later(self) -> bool:
        return self._session.environ.get("GITHUB_ACTIONS") == "true" and _is_file(self._session.out)

    @property
    def is_lost(self) -> bool:
        """Whether what was to be shown on the streams could not be written."""
        return self._sinks.is_lost

    @property
    def needs_streams(self) -> bool:
        """Whether nobody else may write to our streams."""
        return self._sinks.needs_streams

    def show(self, event: Event) -> None:
        """Show an event, with the time at which it passes."""
        self._sinks.show(event.model_copy(update={"at": _now()}))

    def follow(self, work: Generator[Event, None, Answered]) -> Answered:
        """Show what a use case yields as it comes, and return what it returns."""
        with closing(work):
            while True:
                try:
                    event = next(work)
                except StopIteration as ended:
                    answer: Answered = ended.value
                    return answer
                self.show(event)

    def answer(self, report: AnyReport) -> None:
        """Show the answer."""
        self._sinks.answer(report)

    def refuse(self, error: DbmigrateError) -> bool:
        """Show the error that ends the command; return whether there is something that shows it.

        Where the command did not come so far that anything was begun, the command line says in which format.
        """
        session = self._session
        if not self._sinks.is_begun:
            if not self._is_file_checked:
                file = session.output_file or session.find_option("-o", "--output-file")
                self._file = None if file is None or session.names_as_plan(file) else file
            self.begin(session.options.get("format") or session.format_of_line())
        return self._sinks.refuse(error)

    def close(self, code: ExitCode) -> None:
        """End it, once; of a command that shows nothing (a help, a script for a shell) there is nothing to end.

        Raises:
            LostAnswer: all that the command is there for is an answer, and that was not written.
        """
        if self._made is None or not self._made.is_begun:
            return
        self._made.close(code)
        if not self._session.is_menu:
            leave_on_signals(code, is_work=self._session.is_work)

    @property
    def _sinks(self) -> FanOut:
        if self._made is None:
            # Needs pydantic, which is loaded while the project boots.
            from dbmigrate.renderers.fan_out import FanOut

            session = self._session
            self._made = FanOut(session.redactor, partial(_warn, session.err), self._lost, is_work=session.is_work)
        return self._made


def _check_file(session: Session, file: str, junit: str | None) -> None:
    from dbmigrate.renderers.files import check_replaceable

    if file == "-":
        raise UsageError(
            "-o requires a file name, and - is not one (nothing was done)",
            hint="to print the document: --format json",
        )
    path = session.cwd / file
    if junit is not None and path == session.cwd / junit:
        raise UsageError(f"-o and --junit name one file: {shortened(file)} (nothing was done)", hint="name two")
    try:
        check_replaceable(path)
    except OSError as error:
        hint = "name a file in a folder that can be written"
        if path.is_symlink():
            hint = f"name the file itself: -o {shlex.quote(shortened(os.path.realpath(path)))}"
        elif not path.parent.exists():
            hint = f"{hint}; to make the folder: mkdir -p {shlex.quote(shortened(str(path.parent)))}"
        raise UsageError(
            f"-o: {shortened(str(path))} cannot be written: {error.strerror or error} (nothing was done)", hint=hint
        ) from error


def _replace_file(session: Session, file: str, text: str) -> None:
    from dbmigrate.renderers.files import replace_file

    with hold_back():  # a second signal ends the process, and would leave the temporary file
        replace_file(session.cwd / file, text)


def _warn(err: TextIO, text: str) -> None:
    with suppress(OSError):
        err.write(f"warning: {text}\n")
        err.flush()


def _now() -> datetime:
    return datetime.now(timezone.utc)


def _is_file(stream: TextIO) -> bool:
    """Return whether a stream leads into a file: what is kept for later has no use for commands to a runner."""
    try:
        return stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
    except (OSError, ValueError):
        return False


def _build_renderer(session: Session, chosen: str, lost: list[str]) -> Renderer:
    if chosen == "json":
        from dbmigrate.renderers.json import JsonRenderer, write_text

        return JsonRenderer(partial(write_text, session.out), session.command, lost)
    if chosen == "jsonl":
        from dbmigrate.renderers.json_lines import JsonLinesRenderer

        return JsonLinesRenderer(session.out, session.command, lost, now=_now)
    if chosen == "github":
        return _build_github(session)
    from dbmigrate.renderers.page import Page

    if chosen == "plain":
        from dbmigrate.renderers.plain import PlainRenderer
        from dbmigrate.renderers.sheet import PlainSheet

        page = Page(PlainSheet(session.out), verbosity=session.verbosity, now=_now)
        return PlainRenderer(page, session.err, verbosity=session.verbosity, now=_now)
    from rich.console import Console

    from dbmigrate.renderers.live import RichRenderer
    from dbmigrate.renderers.terminal import TerminalSheet

    # Markup, emoji codes and highlighting would change what a child or a migration's name says.
    verbatim: dict[str, Any] = {"markup": False, "emoji": False, "highlight": False}
    if not session.has_color:
        verbatim |= {"no_color": True, "color_system": None}
    elif session.options.get("color") == "always":
        verbatim |= {"force_terminal": True}
    page = Page(TerminalSheet(Console(file=session.out, **verbatim)), verbosity=session.verbosity, now=_now)
    return RichRenderer(page, Console(file=session.err, **verbatim), verbosity=session.verbosity, clock=time.monotonic)


def _build_github(session: Session) -> GithubRenderer:
    import secrets

    from dbmigrate.renderers.github import GithubRenderer

    plain, text = _build_plain(session)
    return GithubRenderer(
        plain,
        text,
        session.out,
        command=session.command,
        paths=_repository_paths(session),
        has_summary=bool(session.environ.get("GITHUB_STEP_SUMMARY")),
        make_token=lambda: secrets.token_hex(16),
    )


def _build_summary(session: Session, file: Path) -> StepSummaryRenderer:
    from dbmigrate.renderers.step_summary import StepSummaryRenderer

    plain, text = _build_plain(session)
    # On stdout, as all that goes to the runner: it reads both streams side by side.
    return StepSummaryRenderer(plain, text, file, session.command, partial(_warn, session.out))


def _build_plain(session: Session) -> tuple[PlainRenderer, StringIO]:
    """Return what `plain` prints, and where it is written."""
    from dbmigrate.renderers.page import Page
    from dbmigrate.renderers.plain import PlainRenderer
    from dbmigrate.renderers.sheet import PlainSheet

    text = StringIO()
    page = Page(PlainSheet(text), verbosity=session.verbosity, now=_now)
    return PlainRenderer(page, text, verbosity=session.verbosity, now=_now), text


def _repository_paths(session: Session) -> RepositoryPaths:
    """Return where paths begin: of the project, and of the repository that holds it."""
    from dbmigrate.renderers.repository_paths import RepositoryPaths

    try:
        root = find_root(find_project(session.cwd, session.options.get("project")))
    except ProjectError:
        root = Path(os.sep)
    workspace = Path(session.environ.get("GITHUB_WORKSPACE") or root)
    try:
        is_inside = root.resolve().is_relative_to(workspace.resolve())
        return RepositoryPaths(root, workspace if is_inside and not (root / ".git").exists() else root)
    except (OSError, RuntimeError):  # it may not be looked at, or is a loop of links
        return RepositoryPaths(root, root)
