"""Keep secrets out of everything that is shown."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

HIDDEN = "***"

_URL_PASSWORD = re.compile(r"(?<=://)([^\s/:@]*):([^\s/@]+)@")

# `password=x` of a connection string, and "PASSWORD": "x" of a dictionary: known or not, and of any length.
_NAMED_PASSWORD = re.compile(
    r"""(?ix) ( \b (?: password | passwd | pwd ) \b (?: \s?=\s? | ['"] \s*:\s* ) )
    ( ' (?: [^'\\] | \\. )* ' | " (?: [^"\\] | \\. )* " | [^\s'",;)}]+ )"""
)

SHORTEST = 3
"""Values shorter than this are not looked for by themselves: every "a" would vanish from every line."""

SHORTEST_INSIDE = 8
"""Shorter parts of a longer text in base64 are not looked for, for the same reason."""


_PERCENT = re.compile("%[0-9A-F]{2}")


class Redactor:
    """Replaces the secret values of one project in text, also where they are quoted or URL-encoded.

    Passwords inside URLs are replaced whether they are known or not: a settings module that fails while it parses
    one is the moment before anything is known.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        """Prepare every form of every value; the longest first, since one may contain another."""
        forms = {form for secret in secrets if len(secret) >= SHORTEST for form in _forms(secret)}
        ordered = sorted(forms, key=len, reverse=True)
        self._pattern = re.compile("|".join(re.escape(form) for form in ordered)) if ordered else None

    def scrub(self, text: str) -> str:
        """Return the text without the secrets."""
        if self._pattern is not None:
            text = self._pattern.sub(HIDDEN, text)
        text = _NAMED_PASSWORD.sub(rf"\1{HIDDEN}", text)
        return _URL_PASSWORD.sub(rf"\1:{HIDDEN}@", text)


def _forms(secret: str) -> set[str]:
    """Return the ways in which a value is written: as it is, quoted, escaped, encoded, and each of its lines."""
    plain = {secret, *(line for line in secret.splitlines() if len(line) >= SHORTEST)}
    quoted = {form for text in plain for form in _quoted_forms(text)}
    encoded = {quote(secret, safe=""), quote(secret), quote_plus(secret)}
    lower = {_PERCENT.sub(lambda found: found[0].lower(), form) for form in encoded}
    return plain | quoted | encoded | lower | _base64_forms(secret.encode(errors="surrogateescape"))


def _quoted_forms(text: str) -> set[str]:
    """Return the ways to write a text between quotes: of Python, of its bytes, of JSON, and of SQL."""
    escaped = {
        repr(text)[1:-1],
        repr(text.encode(errors="surrogateescape"))[2:-1],
        json.dumps(text)[1:-1],
        json.dumps(text, ensure_ascii=False)[1:-1],
    }
    # Which quote has a backslash depends on the whole text that it stands in.
    bare = {form.replace("\\'", "'").replace('\\"', '"') for form in escaped}
    single = {form.replace("'", "\\'") for form in bare}
    double = {form.replace('"', '\\"') for form in bare}
    both = {form.replace('"', '\\"') for form in single}
    return escaped | bare | single | double | both | {text.replace("'", "''")}


def _base64_forms(value: bytes) -> set[str]:
    """Return the value in base64, and the part of it that stays the same wherever it stands in a longer text.

    Three bytes are four characters, so there are three ways to stand in it (RFC 4648, section 4).
    """
    whole = {base64.b64encode(value).decode(), base64.urlsafe_b64encode(value).decode()}
    forms = {form.rstrip("=") for form in whole}
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + value).decode()
        first = -(-before * 4 // 3)
        last = (before + len(value)) * 8 // 6
        inside = encoded[first:last]
        if len(inside) >= SHORTEST_INSIDE:
            forms |= {inside, inside.replace("+", "-").replace("/", "_")}
    return forms
