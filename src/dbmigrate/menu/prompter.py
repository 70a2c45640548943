"""What the menu needs from a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class MenuItem:
    """One line of a list."""

    value: str
    label: str


class Prompter(Protocol):
    """Asks a person; None is the answer of someone who goes back (Esc, ^C)."""

    def choose(self, question: str, choices: Sequence[MenuItem]) -> str | None:
        """Return the value of the chosen line."""

    def find(self, question: str, choices: Sequence[MenuItem]) -> str | None:
        """Return the value of the chosen line; typing narrows the list."""

    def confirm(self, question: str, *, is_yes: bool) -> bool | None:
        """Return whether the answer is yes; `is_yes`: whether Enter alone means that."""

    def write(self, question: str, default: str) -> str | None:
        """Return the text that is typed; `default`: what Enter alone means."""
