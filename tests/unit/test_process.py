"""Real children: both pipes, unfinished lines, groups, drains; and the fake against the real thing."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from queue import SimpleQueue

import pytest
from support.children import FakeLauncher, Script

from dbmigrate.running.process import (
    MAX_LINE_LENGTH,
    ChildEnded,
    ChildMessage,
    ChildOutput,
    ChildRequest,
    Launcher,
    RunningChild,
    SpawnLauncher,
    child_environment,
)


def start(code: str, tmp_path: Path, first_line: str | None = None) -> tuple[RunningChild, SimpleQueue[ChildMessage]]:
    outbox: SimpleQueue[ChildMessage] = SimpleQueue()
    environment = child_environment(os.environ, settings=None)
    request = ChildRequest("key", (sys.executable, "-c", code), tmp_path, environment, first_line)
    return SpawnLauncher().start(request, outbox), outbox


def until_end(outbox: SimpleQueue[ChildMessage]) -> list[ChildMessage]:
    messages: list[ChildMessage] = []
    while not (messages and isinstance(messages[-1], ChildEnded)):
        messages.append(outbox.get(timeout=30))
    return messages


def lines(messages: list[ChildMessage], stream: str) -> list[str]:
    return [
        message.text
        for message in messages
        if isinstance(message, ChildOutput) and message.stream == stream and message.is_complete
    ]


def test_more_than_a_pipe_holds_on_both_streams_at_once(tmp_path: Path) -> None:
    code = "import sys\nfor n in range(20000):\n    print('o' * 9)\n    print('e' * 9, file=sys.stderr)"
    _, outbox = start(code, tmp_path)

    messages = until_end(outbox)

    assert (len(lines(messages, "stdout")), len(lines(messages, "stderr"))) == (20000, 20000)
    assert messages[-1] == ChildEnded("key", 0)


def test_an_unfinished_line_is_reported_before_it_ends(tmp_path: Path) -> None:
    go = tmp_path / "go"
    wait = f"while not os.path.exists({str(go)!r}): time.sleep(0.01)"
    code = f"import os, time\nprint('Applying x...', end='')\n{wait}\nprint(' OK')"
    _, outbox = start(code, tmp_path)

    first = outbox.get(timeout=30)
    go.touch()

    assert first == ChildOutput("key", "stdout", "Applying x...", is_complete=False)
    assert lines(until_end(outbox), "stdout") == ["Applying x... OK"]


def test_a_grandchild_that_holds_the_pipe_does_not_keep_the_step_open(tmp_path: Path) -> None:
    code = "import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])"
    child, outbox = start(code, tmp_path)
    began = time.monotonic()

    until_end(outbox)

    assert time.monotonic() - began < 30
    child.send_signal(signal.SIGKILL)


def test_bytes_that_are_no_text_and_lines_without_end_are_bounded(tmp_path: Path) -> None:
    code = "import os\nos.write(1, b'\\xff\\xfe bad\\n' + b'x' * 10_000_000 + b'\\nshort\\r\\nbar 1\\rbar 2\\n')"
    _, outbox = start(code, tmp_path)

    got = lines(until_end(outbox), "stdout")

    assert got[0] == "\ufffd\ufffd bad"
    assert all(len(line) < MAX_LINE_LENGTH + 100 for line in got)
    assert got[-2:] == ["short", "bar 2"]


def test_a_child_has_an_empty_stdin_and_a_session_of_its_own(tmp_path: Path) -> None:
    _, outbox = start("import os, sys\nprint(repr(sys.stdin.read()), os.getsid(0) == os.getpid())", tmp_path)

    assert lines(until_end(outbox), "stdout") == ["'' True"]


def test_a_first_line_reaches_the_child(tmp_path: Path) -> None:
    _, outbox = start("import sys\nprint(sys.stdin.read())", tmp_path, first_line='{"a": 1}')

    assert lines(until_end(outbox), "stdout")[0] == '{"a": 1}'


@pytest.mark.parametrize("kind", ["real", "fake"])
def test_a_signal_ends_a_child_and_its_number_is_the_code(kind: str, tmp_path: Path) -> None:
    outbox: SimpleQueue[ChildMessage] = SimpleQueue()
    script = Script(lines=("ready",), ends_on=signal.SIGTERM)
    launcher: Launcher = SpawnLauncher() if kind == "real" else FakeLauncher({"key": script})
    argv = (sys.executable, "-c", "import sys, time\nsys.stdout.write('ready\\n')\ntime.sleep(60)")
    child = launcher.start(ChildRequest("key", argv, tmp_path, child_environment(os.environ, settings=None)), outbox)

    first = outbox.get(timeout=30)
    child.send_signal(signal.SIGTERM)

    assert first == ChildOutput("key", "stdout", "ready", is_complete=True)
    assert until_end(outbox)[-1] == ChildEnded("key", -signal.SIGTERM)
    child.send_signal(signal.SIGTERM)  # harmless when it has ended


@pytest.mark.parametrize("kind", ["real", "fake"])
def test_a_program_that_is_not_there_raises_and_says_nothing(kind: str, tmp_path: Path) -> None:
    outbox: SimpleQueue[ChildMessage] = SimpleQueue()
    launcher: Launcher = SpawnLauncher() if kind == "real" else FakeLauncher({"key": Script(cannot_start="gone")})

    with pytest.raises(OSError, match=r".*"):
        launcher.start(ChildRequest("key", ("/no/such/python",), tmp_path, {}), outbox)

    assert outbox.empty()


@pytest.mark.parametrize("kind", ["real", "fake"])
def test_a_child_that_fails_reports_its_lines_and_then_its_code(kind: str, tmp_path: Path) -> None:
    outbox: SimpleQueue[ChildMessage] = SimpleQueue()
    launcher: Launcher = (
        SpawnLauncher() if kind == "real" else FakeLauncher({"key": Script(lines=("one", "two"), code=3)})
    )
    argv = (sys.executable, "-c", "import sys\nprint('one\\ntwo')\nsys.exit(3)")
    launcher.start(ChildRequest("key", argv, tmp_path, child_environment(os.environ, settings=None)), outbox)

    messages = until_end(outbox)

    assert lines(messages, "stdout") == ["one", "two"]
    assert messages[-1] == ChildEnded("key", 3)
