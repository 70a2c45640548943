"""Files that a report is written to in addition to the streams; a named pipe may be among them."""

from __future__ import annotations

import errno
import os
import select
from pathlib import Path
from typing import Literal

from dbmigrate.renderers.encoding import ESCAPED

READ_SECONDS = 2.0
"""How long the reader of a named pipe may take nothing."""

_FLAGS = {"w": os.O_WRONLY | os.O_CREAT | os.O_TRUNC, "a": os.O_WRONLY | os.O_CREAT | os.O_APPEND}


def write_report(file: Path, mode: Literal["w", "a"], text: str) -> None:
    """Write a report in place of what a file holds ("w"), or behind it ("a").

    Raises:
        OSError: it cannot be written; a named pipe that nobody opens, or reads, is not waited for.
    """
    descriptor = os.open(file, _FLAGS[mode] | os.O_NONBLOCK, 0o666)
    try:
        left = text.encode("utf-8", ESCAPED)
        while left:
            try:
                left = left[os.write(descriptor, left) :]
            except BlockingIOError:
                if not select.select([], [descriptor], [], READ_SECONDS)[1]:
                    raise TimeoutError(errno.ETIMEDOUT, "nobody reads it", str(file)) from None
    finally:
        os.close(descriptor)
