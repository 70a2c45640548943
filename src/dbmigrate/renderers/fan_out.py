"""One command shown in several places: on the streams, in the files that were asked for. None stops another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dbmigrate.errors import DbmigrateError, ExitCode, LostAnswer
from dbmigrate.models.events import Event
from dbmigrate.redact import Redactor
from dbmigrate.renderers.base import Renderer
from dbmigrate.renderers.scrubbing import scrubbed
from dbmigrate.system import lost_answer

if TYPE_CHECKING:
    from dbmigrate.models.reports import AnyReport

DONE = ("run", "make", "squash")
"""Answers of commands that did something: it stays done when nobody can be told of it."""


@dataclass
class Sink:
    """One of the places."""

    renderer: Renderer
    name: str | None
    """The option that asked for it, for example "--junit report.xml"; None is the command's own output."""
    error: OSError | None = None
    """Why it could not be written any more."""
    is_closed: bool = False


class FanOut:
    """Passes what a command shows to each sink, without secrets; one that fails drops out, with a word.

    What runs continues then; an answer that only the streams would have had is lost.

    Nothing is scrubbed before: what was is for people alone, and dbmigrate itself reads what came.
    """

    def __init__(self, redactor: Redactor, warn: Callable[[str], None], lost: list[str], *, is_work: bool) -> None:
        """Begin with no sink. `warn` takes a sentence; `lost` gets what the sinks with a name could not write.

        `is_work`: whether the command is there for what it does, not for its answer.
        """
        self._redactor = redactor
        self._warn = warn
        self._lost = lost
        self._sinks: list[Sink] = []
        self._is_work = is_work
        """Whether what is shown is about work that continues without it."""
        self._lost_answer: LostAnswer | None = None

    def add(self, renderer: Renderer, name: str | None = None) -> None:
        """Show what follows there too; what was added first is closed first."""
        self._sinks.append(Sink(renderer, name))

    @property
    def is_begun(self) -> bool:
        """Whether the command's own output is one of them."""
        return any(sink.name is None for sink in self._sinks)

    @property
    def is_lost(self) -> bool:
        """Whether the command's own output could not be written."""
        return any(sink.name is None and sink.error is not None for sink in self._sinks)

    @property
    def needs_streams(self) -> bool:
        """Whether nobody else may write to our streams."""
        return any(sink.renderer.needs_streams for sink in self._sinks if sink.error is None)

    def show(self, event: Event) -> None:
        """Show one event."""
        shown = scrubbed(event, self._redactor)
        self._each(lambda renderer: renderer.show(shown))

    def answer(self, report: AnyReport) -> None:
        """Show the answer."""
        self._is_work = report.type in DONE
        own = next((sink.error for sink in self._sinks if sink.name is None), None)
        if not self._is_work and own is not None:
            self._lost_answer = lost_answer(own)
        shown = scrubbed(report, self._redactor)
        self._each(lambda renderer: renderer.answer(shown))

    def refuse(self, error: DbmigrateError) -> bool:
        """Show the error; return whether the command's own output takes it, which may be lost when that is closed."""
        self._is_work = False
        shown = scrubbed(error, self._redactor)
        self._each(lambda renderer: renderer.refuse(shown))
        return any(sink.name is None and sink.error is None and not sink.is_closed for sink in self._sinks)

    def close(self, code: ExitCode) -> None:
        """End all output that has not ended yet.

        Raises:
            LostAnswer: all that the command is there for is an answer, and that was not written.
        """
        is_fine = code == ExitCode.OK
        for sink in self._sinks:
            if sink.is_closed:
                continue
            sink.is_closed = True  # before: what a signal interrupts here is not begun again
            self._try(sink, _closing(code))
            if is_fine and self._lost_answer is not None and code == ExitCode.OK:
                code = self._lost_answer.code
                self.refuse(self._lost_answer)
        if self._lost_answer is not None:
            if is_fine:
                raise self._lost_answer
            self._warn(self._lost_answer.message)

    def _each(self, act: Callable[[Renderer], None]) -> None:
        for sink in self._sinks:
            if not sink.is_closed:
                self._try(sink, act)

    def _try(self, sink: Sink, act: Callable[[Renderer], None]) -> None:
        if sink.error is not None:
            return
        try:
            act(sink.renderer)
        except OSError as error:
            sink.error = error
            if sink.name is not None:
                self._lost.append(f"{sink.name}: {error.strerror}")
                self._warn(f"{sink.name} cannot be written ({error.strerror}); the exit code does not change")
            elif self._is_work:
                self._warn(f"the output can no longer be written ({error.strerror}); the run continues")
            else:
                self._lost_answer = lost_answer(error)


def _closing(code: ExitCode) -> Callable[[Renderer], None]:
    return lambda renderer: renderer.close(code)
