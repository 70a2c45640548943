"""Take the secrets out of what is shown: out of every text of an event, an answer or an error, before it is laid out.

A renderer breaks lines, and leaves out what does not fit: what is left of a secret then is not found any more.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import is_dataclass, replace
from typing import Any

from dbmigrate.errors import DbmigrateError, StalePlanError
from dbmigrate.models.base import Hashed, Most, Value, Whole
from dbmigrate.redact import Redactor

SHORT = 400
"""Characters of a text that is shortened nowhere."""


def scrubbed(shown: Any, redactor: Redactor) -> Any:
    """Return an event, an answer or an error without secrets; what has none is returned itself."""
    if isinstance(shown, DbmigrateError):
        return _scrub_error(shown, redactor)
    texts = dict.fromkeys(_texts(shown))  # a plan has most of them many times
    whole = "\n".join(texts)
    is_short = all(len(text) <= SHORT for text in texts)
    return shown if is_short and redactor.scrub(whole) == whole else _scrub(shown, redactor)


def _scrub_error(error: Any, redactor: Redactor) -> Any:
    shown = copy.copy(error)
    shown.message = redactor.scrub(error.message, is_own=True)
    shown.args = (shown.message,)
    shown.hint = error.hint and redactor.scrub(error.hint, is_own=True)
    shown.detail = error.detail and redactor.scrub(error.detail)
    shown.facts = _scrub(tuple(error.facts), redactor)
    if isinstance(error, StalePlanError):
        shown.differences = _scrub(tuple(error.differences), redactor)
    return shown


def _texts(shown: object) -> Iterator[str]:
    """Yield every text that is in a value; keys of dictionaries are aliases and names."""
    if isinstance(shown, str):
        yield shown
    elif isinstance(shown, Value) and not isinstance(shown, Hashed):
        for part in shown.__dict__.values():
            yield from _texts(part)
    elif isinstance(shown, Mapping):
        for part in shown.values():
            yield from _texts(part)
    elif isinstance(shown, tuple | list):
        for part in shown:
            yield from _texts(part)


def _scrub(shown: Any, redactor: Redactor, most: Most | None = None) -> Any:
    if isinstance(shown, str):
        # What is shortened comes from the project.
        return redactor.scrub(shown, is_own=True) if most is None else most.shorten(redactor.scrub(shown))
    if isinstance(shown, Hashed):
        return shown
    if isinstance(shown, Value):
        return shown.model_copy(
            update={
                name: _scrub(
                    getattr(shown, name), redactor, next((one for one in field.metadata if isinstance(one, Most)), None)
                )
                for name, field in type(shown).model_fields.items()
                if not any(isinstance(one, Whole) for one in field.metadata)
            }
        )
    if isinstance(shown, Mapping):
        return {key: _scrub(part, redactor) for key, part in shown.items()}
    if isinstance(shown, tuple):
        return tuple(_scrub(part, redactor, most) for part in shown)
    if is_dataclass(shown) and not isinstance(shown, type):
        return replace(shown, **{name: _scrub(part, redactor) for name, part in vars(shown).items()})
    return shown
