"""Processes of dbmigrate that need not import it: each is forked from one that has, and all else is its own.

Imports are two fifths of the CPU time of a short command. `python -m support.preloaded DESCRIPTOR` answers on a socket:
for a line of JSON (words, folder, variables, whether it is waited for) with three descriptors it writes a line with a
process id, and, when that process has ended, one with its exit code. One that is not waited for becomes a child of the
process that asked, as if that had started it.
"""

from __future__ import annotations

import atexit
import ctypes
import fcntl
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
import termios
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from support.copied_host import Interpreter, copy_hosts, counting_when_python_starts
from support.own_words import ROOM, show_words

if TYPE_CHECKING:
    from pydantic import BaseModel

PACKAGES = ("cli", "commands", "models", "planning", "project", "renderers", "running")
ONLY_ON_A_TERMINAL = ("dbmigrate.cli.menu", "dbmigrate.renderers.live", "dbmigrate.renderers.terminal")


def main() -> None:
    """Import Django and dbmigrate, and become the program whenever that is asked for."""
    interpreter = Interpreter()  # before anything is imported that a project does not have
    import dbmigrate
    from dbmigrate.__main__ import main as run
    from dbmigrate.models.base import Value

    for name in PACKAGES:
        package = importlib.import_module(f"dbmigrate.{name}")
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if module.name not in ONLY_ON_A_TERMINAL:
                importlib.import_module(module.name)
    assert dbmigrate.__version__
    ending: Any = importlib.import_module("dbmigrate.inside.ending")
    _build_validators(Value)
    if sys.platform == "linux":
        copy_hosts(interpreter)
    gc.freeze()  # a collection in a copy would write to every page
    serve(socket.socket(fileno=int(sys.argv[1])))
    raised = None
    try:
        if sys.argv[0].endswith(".py"):
            runpy.run_path(sys.argv[0], run_name="__main__")
        else:
            run()
    except BaseException as error:
        raised = error
    # Not as the interpreter ends: that would look at each object, and so copy each page.
    ending.finalize(*ending.tell_end(raised), waits=True)


def _build_validators(model: type[BaseModel]) -> None:
    """Do what each model does when it is used for the first time, for it and those that are made of it."""
    model.model_rebuild()
    for more in model.__subclasses__():
        _build_validators(more)


def serve(connection: socket.socket) -> None:
    """Fork for every request; return in the copies alone."""
    while request := _receive(connection):
        (words, folder, variables, is_waited_for), descriptors = request
        pid = os.fork() if is_waited_for else _fork_orphan()
        if pid == 0:
            connection.close()
            for number, descriptor in enumerate(descriptors):
                os.dup2(descriptor, number)
                os.close(descriptor)
            if os.isatty(1):
                os.setsid()
                fcntl.ioctl(0, termios.TIOCSCTTY, 0)
                vars(sys)["stdout"].reconfigure(line_buffering=True)
            os.chdir(folder)
            os.environ.clear()
            os.environ.update(variables)
            if sys.platform == "linux":
                show_words([sys.executable, *words])
            sys.argv[:] = words
            sys.path[0] = str(Path(words[0]).parent)
            return
        for descriptor in descriptors:
            os.close(descriptor)
        connection.sendall(b"%d\n" % pid)
        if is_waited_for:
            _, status = os.waitpid(pid, 0)
            connection.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))
    os._exit(0)


def _fork_orphan() -> int:
    """Fork a process whose parent ends at once; the nearest process above that takes orphans becomes its parent."""
    reading, writing = os.pipe()
    between = os.fork()
    if between == 0:
        pid = os.fork()
        if pid == 0:
            os.close(reading)
            os.close(writing)
            return 0
        os.write(writing, b"%d" % pid)
        os._exit(0)
    os.waitpid(between, 0)
    pid = int(os.read(reading, 100))
    os.close(reading)
    os.close(writing)
    return pid


def _receive(connection: socket.socket) -> tuple[tuple[list[str], str, dict[str, str], bool], list[int]] | None:
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
        if not _is_usual(environment) or not self._free.acquire(blocking=False):
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

    def start(
        self, argv: Sequence[str], cwd: Path, environment: Mapping[str, str], descriptors: Sequence[int]
    ) -> subprocess.Popen[str] | None:
        """Do what `subprocess.Popen` does with three open files; None where that has to be called, as for `run`.

        A terminal that stdout is becomes the one that controls the process.
        """
        if not _is_usual(environment) or not self._free.acquire(blocking=False):
            return None
        try:
            # Not for `run`: init ends those that a test leaves, which here nobody would wait for.
            _take_orphans()
            answers = self._ask(argv, cwd, environment, descriptors, is_waited_for=False)
            started = subprocess.Popen(["true"], text=True)
            started.wait()
            started.pid, started.args = int(answers.readline()), list(argv)
            vars(started)["returncode"] = None
            return started
        finally:
            self._free.release()

    def _ask(
        self,
        argv: Sequence[str],
        cwd: Path,
        environment: Mapping[str, str],
        descriptors: Sequence[int],
        *,
        is_waited_for: bool,
    ) -> IO[bytes]:
        if self._connection is None:
            self._start()
        assert self._connection is not None and self._answers is not None
        line = json.dumps([list(argv), str(cwd), dict(environment), is_waited_for]).encode() + b"\n"
        socket.send_fds(self._connection, [line], list(descriptors))
        return self._answers

    def _run(
        self, argv: Sequence[str], cwd: Path, environment: Mapping[str, str], seconds: float, stdin: str
    ) -> subprocess.CompletedProcess[str]:
        (out, out_end), (err, err_end) = os.pipe(), os.pipe()
        with tempfile.TemporaryFile() if stdin else Path(os.devnull).open("rb") as given:
            if stdin:
                given.write(stdin.encode())
                given.seek(0)
            answers = self._ask(argv, cwd, environment, [given.fileno(), out_end, err_end], is_waited_for=True)
        os.close(out_end)
        os.close(err_end)
        self._running = pid = int(answers.readline())
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
            code = int(answers.readline())
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
                [sys.executable, "-m", "support.preloaded", str(its.fileno()), ROOM],
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


def _is_usual(environment: Mapping[str, str]) -> bool:
    return counting_when_python_starts(environment) == {"LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}


def _take_orphans() -> None:
    """Become the parent of each process below this one whose own parent ends (PR_SET_CHILD_SUBREAPER, prctl(2))."""
    if ctypes.CDLL(None, use_errno=True).prctl(36, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def _read(descriptor: int) -> bytes:
    with open(descriptor, "rb") as stream:
        return stream.read()


if __name__ == "__main__":
    main()
