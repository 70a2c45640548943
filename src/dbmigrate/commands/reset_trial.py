"""Prove that migrations can be made and applied again: `all`, in a twin of the project on scratch databases."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dbmigrate.commands.migrate import migrate
from dbmigrate.commands.review import CommandContext
from dbmigrate.errors import DbmigrateError, DeclinedError, Interrupted
from dbmigrate.models.apps import App
from dbmigrate.models.events import RunFinished
from dbmigrate.models.holdings import Holdings
from dbmigrate.models.result import DatabaseResult, RunResult
from dbmigrate.models.selection import Selection
from dbmigrate.models.target import Twin
from dbmigrate.project.booted import BootedProject
from dbmigrate.running.fork import choose_launcher
from dbmigrate.sentences import changed_in_trial

JOURNAL = "journal"
"""As in inside/trial/twin.py."""


@dataclass(frozen=True)
class Proof:
    """What the twin made."""

    holdings: Mapping[str, Holdings]
    """By alias: what its scratch database held at the end."""
    written: Mapping[Path, bytes]
    """What makemigrations wrote, each file where it belongs in the project."""
    changed: tuple[Path, ...]
    """Other files that were there before and were opened for writing in the trial, and are no longer the same."""


def prove(
    work: CommandContext,
    apps: Sequence[App],
    labels: Collection[str],
    moved: Collection[Path],
    aliases: Sequence[str],
    scratched: Sequence[str],
    folder: Path,
) -> Proof:
    """Make and apply migrations again in a twin without these files, and return what came of it; nothing of it stays.

    `apps`: the project's own. `labels`: those of them whose migrations start again; they are imported from copies, and
    the others, which may read what lies next to them, from where they are. `moved`: the files that the twin does not
    have. `aliases`: the databases that must come to their end; `scratched`: those that get a scratch database.
    `folder`: where the twin keeps its things, below the project's root; it must not be there.

    Raises:
        DeclinedError: it cannot be done, it takes another migration of an app that stays, or no scratch database can
            be made.
        Interrupted: a signal came.
    """
    with _twin_folder(work.target.root.resolve(), folder) as changed:
        packages = {app.migrations_module: folder / "files" / app.label for app in apps if app.label in labels}
        sources = {app.label: Path(app.migrations_folder).resolve() for app in apps}
        places = {app.label: packages.get(app.migrations_module, sources[app.label]) for app in apps}
        for label in labels:
            _copy_package(sources[label], places[label], moved)
        before = {label: _read_files(place) for label, place in places.items()}
        try:
            twin = Twin(
                root=str(work.target.root.resolve()),
                folder=str(folder),
                packages={module: str(copy) for module, copy in packages.items() if module is not None},
                labels=(*labels, *(app.label for app in apps if not app.has_migrations)),
                databases=work.host.make_scratch(scratched, folder),
            )
            holdings = _migrate_twin(work, twin, aliases)
        finally:
            work.host.drop_scratch()
        after = {label: _read_files(place) for label, place in places.items()}
    _check_carried(before, after, labels)
    return Proof(
        holdings,
        {
            sources[label] / path: text
            for label, files in after.items()
            for path, text in files.items()
            if before[label].get(path) != text
        },
        tuple(changed),
    )


def _check_carried(
    before: Mapping[str, Mapping[Path, bytes]], after: Mapping[str, Mapping[Path, bytes]], labels: Collection[str]
) -> None:
    """Refuse where the project, with what was written, would not be what was tried.

    An app that had no file yet starts with the others; one that stays gets no migration that nobody asked for.
    """
    for label, files in after.items():
        stays = label not in labels and any(path.name != "__init__.py" for path in before[label])
        if stays and files != before[label]:
            raise DeclinedError(
                f"app {label} needs a new migration first: its migrations are kept while the others are recreated",
                changed=False,
                hint=f"dbmigrate make {label}",
            )
        gone = [path for path in before[label] if path not in files]
        if gone:
            raise DeclinedError(
                f"the trial removed {gone[0]} from the migrations of {label}",
                changed=False,
                hint="see why the project's own code removes it",
            )


def _migrate_twin(work: CommandContext, twin: Twin, aliases: Sequence[str]) -> dict[str, Holdings]:
    environment = {**work.environment, "PYTHONDONTWRITEBYTECODE": "1"}
    with BootedProject(work.target, environment, work.host.redactor, twin) as host:
        try:
            host.boot()
            launcher = choose_launcher(host, work.settings.launcher, environment)
            # Neither its names nor its events are anybody's, and nobody is asked anything.
            quiet: dict[str, Any] = {"remember": lambda snapshot: None, "has_streams": True}
            inner = replace(work, host=host, environment=environment, launcher=launcher, twin=twin, **quiet)
            selection = Selection(make_migrations=True)
            for event in migrate(inner, selection, keep_going=True, has_locks=False):
                if isinstance(event, RunFinished):
                    _check(event.result, aliases)
            return {alias: host.describe_holdings(alias, count=False) for alias in aliases}
        except (Interrupted, DeclinedError):
            raise
        except DbmigrateError as error:
            raise DeclinedError(
                f"a trial on scratch databases could not recreate and apply the migrations: {error.message}",
                changed=False,
                hint=error.hint,
                detail=error.detail,
            ) from error


def _check(result: RunResult, aliases: Sequence[str]) -> None:
    """Refuse where one of these databases did not come to its end."""
    if result.signal is not None:
        raise Interrupted("interrupted during the trial on scratch databases", changed=False)
    failed = [database for database in result.unfinished if database.alias in aliases]
    told = next((database for database in failed if database.failure is not None), None)
    if failed:
        raise DeclinedError(
            "a trial on scratch databases could not apply the new migrations: "
            f"{', '.join(_describe(database) for database in failed)}",
            changed=False,
            hint="fix the cause, then rerun the command; -v shows what the migration printed",
            detail="\n".join(told.failure.last_lines) if told is not None and told.failure is not None else None,
        )


def _describe(database: DatabaseResult) -> str:
    failure = database.failure
    if failure is None:
        return f"{database.alias}: not started"
    what = f"{failure.migration} failed" if failure.migration is not None else "it failed after the last migration"
    return f"{database.alias}: {what}: {failure.message}"


@contextmanager
def _twin_folder(root: Path, folder: Path) -> Iterator[list[Path]]:
    """Keep the folder while the block runs; afterwards undo what is new or gone below the root, and remove it.

    Yields a list that has at the end the files that are no longer what they were.
    """
    changed: list[Path] = []
    made = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise DeclinedError(
            f"the folder {folder} cannot be created: {error.strerror}", changed=False, hint=f"make {root} writable"
        ) from error
    failed: DeclinedError | Interrupted | None = None
    try:
        yield changed
    except (DeclinedError, Interrupted) as error:
        failed = error
        raise
    finally:
        changed += _undo(folder / JOURNAL)
        if failed is not None and changed:
            failed.message += f"; no database was changed; {changed_in_trial(_below(root, changed))}"
            failed.changed = True
        shutil.rmtree(folder, ignore_errors=True)
        for place in made[1:]:
            with suppress(OSError):  # somebody else has put something there
                place.rmdir()


def _below(root: Path, files: Sequence[Path]) -> list[str]:
    return sorted(str(file.relative_to(root)) for file in files)


def _undo(journal: Path) -> list[Path]:
    """Take away what is new and bring back what is gone, the last change first; return files that have changed.

    Those stay as they are: another process may have written to them as well.
    """
    lines = journal.read_text().splitlines() if journal.exists() else []
    changed = []
    for line in reversed(lines):
        entry = json.loads(line)
        path = Path(entry["path"])
        try:
            if entry["was"] == "nothing":
                _remove(path)
            elif entry["was"] == "file":
                if entry["copy"] is not None and not path.exists():
                    path.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy2(entry["copy"], path)
                if _digest(path) != entry["digest"]:
                    changed.append(path)
        except OSError:
            continue  # it was never made, or somebody else has taken it away
    return [*dict.fromkeys(changed)]


def _digest(file: Path) -> str:
    """Return what is the same only for the same content (as in inside/trial/twin.py)."""
    digest = hashlib.sha256()
    with file.open("rb") as content:
        while block := content.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _copy_package(source: Path, copy: Path, moved: Collection[Path]) -> None:
    """Copy a migrations package without these files and without what Python compiled."""

    def ignore(folder: str, names: list[str]) -> list[str]:
        return [name for name in names if name == "__pycache__" or Path(folder, name) in moved]

    shutil.copytree(source, copy, ignore=ignore, symlinks=True)


def _read_files(folder: Path) -> dict[Path, bytes]:
    """Return the content of every file below a folder, by its path from there; nothing of what Python compiled."""
    return {
        file.relative_to(folder): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and not file.is_symlink() and "__pycache__" not in file.parts
    }
