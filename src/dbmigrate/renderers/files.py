"""Files that a report is written to in addition to the streams."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal, TextIO


def open_report(file: Path, mode: Literal["w", "a"]) -> TextIO:
    """Open a file for text of every kind; what UTF-8 has no place for is written as an escape.

    Raises:
        OSError: it cannot be written; a named pipe that nobody reads is not waited for.
    """
    return open(file, mode, encoding="utf-8", errors="backslashreplace", opener=_open_at_once)


def _open_at_once(name: str, flags: int) -> int:
    descriptor = os.open(name, flags | os.O_NONBLOCK, 0o666)
    os.set_blocking(descriptor, True)
    return descriptor
