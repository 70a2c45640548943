"""`dbmigrate plan`."""

from __future__ import annotations

from typing import Any, Literal

import click

from dbmigrate.cli.migrating import Asked, show_plan
from dbmigrate.cli.options import exit_code_option, global_options, migrate_options, selection_options
from dbmigrate.errors import ExitCode


@click.command("plan", short_help="Show what all or run would do.")
@selection_options
@migrate_options
@click.option("--sql", is_flag=True, help="Show SQL statements instead of steps.")
@click.option(
    "--graph", type=click.Choice(["mermaid", "dot"]), help="Draw the order of the databases instead of listing steps."
)
@exit_code_option("Exit 11 if migrations would be created, 10 if migrations are pending.")
@global_options
@click.pass_context
def command(
    context: click.Context, /, *, sql: bool, graph: Literal["mermaid", "dot"] | None, exit_code: bool, **options: Any
) -> ExitCode:
    """Show what `all`, or `run` with the same options, would do.

    Read-only. With --exit-code it exits 11 if migrations would be created and 10 if migrations are pending.
    """
    return show_plan(context, Asked.read(options), sql=sql, graph=graph, exit_code=exit_code)
