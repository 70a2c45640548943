"""The words that others see of a process (`ps`), for one that was forked from a process with other words."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path

ROOM = " " * 4096
"""One more word of the process that is forked, in whose place there is room for others."""


def show_words(words: Sequence[str]) -> None:
    """Write the words of this process where the kernel reads them (arg_start and arg_end, proc_pid_stat(5))."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    start, end = int(fields[45]), int(fields[46])
    text = "\0".join(words).encode() + b"\0"
    ctypes.memmove(start, text[: end - start - 1].ljust(end - start, b"\0"), end - start)
