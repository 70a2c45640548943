"""A Prompter that has its answers beforehand."""

from __future__ import annotations

from collections.abc import Sequence

from dbmigrate.menu.prompter import MenuItem


class FakePrompter:
    """Answers in order; a text that is part of one label stands for its value, None goes back."""

    def __init__(self, *answers: str | bool | None) -> None:
        """Take the answers."""
        self._answers = list(answers)
        self.asked: list[str] = []
        self.offered: list[list[str]] = []

    def choose(self, question: str, choices: Sequence[MenuItem]) -> str | None:
        """Return the value of the line that the next answer is part of."""
        self.asked.append(question)
        self.offered.append([choice.label for choice in choices])
        answer = self._answers.pop(0)
        if answer is None:
            return None
        return next(choice.value for choice in choices if str(answer) in choice.label)

    find = choose

    def confirm(self, question: str, *, is_yes: bool) -> bool | None:
        """Return the next answer."""
        self.asked.append(f"{question} ({'Y/n' if is_yes else 'y/N'})")
        answer = self._answers.pop(0)
        assert answer is None or isinstance(answer, bool)
        return answer

    def write(self, question: str, default: str) -> str | None:
        """Return the next answer; an empty one is the default."""
        self.asked.append(f"{question} ({default})")
        answer = self._answers.pop(0)
        assert answer is None or isinstance(answer, str)
        return default if answer == "" else answer
