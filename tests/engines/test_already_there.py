"""What a pending migration would make and that is there already: said before anything moves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from support.cli import dbmigrate, looks
from support.combinations import combinations
from support.postgresql import PostgresqlServer
from support.projects import applied, create, migration, model, simple_app, tables, write_project
from support.sites import ENGINES, Site, write_site

FIRST = ("core", "0001_initial")
SIZE_FIELD = "size = models.IntegerField(null=True)"
SIZE = 'migrations.AddField("item", "size", models.IntegerField(null=True))'
ITEM = "CREATE TABLE core_item (id BIGINT NOT NULL, name VARCHAR(20) NOT NULL)"


@pytest.mark.parametrize("engine", ENGINES)
def test_a_table_that_is_there_stops_a_run_before_anything_moves_and_fake_initial_records_it(
    engine: str, site: Callable[..., Site]
) -> None:
    here = site(engine)
    here.query(ITEM)

    checked, planned = looks({"check": 12, "plan": 0}, cwd=here.project.root)
    refused = dbmigrate("all", cwd=here.project.root).expect(13)

    said = "DBM307: core.0001_initial is pending on default and creates what exists already: table core_item;"
    for text in (checked.stdout, planned.stdout, refused.stderr):
        assert said in text
        assert "   dbmigrate all --fake-initial\n" in text
    assert "a run of this plan ends with 13" in planned.stdout
    recorded = dbmigrate("all", "--fake-initial", cwd=here.project.root).expect(0)
    assert "2 migrations; core.0001_initial recorded without being run (--fake-initial)" in recorded.stdout
    assert here.recorded() == {"core.0001_initial": 1, "more.0001_initial": 1}
    dbmigrate("check", cwd=here.project.root).expect(0)


def test_where_rows_would_be_skipped_fake_initial_is_not_offered(tmp_path: Path) -> None:
    first = migration(create(), "migrations.RunPython(fail)", head=FAIL, atomic=False)
    here = write_site(tmp_path, None, {"models.py": model(), "migrations/0001_initial.py": first})
    failed = dbmigrate("all", "--skip-makemigrations", cwd=here.project.root).expect(30)

    refused = dbmigrate("all", "--skip-makemigrations", cwd=here.project.root).expect(13)

    assert "dbmigrate all --fake-initial" not in failed.stderr + refused.stderr
    assert "if a run failed half-way, finish it or undo it by hand" in refused.stderr
    assert "   dbmigrate verify --repair --database default\n      --fake-initial would skip" in refused.stderr


FAIL = """
def fail(apps, schema_editor):
    raise RuntimeError("no")
"""


def test_where_a_part_is_there_fake_initial_is_not_offered(tmp_path: Path) -> None:
    first = migration(create(), create("Other"))
    here = write_site(tmp_path, None, {"models.py": "", "migrations/0001_initial.py": first})
    here.query(ITEM)

    refused = dbmigrate("all", "--skip-makemigrations", "--fake-initial", cwd=tmp_path).expect(13)

    assert "already: table core_item (not there: table core_other); migrate fails there" in refused.stderr
    assert "dbmigrate all --fake-initial" not in refused.stderr
    assert "dbmigrate verify --repair --database default" in refused.stderr
    assert not here.query("SELECT name FROM sqlite_master WHERE name = 'django_migrations'")


def test_a_table_of_another_shape_is_not_recorded_by_fake_initial(tmp_path: Path) -> None:
    here = write_site(tmp_path, None)
    here.query("CREATE TABLE core_item (id integer PRIMARY KEY, titel varchar(20))")

    refused = dbmigrate("all", "--fake-initial", cwd=tmp_path).expect(13)

    assert "already: table core_item (not there: column core_item.name); migrate fails there" in refused.stderr
    assert "dbmigrate all --fake-initial" not in refused.stderr


@pytest.mark.parametrize("engine", combinations(ENGINES, quick=[("sqlite",), ("postgresql",)]))
def test_a_column_that_is_there_stops_a_run(engine: str, site: Callable[..., Site]) -> None:
    here = site(engine)
    dbmigrate("all", cwd=here.project.root).expect(0)
    here.query("ALTER TABLE core_item ADD COLUMN size INTEGER")
    here.project.write("core/migrations/0002_size.py", migration(SIZE, after=(FIRST,)))

    refused = dbmigrate("all", "--skip-makemigrations", cwd=here.project.root).expect(13)

    assert (
        "core.0002_size is pending on default and creates what exists already: column core_item.size" in refused.stderr
    )


def test_what_an_earlier_migration_takes_away_is_not_in_the_way(tmp_path: Path) -> None:
    here = write_site(tmp_path, None)
    dbmigrate("all", cwd=tmp_path).expect(0)
    again = ('migrations.RemoveField("item", "name")', 'migrations.AddField("item", "name", models.TextField())')
    here.project.write("core/migrations/0002_again.py", migration(*again, after=(FIRST,)))
    here.project.write(
        "core/migrations/0003_new.py",
        migration('migrations.DeleteModel("Item")', create(), after=(("core", "0002_again"),)),
    )

    assert "DBM307" not in dbmigrate("check", cwd=tmp_path).stdout
    dbmigrate("run", "--app", "core", cwd=tmp_path).expect(0)


TAGGED = 'migrations.CreateModel("Item", [{}, ("tags", models.ManyToManyField(to="core.tag"))])'.format(
    '("id", models.BigAutoField(primary_key=True))'
)
TAG = 'migrations.CreateModel("Tag", [("id", models.BigAutoField(primary_key=True))])'
STATE = 'models.IntegerField(default=0, db_column="st")'


@pytest.mark.soak
@pytest.mark.parametrize(
    "pending",
    [
        ('migrations.DeleteModel("Item")', TAGGED),
        ('migrations.RenameModel("Item", "Old")', TAGGED),
        (
            f'migrations.AddField("item", "state", {STATE})',
            'migrations.RemoveField("item", "state")',
            f'migrations.AddField("item", "state", {STATE})',
        ),
    ],
    ids=["deleted", "renamed", "another-column"],
)
def test_what_goes_by_another_name_stops_no_run(pending: tuple[str, ...], tmp_path: Path) -> None:
    app = {"models.py": model(), "migrations/0001_initial.py": migration(TAG, TAGGED)}
    here = write_site(tmp_path, None, app)
    dbmigrate("all", "--skip-makemigrations", cwd=tmp_path).expect(0)
    here.project.write("core/migrations/0002_more.py", migration(*pending, after=(FIRST,)))

    dbmigrate("all", "--skip-makemigrations", cwd=tmp_path).expect(0)

    assert here.recorded()["core.0002_more"] == 1


def test_a_column_of_a_model_that_is_managed_only_later_stops_no_run(tmp_path: Path) -> None:
    name = '("id", models.BigAutoField(primary_key=True))'
    first = f'migrations.CreateModel("Item", [{name}], options={{"managed": False}})'
    app = {"models.py": model("Item", SIZE_FIELD), "migrations/0001_initial.py": migration(first)}
    here = write_site(tmp_path, None, app)
    here.query("CREATE TABLE core_item (id integer PRIMARY KEY, size integer)")
    here.project.write(
        "core/migrations/0002_more.py",
        migration(SIZE, 'migrations.AlterModelOptions("item", {})', after=(FIRST,)),
    )

    dbmigrate("all", "--skip-makemigrations", cwd=tmp_path).expect(0)

    assert here.recorded()["core.0002_more"] == 1


@pytest.mark.postgresql
def test_a_table_whose_name_differs_in_case_is_another_one_on_postgresql(site: Callable[..., Site]) -> None:
    here = site("postgresql")
    here.query(ITEM.replace("core_item", '"Core_Item"'))

    dbmigrate("all", "--skip-makemigrations", cwd=here.project.root).expect(0)

    assert here.recorded()["core.0001_initial"] == 1


def test_sqlite_makes_a_table_again_for_a_column_that_is_not_null(tmp_path: Path) -> None:
    here = write_site(tmp_path, None)
    dbmigrate("all", cwd=tmp_path).expect(0)
    here.query("ALTER TABLE core_item ADD COLUMN size INTEGER DEFAULT 0 NOT NULL")
    add = 'migrations.AddField("item", "size", models.IntegerField(default=0))'
    here.project.write("core/migrations/0002_size.py", migration(add, after=(FIRST,)))

    dbmigrate("all", "--skip-makemigrations", cwd=tmp_path).expect(0)

    assert here.recorded()["core.0002_size"] == 1


def test_what_sql_may_take_away_before_is_a_warning_and_the_run_goes_on(tmp_path: Path) -> None:
    first = migration("migrations.RunSQL('DROP TABLE core_item')", create())
    here = write_site(tmp_path, None, {"models.py": model(), "migrations/0001_initial.py": first})
    here.query(ITEM)

    done = dbmigrate("all", cwd=tmp_path).expect(0)

    assert "warning: DBM307: core.0001_initial" in done.stderr
    assert "migrate fails there, unless something before it removes that" in done.stderr


def test_a_failure_for_a_table_that_was_there_offers_fake_initial(tmp_path: Path) -> None:
    here = write_site(tmp_path, None)
    here.query(ITEM)
    here.project.write("pyproject.toml", '[tool.dbmigrate]\nignore = ["DBM307"]\n')

    failed = dbmigrate("all", cwd=tmp_path).expect(30)

    assert "to record it without running it (only names were compared): dbmigrate all --fake-initial" in (failed.stderr)


@pytest.mark.soak
def test_an_app_whose_tables_syncdb_made_gets_migrations_by_the_commands_that_are_printed(tmp_path: Path) -> None:
    project = write_project(
        tmp_path,
        {"core": simple_app(), "plain": {"models.py": model()}},
        aliases=("default", "other_db"),
        rules={"plain": "other_db"},
    )
    dbmigrate("all", "--run-syncdb", cwd=tmp_path).expect(0)
    hint = "to give it migrations: dbmigrate make plain, then dbmigrate all --fake-initial, because its tables exist"
    assert hint in dbmigrate("check", "--format", "json", cwd=tmp_path).expect(0).stdout

    dbmigrate("make", "plain", cwd=tmp_path).expect(0)
    recorded = dbmigrate("all", "--fake-initial", cwd=tmp_path).expect(0).stdout

    assert "other_db  recorded  1 migration; plain.0001_initial recorded without being run" in recorded
    assert applied(project.database("other_db")) == ["plain.0001_initial"]
    assert tables(project.database("other_db")) == {"plain_item", "django_migrations"}


@pytest.mark.postgresql
def test_a_table_of_another_schema_on_the_search_path_is_not_in_the_way(
    tmp_path: Path, postgresql: PostgresqlServer
) -> None:
    entry = postgresql.create_database()
    postgresql.query(entry, "CREATE SCHEMA shop")
    postgresql.query(entry, ITEM)
    path = {**entry, "OPTIONS": {"options": "-c search_path=shop,public"}}
    here = write_site(tmp_path, postgresql, entry=path)

    dbmigrate("all", cwd=here.project.root).expect(0)

    assert here.query("SELECT count(*) FROM pg_tables WHERE tablename = 'core_item'") == [(2,)]
