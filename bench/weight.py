"""The weight of dbmigrate's own process, and what more databases and more jobs cost."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from contenders import DBMIGRATE, Site, environment, median, take
from projects import LARGE, SMALL, TINY, Layout, add_waiting_app, aliases_of, on_server, write_generated
from support.postgresql import running_server

OWN = """\
import atexit, resource, sys
file = sys.argv.pop(1)
def say():
    used, host = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    print(used.ru_utime + used.ru_stime, used.ru_maxrss, host.ru_maxrss, file=open(file, "w"))
atexit.register(say)
from dbmigrate.__main__ import main
main()
"""
"""Runs dbmigrate and says what its own process took, its children not counted."""

SAYS = """\
import sys

from django.db import migrations


def say(apps, schema_editor):
    for _ in range({blocks}):
        sys.stdout.write(("x" * 99 + chr(10)) * 100)


class Migration(migrations.Migration):
    operations = [migrations.RunPython(say, migrations.RunPython.noop)]
"""


def measure_own(folder: Path, rounds: int) -> list[str]:
    """Return lines about the weight of dbmigrate's own process."""
    site = Site("own", folder / "own", sys.executable, aliases_of(8))
    write_generated(site.folder, LARGE, Layout(site.aliases))
    site.migrate_everything()
    quiet = [_own(site) for _ in range(rounds)]
    memory = {}
    for blocks in (1, 10_000):
        loud = Site("loud", folder / f"loud{blocks}", sys.executable, aliases_of(1))
        write_generated(loud.folder, SMALL, Layout(loud.aliases))
        (loud.folder / "app0" / "migrations" / "0004_says.py").write_text(
            SAYS.format(blocks=blocks).replace("operations", 'dependencies = [("app0", "0003_field3")]\n    operations')
        )
        memory[blocks] = _own(loud)[1]
    starts = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "dbmigrate --version": [DBMIGRATE, "--version"],
        "dbmigrate --help": [DBMIGRATE, "--help"],
    }
    taken = {
        name: statistics.median(
            take(lambda command=command: _run(command)).wall  # type: ignore[misc]
            for _ in range(rounds * 3)
        )
        for name, command in starts.items()
    }
    base = taken.pop("python -c pass")
    return [
        "| dbmigrate's own process | |",
        "|---|---|",
        f"| CPU of `all`, nothing pending on 8 databases | {statistics.median(cpu for cpu, *_ in quiet) * 1000:.0f} ms "
        f"(the least {min(cpu for cpu, *_ in quiet) * 1000:.0f} ms; `python -c pass` takes {base * 1000:.0f} ms) |",
        f"| memory where a migration prints 10 kB | {memory[1] / 1024:.0f} MB |",
        f"| memory where a migration prints 100 MB | {memory[10_000] / 1024:.0f} MB |",
        *(f"| `{name}` | {wall * 1000:.0f} ms, {wall / base:.1f} × `python -c pass` |" for name, wall in taken.items()),
    ]


def _run(command: Sequence[str]) -> None:
    subprocess.run(command, capture_output=True, check=True)


def _own(site: Site) -> tuple[float, int, int]:
    """Return CPU seconds and most memory (kB) of dbmigrate's own process, and most memory of the host."""
    file = site.folder / "own.txt"
    command = [sys.executable, "-c", OWN, str(file), "all", "--skip-makemigrations"]
    subprocess.run(command, cwd=site.folder, capture_output=True, env=environment(), check=True)
    cpu, kilobytes, of_host = file.read_text().split()
    return float(cpu), int(kilobytes), int(of_host)


def measure_growth(folder: Path) -> list[str]:
    """Return lines about what more databases cost."""
    lines = [
        "| databases | fresh | CPU | nothing pending | CPU | memory of dbmigrate | of the host |",
        "|---|---|---|---|---|---|---|",
    ]
    with running_server(folder / "postgresql-growth") as server:
        for name, count in (("SQLite", 50), ("SQLite", 100), ("SQLite", 200), ("PostgreSQL", 50)):
            aliases = aliases_of(count)
            layout = Layout(aliases, everywhere=True) if name == "SQLite" else on_server(server, aliases)
            site = Site(name, folder / f"growth-{name}-{count}", sys.executable, aliases)
            write_generated(site.folder, TINY, layout)
            fresh = take(site.dbmigrate)
            nothing = take(site.dbmigrate)
            _check_complete(site)
            _, own, host = _own(site)
            lines.append(
                f"| {count}, {name} | {fresh.wall:.1f} s | {fresh.cpu:.1f} s | {nothing.wall:.2f} s "
                f"| {nothing.cpu:.2f} s | {own / 1024:.0f} MB | {host / 1024:.0f} MB |"
            )
            print(lines[-1], file=sys.stderr, flush=True)
    return lines


def _check_complete(site: Site) -> None:
    """Stop where the JSON report lacks a database, or says of one that it is not as it should be."""
    command = [DBMIGRATE, "all", "--skip-makemigrations", "--format", "json"]
    ended = subprocess.run(command, cwd=site.folder, capture_output=True, env=environment(), check=True)
    databases = json.loads(ended.stdout)["result"]["run"]["databases"]
    told = {database["alias"]: database["status"] for database in databases}
    if told != dict.fromkeys(site.aliases, "unchanged"):
        raise SystemExit(f"{site.name}: the report is not complete: {told}")


def measure_jobs(folder: Path, rounds: int) -> list[str]:
    """Return lines about how many databases to migrate at the same time."""
    lines = ["| `--jobs` | 1 | 2 | 4 | 8 | 16 |", "|---|---|---|---|---|---|"]
    with running_server(folder / "postgresql-jobs") as server:
        for name, waits in (("SQLite", 0), ("PostgreSQL", 0), ("PostgreSQL, each waits a second", 1)):
            cells = []
            for jobs in (1, 2, 4, 8, 16):
                taken = []
                for number in range(rounds):
                    aliases = aliases_of(17)
                    layout = Layout(aliases, everywhere=True) if name == "SQLite" else on_server(server, aliases)
                    place = folder / f"jobs{len(lines)}-{jobs}-{number}"
                    write_generated(place, SMALL, layout)
                    if waits:
                        add_waiting_app(place, waits)
                    site = Site(name, place, sys.executable, aliases)
                    taken.append(take(lambda site=site, jobs=jobs: site.run([DBMIGRATE, "all", f"--jobs={jobs}"])))  # type: ignore[misc]
                cells.append(f"{median(taken).wall:.1f} s")
                print(f"jobs {name} {jobs}: {taken}", file=sys.stderr, flush=True)
            lines.append(f"| 16 fresh databases, {name} | {' | '.join(cells)} |")
    return lines
