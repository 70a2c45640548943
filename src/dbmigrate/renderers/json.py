"""`--format json`: one document, whatever happens."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import TextIO

from pydantic_core import PydanticSerializationError, to_json

from dbmigrate.errors import DbmigrateError, ExitCode
from dbmigrate.models.base import Value
from dbmigrate.models.events import Event, ResetListed
from dbmigrate.models.reports import AnyReport, Envelope
from dbmigrate.models.reset import ResetList
from dbmigrate.renderers.encoding import encodable

_NOT_ASCII = re.compile("[^\0-\x7f]")


class JsonRenderer:
    """Keeps the answer or the error, and writes the envelope at the end."""

    needs_streams = False

    def __init__(self, write: Callable[[str], None], command: str | None, lost: Sequence[str] = ()) -> None:
        """Give `write` the document, once; `lost` holds at the end what others could not write."""
        self._lost = lost
        self._write = write
        self._command = command
        self._answer: AnyReport | None = None
        self._reset: ResetList | None = None
        self._error: DbmigrateError | None = None

    def show(self, event: Event) -> None:
        """Keep what a reset would take away; the answer has all the rest."""
        if isinstance(event, ResetListed):
            self._reset = event.reset

    def answer(self, report: AnyReport) -> None:
        """Keep the answer."""
        self._answer = report

    def refuse(self, error: DbmigrateError) -> None:
        """Keep the error."""
        self._error = error

    def close(self, code: ExitCode) -> None:
        """Write the document."""
        envelope = Envelope.of(self._command, code, self._answer, self._error, self._lost, self._reset)
        self._write(as_json(envelope, indent=2) + "\n")


def write_text(out: TextIO, text: str) -> None:
    """Write JSON to a stream: what its encoding has no place for is escaped."""
    if not (out.encoding or "").lower().replace("-", "").startswith("utf8"):
        text = _NOT_ASCII.sub(lambda found: json.dumps(found[0])[1:-1], text)
    out.write(text)
    out.flush()


def as_json(value: Value, *, indent: int | None = None) -> str:
    """Return a value as JSON, also where it holds bytes that are not UTF-8: a path, a name or a message may."""
    try:
        return value.model_dump_json(indent=indent)
    except PydanticSerializationError:
        return to_json(_encodable(value.model_dump()), indent=indent).decode()


def _encodable(value: object) -> object:
    match value:
        case str():
            return encodable(value)
        case dict():
            return {_encodable(key): _encodable(part) for key, part in value.items()}
        case list() | tuple():
            return [_encodable(part) for part in value]
        case _:
            return value
