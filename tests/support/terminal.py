"""A real terminal: keys go in, the screen comes out as a person sees it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import termios
import time
from collections.abc import Callable, Mapping
from typing import Any

import pexpect.fdpexpect
import pyte

from support.cli import launch
from support.projects import Project

PATIENCE_SECONDS = 60

KEY_SECONDS = 0.05
"""Before each key, as before pexpect's own: what comes while one question gives way to the next is lost."""

UP, DOWN, ENTER, ESCAPE, CONTROL_C, CONTROL_D = "\x1b[A", "\x1b[B", "\r", "\x1b", "\x03", "\x04"


class Terminal:
    """One command on a terminal of a given size."""

    def __init__(
        self,
        project: Project,
        *arguments: str,
        columns: int = 90,
        rows: int = 40,
        environment: Mapping[str, str] | None = None,
        keeps_frames: bool = False,
    ) -> None:
        """Start the command; with `keeps_frames` each screen that there was is kept, which takes long."""
        self._screen = pyte.HistoryScreen(columns, rows, history=1000)
        self._stream = pyte.Stream(self._screen)
        self.frames: list[list[str]] = []
        self._keeps_frames = keeps_frames
        self.sent = ""
        """Everything that came, escape sequences and all."""
        own, its = os.openpty()
        _set_size(its, columns, rows)
        self._process = launch(
            *arguments,
            cwd=project.root,
            environment={"TERM": "xterm-256color", "PROMPT_TOOLKIT_NO_CPR": "1", **(environment or {})},
            descriptors=(its, its, its),
        )
        os.close(its)
        self._child: Any = pexpect.fdpexpect.fdspawn(own, encoding="utf-8")

    def __del__(self) -> None:
        """End a command that nobody waited for."""
        if hasattr(self, "_child"):
            self._child.close()
            if self._process.poll() is None:
                self._process.kill()
                self._process.wait()

    def screen(self) -> list[str]:
        """Return the lines that are on the screen, without those at the end that are empty."""
        lines = [line.rstrip() for line in self._screen.display]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    def scrollback(self) -> list[str]:
        """Return the lines that have left the screen at its top, and those on it."""
        above = [
            "".join(line[column].data for column in range(self._screen.columns)).rstrip()
            for line in self._screen.history.top
        ]
        return above + self.screen()

    def press(self, *keys: str) -> None:
        """Send keys."""
        for key in keys:
            time.sleep(KEY_SECONDS)
            self._child.send(key)

    def resize(self, columns: int, rows: int) -> None:
        """Change the size of the terminal."""
        _set_size(self._child.fileno(), columns, rows)
        self._screen.resize(rows, columns)

    def wait_for(self, text: str) -> list[str]:
        """Return the screen once this text is on it and nothing more comes."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            if not self._read() and any(text in line for line in self.screen()):
                return self.screen()
        raise AssertionError(f"{text!r} did not come; the screen is:\n" + "\n".join(self.screen()))

    def see(self, text: str) -> list[str]:
        """Return the screen as soon as this text is on it: one that is drawn again and again never rests."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            self._read()
            if any(text in line for line in self.screen()):
                return self.screen()
        raise AssertionError(f"{text!r} did not come; the screen is:\n" + "\n".join(self.screen()))

    def wait_until(self, holds: Callable[[], bool]) -> None:
        """Read on until a condition outside of the terminal holds."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not holds():
            assert time.monotonic() < deadline, "\n".join(self.screen())
            self._read()

    def wait_for_end(self) -> int:
        """Return the exit code once the command has ended."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self._process.poll() is None or self._read():
            assert time.monotonic() < deadline, "\n".join(self.screen())
            self._read()
        self._child.close()
        return self._process.wait()

    def _read(self) -> bool:
        """Take what came within a moment; return whether something did."""
        with contextlib.suppress(pexpect.TIMEOUT, pexpect.EOF):
            text = self._child.read_nonblocking(65536, timeout=0.15)
            self.sent += text
            # pyte drops what follows a variation selector ("🗄️").
            self._stream.feed(text.replace("\ufe0f", ""))
            if self._keeps_frames:
                self.frames.append(self.screen())
            return True
        return False


def _set_size(terminal: int, columns: int, rows: int) -> None:
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
