"""One MariaDB server, Debian's or any on the path, for all workers of a test session: private, on a free port."""

from __future__ import annotations

import fcntl
import itertools
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pymysql
import pytest

from support.background import is_alive
from support.servers_folder import private_folder

USER, PASSWORD = "tester", "for-tests"
START_SECONDS = 60

DRIVER = "import pymysql\npymysql.install_as_MySQLdb()\n"
"""What a project's settings need for ENTRY's engine, without a driver that must be compiled."""

_names = itertools.count()

_OPTIONS = (
    "--no-defaults",
    "--user=root",
    "--bind-address=127.0.0.1",
    "--skip-log-bin",
    "--skip-name-resolve",
    "--performance-schema=off",
    # Each commit reaches the system at once, though not the disk: a killed server loses none.
    "--innodb-flush-log-at-trx-commit=2",
    "--debug-no-sync",
    "--innodb-buffer-pool-size=48M",
    "--innodb-log-file-size=16M",
)


class MariadbServer:
    """A running server."""

    def __init__(self, port: int) -> None:
        """Take the port it listens on."""
        self.port = port

    def create_database(self) -> dict[str, Any]:
        """Make an empty database and return its entry for DATABASES."""
        name = f"test_{os.getpid()}_{next(_names)}"
        entry = {
            "ENGINE": "django.db.backends.mysql",
            "NAME": name,
            "USER": USER,
            "PASSWORD": PASSWORD,
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
        }
        self.query({**entry, "NAME": None}, f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        return entry

    def copy_database(self, template: dict[str, Any], entry: dict[str, Any]) -> None:
        """Fill an empty database with the tables of another, and with its records of migrations."""
        source = template["NAME"]
        with closing(self._connect(entry)) as connection, connection.cursor() as cursor:
            cursor.execute("SET foreign_key_checks = 0")
            for table in sorted(self.tables(template)):
                cursor.execute(f"SHOW CREATE TABLE {source}.`{table}`")
                cursor.execute(cursor.fetchone()[1])
            cursor.execute(f"INSERT INTO django_migrations SELECT * FROM {source}.django_migrations")

    def query(self, entry: dict[str, Any], sql: str) -> list[tuple[Any, ...]]:
        """Run one statement in a database; return its rows, [] if it has none."""
        with closing(self._connect(entry)) as connection, connection.cursor() as cursor:
            cursor.execute(sql)
            return list(cursor.fetchall())

    @contextmanager
    def session(self, entry: dict[str, Any]) -> Iterator[Any]:
        """Give a cursor whose session lasts as long as the block."""
        with closing(self._connect(entry)) as connection, connection.cursor() as cursor:
            yield cursor

    @contextmanager
    def session_by_socket(self, user: str) -> Iterator[None]:
        """Keep a session of a user without a password, through the server's socket, for the block."""
        entry = {"USER": USER, "PASSWORD": PASSWORD, "NAME": None}
        ((path,),) = self.query(entry, "SELECT @@socket")
        with closing(pymysql.connect(unix_socket=path, user=user)):
            yield

    def _connect(self, entry: dict[str, Any]) -> Any:
        return pymysql.connect(
            host="127.0.0.1",
            port=self.port,
            user=entry["USER"],
            password=entry["PASSWORD"],
            database=entry["NAME"],
            autocommit=True,
        )

    def tables(self, entry: dict[str, Any]) -> set[str]:
        """Return the tables of a database."""
        return {name for (name,) in self.query(entry, "SHOW TABLES")}


def find_server() -> str | None:
    """Return the path of mariadbd, or None; Debian puts it where a user's PATH does not look."""
    return shutil.which("mariadbd", path=f"{os.environ['PATH']}:/usr/sbin:/usr/libexec")


def join_server(folder: Path) -> MariadbServer:
    """Start the server in this folder, or return the one that runs there."""
    folder.mkdir(exist_ok=True)
    with (folder / "start.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        port_file = folder / "port"
        if not port_file.exists():
            port_file.write_text(str(_start(folder)))
        return MariadbServer(int(port_file.read_text()))


def kill_and_restart(folder: Path) -> None:
    """Kill the server of this folder, as a crash would, if nobody has, and start it again on the same port."""
    _end(int((folder / "server.pid").read_text()))
    _launch(folder, int((folder / "port").read_text()))


def _end(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + START_SECONDS
    while is_alive(pid):
        assert time.monotonic() < deadline
        time.sleep(0.02)


@contextmanager
def container_copy_of(folder: Path, copy: Path) -> Iterator[str]:
    """Run a copy of the server of this folder and yield its address; not of a shared one.

    It says of itself what the other one says: host name, port and data folder, as containers of one image do.
    """
    port = int((folder / "port").read_text())
    _end(int((folder / "server.pid").read_text()))
    shutil.copytree(folder / "data", copy)
    _launch(folder, port)
    # Only this process sees the copy where the data folder is.
    script = 'mount --bind "$1" "$2" && shift 2 && exec "$@"'
    server, pid_file, log = find_server(), folder / "copy.pid", folder / "copy.log"
    assert server is not None
    words = [server, *_OPTIONS, f"--datadir={folder / 'data'}", f"--socket={folder / 'copy'}", f"--port={port}"]
    words.append(_own_tmpdir(folder, "copy-tmp"))
    words += ["--bind-address=127.0.0.2", f"--pid-file={pid_file}"]
    with log.open("w") as output:
        process = subprocess.Popen(
            ["unshare", "-m", "sh", "-c", script, "start", str(copy), str(folder / "data"), *words],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        _wait_until_it_answers(port, log, "127.0.0.2")
        yield "127.0.0.2"
    finally:
        process.kill()
        process.wait(timeout=30)


@contextmanager
def private_mariadb() -> Iterator[tuple[MariadbServer, Path]]:
    """Run a server that nobody else uses, in a folder that goes away."""
    if find_server() is None:
        pytest.skip("no mariadbd on this machine (make services says how to get it)")
    with TemporaryDirectory(prefix="mariadb-", dir=private_folder()) as parent:
        folder = Path(parent) / "mariadb"
        try:
            yield join_server(folder), folder
        finally:
            stop_server(folder)


def stop_server(folder: Path) -> None:
    """End the server of this folder, if one was started."""
    pid_file = folder / "server.pid"
    if pid_file.exists():
        _end(int(pid_file.read_text()))  # nothing in it is needed any more


def _start(folder: Path) -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    subprocess.run(
        [
            "mariadb-install-db",
            "--no-defaults",
            "--user=root",
            f"--datadir={folder / 'data'}",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
        ],
        check=True,
        capture_output=True,
    )
    (folder / "init.sql").write_text(
        f"CREATE USER IF NOT EXISTS {USER}@'%' IDENTIFIED BY '{PASSWORD}';\n"
        f"GRANT ALL ON *.* TO {USER}@'%' WITH GRANT OPTION;\n"
    )
    _launch(folder, port)
    return port


def _launch(folder: Path, port: int) -> None:
    server = find_server()
    assert server is not None
    log = folder / "server.log"
    # Through a shell that ends: the server belongs to no worker, and outlives the one that started it.
    subprocess.run(
        [
            "sh",
            "-c",
            'log=$1; shift; setsid "$@" >"$log" 2>&1 </dev/null &',
            "start",
            log,
            server,
            *_OPTIONS,
            f"--datadir={folder / 'data'}",
            _own_tmpdir(folder, "tmp"),
            f"--socket={folder / 'socket'}",
            f"--port={port}",
            f"--pid-file={folder / 'server.pid'}",
            f"--init-file={folder / 'init.sql'}",
        ],
        check=True,
    )
    _wait_until_it_answers(port, log)


def _own_tmpdir(folder: Path, name: str) -> str:
    """Return the option for a folder that no other server uses: it removes `#sql-temptable-*` when it starts."""
    (folder / name).mkdir(exist_ok=True)
    return f"--tmpdir={folder / name}"


def _wait_until_it_answers(port: int, log: Path, host: str = "127.0.0.1") -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            pymysql.connect(host=host, port=port, user=USER, password=PASSWORD).close()
            return
        except pymysql.Error:
            assert time.monotonic() < deadline, log.read_text()[:4000]
            time.sleep(0.1)
