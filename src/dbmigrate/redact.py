"""Keep secrets out of everything that is shown."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

HIDDEN = "***"

_URL_PASSWORD = re.compile(r"(?<=://)([^\s/:@]*):([^\s/@]+)@")

SHORTEST = 3
"""Values shorter than this are not looked for: every "a" would vanish from every line."""


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
        return _URL_PASSWORD.sub(rf"\1:{HIDDEN}@", text)


def _forms(secret: str) -> set[str]:
    quoted = repr(secret)[1:-1]
    return {secret, quoted, secret.replace("'", "''"), quote(secret, safe=""), quote_plus(secret)}
