"""Processes of the project's interpreter that need not import Django: each is forked from one that has.

Half of a command's CPU time is the import of Django in the process that boots the project. A copy differs from a
process that was started in nothing but that these modules are loaded (tests/unit/test_support.py compares the two).
"""

from __future__ import annotations

import atexit
import gc
import importlib
import io
import os
import runpy
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, Literal

from support.own_words import show_words

WITHOUT_SETTINGS = (
    "django.core.management.commands.migrate",
    "django.core.management.commands.makemigrations",
    "django.core.management.commands.check",
    "django.db.migrations.autodetector",
    "django.db.migrations.executor",
    "django.db.backends.sqlite3.base",
    "django.db.backends.sqlite3.schema",
    "django.db.backends.postgresql.base",
    "django.db.backends.postgresql.schema",
    "pymysql",
    "django.test.signals",
    "django.contrib.admin",
    "django.contrib.auth.apps",
    "django.contrib.contenttypes.apps",
    "django.contrib.sessions.apps",
    "django.contrib.messages.apps",
    "django.contrib.staticfiles.apps",
    "django.contrib.auth.hashers",
    "django.contrib.auth.validators",
    "django.core.cache.backends.locmem",
    "django.forms",
    "django.urls",
    "django.views.debug",
    "django.template.backends.django",
)
"""What can be imported before it is known which project it is for."""

OURS = ("__main__", "support")

USUAL = {
    "LANG": "C.UTF-8",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONIOENCODING": "utf-8:backslashreplace",
    "PYTHONUNBUFFERED": "1",
}
"""The variables that count when Python starts, where a copy is what a new process would be."""


def counting_when_python_starts(variables: Mapping[str, str]) -> dict[str, str]:
    """Return those variables of which a process that was forked knows nothing, however they are set afterwards."""
    return {
        name: value for name, value in variables.items() if name.startswith(("PYTHON", "LC_")) or name in ("LANG", "TZ")
    }


class Interpreter:
    """What a new process of this interpreter begins with: its modules, its paths, its streams."""

    def __init__(self) -> None:
        """Import Django, and remember how things are; dbmigrate may only be imported later."""
        self._path = sys.path[1:]
        for name in WITHOUT_SETTINGS:
            importlib.import_module(name)
        self._modules = {name: module for name, module in sys.modules.items() if name.split(".")[0] not in OURS}

    def start(self, argv: Sequence[str], **options: Any) -> subprocess.Popen[bytes] | CopiedProcess:
        """Do what subprocess.Popen does, with a copy of this process where that is equal."""
        is_this_interpreter = Path(argv[0]).parent == Path(sys.executable).parent
        if is_this_interpreter and counting_when_python_starts(options["env"]) == USUAL:
            return CopiedProcess(self, argv, options)
        return subprocess.Popen(argv, **options)

    def become(self, argv: Sequence[str], options: Mapping[str, Any], descriptors: Sequence[int]) -> None:
        """In a copy: be the process that was asked for, to its end."""
        os.setsid()
        _restore_signals()
        for number, descriptor in enumerate(descriptors):
            os.dup2(descriptor, number)
        _close_all_but({0, 1, 2, *options["pass_fds"]})
        os.chdir(options["cwd"])
        os.environ.clear()
        os.environ.update(options["env"])
        show_words(argv)
        gc.freeze()  # what dbmigrate holds is never released: a descriptor's number may be another's by now
        gc.enable()
        atexit._clear()
        before = [sys.modules.copy(), sys.stdin, sys.stdout, sys.stderr]  # none of it may be released
        for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
            vars(sys)[name] = vars(sys)[f"__{name}__"] = _open_stream(descriptor, "w" if descriptor else "r")
        from dbmigrate.inside import ending

        sys.modules.clear()
        sys.modules.update(self._modules)
        sys.modules["__main__"] = ModuleType("__main__")
        sys.argv[:] = argv[1:]
        sys.path[:] = [str(Path(argv[1]).parent), *self._path]
        raised = None
        try:
            runpy.run_path(argv[1], run_name="__main__")
        except BaseException as error:
            raised = error
        del before  # not earlier
        finish: Any = ending
        finish.finalize(*finish.tell_end(raised), waits=True)


class CopiedProcess:
    """What subprocess.Popen is to a process that was started, to one that was copied."""

    def __init__(self, interpreter: Interpreter, argv: Sequence[str], options: Mapping[str, Any]) -> None:
        """Copy this process, with a pipe for each of its streams."""
        pipes = [os.pipe() for _ in range(3)]
        theirs = [pipes[0][0], pipes[1][1], pipes[2][1]]
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        self.returncode: int | None = None
        self._waiting = threading.Lock()
        begun, closed_there = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                interpreter.become(argv, options, theirs)
            finally:
                os._exit(70)
        os.close(closed_there)
        os.read(begun, 1)  # as Popen does: from now on it hears signals, alone and as a group
        os.close(begun)
        for descriptor in theirs:
            os.close(descriptor)
        self.stdin = os.fdopen(pipes[0][1], "wb")
        self.stdout = os.fdopen(pipes[1][0], "rb")
        self.stderr = os.fdopen(pipes[2][0], "rb")

    def poll(self) -> int | None:
        """Return how it ended; None if it runs."""
        with suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Return how it ended.

        Raises:
            subprocess.TimeoutExpired: it still runs after these seconds.
        """
        with self._waiting:
            if self.returncode is None:
                if timeout is not None:
                    descriptor = os.pidfd_open(self.pid)
                    try:
                        if not select.select([descriptor], [], [], timeout)[0]:
                            raise subprocess.TimeoutExpired("a copied process", timeout)
                    finally:
                        os.close(descriptor)
                self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            return self.returncode


def copy_hosts(interpreter: Interpreter) -> None:
    """Let this process, and all that are forked from it, boot projects in copies of itself."""
    from dbmigrate.project import channel

    vars(channel)["subprocess"] = SimpleNamespace(
        Popen=interpreter.start, PIPE=subprocess.PIPE, TimeoutExpired=subprocess.TimeoutExpired
    )


def _open_stream(descriptor: int, mode: Literal["r", "w"]) -> Any:
    """Open a stream as the interpreter does where the variables are USUAL (create_stdio in Python/pylifecycle.c)."""
    raw = io.FileIO(descriptor, mode, closefd=False)
    raw.name = ("<stdin>", "<stdout>", "<stderr>")[descriptor]
    buffer: Any = io.BufferedReader(raw) if mode == "r" else raw
    stream: Any = io.TextIOWrapper(buffer, "utf-8", "backslashreplace", newline="\n", write_through=True)
    stream.mode = mode
    return stream


def _close_all_but(kept: set[int]) -> None:
    for descriptor in [int(entry.name) for entry in Path("/proc/self/fd").iterdir()]:
        if descriptor not in kept:
            with suppress(OSError):  # the one that listed them
                os.close(descriptor)


def _restore_signals() -> None:
    signal.set_wakeup_fd(-1)
    for one in signal.valid_signals():
        if callable(signal.getsignal(one)):
            signal.signal(one, signal.default_int_handler if one == signal.SIGINT else signal.SIG_DFL)
