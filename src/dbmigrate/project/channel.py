"""The process that has booted the project: requests go to it and replies come back, each with the request's number.

Standard library at import time: the process is started first, and pydantic is loaded while the project boots.
"""

from __future__ import annotations

import errno
import json
import math
import os
import select
import signal
import socket
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NoReturn

from dbmigrate.errors import ProjectError
from dbmigrate.models.target import Target
from dbmigrate.redact import Redactor
from dbmigrate.system import CHUNK_BYTES, MORE_FILES, MORE_PROCESSES, start_thread

if TYPE_CHECKING:
    from dbmigrate.inside.protocol import Question, Request, Start

ENTRY = Path(__file__).parents[1] / "inside" / "__main__.py"

ANSWER_SECONDS = 600.0
"""How long one answer may take; the first includes the boot of the project."""

SLICE_SECONDS = 0.2
"""A signal in the moment before a wait begins does not end the wait: it is heard when the next one begins."""

STDERR_LINES = 60
"""Lines the project printed that are kept for the case that it dies without an answer."""

END_SECONDS = 2.5
"""The process ends itself after 2 s (inside/boot.py); this is for one that cannot."""

_ROOM = {errno.EAGAIN: MORE_PROCESSES, errno.EMFILE: MORE_FILES, errno.ENFILE: MORE_FILES}

Reply = dict[str, Any]
"""{"number", "ok", "result"}, or {"number", "ok", "error"} (inside/protocol.py)."""


class PendingReply:
    """What the process was asked, or is about to be: its answer comes when it has answered all questions before."""

    def __init__(self, channel: Channel, number: int) -> None:
        """Stand for the request of this number."""
        self._channel = channel
        self._number = number

    @property
    def is_answered(self) -> bool:
        """Whether `answer` returns at once; looking takes no time."""
        return self._channel.has_reply(self._number)

    def is_answered_within(self, seconds: float) -> bool:
        """Return whether the answer comes in this time; one that does not may still come."""
        return self._channel.has_reply_within(self._number, seconds)

    def answer(self, seconds: float = ANSWER_SECONDS) -> object:
        """Wait for the answer and return it, once.

        A wait that ends without it, by the time or by a signal, gives the process up, or only the question
        (`Channel.is_kept`).

        Raises:
            ProjectError: the process has ended, or does not answer within these seconds.
            DbmigrateError: what the process reports as wrong.
        """
        return self._channel.wait(self._number, seconds)


class Channel:
    """One process in the target's interpreter, and what goes to it and comes back."""

    def __init__(self, target: Target, environment: Mapping[str, str], start: Start, redactor: Redactor) -> None:
        """Start the process, with what it has to know for its boot; its reply is the answer of `booted`.

        `redactor` learns what the process knows of secrets when something went wrong.

        Raises:
            ProjectError: the interpreter cannot be started.
        """
        self._target = target
        self._redactor = redactor
        self.ask_until: Callable[[], float] = lambda: math.inf
        """When a question is given up although its own time is not over: a signal has come."""
        self.is_kept: Callable[[], bool] = lambda: False
        """Whether the process outlives a question that is given up: its copies and its locks end with it."""
        self._abandoned: set[int] = set()
        self._has_answered = False
        self._is_given_up = False
        self._has_had_its_time = False
        self._has_died = False
        self._unsent = b""
        self._rest = b""
        self._last = 0
        self._has_ended = False
        self._replies: dict[int, Reply] = {}
        self._printed: deque[str] = deque(maxlen=STDERR_LINES)
        pair: list[socket.socket] = []
        try:
            pair += socket.socketpair()
            self._handover, theirs = pair
            self._process = subprocess.Popen(
                [target.python, str(ENTRY), "host", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                cwd=target.cwd,
                env=dict(environment),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            for one in pair:
                one.close()
            reason = target.choices["python"].reason
            raise ProjectError(
                f"the project's interpreter {target.python} did not start ({error.strerror})",
                hint=_ROOM.get(
                    error.errno or 0,
                    f"pass --python PATH, or set python under [tool.dbmigrate]; it was taken from {reason}",
                ),
            ) from error
        theirs.close()
        assert self._process.stdin is not None
        assert self._process.stderr is not None
        os.set_blocking(self._process.stdin.fileno(), False)
        self._reader = threading.Thread(target=self._drain, args=(self._process.stderr,), daemon=True)
        try:
            start_thread(self._reader)
        except OSError as error:
            self._signal(signal.SIGKILL)
            self._process.wait()
            raise ProjectError(f"dbmigrate cannot start: {error.strerror}", hint=MORE_PROCESSES) from error
        self._send(start)

    @property
    def booted(self) -> PendingReply:
        """The question that a process answers first."""
        return PendingReply(self, 0)

    @property
    def is_given_up(self) -> bool:
        """Whether a wait for an answer has ended without it: nothing more is asked, the process only comes to its end.

        It may be busy with that question for as long as a server is silent.
        """
        return self._is_given_up

    @property
    def is_busy(self) -> bool:
        """Whether the process is still at work on a question that was given up."""
        while self._abandoned and not self._has_ended and self._exchange(0):
            pass
        return bool(self._abandoned) and not self._has_ended

    def ask(
        self,
        question: Question,
        arguments: Mapping[str, object],
        silence_seconds: float,
        servers_seconds: float | None = None,
    ) -> PendingReply:
        """Send a question, and wait for nothing.

        `silence_seconds`: how long a database's server may say nothing, whatever it is asked for the answer.
        `servers_seconds`: how long servers may take together, for all they are asked; None is as long as they need.

        Raises:
            ProjectError: the process was given up.
        """
        if self._is_given_up:
            fate = "has ended before" if self._has_died else "was stopped: it did not answer in time"
            raise ProjectError(
                f"the process that had booted the project {fate}",
                hint=f"to test the project directly: {' '.join(self._target.command('check'))}",
            )
        self._last += 1
        request: Request = {
            "number": self._last,
            "question": question,
            "arguments": dict(arguments),
            "silence_seconds": silence_seconds,
            "servers_seconds": servers_seconds,
        }
        self._send(request)
        return PendingReply(self, self._last)

    def send_files(self, descriptors: Sequence[int]) -> None:
        """Hand open files over, for the question that is asked next."""
        try:
            socket.send_fds(self._handover, [b"."], list(descriptors))
        except (BrokenPipeError, ConnectionResetError):
            pass  # it has ended; how, comes instead of the answer

    def has_reply(self, number: int) -> bool:
        """Return whether the reply to a request is there, or never comes; do not wait."""
        while number not in self._replies and not self._has_ended:
            if not self._exchange(0):
                return False
        return True

    def has_reply_within(self, number: int, seconds: float) -> bool:
        """Return whether the reply to a request comes, or it is certain that it never does, within this time."""
        deadline = time.monotonic() + seconds
        while not self.has_reply(number):
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            self._exchange(min(left, SLICE_SECONDS))
        return True

    def wait(self, number: int, seconds: float) -> object:
        """Do what Question.answer says."""
        try:
            reply = self._wait(number, seconds)
        except ProjectError:
            if self._has_ended or not self.is_kept():
                self._has_died = self._has_ended
                self.give_up()
            else:
                self._abandoned.add(number)
            raise
        except BaseException:
            self.give_up()
            raise
        self._has_answered = True
        if not reply["ok"]:
            from dbmigrate.project.failures import explain  # only what went wrong needs it

            raise explain(reply["error"], self._target, self._redactor, "\n".join(self._printed))
        answer: object = reply["result"]
        return answer

    def give_up(self) -> None:
        """Let the process come to its end when it has done what it is busy with; `close` ends it."""
        self._is_given_up = True
        self._unsent = b""
        self._close_stdin()

    def close(self) -> None:
        """End the process: manage.py comes to its end when its questions end, and is killed where it does not.

        A signal while it is waited for kills it too.
        """
        self._is_given_up = self._has_ended = True
        self._close_stdin()
        assert self._process.stdout is not None
        self._process.stdout.close()
        try:
            self._end(END_SECONDS if self._has_answered and not self._has_had_its_time else 0)
        finally:
            self._signal(signal.SIGTERM)  # what manage.py has started, and would have ended behind its command
            self._reader.join(timeout=1)
            self._handover.close()

    def _wait(self, number: int, seconds: float) -> Reply:
        deadline = time.monotonic() + seconds
        while not self.has_reply(number):
            if time.monotonic() >= min(deadline, self.ask_until()):
                self._has_had_its_time = not self.is_kept()
                raise self._silent(seconds if time.monotonic() >= deadline else None)
            self._exchange(SLICE_SECONDS)
        if number not in self._replies:
            self._raise_without_answer()
        return self._replies.pop(number)

    def _silent(self, seconds: float | None) -> ProjectError:
        """Return the error for a question that took longer than these seconds; None: than a signal leaves it."""
        within = "in time after the signal" if seconds is None else f"within {seconds:.0f} s"
        return ProjectError(
            f"the project did not answer {within} (interpreter {self._target.python})",
            hint="check what its settings or a database connection wait for; -v shows the last lines it printed",
            detail="\n".join(self._printed),
        )

    def _send(self, request: Mapping[str, object]) -> None:
        self._unsent += json.dumps(request).encode() + b"\n"
        self._exchange(0)

    def _exchange(self, seconds: float) -> bool:
        """Write what is to be sent and read what has come, whichever is possible first; return whether any was.

        Neither may hold the other up: a pipe holds 64 kB, and the process may be stopped.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        stdin, stdout = self._process.stdin.fileno(), self._process.stdout.fileno()
        readable, writable, _ = select.select([stdout], [stdin] if self._unsent else [], [], seconds)
        if writable:
            try:
                self._unsent = self._unsent[os.write(stdin, self._unsent) :]
            except BrokenPipeError:
                self._unsent = b""  # it has ended; what it said, or its exit status, comes with the answer
        if readable:
            self._take(os.read(stdout, CHUNK_BYTES))
        return bool(readable or writable)

    def _take(self, chunk: bytes) -> None:
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        self._has_ended = self._has_ended or not chunk
        for line in lines:
            reply = _read(line)
            if reply is None:  # not ours: it is not the process that was to be started
                self._has_ended = True
                return
            if reply["number"] in self._abandoned:
                self._abandoned.remove(reply["number"])
            else:
                self._replies[reply["number"]] = reply

    def _close_stdin(self) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
        except BrokenPipeError:
            pass

    def _end(self, seconds: float) -> int:
        """Wait for the end of the process, kill it where it does not come, or where a signal comes first."""
        try:
            self._process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            pass
        finally:
            if self._process.poll() is None:
                self._signal(signal.SIGKILL)
        return self._process.wait()

    def _raise_without_answer(self) -> NoReturn:
        self._close_stdin()
        code = self._end(END_SECONDS)
        self._reader.join(timeout=1)
        how = f"by signal {-code}" if code < 0 else f"with exit status {code}"
        last = next((line for line in reversed(self._printed) if line.strip()), "it printed nothing")
        raise ProjectError(
            f"the project's interpreter {self._target.python} ended {how}: {last.strip()}",
            hint=f"to run it directly: {' '.join(self._target.command('check'))}",
            detail="\n".join(self._printed),
        )

    def _drain(self, pipe: IO[bytes]) -> None:
        # Whatever the project logs is read at once: a full pipe would stop its boot.
        is_whole = True
        with pipe:
            for line in iter(lambda: pipe.readline(CHUNK_BYTES), b""):
                if is_whole:  # the end of a longer line is not kept: cut in two, a secret would not be found in it
                    self._printed.append(line.decode("utf-8", errors="replace").rstrip())
                is_whole = line.endswith(b"\n")

    def _signal(self, signum: int) -> None:
        try:
            os.killpg(self._process.pid, signum)
        except (ProcessLookupError, PermissionError):
            pass


def _read(line: bytes) -> Reply | None:
    """Return the reply in a line; None if it is none."""
    try:
        reply = json.loads(line)
    except ValueError:
        return None
    is_reply = isinstance(reply, dict) and isinstance(reply.get("number"), int)
    return reply if is_reply and ("result" in reply if reply.get("ok") else "error" in reply) else None
