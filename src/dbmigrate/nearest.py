"""Name what was probably meant."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import takewhile
from operator import eq

from dbmigrate.listing import listed

ALIKE = 0.5
"""How alike two names are (0 to 1) of which one may be the other."""

CLEAR = 0.85
"""How alike two names are (0 to 1) of which one is certainly the other, misspelled."""


def nearest(name: str, known: Iterable[str], *, what: str) -> str:
    """Return a hint with the names most like this one, or with all of them where none is."""
    names = list(known)
    # What all of them begin with makes each of them alike.
    columns = zip(name, *names, strict=False)
    shared = sum(1 for _ in takewhile(lambda letters: len({*letters}) == 1, columns)) if names else 0
    rests = {known[shared:]: known for known in names}
    close = [rests[rest] for rest in _most_alike(name[shared:], rests)]
    close = close or [known for known in names if known.startswith(name)][:3]
    if close:
        return f"did you mean {' or '.join(close)}?"
    return f"the {what} are: {listed(names)}" if names else f"there are no {what}"


def _most_alike(word: str, others: Iterable[str]) -> list[str]:
    """Return at most three that are like a word, the most like first; the one alone that is certainly meant.

    Of those that are as much alike the one comes first that has more letters in the same places: DBM201 for DBM2O1.
    """
    from difflib import SequenceMatcher  # only a wrong name needs it

    scores = {other: (SequenceMatcher(None, other, word).ratio(), sum(map(eq, other, word))) for other in others}
    ranked = sorted((other for other in others if scores[other][0] >= ALIKE), key=lambda other: (*scores[other], other))
    best = ranked[::-1]
    return best[:1] if best and scores[best[0]][0] >= CLEAR else best[:3]
