"""What a check says."""

from __future__ import annotations

from typing import Literal

from dbmigrate.models.base import Value
from dbmigrate.models.migrations import MigrationId
from dbmigrate.models.settings import LINTER, Phase

Level = Literal["error", "warning", "note"]

FailOn = Literal["note", "warning", "error", "destructive"]
"""From which level on a finding fails the command; "destructive" is "error" and what destroys data."""

Category = Literal["drift", "model-changes"]
"""What a finding means for the exit code of a check that fails for nothing else: a database, its records and the code
differ, or models changed and no migration covers it."""

Subject = tuple[str, ...]
"""What a finding is about, as the host can find it in the project's files: ("model", "blog.post"),
("field", "blog.post", "author"), ("migration", "blog.0002_tags"), ("operation", "blog.0002_tags", "0", "author"),
("mark", "blog.0002_tags", "safe"), ("router", "routers.Router"), ("setting", "DATABASES", "blog_db")."""


Location = tuple[str, int | None]
"""A file, relative to the project's root or absolute outside of it, and a line, from 1."""


def place_of(file: str, line: int | None) -> str:
    """Return file and line as editors and terminals make a link of them."""
    return file if line is None else f"{file}:{line}"


class Finding(Value):
    """One thing a check found: a sentence with the names in it, and what to type or write next."""

    id: str
    """For example "DBM102"; docs/checks.md has a section for each."""
    level: Level
    category: Category | None = None
    """That of its check."""
    stops: bool
    """Whether `all` and `run` refuse to touch anything while it stands."""
    stops_app_only: bool = False
    """Of one that stops: whether it leaves alone a run that was asked for other apps, or for some databases."""
    stops_work_only: bool = False
    """Of one that stops: whether it leaves alone a run that only records (`--fake`)."""
    stops_runs_only: bool = False
    """Of one that stops: whether `plan` shows all the same what a run would do, as for a role that may only read."""
    stops_locked_only: bool = False
    """Of one that stops: whether it stops a run only once that holds the locks. Until then another run may be the
    reason, which has made a table and has not recorded it yet."""
    stops_phases: tuple[Phase, ...] = ()
    """Of one that stops: the phases whose runs it stops alone (`--phase`); empty means any run."""
    message: str
    hint: str
    aliases: tuple[str, ...] = ()
    apps: tuple[str, ...] = ()
    migrations: tuple[MigrationId, ...] = ()
    """Pending migrations it is about; one that stops, stops only a run that would apply one of them."""
    subject: Subject = ()
    file: str | None = None
    """Where it is: relative to the project's root, or absolute outside of it; None if it is in no file."""
    line: int | None = None
    """From 1."""
    also: Subject = ()
    """What else it is about."""
    also_at: str = ""
    """File and line of that."""
    fails_runs: bool = False
    """Whether a run that it does not stop ends with exit 12 (drift) because of it."""
    destroys: bool = False
    """Whether a pending migration loses data or cannot be reversed: what `--fail-on destructive` looks for."""

    @property
    def location(self) -> str:
        """File and line as editors and terminals make a link of them; "" if it is in no file."""
        return "" if self.file is None else place_of(self.file, self.line)

    @property
    def sentence(self) -> str:
        """The whole of it in one line, but for what to do."""
        places = ", ".join(place for place in (self.location, self.also_at) if place)
        return f"{self.id}: {self.message}" + (f" ({places})" if places else "")

    def as_warning(self, *, fails_run: bool = False) -> Finding:
        """Return it as a run shows it that it does not stop: an error to `check` is a warning there, and says so.

        `fails_run`: whether the run ends with exit 12 for it.
        """
        if self.level != "error":
            return self
        so = "a run continues and then exits with 12, and" if fails_run else "a run continues, but"
        message = f"{self.message}; {so} dbmigrate check fails"
        return self.model_copy(update={"level": "warning", "message": message})

    def as_remark(self) -> Finding:
        """Return it as an answer shows it that fails for no finding: an error to `check` is a warning there."""
        return self.model_copy(update={"level": "warning"}) if self.level == "error" else self


def is_of_linter(identifier: str) -> bool:
    """Return whether an id is that of a rule of squawk, which alone knows them, or of all of them."""
    return identifier.partition(":")[0] == LINTER
