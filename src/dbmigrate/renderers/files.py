"""Files that a report is written to in addition to the streams; a named pipe may be among them."""

from __future__ import annotations

import errno
import os
import secrets
import select
import stat
from contextlib import suppress
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


def check_replaceable(file: Path) -> None:
    """Do nothing if `replace_file` can be expected to write this file.

    Raises:
        OSError: it cannot: it is a directory, a link, no regular file, or it or its folder cannot be written.
    """
    if _find_replaced(file) is not None and not os.access(file, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(file))
    descriptor, temporary = _open_next_to(file)
    os.close(descriptor)
    temporary.unlink()


def replace_file(file: Path, text: str) -> None:
    """Write a file whole or not at all: a new one takes the place of the old one once it is on the disk.

    Raises:
        OSError: it cannot be written; what was there is as it was.
    """
    before = _find_replaced(file)
    descriptor, temporary = _open_next_to(file)
    try:
        with os.fdopen(descriptor, "wb") as new:
            if before is not None:
                with suppress(OSError):  # the file is another user's
                    os.fchmod(descriptor, stat.S_IMODE(before.st_mode))
            new.write(text.encode("utf-8", ESCAPED))
            new.flush()
            os.fsync(descriptor)
        temporary.replace(file)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    with suppress(OSError):  # the file is there; not every file system can do this
        _sync_folder(file.parent)


def _find_replaced(file: Path) -> os.stat_result | None:
    """Return what is known of the file that would be replaced; None if there is none.

    A link is not followed, as somebody else may have made it, and not replaced, as somebody may need it.
    """
    try:
        status = file.lstat()
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(file))
    if stat.S_ISLNK(status.st_mode):
        raise OSError(errno.ELOOP, "it is a symbolic link", str(file))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file", str(file))
    return status


def _open_next_to(file: Path) -> tuple[int, Path]:
    temporary = file.with_name(f".dbmigrate-{secrets.token_hex(8)}.tmp")
    return os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), temporary


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
