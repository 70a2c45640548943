"""What the operating system refuses, as the error a person sees.

Standard library only: it is needed where nothing else can be loaded.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from dbmigrate.errors import LostAnswer, ProjectError

MORE_PROCESSES = "raise the number of processes and threads that this user may have: ulimit -u"
MORE_FILES = "raise the number of open files: ulimit -n 1024"
"""The hints where the system refuses one."""

_MORE_ROOM = "free space on that disk (df -h), or raise the quota of this user"
_RIGHTS = "run dbmigrate as a user who may read it and enter every folder above it"

_HINTS = {
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
    errno.EAGAIN: MORE_PROCESSES,
    errno.EMFILE: MORE_FILES,
    errno.ENFILE: MORE_FILES,
    errno.ENOMEM: "give the process more memory",
    errno.ENOSPC: _MORE_ROOM,
    errno.EDQUOT: _MORE_ROOM,
    errno.ENAMETOOLONG: "give a shorter path",
    errno.ELOOP: "fix the symbolic link there: it points back to itself",
    errno.ENOENT: "find out what removed it, then rerun the command",
}


CHUNK_BYTES = 65536
"""Read from a pipe at once."""


def hint_for(error: OSError) -> str:
    """Return what to do about what the system refuses."""
    return _HINTS.get(error.errno or 0, "find out what is wrong with it, then rerun the command")


def refused(error: OSError) -> ProjectError:
    """Return the error for what the system refused; nothing was done yet."""
    said = error.strerror or str(error) or type(error).__name__
    name = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes | os.PathLike) else ""
    return ProjectError(
        f"{shortened(name)} cannot be used: {said}" if name else f"the system refused what dbmigrate needs: {said}",
        hint=hint_for(error),
    )


@contextmanager
def looking() -> Iterator[None]:
    """Turn what the system refuses while files are looked for into the error a person sees."""
    try:
        yield
    except OSError as error:
        raise refused(error) from error


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EPIPE)
"""What the system says of a write, without the name of a file where it is a stream."""


def is_of_stream(error: OSError) -> bool:
    """Return whether this was raised by writing to a stream that was opened by somebody else."""
    return error.errno in _FULL and error.filename is None


def lost_answer(error: OSError) -> LostAnswer | None:
    """Return the error for an answer that standard output did not take; None where its reader has read enough."""
    if error.errno == errno.EPIPE:  # `| head -1` has what it wanted
        return None
    return LostAnswer(
        f"the answer cannot be written to standard output: {error.strerror}",
        hint=_HINTS.get(error.errno or 0, "redirect standard output to a file, a pipe or a terminal that accepts it"),
    )


MOST_SHOWN = 400
"""Characters of what somebody typed that are shown again."""


def shortened(text: str) -> str:
    """Return what somebody typed as it is shown in a sentence: in one line, and without its middle if it is long."""
    line = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)
    return line if len(line) <= MOST_SHOWN else f"{line[: MOST_SHOWN // 2]} … {line[-MOST_SHOWN // 2 :]}"


def start_thread(thread: threading.Thread) -> None:
    """Start a thread.

    Raises:
        OSError: the system gives none.
    """
    try:
        thread.start()
    except RuntimeError as error:
        raise OSError(errno.EAGAIN, "the system refused another thread") from error
