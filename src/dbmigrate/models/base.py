"""The base of the pydantic models."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Value(BaseModel):
    """An immutable value; a key it does not know is an error, so that both sides of a channel agree."""

    # A command needs few of the models; what validates one is built when it is first needed.
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)
