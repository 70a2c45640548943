"""Half-applied migrations with operations of which no catalogue shows whether they have run."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from support.cli import Outcome, dbmigrate, looks
from support.combinations import combinations
from support.projects import Project, create, migration, model, simple_app, write_project
from support.sites import ENGINES, Site

NUMBER = "models.IntegerField(null=True)"
UPDATE = "UPDATE core_item SET a = 1"
HEAD = """\
from django.db.migrations.operations.base import Operation


def fill(apps, schema_editor):
    raise RuntimeError("not now")


class Own(Operation):
    reversible = True

    def state_forwards(self, app_label, state):
        pass

    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        pass

    def describe(self):
        return "Move the sizes"
"""
FIELDS = ("name = models.CharField(max_length=20)", f"a = {NUMBER}", f"b = {NUMBER}")


def add(name: str) -> str:
    return f'migrations.AddField("item", {name!r}, {NUMBER})'


def half_applied(*between: str, atomic: bool = False) -> dict[str, str]:
    """Return an app whose second migration adds two columns, with these operations between them."""
    more = migration(add("a"), *between, add("b"), after=(("core", "0001_initial"),), head=HEAD, atomic=atomic)
    return {**simple_app(), "models.py": model("Item", *FIELDS), "migrations/0002_more.py": more}


def doctored(root: Path, app: dict[str, str], *statements: str) -> Project:
    """Return a project with its first migration applied, and these statements run after it."""
    project = write_project(root / "site", {"core": app})
    dbmigrate("run", "--app", "core", "--to", "0001_initial", cwd=project.root).expect(0)
    with closing(sqlite3.connect(project.database("default"))) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()
    return project


COLUMN_A = "ALTER TABLE core_item ADD COLUMN a integer"
COLUMN_B = "ALTER TABLE core_item ADD COLUMN b integer"


def repair(project: Project, *options: str, code: int = 12) -> Outcome:
    return dbmigrate("verify", "--repair", *options, cwd=project.root).expect(code)


@pytest.mark.soak
@pytest.mark.parametrize("engine", ENGINES)
def test_what_cannot_be_judged_is_named_in_its_place_and_nothing_is_recorded(
    engine: str, site: Callable[..., Site]
) -> None:
    here = site(engine, half_applied(f"migrations.RunSQL({UPDATE!r})", "migrations.RunPython(fill)"))
    failed = dbmigrate("all", "--skip-makemigrations", cwd=here.project.root).expect(31)

    lines = {"verify --repair": 12, "verify --repair --judged core.0002_more": 12}
    printed, judged = (one.stdout for one in looks(lines, cwd=here.project.root))

    assert "unknown: RunSQL, RunPython fill" in failed.stderr
    assert "--fake" not in failed.stderr
    assert "dbmigrate verify --repair --database default" in failed.stderr
    shown = [line.strip() for line in printed.splitlines()]
    sql = next(n for n, line in enumerate(shown) if "operation 2 of 4, RunSQL: it is unknown" in line)
    assert shown[sql + 1] == f"--   {UPDATE}"
    assert "operation 3 of 4, RunPython fill: it is unknown" in shown[sql + 2]
    assert shown[sql + 3].startswith("ALTER TABLE")
    assert " b" in shown[sql + 3].replace('"', " ").replace("`", " ")
    assert "--fake" not in printed
    assert "dbmigrate verify --repair --database default --judged core.0002_more" in printed
    assert "\ndbmigrate run --database default --app core --to 0002_more --fake\n" in judged


UNJUDGED = {
    "sql": ("migrations.RunSQL('SELECT 1')", ["RunSQL"]),
    "python": ("migrations.RunPython(fill, migrations.RunPython.noop, elidable=True)", ["RunPython fill"]),
    "own": ("Own()", ["Own: Move the sizes"]),
    "separate": (
        "migrations.SeparateDatabaseAndState([migrations.RunSQL('SELECT 1'), migrations.RunPython(fill)], [])",
        ["RunSQL", "RunPython fill"],
    ),
    "sql_with_state": (
        f"migrations.RunSQL({COLUMN_A.replace(' a ', ' c ')!r}, state_operations=[{add('c')}])",
        ["RunSQL"],
    ),
    "altered_column": (
        'migrations.AlterField("item", "name", models.CharField(max_length=30))',
        ["Alter field name on item"],
    ),
    "column_that_is_altered": (
        'migrations.AlterField("item", "name", models.CharField(max_length=20, null=True))',
        ["Alter field name on item"],
    ),
    "nothing": ("migrations.RunPython(migrations.RunPython.noop)", []),
    "nothing_in_sql": ("migrations.RunSQL(migrations.RunSQL.noop)", []),
    "only_the_model": ('migrations.AlterModelOptions("item", {"ordering": ["name"]})', []),
    "only_the_field": (
        'migrations.AlterField("item", "name", models.CharField("title", max_length=20, help_text="x"))',
        [],
    ),
    "index": ('migrations.AddIndex("item", models.Index(fields=["name"], name="by_name"))', []),
}


@pytest.mark.soak
def test_only_what_the_catalogue_cannot_show_is_left_to_a_person(tmp_path: Path) -> None:
    apps = {case: half_applied(operation) for case, (operation, _) in UNJUDGED.items()}
    apps = {case: {path: text.replace("core", case) for path, text in app.items()} for case, app in apps.items()}
    apps["index"] = {path: text.replace("by_name", "by_name_of_index") for path, text in apps["index"].items()}
    project = write_project(tmp_path / "site", apps)
    for case in apps:
        dbmigrate("run", "--app", case, "--to", "0001_initial", cwd=project.root).expect(0)
    with closing(sqlite3.connect(project.database("default"))) as connection:
        for case in apps:
            connection.execute(COLUMN_A.replace("core", case))
        connection.commit()

    result = dbmigrate("verify", "--repair", "--format", "json", cwd=project.root).expect(12).json["result"]

    repairs = {one["about"].split(".")[0]: one for one in result["repairs"]}
    assert {case: one["unjudged"] for case, one in repairs.items()} == {
        case: unjudged for case, (_, unjudged) in UNJUDGED.items()
    }
    assert {case: bool(one["commands"]) for case, one in repairs.items()} == {
        case: not unjudged for case, (_, unjudged) in UNJUDGED.items()
    }


@pytest.mark.soak
@pytest.mark.parametrize("engine", combinations(ENGINES, quick=[("postgresql",), ("mariadb",)]))
def test_a_column_that_is_seen_to_be_altered_needs_no_judgement(engine: str, site: Callable[..., Site]) -> None:
    files = half_applied('migrations.AlterField("item", "name", models.CharField(max_length=30, null=True))')
    here = site(engine, {**files, "models.py": files["models.py"].replace("max_length=20", "max_length=30, null=True")})
    dbmigrate("all", "--skip-makemigrations", cwd=here.project.root).expect(0)
    here.query("DELETE FROM django_migrations WHERE name = '0002_more'")

    printed = repair(here.project).stdout

    assert "does not show" not in printed
    assert "\ndbmigrate run --database default --app core --to 0002_more --fake\n" in printed


def test_all_of_it_is_there_and_what_it_wrote_nobody_knows(tmp_path: Path) -> None:
    project = doctored(tmp_path, half_applied("migrations.RunPython(fill)"), COLUMN_A, COLUMN_B)

    printed = repair(project).stdout

    assert "core.0002_more: its tables and columns exist, but it is not recorded; there: " in printed
    assert "all of it is there" not in printed
    assert (
        "the database does not show whether these have run, and migrate would run them again: RunPython fill" in printed
    )
    assert "(migrate would start core.0002_more from the beginning and run all of them again)" in printed
    assert "it is unknown whether these operations of core.0002_more have run: RunPython fill" in printed
    assert "--fake" not in printed
    assert "dbshell" not in printed


def test_a_later_migration_is_not_recorded_over_one_that_nobody_has_judged(tmp_path: Path) -> None:
    fill = migration("migrations.RunPython(fill)", after=(("core", "0001_initial"),), head=HEAD)
    later = migration(add("a"), after=(("core", "0002_fill"),))
    files = {"migrations/0002_fill.py": fill, "migrations/0003_a.py": later}
    project = doctored(tmp_path, {**simple_app(), "models.py": model("Item", *FIELDS[:2]), **files}, COLUMN_A)

    printed = repair(project).stdout
    judged = repair(project, "--judged", "core.0002_fill").stdout

    assert "--fake" not in printed
    assert "it is unknown whether these operations of core.0002_fill have run: RunPython fill" in printed
    assert "if it has not run, apply it: dbmigrate run --database default --app core --to 0002_fill" in printed
    assert "--app core --to 0003_a --fake" in judged


def test_what_is_merely_pending_before_it_is_applied_first(tmp_path: Path) -> None:
    first = migration(add("a"), after=(("core", "0001_initial"),))
    later = migration(add("b"), after=(("core", "0002_a"),))
    files = {"migrations/0002_a.py": first, "migrations/0003_b.py": later}
    project = doctored(tmp_path, {**simple_app(), "models.py": model("Item", *FIELDS), **files}, COLUMN_B)

    printed = repair(project).stdout

    assert "--fake" not in printed
    assert "apply that first: dbmigrate run --database default --app core --to 0002_a" in printed


def test_what_wrote_into_a_column_that_is_gone_is_named_with_it(tmp_path: Path) -> None:
    project = write_project(
        tmp_path / "site",
        {"core": {**half_applied("migrations.RunSQL('SELECT 1')")}},
    )
    dbmigrate("all", "--skip-makemigrations", cwd=project.root).expect(0)
    with closing(sqlite3.connect(project.database("default"))) as connection:
        connection.execute("ALTER TABLE core_item DROP COLUMN b")

    printed = repair(project).stdout

    assert "what RunSQL of core.0002_more wrote there is not restored" in printed


@pytest.mark.soak
def test_a_migration_that_was_half_undone_is_made_whole_again_and_its_rows_are_spoken_of(tmp_path: Path) -> None:
    head = HEAD + "\n\ndef write(apps, schema_editor):\n    pass\n"
    operations = (add("a"), "migrations.RunPython(write, fill)", add("b"))
    more = migration(*operations, after=(("core", "0001_initial"),), head=head, atomic=False)
    app = {**simple_app(), "models.py": model("Item", *FIELDS), "migrations/0002_more.py": more}
    project = write_project(tmp_path / "site", {"core": app})
    dbmigrate("all", "--skip-makemigrations", cwd=project.root).expect(0)

    failed = dbmigrate("run", "--app", "core", "--to", "0001_initial", cwd=project.root).expect(30).stderr
    printed = repair(project).stdout

    assert "core.0002_more may be half undone" in failed
    assert "dbmigrate verify --repair --database default" in failed
    assert "what RunPython write of core.0002_more wrote there is not restored" in printed
    assert 'ADD COLUMN "b"' in printed
    assert "--fake" not in printed


@pytest.mark.soak
def test_a_column_that_is_still_to_be_dropped_or_renamed_is_not_made_again(tmp_path: Path) -> None:
    operations = (
        'migrations.RenameField("item", "name", "title")',
        'migrations.RemoveField("item", "size")',
        'migrations.RemoveIndex("item", "by_size")',
    )
    fields = '("name", models.CharField(max_length=20)), ("size", models.IntegerField())'
    index = 'migrations.AddIndex("item", models.Index(fields=["name"], name="by_size"))'
    app = {
        "models.py": model("Item", "title = models.CharField(max_length=20)", f"a = {NUMBER}"),
        "migrations/0001_initial.py": migration(create(field=fields), index),
        "migrations/0002_more.py": migration(add("a"), *operations, after=(("core", "0001_initial"),)),
    }
    project = doctored(tmp_path, app, COLUMN_A)

    outcome = repair(project)
    with closing(sqlite3.connect(project.database("default"))) as connection:
        script = outcome.stdout.split("<<'SQL'\n")[1].split("\nSQL")[0]
        connection.executescript(script)
    record = next(line for line in outcome.stdout.splitlines() if line.startswith("dbmigrate run"))
    dbmigrate(*record.split()[1:], cwd=project.root).expect(0)

    assert 'RENAME COLUMN "name" TO "title"' in outcome.stdout
    assert "still there: column core_item.name" in outcome.stdout
    dbmigrate("verify", cwd=project.root).expect(0)


def test_a_table_of_sqlite_is_not_made_anew_without_a_column_that_the_code_does_not_know(tmp_path: Path) -> None:
    fields = '("name", models.CharField(max_length=20)), ("size", models.IntegerField(default=0))'
    app = {
        "models.py": model("Item", "name = models.CharField(max_length=20)", "size = models.IntegerField(default=0)"),
        "migrations/0001_initial.py": migration(create(field=fields)),
    }
    project = write_project(tmp_path / "site", {"core": app})
    dbmigrate("all", cwd=project.root).expect(0)
    with closing(sqlite3.connect(project.database("default"))) as connection:
        connection.execute("ALTER TABLE core_item DROP COLUMN size")
        connection.execute("ALTER TABLE core_item ADD COLUMN colour text")

    printed = repair(project).stdout

    assert "SQLite rebuilds the table, without its column colour" in printed
    assert "DROP TABLE" not in printed


def test_a_name_that_is_no_migration_and_a_judgement_without_repair_are_refused(tmp_path: Path) -> None:
    project = write_project(tmp_path / "site", {"core": simple_app()})

    unknown = repair(project, "--judged", "core.0001_initia", code=2).stderr
    alone = dbmigrate("verify", "--judged", "core.0001_initial", cwd=project.root).expect(2).stderr

    assert "did you mean core.0001_initial" in unknown
    assert "--judged requires --repair" in alone


@pytest.mark.soak
def test_records_that_are_lost_are_written_again_without_making_what_was_dropped_since(tmp_path: Path) -> None:
    contrib = ("django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions")
    project = write_project(tmp_path / "site", {"core": simple_app()}, contrib=contrib)
    dbmigrate("all", cwd=project.root).expect(0)
    with closing(sqlite3.connect(project.database("default"))) as connection:
        connection.execute("DELETE FROM django_migrations")
        connection.commit()

    result = dbmigrate("verify", "--repair", "--format", "json", cwd=project.root).expect(12).json["result"]

    assert [statement for one in result["repairs"] for statement in one["statements"]] == []
    assert [one["about"] for one in result["repairs"] if one["unjudged"]] == []
    commands = [command for one in result["repairs"] for command in one["commands"]]
    assert not any("contenttypes --to 0001_initial" in command for command in commands)  # 0002 brings it
    for command in commands:
        dbmigrate(*command.split()[1:], cwd=project.root)
    dbmigrate("all", cwd=project.root).expect(0)
    dbmigrate("verify", cwd=project.root).expect(0)


def test_a_table_of_another_shape_is_not_recorded_and_somebody_decides_whose_it_is(tmp_path: Path) -> None:
    fields = '("name", models.CharField(max_length=20)), ("size", models.IntegerField(default=0))'
    app = {
        "models.py": model("Item", "name = models.CharField(max_length=20)", "size = models.IntegerField(default=0)"),
        "migrations/0001_initial.py": migration(create(field=fields)),
        "migrations/0002_more.py": migration(
            'migrations.CreateModel("More", [("id", models.BigAutoField(primary_key=True))])',
            after=(("core", "0001_initial"),),
        ),
    }
    project = write_project(tmp_path / "site", {"core": app})
    with closing(sqlite3.connect(project.database("default"))) as connection:
        connection.execute("CREATE TABLE core_item (id integer PRIMARY KEY, titel text)")
        connection.execute("CREATE TABLE core_more (id integer PRIMARY KEY)")

    printed = repair(project).stdout
    judged = repair(project, "--judged", "core.0001_initial").stdout

    for text in (printed, judged):
        assert "--fake" not in text
        assert "<<" not in text
        assert "SQLite rebuilds the table, without its column titel" in text
        assert "if core_item belongs to something else, let a router refuse core on default" in text


OWN_PARTS = (
    "CREATE INDEX own_index ON core_item (size, id)",
    "CREATE TRIGGER own_trigger AFTER INSERT ON core_item BEGIN SELECT 1; END",
)


def with_own_parts(root: Path, columns: str) -> Project:
    """Return a migrated project whose table has these columns, and an index and a trigger of its own alone."""
    fields = ("name = models.CharField(max_length=20, unique=True)", "size = models.IntegerField(db_index=True)")
    inside = '("name", models.CharField(max_length=20, unique=True)), ("size", models.IntegerField(db_index=True))'
    app = {"models.py": model("Item", *fields), "migrations/0001_initial.py": migration(create(field=inside))}
    project = write_project(root / "site", {"core": app})
    dbmigrate("all", cwd=project.root).expect(0)
    with closing(sqlite3.connect(project.database("default"))) as connection:
        connection.execute("DROP TABLE core_item")
        connection.execute(f"CREATE TABLE core_item (id integer PRIMARY KEY AUTOINCREMENT, {columns})")
        for statement in OWN_PARTS:
            connection.execute(statement)
        connection.commit()
    return project


@pytest.mark.soak
def test_a_lost_index_of_a_field_is_made_alone_and_the_table_is_not_made_anew(tmp_path: Path) -> None:
    project = with_own_parts(tmp_path, "name varchar(20) NOT NULL, size integer NOT NULL")

    printed = dbmigrate("verify", "--repair", "--format", "json", cwd=project.root).expect(12).json["result"]
    statements = [statement for one in printed["repairs"] for statement in one["statements"]]
    with closing(sqlite3.connect(project.database("default"), isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}

    assert [statement.split(" ON ")[0].split(' "')[0] for statement in statements] == [
        "BEGIN;",
        "CREATE UNIQUE INDEX",
        "CREATE INDEX",
        "COMMIT;",
    ]
    assert {"own_index", "own_trigger"} <= names
    dbmigrate("verify", cwd=project.root).expect(0)


def test_a_table_of_sqlite_is_not_made_anew_without_an_index_and_a_trigger_of_its_own(tmp_path: Path) -> None:
    project = with_own_parts(tmp_path, "size integer NOT NULL")

    printed = repair(project).stdout

    assert "SQLite rebuilds the table, without its index own_index, trigger own_trigger" in printed
    assert "DROP TABLE" not in printed
    assert 'ON "core_item" ("name")' not in printed


@pytest.mark.soak
def test_a_run_that_would_work_on_data_twice_says_it_before(tmp_path: Path) -> None:
    head = "def fill(apps, schema_editor):\n    raise RuntimeError\n"
    alter = 'migrations.AlterField("item", "name", models.CharField(max_length=20, null=True))'
    second = migration(alter, "migrations.RunPython(fill)", head=head, after=(("core", "0001_initial"),), atomic=False)
    files = {**simple_app(), "migrations/0002_fill.py": second}
    project = write_project(tmp_path, {"core": files})
    dbmigrate("all", "--skip-makemigrations", cwd=tmp_path).expect(31)
    project.write("core/migrations/0002_fill.py", second.replace("raise RuntimeError", "pass"))

    planned = dbmigrate("plan", "--skip-makemigrations", cwd=tmp_path).expect(0).stdout
    again = dbmigrate("all", "--skip-makemigrations", cwd=tmp_path).expect(0).stderr

    for said in (planned, again):
        assert "warning: DBM303: core.0002_fill is pending on default, and a part of it seems to have run: " in said
        assert "; migrate starts it from the beginning and runs RunPython fill again" in said
