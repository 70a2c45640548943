"""PgBouncer, Debian's or any on the path."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from support.background import until

PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")


@contextmanager
def pgbouncer(entry: dict[str, Any], mode: str, more: str = "") -> Iterator[int]:
    """Run a PgBouncer in front of a database and yield its port; `more` are lines of its configuration."""
    if PGBOUNCER is None:
        pytest.skip("no pgbouncer on this machine (make services says how to get it)")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    # Not below pytest's folder, where another user than ours reaches nothing.
    folder = Path(tempfile.mkdtemp(prefix="pgbouncer-"))
    folder.chmod(0o755)
    (folder / "users").write_text(f'"{entry["USER"]}" ""\n')
    (folder / "ini").write_text(
        f"[databases]\n{entry['NAME']} = host={entry['HOST']} port={entry['PORT']} dbname={entry['NAME']}\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nauth_type = trust\n"
        f"auth_file = {folder / 'users'}\npool_mode = {mode}\nunix_socket_dir =\nserver_reset_query_always = 0\n{more}"
    )
    process = subprocess.Popen(
        [PGBOUNCER, "-q", str(folder / "ini")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # It refuses to be root, and only the server's own user reaches the server's socket.
        user=Path(entry["HOST"]).stat().st_uid,
    )

    def answers() -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", port)) == 0

    try:
        until(answers, "listening")
        yield port
    finally:
        process.terminate()
        process.wait(timeout=10)
        shutil.rmtree(folder)
