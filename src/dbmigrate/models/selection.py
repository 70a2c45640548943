"""What the user asked for."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from dbmigrate.models.base import Value
from dbmigrate.models.findings import FailOn
from dbmigrate.models.settings import Phase

Target = tuple[str, str]
"""An app, and the migration to go to: its name, the beginning of that, or "zero"."""

Targets = Mapping[str, tuple[Target, ...]]
"""By alias: where apps go there, one after the other; an app may go to the ends of several branches.

On an alias that is in it no other app moves; on the others every app goes to its last."""


class Selection(Value):
    """Which databases and apps, and how; the flags and the menu build the same value."""

    databases: tuple[str, ...] = ()
    """Aliases named; empty means all."""
    apps: tuple[str, ...] = ()
    """App labels named; empty means all."""
    to: str | None = None
    """Migration name, a prefix of it, or "zero"; only with exactly one app."""
    fake: bool = False
    fake_initial: bool = False
    run_syncdb: bool = False
    make_migrations: bool = True
    """Write missing migrations first."""
    allow_data_loss: bool = False
    """Apply also what destroys data and was not written before this run."""
    phase: Phase | None = None
    """Only what runs in this phase of a deploy; None is all."""
    always: bool = False
    """Run every step, also where nothing is pending."""

    @property
    def writes_migrations(self) -> bool:
        """Whether missing migrations are written: never if something was named."""
        return self.make_migrations and self.is_everything

    @property
    def is_everything(self) -> bool:
        """Whether no database and no app was named."""
        return not self.databases and not self.apps

    def targets_on(self, aliases: Iterable[str]) -> Targets:
        """Return where its apps go on these databases: `--to` is the same on all of them."""
        if self.to is None:
            return {}
        everywhere = tuple((app, self.to) for app in self.apps)
        return dict.fromkeys(aliases, everywhere)

    def leaves_out(self, apps: Collection[str]) -> bool:
        """Return whether something was named, and none of these apps."""
        return not self.is_everything and not {*apps} & {*self.apps}


class CheckSelection(Value):
    """Which of the checks are wanted, and what makes them fail."""

    select: tuple[str, ...] = ()
    """Ids; empty means all."""
    ignore: tuple[str, ...] = ()
    databases: tuple[str, ...] = ()
    """Only what is about these and about the project as a whole; empty means all."""
    fail_on: FailOn = "error"
    pending: bool = False
    """Whether to fail also where migrations are not applied."""
    offline: bool = False
    """Whether to leave the databases alone."""
    squawk: str | None = None
    """The linter, if it is to read the pending SQL."""
