"""What became of each database, from the plan, the processes' results and the databases afterwards."""

from __future__ import annotations

import pytest
from support.snapshots import database, pending, plan_of, routes, snapshot

from dbmigrate.errors import ExitCode
from dbmigrate.models.database import Database
from dbmigrate.models.migrations import PendingMigration, Way
from dbmigrate.models.result import NotLaunched, RunInterrupted, RunResult, StepFailed, StepResult, WhyNotRun
from dbmigrate.planning.outcome import build_result, telling_line

CORE, BLOG = "core.0001_initial", "blog.0001_initial"


def default(*waiting: PendingMigration, **more: object) -> Database:
    return database("default", routes(core="yes", blog="no"), *waiting, **more)


def blog_db(*waiting: PendingMigration, **more: object) -> Database:
    return database("blog_db", routes(core="no", blog="yes"), *waiting, **more)


BEFORE = snapshot(default(pending(CORE)), blog_db(pending(BLOG)))


def ok(step: str) -> StepResult:
    return StepResult(id=step, alias=step.split(":")[0], status="ok", exit_code=0, seconds=1.0, command=("migrate",))


def failed(step: str, **more: object) -> StepResult:
    return ok(step).model_copy(update={"status": "failed", "exit_code": 1, "last_lines": ("", "x: y", ""), **more})


def not_run(step: str, why: WhyNotRun) -> StepResult:
    return StepResult(id=step, alias=step.split(":")[0], status="not-run", why=why)


def result(*results: StepResult, after: tuple[Database, ...], signal: int | None = None) -> RunResult:
    return build_result(plan_of(BEFORE), results, BEFORE, snapshot(*after), written=(), signal=signal, seconds=2.0)


def statuses(run: RunResult) -> dict[str, str]:
    return {entry.alias: entry.status for entry in run.databases}


def test_what_is_recorded_afterwards_counts_as_applied() -> None:
    run = result(ok("default"), ok("blog_db:blog"), after=(default(), blog_db()))

    assert statuses(run) == {"default": "migrated", "blog_db": "migrated"}
    assert [entry.applied for entry in run.databases] == [(CORE,), (BLOG,)]
    assert (run.exit_code, run.moved) == (ExitCode.OK, ("default", "blog_db"))


def test_a_goal_that_leads_back_on_one_database_and_on_on_another_is_held_to_both() -> None:
    back, on = pending(CORE, backwards=True), pending(BLOG)
    before = snapshot(
        default(ways={"core.zero": Way(migrations=(back,))}), blog_db(on, ways={"blog.0001": Way(migrations=(on,))})
    )
    plan = plan_of(before, targets={"default": (("core", "zero"),), "blog_db": (("blog", "0001"),)})
    steps = (ok("default:core"), ok("blog_db:blog"))

    done = build_result(
        plan, steps, before, snapshot(default(pending(CORE)), blog_db()), written=(), signal=None, seconds=2.0
    )
    kept = build_result(plan, steps, before, before, written=(), signal=None, seconds=2.0)

    assert [(step.id, step.to) for step in plan.steps] == [("default:core", "zero"), ("blog_db:blog", "0001")]
    assert [(entry.status, entry.undone, entry.applied) for entry in done.databases] == [
        ("migrated", (CORE,), ()),
        ("migrated", (), (BLOG,)),
    ]
    assert [(entry.status, entry.remaining) for entry in kept.databases] == [("failed", (CORE,)), ("failed", (BLOG,))]


def test_a_process_that_ended_well_and_recorded_nothing_has_failed() -> None:
    run = result(ok("default"), ok("blog_db:blog"), after=(default(), blog_db(pending(BLOG))))

    failure = run.databases[1].failure
    assert failure is not None
    assert (failure.kind, failure.migration, failure.rolled_back) == ("not-recorded", BLOG, None)
    assert run.exit_code is ExitCode.PARTIAL


@pytest.mark.parametrize(
    ("transactional", "atomic", "rolled_back"), [(True, True, True), (True, False, False), (False, True, False)]
)
def test_whether_the_failed_migration_was_rolled_back(transactional: bool, atomic: bool, rolled_back: bool) -> None:
    before = snapshot(default(pending(CORE, atomic=atomic)))
    after = snapshot(default(pending(CORE, atomic=atomic), transactional_ddl=transactional))
    plan = plan_of(before)

    run = build_result(plan, [failed("default", in_flight=CORE)], before, after, written=(), signal=None, seconds=1.0)

    failure = run.databases[0].failure
    assert failure is not None
    assert (failure.kind, failure.migration, failure.rolled_back, failure.message) == (
        "command",
        CORE,
        rolled_back,
        "x: y",
    )
    assert run.exit_code is ExitCode.FAILED


def test_a_failure_after_everything_was_recorded_is_not_a_failed_migration() -> None:
    run = result(
        failed("default"),
        not_run("blog_db:blog", StepFailed(step="default")),
        after=(default(), blog_db(pending(BLOG))),
    )

    failure = run.databases[0].failure
    assert failure is not None
    assert (failure.kind, failure.migration, failure.rolled_back) == ("post-migrate", None, None)
    assert (run.databases[1].status, run.databases[1].waited_for) == ("not-run", "default")
    assert run.exit_code is ExitCode.PARTIAL


def test_a_database_that_went_away_says_so() -> None:
    run = result(
        ok("default"),
        failed("blog_db:blog", in_flight=BLOG),
        after=(default(), blog_db(state="unreachable", error="connection refused")),
    )

    failure = run.databases[1].failure
    assert failure is not None
    assert failure.message == "the database could not be checked afterwards: connection refused"
    assert run.databases[1].remaining == (BLOG,)


def test_an_interrupted_run_exits_with_its_signal_unless_everything_was_done() -> None:
    stopped = result(
        ok("default"), not_run("blog_db:blog", RunInterrupted()), after=(default(), blog_db(pending(BLOG))), signal=15
    )
    done = result(ok("default"), ok("blog_db:blog"), after=(default(), blog_db()), signal=2)

    assert (stopped.exit_code, stopped.databases[1].waited_for) == (ExitCode.TERMINATED, None)
    assert done.exit_code is ExitCode.OK


def test_a_database_of_the_name_interrupted_has_not_failed_because_the_run_was() -> None:
    before = snapshot(
        default(), database("interrupted", routes(core="yes", blog="yes"), pending(CORE)), blog_db(pending(BLOG))
    )
    after = snapshot(default(), database("interrupted", routes(core="yes", blog="yes")), blog_db(pending(BLOG)))
    plan = plan_of(before)
    steps = (ok("interrupted"), not_run("blog_db:blog", RunInterrupted()))

    run = build_result(plan, steps, before, after, written=(), signal=15, seconds=2.0)

    assert [step.id for step in plan.steps] == ["interrupted", "blog_db:blog"]
    assert [(entry.status, entry.waited_for) for entry in run.databases[1:]] == [("migrated", None), ("not-run", None)]
    assert [step.because for step in steps] == [None, "interrupted"]


def test_a_process_that_never_started_is_told_apart() -> None:
    lost = StepResult(
        id="default", alias="default", status="failed", why=NotLaunched(text="python could not be started: gone")
    )

    run = result(
        lost,
        not_run("blog_db:blog", StepFailed(step="default")),
        after=(default(pending(CORE)), blog_db(pending(BLOG))),
    )

    failure = run.databases[0].failure
    assert failure is not None
    assert (failure.kind, failure.message) == ("launch", "python could not be started: gone")
    assert run.exit_code is ExitCode.FAILED


@pytest.mark.parametrize(
    ("lines", "telling"),
    [
        (("Traceback", "ValueError: no", ""), "ValueError: no"),
        (
            ("SystemCheckError: issues:", "", "ERRORS:", "a.B: (x.E1) bad", "", "WARNINGS:", "?: (y.W1) meh"),
            "a.B: (x.E1) bad",
        ),
        ((), "it printed nothing"),
        (
            (
                "Traceback (most recent call last):",
                '  File "psycopg/cursor.py", line 117, in execute',
                "    raise ex.with_traceback(None)",
                'psycopg.errors.UndefinedTable: relation "x" does not exist',
                "LINE 1: SELECT * FROM x",
                "                      ^",
                "",
                "The above exception was the direct cause of the following exception:",
                "",
                '  File "blog/migrations/0002_more.py", line 9, in fill',
                "    cursor.execute('SELECT * FROM x')",
                "    ^^^^^^^^^^^^^^",
                'django.db.utils.ProgrammingError: relation "x" does not exist',
                "LINE 1: SELECT * FROM x",
                "                      ^",
            ),
            'django.db.utils.ProgrammingError: relation "x" does not exist LINE 1: SELECT * FROM x',
        ),
        (
            ('  File "a.py", line 1, in f', "    boom()", "ValueError: no:", "DETAIL:  Key (id)=(7) is there."),
            "ValueError: no: DETAIL: Key (id)=(7) is there.",
        ),
        (
            ('  File "a.py", line 1, in f', "    ask()", "ConnectionError: down", "CommandError: Conflict:", "(a, b)."),
            "CommandError: Conflict: (a, b).",
        ),
        (("Fatal Python error: Segmentation fault", "", '  File "a.py", line 1 in f'), 'File "a.py", line 1 in f'),
    ],
)
def test_the_line_that_says_why(lines: tuple[str, ...], telling: str) -> None:
    assert telling_line(lines) == telling
