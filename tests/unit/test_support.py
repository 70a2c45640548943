"""The tests' own tools."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from support.background import is_alive, until
from support.cli import EXECUTABLE, Outcome, clean_environment, dbmigrate, execute
from support.postgresql import PostgresqlServer
from support.preloaded import Preloaded
from support.projects import Project, applied
from support.proxy import proxy
from support.servers_folder import remove_leftovers
from support.skips import skip_lines


def test_a_failing_expectation_shows_command_code_and_both_streams() -> None:
    outcome = Outcome(argv=("dbmigrate", "all"), cwd=Path("/srv"), code=3, stdout="an answer", stderr="error: no")

    with pytest.raises(AssertionError) as caught:
        outcome.expect(0)

    assert all(part in str(caught.value) for part in ("$ dbmigrate all", "[exit 3]", "an answer", "error: no"))


@pytest.mark.parametrize("words", ["all", "check --format github", "status --app nothing", "nonsense"])
def test_a_copy_of_a_loaded_process_says_what_the_executable_says(migrated_sample: Project, words: str) -> None:
    copied = dbmigrate(*words.split(), cwd=migrated_sample.root)

    assert copied == execute(*words.split(), cwd=migrated_sample.root)


LOOKING_AROUND = """
import atexit, gc, glob, json, os, signal, sys, threading
def describe(stream):
    layers = [type(stream).__name__, type(stream.buffer).__name__]
    ways = [stream.encoding, stream.errors, stream.mode, stream.name, stream.write_through, stream.line_buffering]
    return layers + ways + [stream.newlines, stream.fileno()]
streams = [sys.stdin, sys.stderr, sys.__stdin__, sys.__stderr__]
seen = {
    "words": [sys.argv, open("/proc/self/cmdline").read().rstrip("\\0").split("\\0")],
    "path": sys.path,
    "flags": str(sys.flags),
    "main": sorted(set(vars(sys.modules["__main__"])) - {"os", "sys"}),
    "streams": [describe(stream) for stream in streams],
    "folder": os.getcwd(),
    "variables": dict(os.environ),
    "signals": {str(one): str(signal.getsignal(one)).split(" at ")[0] for one in sorted(signal.valid_signals())},
    "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
    "is leader": os.getpid() == os.getpgrp() == os.getsid(0),
    "threads": [thread.name for thread in threading.enumerate()],
    "collects": gc.isenabled(),
    "finders": [getattr(finder, "__name__", type(finder).__name__) for finder in sys.meta_path],
    "files": sorted(os.readlink(name).split(":")[0] for name in glob.glob("/proc/self/fd/*") if os.path.islink(name)),
    "tracing": [sys.gettrace() is None, sys.getprofile() is None, sys.excepthook is sys.__excepthook__],
    "waits": sys.getswitchinterval(),
}
with open("seen.json", "w") as file:
    json.dump([seen, sorted(sys.modules)], file)
atexit.register(lambda: open("ended.txt", "w").write("exit handlers ran"))
"""


def test_a_copied_process_is_to_a_project_what_a_started_one_is(migrated_sample: Project) -> None:
    migrated_sample.append("myproj/settings.py", LOOKING_AROUND)
    looks = []

    for run in (execute, dbmigrate):
        run("status", cwd=migrated_sample.root).expect(0)
        looks.append(json.loads((migrated_sample.root / "seen.json").read_text()))
        (migrated_sample.root / "ended.txt").unlink()

    (started, loaded), (copied, loaded_before) = looks
    assert copied == started
    assert set(loaded) <= set(loaded_before)
    assert not [name for name in loaded_before if name.split(".")[0] in ("dbmigrate", "pydantic", "click", "rich")]


def test_a_command_that_takes_too_long_is_ended_and_the_next_one_is_not_confused(tmp_path: Path) -> None:
    preloaded, waiting = Preloaded(), tmp_path / "waiting.py"
    waiting.write_text("import time\ntime.sleep(60)\n")
    executable, environment = (str(EXECUTABLE), "--version"), clean_environment()

    with pytest.raises(subprocess.TimeoutExpired):
        preloaded.run((str(waiting),), tmp_path, environment, 0.5)
    after_time_out = preloaded.run(executable, tmp_path, environment, 60)
    before = signal.signal(signal.SIGUSR1, _give_up)
    timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGUSR1))
    timer.start()
    with pytest.raises(InterruptedError):
        preloaded.run((str(waiting),), tmp_path, environment, 60)
    timer.join()
    signal.signal(signal.SIGUSR1, before)
    after_interruption = preloaded.run(executable, tmp_path, environment, 60)

    for ended in (after_time_out, after_interruption):
        assert ended is not None
        assert ended.stdout.startswith("dbmigrate ")


def _give_up(signum: int, frame: object) -> None:
    raise InterruptedError


def test_a_project_without_database_files_has_nothing_applied(sample: Project) -> None:
    assert applied(sample.database("blog_db")) == []
    assert sample.tables() == {}


@pytest.mark.postgresql
def test_databases_of_the_shared_server_are_separate(postgresql: PostgresqlServer) -> None:
    one, other = postgresql.create_database(), postgresql.create_database()

    postgresql.query(one, "CREATE TABLE here (id int)")

    assert (postgresql.tables(one), postgresql.tables(other)) == ({"here"}, set())


@pytest.mark.postgresql
def test_a_proxy_passes_freezes_thaws_and_cuts_what_a_real_server_is_asked(postgresql: PostgresqlServer) -> None:
    with (
        proxy(postgresql.create_database()) as server,
        postgresql.session(server.entry) as one,
        postgresql.session(server.entry) as other,
    ):
        server.wait_for_connections(2)
        assert one.execute("SELECT 'first'").fetchone() == ("first",)
        server.freeze(saying=b"first")
        with ThreadPoolExecutor(1) as threads:
            waiting = threads.submit(one.execute, "SELECT 'frozen'")
            server.wait_for(b"frozen")
            assert other.execute("SELECT 'second'").fetchone() == ("second",)
            assert not waiting.done()
            server.thaw()
            assert waiting.result(timeout=30).fetchone() == ("frozen",)

        assert server.cut(saying=b"frozen") == 1
        with pytest.raises(psycopg.OperationalError):
            one.execute("SELECT 1")
        assert other.execute("SELECT 'third'").fetchone() == ("third",)


@pytest.mark.postgresql
def test_a_proxy_freezes_at_words_which_the_server_never_hears(postgresql: PostgresqlServer) -> None:
    entry = postgresql.create_database()
    with proxy(entry) as server:
        server.freeze_at(b"CREATE TABLE late")
        with (
            ThreadPoolExecutor(1) as threads,
            postgresql.session(server.entry) as connection,
        ):
            waiting = threads.submit(connection.execute, "CREATE TABLE late (id int)")
            server.wait_for(b"CREATE TABLE late")
            assert server.cut() == 1
            assert isinstance(waiting.exception(timeout=30), psycopg.OperationalError)
    assert postgresql.tables(entry) == set()


def test_what_was_skipped_is_a_line_for_each_service_and_reason() -> None:
    lines = skip_lines(
        [
            (("test_a", "postgresql", "mariadb"), "no mariadbd on this machine"),
            (("test_b", "mariadb"), "no mariadbd on this machine"),
            (("test_c",), "no zsh on this machine"),
        ]
    )

    assert lines == [
        "skipped 2 tests of MariaDB: no mariadbd on this machine",
        "skipped 1 test: no zsh on this machine",
    ]
    assert skip_lines([]) == ["nothing was skipped"]


def test_a_skipped_service_test_fails_where_services_are_required(tmp_path: Path) -> None:
    tests = tmp_path / "test_it.py"
    tests.write_text("import pytest\n@pytest.mark.postgresql\ndef test_it():\n    pytest.skip('none')\n")
    here = Path(__file__).parents[1]
    command = [sys.executable, "-m", "pytest", "-q", "-c", str(here.parent / "pyproject.toml"), "-p", "conftest"]
    environment = {**os.environ, "PYTHONPATH": str(here), "PYTHONDONTWRITEBYTECODE": "1"}

    def run(**more: str) -> int:
        return subprocess.run(
            [*command, str(tests)], env={**environment, **more}, cwd=tmp_path, capture_output=True
        ).returncode

    environment.pop("TESTS_REQUIRE_SERVICES", None)
    assert (run(), run(TESTS_REQUIRE_SERVICES="1")) == (0, 1)


def test_the_servers_of_a_session_that_was_killed_are_ended_by_the_next_one(tmp_path: Path) -> None:
    dead, alive = tmp_path / "servers-dead", tmp_path / "servers-alive"
    for folder in (dead, alive):
        folder.mkdir()
        (folder / "owner").touch()
    own = subprocess.Popen(["sh", "-c", "read word", str(dead)], stdin=subprocess.PIPE)
    foreign = subprocess.Popen(["sh", "-c", "read word", str(alive)], stdin=subprocess.PIPE)
    (dead / "server.pid").write_text(f"{own.pid}\n")
    (dead / "postmaster.pid").write_text(f"{foreign.pid}\n")  # its number is another process's now

    with own, foreign, (alive / "owner").open("r+") as owner:
        until(lambda: str(dead) in Path(f"/proc/{own.pid}/cmdline").read_text(), "it shows its words")
        fcntl.flock(owner, fcntl.LOCK_EX)
        remove_leftovers([tmp_path])

        left = [folder.name for folder in tmp_path.iterdir()]
        is_foreign_alive = is_alive(foreign.pid)

    assert left == ["servers-alive"]
    assert is_foreign_alive
    assert own.returncode == -signal.SIGKILL
