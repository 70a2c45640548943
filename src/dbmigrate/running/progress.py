"""Know which migration a child is at, from the words Django prints; for showing and for naming a failure. Pure."""

from __future__ import annotations

import re

from dbmigrate.models.migrations import MigrationId
from dbmigrate.models.plan import Step

# "  Applying blog.0001_initial... OK" (django/core/management/commands/migrate.py, migration_progress_callback). A
# migration may print inside that line ("...working..."), so only its beginning is looked at, up to the first dots; "OK"
# at the end tells that it is over. A name may have spaces, but so may a sentence of the project's: it must be planned.
_ANNOUNCED = re.compile(r"^\s*(Applying|Unapplying) (\w+\.[^.]+)\.\.\.(.*)$")
_DONE = re.compile(r"\b(OK|FAKED)$")


class MigrationWatch:
    """Follows one step's lines."""

    def __init__(self, step: Step) -> None:
        """Start before the first migration."""
        self._planned = [migration.id for migration in step.migrations]
        self._seen: list[MigrationId] = []
        self._is_done = True
        self.done: list[MigrationId] = []
        """The migrations that were said to be done."""
        self.is_backwards = False

    @property
    def in_flight(self) -> MigrationId | None:
        """The migration that was announced and not said to be done."""
        return self._seen[-1] if self._seen and not self._is_done else None

    @property
    def announced(self) -> tuple[MigrationId, ...]:
        """Every migration that has begun."""
        return tuple(self._seen)

    @property
    def position(self) -> int:
        """1 while the first migration runs."""
        return len(self._seen)

    @property
    def total(self) -> int:
        """How many migrations the step has; more than planned where Django found more."""
        return max(len(self._planned), len(self._seen))

    def read(self, line: str) -> MigrationId | None:
        """Take a line, or the beginning of one; return a migration that it announces for the first time."""
        match = _ANNOUNCED.match(line)
        if match is None or not (match[2] in self._planned or re.fullmatch(r"\S+", match[2])):
            if self._seen and _DONE.search(line.rstrip()):
                self._note(is_done=True)
            return None
        act, migration, rest = match.groups()
        self.is_backwards = act == "Unapplying"
        is_new = migration not in self._seen
        if is_new:
            self._seen.append(migration)
        self._note(is_done=bool(_DONE.search(rest.rstrip())))
        return migration if is_new else None

    def _note(self, *, is_done: bool) -> None:
        """Take what the line of the last migration says so far: one that says "OK" in its middle continues."""
        self._is_done = is_done
        others = [migration for migration in self.done if migration != self._seen[-1]]
        self.done = [*others, self._seen[-1]] if is_done else others
