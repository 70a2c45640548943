"""Read a text as it was before somebody quoted or escaped it, however often; and tell where each character stood.

The reading loses more than the escapes. Quotes and backslashes vanish, letters are small, white space (and `+`, which
stands for it in URLs) is one space: what was quoted twice, and what was quoted three times, read the same. So a value
is looked for in the reading of a text by its own reading, and nobody needs to know how it came there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

MOST_PASSES = 6
"""How often one kind of escape may stand within another."""

# What is small is looked at alone, since somebody may have made it small: Python's \U0001f600 is \u0001f600 then.
_POINT = (
    r"x(?P<x>[0-9a-f]{2})|u(?P<U>000[0-9a-f]{5}|0010[0-9a-f]{4})|u(?P<u>[0-9a-f]{4})|u\{(?P<braced>[0-9a-f]{1,6})\}"
)

# From the first of the backslashes: beginning at each of a thousand would take a million steps.
_BACKSLASHES = r"(?<!\\)\\+"

_ESCAPE = (
    rf"{_BACKSLASHES}u(?P<high>d[89ab][0-9a-f]{{2}})\\+u(?P<low>d[c-f][0-9a-f]{{2}})"  # JSON has two for one
    rf"|{_BACKSLASHES}(?:{_POINT})"
    r"|(?P<percent>%(?:25)*[0-7][0-9a-f]|(?:%(?:25)*[89a-f][0-9a-f])+)"
    r"|(?P<entity>&(?:amp;)*(?:\#[0-9]{1,7}|\#x[0-9a-f]{1,6}|[a-z]{2,8});)"
)
_BYTE = re.compile(r"%(?:25)*([0-9a-f]{2})")

# A backslash before one of these letters may be an escape, or end what stands before the letter.
_WITHOUT_LETTERS = re.compile(_ESCAPE)
_WITH_LETTERS = re.compile(rf"{_ESCAPE}|{_BACKSLASHES}(?:(?P<octal>[0-3][0-7]{{2}})|(?P<letter>[nrtvfab0]))")
_LETTER = re.compile(r"\\[nrtvfab0-3]")

_DROPPED = {ord(character): None for character in "\\'\""}
_SPACES = dict.fromkeys((*range(33), ord("+"), 127, 133, 160, 8232, 8233), " ")
_TABLE = {**_SPACES, **_DROPPED}
_RUN = re.compile("  +")
_LOST = {ord("?"): None}
"""What an encoding puts in the place of a character that it does not have."""


@dataclass(frozen=True)
class Reading:
    """One way to read a text."""

    has_letters: bool
    r"""Whether `\n` is a line break, and not an `n` behind a backslash."""
    is_ascii: bool
    """Whether characters that an encoding may have lost or replaced are left out."""

    def read(self, text: str) -> str:
        """Return the reading of a text."""
        form = _simplified(_decoded(text, self._pattern))
        return _as_ascii(form) if self.is_ascii else form

    def places(self, text: str) -> tuple[Sequence[int], Sequence[int]]:
        """Return for each character of the reading where what it stands for begins and ends in the text."""
        starts, ends = [*range(len(text))], [*range(1, len(text) + 1)]
        for _ in range(MOST_PASSES):
            text, starts, ends = _pass(_NOT_ASCII, lambda found: found[0].casefold(), text, starts, ends)
            before = text = text.casefold()
            text, starts, ends = _pass(self._pattern, _decode, text, starts, ends)
            if text == before:
                break
        text, starts, ends = _pass(_NOT_AS_LONG, lambda found: self._simple(found[0]), text, starts, ends)
        _, starts, ends = _pass(_RUN, lambda found: " ", text, starts, ends)
        return starts, ends

    @property
    def _pattern(self) -> re.Pattern[str]:
        return _WITH_LETTERS if self.has_letters else _WITHOUT_LETTERS

    def _simple(self, character: str) -> str:
        simple = character.casefold().translate(_TABLE)
        return simple.encode("ascii", "ignore").decode().translate(_LOST) if self.is_ascii else simple


READINGS = tuple(Reading(has_letters, is_ascii) for is_ascii in (False, True) for has_letters in (True, False))

_NOT_ASCII = re.compile(r"[^\x00-\x7f]")

# What a simplified text may have more or less characters for.
_NOT_AS_LONG = re.compile(r"[\\'\"?]+|[\x00-\x20+\x7f]+|[^\x00-\x7f]")


def read_all(text: str) -> dict[str, Reading]:
    """Return every reading of a text that is not the same as another one."""
    forms = {}
    decoded = {False: _decoded(text, _WITHOUT_LETTERS)}
    if _LETTER.search(decoded[False]) is not None:
        decoded[True] = _decoded(text, _WITH_LETTERS)
    for has_letters, plain in decoded.items():
        form = _simplified(plain)
        forms[form] = Reading(has_letters, is_ascii=False)
        if not form.isascii() or "?" in form:
            forms[_as_ascii(form)] = Reading(has_letters, is_ascii=True)
    return forms


def _decoded(text: str, pattern: re.Pattern[str]) -> str:
    for _ in range(MOST_PASSES):
        if "\\" not in text and "%" not in text and "&" not in text:
            break
        before = text.casefold()
        text = pattern.sub(_decode, before)
        if text == before:
            break
    return text


def _simplified(text: str) -> str:
    text = text.casefold().translate(_TABLE)
    return _RUN.sub(" ", text) if "  " in text else text


def _as_ascii(form: str) -> str:
    form = form.encode("ascii", "ignore").decode().translate(_LOST)
    return _RUN.sub(" ", form) if "  " in form else form


def _decode(found: re.Match[str]) -> str:
    """Return what an escape stands for."""
    if found["high"]:
        return chr(0x10000 + ((int(found["high"], 16) - 0xD800) << 10) + (int(found["low"], 16) - 0xDC00))
    if found["percent"]:
        raw = bytes(int(code, 16) for code in _BYTE.findall(found["percent"]))
        try:
            return raw.decode()
        except UnicodeDecodeError:
            return raw.decode("latin-1")
    if found["entity"]:
        import html  # it has a table of 2000 names

        return html.unescape("&" + re.sub("^&(?:amp;)*", "", found["entity"]))
    named = found.groupdict()
    if named.get("letter"):
        return " "
    if named.get("octal"):
        return chr(int(named["octal"], 8))
    code = int(found["x"] or found["u"] or found["U"] or found["braced"], 16)
    return chr(code) if code <= 0x10FFFF else " "


def _pass(
    pattern: re.Pattern[str],
    replace: Callable[[re.Match[str]], str],
    text: str,
    starts: Sequence[int],
    ends: Sequence[int],
) -> tuple[str, list[int], list[int]]:
    """Replace, as `re.sub` does, and follow the places."""
    parts: list[str] = []
    new_starts: list[int] = []
    new_ends: list[int] = []
    at = 0
    for found in pattern.finditer(text):
        first, last = found.span()
        parts.append(text[at:first])
        new_starts += starts[at:first]
        new_ends += ends[at:first]
        put = replace(found)
        parts.append(put)
        new_starts += [starts[first]] * len(put)
        new_ends += [ends[last - 1]] * len(put)
        at = last
    parts.append(text[at:])
    new_starts += starts[at:]
    new_ends += ends[at:]
    return "".join(parts), new_starts, new_ends
