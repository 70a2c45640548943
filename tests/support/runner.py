"""GitHub's runner as far as it reads what a step prints: which lines are commands to it, and what they do.

After actions/runner, src/Runner.Common/ActionCommand.cs and src/Runner.Worker/ActionCommandManager.cs. Where it depends
on the machine, the worse is taken: characters without a width stand in no command's way.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field

REGISTERED = {
    "add-mask",
    "add-matcher",
    "add-path",
    "debug",
    "echo",
    "endgroup",
    "error",
    "group",
    "notice",
    "remove-matcher",
    "save-state",
    "set-env",
    "set-output",
    "stop-commands",
    "warning",
}

LEVELS = ("error", "warning", "notice")
SHOWN = 10
"""Annotations of each level that GitHub shows for a step."""


@dataclass(frozen=True)
class Annotation:
    level: str
    message: str
    title: str | None = None
    file: str | None = None
    line: str | None = None


@dataclass
class Log:
    """What became of the output of one step."""

    annotations: list[Annotation] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    """Lines that were no commands."""
    groups: list[tuple[str, list[str]]] = field(default_factory=list)
    """Title and lines of each group."""
    others: list[str] = field(default_factory=list)
    """Names of all other commands that were obeyed."""
    stopped_at_the_end: bool = False

    def shown(self, level: str) -> list[Annotation]:
        """Return the annotations of a level that GitHub would show."""
        return [annotation for annotation in self.annotations if annotation.level == level][:SHOWN]


def read_log(output: str) -> Log:
    """Read the output of a step."""
    log = Log()
    token: str | None = None
    is_grouped = False
    for line in split_lines(output):
        command = _parse(line, REGISTERED if token is None else REGISTERED | {token.lower()})
        if command is None or (token is not None and command[0] != token.lower()):
            log.text.append(line)
            if is_grouped:
                log.groups[-1][1].append(line)
            continue
        name, properties, message = command
        if token is not None:
            token = None
        elif name == "stop-commands":
            token = message
        elif name == "group":
            assert not is_grouped, "groups cannot stand in one another"
            is_grouped = True
            log.groups.append((message, []))
        elif name == "endgroup":
            assert is_grouped
            is_grouped = False
        elif name in LEVELS:
            log.annotations.append(
                Annotation(name, message, properties.get("title"), properties.get("file"), properties.get("line"))
            )
        else:
            log.others.append(name)
    log.stopped_at_the_end = token is not None
    return log


def split_lines(output: str) -> list[str]:
    """Return the lines as .NET reads them."""
    return re.split(r"\r\n|\r|\n", output)[: None if output and output[-1] not in "\r\n" else -1]


def _parse(line: str, registered: set[str]) -> tuple[str, dict[str, str], str] | None:
    """Return (name, properties, message) of a command; None if the line is none."""
    line = "".join(character for character in line if not _is_ignorable(character))
    modern = re.match(r"\s*::(.*?)::(.*)", line, re.S)
    if modern is not None and _name(modern[1]) in registered:
        pairs = [pair.partition("=") for pair in modern[1].partition(" ")[2].strip().split(",")]
        properties = {key: value for key, _, value in pairs if value}
        values = {
            key: _unescape(value, ("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","))
            for key, value in properties.items()
        }
        return _name(modern[1]), values, _unescape(modern[2], ("%0D", "\r"), ("%0A", "\n"))
    old = re.search(r"##\[([^\]]*)\](.*)", line, re.S)
    if old is not None and _name(old[1]) in registered:
        return _name(old[1]), {}, old[2]
    return None


def _is_ignorable(character: str) -> bool:
    return unicodedata.category(character) in ("Cf", "Mn", "Me") or (
        unicodedata.category(character) == "Cc" and not character.isspace()
    )


def _name(text: str) -> str:
    return text.partition(" ")[0].lower()


def _unescape(text: str, *pairs: tuple[str, str]) -> str:
    for escaped, meant in (*pairs, ("%25", "%")):
        text = text.replace(escaped, meant)
    return text
