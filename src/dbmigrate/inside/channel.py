"""The private channel: requests come in on what was stdin, replies go out on what was stdout.

A project may print whatever it likes while it is imported. So the two descriptors are moved away first: afterwards
descriptor 0 is empty and descriptor 1 is stderr.
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .protocol import FailureKind


class Channel:
    """JSON lines in both directions; one reply for each request, with its number.

    The first line is how to boot, and its number 0.
    """

    def __init__(self):
        """Take stdin and stdout away from the project."""
        sys.stdout.flush()
        self._requests = os.fdopen(os.dup(0), "r", encoding="utf-8")
        self._replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
        empty = os.open(os.devnull, os.O_RDONLY)
        os.dup2(empty, 0)
        os.close(empty)
        os.dup2(2, 1)
        self._number = 0

    def receive(self) -> Any:
        """Return the next request, or None when the other side has gone."""
        line = self._requests.readline()
        request = json.loads(line) if line else None
        if request is not None:
            self._number = request.get("number", 0)
        return request

    def reply(self, result: object) -> None:
        """Answer the request with its result."""
        self._write({"number": self._number, "ok": True, "result": result})

    def fail(self, kind: FailureKind, message: str, **more: object) -> None:
        """Answer the request with an error: a field of the reply, never a crash."""
        self._write({"number": self._number, "ok": False, "error": dict(more, kind=kind, message=message)})

    def close(self) -> None:
        """Let go of both directions, in a copy of this process: the other side must see when this one ends."""
        os.close(self._requests.fileno())
        os.close(self._replies.fileno())

    def _write(self, reply: dict[str, Any]) -> None:
        try:
            self._replies.write(json.dumps(reply) + "\n")
            self._replies.flush()
        except BrokenPipeError:
            pass  # nobody waits for it any more: the end of the requests says so next
