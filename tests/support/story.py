"""One run as the list of its events: makemigrations, a retried step, one that fails, one that is not started."""

from __future__ import annotations

from datetime import datetime, timezone

from dbmigrate.models.events import (
    CommandOutput,
    CommandStarted,
    DatabaseAwaited,
    DatabaseReached,
    DdlLockTimeoutIgnored,
    Event,
    LockAwaited,
    LockLost,
    LockMissing,
    LocksTaken,
    MakeFinished,
    MakeStarted,
    MigrationsWritten,
    PlanReady,
    ResetListed,
    RunFinished,
    Started,
    StepFinished,
    StepOutput,
    StepProgress,
    StepRetried,
    StepsCapped,
    StepSkipped,
    StepStarted,
    Stopping,
)
from dbmigrate.models.findings import Finding
from dbmigrate.models.plan import MakeMigrations
from dbmigrate.models.reset import EmptiedDatabase, KeptThing, LostTrigger, MovedFile, ResetList
from dbmigrate.models.result import DatabaseResult, Failure, LostLock, RunReport, RunResult, StepFailed, StepResult
from dbmigrate.models.rooms import Cap
from dbmigrate.models.servers import LockHolder
from support.snapshots import as_shown, database, pending, plan_of, routes, snapshot

WARNING = Finding(
    id="DBM208",
    level="warning",
    stops=False,
    message="blog.0001 would run on two databases",
    hint="pass hints=\nor a router",
    migrations=("blog.0001",),
    file="blog/migrations/0001.py",
    line=3,
)
PLAN = as_shown(
    plan_of(
        snapshot(
            database("default", routes(core="yes", blog="no", shop="no"), pending("core.0001"), pending("core.0002")),
            database("blog_db", routes(core="no", blog="yes", shop="no"), pending("blog.0001")),
            database("shop", routes(core="no", blog="no", shop="yes"), pending("shop.0001")),
        )
    ),
    WARNING,
)
FIRST, SECOND, THIRD = PLAN.steps
COMMAND = ("/python", "manage.py", "migrate")
MAKE = MakeMigrations(apps=("blog",), changes=(), arguments=("makemigrations", "blog"))
FAILED = StepResult(
    id=SECOND.id, alias="blog_db", status="failed", exit_code=1, seconds=2.5, command=COMMAND, last_lines=("boom",)
)
SKIPPED = StepResult(id=THIRD.id, alias="shop", status="not-run", why=StepFailed(step=SECOND.id))
FAILURE = Failure(
    kind="command",
    step=SECOND.id,
    command=COMMAND,
    exit_code=1,
    seconds=2.5,
    migration="blog.0001",
    file="blog/migrations/0001.py",
    line=7,
    rolled_back=True,
    last_lines=("Traceback", "boom"),
    message="boom",
)


def _database(alias: str, status: str, **more: object) -> DatabaseResult:
    return DatabaseResult.model_validate(
        {
            "alias": alias,
            "status": status,
            "skip": None,
            "owner": None,
            "applied": (),
            "undone": (),
            "only_recorded": 0,
            "remaining": (),
            "seconds": 1.0,
            "failure": None,
            "waited_for": None,
            **more,
        }
    )


RESULT = RunResult(
    written=("blog.0001",),
    databases=(
        _database("default", "migrated", applied=("core.0001", "core.0002")),
        _database("blog_db", "failed", failure=FAILURE, remaining=("blog.0001",)),
        _database("shop", "not-run", remaining=("shop.0001",), waited_for="blog_db"),
    ),
    constance=None,
    signal=None,
    seconds=4.0,
)
LOST = LostLock(
    alias="default",
    at=datetime(2024, 1, 2, 3, 4, 5, tzinfo=timezone.utc),
    because="connection cut",
    is_retaken=True,
    why_not_again=None,
)

RESET = ResetList(
    name="site",
    databases=(
        EmptiedDatabase(
            alias="default",
            tables={"core_item": 2, "core_tag": None},
            kept=(KeptThing(kind="VIEW", name="report", rows=None),),
            lost=(LostTrigger(name="log", on="core_item"),),
        ),
    ),
    files=(MovedFile(path="core/migrations/0001_initial.py", hand_written=("RunPython",)),),
    kept_in=".dbmigrate-reset/now",
    changed=("notes.txt",),
)

EVENTS: tuple[Event, ...] = (
    Started(command="all", dbmigrate="1.0"),
    ResetListed(reset=RESET),
    DatabaseAwaited(alias="blog_db", trouble="refused", error="nobody listens", seconds_left=9.0),
    DatabaseReached(alias="blog_db", seconds=3.0),
    LockAwaited(holder=LockHolder(alias="default", holder="dbmigrate 7 on web1", seconds=5.0), seconds_left=60.0),
    LocksTaken(seconds=2.0),
    PlanReady(plan=PLAN),
    MakeStarted(make=MAKE, command=("/python", "manage.py", "makemigrations", "blog")),
    StepOutput(step="makemigrations", alias=None, stream="stdout", text="Migrations for 'blog':"),
    MakeFinished(result=StepResult(id="makemigrations", alias=None, status="ok", exit_code=0, seconds=1.5)),
    MigrationsWritten(migrations=("blog.0001",)),
    PlanReady(plan=PLAN),
    CommandStarted(command=COMMAND),
    CommandOutput(text="Squashing"),
    LockMissing(alias="shop", because="its server has none"),
    DdlLockTimeoutIgnored(alias="shop", because="it is SQLite"),
    StepsCapped(cap=Cap(aliases=("blog_db", "shop"), most=1, because="their role has room for 2 connections")),
    StepStarted(step=FIRST, command=COMMAND),
    StepOutput(step=FIRST.id, alias="default", stream="stderr", text="Applying \x1b[31mcore.0001"),
    StepProgress(step=FIRST.id, alias="default", migration="core.0001", position=1, total=2, backwards=False),
    StepRetried(
        step=FIRST,
        tries=1,
        pause=0.5,
        blockers=("pid 9",),
        most_tries=4,
        migration="core.0001",
        code="40P01",
        reason="deadlock detected",
    ),
    StepProgress(step=FIRST.id, alias="default", migration="core.0002", position=2, total=2, backwards=False),
    LockLost(lock=LOST, running=()),
    StepFinished(result=StepResult(id=FIRST.id, alias="default", status="ok", exit_code=0, seconds=2.0)),
    StepStarted(step=SECOND, command=COMMAND),
    StepFinished(result=FAILED),
    StepSkipped(result=SKIPPED),
    Stopping(signal=15, rung=1, running=(), grace=5.0),
    RunFinished(result=RESULT),
)
"""Every kind of event at least once, in an order that a run may have."""

REPORT = RunReport(plan=PLAN, run=RESULT)
