"""Races, and kills at random moments: does every database end where an undisturbed run would have left it?

python bench/chaos.py --write                     everything; docs/reliability.md gets the figures
python bench/chaos.py --engine sqlite --rounds 5 --kills 20 --seed 7
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from support.background import start  # noqa: E402 - the tests' own tools
from support.cli import dbmigrate  # noqa: E402
from support.mariadb import MariadbServer, join_server, kill_and_restart, stop_server  # noqa: E402
from support.postgresql import PostgresqlServer, running_server  # noqa: E402
from support.projects import create, migration, model  # noqa: E402
from support.sites import Site, write_site  # noqa: E402

ENGINES = ("sqlite", "postgresql", "mariadb")
RACERS = 8
SECONDS = 120
REPORT = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"

ALLOWED = {0, 3, 20, 21, 30, 31, 130, 143}
"""How a run may end that was hurt but not killed itself: with a code that says what happened."""

FILL = """
def fill(apps, schema_editor):
    Item = apps.get_model("core", "Item")
    Item.objects.using(schema_editor.connection.alias).bulk_create([Item(name=str(n)) for n in range(200)])
"""

APP = {
    "models.py": model("Item", "name = models.CharField(max_length=20)", "size = models.IntegerField(default=0)"),
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

COUNT = "SELECT count(*) FROM core_item"


@dataclass
class Tally:
    """What was seen on one engine."""

    rounds: int = 0
    named: int = 0
    """Runs of a race that said whom they waited for."""
    kills: Counter[str] = field(default_factory=Counter)
    """By what was killed."""
    codes: Counter[int] = field(default_factory=Counter)
    """How runs ended that were hurt."""
    converged: int = 0
    told: int = 0
    """Next runs that named the migration which the engine had left half done."""
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
        dbmigrate("all", "--skip-makemigrations", cwd=site.project.root).expect(0)
        self.seconds = time.monotonic() - began
        self.expected = self.state(site)

    def site(self) -> Site:
        """Return a project on an empty database, once the server has recovered from a crash."""
        if isinstance(self._server, PostgresqlServer):
            self._server.wait_until_it_answers()
        return write_site(self._folder / f"site{next(self._numbers)}", self._server, APP)

    def state(self, site: Site) -> tuple[Counter[str], set[str], int]:
        """Return what is recorded and how often, the tables, and the rows that a migration made."""
        tables = (
            self._server.tables(site.entry)
            if self._server is not None
            else {name for (name,) in site.query("SELECT name FROM sqlite_master WHERE type = 'table'")}
        )
        return site.recorded(), tables - {"sqlite_sequence"}, int(site.query(COUNT)[0][0])

    def race(self) -> None:
        """Start eight runs at once on an empty database."""
        site = self.site()
        runs = [start(site.project, "all", "--skip-makemigrations") for _ in range(RACERS)]
        said = [run.communicate(timeout=SECONDS)[0] for run in runs]
        self.tally.rounds += 1
        self.tally.named += sum("held by dbmigrate" in text for text in said)
        codes = [run.returncode for run in runs]
        if codes != [0] * RACERS or self.state(site) != self.expected:
            self.tally.silent.append(f"race: {codes}, {self.state(site)}\n{''.join(said)}")
        self._drop(site)

    def kill(self, chance: random.Random) -> None:
        """Kill one of the processes at a random moment, and run again."""
        victims = ["dbmigrate", "host", "child"] + (["server"] if self._server is not None else [])
        victim = chance.choice(victims)
        site = self.site()
        run = start(site.project, "all", "--skip-makemigrations")
        deadline = time.monotonic() + chance.uniform(0.05, self.seconds)
        time.sleep(max(0.0, deadline - time.monotonic()))  # the random moment is the experiment
        is_hit = self._hit(victim, run, site)
        try:
            said = run.communicate(timeout=SECONDS)[0]
        except subprocess.TimeoutExpired:
            run.kill()
            self.tally.silent.append(f"kill {victim}: it did not end\n{run.communicate()[0]}")
            return
        if is_hit:
            self.tally.kills[victim] += 1
            self.tally.codes[run.returncode] += 1
        if run.returncode not in ALLOWED | {-signal.SIGKILL}:
            self.tally.silent.append(f"kill {victim}: exit {run.returncode}\n{said}")
        self._check_next_run(victim, site)
        self._drop(site)

    def _check_next_run(self, victim: str, site: Site) -> None:
        after = dbmigrate("all", "--skip-makemigrations", "--wait", "60", "--lock-wait", "30", cwd=site.project.root)
        if after.code == 0 and self.state(site) == self.expected:
            self.tally.converged += 1
        elif after.code in (30, 31) and "there already: " in after.stderr and ", there already" in after.stderr:
            self.tally.told += 1
        else:
            self.tally.silent.append(f"after kill {victim}: {after!r}")

    def _hit(self, victim: str, run: subprocess.Popen[str], site: Site) -> bool:
        """Kill the victim; return whether it was there."""
        if victim == "server":
            return self._crash_server(site)
        pids = {"dbmigrate": [run.pid], **_children(run.pid)}[victim]
        for pid in pids[:1]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                return False
        return bool(pids)

    def _crash_server(self, site: Site) -> bool:
        if isinstance(self._server, MariadbServer):
            kill_and_restart(self._folder / "server")
            return True
        # One backend that dies takes the whole PostgreSQL server through its crash recovery.
        rows = site.query(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() LIMIT 1"
        )
        for (pid,) in rows:
            os.kill(pid, signal.SIGKILL)
        return bool(rows)

    def _drop(self, site: Site) -> None:
        shutil.rmtree(site.project.root)


def _children(parent: int) -> Mapping[str, list[int]]:
    """Return the pids of dbmigrate's host and of its migrating children."""
    found: dict[str, list[int]] = {"host": [], "child": []}
    try:
        pids = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    except OSError:
        return found
    for pid in pids:
        try:
            words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        except OSError:
            continue
        found["host" if "host" in words else "child"].append(int(pid))
    return found


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


def disturb(here: Arena, *, rounds: int, kills: int, seed: int) -> Tally:
    """Run the races and the kills, in an order and at moments that the seed decides."""
    chance = random.Random(seed)
    acts = ["race"] * rounds + ["kill"] * kills
    chance.shuffle(acts)
    for number, act in enumerate(acts, 1):
        if act == "race":
            here.race()
        else:
            here.kill(chance)
        if number % 25 == 0:
            sys.stderr.write(f"{here.engine}: {number} of {len(acts)}, silent: {len(here.tally.silent)}\n")
    return here.tally


def report(tallies: Mapping[str, Tally], seed: int, seconds: float) -> str:
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
    row("runs that named the one they waited for", [tally.named for tally in every])
    for victim in ("dbmigrate", "host", "child", "server"):
        row(f"`kill -9` of the {victim}", [tally.kills[victim] for tally in every])
    row("next run: as if nothing had happened", [tally.converged for tally in every])
    row("next run: names the migration that is half done", [tally.told for tally in every])
    row("**silent or wrong**", [len(tally.silent) for tally in every])
    for engine, tally in tallies.items():
        codes = ", ".join(f"{code}: {count}" for code, count in sorted(tally.codes.items()))
        lines.append(f"\nHow the disturbed runs ended on {engine} (code: how often; -9: killed itself): {codes}.")
    return "\n".join(lines)


def main() -> int:
    """Disturb, print the figures, and fail if anything was silent."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", action="append", choices=ENGINES)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--kills", type=int, default=120)
    parser.add_argument("--seed", type=int, default=20261124)
    parser.add_argument("--write", action="store_true", help="write the figures into docs/reliability.md")
    arguments = parser.parse_args()
    began = time.monotonic()
    tallies = {}
    for engine in arguments.engine or ENGINES:
        with arena(engine) as here:
            tallies[engine] = disturb(here, rounds=arguments.rounds, kills=arguments.kills, seed=arguments.seed)
    text = report(tallies, arguments.seed, time.monotonic() - began)
    sys.stdout.write(text + "\n")
    silent = [line for tally in tallies.values() for line in tally.silent]
    for line in silent:
        sys.stdout.write(f"\n--- silent or wrong\n{line}\n")
    if arguments.write:
        head, rest = REPORT.read_text().split(BEGIN, 1)
        REPORT.write_text(f"{head}{BEGIN}\n{text}\n{END}{rest.split(END, 1)[1]}")
    return 1 if silent else 0


if __name__ == "__main__":
    sys.exit(main())
