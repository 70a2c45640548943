"""Two plans side by side: what differs is named, what follows from it is not, and the digest counts what counts."""

from __future__ import annotations

from typing import Any

from support.snapshots import database, routes, snapshot

from dbmigrate.inside.inspection.files import without_comments
from dbmigrate.models.apps import AppRoute
from dbmigrate.models.basis import (
    Basis,
    CodeBasis,
    DatabaseBasis,
    SavedMigration,
    SavedPlan,
    SavedStep,
    StatementsBasis,
    TableBasis,
    Versions,
)
from dbmigrate.models.database import Recorded
from dbmigrate.models.differences import AppliedDiffers, CatalogueDiffers, CodeDiffers, PlanDiffers, StatementsDiffer
from dbmigrate.models.selection import Selection
from dbmigrate.models.snapshot import Snapshot
from dbmigrate.models.sql import MigrationSql
from dbmigrate.planning.basis import OPAQUE, digest_of, hash_names, hash_statements
from dbmigrate.planning.comparison import compare, is_done
from dbmigrate.renderers.difference_words import difference_lines

FIRST, SECOND, THIRD = "blog.0001", "blog.0002", "blog.0003"

STEP = SavedStep(
    id="default:blog",
    alias="default",
    app="blog",
    to=None,
    arguments=("migrate", "blog"),
    migrations=(SavedMigration(id=SECOND, does=True),),
    after=(),
)

TABLE = TableBasis(columns={"id": "1", "name": "2"}, others={"": "3", "by_name": "4"})


def code(*, planned: bool = False, **more: Any) -> CodeBasis:
    values = {"sha256": "a", "code": "b", "calls": {}, "is_planned": planned, "is_own": True, **more}
    return CodeBasis.model_validate(values)


def plan(*recorded: str, **more: Any) -> SavedPlan:
    """Return a plan of one step on a database on which these are recorded."""
    own = DatabaseBasis(
        identity="here",
        engine="sqlite",
        applied=hash_names(sorted(recorded or (FIRST,))),
        count=len(recorded or (FIRST,)),
        newest=None,
        tables=more.pop("tables", {"blog_post": TABLE}),
    )
    values = {
        "code": {FIRST: code(), SECOND: code(planned=True)},
        "statements": (StatementsBasis(alias="default", migration=SECOND, sha256="s", is_opaque=False),),
        "databases": {"default": own},
        "routes": {"blog": {"default": AppRoute(answer="yes")}},
        "versions": Versions(dbmigrate="0.1.0", django="5.2", python="3.11", drivers={}, servers={}),
        **more,
    }
    steps = values.pop("steps", (STEP,))
    basis = Basis.model_validate(values)
    return SavedPlan(selection=Selection(), steps=steps, basis=basis, digest=digest_of(Selection(), steps, basis))


def now(*recorded: str, times: tuple[str, ...] = ()) -> Snapshot:
    records = tuple(Recorded(id=one, at=f"2026-01-0{number}") for number, one in enumerate(times, 1))
    taken = snapshot(database("default", routes(blog="yes"), recorded=0, records=records))
    return taken.model_copy(update={"recorded": (tuple(sorted(recorded or (FIRST,))),)})


def test_what_is_the_same_differs_in_nothing() -> None:
    assert compare(plan(), plan(), now(), plan().basis.code) == ()


def test_what_follows_from_something_that_is_named_is_not_named() -> None:
    edited = {FIRST: code(), SECOND: code(planned=True, sha256="other")}
    other = plan(statements=(StatementsBasis(alias="default", migration=SECOND, sha256="t", is_opaque=False),))
    wider = plan(FIRST, SECOND, tables={"blog_post": None}, steps=())

    assert compare(plan(), other, now(), edited) == (CodeDiffers(migration=SECOND, change="edited"),)
    assert compare(plan(), wider, now(FIRST, SECOND), plan().basis.code) == (
        AppliedDiffers(alias="default", migration=SECOND, is_applied=True),
    )
    assert compare(plan(), other, now(), plan().basis.code) == (
        StatementsDiffer(alias="default", migration=SECOND, django=("5.2", "5.2")),
    )


def test_where_it_is_not_known_what_a_migration_runs_the_text_of_its_sql_is_compared() -> None:
    unknown = (StatementsBasis(alias="default", migration=SECOND, sha256=None, is_opaque=True),)
    saved = plan(code={FIRST: code(), SECOND: code(planned=True, sql="x")}, statements=unknown)
    files = {FIRST: code(), SECOND: code(planned=True, sql="y")}

    assert compare(saved, saved, now(), saved.basis.code) == ()
    assert compare(saved, saved, now(), files) == (
        StatementsDiffer(alias="default", migration=SECOND, django=("5.2", "5.2")),
    )


def test_what_was_recorded_is_found_by_its_hash_where_the_plan_does_not_have_its_name() -> None:
    times = ("shop.0001", "shop.0002")
    both = compare(plan(), plan(FIRST, *times), now(FIRST, *times, times=(FIRST, *times)), plan().basis.code)
    nobody = compare(plan("x.1", "x.2"), plan("y.1"), now("y.1"), plan().basis.code)

    assert [(one.migration, one.at) for one in both if isinstance(one, AppliedDiffers)] == [
        ("shop.0001", "2026-01-02"),
        ("shop.0002", "2026-01-03"),
    ]
    assert nobody == (AppliedDiffers(alias="default", migration=None, is_applied=False, counts=(2, 1)),)


def test_a_table_is_compared_part_by_part() -> None:
    table = TableBasis(columns={"id": "1", "slug": "2"}, others={"": "x", "by_name": "y"})
    found = compare(plan(), plan(tables={"blog_post": table}), now(), plan().basis.code)
    constrained = TableBasis(columns=TABLE.columns, others={**TABLE.others, "": "x"})
    whole = compare(plan(), plan(tables={"blog_post": constrained}), now(), plan().basis.code)

    assert difference_lines(found) == [
        "catalogue: default: table blog_post lost the column name",
        "catalogue: default: table blog_post got the column slug",
        "catalogue: default: table blog_post has another index or constraint by_name",
    ]
    assert whole == (CatalogueDiffers(alias="default", table="blog_post", part="definition", change="changed"),)


def test_steps_are_compared_where_nothing_else_differs() -> None:
    changed = plan(steps=(STEP.model_copy(update={"arguments": ("migrate",)}),))

    assert compare(plan(), changed, now(), plan().basis.code) == (PlanDiffers(step="default:blog", change="changed"),)


def test_a_plan_is_done_once_everything_is_recorded() -> None:
    back = SavedStep.model_validate(
        {**STEP.model_dump(), "migrations": [{"id": FIRST, "does": True, "backwards": True}]}
    )

    assert not is_done(plan(), now())
    assert is_done(plan(), now(FIRST, SECOND))
    assert not is_done(plan(steps=(back,)), now())
    assert is_done(plan(steps=(back,)), now("blog.0000"))
    assert not is_done(plan(steps=()), now())


def test_the_digest_counts_code_and_state_and_neither_versions_nor_comments_elsewhere() -> None:
    same = plan(
        code={FIRST: code(sha256="commented"), SECOND: code(planned=True), "auth.0001": code(is_own=False)},
        versions=Versions(dbmigrate="0.9", django="6.0", python="3.14", drivers={}, servers={}),
        statements=None,
    )
    others = [
        plan(code={FIRST: code(code="x"), SECOND: code(planned=True)}),
        plan(code={FIRST: code(), SECOND: code(planned=True, sha256="x")}),
        plan(code={FIRST: code(), SECOND: code(planned=True, calls={"blog.texts": "x"})}),
        plan(FIRST, THIRD),
        plan(tables={"blog_post": None}),
        plan(routes={"blog": {}}),
        plan(steps=()),
    ]

    assert same.digest == plan().digest
    assert len({plan().digest, *(other.digest for other in others)}) == len(others) + 1


def test_the_words_of_django_around_statements_count_for_nothing() -> None:
    def sql(*statements: str) -> MigrationSql:
        return MigrationSql(id=SECOND, statements=statements, problem=None)

    old = sql("--", "-- Add field x to y", "--", "ALTER TABLE y", f"-- MIGRATION NOW PERFORMS WHAT {OPAQUE}:")
    new = sql("--", "-- + Add a field", "ALTER TABLE y", f"-- THIS OPERATION {OPAQUE}")

    assert hash_statements(old) == hash_statements(new)
    assert hash_statements(new) != hash_statements(sql("ALTER TABLE y"))
    assert hash_statements(sql("-- a hint\nDROP TABLE y")) != hash_statements(sql("-- a hint\nDROP TABLE z"))


def test_comments_are_taken_out_and_what_only_looks_like_one_is_not() -> None:
    text = "x = \"# no comment\"  # one\n\n# another\ny = '''a\n# none\n'''\n"

    assert without_comments(text) == "x = \"# no comment\"\ny = '''a\n# none\n'''"
