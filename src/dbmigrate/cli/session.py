"""What a command gets from the outside world: its options, the terminal, the environment, the configuration."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from dbmigrate.cli.global_options import read_global_options
from dbmigrate.cli.host_lifetime import HostKeeper, OneCommand
from dbmigrate.cli.output import Output
from dbmigrate.confidential import find_secrets
from dbmigrate.config import FORMATS, Flag, find_config_file, flags_of, merge_settings
from dbmigrate.models.settings import Settings
from dbmigrate.project.discovery import find_project, find_working_directory
from dbmigrate.redact import Redactor

if TYPE_CHECKING:
    from dbmigrate.menu.prompter import Prompter

WORK = ("all", "run", "apply", "reset", "make", "squash", "menu")
"""The commands that do something: their exit code says whether it was done, whoever reads what they print."""

FOR_MACHINES = ("json", "jsonl", "github")
"""Formats that a program reads, and that ask a person nothing."""

_SESSION = "dbmigrate.session"


@dataclass
class Session:
    """One invocation of the command line."""

    arguments: Sequence[str]
    """The whole command line."""
    options: dict[str, Any]
    """The global options that were given, by name, as far as the line was read."""
    command: str | None
    out: TextIO
    err: TextIO
    environ: Mapping[str, str]
    keeper: HostKeeper
    redactor: Redactor
    """What takes the secrets out of everything that is shown."""
    output: Output = field(init=False)

    def __post_init__(self) -> None:
        """Make the output; it shows nothing yet."""
        self.output = Output(self)

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
        return self.options.get("format") in FOR_MACHINES

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

    @property
    def opens_menu(self) -> bool:
        """Whether the menu opens where no command is given: it has no document for a file."""
        return self.has_menu and self.output_file is None

    @property
    def output_file(self) -> str | None:
        """The file of `-o`, as it was given."""
        return self.options.get("output_file")

    def read_settings(self, flags: Mapping[str, Flag]) -> tuple[Settings, Path | None]:
        """Return the merged configuration, and the folder of its file.

        Raises:
            UsageError: a wrong key or value, with the place it stands in.
        """
        folder = find_project(self.cwd, self.options.get("project"))
        file = find_config_file(folder)
        settings = merge_settings(file, self.environ, flags_of(self.options) | dict(flags))
        self.redactor.learn(find_secrets(settings.lock_url.items()))
        return settings, file.path.parent if file is not None else None

    def prompter(self) -> Prompter:
        """Return what asks at this terminal."""
        from dbmigrate.menu.inquirer import InquirerPrompter

        return InquirerPrompter(
            has_unicode=(self.out.encoding or "").lower().startswith("utf"),
            has_color=self.has_color,
            is_dumb=self.environ.get("TERM") in ("dumb", "unknown"),
        )

    @property
    def has_color(self) -> bool:
        """Whether colour is wanted, where the stream can have it."""
        wanted = self.options.get("color") or "auto"
        return wanted == "always" or (wanted == "auto" and not self.environ.get("NO_COLOR"))

    def find_option(self, *names: str) -> str | None:
        """Return the value of an option on a command line that could not be read; None if it is not there."""
        found = None
        for word, following in zip(self.arguments, [*self.arguments[1:], None], strict=True):
            for name in names:
                if word == name:
                    found = following
                elif word.startswith(f"{name}=" if name.startswith("--") else name):
                    found = word.removeprefix(name).removeprefix("=")
        return found

    def names_as_plan(self, file: str) -> bool:
        """Return whether the command line of `apply` gives a file as the plan too, which must not be replaced."""
        values = ("-o", "--output-file", "--junit")
        words = [
            word for before, word in zip(["", *self.arguments], self.arguments, strict=False) if before not in values
        ]
        return self.command == "apply" and any(_is_same(self.cwd / word, self.cwd / file) for word in words)

    def format_of_line(self) -> str:
        """Return the format asked for on a command line that could not be read, or by the environment."""
        wanted = self.find_option("--format") or self.environ.get("DBMIGRATE_FORMAT", "auto")
        return wanted if wanted in FORMATS else "auto"


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except (OSError, ValueError):
        return False


def new_session(
    arguments: Sequence[str],
    redactor: Redactor,
    *,
    command: str | None,
    options: dict[str, Any] | None = None,
    keeper: HostKeeper | None = None,
) -> Session:
    """Return a session of this process."""
    return Session(
        arguments=arguments,
        options=options if options is not None else {},
        command=command,
        out=sys.stdout,
        err=sys.stderr,
        environ=os.environ,
        keeper=keeper or OneCommand(),
        redactor=redactor,
    )


def session_of(context: click.Context) -> Session:
    """Return the session of the command that runs, with its options as far as they were read."""
    session: Session = context.meta[_SESSION]
    session.options = read_global_options(context)
    session.keeper = context.find_root().obj or session.keeper
    if context.parent is not None:
        session.command = context.info_name
    return session


def keep_session(context: click.Context, session: Session) -> None:
    """Let the next command of a command line find its session."""
    context.meta[_SESSION] = session
