"""What is pending on a database, as it follows from the graph, from what is recorded and from what reaches it."""

from __future__ import annotations

import pytest
from support.snapshots import app, database, pending, routes, settings, snapshot

from dbmigrate.errors import UsageError
from dbmigrate.models.database import Database
from dbmigrate.models.migrations import Effect, Migration, Undoing, UndoingOf
from dbmigrate.models.selection import Target, Targets
from dbmigrate.models.servers import Reached
from dbmigrate.models.settings import DatabaseSettings
from dbmigrate.models.snapshot import Snapshot
from dbmigrate.planning.pending import find_concerned, find_ways, with_pending, with_undoing
from dbmigrate.planning.routing import route

GRAPH = {
    "core.0001": Migration(),
    "core.0002": Migration(after=("core.0001",), atomic=False),
    "blog.0001": Migration(after=("core.0001",)),
    "blog.0002": Migration(after=("blog.0001", "core.0002"), is_written=False),
}
ROUTES = routes(core="no", blog="yes")


def completed(*databases: Database, recorded: tuple[tuple[str, ...], ...]) -> Snapshot:
    taken = snapshot(*databases).model_copy(update={"migrations": GRAPH, "recorded": recorded})
    return with_pending(taken)


def test_what_reaches_a_database_is_told_of_it_and_of_the_others_that_nothing_does() -> None:
    effects = {"blog.0002": Effect(answer="yes", operations=3, works_on_data=True)}

    taken = completed(
        database("default", ROUTES, recorded=0),
        database("blog_db", ROUTES, recorded=0, effects=effects),
        recorded=(("blog.0001", "core.0001"),),
    )

    core = pending("core.0002", "no", "core.0001", atomic=False, operations=0)
    assert [one.pending for one in taken.databases] == [
        (core, pending("blog.0002", "no", "blog.0001", "core.0002", is_written=False, operations=0)),
        (
            core,
            pending("blog.0002", "yes", "blog.0001", "core.0002", is_written=False, operations=3, works_on_data=True),
        ),
    ]
    assert [one.applied for one in taken.databases] == [2, 2]
    assert taken.dependencies == {"blog.0002": ("core.0001", "core.0002", "blog.0001")}


def test_nothing_is_pending_where_nobody_knows_what_is_recorded() -> None:
    taken = completed(database("default", ROUTES, state="unreachable"), recorded=())

    assert taken.databases[0].pending == ()


def test_a_database_is_concerned_by_what_its_apps_need_and_one_that_is_migrated_whole_by_everything() -> None:
    taken = completed(
        database("default", routes(core="yes", blog="no"), recorded=0),
        database("blog_db", ROUTES, recorded=0, effects={"blog.0002": Effect(answer="yes")}),
        database("core_db", routes(core="no", blog="no"), recorded=0),
        database("whole_db", routes(core="no", blog="no"), recorded=0),
        recorded=(("blog.0001", "core.0001"),),
    )
    routing = route(taken, settings(databases={"whole_db": DatabaseSettings(scope="database")}))

    concerned = {one.alias: [found.id for found in find_concerned(one, routing)] for one in taken.databases}

    assert concerned == {
        "default": ["core.0002", "blog.0002"],
        "blog_db": ["core.0002", "blog.0002"],
        "core_db": [],
        "whole_db": ["core.0002", "blog.0002"],
    }


def two() -> Snapshot:
    """Return two databases: on the first everything is applied, on the second core.0001 alone."""
    return completed(
        database("default", ROUTES, recorded=0),
        database("blog_db", ROUTES, recorded=1, effects={"blog.0001": Effect(answer="yes")}),
        recorded=(tuple(GRAPH), ("core.0001",)),
    )


def everywhere(label: str, name: str, other: str = "blog_db") -> Targets:
    """Return the goal that an app is at a migration on both databases."""
    return {"default": ((label, name),), other: ((label, name),)}


def test_the_way_to_a_migration_leads_back_where_more_is_applied_and_on_where_less_is() -> None:
    taken, undone = find_ways(two(), everywhere("blog", "0001"))

    assert [one.targeted for one in taken.databases] == [
        (pending("blog.0002", "no", "blog.0001", "core.0002", is_written=False, operations=0, backwards=True),),
        (pending("blog.0001", "yes", "core.0001"),),
    ]
    assert undone == {"default": ("blog.0002",)}


@pytest.mark.parametrize(
    ("targets", "ways", "undone"),
    [
        (
            (("blog", "0001"), ("core", "0001")),
            {"blog.0001": ["blog.0002"], "core.0001": ["core.0002"]},
            ("blog.0002", "core.0002"),
        ),
        (
            (("core", "0001"), ("blog", "0001")),
            {"core.0001": ["blog.0002", "core.0002"], "blog.0001": []},
            ("blog.0002", "core.0002"),
        ),
        (
            (("core", "zero"), ("blog", "0001")),
            {
                "core.zero": ["blog.0002", "core.0002", "blog.0001", "core.0001"],
                "blog.0001": ["core.0001", "blog.0001"],
            },
            ("blog.0002", "core.0002", "blog.0001", "core.0001"),
        ),
        ((), {}, None),
    ],
)
def test_the_way_of_an_app_begins_where_that_of_the_one_before_ends(
    targets: tuple[Target, ...], ways: dict[str, list[str]], undone: tuple[str, ...] | None
) -> None:
    taken, backwards = find_ways(two(), {"default": targets})

    default, other = taken.databases
    assert {target: [one.id for one in way.migrations] for target, way in default.ways.items()} == ways
    assert (list(default.ways), other.ways) == ([".".join(target) for target in targets], {})
    assert backwards == ({"default": undone} if undone is not None else {})


def test_what_undoing_does_is_told_of_what_is_undone() -> None:
    taken, _ = find_ways(two(), everywhere("blog", "zero"))
    answer = UndoingOf(
        undoing={
            "blog.0001": Undoing(answer="yes", irreversible="Raw SQL operation"),
            "blog.0002": Undoing(answer="yes", works_on_data=True),
        },
        role="ada",
        rights_unknown=None,
        lacking=(),
    )

    told = with_undoing(taken, {"default": answer})

    assert [(one.id, one.irreversible) for one in told.databases[0].targeted or ()] == [
        ("blog.0002", None),
        ("blog.0001", "Raw SQL operation"),
    ]
    assert told.databases[0].role == "ada"
    assert told.databases[1].targeted == ()
    assert told.dependencies == {"blog.0002": ("core.0001", "core.0002", "blog.0001")}


def test_a_database_that_does_not_answer_any_more_has_no_way() -> None:
    taken, _ = find_ways(two(), everywhere("blog", "zero"))

    told = with_undoing(taken, {"default": Reached(state="unreachable", trouble="refused", error="gone")})

    assert (told.databases[0].targeted, told.databases[0].state) == (None, "unreachable")


SQUASHED = {
    "blog.0001": Migration(),
    "blog.0002": Migration(after=("blog.0001",)),
    "blog.0001_squashed": Migration(replaces=("blog.0001", "blog.0002")),
}


def test_nobody_can_stop_inside_of_a_squashed_migration_but_where_it_is_partly_applied() -> None:
    bases = [database(alias, routes(blog="yes"), recorded=number) for number, alias in enumerate(("default", "half"))]
    taken = snapshot(*bases).model_copy(update={"migrations": SQUASHED, "recorded": ((), ("blog.0001",))})

    inside = find_ways(with_pending(taken), everywhere("blog", "0002", "half"))[0].databases
    squashed = find_ways(with_pending(taken), everywhere("blog", "0001_squashed", "half"))[0].databases

    assert [one.ways["blog.0002"].replaced_by for one in inside] == ["0001_squashed", None]
    assert [[way.id for way in one.targeted or ()] for one in inside] == [[], ["blog.0002"]]
    assert [[way.id for way in one.targeted or ()] for one in squashed] == [["blog.0001_squashed"], ["blog.0002"]]


@pytest.mark.parametrize(
    ("name", "message"),
    [("0009", "app blog has no migration 0009"), ("00", "several migrations of blog start with 00")],
)
def test_a_target_is_one_migration(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        find_ways(two(), everywhere("blog", name))


def test_an_app_without_migrations_has_no_way() -> None:
    taken = snapshot(database("default", routes(blog="yes")), apps=(app("blog", has_migrations=False),))

    assert find_ways(taken, everywhere("blog", "0001")) == (taken, {})
