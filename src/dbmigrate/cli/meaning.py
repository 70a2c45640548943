"""What a command line that cannot be understood was meant to say: the line that does it, to be pasted."""

from __future__ import annotations

import importlib
import re
import shlex
from collections.abc import Sequence
from difflib import get_close_matches

import click

from dbmigrate.cli.completion_cache import known_names
from dbmigrate.models.check_ids import MODEL_CHANGES

ALONE = ("reset", "completion", "menu")
"""Commands that no other can stand for."""

LOOKING = ("status", "plan", "check", "verify")
"""Commands that may have an option that another command that only looks has not, the likeliest first."""

DOING = ("run", "make", "plan", "status", "check", "verify")
"""The same for a command that does something."""

_LONG = {"-v": "--verbosity", "-n": "--name", "-l": "--list", "-p": "--plan"}

_VALUED = ("--database", "--name", "--squashed-name", "--settings", "--pythonpath", "--verbosity", "--app")
"""Options of Django's commands, and of django-cfg's, that take a value."""

_OURS = {
    "--noinput": ["--no-input"],
    "--no-color": ["--color", "never"],
    "--force-color": ["--color", "always"],
    "--traceback": ["-v"],
}
_VERBOSITIES = {"0": ["-q"], "1": [], "2": ["-v"], "3": ["-vv"]}
"""Options of Django that have another name here."""

_EXTRA = re.compile(r"unexpected extra arguments? \((.*)\)")


def command_of_django(name: str, rest: Sequence[str], before: Sequence[str] = ()) -> str | None:
    """Return what to type for a command of Django or django-cfg with these words; None for no such command.

    It does no more than they would: every option is carried over, and where our command has none of that name, or the
    words make no sense to Django either, it is the help of our command. `before`: what stands before the command.
    """
    names, given = _parsed(rest)
    options = {option for option, _ in given}
    stands_for: set[str] = set()
    match name:
        case "help":
            return shlex.join(["dbmigrate", *before, *names[:1], "--help"])
        case "makemigrations" if "--check" in options:
            command, words, stands_for = "check", ["--select", MODEL_CHANGES, *names], {"--check", "--dry-run"}
        case "makemigrations":
            command, words = "make", names
        case "migrate" if options & {"--plan", "--check"} and (names or "--plan" in options):
            words = [*_selected(names), *(["--exit-code"] if "--check" in options else [])]
            command, stands_for = "plan", {"--plan", "--check"}
        case "migrate" if "--check" in options:
            command, words, stands_for = "check", ["--pending"], {"--check"}
        case "migrate":
            command, words = "run" if names or "--database" in options else "all", _selected(names)
        case "migrate_all":
            command, words = "all", names
        case "migrator":
            command, words = "run" if options & {"--auto", "--database", "--app"} else "menu", names
        case "showmigrations":
            command, words = ("plan", []) if "--plan" in options else ("status", ["--migrations"])
            words, stands_for = [*words, *_pairs("--app", names)], {"--plan", "--list"}
        case "sqlmigrate":
            command, words = "plan", ["--sql", *_selected(names)]
        case "squashmigrations":
            command, words = "squash", names
        case _:
            return None
    carried = [_carried(option, value) for option, value in given if option not in stands_for]
    line = [*words, *(word for some in carried for word in some)]
    return shlex.join(["dbmigrate", *before, command, *(line if _is_taken(command, line) else ["--help"])])


def _parsed(words: Sequence[str]) -> tuple[list[str], list[tuple[str, str | None]]]:
    """Return the names and the options, each with its value, of a command line for manage.py."""
    names: list[str] = []
    options: list[tuple[str, str | None]] = []
    left = iter(words)
    for word in left:
        if not word.startswith("-"):
            names.append(word)
            continue
        option, is_joined, value = (word[:2], word[2:], word[2:]) if word[1:2] != "-" else word.partition("=")
        option = _LONG.get(option, option)
        takes_value = option in _VALUED
        options.append((option, value if is_joined else next(left, None) if takes_value else None))
    return names, options


def _carried(option: str, value: str | None) -> list[str]:
    """Return what we call an option of Django."""
    if option == "--verbosity":
        return _VERBOSITIES.get(value or "", [option])
    return _OURS.get(option) or [option, *([value] if value is not None else [])]


def _is_taken(name: str, words: Sequence[str]) -> bool:
    """Return whether our command can be called like this."""
    if {"-h", "--help"} & {*words}:
        return False  # Click would print it
    try:
        with _command(name).make_context(name, list(words)):
            return True
    except (click.ClickException, click.exceptions.Exit):
        return False


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
    own = [spelled for parameter in context.command.params for spelled in parameter.opts]
    takes_names = any(parameter.name in ("app", "apps") for parameter in context.command.params)
    if option == "--app" and takes_names:
        return shlex.join(["dbmigrate", *_replaced(arguments, option, [])])
    others = LOOKING if context.info_name in (*LOOKING, "info", "wait") else DOING
    for name in others if context.parent is not None else ():
        if name != context.info_name and option in _options(name):
            return shlex.join(["dbmigrate", *_replaced(arguments, context.info_name, [name])])
    close = get_close_matches(option, own, n=1, cutoff=0.7)
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
    return [option for parameter in _command(name).params for option in parameter.opts]


def _command(name: str) -> click.Command:
    command: click.Command = importlib.import_module(f"dbmigrate.cli.{name}").command
    return command


def _replaced(words: Sequence[str], word: str, by: Sequence[str]) -> list[str]:
    """Return the line with others in the place of a word, which may be an option that is joined with its value."""
    at = list(words).index(word) if word in words else None
    if at is not None:
        return [*words[:at], *by, *words[at + 1 :]]
    at = next((number for number, given in enumerate(words) if given.startswith(f"{word}=")), None)
    if at is None:
        return [*words, *by]
    value = words[at].removeprefix(f"{word}=")
    return [*words[:at], *(by[:-1]), f"{by[-1]}={value}" if by else value, *words[at + 1 :]]


def _selected(names: Sequence[str]) -> list[str]:
    """Return the options for Django's "APP MIGRATION"; what stands behind them is left as it is."""
    return [*_pairs("--app", names[:1]), *_pairs("--to", names[1:2]), *names[2:]]


def _pairs(option: str, values: Sequence[str]) -> list[str]:
    return [word for value in values for word in (option, value)]
