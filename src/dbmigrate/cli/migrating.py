"""What `all` and `run` share: run the plan, show it, answer, return the code."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

import click

from dbmigrate.cli.consent import Consent
from dbmigrate.cli.host_lifetime import open_project
from dbmigrate.cli.session import session_of
from dbmigrate.config import Flag, flags_of
from dbmigrate.errors import DbmigrateError, ExitCode, StalePlanError, UsageError

if TYPE_CHECKING:
    from dbmigrate.cli.output import Output
    from dbmigrate.commands.approval import Approval
    from dbmigrate.commands.review import CommandContext
    from dbmigrate.models.differences import Difference
    from dbmigrate.models.result import RunResult
    from dbmigrate.models.selection import Selection
    from dbmigrate.models.settings import Phase, Settings


@dataclass(frozen=True)
class Asked:
    """What the command line of `all`, `run` or `plan` asks for."""

    flags: Mapping[str, Flag]
    """The options that are configuration keys too, by key."""
    fake_initial: bool
    run_syncdb: bool
    always: bool
    allow_data_loss: bool
    databases: tuple[str, ...]
    apps: tuple[str, ...]
    to: str | None
    fake: bool
    phase: Phase | None

    @staticmethod
    def read(options: Mapping[str, Any]) -> Asked:
        """Return what was asked by options, as Click gives them; `all` has none that select.

        Raises:
            UsageError: two of them ask for different things.
        """
        if options["phase"] is not None and options.get("to") is not None:
            raise UsageError(
                "--phase finds the migrations to go to and cannot be combined with --to", hint="remove one of the two"
            )
        if options["phase"] is not None and options["run_syncdb"]:
            raise UsageError(
                "--run-syncdb cannot be combined with --phase: tables of apps without migrations belong to no phase",
                hint="give the app migrations: dbmigrate make APP; or, where no old code runs, leave --phase out",
            )
        return Asked(
            flags_of(options),
            fake_initial=options["fake_initial"],
            run_syncdb=options["run_syncdb"],
            always=options["always"],
            allow_data_loss=options["allow_data_loss"],
            databases=options.get("databases", ()),
            apps=options.get("apps", ()),
            to=options.get("to"),
            fake=options.get("fake", False),
            phase=options["phase"],
        )

    def select(self, settings: Settings) -> Selection:
        """Return the selection, under the configuration that the flags are part of."""
        # Imported here: pydantic is loaded while the host boots.
        from dbmigrate.models.selection import Selection

        return Selection(
            databases=self.databases,
            apps=self.apps,
            to=self.to,
            fake=self.fake,
            fake_initial=self.fake_initial,
            phase=self.phase,
            run_syncdb=self.run_syncdb,
            always=self.always,
            allow_data_loss=self.allow_data_loss,
            make_migrations=not settings.skip_makemigrations,
        )


def _load() -> None:
    """Import what a run needs, and let pydantic build what it builds once."""
    from dbmigrate.commands import migrate  # noqa: F401
    from dbmigrate.models.selection import Selection
    from dbmigrate.models.snapshot import Snapshot

    Selection.model_rebuild()
    Snapshot.model_rebuild()


def migrate(
    context: click.Context,
    asked: Asked,
    *,
    has_locks: bool = True,
    may_ask: bool,
    dry_run: bool,
    expect: str | None = None,
    junit: str | None = None,
) -> ExitCode:
    """Migrate what the command line asks for; `dry_run` shows the plan instead, `may_ask` lets it ask a person.

    `expect`: the digest that the plan has to have.
    """
    if expect is not None and (dry_run or not has_locks):
        raise UsageError(
            f"--expect cannot be combined with {'--dry-run' if dry_run else '--no-lock'}: the plan is compared while "
            "the locks are held, and then runs (nothing was changed)",
            hint="remove one of the two",
        )
    if dry_run:
        return show_plan(context, asked, junit=junit)
    session = session_of(context)
    options = " --skip-makemigrations" if "skip_makemigrations" in asked.flags else ""
    options += f" --phase {asked.phase}" if asked.phase is not None else ""
    differs = saying_what_differs(f"to see what would run now, and its digest: dbmigrate plan{options}")
    with open_project(session, asked.flags, junit, _load) as (work, output), differs:
        return run(
            work,
            output,
            asked.select(work.settings),
            keep_going=work.settings.keep_going,
            has_locks=has_locks,
            consent=Consent(session, may_ask=may_ask),
            approval=_approval_of(expect),
        )


def _approval_of(digest: str | None) -> Approval | None:
    if digest is None:
        return None
    from dbmigrate.commands.approval import DigestApproval

    return DigestApproval(digest)


def apply_plan(
    context: click.Context, name: str, flags: Mapping[str, Flag], *, any_database: bool, junit: str | None = None
) -> ExitCode:
    """Run the plan that a file holds, if nothing differs from what it was made from."""
    from dbmigrate.cli.saved_document import read_document, save_again

    session = session_of(context)
    for option, file in (("-o", session.output_file), ("--junit", junit)):
        if file is not None and session.names_as_plan(file):
            raise UsageError(
                f"{option} would replace the saved plan with the report (nothing was changed)",
                hint=f"give {option} another file",
            )
    document = read_document(session.cwd, name)
    differs = saying_what_differs(save_again(name, document.plan.selection))
    with open_project(session, flags, junit, _load) as (work, output), differs:
        from dbmigrate.commands.approval import SavedApproval

        return run(
            work,
            output,
            document.plan.selection.model_copy(update={"make_migrations": False}),
            keep_going=work.settings.keep_going,
            has_locks=True,
            approval=SavedApproval(document.plan, document.statements, any_database=any_database),
        )


@contextmanager
def saying_what_differs(hint: str) -> Iterator[None]:
    """Give the error of a plan that no longer holds its words; `hint`: what to type."""
    try:
        yield
    except StalePlanError as error:
        from dbmigrate.renderers.difference_words import difference_lines, statement_lines

        differences = cast("Sequence[Difference]", error.differences)
        error.message = "\n  ".join([f"{error.message}:", *difference_lines(differences)])
        error.hint = hint
        error.detail = "\n".join(statement_lines(differences)) or error.detail
        raise


def run(
    work: CommandContext,
    output: Output,
    selection: Selection,
    *,
    keep_going: bool,
    has_locks: bool,
    consent: Consent | None = None,
    judge: Callable[[RunResult], DbmigrateError | None] = lambda result: None,
    approval: Approval | None = None,
) -> ExitCode:
    """Migrate what is selected in an open project, show it, answer, and return the code.

    `judge`: returns what makes the command fail, in addition to what the run says. `approval`: what the plan has to be.
    """
    from dbmigrate.commands import migrate
    from dbmigrate.models.events import PlanReady, RunFinished
    from dbmigrate.models.result import RunReport

    plan = result = None
    agree = consent.ask if consent is not None else lambda plan: None
    is_asked = consent is not None and consent.can_ask
    with closing(
        migrate.migrate(
            work,
            selection,
            keep_going=keep_going,
            has_locks=has_locks,
            agree=agree,
            is_asked=is_asked,
            approval=approval,
        )
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
    asked: Asked,
    *,
    sql: bool = False,
    graph: Literal["mermaid", "dot"] | None = None,
    exit_code: bool = False,
    junit: str | None = None,
) -> ExitCode:
    """Show what would be done."""
    session = session_of(context)
    with open_project(session, asked.flags, junit, _load) as (work, output):
        from dbmigrate.commands import show

        is_saved = session.output_file is not None
        report = output.follow(show.plan(work, asked.select(work.settings), sql=sql, graph=graph, is_saved=is_saved))
        code = report.exit_code if exit_code else ExitCode.OK
        output.answer(report)
        if is_saved:
            show.check_saved(report.plan)
        # The menu asks with the exit code whether there is something to do.
        output.close(ExitCode.OK if session.is_menu else code)
        return code
