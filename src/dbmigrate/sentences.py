"""What a driver or an exception says in several lines, as one."""

from __future__ import annotations

import re


def one_line(text: str) -> str:
    """Return a text of several lines as one; what stands indented below a sentence is another sentence.

    For example libpq's "… failed: Connection refused", and below it, indented, "Is the server running …?".
    """
    joined = re.sub(r"(?<=[^\s.,:;!?])[ \t]*\n[ \t]+(?=[A-Z])", ". ", text.strip())
    return " ".join(joined.split())
