"""What every format can do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from dbmigrate.errors import DbmigrateError, ExitCode
from dbmigrate.models.events import Event

if TYPE_CHECKING:
    from dbmigrate.models.reports import AnyReport


class Renderer(Protocol):
    """Shows one command, from its first event to its exit code."""

    @property
    def needs_streams(self) -> bool:
        """Whether nobody else may write to our streams: a command of the project would garble what it writes."""

    def show(self, event: Event) -> None:
        """Show one event of a run."""

    def answer(self, report: AnyReport) -> None:
        """Show the command's answer."""

    def refuse(self, error: DbmigrateError) -> None:
        """Show the error that ended the command."""

    def close(self, code: ExitCode) -> None:
        """End the output; comes once, after everything else."""
