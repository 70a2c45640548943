"""The JSON Schemas of what `--format json` and `--format jsonl` print, as docs/generate.py writes them."""

from __future__ import annotations

import json

from pydantic import BaseModel

from dbmigrate.models.json_lines import JsonLine
from dbmigrate.models.reports import Envelope


def envelope_schema() -> str:
    """Return the schema of the envelope, as it stands in docs/schema/envelope.json."""
    return _schema_of(Envelope)


def line_schema() -> str:
    """Return the schema of a line of `--format jsonl`, as it stands in docs/schema/line.json."""
    return _schema_of(JsonLine)


def _schema_of(model: type[BaseModel]) -> str:
    return json.dumps(model.model_json_schema(mode="serialization"), indent=2, sort_keys=True) + "\n"
