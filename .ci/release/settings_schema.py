"""The JSON Schema of `[tool.dbmigrate]`, in the form of SchemaStore, made from the keys of the program."""

from __future__ import annotations

import json
from typing import Any

from dbmigrate import config
from dbmigrate.models.settings import THIRD_PARTY, UNMARKED

NO_NUL = "[^\\u0000]"
_WORDS = ("1", "true", "yes", "on", "0", "false", "no", "off")


def settings_schema() -> str:
    """Return the schema: what it accepts the program accepts, and the other way round.

    The program reads a value of the file as it reads a variable, so a number or a list may be a string.
    JSON has no difference between 4 and 4.0, TOML has: the program takes 4.0 for no whole number.
    """
    own = {name: _schema_of(key) for name, key in config.DATABASE_KEYS.items()}
    databases = {
        "description": "the same for one database",
        "type": "object",
        "additionalProperties": {"type": "object", "additionalProperties": False, "properties": own},
    }
    schema = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$id": "https://json.schemastore.org/partial-dbmigrate.json",
        "title": "dbmigrate",
        "description": "Migrate every database of a Django project",
        "type": "object",
        "additionalProperties": False,
        "properties": {**{name: _schema_of(key) for name, key in config.KEYS.items()}, "databases": databases},
    }
    return json.dumps(schema, indent=2) + "\n"


def _schema_of(key: config.Key) -> dict[str, Any]:
    default = {"default": json.loads(key.default.strip("`"))} if _is_value(key.default) else {}
    return {"description": key.meaning.removesuffix("; see below"), **default, **_values_of(key)}


def _is_value(default: str) -> bool:
    try:
        json.loads(default.strip("`"))
    except ValueError:
        return False
    return default.startswith("`")


def _values_of(key: config.Key) -> dict[str, Any]:
    """Return what a key takes; a form that is not here is a KeyError in `make docs`."""
    by_form: dict[str, dict[str, Any]] = {
        "choice": {"enum": [*key.form.choices]},
        "text": {"type": "string", "pattern": f"^{NO_NUL}*[^\\s\\u0000]{NO_NUL}*$"},
        "number": _either({"type": "integer", "minimum": 1, "maximum": config.MOST_NUMBER}, _digits()),
        "seconds": _either({"type": "number", "minimum": 0, "maximum": config.MOST_SECONDS}, _decimals()),
        "truth": _either({"type": "boolean"}, "|".join(map(_any_case, _WORDS))),
        "names": _either({"type": "array", "items": {"type": "string", "pattern": f"^{NO_NUL}*$"}}, f"{NO_NUL}*"),
        "urls": _either(
            {"type": "object", "additionalProperties": {"type": "string", "pattern": _URL}}, _entries(_URL_OF_ALIAS)
        ),
        "phases": _either(
            _phases(), _entries(f"({THIRD_PARTY}|{UNMARKED})=ask", f"[^=,]*=({'|'.join(config.PHASES)})")
        ),
    }
    return by_form[key.form.name]


def _phases() -> dict[str, Any]:
    undecided = {name: {"enum": [*config.PHASES, "ask"]} for name in (THIRD_PARTY, UNMARKED)}
    return {"type": "object", "properties": undecided, "additionalProperties": {"enum": [*config.PHASES]}}


def _either(value: dict[str, Any], text: str) -> dict[str, Any]:
    return {"anyOf": [value, {"type": "string", "pattern": f"^({text})$"}]}


def _digits() -> str:
    return "\\s*\\+?0*(10000|[1-9][0-9]{0,3})\\s*"


def _decimals() -> str:
    return "\\s*\\+?0*(2000000(\\.0*)?|1?[0-9]{1,6}(\\.[0-9]*)?|\\.[0-9]+)\\s*"


def _any_case(word: str) -> str:
    return "".join(f"[{letter.upper()}{letter}]" if letter.isalpha() else letter for letter in word)


_URL = f"^{NO_NUL}*://{NO_NUL}*$"
_IN_ENTRY = "[^,\\u0000]"


def _entries(*entries: str) -> str:
    """Return the pattern of what may stand between commas; the program skips what is empty there."""
    entry = f"\\s*({'|'.join(entries)})?\\s*"
    return f"({entry},)*{entry}"


_URL_OF_ALIAS = f"[^=,]*={_IN_ENTRY}*://{_IN_ENTRY}*"
