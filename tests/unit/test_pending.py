"""What is pending on a database, as it follows from the graph, from what is recorded and from what reaches it."""

from __future__ import annotations

from support.snapshots import database, pending, routes, settings, snapshot

from dbmigrate.models.settings import DatabaseSettings
from dbmigrate.models.snapshot import Database, Effect, Migration, Snapshot
from dbmigrate.planning.pending import find_concerned, with_pending
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
