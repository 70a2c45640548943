"""What a command gets from the outside world: streams, environment, clock, signals; built once and passed on."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TextIO

import click

from dbmigrate.cli.given import read_global_options
from dbmigrate.cli.names import remember_names
from dbmigrate.cli.signals import hold_back, listen
from dbmigrate.config import FORMATS, Flag, find_config_file, merge_settings
from dbmigrate.discovery import find_project, find_target
from dbmigrate.errors import DbmigrateError, ExitCode
from dbmigrate.models.settings import Settings
from dbmigrate.models.target import Target

if TYPE_CHECKING:
    from dbmigrate.app import Work
    from dbmigrate.host import Host
    from dbmigrate.models.events import Event
    from dbmigrate.models.reports import Answer
    from dbmigrate.renderers.base import Renderer


class HostKeeper(Protocol):
    """Decides how long a host lives."""

    def open(self, target: Target, environment: Mapping[str, str]) -> AbstractContextManager[Host]:
        """Return a host of this target for the length of the block."""


class OneCommand:
    """A host for each command: it ends with it."""

    def open(self, target: Target, environment: Mapping[str, str]) -> AbstractContextManager[Host]:
        """Start a host."""
        from dbmigrate.host import Host

        return Host(target, environment)


@dataclass
class Session:
    """One invocation of the command line."""

    options: dict[str, Any]
    """The global options that were given, by name."""
    command: str | None
    out: TextIO
    err: TextIO
    environ: Mapping[str, str]
    cwd: Path
    keeper: HostKeeper

    @property
    def verbosity(self) -> int:
        """Return -1 for `-q`, 0, or 1 for `-v`."""
        return int(self.options.get("verbose") or 0) - int(self.options.get("quiet") or 0)

    @property
    def can_ask(self) -> bool:
        """Whether there is a person at a terminal who wants to be asked."""
        return sys.stdin.isatty() and self.err.isatty() and not self.options.get("no_input")

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
        return merge_settings(file, self.environ, given | dict(flags)), file.path.parent if file is not None else None

    @contextmanager
    def open(self, flags: Mapping[str, Flag]) -> Iterator[tuple[Work, Renderer]]:
        """Find the project, start its host, and load everything heavy while it boots.

        `flags` are the configuration keys that the command's own options set.
        """
        # Shell completion loads this module too and must not pay for what only a command needs.
        from dbmigrate.process import child_environment

        settings, config_folder = self.read_settings(flags)
        target = find_target(self.cwd, self.options.get("project"), settings, self.environ, config_folder=config_folder)
        folder = Path(target.choices["project"].value)
        environment = child_environment(self.environ, settings=target.settings)
        with self.keeper.open(target, environment) as host:
            with hold_back():
                from dbmigrate.app import Work
                from dbmigrate.forking import choose_launcher

                renderer = self.renderer(settings.format)
            host.boot()
            launcher, choice = choose_launcher(host, settings.launcher, environment)
            yield (
                Work(
                    target=target,
                    settings=settings,
                    environment=environment,
                    host=host,
                    launcher=launcher,
                    launcher_choice=choice,
                    clock=time.monotonic,
                    listen=listen,
                    remember=lambda snapshot: remember_names(folder, snapshot, self.environ),
                    sleep=time.sleep,
                    tell=renderer.show,
                ),
                renderer,
            )

    def renderer(self, wanted: str) -> Renderer:
        """Return the renderer for a format; "auto" looks at the streams."""
        chosen = self._format() if wanted == "auto" else wanted
        return _Guarded(self._build_renderer(chosen), self.err)

    def _format(self) -> str:
        is_terminal = self.out.isatty() and self.err.isatty()
        is_plain = self.environ.get("TERM") == "dumb" or self.environ.get("CI")
        return "rich" if is_terminal and not is_plain else "plain"

    def _build_renderer(self, chosen: str) -> Renderer:
        if chosen == "json":
            from dbmigrate.renderers.json import JsonRenderer

            return JsonRenderer(self.out, self.command)
        from rich.console import Console

        from dbmigrate.renderers.tables import Page

        is_rich = chosen == "rich"
        has_color = self._has_color()
        # Markup, emoji codes and highlighting would change what a child or a migration's name says.
        verbatim: dict[str, Any] = {"markup": False, "emoji": False, "highlight": False}
        if not has_color or not is_rich:
            verbatim |= {"no_color": True, "color_system": None}
        elif self.options.get("color") == "always":
            verbatim |= {"force_terminal": True}
        width = None if is_rich else 10_000  # a log line has no width
        page = Page(Console(file=self.out, width=width, **verbatim), verbosity=self.verbosity, has_boxes=is_rich)
        if not is_rich:
            from dbmigrate.renderers.plain import PlainRenderer

            return PlainRenderer(page, self.err, verbosity=self.verbosity, now=lambda: datetime.now(timezone.utc))
        from dbmigrate.renderers.live import RichRenderer

        return RichRenderer(page, Console(file=self.err, **verbatim), verbosity=self.verbosity, clock=time.monotonic)

    def _has_color(self) -> bool:
        wanted = self.options.get("color") or "auto"
        return wanted == "always" or (wanted == "auto" and not self.environ.get("NO_COLOR"))


class _Guarded:
    """A renderer that is dropped when its stream fails (closed pipe, full disk): the run goes on."""

    def __init__(self, renderer: Renderer, err: TextIO) -> None:
        self._renderer: Renderer | None = renderer
        self._err = err

    def show(self, event: Event) -> None:
        """Show one event."""
        self._try("show", event)

    def answer(self, report: Answer) -> None:
        """Show the answer."""
        self._try("answer", report)

    def refuse(self, error: DbmigrateError) -> None:
        """Show the error."""
        self._try("refuse", error)

    def close(self, code: ExitCode) -> None:
        """End the output."""
        self._try("close", code)

    def _try(self, method: str, argument: object) -> None:
        if self._renderer is None:
            return
        try:
            getattr(self._renderer, method)(argument)
        except OSError as error:
            self._renderer = None
            _warn_about_stream(self._err, error)


def _warn_about_stream(err: TextIO, error: OSError) -> None:
    try:
        err.write(f"warning: the output cannot be written any more ({error.strerror}); the work goes on\n")
        err.flush()
    except OSError:
        pass


def current_session(options: dict[str, Any], command: str | None, keeper: HostKeeper | None = None) -> Session:
    """Return the session of this process."""
    return Session(
        options=options,
        command=command,
        out=sys.stdout,
        err=sys.stderr,
        environ=os.environ,
        cwd=Path.cwd(),
        keeper=keeper or OneCommand(),
    )


def session_of(context: click.Context) -> Session:
    """Return the session of a command: its global options, and the host of the menu it was called from."""
    return current_session(read_global_options(context), context.info_name, context.find_root().obj)


def format_of_line(arguments: Sequence[str], environ: Mapping[str, str]) -> str:
    """Return the format asked for on a command line that could not be parsed."""
    wanted = environ.get("DBMIGRATE_FORMAT", "auto")
    for index, word in enumerate(arguments):
        if word == "--format" and index + 1 < len(arguments):
            wanted = arguments[index + 1]
        elif word.startswith("--format="):
            wanted = word.partition("=")[2]
    return wanted if wanted in FORMATS else "auto"
