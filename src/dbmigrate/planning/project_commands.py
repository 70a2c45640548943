"""The words that a project's own migrate, makemigrations and squashmigrations are called with. Pure.

Most are Django's commands, which take them all. A project or a package may replace them, and then its parser is asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dbmigrate.listing import listed
from dbmigrate.models.database import DEFAULT_ALIAS
from dbmigrate.models.plan import PlannedMigration, Refusal
from dbmigrate.models.snapshot import Command, Snapshot


@dataclass(frozen=True)
class Option:
    """An option to be passed, as Django spells it."""

    word: str
    value: str | None = None
    is_needed: bool = True
    """Whether the command cannot be called without it; otherwise it is left out where it is not taken."""
    way_out: str = ""
    """What can be done where it is needed and not taken."""

    @classmethod
    def of(cls, word: str) -> Option:
        """Return the option of one word, for example "--name=first"; the command can be called as loudly as it is."""
        name, _, value = word.partition("=")
        return cls(name, value or None, is_needed=name not in ("--verbosity", "--no-input"))


_NAME = re.compile(r"\bnam(e|ed|es|ing)\b|(?<!\S)-n\b", re.IGNORECASE)
"""Where a command that refused speaks of the name of a migration."""

NO_INPUT = Option("--no-input", is_needed=False)
PRE_DEPLOY = Option("--pre-deploy", is_needed=False)
"""Of django-syzygy's migrate: leave out what comes after the deploy."""


@dataclass(frozen=True)
class Spelled:
    """How a command is called, and what speaks against it."""

    arguments: tuple[str, ...]
    refusal: Refusal | None


def spell(
    snapshot: Snapshot, name: str, names: Sequence[str], options: Iterable[Option], *, names_way_out: str = ""
) -> Spelled:
    """Return the words of a command: its name, names after each other (app label first), options.

    `names_way_out`: what can be done where the names are not taken.
    """
    command = snapshot.commands[name]
    words, lacking = [], []
    for option in options:
        spelled = command.words.get(option.word)
        if spelled is not None and _may_name(command, option):
            words.append(_join(spelled, option.value))
        elif option.is_needed:
            lacking.append(option)
    return Spelled(
        arguments=(name, *names, *words),
        refusal=_find_refusal(snapshot, name, command, names, words, lacking, names_way_out),
    )


def spell_makemigrations(snapshot: Snapshot, labels: Sequence[str], options: Iterable[Option]) -> Spelled:
    """Return the words that write migrations for these apps.

    They are named so that no other is written for; where no other has changed, a command that takes no names writes
    the same.
    """
    command = snapshot.commands["makemigrations"]
    changed = {change.app for change in snapshot.changes or ()}
    is_cut = command.most_names is not None and len(labels) > command.most_names and changed <= {*labels}
    spelled = spell(snapshot, "makemigrations", () if is_cut else labels, options)
    if spelled.refusal is not None and wants_name(command, spelled.arguments):
        hint = "\n".join(named_make(label) for label in labels or sorted(changed) or ("APP",))
        return Spelled(spelled.arguments, spelled.refusal.model_copy(update={"hint": hint}))
    return spelled


def wants_name(command: Command, words: Sequence[str]) -> bool:
    """Return whether the parser of makemigrations demands a name for the migration, and these words have none."""
    own = command.words.get("--name")
    return any(own in options for options in command.required) and not any(
        word.split("=", 1)[0] == own for word in words
    )


def make_hint(snapshot: Snapshot, label: str, *, said: str = "") -> str:
    """Return the command that writes a migration; `said`: why makemigrations refused, which may be for want of a name.

    Also where the command decides on its own, and its parser demands nothing.
    """
    command = snapshot.commands["makemigrations"]
    is_about_names = "--name" in command.words and _NAME.search(said) is not None
    return named_make(label) if is_about_names or wants_name(command, ()) else f"dbmigrate make {label}"


def named_make(label: str) -> str:
    """Return the command that writes a migration under a name."""
    return f"dbmigrate make {label} --name NAME"


def database_option(alias: str) -> Option:
    """Return the option of migrate that names the database; on the default one it can do without."""
    return Option(
        "--database",
        alias,
        is_needed=alias != DEFAULT_ALIAS,
        way_out=f'let that command accept --database, as Django\'s does, or set exclude = ["{alias}"] under '
        "[tool.dbmigrate] and migrate it by hand",
    )


def find_delaying(snapshot: Snapshot, migrations: Sequence[PlannedMigration]) -> Refusal | None:
    """Return that the project's own migrate would leave out what is marked to come after a deploy; None if not."""
    command = snapshot.commands["migrate"]
    delayed = [one.id for one in migrations if any(mark.says == "post" for mark in snapshot.migrations[one.id].marks)]
    if not command.delays or not delayed:
        return None
    return Refusal(
        message=f"the migrate command of {command.module} is django-safemigrate's, which never applies what is marked "
        f"Safe.after_deploy(): {listed(delayed)}",
        hint='set SAFEMIGRATE = "disabled" in the settings of this run, for example from a variable of the '
        "environment: dbmigrate has split the migrations already",
    )


def _may_name(command: Command, option: Option) -> bool:
    return option.word != "--database" or command.databases is None or option.value in command.databases


def _join(spelled: str, value: str | None) -> str:
    return spelled if value is None else f"{spelled}={value}" if spelled.startswith("--") else f"{spelled}{value}"


def _find_refusal(
    snapshot: Snapshot,
    name: str,
    command: Command,
    names: Sequence[str],
    words: Sequence[str],
    lacking: Sequence[Option],
    names_way_out: str,
) -> Refusal | None:
    called = f"the {name} command of {command.module}"
    if command.error is not None:
        return Refusal(
            message=f"{called} cannot report its options: {command.error}",
            hint=f"see why with: {snapshot.project.to_type(name, '--help')}",
        )
    if lacking:
        option = lacking[0]
        value = f"={option.value}" if option.value is not None else ""
        return Refusal(
            message=f"{called} does not accept {option.word}{value}",
            hint=f"remove {option.word}: this version of Django does not have it"
            if command.module.startswith("django.core.")
            else option.way_out or f"let that command accept {option.word}, as Django's does",
        )
    if command.most_names is not None and len(names) > command.most_names:
        left = " ".join(names[command.most_names :])
        return Refusal(
            message=f"{called} does not accept {left} ({_most(command.most_names)})",
            hint=names_way_out or "let that command accept them, as Django's does",
        )
    missing = find_demanded(command, names, words)
    if missing:
        return Refusal(
            message=f"{called} requires {', '.join(missing)}, which dbmigrate does not pass",
            hint=f"give it a default in that command; what it is for: {snapshot.project.to_type(name, '--help')}",
        )
    return None


def find_demanded(command: Command, names: Sequence[str], words: Sequence[str]) -> tuple[str, ...]:
    """Return what the command's parser demands and does not get: an option, one of several options, a name."""
    given = {word.split("=", 1)[0] for word in words}
    options = tuple(" or ".join(options) for options in command.required if not {*options} & given)
    return options + command.required_names[len(names) :]


def _most(names: int) -> str:
    return "it accepts no names" if names == 0 else "it accepts one name" if names == 1 else f"it accepts {names} names"
