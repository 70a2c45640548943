"""Processes of dbmigrate that need not import it: each is forked from one that has, and all else is its own.

Imports are two fifths of the CPU time of a short command. `python -m support.preloaded DESCRIPTOR` answers on a socket:
for a line of JSON (words, folder, variables) with three descriptors it writes a line with a process id, and, when that
process has ended, one with its exit code.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import pkgutil
import runpy
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

PACKAGES = ("cli", "commands", "models", "planning", "project", "renderers", "running")
ONLY_ON_A_TERMINAL = ("dbmigrate.cli.menu", "dbmigrate.renderers.live", "dbmigrate.renderers.terminal")


def main() -> None:
    """Import Django and dbmigrate, and become the program whenever that is asked for."""
    from support.copied_host import Interpreter, copy_hosts  # before anything is imported that a project does not have

    interpreter = Interpreter()
    import dbmigrate
    from dbmigrate.__main__ import main as run

    for name in PACKAGES:
        package = importlib.import_module(f"dbmigrate.{name}")
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if module.name not in ONLY_ON_A_TERMINAL:
                importlib.import_module(module.name)
    assert dbmigrate.__version__
    if sys.platform == "linux":
        copy_hosts(interpreter)
    gc.freeze()  # a collection in a copy would write to every page
    serve(socket.socket(fileno=int(sys.argv[1])))
    if sys.argv[0].endswith(".py"):
        runpy.run_path(sys.argv[0], run_name="__main__")
    else:
        run()


def serve(connection: socket.socket) -> None:
    """Fork for every request; return in the copies alone."""
    while request := _receive(connection):
        (words, folder, variables), descriptors = request
        pid = os.fork()
        if pid == 0:
            connection.close()
            for number, descriptor in enumerate(descriptors):
                os.dup2(descriptor, number)
                os.close(descriptor)
            os.chdir(folder)
            os.environ.clear()
            os.environ.update(variables)
            sys.argv[:] = words
            sys.path[0] = str(Path(words[0]).parent)
            return
        for descriptor in descriptors:
            os.close(descriptor)
        connection.sendall(b"%d\n" % pid)
        _, status = os.waitpid(pid, 0)
        connection.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))
    os._exit(0)


def _receive(connection: socket.socket) -> tuple[tuple[list[str], str, dict[str, str]], list[int]] | None:
    text, descriptors, _, _ = socket.recv_fds(connection, 1 << 16, 3)
    while text and not text.endswith(b"\n"):
        text += connection.recv(1 << 16)
    return (json.loads(text), descriptors) if text else None


class Preloaded:
    """The process to fork from, of one process of the tests; it starts with the first command."""

    def __init__(self) -> None:
        """Start nothing yet."""
        self._free = threading.Lock()
        self._connection: socket.socket | None = None
        self._answers: IO[bytes] | None = None
        self._running: int | None = None

    def run(
        self, argv: Sequence[str], cwd: Path, environment: Mapping[str, str], seconds: float, stdin: str = ""
    ) -> subprocess.CompletedProcess[str] | None:
        """Do what `subprocess.run` does with captured output; None where that has to be called.

        That is while another thread runs a command, and where a variable counts when Python starts. `argv` begins with
        the executable, or with a file of Python.
        """
        counting = [name for name in environment if name.startswith(("PYTHON", "LC_")) or name in ("LANG", "TZ")]
        usual = {"LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}
        if {name: environment[name] for name in counting} != usual or not self._free.acquire(blocking=False):
            return None
        try:
            return self._run(argv, cwd, environment, seconds, stdin)
        except subprocess.TimeoutExpired:
            raise
        except BaseException:
            self._abandon()  # pytest's time-out may come between a question and its answer
            raise
        finally:
            self._free.release()

    def _run(
        self, argv: Sequence[str], cwd: Path, environment: Mapping[str, str], seconds: float, stdin: str
    ) -> subprocess.CompletedProcess[str]:
        if self._connection is None:
            self._start()
        assert self._connection is not None and self._answers is not None
        (out, out_end), (err, err_end) = os.pipe(), os.pipe()
        line = json.dumps([list(argv), str(cwd), dict(environment)]).encode() + b"\n"
        with tempfile.TemporaryFile() if stdin else Path(os.devnull).open("rb") as given:
            if stdin:
                given.write(stdin.encode())
                given.seek(0)
            socket.send_fds(self._connection, [line], [given.fileno(), out_end, err_end])
        os.close(out_end)
        os.close(err_end)
        self._running = pid = int(self._answers.readline())
        is_late = threading.Event()

        def end() -> None:
            is_late.set()
            os.kill(pid, 9)

        timer = threading.Timer(seconds, end)
        timer.start()
        try:
            # Both at once: a full pipe would stop the command.
            texts = [b"", b""]
            reader = threading.Thread(target=lambda: texts.__setitem__(1, _read(err)))
            reader.start()
            texts[0] = _read(out)
            reader.join()
            code = int(self._answers.readline())
            self._running = None
        finally:
            timer.cancel()
            timer.join()
        said, told = (text.decode().replace("\r\n", "\n").replace("\r", "\n") for text in texts)
        if is_late.is_set():
            raise subprocess.TimeoutExpired(list(argv), seconds, said, told)
        return subprocess.CompletedProcess(list(argv), code, said, told)

    def _abandon(self) -> None:
        """Kill what runs, and let the next command begin with another process."""
        if self._running is not None:
            with suppress(ProcessLookupError):
                os.kill(self._running, 9)
        if self._connection is not None and self._answers is not None:
            self._answers.close()
            self._connection.close()
        self._connection = self._answers = self._running = None

    def _start(self) -> None:
        ours, its = socket.socketpair()
        unread, pipe = os.pipe()  # what Python makes of stdout at its start depends on what that is
        with its:
            process = subprocess.Popen(
                [sys.executable, "-m", "support.preloaded", str(its.fileno())],
                cwd=Path(__file__).parents[1],
                pass_fds=[its.fileno()],
                env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"},
                stdin=subprocess.DEVNULL,
                stdout=pipe,
                stderr=pipe,
            )
        os.close(unread)
        os.close(pipe)
        self._connection = ours
        self._answers = ours.makefile("rb")

        def stop(answers: IO[bytes] = self._answers) -> None:
            answers.close()
            ours.close()
            process.wait()

        atexit.register(stop)


def _read(descriptor: int) -> bytes:
    with open(descriptor, "rb") as stream:
        return stream.read()


if __name__ == "__main__":
    main()
