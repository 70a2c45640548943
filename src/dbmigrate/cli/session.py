"""What a command gets from the outside world: streams, environment, clock, signals; built once and passed on."""

from __future__ import annotations

import gc
import os
import stat
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import cached_property, partial
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TextIO

import click

from dbmigrate.cli.completion_cache import remember_names
from dbmigrate.cli.global_options import read_global_options
from dbmigrate.cli.signals import hold_back, leave_on_signals, listen
from dbmigrate.cli.sink import impatient
from dbmigrate.confidential import find_secrets
from dbmigrate.config import FORMATS, Flag, find_config_file, merge_settings
from dbmigrate.errors import DbmigrateError, ExitCode, LostAnswer, ProjectError
from dbmigrate.models.settings import Settings
from dbmigrate.models.target import Choice, Target
from dbmigrate.project.discovery import count_cpus, find_project, find_root, find_target, find_working_directory
from dbmigrate.redact import Redactor
from dbmigrate.system import lost_answer

if TYPE_CHECKING:
    from queue import SimpleQueue

    from dbmigrate.commands.review import CommandContext
    from dbmigrate.menu.prompter import Prompter
    from dbmigrate.models.events import Event
    from dbmigrate.models.reports import Answer
    from dbmigrate.project.booted import BootedProject
    from dbmigrate.renderers.base import Renderer
    from dbmigrate.renderers.github import GithubRenderer
    from dbmigrate.renderers.repository_paths import Places
    from dbmigrate.running.process import ChildMessage
    from dbmigrate.running.stopping import Stops


WORK = ("all", "run", "reset", "make", "squash", "menu")
"""The commands that do something: their exit code says whether it was done, whoever reads what they print."""


class HostKeeper(Protocol):
    """Decides how long a host lives."""

    def open(
        self, target: Target, environment: Mapping[str, str], redactor: Redactor
    ) -> AbstractContextManager[BootedProject]:
        """Return a host of this target for the length of the block."""


class OneCommand:
    """A host for each command: it ends with it."""

    def open(
        self, target: Target, environment: Mapping[str, str], redactor: Redactor
    ) -> AbstractContextManager[BootedProject]:
        """Start a host."""
        from dbmigrate.project.booted import BootedProject

        return BootedProject(target, environment, redactor)


_REDACTOR = "dbmigrate.redactor"


@dataclass
class Session:
    """One invocation of the command line."""

    options: dict[str, Any]
    """The global options that were given, by name."""
    command: str | None
    out: TextIO
    err: TextIO
    environ: Mapping[str, str]
    keeper: HostKeeper
    redactor: Redactor
    """What takes the secrets out of everything that is shown."""
    lost: list[str] = field(default_factory=list)
    """What could not be written in addition to the streams."""

    @cached_property
    def cwd(self) -> Path:
        """Return the working directory.

        Raises:
            ProjectError: there is none any more.
        """
        return find_working_directory()

    @property
    def verbosity(self) -> int:
        """Return -1 for `-q`, 0, or 1 for `-v`."""
        return int(self.options.get("verbose") or 0) - int(self.options.get("quiet") or 0)

    @property
    def can_ask(self) -> bool:
        """Whether there is a person at a terminal who wants to be asked."""
        return sys.stdin.isatty() and self.err.isatty() and not self.options.get("no_input")

    @property
    def is_for_machines(self) -> bool:
        """Whether the format that was asked for is read by a program, which gets no menu and no help."""
        return self.options.get("format") in ("json", "github")

    @property
    def is_menu(self) -> bool:
        """Whether the menu runs this command."""
        return not isinstance(self.keeper, OneCommand)

    @property
    def is_work(self) -> bool:
        """Whether the command is there for what it does, not for its answer."""
        return self.command in WORK

    @property
    def has_menu(self) -> bool:
        """Whether the menu can be shown: it asks, and draws on stdout."""
        is_wanted = not self.options.get("no_input") and not self.is_for_machines
        return is_wanted and sys.stdin.isatty() and self.out.isatty()

    def read_settings(self, flags: Mapping[str, Flag]) -> tuple[Settings, Path | None]:
        """Return the merged configuration, and the folder of its file.

        Raises:
            UsageError: a wrong key or value, with the place it stands in.
        """
        folder = find_project(self.cwd, self.options.get("project"))
        file = find_config_file(folder)
        given = {
            key: Flag(f"--{key}", self.options[key])
            for key in ("settings", "manage", "python", "format", "wait", "launcher")
            if self.options.get(key) is not None
        }
        settings = merge_settings(file, self.environ, given | dict(flags))
        self.redactor.learn(find_secrets(settings.lock_url.items()))
        return settings, file.path.parent if file is not None else None

    @contextmanager
    def open(
        self, flags: Mapping[str, Flag], junit: str | None = None, load: Callable[[], object] = lambda: None
    ) -> Iterator[tuple[CommandContext, Renderer]]:
        """Find the project, start its host, and load everything heavy while it boots.

        `flags` are the configuration keys that the command's own options set; `junit` names the file of `--junit`;
        `load` imports what the command will need.
        """
        if junit is None:
            with self._open(flags, load) as opened:
                yield opened
            return
        from dbmigrate.renderers.junit import JunitRenderer

        now = datetime.now(timezone.utc)
        file = JunitRenderer(self.cwd / junit, self.command, self._places(), time.monotonic, now)
        report = _Guarded(
            file, self.err, self.redactor, at_loss=lambda error: self.lost.append(f"--junit {junit}: {error.strerror}")
        )
        try:
            with self._open(flags, load) as (work, renderer):
                yield work, _Both(renderer, report)
        except DbmigrateError as error:
            # The error boundary shows it; it knows nothing of the file.
            report.refuse(error)
            report.close(error.code)
            raise

    @contextmanager
    def _open(self, flags: Mapping[str, Flag], load: Callable[[], object]) -> Iterator[tuple[CommandContext, Renderer]]:
        # Shell completion loads this module too and must not pay for what only a command needs.
        from dbmigrate.running.process import child_environment

        settings, config_folder = self.read_settings(flags)
        target = find_target(self.cwd, self.options.get("project"), settings, self.environ, config_folder=config_folder)
        folder = Path(target.choices["project"].value)
        environment = child_environment(self.environ, settings=target.settings)
        with self.keeper.open(target, environment, self.redactor) as host:
            with hold_back():
                from dbmigrate.commands.review import CommandContext
                from dbmigrate.project.booted import SHORTEST_SILENCE, SILENCE_SECONDS
                from dbmigrate.running.fork import choose_launcher

                renderer = self.renderer(settings.format)
                if settings.format == "auto":
                    self._note_format()
                load()
            host.boot()
            # Off since __main__.py. A run may last for hours.
            gc.freeze()
            gc.enable()
            cpus = count_cpus()
            host.silence_seconds = max(settings.wait, SHORTEST_SILENCE) if settings.wait else SILENCE_SECONDS
            host.may_copy = settings.launcher != "spawn" and cpus > 1
            yield (
                CommandContext(
                    target=target,
                    settings=settings,
                    environment=environment,
                    host=host,
                    launcher=choose_launcher(host, settings.launcher, environment),
                    cpus=cpus,
                    clock=time.monotonic,
                    listen=_listen,
                    remember=lambda snapshot: remember_names(folder, snapshot, self.environ),
                    sleep=time.sleep,
                    has_streams=not renderer.needs_streams,
                ),
                renderer,
            )

    def prompter(self) -> Prompter:
        """Return what asks at this terminal."""
        from dbmigrate.menu.inquirer import InquirerPrompter

        return InquirerPrompter(
            has_unicode=(self.out.encoding or "").lower().startswith("utf"),
            has_color=self.has_color,
            is_dumb=self.environ.get("TERM") in ("dumb", "unknown"),
        )

    def renderer(self, wanted: str) -> _Guarded:
        """Return the renderer for a format; "auto" looks at the streams."""
        renderer = self._build_renderer(self.find_format().value if wanted == "auto" else wanted)
        at_end = partial(leave_on_signals, is_work=self.is_work)
        return _Guarded(renderer, self.err, self.redactor, at_end=(lambda code: None) if self.is_menu else at_end)

    def find_format(self) -> Choice:
        """Return the format that "auto" stands for, and why it is that one."""
        is_terminal = self._is_on_terminal
        is_dumb, is_ci = self.environ.get("TERM") == "dumb", self.environ.get("CI", "") not in ("", "0", "false")
        if is_terminal and not is_dumb and not is_ci:
            return Choice("rich", "auto: the output is a terminal")
        if is_terminal:
            return Choice("plain", f"auto: a terminal, and {'TERM=dumb' if is_dumb else 'CI is set'}")
        if self.environ.get("GITHUB_ACTIONS") != "true":
            return Choice("plain", "auto: the output is not a terminal")
        if self._keeps_for_later:
            return Choice("plain", "auto: GITHUB_ACTIONS=true, but the output is a file")
        return Choice("github", "auto: GITHUB_ACTIONS=true")

    def _note_format(self) -> None:
        """Say that annotations are left out where they might be expected."""
        if self.verbosity >= 0 and self._keeps_for_later and not self._is_on_terminal:
            self.err.write(
                "note: GITHUB_ACTIONS=true, but the output is a file: plain text (--format github for more)\n"
            )

    @property
    def _is_on_terminal(self) -> bool:
        return self.out.isatty() and self.err.isatty()

    @property
    def _keeps_for_later(self) -> bool:
        return self.environ.get("GITHUB_ACTIONS") == "true" and _is_file(self.out)

    def _build_renderer(self, chosen: str) -> Renderer:
        if chosen == "json":
            from dbmigrate.renderers.json import JsonRenderer

            return JsonRenderer(self.out, self.command, self.lost)
        if chosen == "github":
            return self._build_github()
        from dbmigrate.renderers.tables import Page

        if chosen == "plain":
            from dbmigrate.renderers.plain import PlainRenderer
            from dbmigrate.renderers.sheet import PlainSheet

            page = Page(PlainSheet(self.out), verbosity=self.verbosity, now=_now)
            return PlainRenderer(page, self.err, verbosity=self.verbosity, now=_now)
        from rich.console import Console

        from dbmigrate.renderers.live import RichRenderer
        from dbmigrate.renderers.terminal import TerminalSheet

        # Markup, emoji codes and highlighting would change what a child or a migration's name says.
        verbatim: dict[str, Any] = {"markup": False, "emoji": False, "highlight": False}
        if not self.has_color:
            verbatim |= {"no_color": True, "color_system": None}
        elif self.options.get("color") == "always":
            verbatim |= {"force_terminal": True}
        page = Page(TerminalSheet(Console(file=self.out, **verbatim)), verbosity=self.verbosity, now=_now)
        return RichRenderer(page, Console(file=self.err, **verbatim), verbosity=self.verbosity, clock=time.monotonic)

    def _build_github(self) -> GithubRenderer:
        import secrets

        from dbmigrate.renderers.github import GithubRenderer
        from dbmigrate.renderers.plain import PlainRenderer
        from dbmigrate.renderers.sheet import PlainSheet
        from dbmigrate.renderers.tables import Page

        text = StringIO()
        page = Page(PlainSheet(text), verbosity=self.verbosity, now=_now)
        summary = self.environ.get("GITHUB_STEP_SUMMARY")
        return GithubRenderer(
            PlainRenderer(page, text, verbosity=self.verbosity, now=_now),
            text,
            self.out,
            command=self.command,
            places=self._places(),
            summary=Path(summary) if summary else None,
            make_token=lambda: secrets.token_hex(16),
        )

    def _places(self) -> Places:
        """Return where paths begin: of the project, and of the repository that holds it."""
        from dbmigrate.renderers.repository_paths import Places

        try:
            root = find_root(find_project(self.cwd, self.options.get("project")))
        except ProjectError:
            root = Path(os.sep)
        workspace = Path(self.environ.get("GITHUB_WORKSPACE") or root)
        try:
            is_inside = root.resolve().is_relative_to(workspace.resolve())
            return Places(root, workspace if is_inside and not (root / ".git").exists() else root)
        except (OSError, RuntimeError):  # it may not be looked at, or is a loop of links
            return Places(root, root)

    @property
    def has_color(self) -> bool:
        """Whether colour is wanted, where the stream can have it."""
        wanted = self.options.get("color") or "auto"
        return wanted == "always" or (wanted == "auto" and not self.environ.get("NO_COLOR"))


def _now() -> datetime:
    return datetime.now(timezone.utc)


def _is_file(stream: TextIO) -> bool:
    """Return whether a stream leads into a file: what is kept for later has no use for commands to a runner."""
    try:
        return stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
    except (OSError, ValueError):
        return False


@contextmanager
def _listen(outbox: SimpleQueue[ChildMessage], grace: float | None) -> Iterator[Stops]:
    """Listen to signals, and let no reader of our output hold that up."""
    with impatient(), listen(outbox, grace) as stops:
        yield stops


class _Both:
    """Two renderers that show the same."""

    def __init__(self, first: Renderer, second: Renderer) -> None:
        self._renderers = (first, second)

    @property
    def needs_streams(self) -> bool:
        """Whether nobody else may write to our streams."""
        return any(renderer.needs_streams for renderer in self._renderers)

    def show(self, event: Event) -> None:
        """Show one event."""
        for renderer in self._renderers:
            renderer.show(event)

    def answer(self, report: Answer) -> None:
        """Show the answer."""
        for renderer in self._renderers:
            renderer.answer(report)

    def refuse(self, error: DbmigrateError) -> None:
        """Show the error."""
        for renderer in self._renderers:
            renderer.refuse(error)

    def close(self, code: ExitCode) -> None:
        """End the output, that of the command last: it may be the end of the command."""
        for renderer in reversed(self._renderers):
            renderer.close(code)


DONE = ("run", "make", "squash")
"""Answers of commands that did something: it stays done when nobody can be told of it."""


class _Guarded:
    """A renderer that gets no secrets, and is dropped when its stream fails (closed pipe, full disk).

    What runs goes on then; an answer is lost.

    Nothing is scrubbed before: what was is for people alone, and dbmigrate itself reads what came.
    """

    def __init__(
        self,
        renderer: Renderer,
        err: TextIO,
        redactor: Redactor,
        *,
        at_end: Callable[[ExitCode], None] = lambda code: None,
        at_loss: Callable[[OSError], None] | None = None,
    ) -> None:
        """Guard a renderer; `at_end` is called when it was closed.

        `at_loss` is called when it is dropped, of one that shows what another shows too: then nothing is lost.
        """
        self._renderer: Renderer | None = renderer
        self._err = err
        self._redactor = redactor
        self._at_end = at_end
        self._at_loss = at_loss
        self._is_work = True
        """Whether what is shown is about work that goes on without it."""
        self._lost: LostAnswer | None = None

    @property
    def is_lost(self) -> bool:
        """Whether what was to be shown could not be written."""
        return self._renderer is None

    def show(self, event: Event) -> None:
        """Show one event."""
        self._try("show", event)

    def answer(self, report: Answer) -> None:
        """Show the answer."""
        self._is_work = report.type in DONE
        self._try("answer", report)

    def refuse(self, error: DbmigrateError) -> None:
        """Show the error; where that is not possible, `is_lost` says so."""
        self._is_work = False
        self._try("refuse", error)

    def close(self, code: ExitCode) -> None:
        """End the output.

        Raises:
            LostAnswer: all that the command is there for is an answer, and that was not written.
        """
        self._try("close", code)
        if self._lost is not None:
            if code == ExitCode.OK:
                raise self._lost
            _warn(self._err, self._lost.message)
        self._at_end(code)

    @property
    def needs_streams(self) -> bool:
        """Whether nobody else may write to our streams."""
        return self._renderer is not None and self._renderer.needs_streams

    def _try(self, method: str, argument: object) -> None:
        if self._renderer is None:
            return
        from dbmigrate.renderers.scrubbing import scrubbed

        try:
            getattr(self._renderer, method)(scrubbed(argument, self._redactor))
        except OSError as error:
            self._renderer = None
            if self._at_loss is not None:
                self._at_loss(error)
            if self._is_work or self._at_loss is not None:
                _warn(self._err, f"the output can no longer be written ({error.strerror}); the run continues")
            else:
                self._lost = lost_answer(error)


def _warn(err: TextIO, text: str) -> None:
    with suppress(OSError):
        err.write(f"warning: {text}\n")
        err.flush()


def current_session(
    options: dict[str, Any], command: str | None, redactor: Redactor, keeper: HostKeeper | None = None
) -> Session:
    """Return the session of this process."""
    return Session(
        options=options,
        command=command,
        out=sys.stdout,
        err=sys.stderr,
        environ=os.environ,
        keeper=keeper or OneCommand(),
        redactor=redactor,
    )


def session_of(context: click.Context) -> Session:
    """Return the session of a command: its global options, and the host of the menu it was called from."""
    options = read_global_options(context)
    return current_session(options, context.info_name, redactor_of(context), context.find_root().obj)


def redactor_of(context: click.Context) -> Redactor:
    """Return what takes the secrets out of everything that this process shows; one for all of its commands."""
    redactor: Redactor = context.meta[_REDACTOR]
    return redactor


def keep_redactor(context: click.Context, redactor: Redactor) -> None:
    """Let the commands of a command line find it."""
    context.meta[_REDACTOR] = redactor


def format_of_line(arguments: Sequence[str], environ: Mapping[str, str]) -> str:
    """Return the format asked for on a command line that could not be parsed."""
    wanted = environ.get("DBMIGRATE_FORMAT", "auto")
    for index, word in enumerate(arguments):
        if word == "--format" and index + 1 < len(arguments):
            wanted = arguments[index + 1]
        elif word.startswith("--format="):
            wanted = word.partition("=")[2]
    return wanted if wanted in FORMATS else "auto"
