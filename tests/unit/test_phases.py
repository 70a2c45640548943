"""What runs before a deploy and what after it: what decides it, and what follows for each database."""

from __future__ import annotations

from typing import Any

import pytest
from support.phase_graphs import Graph, decide_phase, draw, healed, migrated, take
from support.snapshots import app, database, pending, routes, settings, skips, snapshot, steps

from dbmigrate.config import ConfigFile, merge_settings
from dbmigrate.errors import FindingsError, UsageError
from dbmigrate.models.database import Database
from dbmigrate.models.migrations import Effect, Migration, PhaseMark, PhaseOf, PhaseWork
from dbmigrate.models.plan import PlannedMigration
from dbmigrate.models.snapshot import Command, Snapshot
from dbmigrate.planning.decide import Decision, refuse
from dbmigrate.planning.pending import with_pending
from dbmigrate.planning.phases import find_unmatched, with_phases

MARKED, OTHER = "blog.0007_fill", "auth.0012_name"
DROPS = PhaseWork(says="post", operation="0", text="Remove field slug from post")
FILLS = PhaseWork(says="undecided", operation="0", text="Raw Python operation")
BOTH = PhaseWork(says="mixed", operation="1", text="Create model Tag; Delete model Slug")


def mark(says: str | None, attribute: str = "safe") -> PhaseMark:
    return PhaseMark(attribute=attribute, says=says, text=f"<{says}>")  # type: ignore[arg-type]


READ: dict[str, tuple[dict[str, str], tuple[PhaseMark, ...], PhaseWork, str, str]] = {
    "a pattern before a mark": ({"blog.0007*": "post"}, (mark("pre"),), FILLS, "post", "configuration"),
    "the first pattern": ({"blog.*": "pre", "blog.0007*": "post"}, (), FILLS, "pre", "configuration"),
    "another's pattern": ({"blog.0008*": "post"}, (mark("pre"),), FILLS, "pre", "mark"),
    "a mark before the operations": ({}, (mark("pre"),), DROPS, "pre", "mark"),
    "a mark for either": ({}, (mark("either"),), DROPS, "either", "mark"),
    "two marks that agree": ({}, (mark("either"), mark("post", "stage")), FILLS, "post", "mark"),
    "two marks that do not": ({}, (mark("pre"), mark("post", "stage")), FILLS, "wrong", "mark"),
    "a mark that is neither": ({}, (mark(None),), DROPS, "wrong", "mark"),
    "the operations": ({}, (), DROPS, "post", "operations"),
    "nothing": ({}, (), FILLS, "undecided", "operations"),
    "both": ({}, (), BOTH, "mixed", "operations"),
    "unmarked, for what is undecided": ({"unmarked": "pre"}, (), FILLS, "pre", "configuration"),
    "unmarked, for what is both": ({"unmarked": "post"}, (), BOTH, "post", "configuration"),
    "unmarked, not for a drop": ({"unmarked": "pre"}, (), DROPS, "post", "operations"),
    "unmarked = ask": ({"unmarked": "ask"}, (), FILLS, "undecided", "operations"),
    "third_party, for others alone": ({"third_party": "pre"}, (), FILLS, "undecided", "operations"),
}


@pytest.mark.parametrize("case", READ)
def test_the_first_that_says_a_phase_counts(case: str) -> None:
    configured, marks, work, says, by = READ[case]

    found = phases({MARKED: Migration(marks=marks, work=work)}, configured)[MARKED]

    assert (found.says, found.by) == (says, by)


def test_third_party_apps_have_one_phase_if_the_configuration_says_so() -> None:
    one = {OTHER: Migration(marks=(mark("post"),), work=FILLS)}

    assert [phases(one, {"third_party": phase})[OTHER].says for phase in ("pre", "post", "ask")] == [
        "pre",
        "post",
        "post",
    ]


def phases(migrations: dict[str, Migration], configured: dict[str, str]) -> dict[str, PhaseOf]:
    taken = snapshot(apps=(app("blog"), app("auth", is_own=False))).model_copy(update={"migrations": migrations})
    return with_phases(taken, settings(phases=configured)).phases


def test_a_pattern_that_matches_nothing_is_found() -> None:
    taken = snapshot().model_copy(update={"migrations": {MARKED: Migration()}})

    assert find_unmatched(taken, settings(phases={"blog.*": "pre", "third_party": "pre", "unmarked": "pre"})) is None
    assert find_unmatched(taken, settings(phases={"blog.*": "pre", "blog.9999*": "pre"})) == "blog.9999*"


REFUSED = {
    '"blog.0007*" = "both"': ({"blog.0007*": "both"}, "phases blog.0007*: 'both' is not one of pre, post"),
    'blog.0007 = "post"': ({"blog": {"0007": "post"}}, "phases: blog is a table and not the name of migrations"),
    "phases = 3": (3, "phases: 3 is not a table"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_phase_in_the_configuration_is_pre_or_post(case: str, tmp_path: Any) -> None:
    written, said = REFUSED[case]

    with pytest.raises(UsageError) as caught:
        merge_settings(ConfigFile(tmp_path / "pyproject.toml", {"phases": written}), {}, {})

    assert said in caught.value.message


OLD = ("core.0000_old",)
"""Recorded on every database that is not new."""


def deploy(*migrations: tuple[str, str, tuple[str, ...]], phase: str | None = "pre", **more: Any) -> Decision:
    """Decide for (migration, what its mark says, what it depends on), all pending on default and blog_db.

    blog belongs on blog_db, everything else on default. `more`: `done`, by alias what is applied; `new`: aliases on
    which nothing is recorded.
    """
    return decide_phase(project(*migrations, **more), phase)


def project(
    *migrations: tuple[str, str, tuple[str, ...]],
    done: dict[str, tuple[str, ...]] | None = None,
    new: tuple[str, ...] = (),
    command: Command | None = None,
) -> Snapshot:
    databases: list[Database] = []
    for alias, home in (("default", ("core", "shop")), ("blog_db", ("blog",))):
        waiting = [
            pending(one, "yes" if one.split(".")[0] in home else "no", *after)
            for one, _, after in migrations
            if one not in (done or {}).get(alias, ())
        ]
        answers = routes(**{label: "yes" if label in home else "no" for label in ("core", "blog", "shop")})
        databases.append(database(alias, answers, *waiting, recorded=len(databases)))
    taken = snapshot(*databases)
    graph = {
        one: Migration(after=after, marks=() if says == "undecided" else (mark(says),), work=FILLS)
        for one, says, after in migrations
    }
    recorded = tuple(
        () if entry.alias in new else (*OLD, *(done or {}).get(entry.alias, ())) for entry in taken.databases
    )
    commands = {**taken.commands, **({} if command is None else {"migrate": command})}
    return taken.model_copy(update={"migrations": graph, "recorded": recorded, "commands": commands})


def ids(planned: tuple[PlannedMigration, ...]) -> list[str]:
    return [migration.id for migration in planned]


ADD, DROP = ("blog.0002", "pre", ("blog.0001",)), ("blog.0003", "post", ("blog.0002",))


def test_a_phase_goes_to_the_last_migration_of_each_app_that_runs_before_the_deploy() -> None:
    plan = deploy(("core.0001", "pre", ()), ("shop.0001", "post", ()), ("blog.0001", "pre", ()), ADD, DROP).plan

    assert steps(plan) == {
        "default:core": ["core.0001"],
        "default:blog": ["~blog.0001", "~blog.0002"],
        "blog_db:blog": ["blog.0001", "blog.0002"],
    }
    assert [step.arguments[:3] for step in plan.steps] == [
        ("migrate", "core", "0001"),
        ("migrate", "blog", "0002"),
        ("migrate", "blog", "0002"),
    ]
    assert {one.alias: ids(one.later) for one in plan.databases} == {
        "default": ["shop.0001", "blog.0003"],
        "blog_db": ["blog.0003"],
    }


def test_an_app_that_another_brings_along_is_not_named_again() -> None:
    plan = deploy(("core.0001", "pre", ()), ("shop.0001", "pre", ("core.0001",)), ("core.0002", "post", ("core.0001",)))

    assert steps(plan.plan) == {"default:core": ["core.0001"], "default:shop": ["shop.0001"]}

    chain = ("core.0001", "pre", ("shop.0001",)), ("shop.0001", "pre", ()), ("shop.0002", "post", ("core.0001",))
    assert steps(deploy(*chain).plan) == {"default:core": ["shop.0001", "core.0001"]}


def test_a_database_that_has_nothing_for_a_phase_says_so_and_is_looked_after() -> None:
    plan = deploy(("core.0001", "pre", ()), ("blog.0001", "post", ()), done={"default": ("core.0001",)}).plan

    assert (steps(plan), skips(plan)) == ({}, {"default": "other-phase", "blog_db": "other-phase"})
    assert plan.targeted == ("default", "blog_db")


def test_all_of_a_database_is_migrated_as_ever_where_nothing_is_left_for_later() -> None:
    plan = deploy(("core.0001", "pre", ()), ("blog.0001", "either", ())).plan

    assert [step.id for step in plan.steps] == ["default", "blog_db:blog"]


def test_a_database_on_which_nothing_is_recorded_takes_all_phases_in_any_phase() -> None:
    chain = ("core.0001", "pre", ()), ("blog.0001", "post", ()), ("blog.0002", "undecided", ("blog.0001",))

    for phase in ("pre", "post"):
        plan = deploy(*chain, phase=phase, new=("default", "blog_db")).plan
        assert steps(plan)["blog_db:blog"] == ["blog.0001", "blog.0002"]
        assert (plan.at_once, {one.phase for step in plan.steps for one in step.migrations}) == (
            ("default", "blog_db"),
            {None},
        )


def test_what_is_left_nowhere_but_where_it_does_nothing_waits_for_no_phase() -> None:
    chain = (("blog.0001", "post", ()), ("core.0001", "pre", ("blog.0001",)), ("core.0002", "post", ("core.0001",)))

    waiting = deploy(*chain)
    done = deploy(*chain, done={"blog_db": ("blog.0001",)})

    assert waiting.split is not None
    assert waiting.split.contradictions() == [("core.0001", "blog.0001")]
    assert steps(done.plan) == {"default:blog": ["~blog.0001"], "default:core": ["core.0001"]}


def test_what_may_run_in_either_phase_waits_for_what_it_depends_on() -> None:
    decided = deploy(
        ("core.0001", "pre", ()), ("core.0002", "post", ("core.0001",)), ("core.0003", "either", ("core.0002",))
    )

    assert steps(decided.plan) == {"default:core": ["core.0001"]}
    assert ids(decided.plan.databases[0].later) == ["core.0002", "core.0003"]
    assert decided.findings == ()


def refused(decided: Decision) -> list[str]:
    with pytest.raises(FindingsError) as caught:
        refuse(decided, decided.findings, is_run=True)
    return caught.value.message.splitlines()


def test_before_behind_after_is_refused_on_all_databases_in_both_phases_and_names_both() -> None:
    chain = ("blog.0001", "post", ()), ("core.0001", "pre", ("blog.0001",)), ("core.0002", "pre", ("core.0001",))

    for phase in ("pre", "post"):
        said = refused(deploy(*chain, phase=phase))
        assert said[0] == (
            "DBM401: core.0001 runs before the deploy (safe = <pre>) but depends on blog.0001, which runs after it "
            "(safe = <post>) and is pending on blog_db"
        )
        assert [line[:7] for line in said] == (["DBM401:"] if phase == "pre" else ["DBM401:", "DBM402:"])
    assert steps(deploy(*chain, phase=None).plan)["default"] == ["~blog.0001", "core.0001", "core.0002"]


def test_what_nobody_decides_is_refused_with_what_to_write() -> None:
    decided = deploy(("core.0001", "undecided", ()))

    assert refused(decided) == [
        "DBM401: nothing says whether core.0001 runs before or after a deploy (Raw Python operation)"
    ]
    assert decided.findings[0].hint.startswith(
        "write is_post_deployment = False (before the deploy) or True (after it) in its class, or "
        '"core.0001" = "pre" or "post" under [tool.dbmigrate.phases]'
    )


def test_after_the_deploy_is_refused_while_any_database_lacks_what_comes_before_it() -> None:
    waiting = deploy(("core.0001", "pre", ()), ("blog.0001", "pre", ()), (*DROP[:2], ()), phase="post")
    ready = deploy(("core.0001", "either", ()), (*DROP[:2], ()), phase="post")

    assert refused(waiting) == [
        "DBM402: database default still lacks what runs before the deploy: core.0001",
        "DBM402: database blog_db still lacks what runs before the deploy: blog.0001",
    ]
    assert steps(ready.plan) == {"default": ["core.0001", "~blog.0003"], "blog_db:blog": ["blog.0003"]}


def test_an_app_goes_to_each_of_its_branches_that_end_before_the_deploy() -> None:
    decided = deploy(
        ("core.0001", "pre", ()),
        ("core.0002_a", "pre", ("core.0001",)),
        ("core.0002_b", "pre", ("core.0001",)),
        ("core.0003_a", "post", ("core.0002_a",)),
        ("core.0004", "either", ("core.0003_a", "core.0002_b")),
    )

    refuse(decided, decided.findings, is_run=True)
    assert steps(decided.plan) == {
        "default:core:0002_a": ["core.0001", "core.0002_a"],
        "default:core:0002_b": ["core.0002_b"],
    }
    assert [step.arguments[1:3] for step in decided.plan.steps] == [("core", "0002_a"), ("core", "0002_b")]


WORDS = {word: word for word in ("--database", "--no-input", "--pre-deploy")}


def test_the_migrate_of_syzygy_is_told_of_the_phase_unless_the_configuration_overrules_it() -> None:
    own = Command(module="syzygy.management.commands.migrate", words=WORDS)
    chain = ("core.0001", "pre", ()), ("core.0002", "post", ("core.0001",))
    taken = project(*chain, command=own)

    told = decide_phase(taken, "pre").plan
    overruled = decide_phase(taken, "pre", phases={"core.0001": "pre"}).plan
    after = decide_phase(project(*chain, command=own, done={"default": ("core.0001",)}), "post").plan

    assert [step.arguments[-1] for step in (*told.steps, *overruled.steps, *after.steps)] == [
        "--pre-deploy",
        "--no-input",
        "--no-input",
    ]


def test_the_migrate_of_safemigrate_is_refused_for_what_it_never_applies() -> None:
    own = Command(module="core.management.commands.migrate", words=WORDS, delays=True)
    chain = ("core.0001", "pre", ()), ("core.0002", "post", ("core.0001",))

    before = decide_phase(project(*chain, command=own), "pre").plan
    after = decide_phase(project(*chain, command=own, done={"default": ("core.0001",)}), "post").plan

    assert before.steps[0].refusal is None
    assert after.steps[0].refusal is not None
    assert "never applies what is marked Safe.after_deploy(): core.0002" in after.steps[0].refusal.message


SEEDS = range(40)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_healthy_graph_is_split_as_it_says_and_both_phases_apply_everything(seed: int) -> None:
    graph = healed(draw(seed))
    first = decide_phase(take(graph), "pre")
    refuse(first, first.findings, is_run=True)

    middle = run(graph, first)
    second = decide_phase(take(middle), "post")
    refuse(second, second.findings, is_run=True)
    end = run(middle, second)

    for one in graph.after:
        if graph.is_left(one):
            is_done = not middle.is_left(one)
            assert is_done == (not graph.is_late(one)), one
    assert not any(end.is_left(one) for one in graph.after)


@pytest.mark.parametrize("seed", [seed for seed in range(200) if draw(seed).faults()][:40])
def test_a_faulty_graph_is_refused_and_a_fault_is_named(seed: int) -> None:
    graph = draw(seed)

    said = refused(decide_phase(take(graph), "pre"))

    named = {line.split()[1] for line in said}
    assert named
    assert named <= graph.faults()


def run(graph: Graph, decided: Decision) -> Graph:
    return migrated(graph, [(step.alias, step.app, step.to) for step in decided.plan.steps])


def test_a_squashed_migration_is_gone_to_where_it_counts_and_what_it_replaces_elsewhere() -> None:
    graph = {
        "blog.0001": Migration(marks=(mark("pre"),), work=FILLS),
        "blog.0002": Migration(after=("blog.0001",), marks=(mark("pre"),), work=FILLS),
        "blog.0001_squashed": Migration(replaces=("blog.0001", "blog.0002"), marks=(mark("pre"),), work=FILLS),
        "blog.0003": Migration(after=("blog.0002",), marks=(mark("post"),), work=FILLS),
    }
    effects = {one: Effect(answer="yes") for one in graph}
    bases = [
        database(alias, routes(blog="yes", core="no"), recorded=number, effects=effects)
        for number, alias in enumerate(("default", "half"))
    ]
    taken = snapshot(*bases).model_copy(update={"migrations": graph, "recorded": (OLD, (*OLD, "blog.0001"))})

    plan = decide_phase(with_pending(taken), "pre").plan

    assert steps(plan) == {"default:blog": ["blog.0001_squashed"], "half:blog": ["blog.0002"]}
    assert [step.to for step in plan.steps] == ["0001_squashed", "0002"]


def test_what_is_pending_where_nobody_can_write_has_no_phase() -> None:
    taken = project(("core.0001", "pre", ()), ("blog.0001", "post", ()))
    frozen = tuple(
        one.model_copy(update={"read_only": "it is opened with mode=ro"}) if one.alias == "blog_db" else one
        for one in taken.databases
    )

    plan = decide_phase(taken.model_copy(update={"databases": frozen}), None).plan

    assert [(one.id, one.phase) for one in plan.planned_on("default")] == [("core.0001", "pre"), ("blog.0001", "pre")]
    assert [(one.id, one.phase) for one in plan.planned_on("blog_db")] == [("blog.0001", None)]
