"""Lists of names, as long as a person reads them."""

from __future__ import annotations

from collections.abc import Sequence

MANY = 20
"""Above this many names only the first are listed; databases that are alike share a line."""

FIRST = 3
"""Names that are listed of many."""


def listed(names: Sequence[str], *, most: int = MANY, separator: str = ", ", noun: str = "") -> str:
    """Return the names, or of more than `most` the first and how many more there are ("a, b, c and 245 more")."""
    if len(names) <= most:
        return separator.join(names)
    more = f"{len(names) - FIRST} more{f' {noun}' if noun else ''}"
    return f"{separator.join(names[:FIRST])} and {more}"
