"""One host for several commands: the menu boots the project once, and again only when a file of it changed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from dbmigrate.models.target import Target
from dbmigrate.project.booted import BootedProject
from dbmigrate.redact import Redactor

SKIPPED_FOLDERS = {"node_modules", "site-packages", "__pycache__", "venv", "env"}
"""Beside every folder whose name begins with a dot."""

WATCHED = (".py", ".toml", ".env", ".ini", ".cfg", ".json", ".yaml", ".yml")

Fingerprint = dict[str, tuple[int, int]]


class KeptHost:
    """A HostKeeper whose host stays until the project changes or something goes wrong."""

    def __init__(self, say: Callable[[str], None]) -> None:
        """Tell through `say` that the project is loaded again, and why."""
        self._say = say
        self._host: BootedProject | None = None
        self._taken: Fingerprint = {}

    @contextmanager
    def open(self, target: Target, environment: Mapping[str, str], redactor: Redactor) -> Iterator[BootedProject]:
        """Give the host that is there, or a new one."""
        now = fingerprint(target.root)
        if self._host is not None and now != self._taken:
            names = sorted({*now, *self._taken} - {name for name in now if now[name] == self._taken.get(name)})
            self._say(f"the project changed ({names[0]}{', …' if len(names) > 1 else ''}): reloading it")
            self.close()
        if self._host is not None and self._host.is_given_up:
            self.close()
        if self._host is None:
            self._host, self._taken = BootedProject(target, environment, redactor), now
        try:
            yield self._host
        except BaseException:
            # An answer may still be on its way, or the project did not come up: the next command starts anew.
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
