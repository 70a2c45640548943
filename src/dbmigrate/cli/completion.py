"""`dbmigrate completion`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from dbmigrate.errors import ExitCode

VARIABLE = "_DBMIGRATE_COMPLETE"
"""Set by the printed script when the shell asks what comes next."""


@click.command("completion", short_help="Print the completion script for a shell.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(context: click.Context, *, shell: str) -> ExitCode:
    """Print the script; for bash: eval "$(dbmigrate completion bash)".

    Databases, apps and migrations complete from what the last command found in the project.
    """
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(context.find_root().command, {}, "dbmigrate", VARIABLE).source())
    return ExitCode.OK
