"""Races, and kills at random moments: does every database end where an undisturbed run would have left it?

python bench/chaos.py --write                     everything; docs/reliability.md gets the figures
python bench/chaos.py --engine sqlite --rounds 5 --kills 20 --seed 7
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from outages import OUTAGES, Outages, outages, undo_parts  # noqa: E402 - beside this file
from support.background import children, start  # noqa: E402 - the tests' own tools
from support.cli import dbmigrate  # noqa: E402
from support.mariadb import MariadbServer, join_server, kill_and_restart, stop_server  # noqa: E402
from support.postgresql import PostgresqlServer, running_server  # noqa: E402
from support.projects import create, migration, model  # noqa: E402
from support.sites import Site, write_site  # noqa: E402

ENGINES = ("sqlite", "postgresql", "mariadb")
RACERS = 8
SECONDS = 120
"""For one run; one that takes longer hangs."""
VICTIMS = {
    "dbmigrate": "dbmigrate itself",
    "host": "the host",
    "child": "the migrating process",
    "server": "the database server",
}
"""What can be killed, and how the report calls it."""
LAUNCHERS = ((), (), (), ("--launcher", "spawn"))
"""What most people have, and what they have elsewhere than on Linux: one kill in four."""
REPORT = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"

ALLOWED = {0, 3, 20, 21, 30, 31, 130, 143}
"""How a run may end that was hurt but not killed itself: with a code that says what happened."""

FILL = """
def fill(apps, schema_editor):
    Item = apps.get_model("core", "Item")
    Item.objects.using(schema_editor.connection.alias).bulk_create([Item(name=str(n)) for n in range(200)])
"""

META = '\n    class Meta:\n        indexes = [models.Index(fields=["name"], name="item_name")]\n'

APP = {
    "models.py": model("Item", "name = models.CharField(max_length=20)", "size = models.IntegerField(default=0)")
    + META,
    "migrations/0001_initial.py": migration(create(), create("Other")),
    "migrations/0002_size.py": migration(
        'migrations.AddField("item", "size", models.IntegerField(default=0))', after=(("core", "0001_initial"),)
    ),
    "migrations/0003_fill.py": migration("migrations.RunPython(fill)", head=FILL, after=(("core", "0002_size"),)),
    "migrations/0004_index.py": migration(
        'migrations.DeleteModel("Other")',
        'migrations.AddIndex("item", models.Index(fields=["name"], name="item_name"))',
        after=(("core", "0003_fill"),),
    ),
}
"""Tables, a column, rows, an index, and a table that goes: what a half done run would show."""

UNDO = {
    "core.0001_initial": {"Create model Item": "DROP TABLE core_item", "Create model Other": "DROP TABLE core_other"},
    "core.0002_size": {"Add field size to item": "ALTER TABLE core_item DROP COLUMN size"},
    "core.0004_index": {
        "Delete model Other": "CREATE TABLE core_other (id bigint AUTO_INCREMENT PRIMARY KEY, name varchar(20))",
        "Create index item_name on field(s) name of model item": "DROP INDEX item_name ON core_item",
    },
    "more.0001_initial": {"Create model Item": "DROP TABLE more_item"},
}
"""What undoes by hand each operation that a report says to be there already."""

THERE = re.compile(r"of (?P<migration>\S+), there already: (?P<operations>.*)")
FREE = re.compile(r"The lock is free \(after (?P<seconds>[0-9.]+) s\)")

COUNT = "SELECT count(*) FROM core_item"
ROWS = 200

State = tuple[Counter[str], set[str], int]
"""How often each migration is recorded, the tables, and the rows that a migration made."""


@dataclass
class Tally:
    """What was seen on one engine."""

    rounds: int = 0
    named: int = 0
    """Runs of a race that said whom they waited for."""
    kills: Counter[str] = field(default_factory=Counter)
    """By what was killed."""
    moments: Counter[str] = field(default_factory=Counter)
    """By how far the database had come."""
    codes: Counter[int] = field(default_factory=Counter)
    """How runs ended that were hurt."""
    converged: int = 0
    told: int = 0
    """Next runs that named the migration which the engine had left half done."""
    twice: int = 0
    """Of those that converged: a data migration had run, its record was not written, and it ran again."""
    longest_lock: float = 0.0
    """Seconds that a next run waited for the lock of the killed one."""
    silent: list[str] = field(default_factory=list)
    """Everything else: there must be none."""


class Arena:
    """An engine on which sites are made, disturbed and compared."""

    def __init__(self, engine: str, folder: Path, server: PostgresqlServer | MariadbServer | None) -> None:
        """Make sites below the folder; `server` is None for SQLite."""
        self.engine = engine
        self.tally = Tally()
        self._folder = folder
        self._server = server
        self._numbers = iter(range(1_000_000))
        site = self.site()
        began = time.monotonic()
        run = start(site.project, "all")
        self._wait_for(run, "child")
        child_began = time.monotonic()
        while "child" in _processes(run.pid):
            time.sleep(0.005)
        self._child_seconds = time.monotonic() - child_began
        said = run.communicate(timeout=SECONDS)[0]
        self._seconds = time.monotonic() - began
        if run.returncode != 0:
            raise RuntimeError(f"the undisturbed run ended with {run.returncode}\n{said}")
        self._expected = self._state(site)
        self._drop(site)

    def site(self) -> Site:
        """Return a project on an empty database, once the server has recovered from a crash."""
        if isinstance(self._server, PostgresqlServer):
            self._server.wait_until_it_answers()
        return write_site(self._folder / f"site{next(self._numbers)}", self._server, APP)

    def race(self, chance: random.Random) -> None:
        """Start eight runs at once on an empty database."""
        site = self.site()
        runs = [start(site.project, "all", *chance.choice(LAUNCHERS)) for _ in range(RACERS)]
        said = [run.communicate(timeout=SECONDS)[0] for run in runs]
        self.tally.rounds += 1
        self.tally.named += sum("held by dbmigrate" in text for text in said)
        codes = [run.returncode for run in runs]
        if codes != [0] * RACERS or self._state(site) != self._expected:
            self.tally.silent.append(f"race: {codes}, {self._state(site)}\n{''.join(said)}")
        self._drop(site)

    def outages(self, count: int, seed: int) -> Outages:
        """Disturb the network of other sites on the same server."""
        return outages(self.engine, self._folder, self._server, count=count, seed=seed)

    @property
    def victims(self) -> tuple[str, ...]:
        """What can be killed here."""
        return tuple(VICTIMS) if self._server is not None else tuple(name for name in VICTIMS if name != "server")

    def kill(self, victim: str, chance: random.Random) -> bool:
        """Kill one of the processes at a random moment, and run again; return whether that one was there."""
        launcher = chance.choice(LAUNCHERS)
        site = self.site()
        run = start(site.project, "all", *launcher)
        # Half of them while the migrations run, which is a small part of the whole.
        if victim == "child" or chance.random() < 0.5:
            self._wait_for(run, "child")
            moment = chance.uniform(0, self._child_seconds)
        else:
            moment = chance.uniform(0.05, self._seconds)
        time.sleep(moment)  # the random moment is the experiment
        is_hit = self._hit(victim, run, site, chance)
        try:
            said = run.communicate(timeout=SECONDS)[0]
        except subprocess.TimeoutExpired:
            run.kill()
            self.tally.silent.append(f"kill {victim}: it did not end\n{run.communicate()[0]}")
            return is_hit
        if isinstance(self._server, PostgresqlServer):
            self._server.wait_until_it_answers()
        if is_hit:
            self.tally.kills[victim] += 1
            self.tally.codes[run.returncode] += 1
            self.tally.moments[self._moment(site)] += 1
        if run.returncode not in ALLOWED | {-signal.SIGKILL}:
            self.tally.silent.append(f"kill {victim}: exit {run.returncode}\n{said}")
        self._check_next_run(victim, site, said, is_hit=is_hit)
        self._drop(site)
        return is_hit

    def _check_next_run(self, victim: str, site: Site, said: str, *, is_hit: bool) -> None:
        after = dbmigrate("all", cwd=site.project.root)
        for found in FREE.finditer(after.stderr):
            self.tally.longest_lock = max(self.tally.longest_lock, float(found["seconds"]))
        is_told = after.code in (13, 30, 31) and self.engine == "mariadb" and self._undo_by_hand(site, after.stderr)
        last = dbmigrate("all", cwd=site.project.root) if is_told else after
        recorded, tables, rows = self._state(site)
        is_twice = self.engine == "mariadb" and rows == 2 * ROWS
        if last.code == 0 and (recorded, tables, ROWS if is_twice else rows) == self._expected:
            self.tally.told += is_hit and is_told
            self.tally.converged += is_hit and not is_told
            self.tally.twice += is_twice
        else:
            state = f"{recorded}, {tables}, {rows} rows"
            self.tally.silent.append(f"after kill {victim}: {state}\n{said}\n{after!r}\n{last!r}")

    def _undo_by_hand(self, site: Site, said: str) -> bool:
        """Undo what a report says to be there already, and nothing else: the next run shows whether that was true."""
        if undo_parts(site, said):
            return True
        found = THERE.search(said)
        if found is None or found["migration"] not in UNDO:
            return False
        undo = UNDO[found["migration"]]
        done = found["operations"].split(", ")
        for operation in reversed(done):
            site.query(undo[operation])
        return True

    def _hit(self, victim: str, run: subprocess.Popen[str], site: Site, chance: random.Random) -> bool:
        """Kill the victim; return whether it was there."""
        if victim == "server":
            return run.poll() is None and self._crash_server(site, chance)
        pid = _processes(run.pid).get(victim)
        if pid is None:
            return False
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return False
        return True

    def _crash_server(self, site: Site, chance: random.Random) -> bool:
        if isinstance(self._server, MariadbServer):
            kill_and_restart(self._folder / "server")
            return True
        assert self._server is not None
        if chance.random() < 0.5:
            self._server.kill_and_restart()
            return True
        return self._server.kill_session(site.entry)

    def _wait_for(self, run: subprocess.Popen[str], name: str) -> None:
        """Wait until one of the run's processes is there, or the run has ended."""
        while run.poll() is None and name not in _processes(run.pid):
            time.sleep(0.005)

    def _moment(self, site: Site) -> str:
        if self._server is None and not site.project.database("default").exists():
            return "nothing"  # and asking would make it
        recorded, _, _ = self._state(site)
        return "nothing" if not recorded else "everything" if recorded == self._expected[0] else "some"

    def _state(self, site: Site) -> State:
        tables = (
            self._server.tables(site.entry)
            if self._server is not None
            else {name for (name,) in site.query("SELECT name FROM sqlite_master WHERE type = 'table'")}
        )
        recorded = site.recorded() if "django_migrations" in tables else Counter[str]()
        rows = int(site.query(COUNT)[0][0]) if "core_item" in tables else 0
        return recorded, tables - {"sqlite_sequence"}, rows

    def _drop(self, site: Site) -> None:
        if isinstance(self._server, PostgresqlServer):
            self._server.drop_database(site.entry)
        shutil.rmtree(site.project.root)


def _processes(parent: int) -> dict[str, int]:
    """Return the process ids of a run by what they are; of the host's copies those that migrate lead a session."""
    found = {"dbmigrate": parent}
    for pid in children(parent):
        if "host" in _words(pid):
            found["host"] = pid
            found.update(("child", child) for child in children(pid) if _leads_session(child))
        elif "migrate" in _words(pid) or "step" in _words(pid):
            found["child"] = pid
    return found


def _leads_session(pid: int) -> bool:
    try:
        return os.getsid(pid) == pid
    except ProcessLookupError:
        return False


def _words(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except OSError:
        return []


@contextmanager
def arena(engine: str) -> Iterator[Arena]:
    """Start an engine in a folder that goes away."""
    folder = Path(tempfile.mkdtemp(prefix=f"chaos-{engine}-"))
    folder.chmod(0o755)
    try:
        if engine == "postgresql":
            with running_server(folder / "server") as server:
                yield Arena(engine, folder, server)
        elif engine == "mariadb":
            yield Arena(engine, folder, join_server(folder / "server"))
        else:
            yield Arena(engine, folder, None)
    finally:
        stop_server(folder / "server")
        shutil.rmtree(folder, ignore_errors=True)


def disturb(here: Arena, *, rounds: int, kills: int, seed: int, minutes: float = 60) -> Tally:
    """Run the races and so many kills that hit, in an order and at moments that the seed decides; bounded in time."""
    chance = random.Random(seed)
    deadline = time.monotonic() + minutes * 60
    left = ["race"] * rounds + [here.victims[number % len(here.victims)] for number in range(kills)]
    chance.shuffle(left)
    number = 0
    while left and time.monotonic() < deadline:
        number += 1
        act = left.pop()
        if act == "race":
            here.race(chance)
        elif not here.kill(act, chance):
            left.insert(0, act)  # it had ended already, or not begun
        if number % 25 == 0:
            sys.stderr.write(f"{here.engine}: {len(left)} left, silent: {len(here.tally.silent)}\n")
    return here.tally


def report(tallies: Mapping[str, Tally], networks: Mapping[str, Outages], seed: int, seconds: float) -> str:
    """Return the figures as they stand in docs/reliability.md."""
    lines = [
        f"Measured on {date.today()}, seed {seed}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"in {seconds / 60:.0f} minutes.",
        "",
        "| | " + " | ".join(tallies) + " |",
        "|---" * (len(tallies) + 1) + "|",
    ]

    def row(name: str, values: list[Any]) -> None:
        lines.append(f"| {name} | " + " | ".join(str(value) for value in values) + " |")

    every = list(tallies.values())
    row(f"races of {RACERS} runs on an empty database", [tally.rounds for tally in every])
    row("– runs that waited, and named the run that they waited for", [tally.named for tally in every])
    row("kills", [tally.kills.total() for tally in every])
    for victim, name in VICTIMS.items():
        row(f"– of {name}", [tally.kills[victim] or "–" for tally in every])
    for moment, migrations in {"nothing": "no migration", "some": "some migrations", "everything": "all"}.items():
        row(f"– after which {migrations} had been recorded", [tally.moments[moment] for tally in every])
    row("next run: same result as an undisturbed run", [tally.converged for tally in every])
    row("– of these, a data migration ran twice", [tally.twice for tally in every])
    row("next run: fails, and names the half-done migration", [tally.told for tally in every])
    row("longest wait of the next run for the lock", [f"{tally.longest_lock:.1f} s" for tally in every])
    row("**silent or wrong**", [len(tally.silent) for tally in every])
    seen = list(networks.values())
    for outage in OUTAGES:
        row(outage, [tally.counts[outage] or "–" for tally in seen])
    for what in dict.fromkeys(what for tally in seen for what in tally.longest):
        row(f"longest {what}", [f"{tally.longest[what]:.0f} s" if what in tally.longest else "–" for tally in seen])
    row("next run: fails, and names what the half-done migration made", [tally.refused for tally in seen])
    row("**silent**", [len(tally.silent) for tally in seen])
    row("**written twice, or not at all**", [len(tally.twice) for tally in seen])
    row("**longer than promised**", [len(tally.unbounded) for tally in seen])
    for engine, tally in tallies.items():
        codes = ", ".join(f"{code}: {count}" for code, count in sorted(tally.codes.items()))
        lines.append(
            f"\nHow the disturbed runs ended on {engine} (exit code: number of runs; -9: dbmigrate itself was killed): "
            f"{codes}."
        )
    return "\n".join(lines)


def main() -> int:
    """Disturb, print the figures, and fail if anything was silent."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", action="append", choices=ENGINES)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--kills", type=int, default=100, help="that hit, on each engine")
    parser.add_argument("--outages", type=int, default=100, help="of each kind, on each engine")
    parser.add_argument("--minutes", type=float, default=60, help="at most, on each engine")
    parser.add_argument("--seed", type=int, default=20261124)
    parser.add_argument("--write", action="store_true", help="write the figures into docs/reliability.md")
    arguments = parser.parse_args()
    began = time.monotonic()

    def run(engine: str) -> tuple[Tally, Outages]:
        with arena(engine) as here:
            tally = disturb(
                here,
                rounds=arguments.rounds,
                kills=arguments.kills,
                seed=arguments.seed,
                minutes=arguments.minutes,
            )
            return tally, here.outages(arguments.outages, arguments.seed)

    engines = arguments.engine or ENGINES
    with ThreadPoolExecutor() as pool:  # the engines at the same time: one waits where another one works
        pairs = dict(zip(engines, pool.map(run, engines), strict=True))
    tallies = {engine: tally for engine, (tally, _) in pairs.items()}
    networks = {engine: seen for engine, (_, seen) in pairs.items()}
    text = report(tallies, networks, arguments.seed, time.monotonic() - began)
    sys.stdout.write(text + "\n")
    silent = [line for tally in tallies.values() for line in tally.silent]
    silent += [line for seen in networks.values() for line in (*seen.silent, *seen.twice, *seen.unbounded)]
    for line in silent:
        sys.stdout.write(f"\n--- silent or wrong\n{line}\n")
    if arguments.write:
        head, rest = REPORT.read_text().split(BEGIN, 1)
        REPORT.write_text(f"{head}{BEGIN}\n{text}\n{END}{rest.split(END, 1)[1]}")
    return 1 if silent else 0


if __name__ == "__main__":
    sys.exit(main())
