"""Name what was probably meant."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import takewhile

from dbmigrate.listing import listed

CLEAR = 0.85
"""How alike two names are (0 to 1) of which one is certainly the other, misspelled."""


def nearest(name: str, known: Iterable[str], *, what: str) -> str:
    """Return a hint with the names most like this one, or with all of them where none is."""
    from difflib import get_close_matches  # only a wrong name needs it

    names = list(known)
    # What all of them begin with makes each of them alike.
    columns = zip(name, *names, strict=False)
    shared = sum(1 for _ in takewhile(lambda letters: len({*letters}) == 1, columns)) if names else 0
    rests = {known[shared:]: known for known in names}
    close = [rests[rest] for rest in get_close_matches(name[shared:], rests, n=3, cutoff=0.5)]
    clear = [rests[rest] for rest in get_close_matches(name[shared:], rests, n=1, cutoff=CLEAR)]
    close = clear or close
    close = close or [known for known in names if known.startswith(name)][:3]
    if close:
        return f"did you mean {' or '.join(close)}?"
    return f"the {what} are: {listed(names)}" if names else f"there are no {what}"
