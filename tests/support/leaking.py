"""Secrets at random, and the ways in which a project prints one."""

from __future__ import annotations

import base64
import html
import json
import pprint
import random
import shlex
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

ALPHABETS = (
    "abcdefghijklmnopqrstuvwxyzABCXYZ0123456789",
    "'\"\\ %&<>+;$`!@#/:?=,{}[]()|~^*_-.",
    "äöüßéñ☃😀日本語пароль",
    "\n\t",
)
MIXTURES = ((1, 0, 0, 0), (3, 1, 0, 0), (3, 1, 1, 0), (6, 2, 1, 0.5), (0, 0, 1, 0), (1, 1, 1, 1))


def random_secrets(count: int, seed: int) -> Iterator[str]:
    """Yield secrets of 6 to 40 characters, some of 100, some of thousands, that are no words."""
    chooser = random.Random(seed)
    for number in range(count):
        mixture = chooser.choice(MIXTURES)
        length = 3000 if number % 500 == 499 else 100 if number % 50 == 49 else chooser.randint(6, 40)
        text = "".join(chooser.choice(*chooser.choices(ALPHABETS, mixture)) for _ in range(length))
        # Something that is no quote must be there: of quotes alone anything is full. A mark begins them all.
        yield f"{chooser.choice('kqxz')}{number % 10}{text.strip()}{chooser.choice('KQXZ7')}"


def pem(seed: int) -> str:
    """Return what looks like a private key: 60 lines."""
    chooser = random.Random(seed)
    lines = [base64.b64encode(chooser.randbytes(48)).decode() for _ in range(60)]
    return "\n".join(["-----BEGIN PRIVATE KEY-----", *lines, "-----END PRIVATE KEY-----"])


def spellings(secret: str) -> dict[str, str]:
    """Return how projects print a secret, by what does it."""
    escaped = secret.replace("\\", "\\\\").replace("'", "\\'")
    settings = {"default": {"ENGINE": "django.db.backends.postgresql", "PASSWORD": secret, "USER": "me"}}
    return {
        "plain": secret,
        "repr": repr(secret),
        "repr of repr": repr(repr(secret)),
        "ascii": ascii(secret),
        "bytes": repr(secret.encode()),
        "JSON": json.dumps(secret),
        "JSON of JSON": json.dumps(json.dumps({"password": secret}, ensure_ascii=False)),
        "shell": shlex.quote(secret),
        "HTML": html.escape(secret),
        "HTML of repr": html.escape(repr(secret)),
        "URL": f"postgres://me:{quote(secret, safe='')}@db.example/x",
        "URL in URL": quote(f"postgres://me:{quote(secret, safe='')}@db.example/x", safe=""),
        "form": quote_plus(secret),
        "small": quote(secret, safe="").lower(),
        "conninfo": f"host=x password='{escaped}' user=me",
        "SQL": "ALTER ROLE me PASSWORD '{}'".format(secret.replace("'", "''")),
        "pprint": pprint.pformat({"DATABASES": settings}, width=2000),
        "traceback": f"    password = {secret!r}\nValueError: ({secret!r}, 3)",
        "logging": "config {!r} taken from {!r}".format({"SECRET": secret}, [secret]),
        "base64": base64.b64encode(secret.encode()).decode(),
        "basic": "Authorization: Basic " + base64.b64encode(f"me:{secret}".encode()).decode(),
        "a long line": "x" * 3990 + secret + "y" * 1000,
    }


def traces(secret: str) -> set[str]:
    """Return what must not be seen of a secret, however the text around it is quoted: pieces of it are enough."""
    lines = [line.strip() for line in secret.splitlines() if len(line.strip()) >= 4]
    forms = {form for text in {secret, *lines} for form in (text, repr(text)[1:-1], ascii(text)[1:-1])}
    forms |= {quote(secret, safe=""), quote_plus(secret), quote(secret, safe="").lower(), json.dumps(secret)[1:-1]}
    forms |= {base64.b64encode(secret.encode()).decode().rstrip("=")}
    return forms | {form[:14] for form in forms if len(form) > 14} | {form[-14:] for form in forms if len(form) > 14}
