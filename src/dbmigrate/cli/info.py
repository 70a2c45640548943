"""`dbmigrate info`."""

from __future__ import annotations

import click

from dbmigrate.cli.context import session_of
from dbmigrate.cli.options import global_options
from dbmigrate.errors import ExitCode, UsageError


@click.command("info", short_help="Show what was found: project, settings, routers, routes.")
@click.option("--routes", is_flag=True, help="Only what the routers say of every app on every database.")
@click.option("--explain", metavar="LABEL.MODEL", help="Why one model belongs where it does: each router's own answer.")
@global_options
@click.pass_context
def command(context: click.Context, *, routes: bool, explain: str | None) -> ExitCode:
    """Show the project and how it was found, the configuration with its origins, and what belongs where."""
    if routes and explain:
        raise UsageError("--routes and --explain are two different answers", hint="leave one of them out")
    session = session_of(context)
    with session.open({}) as (work, renderer):
        from dbmigrate import answering

        if explain is not None:
            renderer.answer(answering.explain(work, explain))
        else:
            renderer.answer(answering.show_routes(work) if routes else answering.info(work))
        renderer.close(ExitCode.OK)
        return ExitCode.OK
