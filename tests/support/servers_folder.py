"""The folder in which a test session keeps its servers, and the end of servers whose session was killed."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from support.background import is_alive

VARIABLE = "TESTS_SERVERS_FOLDER"
"""Set by the process that starts the workers: they share the servers in it, and it stops them at the end.

Not below pytest's own temporary folder: every other pytest of the same user takes the rights away that a server needs
which runs as a user of its own.
"""

OWNER = "owner"
"""Locked for as long as the process lives that made the folder."""

PREFIX = "servers-"

MEMORY = Path("/dev/shm")
"""A database of PostgreSQL is 300 files, which memory makes and removes faster than a disk."""

ENDS = {"postmaster.pid": signal.SIGQUIT, "server.pid": signal.SIGKILL}
"""By name of the file with a server's process id; PostgreSQL leaves its shared memory behind where it is killed."""

END_SECONDS = 20


def make_servers_folder() -> int:
    """Make the folder and name it in the environment; return a descriptor that makes it ours while it is open."""
    has_room = os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > 4 << 30
    folder = tempfile.mkdtemp(prefix=PREFIX, dir=MEMORY if has_room else None)
    owner = os.open(Path(folder) / OWNER, os.O_CREAT | os.O_RDWR, 0o600)
    fcntl.flock(owner, fcntl.LOCK_EX)
    os.environ[VARIABLE] = folder
    return owner


def private_folder() -> str | None:
    """Return where to put the folder of a server for one test; None is where temporary ones are."""
    return os.environ.get(VARIABLE)


def remove_servers_folder(folder: Path) -> None:
    """End every server in a folder, and remove it."""
    for name, signum in ENDS.items():
        for file in folder.rglob(name):
            with suppress(OSError, ValueError, IndexError):
                _end(int(file.read_text().split()[0]), folder, signum)
    shutil.rmtree(folder, ignore_errors=True)


def remove_leftovers(parents: Iterable[Path]) -> None:
    """Remove the folders of sessions that were killed."""
    for parent in parents:
        for owner in parent.glob(f"{PREFIX}*/{OWNER}"):
            with suppress(OSError), owner.open("r+") as file:  # another session may remove it too
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                remove_servers_folder(owner.parent)


def _end(pid: int, folder: Path, signum: signal.Signals) -> None:
    """End a server of this folder; another process may have its number by now."""
    if os.fsencode(folder) not in Path(f"/proc/{pid}/cmdline").read_bytes():
        return
    os.kill(pid, signum)
    deadline = time.monotonic() + END_SECONDS
    while is_alive(pid):
        if time.monotonic() >= deadline:
            os.kill(pid, signal.SIGKILL)
            return
        time.sleep(0.02)
