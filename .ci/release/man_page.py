"""The manual page, made from what `--help` says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib.resources import files

import click

from dbmigrate import __version__
from dbmigrate.cli.root import COMMANDS, cli
from dbmigrate.config import KEYS
from dbmigrate.errors import ExitCode

STOPS = (".", "'")
"""What begins a request of troff at the start of a line."""


def manual_page() -> str:
    """Return dbmigrate(1) in the macros of man(7); it has no date, so that two builds are equal."""
    root = click.Context(cli, info_name="dbmigrate")
    lines = [f'.TH DBMIGRATE 1 "" "dbmigrate {__version__}" "User Commands"', ".nh", ".ad l"]
    lines += [".SH NAME", _text("dbmigrate - migrate every database of a Django project")]
    lines += [".SH SYNOPSIS", ".B dbmigrate", _text("[OPTIONS] [COMMAND] [ARGS]...")]
    lines += [".SH DESCRIPTION", _text(_what_it_is())]
    lines += [".SH OPTIONS", *_options(cli.params, root)]
    lines += [".SH COMMANDS", *_commands(root)]
    lines += [".SH EXIT STATUS"]
    for code in ExitCode:
        lines += [".TP", f".B {code.value}", _text(code.label)]
    lines += [
        ".SH ENVIRONMENT",
        _text("DBMIGRATE_KEY, with the key in capitals, overrides a key of the configuration:"),
    ]
    lines += [_text(", ".join(f"DBMIGRATE_{key.upper()}" for key in KEYS) + ".")]
    lines += [".SH FILES", ".TP", ".I pyproject.toml", _text("[tool.dbmigrate] holds the configuration.")]
    return "\n".join(lines) + "\n"


def _what_it_is() -> str:
    """Return the paragraph of `dbmigrate --help` that follows the usage."""
    text = files("dbmigrate.cli").joinpath("help.txt").read_text(encoding="utf-8")
    return " ".join(text.split("\n\n")[1].split())


def _commands(root: click.Context) -> Iterator[str]:
    everywhere = {parameter.name for parameter in cli.params}
    for name in COMMANDS:
        command = cli.get_command(root, name)
        assert command is not None
        context = click.Context(command, info_name=name, parent=root)
        usage = " ".join(("dbmigrate", name, *command.collect_usage_pieces(context)))
        yield f".SS {_text(usage)}"
        yield from _paragraphs(command.help or "")
        yield from _options([option for option in command.params if option.name not in everywhere], context)


def _options(parameters: Iterable[click.Parameter], context: click.Context) -> Iterator[str]:
    for parameter in parameters:
        record = parameter.get_help_record(context) if isinstance(parameter, click.Option) else None
        if record is not None:
            yield from (".TP", f".B {_text(record[0])}", _text(" ".join(record[1].split())))


def _paragraphs(text: str) -> Iterator[str]:
    for number, paragraph in enumerate(text.strip().split("\n\n")):
        if number:
            yield ".PP"
        yield _text(" ".join(paragraph.replace("\b", "").split()))


def _text(text: str) -> str:
    """Return a text as troff prints it letter by letter: a hyphen that can be pasted, no request, no escape."""
    plain = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{plain}" if plain.startswith(STOPS) else plain
