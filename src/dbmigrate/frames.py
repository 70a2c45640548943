"""The frames of a traceback that a child printed: which of them are the project's own."""

from __future__ import annotations

import os
import re

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
