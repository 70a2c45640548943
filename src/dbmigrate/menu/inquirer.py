"""The Prompter of a terminal. The only file that imports InquirerPy, which takes 0.3 s: so it is imported last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from InquirerPy import inquirer
from InquirerPy.base.control import Choice as InquirerChoice

from dbmigrate.menu.prompter import Choice

# Esc and ^C both answer None (with `mandatory` off), and are never an exception.
BACK: dict[str, Any] = {
    "keybindings": {"skip": [{"key": "escape"}, {"key": "c-c"}]},
    "mandatory": False,
    "raise_keyboard_interrupt": False,
}

ESCAPE_SECONDS = 0.05


class InquirerPrompter:
    """Asks with arrow keys and fuzzy lists."""

    def __init__(self, *, has_unicode: bool) -> None:
        """Draw a pointer that the terminal can show."""
        self._marks: dict[str, Any] = {"qmark": "?", "amark": "?", "pointer": "❯" if has_unicode else ">"}

    def choose(self, question: str, choices: Sequence[Choice]) -> str | None:
        """Show a list."""
        prompt = inquirer.select(  # type: ignore[attr-defined]
            message=question, choices=_lines(choices), cycle=True, show_cursor=False, **self._marks, **BACK
        )
        answer: str | None = _ask(prompt, prompt.application)
        return answer

    def find(self, question: str, choices: Sequence[Choice]) -> str | None:
        """Show a list that is narrowed by typing."""
        prompt = inquirer.fuzzy(  # type: ignore[attr-defined]
            message=question, choices=_lines(choices), max_height="60%", border=False, **self._marks, **BACK
        )
        answer: str | None = _ask(prompt, prompt.application)
        return answer

    def confirm(self, question: str) -> bool | None:
        """Ask for y or n."""
        marks = {key: mark for key, mark in self._marks.items() if key != "pointer"}
        prompt = inquirer.confirm(message=question, default=True, **marks, **BACK)  # type: ignore[attr-defined]
        answer: bool | None = _ask(prompt, prompt._session.app)
        return answer


def _ask(prompt: Any, application: Any) -> Any:
    # A lone Esc waits for what may follow it, by default for more than a second.
    application.ttimeoutlen = application.timeoutlen = ESCAPE_SECONDS
    return prompt.execute()


def _lines(choices: Sequence[Choice]) -> list[InquirerChoice]:
    return [InquirerChoice(value=choice.value, name=choice.label) for choice in choices]
