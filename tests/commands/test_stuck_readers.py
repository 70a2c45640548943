"""Readers that do not read: a full pipe, a stuck collector of logs, a terminal stopped by ^S."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import signal
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.background import children_of, until
from support.cli import EXECUTABLE, clean_environment, dbmigrate
from support.projects import Project, create, migration, model
from support.sites import Site

SMALLEST_PIPE = 4096
TERM_SECONDS = 8
"""--grace 3, and 5 seconds for the report."""
DROP_SECONDS = 10
"""How long a reader may take nothing at the end."""


def loud_app(folder: Path, lines: int = 3000, seconds: float = 0) -> dict[str, str]:
    """Return an app whose migration prints so many lines, writes the file `ready` and waits for the file `go`.

    `seconds`: for how long it prints nothing before the last third of its lines.
    """
    head = f"""
import pathlib, time

def print_much(apps, schema_editor):
    for number in range({lines}):
        if number == {lines * 2 // 3}:
            time.sleep({seconds})
        print("x" * 500, number)
    pathlib.Path({str(folder / "ready")!r}).touch()
    while not pathlib.Path({str(folder / "go")!r}).exists():
        time.sleep(0.02)
"""
    return {
        "models.py": model(),
        "migrations/0001_initial.py": migration(create(), "migrations.RunPython(print_much)", head=head),
    }


class Unread:
    """A dbmigrate whose output nobody reads, until somebody does."""

    def __init__(self, process: subprocess.Popen[bytes], reading: int) -> None:
        self.process = process
        self._reading = reading

    @property
    def is_waiting(self) -> bool:
        """Whether the pipe is full, and its process has nothing else to do any more."""
        waiting = int.from_bytes(fcntl.ioctl(self._reading, termios.FIONREAD, bytes(4)), sys.byteorder)
        return waiting >= SMALLEST_PIPE and not children_of(self.process.pid)

    def read_some(self, count: int) -> bytes:
        """Read so many bytes, or what there is."""
        return os.read(self._reading, count)

    def read(self) -> bytes:
        """Read all that it writes, to the end."""
        with os.fdopen(os.dup(self._reading), "rb") as stream:
            return stream.read()


@contextmanager
def unread(project: Project, *words: str, both: bool = True, terminal: bool = False) -> Iterator[Unread]:
    """Run it with stdout, or both streams, in a pipe or a terminal that nobody reads."""
    if terminal:
        reading, writing = pty.openpty()
    else:
        reading, writing = os.pipe()
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, SMALLEST_PIPE)
    process = subprocess.Popen(
        [str(EXECUTABLE), *words],
        cwd=project.root,
        env=clean_environment(TERM="xterm-256color"),
        stdin=writing if terminal else subprocess.DEVNULL,
        stdout=writing,
        stderr=writing if both else subprocess.PIPE,
    )
    os.close(writing)
    try:
        yield Unread(process, reading)
    finally:
        process.kill()
        process.wait()
        if process.stderr is not None:
            process.stderr.close()
        os.close(reading)


@pytest.mark.soak
@pytest.mark.parametrize(
    ("words", "terminal"),
    [
        (("-v",), False),
        (("--format", "rich", "-v"), True),
        pytest.param(("--format", "github"), False, marks=pytest.mark.soak),
        pytest.param(("--format", "json"), False, marks=pytest.mark.soak),
    ],
)
def test_a_signal_ends_a_run_whose_output_nobody_reads(
    words: tuple[str, ...], terminal: bool, site: Callable[..., Site], tmp_path: Path
) -> None:
    here = site("sqlite", loud_app(tmp_path, lines=100 if terminal else 3000))

    with unread(here.project, "all", "--skip-makemigrations", "--grace", "3", *words, terminal=terminal) as run:
        until(lambda: (tmp_path / "ready").exists(), "in the migration, which has printed all")
        run.process.send_signal(signal.SIGTERM)
        code = run.process.wait(TERM_SECONDS)

    assert code == 143
    assert here.query("SELECT name FROM sqlite_master WHERE name = 'core_item'") == []
    assert list(here.project.root.glob("*lock*")) == []


@pytest.mark.soak
def test_a_run_whose_output_nobody_reads_does_its_work_and_drops_what_is_left(
    site: Callable[..., Site], tmp_path: Path
) -> None:
    here = site("sqlite", loud_app(tmp_path))
    (tmp_path / "go").touch()

    with unread(here.project, "all", "--skip-makemigrations", "-v") as run:
        until(lambda: here.query("SELECT name FROM sqlite_master WHERE name = 'more_item'"), "migrated")
        dbmigrate("all", "--skip-makemigrations", "--lock-wait", "5", cwd=here.project.root).expect(0)
        code = run.process.wait(DROP_SECONDS + 20)

    assert code == 0


@pytest.mark.soak
def test_what_was_dropped_is_said_where_somebody_reads(sample: Project) -> None:
    with unread(sample, "all", "--format", "json", "--skip-makemigrations", both=False) as run:
        _, said = run.process.communicate(timeout=60)

    assert run.process.returncode == 0, said
    assert b"bytes of output were not written to stdout: its reader does not keep up" in said


def test_a_report_that_nobody_reads_holds_nothing_up(migrated_sample: Project, tmp_path: Path) -> None:
    fifo = tmp_path / "report.xml"
    os.mkfifo(fifo)
    reading = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    fcntl.fcntl(reading, fcntl.F_SETPIPE_SZ, SMALLEST_PIPE)
    writing = os.open(fifo, os.O_WRONLY)
    os.write(writing, bytes(SMALLEST_PIPE - 1200))  # what it begins with fits, what it ends with does not

    outcome = dbmigrate("check", "--junit", str(fifo), "--format", "json", cwd=migrated_sample.root)
    os.close(reading)
    os.close(writing)

    assert outcome.json["lost_output"] == [f"--junit {fifo}: nobody reads it"]
    assert f"warning: --junit {fifo} cannot be written (nobody reads it)" in outcome.stderr
    assert outcome.code == outcome.json["exit"]["code"] == 0


@pytest.mark.soak
def test_an_answer_waits_for_its_reader_and_comes_whole(sample: Project) -> None:
    with unread(sample, "status", "--migrations", "--format", "json") as run:
        until(lambda: run.is_waiting, "waiting for its reader")
        read = run.read()

        assert run.process.wait(60) == 0
    assert len(read) > SMALLEST_PIPE
    assert json.loads(read)["command"] == "status"


def test_a_signal_ends_an_answer_that_nobody_reads(sample: Project) -> None:
    with unread(sample, "status", "--migrations", "--format", "json") as run:
        until(lambda: run.is_waiting, "waiting for its reader")
        run.process.send_signal(signal.SIGTERM)

        assert run.process.wait(TERM_SECONDS) == 143


@pytest.mark.soak
def test_a_reader_that_is_slow_gets_everything(site: Callable[..., Site], tmp_path: Path) -> None:
    here = site("sqlite", loud_app(tmp_path, lines=3000))
    read = bytearray()

    def is_printed() -> bool:
        read.extend(run.read_some(256))
        return (tmp_path / "ready").exists()

    with unread(here.project, "all", "--skip-makemigrations", "-v") as run:
        until(is_printed, "in the migration, which has printed all")
        (tmp_path / "go").touch()
        read += run.read()
        code = run.process.wait(60)

    assert code == 0
    assert b"missing" not in read
    # Both streams lead to one pipe, so one may write in the middle of the other's line; other words have few of these.
    assert 0 <= read.count(b"x") - 3000 * 500 < 100


@pytest.mark.soak
def test_a_reader_that_comes_back_is_told_what_is_missing(site: Callable[..., Site], tmp_path: Path) -> None:
    here = site("sqlite", loud_app(tmp_path, seconds=DROP_SECONDS + 2))
    read: list[bytes] = []

    with unread(here.project, "all", "--skip-makemigrations", "-v") as run:
        until(lambda: (tmp_path / "ready").exists(), "in the migration, which has printed all")
        reader = threading.Thread(target=lambda: read.append(run.read()))
        reader.start()
        (tmp_path / "go").touch()
        code = run.process.wait(60)
        reader.join()

    assert code == 0
    assert b"bytes of output are missing here: the reader did not keep up" in read[0]
    assert b"All migrations completed successfully" in read[0]
