"""One group of lines for each database: GitHub's cannot overlap, and several databases are migrated at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dbmigrate.models.plan import MigrationPlan
from dbmigrate.renderers.run_words import database_heading, deed_of
from dbmigrate.renderers.workflow import workflow_command


class Groups:
    """Writes the lines of one database as they come; those of the others wait until its group ends."""

    def __init__(self, write: Callable[[Sequence[str]], None], command: Callable[[str], None]) -> None:
        """Write text with `write` and commands with `command`."""
        self._write = write
        self._command = command
        self._open: str | None = None
        self._waiting: dict[str, list[str]] = {}
        """By alias, in the order in which they began."""
        self._steps: dict[str, set[str]] = {}
        """By alias: steps that have not ended."""
        self._titles: dict[str, str] = {}

    def begin(self, plan: MigrationPlan) -> None:
        """Take the plan whose steps follow."""
        self._steps = {}
        for step in plan.steps:
            deed = deed_of(step.migrations, fake=plan.selection.fake)
            self._titles.setdefault(step.alias, database_heading(step.alias, deed))
            self._steps.setdefault(step.alias, set()).add(step.id)

    def add(self, alias: str, lines: Sequence[str]) -> None:
        """Write lines of a database, or keep them until they fit."""
        if not lines:
            return
        if self._open is None:
            self._enter(alias)
        if self._open == alias:
            self._write(lines)
        else:
            self._waiting.setdefault(alias, []).extend(lines)

    def end_step(self, alias: str, step: str) -> None:
        """End the group of a database after its last step, and continue with the next."""
        self._steps.get(alias, set()).discard(step)
        while self._open is not None and not self._steps.get(self._open):
            self._leave()
            if self._waiting:
                following = next(iter(self._waiting))
                self._enter(following)
                self._write(self._waiting.pop(following))

    def flush(self) -> None:
        """Write everything that waits, and end every group."""
        if self._open is not None:
            self._leave()
        for alias, lines in self._waiting.items():
            self._enter(alias)
            self._write(lines)
            self._leave()
        self._waiting = {}

    def _enter(self, alias: str) -> None:
        self._open = alias
        self._command(workflow_command("group", self._titles[alias]))

    def _leave(self) -> None:
        self._open = None
        self._command(workflow_command("endgroup"))
