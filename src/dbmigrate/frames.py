"""The frames of a traceback that a child printed: which of them are the project's own."""

from __future__ import annotations

import os
import re
from collections import deque

FRAME_PATH = re.compile(r' +File "(?P<file>[^"\n]+)", line (?P<line>\d+)')
FRAME = re.compile(FRAME_PATH.pattern + r", in (?P<name>\S+)$")

_FOREIGN = (
    "site-packages",
    "dist-packages",
    "<",
    f"{os.sep}lib{os.sep}python",
    f"dbmigrate{os.sep}inside",
    "manage.py",
)
"""In paths of frames that are not what a person has written: packages, the standard library, ours, manage.py."""


def is_frame(line: str) -> bool:
    """Return whether a line of a traceback names a frame."""
    return FRAME.match(line) is not None


def is_foreign_frame(line: str) -> bool:
    """Return whether the frame that a line names is not of the project's own code."""
    frame = FRAME.match(line)
    if frame is None or not frame["file"].endswith(".py"):  # a script of an interpreter's bin has no suffix
        return True
    return any(word in frame["file"] for word in _FOREIGN)


BEGIN = "Traceback (most recent call last):"
CONNECTORS = (
    "The above exception was the direct cause of the following exception:",
    "During handling of the above exception, another exception occurred:",
)
"""What Python prints between the tracebacks of exceptions that came of each other (traceback.py)."""

MOST_CAUSES = 20
"""Of one traceback; those before are dropped."""


class Chain:
    """Reads the lines of a stream: the exceptions of the last traceback, each that came of another behind that one."""

    def __init__(self) -> None:
        """Begin with none."""
        self.causes: deque[str] = deque(maxlen=MOST_CAUSES)
        """The line of each exception, for example "django.db.utils.OperationalError: database or disk is full"."""
        self._is_connected = False
        self._is_below_frames = False

    def take(self, line: str) -> None:
        """Read the next line."""
        if line == BEGIN:
            if not self._is_connected:
                self.causes.clear()
            self._is_connected, self._is_below_frames = False, True
        elif line in CONNECTORS:
            self._is_connected = True
        elif self._is_below_frames and line.strip() and not line.startswith(" "):
            self.causes.append(line)
            self._is_below_frames = False
