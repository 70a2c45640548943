"""What `chaos.py` does to networks at random moments: locks are lost, connections freeze, clients vanish."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

from support.background import descendants, start
from support.mariadb import MariadbServer
from support.postgresql import PostgresqlServer
from support.projects import create, migration, model
from support.proxy import LOCK_WORDS, Proxy, proxy
from support.sites import write_site

SLOW_SECONDS = 10.0
EARLY_SECONDS = 4.0
"""A lock is cut so long after its slow migration began, at most."""
BOUND_SECONDS = 60.0
"""For a run whose every connection froze: --lock-wait 5 --wait 5, and what reliability.md says of each question."""
LOCK_SECONDS = 30.0
"""For which the next run waits for the lock of a client that vanished."""
PATIENCE_SECONDS = 180
ROWS = 200

FILL = f"""
import time

def fill(apps, schema_editor):
    Item = apps.get_model("core", "Item")
    items = Item.objects.using(schema_editor.connection.alias)
    items.bulk_create([Item(name=str(n)) for n in range({ROWS // 2})])
    open("began", "w").close()
    time.sleep({SLOW_SECONDS})
    items.bulk_create([Item(name=str(n)) for n in range({ROWS // 2})])
"""


APP = {
    "models.py": model("Item", "name = models.CharField(max_length=20)", "size = models.IntegerField(default=0)"),
    "migrations/0001_initial.py": migration(create()),
    "migrations/0002_fill.py": migration("migrations.RunPython(fill)", head=FILL, after=(("core", "0001_initial"),)),
    "migrations/0003_size.py": migration(
        'migrations.AddField("item", "size", models.IntegerField(default=0))', after=(("core", "0002_fill"),)
    ),
}
RECORDS = {"core.0001_initial": 1, "core.0002_fill": 1, "core.0003_size": 1, "more.0001_initial": 1}

FREE = re.compile(r"The lock is free \(after (?P<seconds>[0-9.]+) s\)")
SILENT = re.compile(r"it has been silent for \d")
IMPATIENT = ("--lock-wait", "5", "--wait", "5")
PATIENT = ("--lock-wait", "120")

Server = PostgresqlServer | MariadbServer | None


@dataclass
class Outages:
    """What was seen on one engine."""

    counts: Counter[str] = field(default_factory=Counter)
    """By what was done to the network."""
    codes: Counter[int] = field(default_factory=Counter)
    """How the runs ended that it was done to."""
    longest: dict[str, float] = field(default_factory=dict)
    """Seconds: until a frozen run had ended, until the next run had the lock of a client that vanished."""
    silent: list[str] = field(default_factory=list)
    """Runs that did not say what happened to them."""
    twice: list[str] = field(default_factory=list)
    """Rows or records that were written twice, or are missing after the next run."""
    unbounded: list[str] = field(default_factory=list)
    """Runs that took longer than what is promised."""

    def took(self, what: str, seconds: float) -> None:
        """Remember the longest."""
        self.longest[what] = max(self.longest.get(what, 0.0), seconds)


class Scene:
    """One project on an empty database, seen directly and, where there is a server, through a proxy."""

    def __init__(self, engine: str, folder: Path, server: Server, stack: ExitStack) -> None:
        """Make both below the folder; the stack ends the proxy."""
        self.engine = engine
        self.direct = write_site(folder / "direct", server, APP)
        self.proxy: Proxy | None = None
        self.disturbed = self.direct
        if server is not None:
            self.proxy = stack.enter_context(proxy(self.direct.entry))
            self.disturbed = write_site(folder / "proxied", server, APP, entry=self.proxy.entry)

    def wait_for_fill(self, run: subprocess.Popen[str]) -> None:
        """Wait until the slow migration has begun, or the run has ended."""
        while run.poll() is None and not (self.disturbed.project.root / "began").exists():
            time.sleep(0.02)

    def cut_the_lock(self) -> bool:
        """Take the lock away from the run that holds it; return whether it was there."""
        if self.proxy is not None:
            return self.proxy.cut(saying=LOCK_WORDS[self.engine]) > 0
        files = list(self.direct.project.root.glob("*.dbmigrate-lock"))
        for file in files:
            file.unlink()
        return bool(files)

    def finish(self, tally: Outages) -> str:
        """Run again, twice at most, until a run ends with 0; return what is wrong then, and what was said."""
        said = ""
        for _ in range(2):
            run = start(self.direct.project, "all", *PATIENT)
            text = _ended(run, tally)
            said += f"--- exit {run.returncode}\n{text}"
            if run.returncode == 0:
                break
        rows = self.direct.query("SELECT count(*) FROM core_item")[0][0]
        recorded = dict(self.direct.recorded())
        return "" if (rows, recorded) == (ROWS, RECORDS) else f"{rows} rows, {recorded}\n{said}"


def cut_lock(scene: Scene, tally: Outages, chance: random.Random) -> None:
    """Cut the lock of a run in its slow migration, and start a second run at once."""
    run = start(scene.disturbed.project, "all")
    scene.wait_for_fill(run)
    time.sleep(chance.uniform(0, EARLY_SECONDS))  # the random moment is the experiment
    is_cut = scene.cut_the_lock()
    second = start(scene.direct.project, "all", *PATIENT)
    said = _ended(run, tally)
    said_second = _ended(second, tally)
    wrong = scene.finish(tally)
    if not is_cut:
        tally.silent.append(f"no lock was there to cut\n{said}")
    elif "lock of default" not in said:
        tally.silent.append(f"cut lock: exit {run.returncode}\n{said}")
    if wrong:
        tally.twice.append(f"cut lock: {wrong}\n{said}\n--- second\n{said_second}")
    tally.codes[run.returncode] += 1


def freeze(scene: Scene, tally: Outages, chance: random.Random) -> None:
    """Freeze every connection of a run at any moment up to the end of its slow migration.

    The server learns of it when the run has ended: the proxy's own system goes on answering the server's keepalives.
    """
    assert scene.proxy is not None
    run = start(scene.disturbed.project, "all", *IMPATIENT)
    if chance.random() < 0.5:
        scene.wait_for_fill(run)
        time.sleep(chance.uniform(0, SLOW_SECONDS))
    else:
        time.sleep(chance.uniform(0.1, 3.0))
    scene.proxy.freeze()
    began = time.monotonic()
    said = _ended(run, tally)
    seconds = time.monotonic() - began
    tally.took("until a frozen run had ended", seconds)
    if seconds > BOUND_SECONDS:
        tally.unbounded.append(f"freeze: {seconds:.0f} s\n{said}")
    if run.returncode not in (20, 21, 30, 31) or "default" not in said:
        tally.silent.append(f"freeze: exit {run.returncode}\n{said}")
    scene.proxy.cut()
    wrong = scene.finish(tally)
    if wrong:
        tally.twice.append(f"freeze: {wrong}\n{said}")
    tally.codes[run.returncode] += 1


def vanish(scene: Scene, tally: Outages, chance: random.Random) -> None:
    """Let a run disappear in its slow migration without a goodbye.

    The proxy's own system goes on answering the server's keepalives, as that of a pooler would. So the next run has to
    get the lock by itself, or to say who has it and for how long that one has been silent.
    """
    assert scene.proxy is not None
    run = start(scene.disturbed.project, "all")
    scene.wait_for_fill(run)
    time.sleep(chance.uniform(0, EARLY_SECONDS))
    scene.proxy.freeze()
    _kill_tree(run.pid)
    run.communicate()
    next_run = start(scene.direct.project, "all", "--lock-wait", str(LOCK_SECONDS))
    said = _ended(next_run, tally)
    found = FREE.search(said)
    if found is not None:
        tally.took("until the next run had the lock of a client that vanished", float(found["seconds"]))
    if next_run.returncode != 0 and not (next_run.returncode == 20 and SILENT.search(said)):
        tally.silent.append(f"vanish: the next run ended with {next_run.returncode}\n{said}")
    scene.proxy.cut()
    wrong = scene.finish(tally)
    if wrong:
        tally.twice.append(f"vanish: {wrong}\n{said}")
    tally.codes[next_run.returncode] += 1


OUTAGES: dict[str, Callable[[Scene, Outages, random.Random], None]] = {
    "connection of the lock cut during a slow migration, second run started": cut_lock,
    "all connections frozen at a random moment": freeze,
    "client vanished": vanish,
}
"""By what the report calls it. SQLite has no network: only its lock file can go."""


def outages(engine: str, folder: Path, server: Server, *, count: int, seed: int, at_once: int = 8) -> Outages:
    """Do each of them so many times, some at the same time: they wait for most of it."""
    tally = Outages()
    kinds = OUTAGES if server is not None else {name: act for name, act in OUTAGES.items() if act is cut_lock}

    def disturb(number: int, name: str) -> None:
        here = folder / f"outage{number}"
        with ExitStack() as stack:
            scene = Scene(engine, here, server, stack)
            kinds[name](scene, tally, random.Random(f"{seed} {number}"))
        shutil.rmtree(here)
        tally.counts[name] += 1

    acts = [name for _ in range(count) for name in kinds]
    with ThreadPoolExecutor(at_once) as pool:
        for _ in pool.map(disturb, range(len(acts)), acts):
            pass
    return tally


def _ended(run: subprocess.Popen[str], tally: Outages) -> str:
    """Return what a run said, once it has ended; one that does not end is ended, and counted."""
    try:
        return run.communicate(timeout=PATIENCE_SECONDS)[0]
    except subprocess.TimeoutExpired:
        _kill_tree(run.pid)
        said = run.communicate()[0]
        tally.unbounded.append(f"it did not end in {PATIENCE_SECONDS} s\n{said}")
        return said


def _kill_tree(pid: int) -> None:
    """Kill a process and everything it has started, from the top: nobody is left who could say goodbye."""
    for child in [pid, *descendants(pid)]:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
