"""What a command line that cannot be understood was meant to say: the line that does it, to be pasted."""

from __future__ import annotations

import importlib
import re
import shlex
from collections.abc import Sequence
from difflib import get_close_matches

import click

from dbmigrate.cli.names import known_names

ALONE = ("reset", "completion", "menu")
"""Commands that no other can stand for."""

LOOKING = ("status", "plan", "check", "verify")
"""Commands that may have an option that another command that only looks has not, the likeliest first."""

DOING = ("run", "make", "plan", "status", "check", "verify")
"""The same for a command that does something."""

_EXTRA = re.compile(r"unexpected extra arguments? \((.*)\)")


def command_of_django(name: str, rest: Sequence[str]) -> str | None:
    """Return what to type for a command of Django or django-cfg with these words; None for no such command."""
    named = [word for word in rest if not word.startswith("-")]
    match name:
        case "help":
            words = [named[0], "--help"] if named else ["--help"]
        case "makemigrations":
            words = ["make", *named]
        case "migrate":
            words = ["run", *_selected(named)] if named else ["all"]
        case "migrate_all":
            words = ["all"]
        case "migrator":
            words = ["menu"]
        case "showmigrations":
            words = ["status", "--migrations", *_pairs("--app", named)]
        case "sqlmigrate":
            words = ["plan", "--sql", *_selected(named)]
        case "squashmigrations":
            words = ["squash", *(named or ["--help"])]
        case _:
            return None
    return shlex.join(["dbmigrate", *words])


def meant(error: click.UsageError, arguments: Sequence[str]) -> str | None:
    """Return the command line that names a database or an app, or takes an option, where this one cannot."""
    context = error.ctx
    if context is None or context.info_name is None or context.info_name in ALONE:
        return None
    if isinstance(error, click.NoSuchOption):
        return _with_another_command(context, error.option_name, arguments)
    extra = _EXTRA.search(error.format_message())
    return _with_options(context, extra[1].split(), arguments) if extra is not None else None


def _with_another_command(context: click.Context, option: str, arguments: Sequence[str]) -> str | None:
    """Return the line with the option as it is spelled, or of another command that has it."""
    assert context.info_name is not None
    takes_names = any(parameter.name in ("app", "apps") for parameter in context.command.params)
    if option == "--app" and takes_names:
        return shlex.join(["dbmigrate", *_replaced(arguments, option, [])])
    for name in LOOKING if context.info_name in (*LOOKING, "info", "wait") else DOING:
        if name != context.info_name and option in _options(name):
            return shlex.join(["dbmigrate", *_replaced(arguments, context.info_name, [name])])
    close = get_close_matches(option, _options(context.info_name), n=1, cutoff=0.7)
    return shlex.join(["dbmigrate", *_replaced(arguments, option, close)]) if close else None


def _with_options(context: click.Context, words: Sequence[str], arguments: Sequence[str]) -> str | None:
    """Return the line with `--app` or `--database` before each word; both where it cannot be known which."""
    assert context.info_name is not None
    name = context.info_name if "--database" in _options(context.info_name) else "run"
    names = known_names(context)
    lines = []
    for option, known in (("--app", names["apps"]), ("--database", names["databases"])):
        others = names["databases"] if option == "--app" else names["apps"]
        if option in _options(name) and not any(word in others and word not in known for word in words):
            line = _replaced(arguments, context.info_name, [name])
            for word in words:
                line = _replaced(line, word, [option, word])
            lines.append(shlex.join(["dbmigrate", *line]))
    return ", or ".join(lines) or None


def _options(name: str) -> list[str]:
    command: click.Command = importlib.import_module(f"dbmigrate.cli.{name}").command
    return [option for parameter in command.params for option in parameter.opts]


def _replaced(words: Sequence[str], word: str, by: Sequence[str]) -> list[str]:
    at = list(words).index(word) if word in words else len(words)
    return [*words[:at], *by, *words[at + 1 :]]


def _selected(named: Sequence[str]) -> list[str]:
    """Return the options for Django's "APP MIGRATION"."""
    return [*_pairs("--app", named[:1]), *_pairs("--to", named[1:2])]


def _pairs(option: str, values: Sequence[str]) -> list[str]:
    return [word for value in values for word in (option, value)]
