"""What `reset` takes away, as it is shown before anybody agrees."""

from __future__ import annotations

from dbmigrate.models.base import Value


class KeptThing(Value):
    """A table, a view or the like that no migration creates, and that stays."""

    kind: str
    """In SQL's words, for example "TABLE" or "MATERIALIZED VIEW"."""
    name: str
    rows: int | None
    """Of a table; None if they were not counted."""


class LostTrigger(Value):
    """A trigger that goes with its table, and that no migration creates."""

    name: str
    on: str | None
    """Its table."""


class EmptiedDatabase(Value):
    """A database that will be emptied."""

    alias: str
    tables: dict[str, int | None]
    """The rows of each table that will be dropped and recreated; None if they were not counted."""
    kept: tuple[KeptThing, ...]
    lost: tuple[LostTrigger, ...]


class MovedFile(Value):
    """A migration file that will be moved aside."""

    path: str
    """Relative to the project's root."""
    hand_written: tuple[str, ...]
    """Operations in it that makemigrations never writes, for example "RunPython"."""


class ResetList(Value):
    """Everything that a reset takes away."""

    name: str
    """What a person has to type to confirm it."""
    databases: tuple[EmptiedDatabase, ...]
    files: tuple[MovedFile, ...]
    kept_in: str
    """The folder that the files are moved to, relative to the project's root."""
    changed: tuple[str, ...]
    """Files below the project's root that changed during the trial, and stay so."""
