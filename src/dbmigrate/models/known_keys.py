"""Take what this version knows out of a document that a later one may have written."""

from __future__ import annotations

from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from dbmigrate.models.base import Value


def known_part(value: Any, shape: Any) -> Any:
    """Return JSON without the keys that the models of a type do not have, at any depth."""
    origin, parameters = get_origin(shape), get_args(shape)
    if origin is Annotated:
        return known_part(value, parameters[0])
    if origin in (Union, UnionType):
        inner = next((one for one in parameters if one is not type(None)), Any)
        return None if value is None else known_part(value, inner)
    if isinstance(value, dict) and isinstance(shape, type) and issubclass(shape, Value):
        fields = shape.model_fields
        return {key: known_part(part, fields[key].annotation) for key, part in value.items() if key in fields}
    if isinstance(value, dict) and origin is dict:
        return {key: known_part(part, parameters[1]) for key, part in value.items()}
    if isinstance(value, list) and origin is tuple:
        return [known_part(part, parameters[0]) for part in value]
    return value
