"""The words for an error that ended the command."""

from __future__ import annotations

from dbmigrate.errors import DbmigrateError, Fact

UNCHANGED = " (nothing was changed)"

SENTENCE_ENDS = ("?", "!", ".")
"""Where a message ends with a sentence of a driver, what follows has a line of its own."""


def error_message(error: DbmigrateError) -> str:
    """Return what happened, and that nothing was changed where somebody would wonder."""
    return _with_state(error.message, error)


def fact_message(fact: Fact, error: DbmigrateError) -> str:
    """Return the same for one of the facts that an error is made of."""
    return _with_state(fact.message, error)


def _with_state(message: str, error: DbmigrateError) -> str:
    if error.changed is not False:
        return message
    heading, colon, rest = message.partition(":\n")  # the heading of a list says it, not the list's last line
    if colon:
        return f"{heading}{UNCHANGED}{colon}{rest}"
    return f"{message}\n  nothing was changed" if message.endswith(SENTENCE_ENDS) else f"{message}{UNCHANGED}"


def error_lines(error: DbmigrateError) -> list[tuple[bool, str]]:
    """Return the lines of `error_message`, each with whether an error begins in it: an indented one continues one."""
    return [(not line.startswith(" "), line) for line in error_message(error).splitlines()]
