"""Projects as they come from the field: each is the smallest form of one that somebody reported."""

from support.corpus import Case

CASES: tuple[Case, ...] = ()
