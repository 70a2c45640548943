"""`dbmigrate completion`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from dbmigrate.cli.session import session_of
from dbmigrate.errors import ExitCode, UsageError

VARIABLE = "_DBMIGRATE_COMPLETE"
"""Set by the printed script when the shell asks what comes next."""

COMPINIT = "(( $+functions[compdef] )) || { autoload -Uz compinit && compinit -i }"


@click.command("completion", short_help="Print the completion script for bash, zsh or fish.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(context: click.Context, *, shell: str) -> ExitCode:
    """Print the completion script of a shell; in bash: eval "$(dbmigrate completion bash)".

    Names of databases, apps and migrations complete from a cache that the last command wrote.
    """
    if session_of(context).output_file is not None:
        raise UsageError(
            "completion prints a script and no document for -o", hint=f"dbmigrate completion {shell} > FILE"
        )
    kind = get_completion_class(shell)
    assert kind is not None
    script = kind(context.find_root().command, {}, "dbmigrate", VARIABLE).source()
    # A shell whose configuration does not start completion has no compdef, which the script of zsh calls.
    click.echo(script.replace("#compdef dbmigrate\n", f"#compdef dbmigrate\n{COMPINIT}\n", 1))
    return ExitCode.OK
