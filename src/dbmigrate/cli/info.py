"""`dbmigrate info`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dbmigrate.cli.options import global_options
from dbmigrate.cli.output import follow
from dbmigrate.cli.session import session_of
from dbmigrate.errors import ExitCode, UsageError
from dbmigrate.models.target import Choice

if TYPE_CHECKING:
    from dbmigrate.models.reports import Answer


@click.command("info", short_help="Show project, settings, routers and which app goes where.")
@click.option("--routes", is_flag=True, help="Show only the routers' answers for every app and database.")
@click.option("--explain", metavar="LABEL.MODEL", help="Explain where one model belongs: the answer of each router.")
@global_options
@click.pass_context
def command(context: click.Context, *, routes: bool, explain: str | None) -> ExitCode:
    """Show how the project was found, where each setting comes from, and which app goes where. Read-only."""
    if routes and explain:
        raise UsageError("--routes cannot be combined with --explain", hint="remove one of the two")
    session = session_of(context)
    settings, _ = session.read_settings({})
    origin = settings.origins["format"]
    output = session.find_format() if settings.format == "auto" else Choice(settings.format, origin)
    with session.open({}) as (work, renderer):
        from dbmigrate.commands import show

        report: Answer
        if explain is not None:
            report = show.explain(work, explain)
        else:
            report = show.show_routes(work) if routes else follow(renderer, show.info(work, output))
        renderer.answer(report)
        renderer.close(report.exit_code)
        return report.exit_code
