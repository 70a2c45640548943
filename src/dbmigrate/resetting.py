"""The use case `reset`: start a development project's migrations and databases anew."""

from __future__ import annotations

import re
import shlex
import socket
import subprocess
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dbmigrate.checks import run_checks
from dbmigrate.errors import (
    DbmigrateError,
    DeclinedError,
    Interrupted,
    PartialError,
    ProjectError,
    UnreachableError,
    UsageError,
)
from dbmigrate.models.events import Event
from dbmigrate.models.findings import Finding
from dbmigrate.models.selection import Selection
from dbmigrate.preflight import stopped_by
from dbmigrate.reviewing import Look, Review, Work, review_patiently
from dbmigrate.routing import route
from dbmigrate.waiting import take_locks

KEPT_IN = ".dbmigrate-reset"
"""Folder below the project's root for what was taken away."""

UNTOUCHED = re.compile(r" \(nothing was changed\)|; no database was touched")
"""What errors say that come before anything is done; after a reset it is not so."""

LOCAL_NAMES = ("", "localhost", "127.0.0.1", "::1", "0.0.0.0")


@dataclass(frozen=True)
class ResetPlan:
    """What will be taken away, before anybody has agreed."""

    name: str
    """What a person has to type: the first part of the settings module."""
    root: Path
    files: tuple[Path, ...]
    """Migration files of the project's own apps, never an __init__.py, all below `root`."""
    aliases: tuple[str, ...]
    """Databases that will be emptied."""
    sizes: tuple[tuple[int | None, int | None], ...]
    """For each of them how many tables it has, and how many rows are in them; None for what could not be counted."""
    hand_written: tuple[tuple[Path, str], ...]
    """Operations in these files that makemigrations never writes: the file, and for example "RunPython"."""
    labels: tuple[str, ...]
    """The project's own apps whose files these are."""
    locked: tuple[str, ...]
    """Databases that nobody else may migrate meanwhile: those, and all that are migrated afterwards."""
    kept_in: Path
    """Folder the files will be moved to."""


@dataclass(frozen=True)
class _Look:
    """What a reset would take away, as far as it was looked at: nothing is counted and no file is read."""

    reviewed: Review
    root: Path
    aliases: tuple[str, ...]
    labels: tuple[str, ...]
    files: tuple[Path, ...]


def plan_reset(work: Work, databases: Sequence[str], *, stamp: str) -> ResetPlan:
    """Return what a reset of these databases (none named: all that are migrated) would take away.

    `stamp` names the folder the files go to, for example "2026-01-31T12-00-00".

    Raises:
        UsageError: a database that is not there or not migrated, or an app that lives on others as well.
        DeclinedError: DEBUG is off, a database is on another machine or would stay empty, or migration files are not
            committed.
        FindingsError: what was taken away could not be made again.
        UnreachableError: a database does not answer.
    """
    look = _look(work, databases)
    routing = look.reviewed.routing
    return ResetPlan(
        name=look.reviewed.snapshot.project.settings_module.split(".", 1)[0],
        root=look.root,
        files=look.files,
        aliases=look.aliases,
        sizes=tuple(work.host.measure(alias) for alias in look.aliases),
        hand_written=tuple(found for found in work.host.find_hand_written(look.labels) if found[0] in look.files),
        labels=look.labels,
        locked=tuple(alias for alias in routing.kinds if routing.is_migrated(alias)),
        kept_in=look.root / KEPT_IN / stamp,
    )


def _look(work: Work, databases: Sequence[str]) -> _Look:
    selection = Selection(databases=tuple(databases), make_migrations=False)
    # The run afterwards names no database: one that is open would be emptied and stay empty.
    reviewed = review_patiently(work, selection, Look(named_open="refused"))
    if not reviewed.snapshot.project.debug:
        raise DeclinedError(
            "reset is for development, and DEBUG is off in these settings (nothing was changed)",
            hint="pass --settings with the settings of development",
        )
    aliases = _migrated_aliases(reviewed)
    for alias in dict.fromkeys((*databases, *aliases)):
        _check_near(work, reviewed, alias)
    labels = tuple(label for label in _own_labels(reviewed) if {*reviewed.routing.aliases_of(label)} & {*aliases})
    for label in labels:
        homes = [alias for alias in reviewed.routing.aliases_of(label) if reviewed.routing.is_migrated(alias)]
        elsewhere = [alias for alias in homes if alias not in aliases]
        if elsewhere:
            raise UsageError(
                f"app {label} lives on {', '.join(elsewhere)} as well, where its migrations would no longer fit",
                hint=f"dbmigrate reset {' '.join(f'--database {alias}' for alias in (*aliases, *elsewhere))}",
            )
    _check_comes_again(work, reviewed, aliases, labels)
    root = work.target.root.resolve()
    files = tuple(sorted(file for label in labels for file in _migration_files(reviewed, label, root)))
    _check_committed(root, files)
    return _Look(reviewed, root, aliases, labels, files)


def lock(work: Work, plan: ResetPlan, databases: Sequence[str]) -> Generator[Event, None, None]:
    """Keep other runs away until `Host.unlock`, and look again: one may have written a migration meanwhile.

    The names of the files and of the databases must be those that were shown. What is in them may have changed: rows
    come and go without any run, and are not counted again.

    Raises:
        LockedError: another run does not end.
        DeclinedError: other files or other databases would be taken away than were shown.
    """
    settings = work.settings
    yield from take_locks(
        work.host, plan.locked, settings.lock_wait, settings.lock_url, clock=work.clock, sleep=work.sleep
    )
    again = _look(work, databases)
    if (again.files, again.aliases) != (plan.files, plan.aliases):
        raise DeclinedError(
            "there are other migration files or databases to reset since the list was shown (nothing was changed)",
            hint="look at the list again: dbmigrate reset",
        )


def reset(work: Work, plan: ResetPlan) -> None:
    """Move the files away and empty the databases.

    Raises:
        PartialError: a database cannot be emptied.
    """
    for file in plan.files:
        place = plan.kept_in / file.relative_to(plan.root)
        place.parent.mkdir(parents=True, exist_ok=True)
        file.rename(place)
    for alias in plan.aliases:
        try:
            work.host.empty(alias)
        except ProjectError as error:
            raise _half_reset(plan, alias, error) from error
    work.host.forget(plan.labels)


def _half_reset(plan: ResetPlan, alias: str, error: ProjectError) -> PartialError:
    """Return the error for a reset that ends at this database."""
    at = plan.aliases.index(alias)
    done, left = ", ".join(plan.aliases[:at]), ", ".join(plan.aliases[at + 1 :])
    facts = [
        f"database {alias} could not be emptied: {error.message}",
        f"emptied before it: {done or 'none'}" + (f", not touched: {left}" if left else ""),
        f"{len(plan.files)} migration files are in {plan.kept_in.relative_to(plan.root)}",
    ]
    named = "" if {*plan.aliases} == {*plan.locked} else "".join(f" --database {one}" for one in plan.aliases)
    return PartialError(
        "; ".join(facts),
        hint=f"when the cause is removed go on with: dbmigrate reset{named}; or move the files back",
        detail=error.detail,
    )


def unfinished(plan: ResetPlan, error: DbmigrateError) -> PartialError | Interrupted:
    """Return the error for a reset after which the run did not begin."""
    message = (
        f"{UNTOUCHED.sub('', error.message)}; emptied: {', '.join(plan.aliases)}; "
        f"{len(plan.files)} migration files are in {plan.kept_in.relative_to(plan.root)}"
    )
    hint = f"{error.hint}\nthen go on with: dbmigrate all" if error.hint else "go on with: dbmigrate all"
    if isinstance(error, Interrupted):
        return Interrupted(message, hint=hint, code=error.code)
    return PartialError(message, hint=hint, detail=error.detail)


def _migrated_aliases(reviewed: Review) -> tuple[str, ...]:
    return tuple(database.alias for database in reviewed.plan.databases if database.skip in (None, "nothing-pending"))


def _own_labels(reviewed: Review) -> list[str]:
    return [app.label for app in reviewed.snapshot.apps if app.is_own and app.has_migrations]


def _check_near(work: Work, reviewed: Review, alias: str) -> None:
    database = reviewed.snapshot.database(alias)
    assert database is not None
    if database.state == "unreachable":
        raise UnreachableError(
            f"database {alias} does not answer: {database.error} (nothing was changed)",
            hint="start it, or name the others with --database",
        )
    host = work.host.find_host(alias)
    if host not in (*LOCAL_NAMES, socket.gethostname()) and not host.startswith("/"):
        raise DeclinedError(
            f"database {alias} is on {host}, which is not this machine (nothing was changed)",
            hint="reset works on local databases alone; empty that one by hand if you mean it",
        )


def _check_comes_again(work: Work, reviewed: Review, aliases: Sequence[str], labels: Sequence[str]) -> None:
    """Refuse what could not be migrated again afterwards."""
    # Not those of the review: the configuration may ignore one there which stops only what is to be made anew.
    lasting = [one for one in run_checks(reviewed.snapshot, reviewed.routing) if _lasts(one, aliases, labels)]
    if lasting:
        raise stopped_by(lasting)
    emptied = tuple(
        database.model_copy(update={"existing": ()}) if database.alias in aliases else database
        for database in reviewed.snapshot.databases
    )
    afterwards = route(reviewed.snapshot.model_copy(update={"databases": emptied}), work.settings)
    for alias in aliases:
        lost = [label for label in reviewed.routing.places[alias] if label not in afterwards.places[alias]]
        if lost:
            raise DeclinedError(
                f"tables of {', '.join(lost)} on database {alias} would not come again: no router says that they "
                "belong there, only that they are there does (nothing was changed)",
                hint=f"let a router say yes for them on {alias}, or drop them by hand; "
                "to go without it: --database for the others",
            )


def _lasts(finding: Finding, aliases: Sequence[str], labels: Sequence[str]) -> bool:
    """Return whether a finding would stop the run after the reset of these databases and apps."""
    if finding.id == "DBM102":  # leaf migrations go with their files
        return not {*finding.apps} <= {*labels}
    if finding.id == "DBM103":  # the history goes with its database
        return not {*finding.aliases} <= {*aliases}
    if finding.id == "DBM201" and {*finding.aliases} & {*aliases}:  # made anew from the model, or by files that stay
        is_in_model = finding.subject is not None and finding.subject[0] == "field"
        return is_in_model or any(identifier.split(".", 1)[0] not in labels for identifier in finding.migrations)
    return finding.stops


def _migration_files(reviewed: Review, label: str, root: Path) -> list[Path]:
    app = reviewed.snapshot.app(label)
    assert app is not None
    folder = Path(app.migrations_folder).resolve()
    return [
        file
        for file in folder.glob("*.py")
        if file.name != "__init__.py" and not file.is_symlink() and root in file.parents
    ]


def _check_committed(root: Path, files: Sequence[Path]) -> None:
    """Refuse files that Git knows and that are not committed as they are; without Git there is nothing to compare."""
    if not files or not (root / ".git").exists():
        return
    # Whatever the user configured, untracked files count: they are the ones that are nowhere else.
    words = ("status", "--porcelain", "-z", "--no-renames", "--untracked-files=all")
    command = ["git", "-C", str(root), *words, "--", *map(str, files)]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise _unknown_state(root, error.strerror or str(error)) from error
    if ended.returncode != 0:
        raise _unknown_state(root, ended.stderr.strip().splitlines()[0] if ended.stderr.strip() else "it did not say")
    changed = [line[3:] for line in ended.stdout.split("\0") if line]
    if changed:
        raise DeclinedError(
            f"{len(changed)} of the migration files are not committed, for example {changed[0]} (nothing was changed)",
            hint=f"commit or remove them first: git add {shlex.join(changed)} && git commit",
        )


def _unknown_state(root: Path, because: str) -> DeclinedError:
    return DeclinedError(
        f"{root} is a Git repository, and git does not tell whether the migration files are committed: {because} "
        "(nothing was changed)",
        hint=f"see what it says by itself: git -C {shlex.quote(str(root))} status",
    )
