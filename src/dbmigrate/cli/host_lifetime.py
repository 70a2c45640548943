"""How long a host lives: for one command, or in the menu for several, as long as no file of the project changes."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from dbmigrate.cli.completion_cache import remember_names
from dbmigrate.cli.signals import hold_back, listen
from dbmigrate.cli.sink import impatient
from dbmigrate.config import Flag
from dbmigrate.models.target import Target
from dbmigrate.project.discovery import count_cpus, find_target
from dbmigrate.redact import Redactor

if TYPE_CHECKING:
    from queue import SimpleQueue

    from dbmigrate.cli.output import Output
    from dbmigrate.cli.session import Session
    from dbmigrate.commands.review import CommandContext
    from dbmigrate.project.booted import BootedProject
    from dbmigrate.running.process import ChildMessage
    from dbmigrate.running.stopping import Stops

SKIPPED_FOLDERS = {"node_modules", "site-packages", "__pycache__", "venv", "env"}
"""Beside every folder whose name begins with a dot."""

WATCHED = (".py", ".toml", ".env", ".ini", ".cfg", ".json", ".yaml", ".yml")

Fingerprint = dict[str, tuple[int, int]]


@contextmanager
def open_project(
    session: Session,
    flags: Mapping[str, Flag],
    junit: str | None = None,
    load: Callable[[], object] = lambda: None,
) -> Iterator[tuple[CommandContext, Output]]:
    """Find the project, start its host, and load everything heavy while it boots.

    `flags` are the configuration keys that the command's own options set; `junit` names the file of `--junit`;
    `load` imports what the command will need.
    """
    # Shell completion loads this module too and must not pay for what only a command needs.
    from dbmigrate.running.process import child_environment

    session.output.check_files(junit)
    settings, config_folder = session.read_settings(flags)
    project = session.options.get("project")
    target = find_target(session.cwd, project, settings, session.environ, config_folder=config_folder)
    folder = Path(target.choices["project"].value)
    environment = child_environment(session.environ, settings=target.settings)
    with session.keeper.open(target, environment, session.redactor) as host:
        with hold_back():
            from dbmigrate.commands.review import CommandContext
            from dbmigrate.project.booted import SHORTEST_SILENCE, SILENCE_SECONDS
            from dbmigrate.running.fork import choose_launcher

            session.output.begin(settings.format)
            if settings.format == "auto":
                session.output.note_format()
            load()
        host.boot()
        # Off since __main__.py. A run may last for hours.
        gc.freeze()
        gc.enable()
        cpus = count_cpus()
        host.silence_seconds = max(settings.wait, SHORTEST_SILENCE) if settings.wait else SILENCE_SECONDS
        work = CommandContext(
            target=target,
            settings=settings,
            environment=environment,
            host=host,
            launcher=choose_launcher(host, settings.launcher, environment),
            cpus=cpus,
            clock=time.monotonic,
            listen=_listen,
            remember=lambda snapshot: remember_names(folder, snapshot, session.environ),
            sleep=time.sleep,
            has_streams=not session.output.needs_streams,
        )
        yield work, session.output


@contextmanager
def _listen(outbox: SimpleQueue[ChildMessage], grace: float | None) -> Iterator[Stops]:
    """Listen to signals, and let no reader of our output hold that up."""
    with impatient(), listen(outbox, grace) as stops:
        yield stops


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


class KeptHost:
    """A HostKeeper whose host stays until the project changes or something goes wrong."""

    def __init__(self, say: Callable[[str], None]) -> None:
        """Report through `say` that the project is loaded again, and why."""
        self._say = say
        self._host: BootedProject | None = None
        self._taken: Fingerprint = {}
        self._root: Path | None = None

    def ignore(self, file: Path) -> None:
        """Take a file for unchanged that dbmigrate itself has written in the project."""
        if self._root is not None and file.is_relative_to(self._root):
            name = str(file.relative_to(self._root))
            self._taken = {key: value for key, value in self._taken.items() if key != name}
            self._taken |= {key: value for key, value in fingerprint(self._root).items() if key == name}

    @contextmanager
    def open(self, target: Target, environment: Mapping[str, str], redactor: Redactor) -> Iterator[BootedProject]:
        """Give the host that is there, or a new one."""
        now = fingerprint(target.root)
        self._root = target.root
        if self._host is not None and now != self._taken:
            names = sorted({*now, *self._taken} - {name for name in now if now[name] == self._taken.get(name)})
            self._say(f"the project changed ({names[0]}{', …' if len(names) > 1 else ''}): reloading it")
            self.close()
        if self._host is not None and self._host.is_given_up:
            self.close()
        if self._host is None:
            from dbmigrate.project.booted import BootedProject

            self._host, self._taken = BootedProject(target, environment, redactor), now
        try:
            yield self._host
        except BaseException:
            # An answer may still be on its way, or the project did not come up: the next command starts again.
            self.close()
            raise

    def close(self) -> None:
        """End the host, if there is one."""
        if self._host is not None:
            self._host.close()
            self._host = None


def fingerprint(root: Path) -> Fingerprint:
    """Return (time of the last change, size) of every file that can change what the project is, by relative path."""
    found: Fingerprint = {}
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name not in SKIPPED_FOLDERS and not name.startswith(".")]
        for name in files:
            if name.endswith(WATCHED):
                path = Path(folder, name)
                try:
                    status = path.stat()
                except OSError:
                    continue  # it went away, or is a link to nowhere
                found[str(path.relative_to(root))] = (status.st_mtime_ns, status.st_size)
    return found
