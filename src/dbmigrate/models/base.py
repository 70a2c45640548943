"""The base of the pydantic models."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from dbmigrate.errors import ExitCode


class Value(BaseModel):
    """An immutable value; a key it does not know is an error, so that both sides of a channel agree."""

    # A command needs few of the models; what validates one is built when it is first needed.
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class Hashed(Value):
    """A value of hashes and of names: no secret is in it, and a hash that is hidden in part compares with nothing."""


class Report(Value):
    """The answer of a command."""

    @property
    def exit_code(self) -> ExitCode:
        """What the process returns; 0 for one that only informs."""
        return ExitCode.OK


class Whole:
    """Marks a text that is never hidden in part: a hash."""


@dataclass(frozen=True)
class Most:
    """How many characters of a text are shown: what is behind them is left out once there are no secrets in it."""

    characters: int

    def shorten(self, text: str) -> str:
        """Return the text, or its beginning and how much is left out."""
        left = len(text) - self.characters
        return text if left <= 0 else f"{text[: self.characters]} … ({left} more characters)"


LINE = Most(4000)
"""For a line that a child printed."""

MESSAGE = Most(400)
"""For what an exception says; all of it is in the last lines."""
