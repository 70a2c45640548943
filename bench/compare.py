"""Measure `dbmigrate all` beside what does the same work without it, in one run.

    python bench/compare.py                     every row, medians of 7; hours on a slow machine
    python bench/compare.py --only nothing one  some of the rows
    python bench/compare.py --write             keeps them, and writes docs/performance.md and its chart

What is kept lies in bench/measured.json, part by part, each with its day and the load of the machine: parts can be
measured on different days, and the documents show the last figures of each.

In every round each contender runs once, so that whatever else the machine does hits all of them. Wall and CPU time are
those of the whole tree of processes. Before a ratio is printed, every contender's databases are compared.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from functools import partial
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from contenders import Site, Taken, adopt_orphans, environment, median, race, take  # noqa: E402
from figures import Part, Row, document, draw, read_parts, table, write_parts  # noqa: E402
from projects import (  # noqa: E402
    LARGE,
    SMALL,
    TINY,
    Layout,
    Size,
    add_new_migration,
    add_waiting_app,
    aliases_of,
    make_all_alike,
    on_server,
    refuse_app,
    write_generated,
    write_oscar,
)
from servers import mariadb_site, postgresql_site  # noqa: E402
from support.postgresql import running_server  # noqa: E402 - the tests' own tools
from weight import measure_growth, measure_jobs, measure_own  # noqa: E402

DOCUMENT, CHART = ROOT / "docs" / "performance.md", ROOT / "docs" / "performance.svg"
MEASURED = ROOT / "bench" / "measured.json"
BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"
OSCAR = ROOT / ".cache" / "bench-oscar"
OSCAR_PACKAGES = (
    "django-oscar[sorl-thumbnail]>=4",
    "Django>=5.2,<5.3",
    "django-axes",
    "django-celery-results",
    "django-q2",
    "django-silk",
    "django-simple-captcha",
    "easy-thumbnails",
    "psycopg[binary]",
)

READ_RECORDS = """\
import os, sys, time
os.environ["DJANGO_SETTINGS_MODULE"] = "site_settings"
sys.path.insert(0, os.getcwd())
import django
django.setup()
from django.db import connections
from django.db.migrations.recorder import MigrationRecorder
began = time.perf_counter()
for alias in connections:
    MigrationRecorder(connections[alias]).applied_migrations()
    connections[alias].close()
print(time.perf_counter() - began)
"""


class Bench:
    """The rows of the table, each measured when it is asked for."""

    def __init__(self, folder: Path, rounds: int, slow_rounds: int) -> None:
        """Write projects below the folder; `slow_rounds` are those of fresh databases."""
        self._folder = folder
        self._rounds = rounds
        self._slow_rounds = slow_rounds
        self._sites = 0
        self._migrated: dict[str, Site] = {}
        """Sites of eight databases where nothing is pending, by name."""

    def measure(self, name: str) -> Part:
        """Return the figures of one part, by its name in `PARTS`."""
        lines: list[str] = []
        rows: list[Row] = []
        if name == "jobs":
            lines = measure_jobs(self._folder, min(3, self._rounds))
        elif name == "growth":
            lines = measure_growth(self._folder)
        elif name == "own":
            lines = measure_own(self._folder, self._rounds)
        else:
            for row in getattr(self, name)():
                rows.append(row)
                print("\n".join(table([row])[2:]), file=sys.stderr, flush=True)
        return Part(f"{date.today():%Y-%m-%d}", round(os.getloadavg()[2], 1), versions(), rows, lines)

    def nothing(self) -> Iterator[Row]:
        """Nothing pending."""
        for count in (8, 3):
            for site in self._both(partial(Layout, aliases_of(count))):
                site.migrate_everything()
                contenders: dict[str, Callable[[], None]] = {"shell": site.shell, "dbmigrate": site.dbmigrate}
                if count == 8:
                    contenders |= {"one process": site.one_process, "check": site.check}
                taken = race(site, contenders, self._rounds)
                work = f"nothing pending, {count} databases"
                row = self._rows(work, site, taken, self._rounds)
                yield row("plain shell", "shell", 0.30 if count == 3 else 0.12)
                if count == 8:
                    yield row("one process, `call_command` for each", "one process", 0.60)
                    yield row("one single `migrate --check`", "check", 1.4)
                    self._migrated[site.name] = site

    def fresh(self) -> Iterator[Row]:
        """Empty databases."""
        for site in self._both(partial(Layout, aliases_of(8))):
            contenders = {"shell": site.shell, "one process": site.one_process, "dbmigrate": site.dbmigrate}
            taken = race(site, contenders, self._slow_rounds)
            row = self._rows("fresh, 8 SQLite databases", site, taken, self._slow_rounds)
            yield row("plain shell", "shell", 0.40)
            yield row("one process, `call_command` for each", "one process", 0.65)

    def alike(self) -> Iterator[Row]:
        """Empty databases that all get every app, as those of customers do."""
        site = Site("generated", self._folder / "fresh-alike", sys.executable, aliases_of(8))
        write_generated(site.folder, LARGE, Layout(site.aliases))
        make_all_alike(site.folder)
        site.run([site.python, "-m", "compileall", "-q", "."])
        contenders = {"shell": site.shell, "one process": site.one_process, "dbmigrate": site.dbmigrate}
        taken = race(site, contenders, self._slow_rounds, with_records=True)
        row = self._rows("fresh, 8 SQLite databases, all alike", site, taken, self._slow_rounds)
        yield row("plain shell", "shell", 0.45)
        yield row("one process, `call_command` for each", "one process", 0.50)

    def one(self) -> Iterator[Row]:
        """One migration pending on one of eight."""
        if not self._migrated:
            for site in self._both(partial(Layout, aliases_of(8))):
                site.migrate_everything()
                self._migrated[site.name] = site
        for name, target in (("generated", ("app39", "0014")), ("django-oscar", ("silk", "0007"))):
            site = self._migrated[name]
            site.begin()
            site.run([site.python, "manage.py", "migrate", *target, "--database=db7"])
            site.keep(self._folder / f"pending-{name}")
            taken = race(site, {"shell": site.shell, "dbmigrate": site.dbmigrate}, self._rounds)
            row = self._rows("one migration pending on one of 8", site, taken, self._rounds)
            yield row("plain shell", "shell", 0.15)

    def deploy(self) -> Iterator[Row]:
        """One new migration, pending on every database."""
        site = self._kept_current("deploy-large", LARGE, 8)
        add_new_migration(site.folder, "app0", "novel")
        contenders = {"shell": site.shell, "one process": site.one_process, "dbmigrate": site.dbmigrate}
        taken = race(site, contenders, self._rounds, with_records=True)
        row = self._rows("one new migration on each of 8 SQLite databases, all alike", site, taken, self._rounds)
        yield row("plain shell", "shell", 0.15)
        yield row("one process, `call_command` for each", "one process", 0.30)
        for count in (100, 50, 200):
            site = self._kept_current(f"deploy-small-{count}", SMALL, count)
            add_new_migration(site.folder, "app0", "novel")
            yield self._against_one_process(f"one new migration on each of {count} SQLite databases", site, 0.6)
        site = self._kept_current("deploy-own", SMALL, 100)
        site.begin()
        site.dbmigrate()
        site.keep(self._folder / "deploy-own-databases")
        add_new_migration(site.folder, "app0", "novel")
        work = "one new migration on each of 100 SQLite databases that dbmigrate has migrated"
        yield self._against_one_process(work, site, 0.6)
        for engine, make in (("PostgreSQL", postgresql_site), ("MariaDB", mariadb_site)):
            with make(self._folder / f"deploy-{engine}", 50) as on_server:
                yield self._against_one_process(f"one new migration on each of 50 {engine} databases", on_server, 0.4)
        site = self._kept_current("deploy-refused", SMALL, 100)
        add_new_migration(site.folder, "app3", "novel")
        refuse_app(site.folder, "app3")
        work = "one new migration that the routers refuse, on 100 databases"
        # Django records it on each; dbmigrate on the default one, where it migrates every app.
        yield self._against_one_process(work, site, 0.5, with_records=False)

    def _against_one_process(self, work: str, site: Site, goal: float, *, with_records: bool = True) -> Row:
        contenders = {"one process": site.one_process, "dbmigrate": site.dbmigrate}
        taken = race(site, contenders, self._rounds, with_records=with_records)
        row = self._rows(work, site, taken, self._rounds)
        return row("one process, `call_command` for each", "one process", goal)

    def _kept_current(self, name: str, size: Size, count: int) -> Site:
        """Write a generated project with admin whose databases are all alike; plain Django has migrated them so far."""
        site = Site("generated", self._folder / name, sys.executable, aliases_of(count))
        write_generated(site.folder, size, Layout(site.aliases))
        make_all_alike(site.folder)
        site.run([site.python, "-m", "compileall", "-q", "."])
        site.run([site.python, "manage.py", "migrate"])
        for alias in site.aliases[1:]:
            shutil.copy(site.folder / "default.sqlite3", site.folder / f"{alias}.sqlite3")
        site.keep(self._folder / f"{name}-databases")
        return site

    def plans(self) -> Iterator[Row]:
        """Saved plans: what it takes to make one, and to apply it."""
        for site in self._both(partial(Layout, aliases_of(8))):
            saved = "plan.json"
            words = ("plan", "--skip-makemigrations")
            looks: dict[str, Callable[[], None]] = {
                "plan": partial(site.dbmigrate, *words),
                "dbmigrate": partial(site.dbmigrate, *words, "-o", saved),
            }
            row = self._rows(
                "`plan -o` of fresh databases, 8 SQLite", site, race(site, looks, self._slow_rounds), self._slow_rounds
            )
            yield row("`plan`", "plan", 3.0)
            site.dbmigrate(*words, "-o", saved)
            runs: dict[str, Callable[[], None]] = {
                "all": partial(site.dbmigrate, "all", "--skip-makemigrations"),
                "dbmigrate": partial(site.dbmigrate, "apply", saved),
            }
            row = self._rows(
                "`apply` of a plan for fresh databases, 8 SQLite",
                site,
                race(site, runs, self._slow_rounds, with_records=True),
                self._slow_rounds,
            )
            yield row("`all --skip-makemigrations`", "all", 1.05)

    def waits(self) -> Iterator[Row]:
        """Migrations that wait, on eight PostgreSQL databases beside the default one."""
        with running_server(self._folder / "postgresql") as server:
            aliases = aliases_of(9)
            taken: dict[str, list[Taken]] = {}
            boots: dict[str, list[Taken]] = {}
            for _ in range(self._rounds):
                for site in self._both(partial(on_server, server, aliases), is_small=True):
                    site.dbmigrate()
                    add_waiting_app(site.folder, seconds=1)
                    site.run([site.python, "manage.py", "migrate"])
                    taken.setdefault(site.name, []).append(take(site.dbmigrate))
                    boots.setdefault(site.name, []).append(
                        take(lambda site=site: site.run([site.python, "manage.py", "migrate", "--check"]))  # type: ignore[misc]
                    )
                    print(f"{site.name} waits: {taken[site.name][-1]}", file=sys.stderr, flush=True)
            for name, each in taken.items():
                boot = median(boots[name]).wall
                yield Row(
                    "migrations that wait a second on 8 PostgreSQL databases",
                    "the longest of them, and one boot (`migrate --check`) in parallel",
                    name,
                    Taken(1.0, 0.0),
                    Taken(median(each).wall - boot, median(each).cpu),
                    1.5,
                    rounds=self._rounds,
                )

    def many(self) -> Iterator[Row]:
        """Two hundred SQLite databases, nothing pending."""
        for site in self._both(partial(Layout, aliases_of(201), everywhere=True), is_small=True):
            site.dbmigrate()
            site.keep(self._folder / f"many-{site.name}")
            taken = race(site, {"check": site.check, "dbmigrate": site.dbmigrate}, self._rounds)
            reads = []
            for _ in range(self._rounds):
                ended = subprocess.run(
                    [site.python, "-c", READ_RECORDS], cwd=site.folder, capture_output=True, text=True, check=True
                )
                reads.append(float(ended.stdout))
            row = self._rows("`all` on 200 SQLite databases, nothing pending", site, taken, self._rounds)(
                "one `migrate --check` and reading 200 `django_migrations`", "check", 1.5
            )
            row.plus = statistics.median(reads)
            yield row

    def _rows(self, work: str, site: Site, taken: Mapping[str, Taken], rounds: int) -> Callable[[str, str, float], Row]:
        def row(against: str, name: str, goal: float) -> Row:
            return Row(work, against, site.name, taken[name], taken["dbmigrate"], goal, rounds=rounds)

        return row

    def _both(self, layouts: Callable[[], Layout], *, is_small: bool = False) -> Iterator[Site]:
        """Write the generated project and the one of django-oscar, each with databases of its own."""
        self._sites += 1
        folder = self._folder / f"generated{self._sites}"
        layout, other = layouts(), layouts()
        write_generated(folder, TINY if is_small else LARGE, layout)
        oscar = self._folder / f"oscar{self._sites}"
        write_oscar(oscar, other)
        for name, place, python in (
            ("generated", folder, sys.executable),
            ("django-oscar", oscar, str(OSCAR / "bin" / "python")),
        ):
            subprocess.run([python, "-m", "compileall", "-q", "."], cwd=place, env=environment(), check=True)
            yield Site(name, place, python, layout.aliases)


def make_oscar() -> None:
    """Install django-oscar once, in an environment of its own."""
    if not (OSCAR / "done").exists():
        subprocess.run([sys.executable, "-m", "venv", str(OSCAR)], check=True)
        install = [str(OSCAR / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, *OSCAR_PACKAGES], check=True)
        (OSCAR / "done").touch()


def versions() -> str:
    """Return what the figures were measured with, in words."""
    command = [str(OSCAR / "bin" / "python"), "-m", "pip", "list", "--format=json", "--disable-pip-version-check"]
    listed = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    oscar = next(entry["version"] for entry in listed if entry["name"].lower() == "django-oscar")
    return (
        f"Django {version('Django')}, django-oscar {oscar}, Python {platform.python_version()}, {os.cpu_count()} cores"
    )


PARTS = ("nothing", "one", "deploy", "fresh", "alike", "plans", "waits", "many", "jobs", "growth", "own")


def main() -> None:
    """Print the figures; with --write keep them too, and write docs/performance.md and its chart from what is kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--databases", type=int, choices=[8], default=8, help="the rows are those of eight databases")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--slow-rounds", type=int, help="of fresh databases; default: as --rounds")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--write", action="store_true", help="keep the figures, and write docs/performance.md")
    arguments = parser.parse_args()
    make_oscar()
    adopt_orphans()
    folder = Path(tempfile.mkdtemp(prefix="dbmigrate-bench-"))
    try:
        bench = Bench(folder, arguments.rounds, arguments.slow_rounds or arguments.rounds)
        for name in arguments.only:
            part = bench.measure(name)
            print("\n".join(document({name: part})), flush=True)
            if arguments.write:
                kept = {**read_parts(MEASURED), name: part}
                write_parts(MEASURED, {each: kept[each] for each in PARTS if each in kept})
    finally:
        shutil.rmtree(folder)
    if arguments.write:
        parts = read_parts(MEASURED)
        CHART.write_text(draw([row for part in parts.values() for row in part.rows]))
        head, rest = DOCUMENT.read_text().split(BEGIN, 1)
        DOCUMENT.write_text(f"{head}{BEGIN}\n" + "\n".join(document(parts)) + f"\n{END}{rest.split(END, 1)[1]}")


if __name__ == "__main__":
    main()
