"""How long can it hang? A server falls silent at each point of a run, and the run is timed against its bound.

python bench/hangs.py --write                     every engine; docs/reliability.md gets the table
python bench/hangs.py --engine postgresql
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from support.background import start, until  # noqa: E402 - the tests' own tools
from support.mariadb import DRIVER, MariadbServer, join_server, stop_server  # noqa: E402
from support.postgresql import PostgresqlServer, running_server  # noqa: E402
from support.projects import Project, waiting_app, write_project  # noqa: E402
from support.proxy import Proxy, proxy  # noqa: E402

ENGINES = ("sqlite", "postgresql", "mariadb")
REPORT = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- hangs -->", "<!-- end of hangs -->"
SECONDS = 180
"""After which a run counts as one that hangs."""

LOOK = {"postgresql": b"current_setting('server_version')", "mariadb": b"lower_case_table_names"}
LOCK = {"postgresql": b"pg_try_advisory_xact_lock(", "mariadb": b"GET_LOCK"}


@dataclass(frozen=True)
class Cell:
    """One run that is timed."""

    phase: str
    options: tuple[str, ...]
    bound: float
    """Seconds that a silent server may take at most, more than an undisturbed `status` takes."""


CELLS = (
    Cell("no server listens on that port", ("all", "--wait", "5"), 6),
    Cell("the network drops new connections", ("all",), 15),
    Cell("the network drops new connections", ("wait", "--wait", "5"), 6),
    Cell("after connecting, before the server's first answer", ("all", "--lock-wait", "5"), 15),
    Cell("after connecting, before the server's first answer", ("wait", "--wait", "5"), 6),
    Cell("after connecting", ("all", "--lock-wait", "5"), 15),
    Cell("after connecting", ("status", "--wait", "5"), 6),
    Cell("while dbmigrate reads the database", ("all", "--lock-wait", "5"), 15),
    Cell("while dbmigrate reads the database", ("verify", "--wait", "5"), 6),
    Cell("while dbmigrate takes the lock", ("all", "--lock-wait", "5"), 5 + 2),
    Cell("while dbmigrate takes the lock", ("all",), 15 + 2),
    Cell("in a migration", ("all", "--step-timeout", "5", "--wait", "5"), 5 + 3 + 2 * 5),
    Cell("after the migrations, while the result is verified", ("all",), 15 + 2 + 2),
    Cell("three databases, silent at a different point each", ("status", "--wait", "5"), 5 + 2 * 5 / 3 + 1),
    Cell("the file is locked", ("all",), 5),
    Cell("the file is locked, OPTIONS timeout 600", ("status",), 15),
    Cell("the file is locked, OPTIONS timeout 600", ("wait", "--wait", "5"), 6),
)

SQLITE_PHASES = ("the file is locked", "the file is locked, OPTIONS timeout 600")


class Arena:
    """An engine on which runs are timed."""

    def __init__(self, engine: str, folder: Path, server: PostgresqlServer | MariadbServer | None) -> None:
        """Write projects below the folder; `server` is None for SQLite."""
        self._engine = engine
        self._folder = folder
        self._server = server
        self._numbers = iter(range(1000))

    def measure(self, cell: Cell) -> float | None:
        """Return how many seconds a run took more than an undisturbed look; None if that phase is not this engine's."""
        if (cell.phase in SQLITE_PHASES) is not (self._server is None):
            return None
        with ExitStack() as stack:
            undisturbed = self._time(self._project({}, stack)[0], ("status",), lambda: None)
            return self._disturb(cell, stack) - undisturbed

    def _disturb(self, cell: Cell, stack: ExitStack) -> float:
        if self._server is None:
            options = {"timeout": 600} if "600" in cell.phase else {}
            project, _ = self._project({"OPTIONS": options}, stack)
            other = stack.enter_context(closing(sqlite3.connect(project.database("default"), isolation_level=None)))
            other.execute("CREATE TABLE theirs (id)")
            other.execute("BEGIN EXCLUSIVE")
            return self._time(project, cell.options, lambda: None)
        if cell.phase.startswith("three"):
            return self._time(self._three(stack), cell.options, lambda: None)
        if cell.phase == "no server listens on that port":
            return self._time(self._project({"HOST": "127.0.0.1", "PORT": "1"}, stack)[0], cell.options, lambda: None)
        if cell.phase.startswith("the network drops"):
            entry = {"HOST": "127.0.0.1", "PORT": stack.enter_context(blackhole())}
            return self._time(self._project(entry, stack)[0], cell.options, lambda: None)
        project, between = self._project(None, stack)
        assert between is not None
        words = {
            "after connecting": b"SELECT 1",
            "while dbmigrate reads the database": LOOK[self._engine],
            "while dbmigrate takes the lock": LOCK[self._engine],
            "in a migration": b"CREATE TABLE",
        }.get(cell.phase)
        if words is not None:
            between.freeze_at(words)
        elif cell.phase == "after connecting, before the server's first answer":
            between.freeze()
        behind = (
            (lambda: between.freeze_at(LOOK[self._engine]))
            if cell.phase == "after the migrations, while the result is verified"
            else lambda: None
        )
        return self._time(project, cell.options, behind)

    def _time(self, project: Project, options: tuple[str, ...], at_the_end: Callable[[], object]) -> float:
        """Return how many seconds a run takes; `at_the_end` is called in its last migration."""
        migrations = project.root / "core" / "migrations"
        began = time.monotonic()
        run = start(project, *options, *(("--skip-makemigrations",) if options[0] == "all" else ()))
        try:
            until(lambda: run.poll() is not None or (migrations / "ready").exists(), "at its end", seconds=SECONDS)
            at_the_end()
            (migrations / "go").touch()
            run.communicate(timeout=SECONDS)
        except (AssertionError, subprocess.TimeoutExpired):
            run.kill()
            run.communicate()
            return float("inf")
        return time.monotonic() - began

    def _project(self, entry: Mapping[str, object] | None, stack: ExitStack) -> tuple[Project, Proxy | None]:
        """Write a project; `entry` changes its database's, None puts a proxy in front of it."""
        root = self._folder / f"site{next(self._numbers)}"
        if self._server is None:
            name = str(self._folder / f"{root.name}.sqlite3")
            made: dict[str, object] = {"ENGINE": "django.db.backends.sqlite3", "NAME": name, **(entry or {})}
            project = write_project(root, {"core": waiting_app()}, aliases={"default": made})
            project.database = lambda alias: Path(name)  # type: ignore[method-assign]
            return project, None
        settings = DRIVER if isinstance(self._server, MariadbServer) else ""
        made = self._server.create_database()
        between = stack.enter_context(proxy(made)) if entry is None else None
        made = between.entry if between is not None else {**made, **(entry or {})}
        return write_project(root, {"core": waiting_app()}, aliases={"default": made}, settings=settings), between

    def _three(self, stack: ExitStack) -> Project:
        """Write a project of which three databases fall silent, each at another point."""
        assert self._server is not None
        greeting, connected, looked = (stack.enter_context(proxy(self._server.create_database())) for _ in range(3))
        greeting.freeze()
        connected.freeze_at(b"SELECT 1")
        looked.freeze_at(LOOK[self._engine])
        aliases = {"default": self._server.create_database(), "a": greeting.entry, "b": connected.entry}
        settings = DRIVER if isinstance(self._server, MariadbServer) else ""
        root = self._folder / f"site{next(self._numbers)}"
        return write_project(root, {"core": waiting_app()}, aliases={**aliases, "c": looked.entry}, settings=settings)


@contextmanager
def blackhole() -> Iterator[str]:
    """Give a port that drops what would connect: its queue is full, and nobody takes from it."""
    with socket.socket() as listener, ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(3):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        yield str(listener.getsockname()[1])


def measure(engine: str) -> list[float | None]:
    """Return what each cell took on an engine, which is started for it."""
    folder = Path(tempfile.mkdtemp(prefix=f"hangs-{engine}-"))
    folder.chmod(0o755)
    try:
        with ExitStack() as stack:
            server: PostgresqlServer | MariadbServer | None = None
            if engine == "postgresql":
                server = stack.enter_context(running_server(folder / "server"))
            elif engine == "mariadb":
                server = join_server(folder / "server")
            here = Arena(engine, folder, server)
            return [here.measure(cell) for cell in CELLS]
    finally:
        stop_server(folder / "server")
        shutil.rmtree(folder, ignore_errors=True)


def report(measured: dict[str, list[float | None]]) -> str:
    """Return the table as it stands in docs/reliability.md."""
    lines = [
        f"Measured on {date.today()}, {os.cpu_count()} cores, Python {platform.python_version()}.",
        "",
        "| the server falls silent | command | bound | " + " | ".join(measured) + " |",
        "|---" * (len(measured) + 3) + "|",
    ]
    for number, cell in enumerate(CELLS):
        values = [seconds[number] for seconds in measured.values()]
        told = ["–" if value is None else f"{max(0.0, value):.1f} s" for value in values]
        lines.append(f"| {cell.phase} | `{' '.join(cell.options)}` | {cell.bound:.0f} s | {' | '.join(told)} |")
    return "\n".join(lines)


def main() -> int:
    """Measure, print the table, and fail if anything took longer than its bound and a machine's delay."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", action="append", choices=ENGINES)
    parser.add_argument("--delay", type=float, default=3, help="seconds that a busy machine may add to a bound")
    parser.add_argument("--write", action="store_true", help="write the table into docs/reliability.md")
    arguments = parser.parse_args()
    engines = arguments.engine or ENGINES
    with ThreadPoolExecutor() as pool:  # the engines at the same time: they mostly wait
        measured = dict(zip(engines, pool.map(measure, engines), strict=True))
    text = report(measured)
    sys.stdout.write(text + "\n")
    if arguments.write:
        head, rest = REPORT.read_text().split(BEGIN, 1)
        REPORT.write_text(f"{head}{BEGIN}\n{text}\n{END}{rest.split(END, 1)[1]}")
    late = [
        f"{engine}: {cell.phase}: {value:.1f} s"
        for engine, values in measured.items()
        for cell, value in zip(CELLS, values, strict=True)
        if value is not None and value > cell.bound + arguments.delay
    ]
    sys.stdout.write("".join(f"longer than its bound: {line}\n" for line in late))
    return 1 if late else 0


if __name__ == "__main__":
    sys.exit(main())
