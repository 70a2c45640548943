"""The use case `reset`: start a development project's migrations and databases again."""

from __future__ import annotations

import shutil
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dbmigrate.commands.capacity import check_room
from dbmigrate.commands.reset_drops import Emptying, check_holders, plan_emptyings
from dbmigrate.commands.reset_guard import find_belongings
from dbmigrate.commands.reset_trial import prove
from dbmigrate.commands.review import CommandContext
from dbmigrate.errors import (
    DbmigrateError,
    DeclinedError,
    Interrupted,
    PartialError,
    ProjectError,
    StepError,
    UnreachableError,
)
from dbmigrate.listing import listed
from dbmigrate.models.events import Event, ResetListed
from dbmigrate.models.reset import EmptiedDatabase, KeptThing, LostTrigger, MovedFile, ResetList
from dbmigrate.models.result import RunResult
from dbmigrate.project.waiting import check_locks, take_locks

KEPT_IN = ".dbmigrate-reset"
"""Folder below the project's root for what was taken away."""

GO_ON = "dbmigrate all"


@dataclass(frozen=True)
class ResetPlan:
    """What will be taken away, before anybody has agreed."""

    name: str
    """What a person has to type: the first part of the settings module."""
    root: Path
    files: tuple[Path, ...]
    """Migration files of the project's own apps, never an __init__.py, all below `root`."""
    written: Mapping[Path, bytes]
    """The files that come in their place."""
    emptyings: tuple[Emptying, ...]
    """By database that will be emptied."""
    hand_written: tuple[tuple[Path, str], ...]
    """Operations in these files that makemigrations never writes: the file, and for example "RunPython"."""
    labels: tuple[str, ...]
    """The project's own apps whose files these are."""
    locked: tuple[str, ...]
    """Databases that nobody else may migrate meanwhile: those, and all that are migrated afterwards."""
    changed: tuple[Path, ...]
    """Files below `root` that changed during the trial, and stay so."""
    kept_in: Path
    """Folder the files will be moved to."""

    @property
    def aliases(self) -> tuple[str, ...]:
        """Databases that will be emptied."""
        return tuple(emptying.alias for emptying in self.emptyings)

    def listing(self) -> ResetList:
        """Return it as it is shown."""
        return ResetList(
            name=self.name,
            databases=tuple(
                EmptiedDatabase(
                    alias=one.alias,
                    tables=dict(one.tables),
                    kept=tuple(
                        KeptThing(kind=thing.kind, name=thing.shown, rows=one.kept_rows.get(thing.shown))
                        for thing in one.kept
                    ),
                    lost=tuple(LostTrigger(name=thing.name, on=thing.on) for thing in one.lost),
                )
                for one in self.emptyings
            ),
            files=tuple(
                MovedFile(
                    path=str(file.relative_to(self.root)),
                    hand_written=tuple(kind for written, kind in self.hand_written if written == file),
                )
                for file in self.files
            ),
            kept_in=str(self.kept_in.relative_to(self.root)),
            changed=tuple(sorted(str(file.relative_to(self.root)) for file in self.changed)),
        )


def plan_reset(
    work: CommandContext, databases: Sequence[str], *, stamp: str, has_locks: bool
) -> Generator[Event, None, ResetPlan]:
    """Return what a reset of these databases (none named: all that are migrated) would take away, and yield it.

    What was taken away can be made again: that was tried, on scratch databases. `stamp` names the folder the files go
    to, for example "2026-01-31T12-00-00". `has_locks`: whether other runs are going to be kept away.

    Raises:
        UsageError: a database that is not there or not migrated, or an app that lives on others as well.
        DeclinedError: DEBUG is off, a database is on another machine or would stay empty, migration files are not
            committed, migrations cannot be made and applied again, or something that stays needs what would be dropped.
        FindingsError: what was taken away could not be made again.
        LockedError: there is no room for the locks.
        UnreachableError: a database does not answer.
    """
    belongings = yield from find_belongings(work, databases)
    snapshot, routing = belongings.reviewed.snapshot, belongings.reviewed.routing
    migrated = tuple(alias for alias in routing.kinds if routing.is_migrated(alias))
    if has_locks:
        yield from check_room(work, snapshot, migrated)
    kept_in = belongings.root / KEPT_IN / stamp
    own = [app for app in snapshot.apps if app.is_own and app.migrations_module]
    shared = [alias for alias, kind in routing.kinds.items() if kind.kind == "same"]
    proof = prove(
        work,
        own,
        belongings.labels,
        belongings.files,
        belongings.aliases,
        (*migrated, *shared),
        kept_in.with_name(f"{stamp}.trial"),
    )
    plan = ResetPlan(
        name=snapshot.project.settings_module.split(".", 1)[0],
        root=belongings.root,
        files=belongings.files,
        written=proof.written,
        emptyings=plan_emptyings(work, snapshot, proof.holdings),
        hand_written=tuple(
            found for found in work.host.find_hand_written(belongings.labels) if found[0] in belongings.files
        ),
        labels=belongings.labels,
        locked=migrated,
        changed=proof.changed,
        kept_in=kept_in,
    )
    yield ResetListed(reset=plan.listing())
    return plan


def lock(work: CommandContext, plan: ResetPlan, databases: Sequence[str]) -> Generator[Event, None, None]:
    """Keep other runs away until `BootedProject.unlock`, and look again: one may have written a migration meanwhile.

    The names of the files, the databases and what is dropped there must be those that were shown. Rows come and go
    without any run, and are not counted again.

    Raises:
        LockedError: another run does not end.
        DeclinedError: other files, databases or tables would be taken away than were shown.
    """
    settings = work.settings
    yield from take_locks(
        work.host, plan.locked, settings.lock_wait, settings.lock_url, clock=work.clock, sleep=work.sleep
    )
    again = yield from find_belongings(work, databases)
    if (again.files, again.aliases) != (plan.files, plan.aliases):
        raise DeclinedError(
            "the migration files or databases to reset have changed since the list was shown",
            hint="review the list again: dbmigrate reset",
            changed=False,
        )
    for emptying in plan.emptyings:
        things = work.host.describe_holdings(emptying.alias, count=False).things
        if {*emptying.dropped} - {*things}:
            raise DeclinedError(
                f"tables of database {emptying.alias} have disappeared since the list was shown",
                hint="review the list again: dbmigrate reset",
                changed=False,
            )
        check_holders(
            again.reviewed.snapshot.project, emptying.alias, work.host.find_holders(emptying.alias, emptying.dropped)
        )


def rehearse(work: CommandContext, plan: ResetPlan) -> None:
    """Empty each database that can take it back, and take it back.

    Raises:
        StepError: a database cannot be emptied; all is as it was.
        LockedError: a lock was lost since it was taken; all is as it was.
    """
    for emptying in plan.emptyings:
        try:
            work.host.empty(emptying.alias, emptying.dropped, rehearse=True)
        except ProjectError as error:
            raise _not_emptied(work, plan, emptying.alias, (), error) from error
    check_locks(work.host, sleep=work.sleep)


def reset(work: CommandContext, plan: ResetPlan) -> None:
    """Put the new files in the place of the old ones, and empty the databases; no signal may come in between.

    Raises:
        StepError: a database cannot be emptied, or a file not be written; all is as it was.
        PartialError: a database cannot be emptied, and others were; the files are as they were.
    """
    emptied: list[str] = []
    with _new_files(plan):
        for emptying in plan.emptyings:
            try:
                work.host.empty(emptying.alias, emptying.dropped, rehearse=False)
            except ProjectError as error:
                raise _not_emptied(work, plan, emptying.alias, emptied, error) from error
            emptied.append(emptying.alias)
    work.host.forget(plan.labels)


@contextmanager
def _new_files(plan: ResetPlan) -> Iterator[None]:
    """Move the old files away and write the new ones; if the block does not come to its end, all is as it was."""
    moved: list[tuple[Path, Path]] = []
    before = {file: file.read_bytes() for file in plan.written if file not in plan.files and file.exists()}
    try:
        try:
            for file in plan.files:
                place = plan.kept_in / file.relative_to(plan.root)
                place.parent.mkdir(parents=True, exist_ok=True)
                file.rename(place)
                moved.append((file, place))
            for file, text in plan.written.items():
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(text)
        except OSError as error:
            raise StepError(
                f"the migration files cannot be replaced: {error.filename}: {error.strerror}",
                hint="make the migrations folders writable",
                changed=False,
            ) from error
        yield
    except BaseException:
        for file in plan.written:
            if file in before:
                file.write_bytes(before[file])
            else:
                file.unlink(missing_ok=True)
        for file, place in moved:
            place.rename(file)
        shutil.rmtree(plan.kept_in, ignore_errors=True)
        raise


def _not_emptied(
    work: CommandContext, plan: ResetPlan, alias: str, emptied: Sequence[str], error: ProjectError
) -> DbmigrateError:
    """Return the error for a reset that ends at this database."""
    said = f"database {alias} could not be emptied: {error.message}"
    again = "dbmigrate reset"
    if {*plan.aliases} != {*plan.locked}:
        again += "".join(f" --database {one}" for one in plan.aliases)
    hint = f"fix the cause, then rerun the command: {again}"
    gone = _count_gone(work, plan.emptyings[plan.aliases.index(alias)])
    if not emptied and not gone:
        return StepError(said, hint=hint, detail=error.detail, changed=False)
    left = plan.aliases[plan.aliases.index(alias) + 1 :]
    facts = [said, f"emptied before: {', '.join(emptied) or 'none'}"]
    facts += [f"{gone} of its own tables were dropped"] if gone else []
    facts += [f"not touched: {', '.join(left)}"] if left else []
    facts += ["the migration files are unchanged"]
    return PartialError("; ".join(facts), hint=hint, detail=error.detail)


def _count_gone(work: CommandContext, emptying: Emptying) -> int:
    """Return how many tables were dropped after all: not every server takes that back."""
    try:
        there = work.host.describe_holdings(emptying.alias, count=False).things
    except (ProjectError, UnreachableError):
        return 0
    return sum(thing.kind == "TABLE" and thing not in there for thing in emptying.dropped)


def judge(work: CommandContext, plan: ResetPlan, result: RunResult) -> PartialError | Interrupted | None:
    """Return the error for a run after a reset that did not come to its end; None if all is there again."""
    hint = f"continue with: {GO_ON}"
    if result.signal is not None and result.unfinished:
        return Interrupted(f"interrupted; {_state(plan)}", hint=hint, code=result.exit_code, changed=True)
    if result.unfinished:
        return PartialError(
            f"the run after the reset did not finish; {_state(plan)}",
            hint=f"fix the cause, then {hint}",
        )
    missing = []
    for emptying in plan.emptyings:
        there = {thing.key for thing in work.host.describe_holdings(emptying.alias, count=False).things}
        missing += [f"{thing.shown} on {emptying.alias}" for thing in emptying.made if thing.key not in there]
    if missing:
        return PartialError(
            f"the trial created tables that are missing after the run: {listed(missing)}; {_state(plan)}",
            hint="see what is missing: dbmigrate verify",
        )
    return None


def unfinished(plan: ResetPlan, error: DbmigrateError) -> PartialError | Interrupted:
    """Return the error for a reset after which the run did not begin."""
    message = f"{error.message}; {_state(plan)}"
    hint = f"{error.hint}\nthen continue with: {GO_ON}" if error.hint else f"continue with: {GO_ON}"
    if isinstance(error, Interrupted):
        return Interrupted(message, hint=hint, code=error.code, changed=True)
    return PartialError(message, hint=hint, detail=error.detail)


def _state(plan: ResetPlan) -> str:
    state = f"emptied: {', '.join(plan.aliases)}; the new migrations are in place"
    if not plan.files:
        return state
    kept = "1 old migration file is" if len(plan.files) == 1 else f"{len(plan.files)} old migration files are"
    return f"{state}, and {kept} in {plan.kept_in.relative_to(plan.root)}"
