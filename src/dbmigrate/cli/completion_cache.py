"""The names that shell completion knows: written down by every command that read the project, never asked for."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dbmigrate.cli.global_options import read_global_options
from dbmigrate.errors import DbmigrateError
from dbmigrate.project.discovery import find_project, find_working_directory

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from dbmigrate.models.snapshot import Snapshot


def cache_file(folder: Path, environ: Mapping[str, str]) -> Path:
    """Return where the names of the project in this folder are kept: below the user's cache folder."""
    base = environ.get("XDG_CACHE_HOME") or os.path.join(environ.get("HOME") or os.path.expanduser("~"), ".cache")  # noqa: PTH111, PTH118 - pathlib raises where a user has no home
    # The checksum tells apart projects in folders of one name; hashlib takes longer to import than all the rest here.
    return Path(base) / "dbmigrate" / f"{folder.name}-{zlib.crc32(os.fsencode(folder)):08x}.json"


def remember_names(folder: Path, snapshot: Snapshot, environ: Mapping[str, str]) -> None:
    """Write down aliases, apps and migrations; without a writable cache folder there is no completion of names."""
    names = {
        "databases": [database.alias for database in snapshot.databases],
        "apps": {app.label: list(app.migrations) for app in snapshot.apps if app.has_migrations},
        "own": [app.label for app in snapshot.apps if app.has_migrations and app.is_own],
    }
    file = cache_file(folder, environ)
    text = json.dumps(names)
    try:
        if file.exists() and file.read_text() == text:
            return
        file.parent.mkdir(parents=True, exist_ok=True)
        half = file.with_suffix(f".{os.getpid()}")
        half.write_text(text)
        half.replace(file)
    except OSError:
        pass


def known_names(context: click.Context) -> dict[str, Any]:
    """Return "databases", "apps" (label -> migrations) and "own" (labels of the apps that are not third-party).

    Nothing if no command has read the project yet.
    """
    try:
        folder = find_project(find_working_directory(), read_global_options(context).get("project"))
        names: dict[str, Any] = json.loads(cache_file(folder, os.environ).read_text())
    except (OSError, ValueError, DbmigrateError):
        return {"databases": [], "apps": {}, "own": []}
    return names


def complete_database(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return the aliases that begin like this."""
    return [alias for alias in known_names(context)["databases"] if alias.startswith(incomplete)]


def complete_app(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return the app labels that begin like this."""
    return [label for label in known_names(context)["apps"] if label.startswith(incomplete)]


def complete_migration(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return the migrations that begin like this, of the apps named before."""
    apps = known_names(context)["apps"]
    named = context.params.get("apps") or [context.params.get("app")]
    names = [name for label in named for name in apps.get(label, ())]
    return [name for name in [*names, "zero"] if name.startswith(incomplete)]


def complete_file(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Let the shell offer files."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(incomplete, type="file")]


def complete_folder(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Let the shell offer folders."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(incomplete, type="dir")]


def complete_whole_migration(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return the migrations with their apps (APP.MIGRATION) that begin like this."""
    names = [f"{label}.{name}" for label, migrations in known_names(context)["apps"].items() for name in migrations]
    return [name for name in names if name.startswith(incomplete)]
