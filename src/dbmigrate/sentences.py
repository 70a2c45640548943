"""Sentences that more than one layer says, and what a driver says in several lines as one."""

from __future__ import annotations

import re
from collections.abc import Sequence

from dbmigrate.listing import listed


def one_line(text: str) -> str:
    """Return a text of several lines as one; what stands indented below a sentence is another sentence.

    For example libpq's "… failed: Connection refused", and below it, indented, "Is the server running …?".
    """
    joined = re.sub(r"(?<=[^\s.,:;!?])[ \t]*\n[ \t]+(?=[A-Z])", ". ", text.strip())
    return " ".join(joined.split())


def changed_in_trial(files: Sequence[str]) -> str:
    """Return what to say of files that the trial of a reset opened for writing and that are no longer the same."""
    return f"files that changed during the trial, because of it or not: {listed(files)}"
