"""Make text fit a terminal: lines break between words, and what is copied does not break. Pure."""

from __future__ import annotations

import textwrap

HANG = 2
"""Columns that the second line of a sentence is further in than its first."""


def hang(text: str, width: int) -> list[str]:
    """Return the lines of one line of text; a word that is wider than the terminal stays whole, so it can be copied."""
    if len(text) <= width or "\n" in text:
        return [text]
    indent = " " * (len(text) - len(text.lstrip()) + HANG)
    return textwrap.wrap(text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def margin(first: str, label: str) -> str:
    """Return what stands before the further lines of a text below its label, as "hint: ".

    Nothing if the first line announces them with a colon: that is code, and Python cannot be pasted indented.
    """
    return "" if first.endswith(":") else " " * len(label)


COPIED = ("dbmigrate ", "manage.py", "-m django", " shell -c ", " migrate ", "git ", "\n")
"""What is in commands and lines of code."""


def has_command(text: str) -> bool:
    """Return whether a hint holds something of several words that is copied: a command, or lines of code."""
    return any(part in text for part in COPIED)
