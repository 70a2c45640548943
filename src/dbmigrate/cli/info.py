"""`dbmigrate info`."""

from __future__ import annotations

import click

from dbmigrate.cli.context import session_of
from dbmigrate.cli.options import global_options
from dbmigrate.errors import ExitCode


@click.command("info", short_help="Show what was found: project, settings, routers, routes.")
@global_options
@click.pass_context
def command(context: click.Context) -> ExitCode:
    """Show the project and how it was found, the configuration with its origins, and what belongs where."""
    session = session_of(context)
    with session.open({}) as (work, renderer):
        from dbmigrate import app

        renderer.answer(app.info(work))
        renderer.close(ExitCode.OK)
        return ExitCode.OK
