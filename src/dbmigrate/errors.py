"""Exit codes, and the errors a person sees: what happened, and what to type next."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum


class ExitCode(IntEnum):
    """What the process says to a script; every value has a section in docs/exit-codes.md."""

    OK = 0
    INTERNAL = 1
    USAGE = 2
    PROJECT = 3
    DECLINED = 4
    PENDING = 10
    MODEL_CHANGES = 11
    DRIFT = 12
    FINDINGS = 13
    LOCKED = 20
    UNREACHABLE = 21
    FAILED = 30
    PARTIAL = 31
    STALE = 32
    INTERRUPTED = 130
    TERMINATED = 143

    @classmethod
    def of_signal(cls, signum: int) -> ExitCode:
        """Return the code of a run that a signal ended: a person's ^C, or the system's SIGTERM or SIGHUP."""
        return cls.INTERRUPTED if signum == signal.SIGINT else cls.TERMINATED

    @property
    def label(self) -> str:
        """The name scripts and people use, for example "model-changes"."""
        return self.name.lower().replace("_", "-")

    @property
    def sentence(self) -> str:
        """The line that a command ends with, for example "exit 20 (locked): a lock could not be acquired"."""
        return f"exit {self.value} ({self.label}): {EXIT_MEANINGS[self]}"


EXIT_MEANINGS = {
    ExitCode.OK: "done",
    ExitCode.INTERNAL: "a bug in dbmigrate",
    ExitCode.USAGE: "the command could not be carried out as given",
    ExitCode.PROJECT: "the project could not be loaded",
    ExitCode.DECLINED: "it was not confirmed, or a safeguard does not allow it",
    ExitCode.PENDING: "migrations are not applied",
    ExitCode.MODEL_CHANGES: "migrations are missing",
    ExitCode.DRIFT: "database, migration records and code disagree",
    ExitCode.FINDINGS: "checks found errors",
    ExitCode.LOCKED: "a lock could not be acquired",
    ExitCode.UNREACHABLE: "a database is unreachable, read-only or could not be checked",
    ExitCode.FAILED: "a step failed, no migration was completed",
    ExitCode.PARTIAL: "some of the work was completed, but not all of it",
    ExitCode.STALE: "the plan is not the one that was approved",
    ExitCode.INTERRUPTED: "interrupted before everything was done",
    ExitCode.TERMINATED: "ended by a signal before everything was done",
}


@dataclass(frozen=True)
class Fact:
    """One of several facts that an error is made of, with its place in the project's files."""

    title: str
    """For example the id of the check that found it."""
    message: str
    hint: str
    file: str | None
    """As a finding has it: relative to the project's root, or absolute."""
    line: int | None


class DbmigrateError(Exception):
    """An error that ends the command: one fact, and a hint that can be typed or pasted."""

    code = ExitCode.INTERNAL

    facts: Sequence[Fact] = ()
    """Where the message has several: each on its own."""

    changed: bool | None = None
    """Whether the command had changed files or databases before it; None where that goes without saying."""

    def __init__(
        self, message: str, *, hint: str | None = None, detail: str | None = None, changed: bool | None = None
    ) -> None:
        """Keep the fact (`message`), the way out (`hint`) and what only `-v` shows (`detail`)."""
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.detail = detail
        if changed is not None:
            self.changed = changed


class UsageError(DbmigrateError):
    """A wrong flag, name or configuration key."""

    code = ExitCode.USAGE


class LostAnswer(UsageError):  # noqa: N818 - named for the outcome
    """Standard output did not take the answer that the command is there for."""


class ProjectError(DbmigrateError):
    """The project could not be found or loaded."""

    code = ExitCode.PROJECT


class DeclinedError(DbmigrateError):
    """A person said no, a confirmation is missing, or a guard of a destructive act does not allow it."""

    code = ExitCode.DECLINED


class ModelChangesError(DbmigrateError):
    """Migrations would have to be written, and could not be without a person."""

    code = ExitCode.MODEL_CHANGES


class FindingsError(DbmigrateError):
    """A check found something that must not be migrated over."""

    code = ExitCode.FINDINGS

    def __init__(
        self, message: str, *, hint: str | None = None, facts: Sequence[Fact] = (), changed: bool | None = None
    ) -> None:
        """Keep, in addition to the rest, what was found, each with its place."""
        super().__init__(message, hint=hint, changed=changed)
        self.facts = facts


class LockedError(DbmigrateError):
    """Another run holds a lock for longer than was to be waited, or a lock could not be tried."""

    code = ExitCode.LOCKED


class UnreachableError(DbmigrateError):
    """A database did not answer, or takes no writes."""

    code = ExitCode.UNREACHABLE


class StalePlanError(DbmigrateError):
    """What would run now is not what was approved."""

    code = ExitCode.STALE
    changed = False

    def __init__(self, differences: Sequence[object], *, detail: str | None = None) -> None:
        """Keep what differs (models.differences.Difference), the cause first; whoever shows it finds the words."""
        super().__init__("the plan is not the one that was approved", detail=detail)
        self.differences = differences


class StepError(DbmigrateError):
    """A step failed before any database was touched."""

    code = ExitCode.FAILED


class PartialError(DbmigrateError):
    """Part of the work was done; or steps were run, and what became of them could not be asked."""

    code = ExitCode.PARTIAL
    changed = True


class Interrupted(DbmigrateError):  # noqa: N818 - named for the outcome, as the exit code is
    """A person or the system asked to stop while nothing was being migrated."""

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        code: ExitCode = ExitCode.INTERRUPTED,
        changed: bool | None = None,
    ) -> None:
        """Keep, in addition to the rest, which signal it was."""
        super().__init__(message, hint=hint, changed=changed)
        self.code = code
