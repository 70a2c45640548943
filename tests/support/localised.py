"""A PostgreSQL server that speaks German: Debian's, since the wheel brings no translations."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.postgresql import PostgresqlServer

LOCALE = "de_DE.UTF-8"
PORT = 5432
"""Of its socket, which lies in a folder of its own; it listens on no address."""


def find_programs() -> Path | None:
    """Return the folder of the newest server's programs that Debian's packages bring, or None."""
    found = [folder for folder in Path("/usr/lib/postgresql").glob("*/bin") if (folder / "postgres").exists()]
    return max(found, key=lambda folder: int(folder.parent.name), default=None)


@contextmanager
def german_postgresql() -> Iterator[PostgresqlServer]:
    """Run a server in a folder that goes away."""
    programs = find_programs()
    if programs is None or shutil.which("localedef") is None or not Path("/usr/share/i18n/locales/de_DE").exists():
        pytest.skip("no PostgreSQL of Debian's with its translations here (make services says how to get it)")
    folder = Path(tempfile.mkdtemp(prefix="german-"))
    folder.chmod(0o755)
    user = pwd.getpwnam("nobody").pw_uid if os.getuid() == 0 else os.getuid()  # the server refuses to be root

    def run(*words: str) -> None:
        # To a file: the server would keep a pipe open.
        with (folder / "output").open("a") as output:
            subprocess.run(
                words,
                check=True,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, "LOCPATH": str(folder)},  # the C library finds the locale there
                cwd="/",
                user=user,
            )

    data, sockets = folder / "data", folder / "sockets"
    for made in (data, sockets):
        made.mkdir()
        os.chown(made, user, -1)
    subprocess.run(["localedef", "-i", "de_DE", "-f", "UTF-8", str(folder / LOCALE)], check=True)
    run(str(programs / "initdb"), "-D", str(data), "-U", "postgres", "-A", "trust", "-N", f"--locale={LOCALE}")
    control = str(programs / "pg_ctl")
    start = (control, "-w", "-D", str(data), "-l", str(data / "log"), "-o", f'-h "" -k {sockets} -F', "start")
    run(*start)
    try:
        uri = f"postgresql://postgres@/postgres?host={sockets}&port={PORT}"
        yield PostgresqlServer(uri, data, programs, lambda: run(*start))
    finally:
        run(control, "-w", "-m", "immediate", "-D", str(data), "stop")
        shutil.rmtree(folder)
