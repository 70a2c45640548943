"""Work something out in a copy of this process while this one does something else."""

import json
import os
import select
import signal
import sys
import time

from . import step

COPY_SECONDS = 30.0
"""A copy that has said nothing so long after its answer was wanted is given up: it may wait for ever for some lock."""


class Aside:
    """A piece of work, begun in a copy, whose answer JSON has to be able to say.

    Where no copy can be made, or it does not come to an end, the work is done here when its answer is wanted. So what
    it raises is raised here.
    """

    def __init__(self, work):
        """Begin."""
        self._work = work
        self._copy = _begin(work)

    def answer(self):
        """Return the answer once it is there; to be called once."""
        if self._copy is None:
            return self._work()
        try:
            return json.loads(_read(self._copy[1]).decode())
        except ValueError:  # it raised, was killed, or hangs
            return self._work()
        finally:
            self.give_up()

    def give_up(self):
        """End the copy, if there is one."""
        if self._copy is None:
            return
        pid, readable = self._copy
        self._copy = None
        os.close(readable)
        step.end(pid)


def _begin(work):
    """Return (process id, descriptor its answer comes from); None where the system has no room for it."""
    try:
        readable, writable = os.pipe()
    except OSError:
        return None
    sys.stdout.flush()
    sys.stderr.flush()
    own = os.getpid()
    try:
        pid = os.fork()
    except OSError:
        os.close(readable)
        os.close(writable)
        return None
    if pid:
        os.close(writable)
        return pid, readable
    try:
        step.end_with(own, signal.SIGKILL)
        with os.fdopen(writable, "wb") as pipe:
            pipe.write(json.dumps(work()).encode())
    finally:
        os._exit(0)  # no exit handler, and no goodbye on a connection that is not its own


def _read(readable):
    """Return what comes until the end, or until the copy has been silent for too long."""
    deadline = time.monotonic() + COPY_SECONDS
    text = b""
    while select.select([readable], [], [], max(0.0, deadline - time.monotonic()))[0]:
        chunk = os.read(readable, 65536)
        text += chunk
        if not chunk:
            break
    return text
