"""The global options that were given, wherever on the line they stood."""

from __future__ import annotations

from typing import Any

import click
from click.core import ParameterSource

_KEY = "dbmigrate.options"


def remember_option(context: click.Context, parameter: click.Parameter, value: object) -> None:
    """Keep a global option (an option's callback); the one after the command wins."""
    assert parameter.name is not None
    if context.get_parameter_source(parameter.name) is not ParameterSource.DEFAULT:
        read_global_options(context)[parameter.name] = value


def read_global_options(context: click.Context) -> dict[str, Any]:
    """Return the global options by name: one dictionary for a command line, which fills up as it is parsed."""
    given: dict[str, Any] = context.meta.setdefault(_KEY, {})
    return given
