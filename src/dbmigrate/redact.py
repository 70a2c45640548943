"""Keep secrets out of everything that is shown."""

from __future__ import annotations

import base64
import re
from collections.abc import Collection, Container, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path

from dbmigrate.frames import FRAME_PATH
from dbmigrate.unescaping import READINGS, read_all

HIDDEN = "***"

SHORTEST = 3
"""Shorter values are hidden next to their names alone: every "a" would vanish from every line."""

SHORTEST_INSIDE = 6
"""Shorter values of letters and digits are hidden as words, and not within longer ones."""

WINDOW = 6
"""Characters by which a long value is found: all of its windows are known, of a text every sixth is looked up."""

LONG = 2 * WINDOW - 1
"""A value of so many characters has a window that is looked up, wherever it stands in a text."""

PART = 12
"""So many characters in a row of a longer value are hidden too: it was cut, wrapped, or stands on several lines."""

SHORTEST_ASCII = 6
"""What is left of a value without its other characters is looked for if it is so long, and half of it."""

SHORTEST_BASE64 = 8
"""Of a value in base64, within a longer text, so much has to be the same wherever it stands."""

PROGRESS = ("Applying", "Unapplying", "Rendering", "Running", "Synchronizing", "Operations", "FAKED")
"""Words that `migrate` begins its lines with, and one that it ends them with."""

LONG_TEXT = 1000
"""Characters of a text that is not looked through twice."""

MOST_KEPT = 50
"""Long texts that are remembered."""

LOOK_BACK = 80
"""In so many characters before a value its name is looked for."""

# `password=x` of a connection string, "PASSWORD": "x" of a dictionary, PASSWORD 'x' of SQL: known or not.
# Without quotes and with spaces it is source: SET password = other_column.
_NAMED = re.compile(
    r"""(?ix)
    ( (?: passw(?:or)?d | passphrase | passcode | pwd ) [\w-]*
        (?: (?P<after> \\*['"] | &(?:amp;)*\#?\w{2,5}; | %(?:25)*2[27] )?
            (?: = | %(?:25)*3D | \s* (?(after):|(?!)) \s* | \s* =>? \s* (?=[bru]?\\*['"]) )
          | \s+ (?=\\*') )
      | identified \s+ by \s+ (?=\\*['"]) )
    [bru]?
    (?: (?P<quote> \\*['"] ) .*? (?<!\\) (?P=quote)
      | (?P<coded> &(?:amp;)*\#?\w{2,5}; | %(?:25)*2[27] ) .*? (?P=coded)
      | [^\s'",;)}&<\\]+ )"""
)

# Up to the last @ before a query: not everybody escapes what the password of a URL may hold. A port is none.
_URL_PASSWORD = re.compile(
    r"""(:\\*/\\*/[^\s/:@'"]*:)(?!\d{1,5}/)(?:(?!:\\*/\\*/)[^\s'"<>?@])(?:(?!:\\*/\\*/)[^\s'"<>?])*(?=@)"""
)

# What stands before a value in a reading, where the value is what the name is for.
_BESIDE_NAME = re.compile(
    r"(?:passw|passphrase|passcode|(?<![a-z])pass(?![a-z])|pwd|secret|token|credential|key(?![a-z])|auth(?![a-z])"
    r"|identified by)[\w-]*(?:[ =:,>()\[\]{}-]|(?<![a-z])(?:is|to|as|of|by|was)(?![a-z]))*[bru]?$"
)
_WORD = re.compile(r"[a-zA-Z][\w-]*")
_BEHIND_USER = re.compile(r"://[^ /@]*:$")


class Redactor:
    """Replaces the secret values that it has learned, however they are quoted, escaped or cut.

    A value that is an ordinary word (something in the project is called so; of what dbmigrate says itself, each of its
    words) is replaced where it stands in a URL, in a connection string, or next to the name of a secret. Elsewhere it
    stays: an app, a database or a command of that name must be readable, and be there to be typed.

    Passwords next to their names and inside URLs are replaced whether they are known or not: a settings module that
    fails while it parses one is the moment before anything is known.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        """Know these secrets, and no names."""
        self._secrets = frozenset(secrets)
        self._names: frozenset[str] = frozenset()
        self._words = _OwnWords()
        self._index: _Index | None = None
        self._long: dict[tuple[str, bool], str] = {}
        """What long texts become: the last words of a step are shown as it ends, in the report and in the answer."""

    def learn(self, secrets: Iterable[str]) -> None:
        """Know these secrets too."""
        self._secrets |= frozenset(secrets)
        self._index = None

    def learn_names(self, names: Iterable[str]) -> None:
        """Know what things are called: that stays readable."""
        more = {name for name in names if name}
        if not more <= self._names:
            self._names |= more
            self._index = None

    def scrub(self, text: str, *, is_own: bool = False) -> str:
        """Return the text without the secrets; `is_own`: dbmigrate's own words are in it, which must stay."""
        if self._index is None:
            self._index = _Index(self._secrets, self._names)
            self._long.clear()
        if len(text) > LONG_TEXT:
            if (text, is_own) not in self._long:
                if len(self._long) >= MOST_KEPT:
                    self._long.clear()
                self._long[text, is_own] = self._scrub(text, self._index, is_own)
            return self._long[text, is_own]
        return self._scrub(text, self._index, is_own)

    def _scrub(self, text: str, index: _Index, is_own: bool) -> str:
        text = _without(text, index.find(text, self._words if is_own else PROGRESS))
        text = _NAMED.sub(rf"\1{HIDDEN}", text)
        return _URL_PASSWORD.sub(rf"\1{HIDDEN}", text)


def _without(text: str, spans: Collection[tuple[int, int]]) -> str:
    parts, at = [], 0
    for first, last in sorted(spans):
        if first >= at:
            parts += [text[at:first], HIDDEN]
        at = max(at, last)
    return "".join([*parts, text[at:]])


class _OwnWords:
    """What dbmigrate says: everything that it can say stands in its own source."""

    def __init__(self) -> None:
        self._known: dict[str, bool] = {}

    def __contains__(self, word: object) -> bool:
        """Whether a word stands there, and not as a part of a longer one."""
        if not isinstance(word, str) or not _WORD.fullmatch(word):
            return False
        if word not in self._known:
            pattern = rf"(?<!\w){re.escape(word.casefold())}(?!\w)"
            self._known[word] = re.search(pattern, self._source) is not None
        return self._known[word]

    @cached_property
    def _source(self) -> str:
        files = Path(__file__).parent.rglob("*.py")
        try:
            return "\n".join(file.read_text(encoding="utf-8") for file in files).casefold()
        except OSError:  # no file can be opened any more
            return ""


class _Needle:
    """One reading of secret values, or of short lines of them."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.secrets: set[str] = set()
        self.is_line = True
        """Whether it is only one line of several."""
        self.is_short = len(text) < SHORTEST

    @property
    def is_word(self) -> bool:
        """Whether it is hidden as a word alone."""
        return len(self.text) < SHORTEST_INSIDE and all(secret.isalnum() for secret in self.secrets)


class _Index:
    """The secrets that are known, made ready to be looked for."""

    def __init__(self, secrets: Collection[str], names: Collection[str]) -> None:
        self._called = {name.casefold() for name in names}
        needles: dict[str, _Needle] = {}
        for secret in secrets:
            for form, is_line in _forms(secret):
                needle = needles.setdefault(form, _Needle(form))
                needle.secrets.add(secret)
                needle.is_line = needle.is_line and is_line
        self._short = [needle for needle in needles.values() if len(needle.text) < LONG]
        self._windows: dict[str, list[tuple[_Needle, int]]] = {}
        for needle in needles.values():
            if len(needle.text) >= LONG:
                for at in range(len(needle.text) - WINDOW + 1):
                    self._windows.setdefault(needle.text[at : at + WINDOW], []).append((needle, at))
        self._all_names = names
        bare = [_spelled(secret) for secret in secrets if _is_bare(secret)]
        self._bare = re.compile(rf"(?<!\\)(?:{'|'.join(sorted(bare, key=len, reverse=True))})") if bare else None

    @cached_property
    def _names(self) -> Sequence[str]:
        """The names that have a secret in them: few projects have one, and some have thousands of names."""
        return [name for name in self._all_names if self._has_secret(name)]

    def find(self, text: str, words: Container[str]) -> set[tuple[int, int]]:
        """Return where secrets begin and end in a text, in which these words are ordinary ones."""
        spans = set() if self._bare is None else {found.span() for found in self._bare.finditer(text)}
        for form, reading in read_all(text).items():
            hits = [hit for hit in self._hits(form) if self._is_meant(form, *hit, words)]
            if hits:
                starts, ends = reading.places(text)
                places = [(starts[first], ends[last - 1], form, first, last, needle) for first, last, needle in hits]
                spans |= {(place[0], place[1]) for place in places if not self._stays(text, *place)}
        return {_stripped(text, *span) for span in spans}

    def _has_secret(self, name: str) -> bool:
        return any(not needle.is_short for form in read_all(name) for _, _, needle in self._hits(form))

    def _hits(self, form: str) -> Iterator[tuple[int, int, _Needle]]:
        """Yield what of a reading reads as a secret: (first, end, needle)."""
        for needle in self._short:
            at = form.find(needle.text)
            while at >= 0:
                yield at, at + len(needle.text), needle
                at = form.find(needle.text, at + 1)
        done = 0
        for at in range(0, len(form) - WINDOW + 1 if self._windows else 0, WINDOW):
            for needle, offset in self._windows.get(form[at : at + WINDOW], ()) if at >= done else ():
                first, last = _extend(form, at, needle.text, offset)
                if last - first >= min(PART, len(needle.text)):
                    yield first, last, needle
                    done = max(done, last - WINDOW)

    def _is_meant(self, form: str, first: int, last: int, needle: _Needle, words: Container[str]) -> bool:
        """Return whether a hit may be a secret; what is short, or an ordinary word, is one next to a name alone."""
        # Of b'value' the reading has no quotes.
        is_word = _is_word(form, first, last) or (form[first - 1] in "bru" and _is_word(form, first - 1, last))
        # In base64 nobody reads the word, so it need not stay.
        is_ordinary = needle.text in needle.secrets and all(
            secret.casefold() in self._called or secret in words for secret in needle.secrets
        )
        if needle.is_short or is_ordinary:
            return is_word and _is_beside_name(form, first, last)
        return is_word or not needle.is_word

    def _stays(self, text: str, start: int, end: int, form: str, first: int, last: int, needle: _Needle) -> bool:
        """Return whether a hit is no secret where it stands: a part of a longer name, or a word within a line."""
        if _is_beside_name(form, first, last):
            return False
        return (needle.is_line and not _is_at_edge(text, start, end)) or self._is_in_name(text, start, end)

    def _is_in_name(self, text: str, start: int, end: int) -> bool:
        for name in self._names:
            at = text.find(name, max(0, end - len(name)))
            if 0 <= at <= start and _is_word(text, at, at + len(name)):
                return True
        path = FRAME_PATH.match(text, text.rfind("\n", 0, start) + 1)
        return path is not None and path.start("file") <= start < end <= path.end("file") and _is_word(text, start, end)


def _stripped(text: str, start: int, end: int) -> tuple[int, int]:
    """Return a place without the white space at its edges, for which one space of a secret may stand."""
    found = text[start:end]
    return start + len(found) - len(found.lstrip()), end - len(found) + len(found.rstrip())


def _is_bare(secret: str) -> bool:
    """Return whether a secret has little more than quotes, backslashes and spaces, of which a reading has nothing."""
    return len(secret.strip()) >= SHORTEST > len(READINGS[0].read(secret).strip())


def _spelled(secret: str) -> str:
    """Return a pattern of such a secret."""
    return "".join(
        rf"\\*(?:{re.escape(character)}{{1,2}}|%(?:25)*(?i:{ord(character):02x})|&(?:amp;)*\#?\w{{2,5}};)"
        if character != "\\"
        else r"(?:\\+|%(?:25)*5[cC])"
        for character in secret.strip()
    )


def _extend(form: str, at: int, secret: str, offset: int) -> tuple[int, int]:
    """Return what of a reading is the same as a part of a secret, around a place where both are."""
    first, begin = at, offset
    while first > 0 and begin > 0 and form[first - 1] == secret[begin - 1]:
        first, begin = first - 1, begin - 1
    last, end = at + WINDOW, offset + WINDOW
    while last < len(form) and end < len(secret) and form[last] == secret[end]:
        last, end = last + 1, end + 1
    return first, last


def _is_word(text: str, first: int, last: int) -> bool:
    """Return whether no letter, digit or underscore stands right before or behind a part of a text."""
    around = text[first - 1 : first] + text[last : last + 1]
    return not any(character.isalnum() or character == "_" for character in around)


def _is_beside_name(form: str, first: int, last: int) -> bool:
    before = form[max(0, first - LOOK_BACK) : first]
    if form[last : last + 1] == "@" and _BEHIND_USER.search(before):
        return True
    return _BESIDE_NAME.search(before) is not None


def _is_at_edge(text: str, start: int, end: int) -> bool:
    """Return whether a part of a text begins or ends a line, but for quotes."""
    before = text[text.rfind("\n", 0, start) + 1 : start]
    behind = text[end:].partition("\n")[0]
    return not before.strip(" \t\\'\"") or not behind.strip(" \t\r\\'\"")


def _forms(secret: str) -> Iterator[tuple[str, bool]]:
    """Yield what a secret reads as, and whether that is only a line of it."""
    for text, is_line in [(secret, False), *((line, True) for line in secret.splitlines() if line != secret)]:
        if is_line and len(text.strip()) < SHORTEST:
            continue
        # As it is, and its bytes in UTF-8, each written or taken for a character.
        for spelled in {text, text.encode(errors="surrogatepass").decode("latin-1")}:
            whole = READINGS[0].read(spelled).strip()
            for reading in READINGS:
                form = reading.read(spelled).strip()
                if form and (not reading.is_ascii or len(form) >= max(SHORTEST_ASCII, len(whole) // 2)):
                    yield form, is_line
    if len(secret) >= SHORTEST:
        for encoded in _encoded_forms(secret.encode(errors="surrogatepass")):
            yield READINGS[1].read(encoded).strip(), False


def _encoded_forms(value: bytes) -> Iterator[str]:
    """Yield a value in hexadecimal digits and in base64, and what of base64 is the same within a longer text.

    Three bytes are four characters, so there are three ways to stand in it (RFC 4648, section 4).
    """
    yield value.hex()
    encoded = [base64.b64encode(value).decode().rstrip("=")]
    for before in range(3):
        first, last = -(-before * 4 // 3), (before + len(value)) * 8 // 6
        inside = base64.b64encode(b"\0" * before + value).decode()[first:last]
        encoded += [inside] if len(inside) >= SHORTEST_BASE64 else []
    for form in encoded:
        yield form
        yield form.replace("+", "-").replace("/", "_")
