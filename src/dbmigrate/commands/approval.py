"""Whether the plan that would run is the one that was approved: a saved one, or one of which the digest is known."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

from dbmigrate.commands.basis import read_basis
from dbmigrate.commands.review import CommandContext, Review, ReviewOptions, review_patiently, with_begun
from dbmigrate.errors import DbmigrateError, LockedError, StalePlanError, UnreachableError, UsageError
from dbmigrate.models.basis import DIGEST_CHARACTERS, FileHash, SavedPlan
from dbmigrate.models.differences import CodeDiffers, DigestDiffers, PlanDiffers
from dbmigrate.models.events import Event
from dbmigrate.models.migrations import MigrationId
from dbmigrate.models.plan import MigrationPlan
from dbmigrate.models.selection import Selection
from dbmigrate.planning.basis import planned_in, save_plan
from dbmigrate.planning.comparison import compare, compare_files, find_foreign, is_done, is_same_code
from dbmigrate.planning.decide import refuse


class Approval(Protocol):
    """What the plan of a run is compared with."""

    @property
    def kind(self) -> Literal["plan", "digest"]:
        """What that is."""

    @property
    def loaded(self) -> dict[MigrationId, FileHash | None]:
        """By planned migration: its file when it was loaded, before the locks."""

    def is_done(self, work: CommandContext, reviewed: Review) -> bool:
        """Return whether all that was approved is done already."""

    def check(self, work: CommandContext, reviewed: Review) -> None:
        """Do nothing if the plan is the one that was approved.

        Raises:
            StalePlanError: it is not.
            UsageError: what was approved is of another project.
        """

    def explain(self, work: CommandContext, error: DbmigrateError) -> None:
        """Do nothing if it cannot be said why the project can no longer be looked at.

        Raises:
            StalePlanError: files of what was approved differ.
        """


@dataclass(frozen=True)
class SavedApproval:
    """A plan that was saved by `plan -o`."""

    saved: SavedPlan
    statements: Mapping[tuple[str, MigrationId], tuple[str, ...]]
    """By (alias, migration): what it ran when the plan was made, where that was saved (`--sql`)."""
    any_database: bool
    kind: Literal["plan", "digest"] = "plan"
    loaded: dict[MigrationId, FileHash | None] = field(default_factory=dict)

    def is_done(self, work: CommandContext, reviewed: Review) -> bool:
        """Return whether everything that the plan wanted is recorded, by the same code and on its databases."""
        self._check_project(reviewed)
        return (
            is_done(self.saved, reviewed.snapshot)
            and is_same_code(self.saved, work.host.describe_files([*self.saved.basis.code]))
            and (self.any_database or self._has_same_databases(work, reviewed))
        )

    def _has_same_databases(self, work: CommandContext, reviewed: Review) -> bool:
        return all(
            work.host.describe_tables(alias, ()).identity == then.identity
            for alias, then in self.saved.basis.databases.items()
            if reviewed.snapshot.database(alias) is not None
        )

    def check(self, work: CommandContext, reviewed: Review) -> None:
        """Compare all that the plan was made from."""
        self._check_project(reviewed)
        # Also of databases on which nothing is planned any more.
        aliases = [alias for alias in self.saved.basis.databases if reviewed.snapshot.database(alias) is not None]
        evidence = read_basis(work, reviewed, statements=True, files=[*self.saved.basis.code], aliases=aliases)
        differences = compare(
            self.saved,
            save_plan(reviewed.plan, evidence.basis),
            reviewed.snapshot,
            evidence.files,
            statements=(
                self.statements,
                {(alias, one.id): one.statements for alias, own in evidence.statements.items() for one in own},
            ),
            any_database=self.any_database,
        )
        differences = differences or tuple(_find_reloaded(self.loaded, evidence.files))
        if differences:
            raise StalePlanError(differences)

    def explain(self, work: CommandContext, error: DbmigrateError) -> None:
        """Compare the files, which need no project that can be loaded."""
        differences = tuple(compare_files(self.saved, work.host.describe_files([*self.saved.basis.code])))
        if differences:
            raise StalePlanError(differences, detail=error.message) from error

    def _check_project(self, reviewed: Review) -> None:
        why = find_foreign(self.saved, reviewed.snapshot)
        if why is not None:
            raise UsageError(
                f"the plan is of another project: {why}",
                hint="run it in the project that it was made in, or pass --project",
                changed=False,
            )


@dataclass(frozen=True)
class DigestApproval:
    """A plan of which only the digest is known, or its first characters."""

    expected: str
    kind: Literal["plan", "digest"] = "digest"
    loaded: dict[MigrationId, FileHash | None] = field(default_factory=dict)

    def is_done(self, work: CommandContext, reviewed: Review) -> bool:
        """Return False: a digest does not say what the plan wanted."""
        return False

    def check(self, work: CommandContext, reviewed: Review) -> None:
        """Compare the digest, if there is something to run."""
        plan = reviewed.plan
        if plan.make is not None:
            raise StalePlanError([PlanDiffers(step=None, change="writes", apps=plan.make.apps)])
        if plan.is_empty:
            return
        evidence = read_basis(work, reviewed, statements=False)
        digest = save_plan(plan, evidence.basis).digest
        if not digest.startswith(self.expected):
            now = digest[: max(DIGEST_CHARACTERS, len(self.expected))]
            raise StalePlanError([DigestDiffers(expected=self.expected, now=now)])
        reloaded = _find_reloaded(self.loaded, evidence.files)
        if reloaded:
            raise StalePlanError(reloaded)

    def explain(self, work: CommandContext, error: DbmigrateError) -> None:
        """Do nothing: a digest does not say which files it is of."""


def review_approved(
    work: CommandContext,
    selection: Selection,
    options: ReviewOptions,
    approval: Approval,
    *,
    is_locked_later: bool = False,
) -> Generator[Event, None, tuple[Review, bool]]:
    """Review and refuse, and return whether all is done already: then there is nothing in the plan.

    Compared with what was approved is what would run, so under the locks; before them only what is refused, of which
    the cause may be that it is another plan. `is_locked_later`: as for `refuse`.
    """
    try:
        reviewed = yield from review_patiently(work, selection, options)
    except (UnreachableError, LockedError):
        raise
    except DbmigrateError as error:
        approval.explain(work, error)
        raise
    if approval.is_done(work, reviewed):
        return replace(reviewed, decision=replace(reviewed.decision, plan=_without_steps(reviewed.plan))), True
    if is_locked_later:
        approval.loaded.update(work.host.describe_files([*planned_in(reviewed.plan)]))
    if not is_locked_later or reviewed.plan.is_empty:
        approval.check(work, reviewed)
    try:
        refuse(reviewed.decision, reviewed.findings, is_run=True, is_locked_later=is_locked_later)
    except UnreachableError:
        raise
    except DbmigrateError:
        approval.check(work, reviewed)
        raise
    return with_begun(work, reviewed), False


def _find_reloaded(
    loaded: Mapping[MigrationId, FileHash | None], files: Mapping[MigrationId, FileHash | None]
) -> list[CodeDiffers]:
    """Return the migrations whose files changed after they were loaded: they would run as they were loaded."""
    changed = [identifier for identifier, was in loaded.items() if identifier in files and files[identifier] != was]
    return [CodeDiffers(migration=identifier, change="edited") for identifier in changed]


def _without_steps(plan: MigrationPlan) -> MigrationPlan:
    databases = tuple(
        database.model_copy(update={"skip": database.skip or "nothing-pending"}) for database in plan.databases
    )
    return plan.model_copy(update={"steps": (), "make": None, "databases": databases})
