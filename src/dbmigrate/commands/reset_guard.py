"""What must hold before `reset` takes anything away, as far as a look at the project tells."""

from __future__ import annotations

import shlex
import socket
import subprocess
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dbmigrate.commands.review import CommandContext, Review, ReviewOptions, review_patiently
from dbmigrate.errors import DeclinedError, UnreachableError, UsageError
from dbmigrate.models.database import UNKNOWN_STATES, describe_silence
from dbmigrate.models.events import Event
from dbmigrate.models.findings import Finding
from dbmigrate.models.migrations import label_of
from dbmigrate.models.selection import Selection
from dbmigrate.planning.checks import GOES_WITH, IGNORABLE, run_checks
from dbmigrate.planning.preflight import check_reachable, stopped_by
from dbmigrate.planning.routing import route

LOCAL_NAMES = ("", "localhost", "127.0.0.1", "::1", "0.0.0.0")


@dataclass(frozen=True)
class Belongings:
    """What a reset would take away, as far as it was looked at: no table is listed and no file is read."""

    reviewed: Review
    root: Path
    aliases: tuple[str, ...]
    labels: tuple[str, ...]
    files: tuple[Path, ...]


def find_belongings(work: CommandContext, databases: Sequence[str]) -> Generator[Event, None, Belongings]:
    """Return what a reset of these databases (none named: all that are migrated) would take away.

    Raises:
        UsageError: a database that is not there or not migrated, or an app that lives on others as well.
        DeclinedError: DEBUG is off, a database is on another machine or would stay empty, or migration files are not
            committed.
        FindingsError: what was taken away could not be made again.
        UnreachableError: a database does not answer.
    """
    selection = Selection(databases=tuple(databases), make_migrations=False)
    # The run afterwards names no database: one that is open would be emptied and stay empty.
    reviewed = yield from review_patiently(work, selection, ReviewOptions(records=True, named_unclaimed="refused"))
    if not reviewed.snapshot.project.debug:
        raise DeclinedError(
            "reset is for development only, but DEBUG is off in these settings",
            hint="pass --settings with the development settings",
            changed=False,
        )
    aliases = reviewed.plan.targeted
    for alias in dict.fromkeys((*databases, *aliases)):
        _check_near(work, reviewed, alias)
    check_reachable(reviewed.snapshot, reviewed.routing, Selection())
    labels = tuple(label for label in _own_labels(reviewed) if {*reviewed.routing.aliases_of(label)} & {*aliases})
    for label in labels:
        homes = [alias for alias in reviewed.routing.aliases_of(label) if reviewed.routing.is_migrated(alias)]
        elsewhere = [alias for alias in homes if alias not in aliases]
        if elsewhere:
            raise UsageError(
                f"app {label} is also on {', '.join(elsewhere)}, where its migrations would no longer match",
                hint=f"dbmigrate reset {' '.join(f'--database {alias}' for alias in (*aliases, *elsewhere))}",
            )
    _check_comes_again(work, reviewed, aliases, labels)
    root = work.target.root.resolve()
    files = tuple(sorted(file for label in labels for file in _migration_files(reviewed, label, root)))
    _check_committed(root, files)
    return Belongings(reviewed, root, aliases, labels, files)


def _own_labels(reviewed: Review) -> list[str]:
    return [app.label for app in reviewed.snapshot.apps if app.is_own and app.has_migrations]


def _check_near(work: CommandContext, reviewed: Review, alias: str) -> None:
    database = reviewed.snapshot.database(alias)
    assert database is not None
    if database.state in UNKNOWN_STATES:
        raise UnreachableError(
            describe_silence(alias, database.trouble, database.error),
            hint="start it, or name the others with --database",
            changed=False,
        )
    if database.read_only is not None:
        raise UnreachableError(
            f"database {alias} is read-only: {database.read_only}",
            hint="make it writable, or name the others with --database",
            changed=False,
        )
    host = work.host.database_host(alias)
    if host not in (*LOCAL_NAMES, socket.gethostname()) and not host.startswith("/"):
        raise DeclinedError(
            f"database {alias} is on {host}, which is not this machine",
            hint="reset works on local databases only; to reset this one, empty it by hand",
            changed=False,
        )


def _check_comes_again(work: CommandContext, reviewed: Review, aliases: Sequence[str], labels: Sequence[str]) -> None:
    """Refuse what could not be migrated again afterwards."""
    # Not those of the review, which keeps of some only what its own plan is about. And the configuration may ignore one
    # there which stops only what is to be made again.
    findings = run_checks(reviewed.snapshot, reviewed.routing, IGNORABLE.intersection(work.settings.ignore))
    lasting = [one for one in findings if _lasts(one, aliases, labels)]
    if lasting:
        raise stopped_by(lasting)
    emptied = tuple(
        database.model_copy(update={"existing": ()}) if database.alias in aliases else database
        for database in reviewed.snapshot.databases
    )
    afterwards = route(reviewed.snapshot.model_copy(update={"databases": emptied}), work.settings)
    for alias in aliases:
        lost = [label for label in reviewed.routing.placements[alias] if label not in afterwards.placements[alias]]
        if lost:
            raise DeclinedError(
                f"tables of {', '.join(lost)} on database {alias} would not be recreated: no router claims them "
                "there, only the existing tables do",
                hint=f"let a router allow them on {alias}, or drop them by hand; "
                "to continue without it: --database for the others",
                changed=False,
            )


def _lasts(finding: Finding, aliases: Sequence[str], labels: Sequence[str]) -> bool:
    """Return whether a finding would stop the run after the reset of these databases and apps."""
    goes_with = GOES_WITH[finding.id]
    if goes_with == "files":
        return not {*finding.apps} <= {*labels}
    if goes_with == "history":
        return not {*finding.aliases} <= {*aliases}
    if goes_with == "tables" and {*finding.aliases} & {*aliases}:  # made again from the model, or by files that stay
        is_in_model = finding.subject is not None and finding.subject[0] == "field"
        return is_in_model or any(label_of(identifier) not in labels for identifier in finding.migrations)
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
            f"{len(changed)} of the migration files are not committed, for example {changed[0]}",
            hint=f"commit or remove them first: git add {shlex.join(changed)} && git commit",
            changed=False,
        )


def _unknown_state(root: Path, reason: str) -> DeclinedError:
    return DeclinedError(
        f"{root} is a Git repository, but git does not report whether the migration files are committed: {reason}",
        hint=f"run it directly to see: git -C {shlex.quote(str(root))} status",
        changed=False,
    )
