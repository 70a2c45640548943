"""Measure `dbmigrate all` beside plain shell and beside one process that calls call_command, in one run.

    python bench/compare.py [--rounds 7] [--write]

Every round runs each contender once, so that whatever else the machine does hits all of them; figures are medians.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path

from projects import aliases_of, write_project

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"
DBMIGRATE = str(Path(sys.executable).parent / "dbmigrate")

ONE_PROCESS = """\
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "site_settings"
sys.path.insert(0, os.getcwd())
import django
django.setup()
from django.core.management import call_command
call_command("makemigrations")
for alias in sys.argv[1:]:
    call_command("migrate", database=alias, interactive=False)
"""

Contender = Callable[[Path, Sequence[str]], None]


def plain_shell(folder: Path, aliases: Sequence[str]) -> None:
    """Run makemigrations and one migrate for each database, each as a process of its own."""
    _run([sys.executable, "manage.py", "makemigrations"], folder)
    for alias in aliases:
        _run([sys.executable, "manage.py", "migrate", f"--database={alias}", "--no-input"], folder)


def one_process(folder: Path, aliases: Sequence[str]) -> None:
    """Make the same calls in one process."""
    _run([sys.executable, "-c", ONE_PROCESS, *aliases], folder)


def dbmigrate_all(folder: Path, aliases: Sequence[str]) -> None:
    """Run `dbmigrate all`."""
    del aliases  # it finds them by itself
    _run([DBMIGRATE, "all"], folder)


CONTENDERS: Mapping[str, Contender] = {
    "plain shell": plain_shell,
    "one process": one_process,
    "dbmigrate": dbmigrate_all,
}


def _run(command: Sequence[str], folder: Path, **environment: str) -> None:
    subprocess.run(command, cwd=folder, check=True, capture_output=True, env={**os.environ, **environment})


def _seconds(act: Callable[[], None]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def measure_nothing_pending(folder: Path, databases: int, rounds: int) -> dict[str, float]:
    """Return the median seconds of every contender where all is applied already."""
    aliases = aliases_of(databases)
    write_project(folder, databases)
    plain_shell(folder, aliases)  # records every app everywhere, so that no contender finds anything to do
    times: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    for _ in range(rounds):
        for name, contender in CONTENDERS.items():
            times[name].append(_seconds(lambda contender=contender: contender(folder, aliases)))  # type: ignore[misc]
    return {name: statistics.median(taken) for name, taken in times.items()}


def measure_fresh(folder: Path, databases: int, rounds: int) -> dict[str, float]:
    """Return the median seconds of every contender on empty databases."""
    aliases = aliases_of(databases)
    write_project(folder, databases)
    times: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    for _ in range(rounds):
        for name, contender in CONTENDERS.items():
            for file in folder.glob("*.sqlite3"):
                file.unlink()
            times[name].append(_seconds(lambda contender=contender: contender(folder, aliases)))  # type: ignore[misc]
    return {name: statistics.median(taken) for name, taken in times.items()}


def count_boots(folder: Path) -> int:
    """Return how often `dbmigrate all` loads the settings of a project where nothing is pending."""
    log = folder.parent / "boots.log"
    log.write_text("")
    _run([DBMIGRATE, "all"], folder, BOOT_LOG=str(log))
    return log.read_text().count("boot")


def measure_start(rounds: int) -> dict[str, float]:
    """Return the median seconds of `--version`, `--help` and the smallest Python there is."""
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "dbmigrate --version": [DBMIGRATE, "--version"],
        "dbmigrate --help": [DBMIGRATE, "--help"],
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds * 3):
        for name, command in commands.items():
            times[name].append(_seconds(lambda command=command: _run(command, ROOT)))  # type: ignore[misc]
    return {name: statistics.median(taken) for name, taken in times.items()}


def report(rounds: int) -> str:
    """Measure everything and return it as Markdown."""
    lines = [
        f"Measured on {date.today():%Y-%m-%d}: Django {version('Django')}, Python {platform.python_version()}, "
        f"{os.cpu_count()} cores, SQLite, medians of {rounds}.",
        "",
        "| work | plain shell | one process | dbmigrate | to plain shell | to one process |",
        "|---|---|---|---|---|---|",
    ]
    works = {"nothing pending": measure_nothing_pending, "fresh": measure_fresh}
    folder = Path(tempfile.mkdtemp(prefix="dbmigrate-bench-"))
    try:
        for work, measure in works.items():
            for databases in (3, 8):
                taken = measure(folder / f"{work.split()[0]}{databases}", databases, rounds)
                shell, single, ours = taken["plain shell"], taken["one process"], taken["dbmigrate"]
                lines.append(
                    f"| {work}, {databases} databases | {shell:.2f} s | {single:.2f} s | {ours:.2f} s "
                    f"| {ours / shell:.2f} | {ours / single:.2f} |"
                )
                print(lines[-1], file=sys.stderr)
        boots = count_boots(folder / "nothing8")
    finally:
        shutil.rmtree(folder)
    start = measure_start(rounds)
    base = start.pop("python -c pass")
    lines += ["", f"Boots of the project with nothing pending on 8 databases: {boots}.", ""]
    lines += ["| start | time | to `python -c pass` |", "|---|---|---|"]
    lines += [f"| `{name}` | {taken * 1000:.0f} ms | {taken / base:.1f} |" for name, taken in start.items()]
    return "\n".join(lines)


def main() -> None:
    """Print the figures, or write them into docs/performance.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--write", action="store_true", help="put the figures into docs/performance.md")
    arguments = parser.parse_args()
    figures = report(arguments.rounds)
    print(figures)
    if arguments.write:
        text = DOCUMENT.read_text()
        head, rest = text.split(BEGIN, 1)
        DOCUMENT.write_text(f"{head}{BEGIN}\n{figures}\n{END}{rest.split(END, 1)[1]}")


if __name__ == "__main__":
    main()
