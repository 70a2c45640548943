"""Text that an encoding has no place for, as a file name of other bytes than UTF-8: it is written as an escape."""

from __future__ import annotations

ESCAPED = "backslashreplace"
"""How Python calls it."""


def encodable(text: str) -> str:
    """Return the text as UTF-8 can hold it."""
    return text.encode("utf-8", ESCAPED).decode()
