"""The Prompter of a terminal. The only file that imports InquirerPy, which takes 0.3 s: so it is imported last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from InquirerPy import inquirer
from InquirerPy.base.control import Choice as InquirerChoice
from InquirerPy.prompts.fuzzy import FuzzyPrompt
from InquirerPy.utils import get_style

from dbmigrate.menu.prompter import MenuItem

# Esc, ^C and ^D all answer None (with `mandatory` off), and are never an exception.
BACK: dict[str, Any] = {
    "keybindings": {"skip": [{"key": "escape"}, {"key": "c-c"}, {"key": "c-d"}]},
    "mandatory": False,
    "raise_keyboard_interrupt": False,
}

ESCAPE_SECONDS = 0.05


class InquirerPrompter:
    """Asks with arrow keys and fuzzy lists."""

    def __init__(self, *, has_unicode: bool, has_color: bool, is_dumb: bool) -> None:
        """Draw a pointer that the terminal can show; `is_dumb`: it says so itself (TERM)."""
        self._is_dumb = is_dumb
        self._pointer = "❯" if has_unicode else ">"
        self._marks: dict[str, Any] = {"qmark": "?", "amark": "?"}
        if not has_color:
            self._marks["style"] = get_style({"question": ""}, style_override=True)

    def choose(self, question: str, choices: Sequence[MenuItem]) -> str | None:
        """Show a list."""
        prompt = inquirer.select(  # type: ignore[attr-defined]
            message=question,
            choices=_lines(choices),
            cycle=True,
            show_cursor=False,
            pointer=self._pointer,
            **self._marks,
            **BACK,
        )
        answer: str | None = _ask(prompt, prompt.application)
        return answer

    def find(self, question: str, choices: Sequence[MenuItem]) -> str | None:
        """Show a list that is narrowed by typing."""
        prompt = _Fuzzy(
            message=question,
            choices=_lines(choices),
            max_height="60%",
            border=False,
            pointer=self._pointer,
            prompt=self._pointer,
            **self._marks,
            **BACK,
        )
        answer: str | None = _ask(prompt, prompt.application)
        return answer

    def confirm(self, question: str, *, is_yes: bool) -> bool | None:
        """Ask for y or n."""
        if self._is_dumb:
            # There prompt_toolkit reads a line instead, and neither Enter nor y would be understood.
            choices = [MenuItem("yes", "Yes"), MenuItem("no", "No")]
            chosen = self.choose(question, choices if is_yes else choices[::-1])
            return None if chosen is None else chosen == "yes"
        prompt = inquirer.confirm(message=question, default=is_yes, **self._marks, **BACK)  # type: ignore[attr-defined]
        answer: bool | None = _ask(prompt, prompt._session.app)
        return answer

    def write(self, question: str, default: str) -> str | None:
        """Ask for a line of text."""
        prompt = inquirer.text(message=question, default=default, **self._marks, **BACK)  # type: ignore[attr-defined]
        answer: str | None = _ask(prompt, prompt._session.app)
        return answer


class _Fuzzy(FuzzyPrompt):
    """Lets Enter wait until the list is narrowed by what was typed before it.

    InquirerPy narrows in a task. Where both come at once (a paste, a slow line), it answers from the list as it was.
    """

    def _handle_enter(self, event: Any) -> None:
        if self._task is not None and not self._task.done():
            self._task.add_done_callback(lambda _: self._handle_enter(event))
            return
        control = self.content_control
        control.selected_choice_index = max(0, min(control.selected_choice_index, control.choice_count - 1))
        super()._handle_enter(event)


def _ask(prompt: Any, application: Any) -> Any:
    # A lone Esc waits for what may follow it, by default for more than a second.
    application.ttimeoutlen = application.timeoutlen = ESCAPE_SECONDS
    return prompt.execute()


def _lines(choices: Sequence[MenuItem]) -> list[InquirerChoice]:
    return [InquirerChoice(value=choice.value, name=choice.label) for choice in choices]
