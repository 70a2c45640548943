"""Every rule over literal snapshots: what it finds, whether it stops, and that it stays silent otherwise."""

from __future__ import annotations

from typing import Any

import pytest
from support.snapshots import app, database, pending, plan_of, routes, settings, snapshot

from dbmigrate.errors import FindingsError, ModelChangesError, UnreachableError
from dbmigrate.models.apps import Change, RouterError
from dbmigrate.models.database import MissingTable
from dbmigrate.models.findings import Finding
from dbmigrate.models.migrations import Danger, DangerKind, DataOperation, PendingMigration, PlannedRelation, Relation
from dbmigrate.models.plan import MakeMigrations
from dbmigrate.models.selection import Selection
from dbmigrate.models.snapshot import Snapshot
from dbmigrate.planning.checks import run_checks
from dbmigrate.planning.checks.cross_database_relations import without_constraint
from dbmigrate.planning.preflight import check_findings, check_makemigrations, check_reachable
from dbmigrate.planning.routing import route

CHANGE = Change(app="core", operations=("Add field x to item",), question=None, is_writable=True, carries=())


def findings(taken: Snapshot) -> list[Finding]:
    return list(run_checks(taken, route(taken, settings())))


def only(taken: Snapshot) -> Finding:
    found = findings(taken)
    assert len(found) == 1, found
    return found[0]


def claim(finding: Finding) -> tuple[str, str, bool]:
    return finding.id, finding.level, finding.stops


def test_a_project_in_order_has_no_finding() -> None:
    taken = snapshot(
        database("default", routes(core="yes", blog="no")),
        database("blog_db", routes(core="no", blog="yes")),
        rules={"blog": "blog_db"},
    )

    assert findings(taken) == []


@pytest.mark.parametrize(("is_own", "level"), [(True, "error"), (False, "warning")])
def test_changed_models(is_own: bool, level: str) -> None:
    finding = only(
        snapshot(database("default", routes(core="yes")), apps=(app("core", is_own=is_own),), changes=(CHANGE,))
    )

    assert claim(finding) == ("DBM101", level, False)
    assert "core" in finding.message
    assert "Add field x to item" in finding.message
    assert finding.hint.startswith("dbmigrate make core" if is_own else "core is a third-party app")


def test_two_leaves() -> None:
    finding = only(snapshot(database("default", routes(core="yes")), conflicts={"core": ("0002_a", "0002_b")}))

    assert claim(finding) == ("DBM102", "error", True)
    assert "0002_a and 0002_b" in finding.message


def test_an_inconsistent_history() -> None:
    finding = only(snapshot(database("default", routes(core="yes"), inconsistent="b is applied before a")))

    assert claim(finding) == ("DBM103", "error", True)
    assert finding.aliases == ("default",)


@pytest.mark.parametrize(("unsynced", "level"), [((), "warning"), (("core.coreitem",), "error")])
def test_an_app_without_migrations(unsynced: tuple[str, ...], level: str) -> None:
    finding = only(
        snapshot(
            database("default", routes(core="yes"), unsynced=unsynced),
            apps=(app("core", migrations=(), has_migrations=False),),
        )
    )

    assert claim(finding) == ("DBM104", level, False)
    assert ("core_coreitem on default" in finding.message) == bool(unsynced)


def test_a_rule_for_an_alias_or_an_app_that_is_not_there() -> None:
    found = findings(snapshot(database("default", routes(core="yes")), rules={"core": "gone", "ghost": "default"}))

    assert [claim(finding) for finding in found] == [("DBM202", "error", True), ("DBM202", "warning", False)]


def test_a_rule_that_the_routers_do_not_follow_shows_both_answers() -> None:
    finding = only(
        snapshot(
            database("default", routes(core="yes", blog="yes")),
            database("blog_db", routes(core="no", blog="no")),
            rules={"blog": "blog_db"},
        )
    )

    assert claim(finding) == ("DBM203", "warning", False)
    assert "puts app blog on blog_db, but the routers put it on default" in finding.message


def test_rules_without_a_router_are_one_warning_with_the_router_to_write() -> None:
    answers = routes(core="none", blog="none")
    finding = only(
        snapshot(database("default", answers), database("blog_db", answers), routers=(), rules={"blog": "blog_db"})
    )

    assert claim(finding) == ("DBM203", "warning", False)
    assert "class RulesRouter" in finding.hint


def test_an_app_or_a_model_that_belongs_nowhere() -> None:
    split = app("shop", "product", "order")
    found = findings(
        snapshot(database("default", routes(core="no", shop={"": "no", "product": "yes"})), apps=(app("core"), split))
    )

    assert [claim(finding) for finding in found] == [("DBM204", "warning", False)] * 2
    assert "app core belongs on no database" in found[0].message
    assert "shop.order belongs on no database" in found[1].message


def test_a_model_without_a_table_about_which_somebody_did_not_say_no_stops_the_run() -> None:
    finding = only(
        snapshot(
            database("default", routes(core="yes", blog="no")),
            database("blog_copy", routes(core="no", blog="yes"), mirror_of="default"),
        )
    )

    assert claim(finding) == ("DBM204", "error", True)
    assert (
        "app blog belongs on no database: the routers say no on default, the routers say yes on blog_copy, "
        'blog_copy is a replica (TEST["MIRROR"] names default), so it has no tables'
    ) in finding.message


def test_a_migrate_of_the_projects_own_may_make_elsewhere_what_is_refused_and_nothing_else() -> None:
    """A package for schemas is no reason to be silent about a model that belongs on a replica alone."""
    refused = snapshot(database("default", routes(core="yes", blog="no")), replaced_commands={"migrate": "tenants"})
    undecided = snapshot(
        database("default", routes(core="yes", blog="no")),
        database("blog_copy", routes(core="no", blog="yes"), mirror_of="default"),
        replaced_commands={"migrate": "logging_migrate"},
    )

    assert findings(refused) == []
    assert claim(only(undecided)) == ("DBM204", "error", True)


def test_a_router_that_raises_is_named_once_for_each_alias() -> None:
    error = RouterError(router="r.Router", alias="default", model="core.item", message="TypeError: x")
    finding = only(
        snapshot(
            database("default", routes(core="yes")),
            router_errors=(error, error.model_copy(update={"model": "core.other"})),
        )
    )

    assert claim(finding) == ("DBM205", "error", True)


def test_an_open_database() -> None:
    answers = routes(core="none")
    finding = only(snapshot(database("default", answers), database("other", answers), routers=()))

    assert claim(finding) == ("DBM206", "warning", False)
    assert finding.aliases == ("other",)


def test_two_aliases_of_one_database_of_which_neither_has_all() -> None:
    finding = only(
        snapshot(
            database("default", routes(core="yes", blog="no"), identity="one"),
            database("blog_db", routes(core="no", blog="yes"), identity="one"),
        )
    )

    assert claim(finding) == ("DBM207", "error", True)
    assert finding.aliases == ("default", "blog_db")


def relation(**more: Any) -> Relation:
    """Return the foreign key of blog.blogitem to core.coreitem."""
    return Relation(
        **{
            "model": "blog.blogitem",
            "field": "author",
            "kind": "ForeignKey",
            "to": "core.coreitem",
            "is_parent_link": False,
            "definition": 'author = models.ForeignKey(\n    "core.Item",\n    models.CASCADE,\n)',
            **more,
        }
    )


def apart(*waiting: PendingMigration, relations: tuple[Relation, ...] = (), **more: Any) -> Snapshot:
    """Return core on default and blog on blog_db, where these migrations are pending."""
    return snapshot(
        database("default", routes(core="yes", blog="no")),
        database("blog_db", routes(core="no", blog="yes"), *waiting, **more),
        relations=relations,
    )


def planned(**more: Any) -> PlannedRelation:
    """Return what a migration of blog makes: a foreign key to core."""
    return PlannedRelation(
        **{
            "model": "blog.blogitem",
            "field": "author",
            "to": "core.coreitem",
            "answer": "yes",
            "to_answer": "no",
            "operation": "0",
            **more,
        }
    )


def test_a_foreign_key_into_another_database_names_both_and_the_field_to_write() -> None:
    finding = only(apart(relations=(relation(),)))

    assert claim(finding) == ("DBM201", "error", False)
    assert "blog.blogitem.author on blog_db is a foreign key to core.coreitem, which is on default" in finding.message
    assert 'write: author = models.ForeignKey("core.Item", models.CASCADE, db_constraint=False);' in finding.hint
    assert (finding.aliases, finding.apps) == (("blog_db",), ("blog", "core"))
    assert finding.subject == ("field", "blog.blogitem", "author")


def test_a_foreign_key_within_one_database_is_no_finding() -> None:
    together = snapshot(
        database("default", routes(core="yes", blog="no")),
        database("blog_db", routes(core="yes", blog="yes")),
        relations=(relation(),),
    )

    assert findings(together) == []


def test_a_pending_migration_that_makes_the_constraint_stops() -> None:
    finding = only(apart(pending("blog.0001_initial", relations=(planned(),)), relations=(relation(),)))

    assert claim(finding) == ("DBM201", "error", True)
    assert finding.migrations == ("blog.0001_initial",)
    assert "pending migration blog.0001_initial would create it" in finding.message


def test_a_constraint_that_only_a_migration_has_is_found_in_its_file() -> None:
    finding = only(apart(pending("blog.0001_initial", relations=(planned(),))))

    assert finding.subject == ("operation", "blog.0001_initial", "0", "author")
    assert finding.hint == "write db_constraint=False on author in blog.0001_initial"


def test_a_constraint_that_is_not_made_where_the_routers_refuse_its_model_is_no_finding() -> None:
    refused = pending("blog.0001_initial", "no", relations=(planned(answer="no"),))

    assert findings(apart(refused)) == []


def test_a_migration_that_would_be_written_with_the_constraint_stops_too() -> None:
    change = CHANGE.model_copy(
        update={"app": "blog", "constraints": {"blog.blogitem.author": "blog.0002_blogitem_author"}}
    )
    taken = apart(relations=(relation(),)).model_copy(update={"changes": (change,)})

    finding = next(finding for finding in findings(taken) if finding.id == "DBM201")

    assert finding.stops
    assert finding.migrations == ("blog.0002_blogitem_author",)


@pytest.mark.parametrize(
    ("written", "corrected"),
    [
        ("a = models.ForeignKey(X, CASCADE)", "a = models.ForeignKey(X, CASCADE, db_constraint=False)"),
        ("a = FK(X, db_constraint=True)", "a = FK(X, db_constraint=False)"),
        ("a: FK = FK()", "a: FK = FK(db_constraint=False)"),
    ],
)
def test_the_corrected_field(written: str, corrected: str) -> None:
    assert without_constraint(written) == corrected


def data_operation(**more: Any) -> DataOperation:
    return DataOperation(
        **{
            "kind": "RunPython",
            "name": "fill",
            "answer": "yes",
            "has_hints": False,
            "follows_alias": True,
            "operation": "1",
            **more,
        }
    )


def test_a_function_that_names_no_database_is_found_where_it_runs_elsewhere() -> None:
    finding = only(apart(pending("blog.0002_fill", data=(data_operation(follows_alias=False),))))

    assert claim(finding) == ("DBM208", "warning", False)
    assert "RunPython(fill) of blog.0002_fill: it is planned on blog_db and names no database" in finding.message
    assert finding.subject == ("operation", "blog.0002_fill", "1")
    assert findings(apart(pending("blog.0002_fill", data=(data_operation(),)))) == []


def test_an_operation_without_hints_that_runs_where_its_tables_are_not() -> None:
    answers = routes(shop={"": "no", "product": "yes"}), routes(shop={"": "yes", "product": "no"})
    waiting = pending("shop.0002_fill", data=(data_operation(),))
    split = snapshot(
        database("default", answers[0], waiting),
        database("other", answers[1], waiting),
        apps=(app("shop", "product", "order"),),
    )
    hinted = pending("shop.0002_fill", data=(data_operation(has_hints=True),))

    finding = only(split)

    assert claim(finding) == ("DBM208", "warning", False)
    assert finding.aliases == ("default", "other")
    assert 'hints={"model_name"' in finding.hint
    assert (
        findings(
            snapshot(database("default", answers[0], hinted), database("other", answers[1], hinted), apps=split.apps)
        )
        == []
    )


MISSING = MissingTable(model="blog.blogitem", table="blog_blogitem", migration="blog.0001_initial")


def test_a_table_that_is_recorded_and_not_there() -> None:
    finding = only(apart(missing=(MISSING,)))

    assert claim(finding) == ("DBM301", "error", False)
    assert "blog.0001_initial is recorded on blog_db, but its table blog_blogitem" in finding.message
    assert "dbmigrate run --database blog_db --app blog --to zero --fake" in finding.hint


def test_records_that_this_code_does_not_know() -> None:
    ahead = only(apart(unknown=("blog.0009_new",)))
    gone = only(apart(leftover=("polls.0001_initial",)))

    assert claim(ahead) == ("DBM302", "error", False)
    assert "blog.0009_new" in ahead.message
    assert claim(gone) == ("DBM302", "note", False)
    assert "polls.0001_initial" in gone.message


@pytest.mark.parametrize(
    ("migration", "rolls_back", "is_found"),
    [
        ({"atomic": False, "operations": 2}, True, True),
        ({"atomic": True, "operations": 2}, False, True),
        ({"atomic": True, "operations": 2}, True, False),
        ({"atomic": False, "operations": 1}, False, False),
    ],
)
def test_what_a_failure_would_leave_half_done(migration: dict[str, Any], rolls_back: bool, is_found: bool) -> None:
    found = findings(apart(pending("blog.0002_more", **migration), transactional_ddl=rolls_back))

    assert [claim(finding) for finding in found] == [("DBM303", "note", False)] * is_found


@pytest.mark.parametrize(("kind", "destroys"), [("drops-column", True), ("irreversible", True), ("locks", False)])
def test_a_dangerous_operation(kind: DangerKind, destroys: bool) -> None:
    danger = Danger(kind=kind, text="Remove field x", table="blog_blogitem", rows=1200, operation="3")
    finding = only(apart(pending("blog.0002_less", dangers=(danger,))))

    assert claim(finding) == ("DBM304", "note", False)
    assert finding.destroys is destroys
    assert "(blog_blogitem, about 1200 rows): Remove field x" in finding.message


STOPPING = Finding(id="DBM103", level="error", stops=True, message="bad", hint="mend it", aliases=("old",))


def test_what_stops_counts_only_on_a_database_that_is_to_be_migrated() -> None:
    plan = plan_of(snapshot(database("default", routes(core="yes"))))

    check_findings([STOPPING], plan, ["default"])

    with pytest.raises(FindingsError, match="DBM103: bad"):
        check_findings([STOPPING], plan, ["default", "old"])


def test_what_stops_because_of_a_migration_counts_only_in_a_plan_that_applies_it() -> None:
    waiting = pending("core.0002_link"), pending("blog.0001_initial")
    taken = snapshot(database("default", routes(core="yes", blog="yes"), *waiting))
    finding = STOPPING.model_copy(update={"aliases": ("default",), "migrations": ("core.0002_link",)})

    check_findings([finding], plan_of(taken, apps=("blog",)), ["default"])

    with pytest.raises(FindingsError, match="DBM103: bad"):
        check_findings([finding], plan_of(taken), ["default"])


def test_a_database_that_does_not_answer_counts_only_where_it_is_wanted() -> None:
    taken = snapshot(
        database("default", routes(core="yes")),
        database("down", routes(core="no"), pending("core.0001_initial", "no"), state="unreachable", error="refused"),
        database("gone", routes(core="yes"), state="unreachable", error="no such host"),
    )
    routing = route(taken, settings())

    check_reachable(taken, routing, Selection(databases=("default",)))
    with pytest.raises(UnreachableError, match="database gone is unreachable: no such host") as caught:
        check_reachable(taken, routing, Selection())
    assert "down" not in caught.value.message


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"question": "Was a renamed to b?"}, "Was a renamed to b?"),
        ({"is_writable": False}, "is not writable"),
        ({"carries": ("lib",)}, "would also create one for lib"),
    ],
)
def test_makemigrations_is_refused_where_it_could_not_do_its_part(change: dict[str, object], word: str) -> None:
    make = MakeMigrations(apps=("core",), changes=(CHANGE.model_copy(update=change),), arguments=())
    taken = snapshot(database("default", routes(core="yes")))

    with pytest.raises(ModelChangesError, match="core") as caught:
        check_makemigrations(taken, make)
    assert word in caught.value.message
    check_makemigrations(taken, make.model_copy(update={"changes": (CHANGE,)}))
