"""What `all` and `run` share: run the plan, show it, answer, return the code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from dbmigrate.cli.context import current_session
from dbmigrate.cli.options import read_global_options
from dbmigrate.config import Flag
from dbmigrate.errors import ExitCode

if TYPE_CHECKING:
    from dbmigrate.models.selection import Selection


def flags_of(*, jobs: int | None, skip_makemigrations: bool | None) -> dict[str, Flag]:
    """Return the configuration keys that these options set."""
    given = {"jobs": ("--jobs", jobs), "skip_makemigrations": ("--skip-makemigrations", skip_makemigrations)}
    return {key: Flag(name, value) for key, (name, value) in given.items() if value is not None}


def select(skip_makemigrations: bool, **asked: Any) -> Selection:
    """Return the selection; pydantic is loaded only now, while the host boots."""
    from dbmigrate.models.selection import Selection

    return Selection(make_migrations=not skip_makemigrations, **asked)


def migrate(
    context: click.Context, asked: Mapping[str, Any], flags: Mapping[str, Flag], *, keep_going: bool
) -> ExitCode:
    """Migrate what was asked for."""
    session = current_session(read_global_options(context), context.info_name)
    with session.open(flags) as (work, renderer):
        from dbmigrate import app
        from dbmigrate.models.events import PlanReady, RunFinished
        from dbmigrate.models.reports import RunReport

        plan = result = None
        for event in app.migrate(work, select(work.settings.skip_makemigrations, **asked), keep_going=keep_going):
            if isinstance(event, PlanReady):
                plan = event.plan
            if isinstance(event, RunFinished):
                result = event.result
            renderer.show(event)
        assert plan is not None
        assert result is not None
        renderer.answer(RunReport(plan=plan, run=result))
        renderer.close(result.exit_code)
        return result.exit_code


def show_plan(
    context: click.Context,
    asked: Mapping[str, Any],
    flags: Mapping[str, Flag],
    *,
    sql: bool = False,
    exit_code: bool = False,
) -> ExitCode:
    """Show what would be done."""
    session = current_session(read_global_options(context), context.info_name)
    with session.open(flags) as (work, renderer):
        from dbmigrate import app

        report = app.plan(work, select(work.settings.skip_makemigrations, **asked), sql=sql)
        code = ExitCode.OK
        if exit_code and report.plan.make is not None:
            code = ExitCode.MODEL_CHANGES
        elif exit_code and any(step.migrations for step in report.plan.steps):
            code = ExitCode.PENDING
        renderer.answer(report)
        renderer.close(code)
        return code
