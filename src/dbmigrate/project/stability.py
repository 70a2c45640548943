"""Find the models that differ in each process, so that makemigrations never stops writing for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from dbmigrate.errors import ProjectError
from dbmigrate.models.apps import Unstable
from dbmigrate.models.snapshot import Snapshot
from dbmigrate.project.booted import BootedProject

SEEDS = ("1", "2")
"""Values of PYTHONHASHSEED for further processes. Each takes a boot; the order of two elements is the same in half."""


def find_unstable(
    host: BootedProject,
    open_another: Callable[[str], AbstractContextManager[BootedProject]],
    snapshot: Snapshot,
    *,
    is_thorough: bool,
) -> tuple[Unstable, ...]:
    """Return what differs in each process, of the project's own apps.

    What the source says costs no process. Only for fields that changed and of which it does not say enough,
    `open_another` boots the project again, with a PYTHONHASHSEED. `is_thorough`: read the models of all own apps, not
    only of those that changed.
    """
    own = [app.label for app in snapshot.apps if app.is_own]
    changes = [change for change in snapshot.changes or () if change.app in own]
    labels = own if is_thorough else [change.app for change in changes]
    if not labels:
        return ()
    found, doubtful = host.find_unstable(labels, [field for change in changes for field in change.altered])
    return (*found, *_compare(host, open_another, doubtful))


def _compare(
    host: BootedProject,
    open_another: Callable[[str], AbstractContextManager[BootedProject]],
    fields: Sequence[tuple[str, str]],
) -> list[Unstable]:
    """Return those of the fields that are written in another way in another process."""
    if not fields:
        return []
    here = host.describe_fields(fields)
    found: dict[tuple[str, str], Unstable] = {}
    for seed in SEEDS:
        try:
            with open_another(seed) as other:
                there = other.describe_fields(fields)
        except ProjectError:
            break  # a project that boots only once at a time
        for field, one, another in zip(fields, here, there, strict=True):
            if one != another:
                found[field] = Unstable(model=field[0], field=field[1], kind="differs", why="")
        if len(found) == len(fields):
            break
    return [*found.values()]
