"""What `--format jsonl` prints: a line for each event, one for the answer, and one for the end."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal, Union

from pydantic import Field, RootModel

from dbmigrate.errors import DbmigrateError, ExitCode
from dbmigrate.models.base import Value
from dbmigrate.models.events import Event
from dbmigrate.models.reports import AnyReport, ErrorReport, ExitReport


class AnswerLine(Value):
    """The answer of the command; there is none where it ended before it had one."""

    type: Literal["answer"] = "answer"
    at: datetime
    result: AnyReport


class FinishedLine(Value):
    """The last line: how the command ended, whatever ended it."""

    type: Literal["finished"] = "finished"
    at: datetime
    version: Literal[1] = 1
    command: str | None
    exit: ExitReport
    error: ErrorReport | None
    lost_output: tuple[str, ...] = ()
    """What could not be written of the other output, for example a report that nobody reads."""

    @classmethod
    def of(
        cls,
        at: datetime,
        command: str | None,
        code: ExitCode,
        error: DbmigrateError | None,
        lost_output: Sequence[str],
    ) -> FinishedLine:
        """Return the line for an exit code, and for the error if one ended the command."""
        return cls(
            at=at,
            command=command,
            exit=ExitReport.of(code),
            error=ErrorReport.of(error),
            lost_output=tuple(lost_output),
        )


class JsonLine(RootModel[Annotated[Union[Event, AnswerLine, FinishedLine], Field(discriminator="type")]]):
    """One line."""
