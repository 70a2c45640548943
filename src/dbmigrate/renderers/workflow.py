"""GitHub's workflow commands: how they are written, and how text is kept from being one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

MOST_ANNOTATIONS = 10
"""GitHub shows as many of each level for a step, and drops the others."""

# The runner reads `::name …::` at the beginning of a line and `##[name …]` anywhere in it (actions/runner,
# ActionCommand.cs). It compares as people's languages do, so characters without a width may stand in between.
_COMMAND = re.compile(r"^[^!-~]*:[^ -~]*:|#[^ -~]*#[^ -~]*\[")

_LINE_ENDS = re.compile(r"\r\n|\r|\n")


def workflow_command(name: str, text: str = "", **properties: str | int | None) -> str:
    """Return the line of one command; a property that is None or empty is left out (actions/toolkit, command.ts)."""
    given = ",".join(f"{key}={escape_property(str(value))}" for key, value in properties.items() if value)
    return f"::{name}{' ' if given else ''}{given}::{escape(text)}"


def escape(text: str) -> str:
    """Return the text as a command takes it for its message."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def escape_property(text: str) -> str:
    """Return the text as a command takes it for one of its properties."""
    return escape(text).replace(":", "%3A").replace(",", "%2C")


def is_suspicious(line: str) -> bool:
    """Return whether the runner could take the line, or a part of it, for a command."""
    return any(_COMMAND.search(part) for part in _LINE_ENDS.split(line))


def guarded(lines: Iterable[str], make_token: Callable[[], str]) -> Iterator[str]:
    """Give the lines, and around those that could be commands the ones that keep GitHub from looking for any.

    A token is made for each such place and known to nobody before: whoever prints can only guess how to continue.
    """
    token = ""
    for line in lines:
        if bool(token) != is_suspicious(line):
            if token:
                yield f"::{token}::"
                token = ""
            else:
                token = make_token()
                yield workflow_command("stop-commands", token)
        yield line
    if token:
        yield f"::{token}::"


class Annotations:
    """Writes annotations until GitHub would drop them, and counts the others."""

    def __init__(self) -> None:
        """Begin with none."""
        self._counts = {"error": 0, "warning": 0, "notice": 0}

    def write(self, level: str, text: str, *, title: str, file: str | None = None, line: int | None = None) -> str:
        """Return the line of an annotation; "" if there were as many of its level already as GitHub shows."""
        self._counts[level] += 1
        if self._counts[level] > MOST_ANNOTATIONS:
            return ""
        return workflow_command(level, text, file=file, line=line if file else None, title=title)

    def count(self, level: str) -> int:
        """Return how many of a level there were."""
        return self._counts[level]

    @property
    def more(self) -> dict[str, int]:
        """How many were left out, by level; only levels of which some were."""
        return {level: count - MOST_ANNOTATIONS for level, count in self._counts.items() if count > MOST_ANNOTATIONS}
