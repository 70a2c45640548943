"""Every rule of what runs where, over literal snapshots."""

from __future__ import annotations

from typing import Any

import pytest
from support.snapshots import (
    app,
    app_without_models,
    database,
    pending,
    plan_of,
    routes,
    settings,
    skips,
    snapshot,
    steps,
)

from dbmigrate.models.apps import AppRoute, Change
from dbmigrate.models.migrations import Danger, Migration, Way
from dbmigrate.models.plan import GuardScope, MigrationPlan
from dbmigrate.models.settings import DatabaseSettings
from dbmigrate.models.snapshot import Receiver
from dbmigrate.planning.jobs import count_jobs
from dbmigrate.planning.routing import route
from dbmigrate.renderers.plan_words import left_out

CORE, BLOG, SHOP = "core.0001_initial", "blog.0001_initial", "shop.0001_initial"


def three(**more: object) -> MigrationPlan:
    """Plan the ordinary case: core on default, blog on blog_db, shop on shop_db, everything pending everywhere."""
    return plan_of(
        snapshot(
            database(
                "shop_db",
                routes(core="no", blog="no", shop="yes"),
                pending(CORE, "no"),
                pending(BLOG, "no"),
                pending(SHOP),
            ),
            database(
                "default",
                routes(core="yes", blog="no", shop="no"),
                pending(CORE),
                pending(BLOG, "no"),
                pending(SHOP, "no"),
            ),
            database(
                "blog_db",
                routes(core="no", blog="yes", shop="no"),
                pending(CORE, "no"),
                pending(BLOG),
                pending(SHOP, "no"),
            ),
        ),
        **more,  # type: ignore[arg-type]
    )


def test_default_comes_first_and_whole_then_each_app_where_it_belongs() -> None:
    assert steps(three()) == {
        "default": [CORE, f"~{BLOG}", f"~{SHOP}"],
        "shop_db:shop": [SHOP],
        "blog_db:blog": [BLOG],
    }


def test_the_commands_are_those_a_person_would_type() -> None:
    assert [step.arguments for step in three().steps] == [
        ("migrate", "--database=default", "--no-input"),
        ("migrate", "shop", "--database=shop_db", "--no-input"),
        ("migrate", "blog", "--database=blog_db", "--no-input"),
    ]


def test_other_databases_wait_for_default_but_do_not_need_it() -> None:
    assert [(step.after, step.needs) for step in three().steps] == [
        ((), ()),
        (("default",), ()),
        (("default",), ()),
    ]


def test_with_the_scope_of_a_database_a_routed_one_is_migrated_whole() -> None:
    plan = three(configured=settings(databases={"blog_db": DatabaseSettings(scope="database")}))

    assert steps(plan)["blog_db"] == [f"~{CORE}", BLOG, f"~{SHOP}"]
    assert "shop_db:shop" in steps(plan)


def test_a_database_on_which_every_app_belongs_is_migrated_whole() -> None:
    plan = plan_of(
        snapshot(
            database("default", routes(core="yes", blog="yes"), pending(CORE), pending(BLOG)),
            database("tenant", routes(core="yes", blog="yes"), pending(CORE), pending(BLOG)),
        )
    )

    assert steps(plan) == {"default": [CORE, BLOG], "tenant": [CORE, BLOG]}


def test_what_an_app_depends_on_is_recorded_with_its_first_step_and_not_again() -> None:
    plan = plan_of(
        snapshot(
            database("default", routes(core="yes", blog="no", shop="no")),
            database(
                "both",
                routes(core="no", blog="yes", shop="yes"),
                pending(CORE, "no"),
                pending(BLOG, "yes", CORE),
                pending(SHOP, "yes", CORE),
            ),
        )
    )

    assert steps(plan) == {"both:blog": [f"~{CORE}", BLOG], "both:shop": [SHOP]}


def test_a_database_nobody_speaks_of_is_skipped_as_open() -> None:
    plan = plan_of(
        snapshot(
            database("default", routes(core="none"), pending(CORE, "none")),
            database("other", routes(core="none"), pending(CORE, "none")),
            routers=(),
        )
    )

    assert steps(plan) == {"default": [CORE]}
    assert skips(plan) == {"other": "open"}


@pytest.mark.parametrize("how", ["named", "configured"])
def test_an_open_database_is_migrated_whole_when_someone_decides(how: str) -> None:
    taken = snapshot(
        database("default", routes(core="none"), pending(CORE, "none")),
        database("other", routes(core="none"), pending(CORE, "none")),
        routers=(),
    )

    plan = plan_of(taken, databases=("other",)) if how == "named" else plan_of(taken, settings(open="migrate"))

    assert steps(plan)["other"] == [CORE]
    assert [step.scope for step in plan.steps if step.alias == "other"] == [None]


def test_routers_that_speak_for_their_own_app_alone_leave_the_others_out_under_one_more_router() -> None:
    plan = plan_of(
        snapshot(
            database("default", routes(core="none", blog="no"), pending(CORE, "none"), pending(BLOG, "no")),
            database("blog_db", routes(core="none", blog="yes"), pending(CORE, "none"), pending(BLOG, "yes", CORE)),
        )
    )

    assert steps(plan) == {"default": [CORE, f"~{BLOG}"], "blog_db:blog": [f"~{CORE}", BLOG]}
    assert {step.alias: step.scope for step in plan.steps} == {
        "default": None,
        "blog_db": GuardScope(alias="blog_db", apps={"blog": None}, others=False),
    }
    assert {entry.alias: entry.unopposed for entry in plan.databases} == {"default": 0, "blog_db": 1}


def test_a_child_runs_untouched_where_the_routers_answer_everything() -> None:
    assert {step.scope for step in three().steps} == {None}


def test_a_table_that_a_run_made_keeps_its_app_where_nobody_has_an_opinion() -> None:
    plan = plan_of(
        snapshot(
            database("default", routes(core="none", blog="none")),
            database("old", routes(core="no", blog="none"), pending(BLOG, "none"), existing=("blog.blogitem",)),
        )
    )

    assert steps(plan) == {"old:blog": [BLOG]}


def test_a_table_proves_nothing_where_no_router_says_anything_of_any_model() -> None:
    plan = plan_of(
        snapshot(
            database("default", routes(core="none", blog="none")),
            database("old", routes(core="none", blog="none"), pending(BLOG, "none"), existing=("blog.blogitem",)),
        )
    )

    assert skips(plan) == {"default": "nothing-pending", "old": "open"}


def test_silence_means_yes_on_every_alias_where_the_default_database_is_refused() -> None:
    plan = plan_of(
        snapshot(
            database("default", routes(core="none", blog="no"), pending(CORE, "none"), pending(BLOG, "no")),
            database("eu", routes(core="no", blog="none"), pending(BLOG, "none")),
            database("us", routes(core="no", blog="none"), pending(BLOG, "none")),
        )
    )

    assert steps(plan) == {"default": [CORE, f"~{BLOG}"], "eu:blog": [BLOG], "us:blog": [BLOG]}
    assert {step.scope for step in plan.steps} == {None}


def test_nothing_belongs_on_a_standby_that_is_written_elsewhere() -> None:
    taken = snapshot(
        database("default", routes(core="yes", blog="no")),
        database("standby", routes(core="yes", blog="yes"), read_only="it is a standby", vendor="postgresql"),
    )
    routing = route(taken, settings())

    assert routing.aliases_of("core") == ("default",)
    assert routing.aliases_of("blog") == ("standby",)
    assert routing.kinds["standby"].kind == "replica"


def test_what_the_kind_of_server_cannot_hold_is_no_opinion_of_a_router() -> None:
    unfit = AppRoute(answer="no", unfit=("blogitem",))
    plan = plan_of(
        snapshot(
            database("default", {**routes(core="none"), "blog": unfit}),
            database("other", routes(core="none", blog="none"), pending(BLOG, "none")),
            routers=(),
        )
    )

    assert skips(plan) == {"default": "nothing-pending", "other": "open"}


def test_an_app_split_model_by_model_goes_to_both_databases() -> None:
    split = app("shop", "product", "order")
    plan = plan_of(
        snapshot(
            database("default", routes(shop={"": "no", "product": "yes"}), pending(SHOP)),
            database("orders", routes(shop={"": "no", "order": "yes"}), pending(SHOP)),
            apps=(split,),
        )
    )

    assert steps(plan) == {"default": [SHOP], "orders:shop": [SHOP]}


def test_an_app_on_several_databases_has_a_step_on_each() -> None:
    plan = plan_of(
        snapshot(
            database("default", routes(core="yes", blog="no"), pending(CORE), pending(BLOG, "no")),
            database("eu", routes(core="no", blog="yes"), pending(BLOG)),
            database("us", routes(core="no", blog="yes"), pending(BLOG)),
        )
    )

    assert list(steps(plan)) == ["default", "eu:blog", "us:blog"]


def test_an_app_without_models_goes_by_its_label_alone() -> None:
    plan = plan_of(
        snapshot(
            database("default", routes(seeds="no", core="yes"), pending("seeds.0001_initial", "no")),
            database("blog_db", routes(seeds="yes", core="no"), pending("seeds.0001_initial")),
            apps=(app_without_models("seeds"), app("core")),
        )
    )

    assert steps(plan)["blog_db:seeds"] == ["seeds.0001_initial"]


def test_an_app_whose_migrations_are_still_to_be_written_makes_its_database_routed() -> None:
    taken = snapshot(
        database("default", routes(core="yes", blog="no"), pending("core.0001")),
        database("blog_db", routes(core="no", blog="yes")),
        apps=(app("core"), app("blog", migrations=())),
    )

    plan = plan_of(taken)

    assert steps(plan) == {"default": ["core.0001"]}
    assert [(entry.alias, entry.kind, entry.apps) for entry in plan.databases] == [
        ("default", "default", ("core",)),
        ("blog_db", "routed", ("blog",)),
    ]


def test_rules_without_a_router_are_the_truth_and_everything_else_goes_to_default() -> None:
    answers = routes(core="none", blog="none")
    plan = plan_of(
        snapshot(
            database("default", answers, pending(CORE, "none"), pending(BLOG, "none")),
            database("blog_db", answers, pending(CORE, "none"), pending(BLOG, "none", CORE)),
            routers=(),
            rules={"blog": "blog_db"},
        )
    )

    assert steps(plan) == {"default": [CORE, f"~{BLOG}"], "blog_db:blog": [f"~{CORE}", BLOG]}
    assert {step.alias: step.scope for step in plan.steps} == {
        "default": GuardScope(alias="default", apps={"blog": ()}, others=True),
        "blog_db": GuardScope(alias="blog_db", apps={"blog": None}, others=False),
    }


def test_rules_beside_a_router_change_nothing() -> None:
    taken = snapshot(
        database("default", routes(blog="yes"), pending(BLOG)),
        database("blog_db", routes(blog="no"), pending(BLOG, "no")),
        rules={"blog": "blog_db"},
    )

    assert steps(plan_of(taken)) == {"default": [BLOG]}


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"mirror_of": "default"}, "replica"),
        ({"read_only": "it is a standby", "vendor": "postgresql"}, "replica"),
        ({"read_only": "it is opened with mode=ro"}, "read-only"),
        ({"in_memory": True}, "in-memory"),
        ({"state": "no-engine"}, "empty"),
    ],
)
def test_a_database_that_must_not_be_written_is_skipped(more: dict[str, str], reason: str) -> None:
    plan = plan_of(
        snapshot(
            database("default", routes(core="yes"), pending(CORE)),
            database("other", routes(core="yes"), pending(CORE), **more),
        )
    )

    assert skips(plan) == {"other": reason}


def test_a_database_that_refuses_everything_is_empty() -> None:
    plan = plan_of(
        snapshot(
            database("default", routes(core="yes"), pending(CORE)),
            database("other", routes(core="no"), pending(CORE, "no")),
        )
    )

    assert skips(plan) == {"other": "empty"}


def test_an_excluded_database_is_skipped_whatever_it_is() -> None:
    taken = snapshot(
        database("default", routes(core="yes"), pending(CORE)),
        database("other", routes(core="yes"), pending(CORE)),
    )

    assert skips(plan_of(taken, settings(exclude=("other",)))) == {"other": "excluded"}


def test_of_two_aliases_of_one_database_the_one_with_all_of_it_is_migrated() -> None:
    plan = plan_of(
        snapshot(
            database("default", routes(core="yes", blog="no"), pending(CORE), identity="one"),
            database("all", routes(core="yes", blog="yes"), pending(CORE), pending(BLOG), identity="one"),
        )
    )

    assert steps(plan) == {"all": [CORE, BLOG]}
    assert skips(plan) == {"default": "same"}


def test_where_both_have_all_of_it_default_is_the_owner() -> None:
    plan = plan_of(
        snapshot(
            database("copy", routes(core="yes"), pending(CORE), identity="one"),
            database("default", routes(core="yes"), pending(CORE), identity="one"),
        )
    )

    assert (list(steps(plan)), skips(plan)) == (["default"], {"copy": "same"})


def test_a_database_comes_after_the_one_whose_pending_migrations_its_own_depend_on() -> None:
    plan = plan_of(
        snapshot(
            database("default", routes(core="yes", blog="no", shop="no")),
            database("a", routes(core="no", blog="yes", shop="no"), pending(SHOP, "no"), pending(BLOG, "yes", SHOP)),
            database("b", routes(core="no", blog="no", shop="yes"), pending(SHOP)),
        )
    )

    assert [(step.id, step.needs) for step in plan.steps] == [("b:shop", ()), ("a:blog", ("b:shop",))]


def test_databases_that_depend_on_each_other_are_migrated_in_the_order_of_the_settings() -> None:
    two = "blog.0002_more"
    plan = plan_of(
        snapshot(
            database("default", routes(blog="no", shop="no", core="yes")),
            database(
                "a",
                routes(blog="yes", shop="no", core="no"),
                pending(BLOG),
                pending(SHOP, "no", BLOG),
                pending(two, "yes", BLOG, SHOP),
            ),
            database("b", routes(blog="no", shop="yes", core="no"), pending(BLOG, "no"), pending(SHOP, "yes", BLOG)),
            apps=(app("blog", migrations=("0001_initial", "0002_more")), app("shop"), app("core")),
        )
    )

    assert [step.alias for step in plan.steps] == ["a", "b"]


def split(*, target: tuple[str, ...], backwards: bool, works_on_data: bool, **selected: Any) -> MigrationPlan:
    """Plan an app that is on two databases, whose second migration on `default` depends on the first on `other`."""
    two = "blog.0002_data"
    first = pending(BLOG, "no", backwards=backwards)
    second = pending(two, "yes", BLOG, backwards=backwards, works_on_data=works_on_data)
    here = {BLOG: first, two: second}
    there = {BLOG: pending(BLOG, backwards=backwards), two: pending(two, "no", BLOG, backwards=backwards)}
    to = "blog.zero" if backwards else "blog.0002"
    looked_at = snapshot(
        database(
            "default",
            routes(blog={"post": "yes"}),
            *(() if backwards else here.values()),
            ways={to: Way(migrations=tuple(here[one] for one in target))},
        ),
        database(
            "other",
            routes(blog={"tag": "yes"}),
            *(() if backwards else there.values()),
            ways={to: Way(migrations=tuple(there[one] for one in target))},
        ),
        apps=(app("blog", "post", "tag", migrations=("0001_initial", "0002_data")),),
    )
    looked_at = looked_at.model_copy(update={"dependencies": {two: (BLOG,)} if works_on_data else {}})
    return plan_of(looked_at, apps=("blog",), to="zero" if backwards else "0002", **selected)


@pytest.mark.parametrize("works_on_data", [True, False])
def test_what_another_database_needs_is_undone_after_it(works_on_data: bool) -> None:
    plan = split(target=("blog.0002_data", BLOG), backwards=True, works_on_data=works_on_data)

    assert [(step.alias, step.needs) for step in plan.steps] == [("default", ()), ("other", ("default:blog",))]
    assert len(plan.needs) == works_on_data


@pytest.mark.parametrize(
    ("backwards", "named", "sentence"),
    [
        (False, "default", "blog.0002_data on default depends on blog.0001_initial on other; it is pending there, but"),
        (True, "other", "blog.0002_data stays applied on default, which is not part of this run; it depends on blog.0"),
    ],
)
def test_what_the_selection_leaves_out_and_may_be_missed_is_kept(backwards: bool, named: str, sentence: str) -> None:
    target = ("blog.0002_data", BLOG) if backwards else (BLOG, "blog.0002_data")
    plan = split(target=target, backwards=backwards, works_on_data=True, databases=(named,))
    whole = split(target=target, backwards=backwards, works_on_data=True)

    assert [left_out(need)[0][: len(sentence)] for need in plan.needed_elsewhere] == [sentence]
    assert whole.needed_elsewhere == ()


def test_every_step_goes_to_the_migration_of_its_own_database() -> None:
    undone = pending("blog.0002_data", backwards=True)
    plan = plan_of(
        snapshot(
            database("default", routes(blog="yes"), ways={"blog.0001": Way(migrations=(undone,))}),
            database("other", routes(blog="yes"), pending("blog.0003_more")),
        ),
        apps=("blog",),
        targets={"default": (("blog", "0001"),)},
    )

    assert [(step.alias, step.to, step.arguments) for step in plan.steps] == [
        ("default", "0001", ("migrate", "blog", "0001", "--database=default", "--no-input")),
        ("other", None, ("migrate", "blog", "--database=other", "--no-input")),
    ]
    assert steps(plan) == {"default:blog": ["blog.0002_data"], "other:blog": ["blog.0003_more"]}


def test_the_apps_of_a_database_move_in_the_order_of_its_targets_and_no_other_does() -> None:
    back, on = pending("shop.0002_more", backwards=True), pending("blog.0002_data")
    plan = plan_of(
        snapshot(
            database(
                "default",
                routes(core="yes", blog="yes", shop="yes"),
                pending("core.0002_more"),
                on,
                ways={"shop.0001": Way(migrations=(back,)), "blog.0002": Way(migrations=(on,))},
            ),
            database("other", routes(core="yes", blog="yes", shop="yes"), pending("core.0002_more")),
        ),
        targets={"default": (("shop", "0001"), ("blog", "0002")), "other": ()},
    )

    assert [(step.id, step.to) for step in plan.steps] == [("default:shop", "0001"), ("default:blog", "0002")]
    assert steps(plan) == {"default:shop": ["shop.0002_more"], "default:blog": ["blog.0002_data"]}
    assert [entry.skip for entry in plan.databases] == [None, "nothing-pending"]


def test_what_depends_on_a_migration_through_one_that_stays_is_undone_before_it() -> None:
    first, last = pending("blog.0002_data", backwards=True), pending("shop.0001_initial", backwards=True)
    looked_at = snapshot(
        database("blog_db", routes(blog="yes", core="no", shop="no"), ways={"blog.0001": Way(migrations=(first,))}),
        database("other", routes(blog="no", core="yes", shop="yes"), ways={"shop.zero": Way(migrations=(last,))}),
    )
    graph = {
        first.id: Migration(),
        "core.0005_stays": Migration(after=(first.id,)),
        last.id: Migration(after=("core.0005_stays",)),
    }
    plan = plan_of(
        looked_at.model_copy(update={"migrations": graph}),
        targets={"blog_db": (("blog", "0001"),), "other": (("shop", "zero"),)},
    )

    assert [(step.id, step.needs) for step in plan.steps] == [("other:shop", ()), ("blog_db:blog", ("other:shop",))]


def test_what_another_database_needs_is_applied_before_it_and_before_default() -> None:
    plan = split(target=(BLOG, "blog.0002_data"), backwards=False, works_on_data=True)

    assert [(step.alias, step.needs) for step in plan.steps] == [("other", ()), ("default", ("other:blog",))]


def test_a_schema_change_alone_does_not_make_default_wait() -> None:
    plan = split(target=(BLOG, "blog.0002_data"), backwards=False, works_on_data=False)

    assert [step.alias for step in plan.steps] == ["default", "other"]


def test_the_configured_order_makes_databases_follow_one_another() -> None:
    plan = three(configured=settings(order=("blog_db", "shop_db")))

    assert [step.id for step in plan.steps] == ["default", "blog_db:blog", "shop_db:shop"]
    assert plan.steps[2].after == ("default", "blog_db:blog")


def test_constance_that_another_step_covers_is_reported_without_a_step_of_its_own() -> None:
    plan = plan_of(
        snapshot(database("default", routes(constance="yes"), pending("constance.0001_initial")), constance="constance")
    )

    assert plan.constance is not None
    assert (plan.constance.aliases, plan.constance.pending, plan.constance.own_steps) == (("default",), True, ())


def test_constance_routed_elsewhere_has_a_step_of_its_own_and_comes_last() -> None:
    plan = plan_of(
        snapshot(
            database("default", routes(core="yes", constance="no", blog="no")),
            database(
                "conf",
                routes(core="no", constance="yes", blog="yes"),
                pending("constance.0001_initial"),
                pending(BLOG),
            ),
            constance="constance",
        )
    )

    assert list(steps(plan)) == ["conf:blog", "conf:constance"]
    assert plan.constance is not None
    assert plan.constance.own_steps == ("conf:constance",)


def test_constance_is_none_of_the_plan_where_other_apps_are_named() -> None:
    taken = snapshot(
        database("default", routes(core="yes", constance="no")),
        database("conf", routes(core="no", constance="yes"), pending("constance.0001_initial")),
        constance="constance",
    )

    assert plan_of(taken, apps=("core",)).constance is None


def test_nothing_pending_needs_no_process() -> None:
    plan = plan_of(snapshot(database("default", routes(core="yes"))))

    assert (steps(plan), skips(plan), plan.is_empty) == ({}, {"default": "nothing-pending"}, True)


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"receivers": (Receiver(signal="post_migrate", name="core.apps.sync"),)}, "receivers"),
        ({"replaced_commands": {"migrate": "tenants"}}, "replaced-command"),
    ],
)
def test_nothing_pending_runs_all_the_same_where_the_project_hangs_on_migrate(
    more: dict[str, object], reason: str
) -> None:
    plan = plan_of(snapshot(database("default", routes(core="yes")), **more))  # type: ignore[arg-type]

    assert [(step.id, step.reason) for step in plan.steps] == [("default", reason)]


def test_receivers_need_one_process_on_a_database_with_several_apps() -> None:
    plan = plan_of(
        snapshot(
            database("default", routes(core="yes", blog="no", shop="no")),
            database("both", routes(core="no", blog="yes", shop="yes")),
            receivers=(Receiver(signal="post_migrate", name="core.apps.sync"),),
        )
    )

    assert [step.id for step in plan.steps] == ["default", "both:blog"]


def test_always_runs_every_step() -> None:
    plan = plan_of(snapshot(database("default", routes(core="yes"))), always=True)

    assert [(step.id, step.reason) for step in plan.steps] == [("default", "always")]


def test_a_migration_that_is_only_recorded_is_work() -> None:
    plan = plan_of(snapshot(database("default", routes(core="yes", blog="no"), pending(BLOG, "no"))))

    assert steps(plan) == {"default": [f"~{BLOG}"]}


def test_an_app_alone_is_migrated_wherever_it_belongs() -> None:
    assert steps(three(apps=("blog",))) == {"blog_db:blog": [BLOG]}
    assert skips(three(apps=("blog",))) == {"default": "not-selected", "shop_db": "not-selected"}


def test_a_database_alone_is_migrated_with_all_that_belongs_there() -> None:
    assert steps(three(databases=("shop_db",))) == {"shop_db:shop": [SHOP]}


def test_an_app_named_on_default_is_migrated_by_itself() -> None:
    assert [step.arguments for step in three(apps=("core",)).steps] == [
        ("migrate", "core", "--database=default", "--no-input")
    ]


def test_going_to_a_migration_uses_what_the_database_says_it_takes() -> None:
    undone = pending("core.0002_more", "yes", backwards=True)
    plan = plan_of(
        snapshot(database("default", routes(core="yes"), ways={"core.0001": Way(migrations=(undone,))})),
        apps=("core",),
        to="0001",
        fake=True,
    )

    assert plan.steps[0].arguments == ("migrate", "core", "0001", "--database=default", "--no-input", "--fake")
    assert [migration.backwards for migration in plan.steps[0].migrations] == [True]


CHANGE = Change(app="core", operations=("Add field x",), question=None, is_writable=True, carries=())


def test_migrations_are_made_for_the_projects_own_apps_alone() -> None:
    taken = snapshot(
        database("default", routes(core="yes", lib="yes")),
        apps=(app("core"), app("lib", is_own=False)),
        changes=(CHANGE, CHANGE.model_copy(update={"app": "lib"})),
    )

    make = plan_of(taken).make

    assert make is not None
    assert make.arguments == ("makemigrations", "core", "--no-input")


@pytest.mark.parametrize("selected", [{"make_migrations": False}, {"apps": ("core",)}, {"databases": ("default",)}])
def test_no_migrations_are_made_where_that_was_not_asked_for(selected: dict[str, Any]) -> None:
    taken = snapshot(database("default", routes(core="yes")), changes=(CHANGE,))

    assert plan_of(taken, **selected).make is None


@pytest.mark.parametrize(("asked", "jobs"), [(None, 3), (2, 2), (9, 3), (1, 1)])
def test_jobs_are_bounded_by_the_databases_that_have_work(asked: int | None, jobs: int) -> None:
    taken = snapshot(
        *(database(alias, routes(core="yes"), pending(CORE, "yes")) for alias in ("default", "one", "two")),
        database("idle", routes(core="yes")),
    )

    assert count_jobs(plan_of(taken), taken, settings(jobs=asked), 4) == jobs


@pytest.mark.parametrize(
    ("vendor", "cpus", "jobs"),
    [
        ("sqlite", 1, 1),
        ("sqlite", 2, 2),
        ("postgresql", 1, 4),
        ("postgresql", 2, 8),
        ("mysql", 8, 16),
        ("mysql", 18, 18),
    ],
)
def test_jobs_go_by_the_cpus_and_by_where_the_databases_are(vendor: str, cpus: int, jobs: int) -> None:
    taken = snapshot(
        *(
            database(alias, routes(core="yes"), pending("core.0001", "yes"), vendor=vendor)
            for alias in ("default", *(f"db{number}" for number in range(1, 20)))
        )
    )

    assert count_jobs(plan_of(taken), taken, settings(), cpus) == jobs


def test_the_plan_is_the_same_where_a_table_has_other_rows() -> None:
    def seen(rows: int | None) -> MigrationPlan:
        danger = Danger(operation="0", kind="drops-table", text="Delete model Item", table="core_item", rows=rows)
        return plan_of(snapshot(database("default", routes(core="yes"), pending(CORE, dangers=(danger,)))))

    assert seen(12) == seen(None)


def test_a_plan_survives_the_way_through_json() -> None:
    plan = three()

    assert MigrationPlan.model_validate_json(plan.model_dump_json()) == plan


def test_a_squashed_migration_that_is_not_recorded_yet_needs_a_process() -> None:
    plan = plan_of(
        snapshot(
            database("default", routes(core="yes", blog="no")),
            database("blog_db", routes(core="no", blog="yes"), unrecorded=("blog.0001_squashed",)),
        )
    )

    assert [(step.id, step.reason, step.because) for step in plan.steps] == [
        ("blog_db:blog", "squashed", ("blog.0001_squashed",))
    ]
