"""The words that every text has: counts, names, times, and how far something was looked at."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timezone

from dbmigrate.models.database import Trouble
from dbmigrate.renderers.durations import duration

TROUBLES: dict[Trouble, str] = {
    "refused": "nothing is listening there",
    "unknown-host": "its host name is unknown",
    "silent": "it does not respond",
    "starting": "it is starting up",
    "not-accepting": "it does not accept connections now",
    "full": "it has no free connections now",
    "blocked": "it has blocked this machine after too many failed connections",
    "tls": "the TLS connection failed",
    "no-database": "the server has no such database yet",
    "no-file": "its file cannot be created",
    "password": "the server refused the login",
    "role": "the server does not know this user",
    "driver": "its driver cannot be loaded",
    "settings": "its driver rejects these settings",
    "backend": "its backend raised an error",
    "receiver": "a receiver of connection_created raised an error",
    "rights": "this user may not read it",
    "other": "it does not respond",
}

# CSI and OSC sequences, then every other control character but the tab.
_CONTROL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|[\x00-\x08\x0a-\x1f\x7f-\x9f]")


def printable(text: str) -> str:
    """Return the text without what would move the cursor, colour the terminal, or hide in a log."""
    return _CONTROL.sub("", text)


def printable_lines(text: str) -> str:
    """Return each line of the text as `printable` does; the line ends stay."""
    return "\n".join(printable(line) for line in text.splitlines())


def plural(count: int, noun: str) -> str:
    """Return "1 migration", "2 migrations"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def moment(at: str) -> str:
    """Return a time in ISO 8601 to the second, in UTC where its zone is known ("2026-11-27T06:21:48Z")."""
    then = datetime.fromisoformat(at)
    return f"{then:%Y-%m-%dT%H:%M:%S}" if then.tzinfo is None else f"{then.astimezone(timezone.utc):%Y-%m-%dT%H:%M:%SZ}"


def names(aliases: Sequence[str]) -> str:
    """Return "db1", "db1, db2" or "db1 … db9 (9 databases)"."""
    if len(aliases) < 4:
        return ", ".join(aliases)
    return f"{aliases[0]} … {aliases[-1]} ({len(aliases)} databases)"


def exit_words(code: int) -> str:
    """Return how a process ended."""
    return f"killed by signal {-code}" if code < 0 else f"exit {code}"


def extent(limits: Sequence[str]) -> str:
    """Return in brackets how far the databases were looked at; "" where they are all there is."""
    return f" ({'; '.join(limits)})" if limits else ""


def longest(seconds: float, count: int) -> str:
    """Return how long one of some databases took, or the slowest of them; "" for no time at all."""
    return "" if not seconds else duration(seconds) if count == 1 else f"up to {duration(seconds)}"
