"""django-safemigrate and django-syzygy themselves: what they run before a deploy on the default database, we do too."""

from __future__ import annotations

import json
import random
import sqlite3
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from support.cli import clean_environment, dbmigrate, manage
from support.environments import environment
from support.phase_graphs import HOMES, Graph, draw, healed
from support.projects import Project, applied, create, migration, model, write_project

pytestmark = pytest.mark.soak

MIGRATIONS, STATES = 60, 50

SAFE = {
    "pre": ("safe = Safe.before_deploy()", "safe = Safe.before_deploy"),
    "post": ("safe = Safe.after_deploy()", "safe = Safe.after_deploy", "safe = Safe.after_deploy(delay=WEEK)"),
    "either": ("safe = Safe.always()", "safe = Safe.always"),
}
STAGE = {
    "pre": ("stage = Stage.PRE_DEPLOY", ""),
    "post": ("stage = Stage.POST_DEPLOY",),
}
"""What a mark is written as, in any of these ways; a migration with none of syzygy's adds something."""

PACKAGES = {
    "safemigrate": (
        "django_safemigrate",
        "from datetime import timedelta\nfrom django_safemigrate import Safe\nWEEK = timedelta(days=7)\n",
        SAFE,
        """
from django_safemigrate.management.commands.safemigrate import Command
def split(plan):
    declared = {one: Command.safe(one) for one, _ in plan}
    ready, delayed, blocked = Command().categorize(Command().resolve(declared, {}))
    return None if blocked else ready
""",
    ),
    "syzygy": (
        "syzygy",
        "from syzygy import Stage\n",
        STAGE,
        """
from syzygy.plan import get_pre_deploy_plan
def split(plan):
    try:
        return [one for one, _ in get_pre_deploy_plan(plan)]
    except ValueError:
        return None
""",
    ),
}

THIRD_PARTY = (
    "contenttypes.0001_initial",
    "contenttypes.0002_remove_content_type_name",
    "django_safemigrate.0001_initial",
)

OWN_SPLIT = """
import json, sys
import django
django.setup()
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder
{split}
found = []
for state in json.load(sys.stdin):
    recorder = MigrationRecorder(connection)
    recorder.ensure_schema()
    recorder.migration_qs.all().delete()
    for name in state:
        recorder.record_applied(*name.split("."))
    executor = MigrationExecutor(connection)
    before = split(executor.migration_plan(executor.loader.graph.leaf_nodes()))
    found.append(None if before is None else sorted(f"{{one.app_label}}.{{one.name}}" for one in before))
print(json.dumps(found))
"""


@pytest.mark.timeout(400)
@pytest.mark.parametrize("package", PACKAGES)
def test_the_split_is_the_packages_own_on_default_and_the_same_apps_go_along_elsewhere(
    package: str, tmp_path: Path
) -> None:
    python, graph = environment("phases"), with_few_faults(draw(6, count=MIGRATIONS), PACKAGES[package][2])
    project = marked_project(tmp_path / "site", package, graph)
    states = [reached(graph, seed) for seed in range(STATES)]
    theirs = own_splits(project, python, package, states)

    ours = [planned(project, python, state) for state in states]

    assert [before if before is None else before["default"] for before in ours] == theirs
    assert 5 < sum(before is None for before in theirs) < STATES - 5
    for before in ours:
        if before is not None:
            blog = [[one for one in there if one.startswith("blog.")] for there in before.values()]
            assert blog[0] == blog[1]


def with_few_faults(graph: Graph, ways: Mapping[str, Sequence[str]]) -> Graph:
    """Return a graph in which three migrations run before the deploy that depend on what runs after it.

    `ways`: what can be said in it.
    """
    first = next(iter(graph.after))
    said = {one: mark if mark in ways else "pre" for one, mark in graph.marks.items()}
    whole = healed(Graph(graph.after, said, dict.fromkeys(graph.applied, (first,))))
    late = [one for one in whole.after if any(whole.marks[other] == "post" for other in whole.ancestors(one))]
    marks = {**whole.marks, **dict.fromkeys(random.Random(0).sample(late, 3), "pre")}
    return Graph(graph.after, marks, {})


def marked_project(root: Path, package: str, graph: Graph) -> Project:
    """Write a project of a graph whose migrations have the package's marks; blog belongs on blog_db."""
    app, head, ways, _ = PACKAGES[package]
    drawn = random.Random(0)
    files: dict[str, dict[str, str]] = {label: {"models.py": model()} for label in HOMES}
    for identifier, after in graph.after.items():
        label, name = identifier.split(".")
        is_first = not any(one.startswith(f"{label}.") for one in after)
        operation = create() if is_first else f'migrations.AddField("item", "a{name}", models.TextField(null=True))'
        text = migration(operation, after=tuple(tuple(one.split(".")) for one in after), head=head)  # type: ignore[misc]
        mark = drawn.choice(ways[graph.marks[identifier]])
        files[label][f"migrations/{name}.py"] = text.replace("    atomic = True\n", f"    {mark}\n" if mark else "")
    contrib = ("django.contrib.contenttypes", app)
    project = write_project(root, files, aliases=("default", "blog_db"), rules={"blog": "blog_db"}, contrib=contrib)
    project.write("pyproject.toml", '[tool.dbmigrate.phases]\nthird_party = "pre"\n')
    return project


def reached(graph: Graph, seed: int) -> list[str]:
    """Return what may be applied, in an order in which it can be: never nothing."""
    drawn = random.Random(seed)
    first = next(iter(graph.after))
    tips = [first, *drawn.sample([*graph.after], drawn.randrange(1, 9))]
    there = {one for tip in tips for one in {tip, *graph.ancestors(tip)}}
    return [*THIRD_PARTY, *(one for one in graph.after if one in there)]


def own_splits(project: Project, python: str, package: str, states: list[list[str]]) -> list[list[str] | None]:
    """Return what the package would run before the deploy on default; None where it refuses."""
    script = OWN_SPLIT.format(split=PACKAGES[package][3])
    ended = subprocess.run(
        [python, "-c", script],
        cwd=project.root,
        env=clean_environment(DJANGO_SETTINGS_MODULE="site_settings"),
        input=json.dumps(states),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=90,
    )
    found: list[list[str] | None] = json.loads(ended.stdout)
    return found


def planned(project: Project, python: str, state: list[str]) -> dict[str, list[str]] | None:
    """Return by alias what a plan has before the deploy where this is applied on both; None where it is refused."""
    for alias in ("default", "blog_db"):
        with closing(sqlite3.connect(project.database(alias))) as connection, connection:
            connection.execute("DROP TABLE IF EXISTS django_migrations")
            connection.execute("CREATE TABLE django_migrations (id INTEGER PRIMARY KEY, app, name, applied)")
            rows = [(*one.split("."), "2026-01-01 00:00:00") for one in state]
            connection.executemany("INSERT INTO django_migrations (app, name, applied) VALUES (?, ?, ?)", rows)
    words = ("plan", "--phase", "pre", "--skip-makemigrations", "--format", "json", "--python", python)
    ended = dbmigrate(*words, cwd=project.root)
    if ended.code == 13:
        assert "DBM401" in ended.stdout
        return None
    steps = ended.expect(0).json["result"]["plan"]["steps"]
    return {
        alias: sorted(one["id"] for step in steps if step["alias"] == alias for one in step["migrations"])
        for alias in ("default", "blog_db")
    }


def test_the_commands_themselves_apply_the_same(tmp_path: Path) -> None:
    python = environment("phases")
    for package, words in {"safemigrate": ("safemigrate",), "syzygy": ("migrate", "--pre-deploy")}.items():
        graph = chain()
        theirs = marked_project(tmp_path / package, package, graph)
        manage("migrate", "core", "0000", cwd=theirs.root, python=python).expect(0)
        ours = theirs.copy_to(tmp_path / f"{package}-ours")

        manage(*words, cwd=theirs.root, python=python).expect(0)
        flags = ("--skip-makemigrations", "--python", python)
        first = dbmigrate("all", "--phase", "pre", *flags, cwd=ours.root).expect(0)

        own = [one for one in applied(ours.database("default")) if one.startswith("core.")]
        assert own == [one for one in applied(theirs.database("default")) if one.startswith("core.")], first
        assert own == ["core.0000", "core.0001"]
        dbmigrate("all", "--phase", "post", *flags, cwd=ours.root).expect(0)
        assert applied(ours.database("default"))[-1] == "core.0003"


def chain() -> Graph:
    """Return four migrations of core, of which the third runs after the deploy, and one of each other app."""
    after: dict[str, tuple[str, ...]] = {f"core.{number:04}": (f"core.{number - 1:04}",) for number in range(1, 4)}
    after = {"core.0000": (), **after, "blog.0000": (), "shop.0000": ()}
    marks = dict.fromkeys(after, "pre") | {"core.0002": "post", "core.0003": "post"}
    return Graph(after, marks, {})


def test_a_migrate_derived_from_safemigrate_runs_the_first_phase_and_is_refused_for_what_it_never_applies(
    tmp_path: Path,
) -> None:
    flags = ("--skip-makemigrations", "--python", environment("phases"))
    project = marked_project(tmp_path / "site", "safemigrate", chain())
    manage("migrate", "core", "0000", cwd=project.root, python=flags[-1]).expect(0)
    for package in ("core/management", "core/management/commands"):
        project.write(f"{package}/__init__.py", "")
    project.write(
        "core/management/commands/migrate.py",
        "from django_safemigrate.management.commands.safemigrate import Command as Safe\n\n"
        "class Command(Safe):\n    pass\n",
    )

    dbmigrate("all", "--phase", "pre", *flags, cwd=project.root).expect(0)
    refused = dbmigrate("all", "--phase", "post", *flags, cwd=project.root).expect(3)

    assert "which never applies what is marked Safe.after_deploy(): core.0002, core.0003" in refused.stderr
    assert {"core.0001", "core.0002"} & {*applied(project.database("default"))} == {"core.0001"}
    project.append("site_settings.py", 'SAFEMIGRATE = "disabled"\n')
    dbmigrate("all", "--phase", "post", *flags, cwd=project.root).expect(0)
    assert applied(project.database("default"))[-1] == "core.0003"
