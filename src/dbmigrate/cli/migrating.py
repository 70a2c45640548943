"""What `all` and `run` share: run the plan, show it, answer, return the code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any, Literal

import click

from dbmigrate.cli.consent import Consent
from dbmigrate.cli.host_lifetime import open_project
from dbmigrate.cli.session import session_of
from dbmigrate.config import Flag
from dbmigrate.errors import DbmigrateError, ExitCode

if TYPE_CHECKING:
    from dbmigrate.cli.output import Output
    from dbmigrate.commands.review import CommandContext
    from dbmigrate.models.result import RunResult
    from dbmigrate.models.selection import Selection
    from dbmigrate.models.settings import Settings

SETTINGS = (
    "jobs",
    "skip_makemigrations",
    "keep_going",
    "lock_wait",
    "grace",
    "step_timeout",
    "ddl_lock_timeout",
    "ddl_retries",
)
"""Options that are configuration keys too; the others are part of the selection and named like its fields."""


def flags_of(options: Mapping[str, Any]) -> dict[str, Flag]:
    """Return those of a command's options that are configuration keys."""
    given = {key: options[key] for key in SETTINGS if options.get(key) is not None}
    return {key: Flag(f"--{key.replace('_', '-')}", value) for key, value in given.items()}


def _select(options: Mapping[str, Any], settings: Settings) -> Selection:
    # Imported here: pydantic is loaded while the host boots.
    from dbmigrate.models.selection import Selection

    asked = {name: value for name, value in options.items() if name not in SETTINGS}
    return Selection(make_migrations=not settings.skip_makemigrations, **asked)


def _load() -> None:
    """Import what a run needs, and let pydantic build what it builds once."""
    from dbmigrate.commands import migrate  # noqa: F401
    from dbmigrate.models.selection import Selection
    from dbmigrate.models.snapshot import Snapshot

    Selection.model_rebuild()
    Snapshot.model_rebuild()


def migrate(
    context: click.Context,
    options: Mapping[str, Any],
    *,
    has_locks: bool = True,
    may_ask: bool,
    dry_run: bool,
    junit: str | None = None,
) -> ExitCode:
    """Migrate what the command's options ask for; `dry_run` shows the plan instead, `may_ask` lets it ask a person."""
    if dry_run:
        return show_plan(context, options, junit=junit)
    session = session_of(context)
    with open_project(session, flags_of(options), junit, _load) as (work, output):
        selection = _select(options, work.settings)
        return run(
            work,
            output,
            selection,
            keep_going=work.settings.keep_going,
            has_locks=has_locks,
            consent=Consent(session, may_ask=may_ask),
        )


def run(
    work: CommandContext,
    output: Output,
    selection: Selection,
    *,
    keep_going: bool,
    has_locks: bool,
    consent: Consent | None = None,
    judge: Callable[[RunResult], DbmigrateError | None] = lambda result: None,
) -> ExitCode:
    """Migrate what is selected in an open project, show it, answer, and return the code.

    `judge`: returns what makes the command fail, in addition to what the run says.
    """
    from dbmigrate.commands import migrate
    from dbmigrate.models.events import PlanReady, RunFinished
    from dbmigrate.models.result import RunReport

    plan = result = None
    agree = consent.ask if consent is not None else lambda plan: None
    is_asked = consent is not None and consent.can_ask
    with closing(
        migrate.migrate(work, selection, keep_going=keep_going, has_locks=has_locks, agree=agree, is_asked=is_asked)
    ) as events:
        for event in events:
            if isinstance(event, PlanReady):
                plan = event.plan
            output.show(event)
            if isinstance(event, RunFinished):
                result = event.result
                break  # and no further: as long as it is not closed, no signal takes the report away
        assert plan is not None
        assert result is not None
        error = judge(result)
        report = RunReport(plan=plan, run=result)
        output.answer(report)
        if error is not None:
            output.refuse(error)
        code = error.code if error is not None else report.exit_code
        output.close(code)
        return code


def show_plan(
    context: click.Context,
    options: Mapping[str, Any],
    *,
    sql: bool = False,
    graph: Literal["mermaid", "dot"] | None = None,
    exit_code: bool = False,
    junit: str | None = None,
) -> ExitCode:
    """Show what would be done."""
    session = session_of(context)
    with open_project(session, flags_of(options), junit, _load) as (work, output):
        from dbmigrate.commands import show

        report = output.follow(show.plan(work, _select(options, work.settings), sql=sql, graph=graph))
        code = report.exit_code if exit_code else ExitCode.OK
        output.answer(report)
        # The menu asks with the exit code whether there is something to do.
        output.close(ExitCode.OK if session.is_menu else code)
        return code
