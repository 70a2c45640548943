"""Every rule over literal snapshots: what it finds, whether it stops, and that it stays silent otherwise."""

from __future__ import annotations

import pytest
from support.snapshots import app, database, pending, routes, settings, snapshot

from dbmigrate.checks import run_checks
from dbmigrate.errors import FindingsError, ModelChangesError, UnreachableError
from dbmigrate.models.findings import Finding
from dbmigrate.models.plan import MakeMigrations
from dbmigrate.models.selection import Selection
from dbmigrate.models.snapshot import Change, RouterError, Snapshot
from dbmigrate.preflight import check_findings, check_makemigrations, check_reachable
from dbmigrate.routing import route

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
    assert finding.hint.startswith("dbmigrate make core" if is_own else "core is installed")


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
        snapshot(database("default", routes(core="yes"), unsynced=unsynced), apps=(app("core", migrations=()),))
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


STOPPING = Finding(id="DBM103", level="error", stops=True, message="bad", hint="mend it", aliases=("old",))


def test_what_stops_counts_only_on_a_database_that_is_to_be_migrated() -> None:
    check_findings([STOPPING], ["default"])

    with pytest.raises(FindingsError, match="DBM103: bad"):
        check_findings([STOPPING], ["default", "old"])


def test_a_database_that_does_not_answer_counts_only_where_it_is_wanted() -> None:
    taken = snapshot(
        database("default", routes(core="yes")),
        database("down", routes(core="no"), pending("core.0001_initial", "no"), state="unreachable", error="refused"),
        database("gone", routes(core="yes"), state="unreachable", error="no such host"),
    )
    routing = route(taken, settings())

    check_reachable(taken, routing, Selection(databases=("default",)))
    with pytest.raises(UnreachableError, match="database gone does not answer: no such host") as caught:
        check_reachable(taken, routing, Selection())
    assert "down" not in caught.value.message


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"question": "Was a renamed to b?"}, "Was a renamed to b?"),
        ({"is_writable": False}, "cannot be written"),
        ({"carries": ("lib",)}, "would bring one for lib"),
    ],
)
def test_makemigrations_is_refused_where_it_could_not_do_its_part(change: dict[str, object], word: str) -> None:
    make = MakeMigrations(apps=("core",), changes=(CHANGE.model_copy(update=change),), arguments=())

    with pytest.raises(ModelChangesError, match="core") as caught:
        check_makemigrations(make, ["core"])
    assert word in caught.value.message
    check_makemigrations(make.model_copy(update={"changes": (CHANGE,)}), ["core"])
