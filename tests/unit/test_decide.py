"""What is refused, from a snapshot made of literals: the class of the error, and that it says that nothing changed."""

from __future__ import annotations

from typing import Any

import pytest
from support.snapshots import database, pending, routes, settings, snapshot

from dbmigrate.errors import (
    DbmigrateError,
    ExitCode,
    FindingsError,
    ModelChangesError,
    UnreachableError,
    UsageError,
)
from dbmigrate.models.apps import Change
from dbmigrate.models.database import Database
from dbmigrate.models.migrations import Way
from dbmigrate.models.selection import Selection
from dbmigrate.models.settings import Settings
from dbmigrate.models.snapshot import Snapshot
from dbmigrate.planning.decide import Decision, Goal, decide, refuse

CORE, BLOG = "core.0001_initial", "blog.0001_initial"


def decision(taken: Snapshot, configured: Settings | None = None, **selected: Any) -> Decision:
    selection = Selection(**selected)
    targets = selection.targets_on(entry.alias for entry in taken.databases)
    return decide(taken, configured or settings(), Goal(selection, targets))


def refused(decided: Decision) -> DbmigrateError:
    with pytest.raises(DbmigrateError) as caught:
        refuse(decided, decided.findings, is_run=True)
    return caught.value


def one(*waiting: Any, **more: Any) -> Database:
    return database("default", routes(core="yes"), *waiting, **more)


def test_what_can_run_is_not_refused() -> None:
    decided = decision(snapshot(one(pending(CORE))))

    refuse(decided, decided.findings, is_run=True)

    assert (decided.plan.targeted, decided.plan.pending_on("default")) == (("default",), (CORE,))


REFUSALS = {
    "unreachable": (one(state="unreachable", error="refused"), UnreachableError, "default is unreachable"),
    "inconsistent": (one(inconsistent="core.0002 is applied before core.0001"), FindingsError, "DBM103"),
    "read-only": (one(pending(CORE), read_only="it is opened with mode=ro"), UnreachableError, "mode=ro"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_the_state_of_a_database_refuses_the_run(case: str) -> None:
    there, kind, said = REFUSALS[case]

    error = refused(decision(snapshot(there)))

    assert (type(error), error.changed) == (kind, False)
    assert said in error.message


def test_a_plan_that_cannot_be_written_is_shown_all_the_same() -> None:
    decided = decision(snapshot(one(pending(CORE), read_only="it is opened with mode=ro")))

    refuse(decided, decided.findings, is_run=False)


def test_several_leaf_migrations_refuse_the_run_with_a_fact_for_each_app() -> None:
    leaves = ("0002_left", "0002_right")
    error = refused(decision(snapshot(one(pending(CORE)), conflicts={"core": leaves}, changes=None)))

    assert error.code is ExitCode.FINDINGS
    assert [fact.title for fact in error.facts] == ["DBM102"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"question": "it is impossible to add x without a default"}, "impossible to add x"),
        ({"is_writable": False}, "Add field x"),
        ({"carries": ("lib",)}, "third-party app"),
    ],
)
def test_migrations_that_cannot_be_written_unasked_refuse_the_run(change: dict[str, Any], said: str) -> None:
    lacking = Change(app="core", operations=("Add field x",), question=None, is_writable=True, carries=())
    taken = snapshot(one(), changes=(lacking.model_copy(update=change),))

    error = refused(decision(taken))

    assert (type(error), error.changed) == (ModelChangesError, False)
    assert said in error.message
    refuse(decision(taken, make_migrations=False), (), is_run=True)


def test_what_cannot_be_undone_refuses_the_run() -> None:
    undone = pending("core.0002_fill", backwards=True, irreversible="RunPython")
    decided = decision(snapshot(one(ways={"core.0001": Way(migrations=(undone,))})), apps=("core",), to="0001")

    error = refused(decided)

    assert (type(error), error.changed) == (UsageError, False)
    assert error.message.startswith("core.0002_fill cannot be undone on default: RunPython")


def test_a_goal_is_refused_for_what_cannot_be_undone_on_one_of_its_databases() -> None:
    undone = pending("core.0002_fill", backwards=True)
    fixed = undone.model_copy(update={"irreversible": "RunPython"})
    two = snapshot(
        one(ways={"core.0001": Way(migrations=(undone,))}),
        database("other", routes(core="yes"), ways={"core.0001": Way(migrations=(fixed,))}),
    )
    back, stays = (("core", "0001"),), Selection(make_migrations=False)

    refuse(decide(two, settings(), Goal(stays, {"default": back, "other": ()})), (), is_run=True)
    error = refused(decide(two, settings(), Goal(stays, {"default": back, "other": back})))

    assert error.message.startswith("core.0002_fill cannot be undone on other: RunPython")


def test_a_name_that_is_not_there_is_refused_before_anything_is_decided() -> None:
    with pytest.raises(UsageError, match="no database nowhere") as caught:
        decision(snapshot(one()), databases=("nowhere",))

    assert caught.value.changed is None


def test_what_the_settings_ignore_is_not_found() -> None:
    taken = snapshot(one(pending(CORE)), database("other", routes(core="none"), pending(CORE, "none")))

    assert [finding.id for finding in decision(taken).findings] == ["DBM206"]
    assert decision(taken, settings(ignore=("DBM206",))).findings == ()
