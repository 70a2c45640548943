"""Which values are secret: by the names they have, and by where they stand in connection strings and URLs.

Standard library only, and pure: the names and values come from the environment, the configuration and the project.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from urllib.parse import unquote, unquote_plus

NAME = (
    r"passw|pass_?phrase|pass_?code|(?<![a-z])pass(?![a-z])|_pwd(?![a-z])|^pwd$|secret|token|credential"
    r"|private_?key|api_?key|(?<![a-z])keys?$|(?:^|_)auth$"
)
"""What says of a setting, of a variable, or of a key of a dictionary that its value is secret; in any case."""

TEXT = r"://|(?i:passw|pwd|passphrase)\s*="
"""What a value has in it that holds a secret under another name."""

_NAME = re.compile(NAME, re.IGNORECASE)
_PASSWORD = re.compile(r"passw|pass_?phrase|(?<![a-z])pass(?![a-z])|pwd", re.IGNORECASE)
_KEY = re.compile(r"keys?$|auth$", re.IGNORECASE)

# PASSWORD_HASHERS, TOKEN_URL, AWS_ACCESS_KEY_ID, POSTGRES_PASSWORD_FILE: these are about a secret, and none.
ABOUT = (
    r"(?:^|_)(?:file|path|dir|directory|home|root|socket|folder|store|url|uri|endpoint|domain|host|port|name|header|cookie|prefix|format|field"
    r"|param|timeout|ttl|age|days|hours|minutes|seconds|lifetime|expir\w*|max\w*|min\w*|length|size|count|limit|version"
    r"|validators?|hashers?|generator|algorithms?|alg|class(?:es)?|models?|serializers?|backends?|types?|users?|username"
    r"|ids?|enabled|required|optional|rotation|policy|location|function|func|views?|template|middleware|samesite"
    r"|httponly|secure|audience|issuer|claims?|scopes?|encoding|prompt)$"
)
"""What says that it is only something about a secret; in any case."""

_ABOUT_NAME = re.compile(ABOUT, re.IGNORECASE)
_IMPORTED = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+")
_OF_THE_SHELL = ("PWD", "OLDPWD")
"""Every shell sets these to the working directory, which stands in every path."""
_WORDS_FOR_NONE = {"true", "false", "none", "null", "yes", "no", "on", "off"}

SHORTEST_KEY = 12
"""Many a setting is called a key; one that opens something is long."""

SHORTEST_USER_TOKEN = 20
"""Of a URL of the web that has only a user: nobody is called so."""

SHORTEST_PIECE = 3

_SCHEME = r"(?i)\b([a-z][a-z0-9+.\-]*)://"
# A password may have a quote in it, and a URL may stand between quotes.
_URLS = (re.compile(_SCHEME + r"((?:(?!://)[^\s<>])*@)"), re.compile(_SCHEME + r"((?:(?!://)[^\s'\"<>])*@)"))
_ODBC = re.compile(r"(?i)(?:pwd|password)\s*=\s*\{((?:[^}]|\}\})*)\}")
_ASSIGNED = re.compile(
    r"""(?ix) (?: passw(?:or)?d | passphrase | pwd ) \s*=\s*
    (?: '((?:[^'\\]|\\.)*)' | "((?:[^"\\]|\\.)*)" | ([^\s'"&;]+) )"""
)
_BACKSLASHED = re.compile(r"\\(.)")


def find_secrets(named: Iterable[tuple[str, str]]) -> set[str]:
    """Return the secret values, of pairs of a name and a value; the name of a nested one is that of its inmost key."""
    return {secret for name, value in named for secret in _secrets_of(name, value) if secret.strip()}


def _secrets_of(name: str, value: str) -> Iterator[str]:
    if is_secret(name, value):
        yield value
    yield from secrets_in(value)


def is_secret(name: str, value: str) -> bool:
    """Return whether a name says of a value that it is secret, and the value does not say that it is something else."""
    if name in _OF_THE_SHELL and value.startswith("/"):
        return False
    if not _NAME.search(name) or _ABOUT_NAME.search(name) or value.lower() in _WORDS_FOR_NONE:
        return False
    if _PASSWORD.search(name):
        return True
    if "://" in value or _IMPORTED.fullmatch(value) or value.isdigit():
        return False
    return not _KEY.search(name) or (len(value) >= SHORTEST_KEY and not value.startswith(("/", "./", "~")))


def secrets_in(text: str) -> Iterator[str]:
    """Yield the passwords in the URLs and connection strings of a text, as they are written and as they are meant."""
    for found in (found for pattern in _URLS for found in pattern.finditer(text)):
        before_query = found[2].partition("?")[0]
        user, colon, password = (before_query if "@" in before_query else found[2]).rpartition("@")[0].partition(":")
        if colon:
            yield from _spellings(password)
        elif found[1].lower().startswith("http") and len(user) >= SHORTEST_USER_TOKEN:
            yield user
    for found in _ODBC.finditer(text):
        yield found[1].replace("}}", "}")
    for found in _ASSIGNED.finditer(text):
        value = next((group for group in found.groups() if group is not None), "")
        yield from (value, _BACKSLASHED.sub(r"\1", value), unquote_plus(value))


def _spellings(password: str) -> Iterator[str]:
    """Yield what may be seen of the password of a URL: what should have been escaped in it takes it to pieces."""
    yield from (password, unquote(password), unquote_plus(password))
    pieces = re.split("[/?#@]", password)
    if len(pieces) > 1:
        yield from (piece for piece in pieces if len(piece) >= SHORTEST_PIECE)
