"""The options that were given; the global ones wherever on the line they stood."""

from __future__ import annotations

from typing import Any

import click
from click.core import ParameterSource

_KEY = "dbmigrate.options"


def remember_option(context: click.Context, parameter: click.Parameter, value: object) -> None:
    """Keep a global option (an option's callback); the one after the command wins."""
    assert parameter.name is not None
    if is_given(context, parameter.name):
        read_global_options(context)[parameter.name] = value


def read_global_options(context: click.Context) -> dict[str, Any]:
    """Return the global options by name: one dictionary for a command line, which fills up as it is parsed."""
    given: dict[str, Any] = context.meta.setdefault(_KEY, {})
    return given


def is_given(context: click.Context, name: str) -> bool:
    """Return whether an option was given to the command itself."""
    return context.get_parameter_source(name) is not ParameterSource.DEFAULT


def given_words(context: click.Context) -> list[str]:
    """Return the options that were given, those before the command included, as they are typed."""
    given = {name: value for name, value in context.params.items() if is_given(context, name)}
    given |= read_global_options(context)
    return [word for option in context.command.params for word in _typed(option, given.get(option.name or ""))]


def _typed(option: click.Parameter, value: Any) -> list[str]:
    name = option.opts[-1]
    if value is None or value is False:
        return []
    if isinstance(option, click.Option) and option.count:
        return [name] * int(value)
    if value is True:
        return [name]
    values = value if isinstance(value, tuple) else (value,)
    return [word for one in values for word in (name, str(one))]
