"""What a command shows."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from dbmigrate.models.events import Event
    from dbmigrate.renderers.base import Renderer

Answered = TypeVar("Answered")


def follow(renderer: Renderer, work: Generator[Event, None, Answered]) -> Answered:
    """Show what a use case yields as it comes, and return what it returns."""
    with closing(work):
        while True:
            try:
                event = next(work)
            except StopIteration as ended:
                answer: Answered = ended.value
                return answer
            renderer.show(event)
