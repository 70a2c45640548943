"""Text that an encoding has no place for, as a file name of other bytes than UTF-8: it is written as an escape."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal, TextIO

ESCAPED = "backslashreplace"
"""How Python calls it."""


def encodable(text: str) -> str:
    """Return the text as UTF-8 can hold it."""
    return text.encode("utf-8", ESCAPED).decode()


def open_report(file: Path, mode: Literal["w", "a"]) -> TextIO:
    """Open a file for a report in addition to the streams.

    Raises:
        OSError: it cannot be written; a named pipe that nobody reads is not waited for.
    """
    return open(file, mode, encoding="utf-8", errors=ESCAPED, opener=_open_at_once)


def _open_at_once(name: str, flags: int) -> int:
    descriptor = os.open(name, flags | os.O_NONBLOCK, 0o666)
    os.set_blocking(descriptor, True)
    return descriptor
