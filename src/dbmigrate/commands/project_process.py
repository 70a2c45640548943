"""Commands of the project that write files: run with our terminal, and read for why they failed."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections import deque
from collections.abc import Generator, Sequence

from dbmigrate.commands.review import CommandContext
from dbmigrate.commands.written_migrations import is_as_before
from dbmigrate.errors import ModelChangesError, StepError
from dbmigrate.models.base import MESSAGE
from dbmigrate.models.events import CommandOutput, CommandStarted, Event
from dbmigrate.models.snapshot import Snapshot
from dbmigrate.planning.outcome import telling_line
from dbmigrate.planning.project_commands import named_make
from dbmigrate.running.process import read_while_running

MOST_LINES = 100
"""Of what a command printed: enough to find why it failed."""


def failure_of(
    work: CommandContext, words: Sequence[str], code: int, said: str, snapshot: Snapshot, unnamed: Sequence[str]
) -> StepError | ModelChangesError:
    """Return the error for a command that failed, and `said` why.

    `unnamed`: apps for which it was to write a migration without a name; a makemigrations of the project's own may
    insist on one, and writes nothing then.
    """
    message = f"{words[0]} failed (exit {code}): {shown(work, said)}"
    by_itself = f"see its output above; to run it directly: {shlex.join(work.target.command(*words))}"
    own = words[0] in snapshot.replaced_commands and "--name" in snapshot.commands[words[0]].words
    if own and unnamed and is_as_before(work, snapshot):
        return ModelChangesError(
            f"{message}; the command comes from {snapshot.commands[words[0]].module}",
            hint="see its output above; if it wants a name: " + "\n".join(named_make(label) for label in unnamed),
            changed=False,
        )
    return StepError(f"{message}; no database was touched", hint=by_itself)


def run_command(work: CommandContext, *words: str) -> Generator[Event, None, tuple[int, str]]:
    """Run a command of the project with our stdin; return its exit code, and of what it printed the line that says why.

    What it says is progress and goes to our stderr.
    """
    command = work.target.command(*words)
    yield CommandStarted(command=command)
    code, lines = _attach(command, work) if work.has_streams else (yield from _run_apart(command, work))
    return code, telling_line(lines)


def shown(work: CommandContext, said: str) -> str:
    """Return what a command said, without secrets and short enough for a message."""
    return MESSAGE.shorten(work.host.redactor.scrub(said))


def _attach(command: Sequence[str], work: CommandContext) -> tuple[int, Sequence[str]]:
    """Run a command on our terminal; return its code and its last lines.

    What it prints is passed on without secrets as soon as a line is whole, or looks like a question. Only the stdout of
    one that has a terminal is its own: it asks there.
    """
    lines: deque[str] = deque(maxlen=MOST_LINES)
    rest, asked = b"", b""
    environment = {**work.environment, "PYTHONIOENCODING": ":backslashreplace"}  # the terminal's own encoding
    with subprocess.Popen(
        command,
        cwd=work.target.cwd,
        env=environment,
        stdout=2 if os.isatty(2) else subprocess.PIPE,
        stderr=subprocess.PIPE if os.isatty(2) else subprocess.STDOUT,
    ) as process:
        pipe = process.stderr or process.stdout
        assert pipe is not None
        for part in read_while_running(process, pipe):
            *whole, rest = (rest + part).split(b"\n")
            for line in whole:
                lines.append(line.decode(errors="replace"))
                _pass_on(work, line.removeprefix(asked) + b"\n")
                asked = b""
            if rest.endswith(b" ") and not part:
                _pass_on(work, rest.removeprefix(asked))
                asked = rest
    if rest:
        lines.append(rest.decode(errors="replace"))
        _pass_on(work, rest.removeprefix(asked))
    return process.returncode, [*lines]


def _pass_on(work: CommandContext, written: bytes) -> None:
    os.write(2, work.host.redactor.scrub(written.decode(errors="surrogateescape")).encode(errors="surrogateescape"))


def _run_apart(command: Sequence[str], work: CommandContext) -> Generator[Event, None, tuple[int, Sequence[str]]]:
    """Run a command whose output comes as events; return its code and its last lines."""
    lines: deque[str] = deque(maxlen=MOST_LINES)

    def take(line: bytes) -> CommandOutput:
        lines.append(line.decode(errors="replace").rstrip("\r"))
        return CommandOutput(text=lines[-1])

    rest = b""
    with subprocess.Popen(
        command,
        cwd=work.target.cwd,
        env=dict(work.environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        assert process.stdout is not None
        for part in read_while_running(process, process.stdout):
            *whole, rest = (rest + part).split(b"\n")
            for line in whole:
                yield take(line)
    if rest:
        yield take(rest)
    return process.returncode, [*lines]
