"""Who is measured: a project on disk, what runs on it, and what that takes."""

from __future__ import annotations

import ctypes
import hashlib
import os
import resource
import shutil
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DBMIGRATE = str(Path(sys.executable).parent / "dbmigrate")
REMEMBERED = ROOT / ".cache" / "bench-databases"

ONE_PROCESS = """\
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "site_settings"
sys.path.insert(0, os.getcwd())
import django
django.setup()
from django.core.management import call_command
for alias in sys.argv[1:]:
    call_command("migrate", database=alias, interactive=False)
"""


@dataclass(frozen=True)
class Taken:
    """What one run took."""

    wall: float
    cpu: float


@dataclass
class Site:
    """A project on disk, and who runs it."""

    name: str
    folder: Path
    python: str
    aliases: Sequence[str]
    kept: Path | None = None
    """A copy of its database files to begin a round from."""

    def shell(self, *more: str) -> None:
        """Run one `migrate` for each database, each a process of its own."""
        for alias in self.aliases:
            self.run([self.python, "manage.py", "migrate", f"--database={alias}", "--no-input", *more])

    def one_process(self) -> None:
        """Make the same calls in one process."""
        self.run([self.python, "-c", ONE_PROCESS, *self.aliases])

    def check(self) -> None:
        """Run one single `migrate --check`."""
        self.run([self.python, "manage.py", "migrate", "--check"])

    def dbmigrate(self, *words: str) -> None:
        """Run `dbmigrate all`, or what these words say."""
        self.run([DBMIGRATE, *(words or ("all",)), "--python", self.python])

    def migrate_everything(self) -> None:
        """Record every migration everywhere, as `migrate` for each database would: nobody finds anything to do then.

        Every round begins from there. It takes minutes and is done once for each project.
        """
        text = b"".join(file.read_bytes() for file in sorted(self.folder.rglob("*.py")))
        self.kept = REMEMBERED / f"{self.name}-{hashlib.sha256(text).hexdigest()[:16]}"
        if not self.kept.exists():
            self.dbmigrate()
            self.shell("--fake")
            self.keep(self.kept)
        self.begin()

    def begin(self) -> None:
        """Put the databases back to where a round begins; those of a server stay as they are."""
        for file in self.folder.glob("*.sqlite3"):
            file.unlink()
        for file in self.kept.glob("*.sqlite3") if self.kept is not None else ():
            shutil.copy(file, self.folder)

    def keep(self, place: Path) -> None:
        """Begin every round from the databases as they are now; `place` takes a copy of them."""
        unfinished = place.with_suffix(".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        shutil.rmtree(place, ignore_errors=True)
        unfinished.mkdir(parents=True)
        for file in self.folder.glob("*.sqlite3"):
            shutil.copy(file, unfinished)
        unfinished.rename(place)
        self.kept = place

    def schema(self) -> dict[str, set[str]]:
        """Return what every database holds, as SQLite says it."""
        found = {}
        for file in sorted(self.folder.glob("*.sqlite3")):
            with closing(sqlite3.connect(file)) as connection:
                rows = connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")
                found[file.stem] = {sql for (sql,) in rows}
        return found

    def records(self) -> dict[str, list[tuple[str, str]]]:
        """Return what every database has recorded."""
        found = {}
        for file in sorted(self.folder.glob("*.sqlite3")):
            with closing(sqlite3.connect(file)) as connection:
                found[file.stem] = sorted(connection.execute("SELECT app, name FROM django_migrations"))
        return found

    def run(self, command: Sequence[str]) -> None:
        """Run a command in the project; it must succeed."""
        ended = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, env=environment())
        if ended.returncode:
            raise SystemExit(f"{command} in {self.folder} ended with {ended.returncode}:\n{ended.stdout}{ended.stderr}")


def environment() -> dict[str, str]:
    """Return this process's environment without what would make every process compile the project anew."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def adopt_orphans() -> None:
    """Become the parent of processes whose own has ended: their CPU time counts too (prctl(2), Linux)."""
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)


def take(act: Callable[[], None]) -> Taken:
    """Return what an act takes, all of its processes together."""
    known, before, began = _children(), _cpu(), time.perf_counter()
    act()
    wall = time.perf_counter() - began
    for pid in _children() - known:  # orphans that were adopted; a server that was there before stays
        os.waitpid(pid, 0)
    return Taken(wall, _cpu() - before)


def _children() -> set[int]:
    own = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return {int(pid) for pid in own}


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def median(taken: Sequence[Taken]) -> Taken:
    """Return the medians of both times."""
    return Taken(statistics.median(each.wall for each in taken), statistics.median(each.cpu for each in taken))


def race(
    site: Site, contenders: Mapping[str, Callable[[], None]], rounds: int, *, with_records: bool = False
) -> dict[str, Taken]:
    """Run every contender once a round, each from the same databases; return the medians.

    Raises:
        SystemExit: two contenders ended in different tables, or, where that is asked for, with different records.
    """
    taken: dict[str, list[Taken]] = {name: [] for name in contenders}
    for number in range(rounds):
        schemas = {}
        for name, contender in contenders.items():
            site.begin()
            taken[name].append(take(contender))
            schemas[name] = site.schema(), site.records() if with_records else None
            print(f"{site.name} {number + 1}/{rounds} {name}: {taken[name][-1]}", file=sys.stderr, flush=True)
        first = next(iter(schemas))
        for name, schema in schemas.items():
            # --check looks and does nothing; where nothing is pending that is the same work.
            if schema != schemas[first]:
                raise SystemExit(f"{site.name}: {name} and {first} ended in different tables or records")
    return {name: median(each) for name, each in taken.items()}
