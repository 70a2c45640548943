"""Name what was probably meant."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(name: str, known: Iterable[str], *, what: str) -> str:
    """Return a hint with the names most like this one, or all of them where none is."""
    from difflib import get_close_matches  # only a wrong name needs it

    names = list(known)
    close = get_close_matches(name, names, n=3, cutoff=0.5)
    if close:
        return f"did you mean {' or '.join(close)}?"
    return f"the {what} are: {', '.join(names)}" if names else f"there are no {what}"
