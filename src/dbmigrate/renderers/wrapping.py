"""Make text fit a terminal: lines break between words, and what is copied does not break. Pure."""

from __future__ import annotations

import re
import textwrap
from typing import NamedTuple

HANG = 2
"""Columns that the second line of a sentence is further in than its first."""


def hang(text: str, width: int) -> list[str]:
    """Return the lines of one line of text; a word that is wider than the terminal stays whole, so it can be copied."""
    if len(text) <= width or "\n" in text:
        return [text]
    indent = " " * (len(text) - len(text.lstrip()) + HANG)
    return textwrap.wrap(text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


class HintLine(NamedTuple):
    """A line of a hint; one that is copied is never broken."""

    text: str
    is_copied: bool


MOST_IN_ONE_LINE = 80
"""Columns up to which a hint stays one line that ends with its command."""

_BEFORE_COMMAND = re.compile(r"(?P<prose>(?:or |then |and )?|.*?: )(?=(?:dbmigrate|git|pip|mkdir|python3? -m) )")
_SEPARATOR = re.compile(r"""("[^"]*"|(?<!\w)'[^']*'(?!\w)|`[^`]*`|\([^()]*\))|(; )|(, )""")


def hint_lines(label: str, hint: str) -> list[HintLine]:
    """Return the lines of a hint below its label ("hint: "): each command has one of its own, where there is more."""
    if "\n" in hint:
        first, *more = hint.splitlines()
        before = margin(first, label)
        return [
            HintLine(f"{label}{first}", is_copied=True),
            *(HintLine(f"{before}{line}", is_copied=True) for line in more),
        ]
    segments = _segments(hint)
    commands = [number for number, (is_command, _) in enumerate(segments, 1) if is_command]
    if not commands:
        return [HintLine(f"{label}{hint}", is_copied=has_command(hint))]
    if commands == [len(segments)] and len(label) + len(hint) <= MOST_IN_ONE_LINE:
        return [HintLine(f"{label}{hint}", is_copied=True)]
    indent = " " * len(label)
    lines = [
        HintLine(f"{indent}{'  ' if is_command else ''}{text}", is_copied=is_command or has_command(text))
        for is_command, text in segments
    ]
    return [HintLine(f"{label}{segments[0][1]}", lines[0].is_copied), *lines[1:]]


def _segments(hint: str) -> list[tuple[bool, str]]:
    """Return what a hint consists of: commands (True), each alone, and what is said before, between and after them."""
    segments: list[tuple[bool, str]] = []
    for clause in _split(hint, "; "):
        found = _BEFORE_COMMAND.match(clause)
        if found is None or found["prose"].count("(") > found["prose"].count(")"):
            segments.append((False, clause))
            continue
        parts = _split(clause[found.end() :], ", ")
        prose = found["prose"].rstrip()
        if prose:
            segments.append((False, prose if prose.endswith(":") else f"{prose}:"))
        segments.append((True, parts[0]))
        if len(parts) > 1:
            segments += _segments(", ".join(parts[1:]))
    return segments


def _split(text: str, separator: str) -> list[str]:
    """Return the parts of a text between the separators that stand in no quotes and no brackets."""
    parts, begin = [], 0
    for found in _SEPARATOR.finditer(text):
        if found[0] == separator:
            parts.append(text[begin : found.start()])
            begin = found.end()
    return [*parts, text[begin:]]


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
