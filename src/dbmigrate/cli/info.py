"""`dbmigrate info`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dbmigrate.cli.host_lifetime import open_project
from dbmigrate.cli.options import global_options
from dbmigrate.cli.session import session_of
from dbmigrate.errors import ExitCode, UsageError
from dbmigrate.models.target import Choice

if TYPE_CHECKING:
    from dbmigrate.models.reports import AnyReport


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
    with open_project(session, {}) as (work, output):
        from dbmigrate.commands import show

        report: AnyReport
        if explain is not None:
            report = show.explain(work, explain)
        else:
            chosen = Choice(work.settings.format, work.settings.origins["format"])
            shown_as = output.find_format() if chosen.value == "auto" else chosen
            report = show.show_routes(work) if routes else output.follow(show.info(work, shown_as))
        output.answer(report)
        output.close(report.exit_code)
        return report.exit_code
