"""`dbmigrate verify`: databases doctored in many ways, on every engine, one look at all of them."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.cli import clean_environment, dbmigrate, looks
from support.mariadb import DRIVER, MariadbServer
from support.postgresql import PostgresqlServer
from support.projects import Project, create, migration, model, simple_app, write_project
from support.sites import Site

LONG_NAME = f"tag_word_{'x' * 55}"
"""64 characters: PostgreSQL cuts off the last one."""

MODELS = """\
from django.db import models


class Author(models.Model):
    name = models.CharField(max_length=50, unique=True)


class Tag(models.Model):
    word = models.CharField(max_length=50)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["word"], name="{LONG_NAME}")]


class Book(models.Model):
    title = models.CharField(max_length=50, db_index=True)
    subtitle = models.CharField(max_length=50, default="")
    pages = models.IntegerField(default=0)
    isbn = models.CharField(max_length=20, default="")
    published = models.DateField(null=True)
    author = models.ForeignKey(Author, models.CASCADE)
    tags = models.ManyToManyField(Tag)
    height = models.IntegerField(default=0)
    width = models.IntegerField(default=0)

    class Meta:
        unique_together = [("title", "author")]
        indexes = [models.Index(fields=["published"], name="book_published")]
        constraints = [
            models.UniqueConstraint(fields=["isbn", "author"], name="book_isbn"),
        ]


class Atlas(Book):
    scale = models.IntegerField(default=1)


class Legacy(models.Model):
    class Meta:
        managed = False


class Note(models.Model):
    text = models.CharField(max_length=50)

    class Meta:
        db_table = "lib odd notes"
"""

ID = '("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"))'
CHAR = "models.CharField(max_length=50)"
INTEGER = "models.IntegerField(default=0)"

MIGRATIONS = {
    "migrations/0001_initial.py": migration(
        f'migrations.CreateModel("Author", [{ID}, ("name", models.CharField(max_length=50, unique=True))])',
        f'migrations.CreateModel("Tag", [{ID}, ("word", {CHAR})])',
        f'migrations.CreateModel("Book", [{ID}, ("title", models.CharField(max_length=50, db_index=True)), '
        f'("pages", {INTEGER}), ("isbn", models.CharField(max_length=20, default="")), '
        '("published", models.DateField(null=True)), ("author", models.ForeignKey("lib.Author", models.CASCADE)), '
        '("tags", models.ManyToManyField("lib.Tag"))])',
    ),
    "migrations/0002_subtitle.py": migration(
        'migrations.AddField("book", "subtitle", models.CharField(max_length=50, default=""))',
        after=(("lib", "0001_initial"),),
    ),
    "migrations/0003_sizes.py": migration(
        f'migrations.AddField("book", "height", {INTEGER})',
        f'migrations.AddField("book", "width", {INTEGER})',
        after=(("lib", "0002_subtitle"),),
    ),
    "migrations/0004_keys.py": migration(
        'migrations.AlterUniqueTogether("book", {("title", "author")})',
        'migrations.AddIndex("book", models.Index(fields=["published"], name="book_published"))',
        'migrations.AddConstraint("book", models.UniqueConstraint(fields=["isbn", "author"], name="book_isbn"))',
        f'migrations.AddConstraint("tag", models.UniqueConstraint(fields=["word"], name="{LONG_NAME}"))',
        after=(("lib", "0003_sizes"),),
    ),
    "migrations/0005_notes.py": migration(
        f'migrations.CreateModel("Note", [{ID}, ("text", {CHAR})], options={{"db_table": "lib odd notes"}})',
        'migrations.CreateModel("Atlas", [("book_ptr", models.OneToOneField("lib.Book", models.CASCADE, '
        "auto_created=True, parent_link=True, primary_key=True, serialize=False)), "
        '("scale", models.IntegerField(default=1))], bases=("lib.book",))',
        f'migrations.CreateModel("Legacy", [{ID}], options={{"managed": False}})',
        after=(("lib", "0004_keys"),),
    ),
}
NAMES = [Path(name).stem for name in MIGRATIONS]

EVERYWHERE = """
class Router:
    def allow_migrate(self, db, app_label, **hints):
        return True
"""

RECORD = "DELETE FROM django_migrations WHERE name = '{}'"
NOTES = {"sqlite": '"lib odd notes"', "postgresql": '"lib odd notes"', "mariadb": "`lib odd notes`"}


@dataclass(frozen=True)
class Case:
    """One way to doctor a database, and what `verify` must say of it."""

    statements: tuple[str, ...]
    drift: frozenset[str] = frozenset()
    """"migration outcome: what is missing", "unknown …", "invalid …" or "inconsistent"."""
    engines: tuple[str, ...] = ("sqlite", "postgresql", "mariadb")
    pending: int = 0


def case(*statements: str, drift: tuple[str, ...] = (), **more: Any) -> Case:
    return Case(statements, frozenset(drift), **more)


SERVERS = ("postgresql", "mariadb")
ALL_FAKED = (
    "0001_initial faked: table lib_author, table lib_tag, table lib_book, table lib_book_tags",
    "0002_subtitle faked: column subtitle of lib_book",
    "0003_sizes faked: column height of lib_book, column width of lib_book",
    "0004_keys faked: unique title, author_id of lib_book, index book_published of lib_book, "
    f"constraint book_isbn of lib_book, constraint {LONG_NAME} of lib_tag",
    "0005_notes faked: table lib odd notes, table lib_atlas",
)
ALL_UNRECORDED = tuple(f"{name} unrecorded" for name in NAMES)

CASES: dict[str, Case] = {
    "untouched": case(),
    "rows": case("INSERT INTO lib_tag (word) VALUES ('x')"),
    "extra_table": case("CREATE TABLE more (id integer)"),
    "extra_column": case("ALTER TABLE lib_tag ADD COLUMN more integer"),
    "extra_index": case("CREATE INDEX more ON lib_tag (word)"),
    "table_of_several": case("DROP TABLE lib_atlas", drift=("0005_notes missing: table lib_atlas",)),
    "table_with_odd_name": case("DROP TABLE {notes}", drift=("0005_notes missing: table lib odd notes",)),
    "all_tables_of_a_migration": case(
        "DROP TABLE {notes}", "DROP TABLE lib_atlas", drift=("0005_notes faked: table lib odd notes, table lib_atlas",)
    ),
    "every_table": case(
        *(
            f"DROP TABLE {name}"
            for name in ("lib_atlas", "lib_book_tags", "lib_book", "lib_tag", "lib_author", "{notes}")
        ),
        drift=ALL_FAKED,
    ),
    "through_table": case("DROP TABLE lib_book_tags", drift=("0001_initial missing: table lib_book_tags",)),
    "column": case("ALTER TABLE lib_book DROP COLUMN pages", drift=("0001_initial missing: column pages of lib_book",)),
    "only_column_of_a_migration": case(
        "ALTER TABLE lib_book DROP COLUMN subtitle", drift=("0002_subtitle faked: column subtitle of lib_book",)
    ),
    "column_renamed": case(
        "ALTER TABLE lib_book RENAME COLUMN pages TO page_count",
        drift=("0001_initial missing: column pages of lib_book",),
    ),
    "column_of_a_child": case(
        "ALTER TABLE lib_atlas DROP COLUMN scale", drift=("0005_notes missing: column scale of lib_atlas",)
    ),
    "table_renamed": case("ALTER TABLE lib_atlas RENAME TO lib_maps", drift=("0005_notes missing: table lib_atlas",)),
    "two_things": case(
        "DROP TABLE lib_book_tags",
        "ALTER TABLE lib_book DROP COLUMN height",
        drift=("0001_initial missing: table lib_book_tags", "0003_sizes missing: column height of lib_book"),
    ),
    "index": case("{drop_index}", drift=("0004_keys missing: index book_published of lib_book",)),
    "index_renamed": case(
        "ALTER INDEX book_published RENAME TO published_book",
        drift=("0004_keys missing: index book_published of lib_book",),
        engines=("postgresql",),
    ),
    "named_constraint": case(
        "ALTER TABLE lib_book DROP CONSTRAINT book_isbn",
        drift=("0004_keys missing: constraint book_isbn of lib_book",),
        engines=SERVERS,
    ),
    "foreign_key": case(
        "ALTER TABLE lib_book DROP CONSTRAINT {foreign_key}",
        drift=("0001_initial missing: foreign key author_id of lib_book",),
        engines=SERVERS,
    ),
    "unique_column": case(
        "ALTER TABLE lib_author DROP CONSTRAINT {unique}",
        drift=("0001_initial missing: unique name of lib_author",),
        engines=SERVERS,
    ),
    "unique_together": case(
        "ALTER TABLE lib_book DROP CONSTRAINT {together}",
        drift=("0004_keys missing: unique title, author_id of lib_book",),
        engines=SERVERS,
    ),
    "copied_without_constraints": case(
        "ALTER TABLE lib_author RENAME TO old",
        "CREATE TABLE lib_author AS SELECT * FROM old",
        drift=("0001_initial missing: unique name of lib_author",),
        engines=("sqlite",),
    ),
    "invalid_index": case(
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'book_published'::regclass",
        drift=("invalid book_published of lib_book",),
        engines=("postgresql",),
    ),
    "view_instead_of_a_table": case(
        "DROP TABLE lib_atlas",
        "CREATE VIEW lib_atlas AS SELECT 1 AS book_ptr_id, 2 AS scale",
        drift=("0005_notes missing: table lib_atlas (view)",),
    ),
    "record_gone": case(RECORD.format("0005_notes"), drift=("0005_notes unrecorded",), pending=1),
    "record_and_tables_gone": case(
        RECORD.format("0005_notes"), "DROP TABLE {notes}", "DROP TABLE lib_atlas", pending=1
    ),
    "half_applied": case(
        RECORD.format("0005_notes"),
        "DROP TABLE lib_atlas",
        drift=("0005_notes half-applied: table lib_atlas",),
        pending=1,
    ),
    "half_applied_columns": case(
        RECORD.format("0003_sizes"),
        RECORD.format("0004_keys"),
        RECORD.format("0005_notes"),
        "ALTER TABLE lib_book DROP COLUMN width",
        drift=("0003_sizes half-applied: column width of lib_book", "0004_keys unrecorded", "0005_notes unrecorded"),
        pending=3,
    ),
    "all_records_gone": case("DELETE FROM django_migrations", drift=ALL_UNRECORDED, pending=5),
    "no_table_of_records": case("DROP TABLE django_migrations", drift=ALL_UNRECORDED, pending=5),
    "newer_record": case(
        "INSERT INTO django_migrations (app, name, applied) VALUES ('lib', '0099_new', '2026-01-01 00:00:00')",
        drift=("unknown lib.0099_new",),
    ),
    "record_of_an_app_that_is_gone": case(
        "INSERT INTO django_migrations (app, name, applied) VALUES ('ghost', '0001_initial', '2026-01-01 00:00:00')"
    ),
    "record_squashed_away": case(
        "INSERT INTO django_migrations (id, app, name, applied) VALUES (-7, 'lib', '0000_old', '2020-01-01 00:00:00')"
    ),
    "record_twice": case(
        "INSERT INTO django_migrations (app, name, applied) VALUES ('lib', '0001_initial', '2026-01-01 00:00:00')"
    ),
    "record_of_a_dependency_gone": case(RECORD.format("0001_initial"), drift=("inconsistent",)),
}


class Engine:
    """Copies, doctors and describes databases of one kind."""

    def __init__(self, name: str, folder: Path, server: PostgresqlServer | MariadbServer | None) -> None:
        self.name = name
        self._folder = folder
        self._server = server

    @property
    def settings(self) -> str:
        return DRIVER if self.name == "mariadb" else ""

    def create(self, alias: str) -> dict[str, Any]:
        """Return the entry of an empty database."""
        if self._server is not None:
            return self._server.create_database()
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": str(self._folder / f"{alias}.sqlite3")}

    def copy(self, template: dict[str, Any], alias: str) -> dict[str, Any]:
        """Return the entry of a copy of a database."""
        if isinstance(self._server, PostgresqlServer):
            return self._server.create_database(template=template["NAME"])
        entry = self.create(alias)
        if isinstance(self._server, MariadbServer):
            self._server.copy_database(template, entry)
        else:
            shutil.copyfile(template["NAME"], entry["NAME"])
        return entry

    def run(self, entry: dict[str, Any], statements: tuple[str, ...]) -> None:
        for statement in statements:
            text = statement.format_map(_Names(self, entry))
            if self._server is not None:
                self._server.query(entry, text)
                continue
            with closing(sqlite3.connect(entry["NAME"])) as connection:
                connection.execute(text)
                connection.commit()

    def run_together(self, entry: dict[str, Any], statements: Sequence[str]) -> None:
        """Run what is written down in one session, as it stands; comments are left out."""
        written = [statement for statement in statements if not statement.startswith("--")]
        if self._server is not None:
            with self._server.session(entry) as cursor:
                for statement in written:
                    cursor.execute(statement)
        else:
            with closing(sqlite3.connect(entry["NAME"], isolation_level=None)) as connection:
                for statement in written:
                    connection.execute(statement)

    def constraint(self, entry: dict[str, Any], table: str, kind: str, like: str) -> str:
        """Return the name of a constraint."""
        assert self._server is not None
        schema = "DATABASE()" if self.name == "mariadb" else "'public'"
        rows = self._server.query(
            entry,
            "SELECT constraint_name FROM information_schema.table_constraints "
            f"WHERE table_schema = {schema} AND table_name = '{table}' AND constraint_type = '{kind}'",
        )
        return next(str(name) for (name,) in rows if like in name)


class _Names(dict[str, str]):
    """What the statements leave open."""

    def __init__(self, engine: Engine, entry: dict[str, Any]) -> None:
        super().__init__()
        self._engine = engine
        self._entry = entry

    def __missing__(self, key: str) -> str:
        engine, entry = self._engine, self._entry
        if key == "notes":
            return NOTES[engine.name]
        if key == "drop_index":
            return "DROP INDEX book_published" + (" ON lib_book" if engine.name == "mariadb" else "")
        table, kind, like = {
            "foreign_key": ("lib_book", "FOREIGN KEY", "author_id"),
            "unique": ("lib_author", "UNIQUE", "name"),
            "together": ("lib_book", "UNIQUE", "title"),
        }[key]
        return engine.constraint(entry, table, kind, like)


def write_library(folder: Path, engine: Engine, aliases: Mapping[str, dict[str, Any]]) -> Project:
    """Write the project of one app that belongs on every database."""
    return write_project(
        folder,
        {"lib": {"models.py": MODELS.replace("{LONG_NAME}", LONG_NAME), **MIGRATIONS}},
        aliases=aliases,
        settings=f'{engine.settings}DATABASE_ROUTERS = ["everywhere.Router"]\n',
    )


def describe(database: dict[str, Any]) -> set[str]:
    """Return what `verify` says of one database, in the words of the cases."""
    said = {"inconsistent"} if database["inconsistent"] else set()
    for verified in database["migrations"]:
        if verified["outcome"] in ("faked", "missing", "unrecorded", "half-applied"):
            missing = ", ".join(describe_part(part) for part in verified["missing"])
            name = verified["id"].removeprefix("lib.")
            said.add(f"{name} {verified['outcome']}" + (f": {missing}" if missing else ""))
    said |= {f"unknown {record['id']}" for record in database["unknown"]}
    return said | {f"invalid {index['name']} of {index['table']}" for index in database["invalid_indexes"]}


def describe_part(part: dict[str, Any]) -> str:
    if part["kind"] == "table":
        return f"table {part['table']}" + (" (view)" if part["is_view"] else "")
    return f"{part['kind']} {part['name']} of {part['table']}"


@pytest.fixture
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Engine:
    name: str = request.param
    return Engine(name, tmp_path, None if name == "sqlite" else request.getfixturevalue(name))


@pytest.mark.parametrize(
    "engine",
    [
        "sqlite",
        pytest.param("postgresql", marks=[pytest.mark.postgresql, pytest.mark.soak]),
        pytest.param("mariadb", marks=[pytest.mark.mariadb, pytest.mark.soak]),
    ],
    indirect=True,
)
def test_every_doctored_database_is_described_as_it_is(engine: Engine, tmp_path: Path) -> None:
    template = engine.create("template")
    project = write_library(tmp_path / "site", engine, {"default": template})
    project.write("everywhere.py", EVERYWHERE)
    dbmigrate("all", "--skip-makemigrations", cwd=project.root).expect(0)
    cases = {name: case for name, case in CASES.items() if engine.name in case.engines}
    entries = {name: engine.copy(template, name) for name in cases}
    for name, doctored in cases.items():
        engine.run(entries[name], doctored.statements)
    write_library(project.root, engine, {"default": template, "fresh": engine.create("fresh"), **entries})

    outcome = dbmigrate("verify", "--repair", "--format", "json", cwd=project.root).expect(12)

    answers = {database["alias"]: database for database in outcome.json["result"]["databases"]}
    assert {name: describe(answers[name]) for name in cases} == {name: set(case.drift) for name, case in cases.items()}
    assert describe(answers["fresh"]) == set()
    pending = outcome.json["result"]["pending"]
    assert {name: len(pending[name]) for name in cases} == {name: case.pending for name, case in cases.items()}
    assert len(pending["fresh"]) == len(NAMES)

    repaired = run_statements(engine, entries, outcome.json["result"]["repairs"])
    again = dbmigrate("verify", "--format", "json", cwd=project.root).expect(12)

    answers = {database["alias"]: database for database in again.json["result"]["databases"]}
    assert len(repaired) >= len(cases) // 4, "too few to prove anything"
    assert {alias: describe(answers[alias]) for alias in repaired} == {alias: set() for alias in repaired}


def run_statements(engine: Engine, entries: Mapping[str, dict[str, Any]], repairs: list[dict[str, Any]]) -> set[str]:
    """Run the statements of `--repair` by hand; return the aliases that need no command beside them."""
    with_commands = {repair["alias"] for repair in repairs if repair["commands"]}
    with_statements = {repair["alias"] for repair in repairs if repair["statements"]} - with_commands
    # What stands in the way has to be moved by whoever put it there.
    with_statements -= {"view_instead_of_a_table", "table_renamed"}
    # SQLite would make the table anew, without the column that the code does not know.
    with_statements -= {
        repair["alias"] for repair in repairs if any("cannot be" in one for one in repair["statements"])
    }
    for repair in repairs:
        if repair["alias"] in with_statements:
            engine.run_together(entries[repair["alias"]], repair["statements"])
    return with_statements


@pytest.mark.soak
@pytest.mark.parametrize("name", ["all_tables_of_a_migration", "record_gone", "half_applied"])
def test_the_commands_of_repair_put_a_database_right(tmp_path: Path, name: str) -> None:
    engine = Engine("sqlite", tmp_path, None)
    entry = engine.create("default")
    project = write_library(tmp_path / "site", engine, {"default": entry})
    project.write("everywhere.py", EVERYWHERE)
    dbmigrate("all", cwd=project.root).expect(0)
    engine.run(entry, CASES[name].statements)

    outcome = dbmigrate("verify", "--repair", "--format", "json", cwd=project.root).expect(12)
    for repair in outcome.json["result"]["repairs"]:
        engine.run_together(entry, repair["statements"])
        for command in repair["commands"]:
            dbmigrate(*command.split()[1:], cwd=project.root).expect(0)

    dbmigrate("verify", cwd=project.root).expect(0)


@pytest.mark.soak
@pytest.mark.skipif(shutil.which("sqlite3") is None, reason="no sqlite3, which dbshell starts")
def test_what_repair_prints_keeps_the_rows_where_it_cannot_be_done(tmp_path: Path) -> None:
    filled = model("Item", "name = models.CharField(max_length=20)", "slug = models.CharField(max_length=20)")
    fields = '("name", models.CharField(max_length=20)), ("slug", models.CharField(max_length=20))'
    app = {"models.py": filled, "migrations/0001_initial.py": migration(create(field=fields))}
    project = write_project(tmp_path / "site", {"core": app})
    dbmigrate("all", cwd=project.root).expect(0)
    with closing(sqlite3.connect(project.database("default"), isolation_level=None)) as connection:
        connection.execute("ALTER TABLE core_item DROP COLUMN name")
        connection.execute("INSERT INTO core_item (slug) VALUES ('kept')")

    printed = dbmigrate("verify", "--repair", cwd=project.root).expect(12).stdout
    lines = printed.splitlines()
    start = next(number for number, line in enumerate(lines) if " dbshell --database default -- -bail <<" in line)
    script = "\n".join(lines[start : lines.index("SQL") + 1]).removeprefix("$ ")
    ended = subprocess.run(
        ["sh", "-c", script],
        cwd=project.root,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode != 0
    assert "NOT NULL constraint failed" in ended.stderr
    with closing(sqlite3.connect(project.database("default"))) as connection:
        assert connection.execute("SELECT slug FROM core_item").fetchall() == [("kept",)]


def test_a_record_is_not_taken_back_with_those_of_apps_whose_tables_are_there(tmp_path: Path) -> None:
    needing = {
        "models.py": model(),
        "migrations/0001_initial.py": migration(create(), after=(("core", "0001_initial"),)),
    }
    project = write_project(tmp_path / "site", {"core": simple_app(), "more": needing})
    dbmigrate("all", cwd=project.root).expect(0)
    with closing(sqlite3.connect(project.database("default"))) as connection:
        connection.execute("DROP TABLE core_item")

    checked, repaired = looks({"check": 12, "verify --repair --format json": 12}, cwd=project.root)
    repairs = repaired.json["result"]["repairs"]
    with closing(sqlite3.connect(project.database("default"))) as connection:
        for statement in repairs[0]["statements"]:
            connection.execute(statement)

    assert "--to zero --fake" not in checked.stdout
    assert (
        "to see the statements that create it:\n           dbmigrate verify --repair --database default\n"
        in checked.stdout
    )
    assert [repair["commands"] for repair in repairs] == [[]]
    dbmigrate("verify", cwd=project.root).expect(0)


def test_a_dropped_table_is_found_with_what_it_was_and_what_to_do(migrated_sample: Project) -> None:
    with closing(sqlite3.connect(migrated_sample.database("shop_db"))) as connection:
        connection.execute("DROP TABLE shop_order")
        connection.commit()

    outcome = dbmigrate("verify", cwd=migrated_sample.root).expect(12)

    assert "shop_db: shop.0002_orders: recorded, but part of it is missing; missing: table shop_order" in outcome.stdout
    assert "dbmigrate verify --repair" in outcome.stdout


def test_nothing_is_written_and_nothing_is_made(sample: Project) -> None:
    before = sample.content()

    dbmigrate("verify", cwd=sample.root).expect(10)

    assert sample.content() == before


def test_a_database_that_is_down_is_reported_and_the_others_are_looked_at(tmp_path: Path) -> None:
    engine = Engine("sqlite", tmp_path, None)
    down = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "gone" / "x.sqlite3")}
    project = write_library(tmp_path / "site", engine, {"default": engine.create("default")})
    project.write("everywhere.py", EVERYWHERE)
    dbmigrate("all", cwd=project.root).expect(0)
    write_library(project.root, engine, {"default": engine.create("default"), "down": down})

    outcome = dbmigrate("verify", cwd=project.root).expect(21)

    assert "error: database down is unreachable: the folder" in outcome.stdout
    assert "   hint: mkdir -p " in outcome.stdout
    assert "1 database checked" in outcome.stdout


@pytest.mark.soak
@pytest.mark.postgresql
def test_a_role_that_may_only_read_can_verify_and_check(
    migrated_site: Callable[[str], Site], postgresql: PostgresqlServer
) -> None:
    here = migrated_site("postgresql")
    role = f"reader_{here.entry['NAME']}"
    for statement in (
        f"CREATE ROLE {role} LOGIN",
        f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}",
        f"ALTER ROLE {role} SET default_transaction_read_only = on",
    ):
        postgresql.query(here.entry, statement)
    settings = here.project.root / "site_settings.py"
    settings.write_text(settings.read_text().replace(repr(here.entry["USER"]), repr(role)))

    dbmigrate("check", cwd=here.project.root).expect(0)
    outcome = dbmigrate("verify", cwd=here.project.root)

    assert "everything recorded exists" in outcome.expect(0).stdout


@pytest.mark.postgresql
def test_the_statement_that_builds_an_index_again_names_it_as_the_server_takes_it(
    tmp_path: Path, postgresql: PostgresqlServer
) -> None:
    entry = {**postgresql.create_database(), "OPTIONS": {"options": "-c search_path=public,other"}}
    project = write_project(tmp_path, {}, aliases={"default": entry})
    postgresql.query(entry, "CREATE SCHEMA other")
    for schema in ("public", "other"):
        postgresql.query(entry, f"CREATE TABLE {schema}.of_{schema} (number integer)")
    postgresql.query(entry, 'CREATE INDEX "Odd ""one" ON public.of_public (number)')
    postgresql.query(entry, 'CREATE INDEX "Odd ""two" ON other.of_other (number)')
    postgresql.query(entry, 'CREATE VIEW public."Odd ""two" AS SELECT 1')
    for name in ('public."Odd ""one"', 'other."Odd ""two"'):
        postgresql.query(entry, f"UPDATE pg_index SET indisvalid = false WHERE indexrelid = '{name}'::regclass")

    assert "2 invalid indexes" in dbmigrate("verify", cwd=project.root).expect(12).stdout
    broken = dbmigrate("verify", "--repair", "--format", "json", cwd=project.root).expect(12).json["result"]["repairs"]

    statements = [statement for repair in broken for statement in repair["statements"]]
    assert statements == [
        'REINDEX INDEX CONCURRENTLY other."Odd ""two";',
        'REINDEX INDEX CONCURRENTLY "Odd ""one";',
    ]
    for statement in statements:
        postgresql.query(entry, statement)
    dbmigrate("verify", cwd=project.root).expect(0)


def test_one_database_is_verified_alone(migrated_sample: Project) -> None:
    with closing(sqlite3.connect(migrated_sample.database("blog_db"))) as connection:
        connection.execute("DROP TABLE blog_post_tags")

    whole, one, two = looks(
        {"verify": 12, "verify --database shop_db": 0, "verify --database shop_db --database blog_db": 12},
        cwd=migrated_sample.root,
    )

    assert "3 databases checked" in whole.stdout
    assert one.stdout.splitlines()[-1].startswith("1 database checked: everything recorded exists")
    assert "blog_db" not in one.stdout
    assert "2 databases checked" in two.stdout


def test_what_is_on_columns_is_found_beside_an_index_on_an_expression(tmp_path: Path) -> None:
    head = "from django.db.models.functions import Lower"
    index = "models.Index(Lower('name'), 'name', name='lower_name')"
    field = "models.CharField(max_length=20, db_index=True)"
    app = {
        "models.py": model("Item", f"name = {field}", f"class Meta:\n        indexes = [{index}]").replace(
            "import models\n", f"import models\n{head}\n"
        ),
        "migrations/0001_initial.py": migration(create("Item", f"('name', {field})")),
        "migrations/0002_lower.py": migration(
            f"migrations.AddIndex('item', {index})", after=(("core", "0001_initial"),), head=head
        ),
    }
    write_project(tmp_path, {"core": app})
    dbmigrate("all", cwd=tmp_path).expect(0)

    verified = dbmigrate("verify", cwd=tmp_path).expect(0)

    assert "default   2                   0                0        none" in verified.stdout


def test_a_table_that_a_migration_only_states_is_not_said_to_be_made_by_applying_it_again(tmp_path: Path) -> None:
    stated = create()[:-1] + ", options={'db_table': 'core_item'})"
    moved = "migrations.SeparateDatabaseAndState(state_operations=[{}])"
    apps = {
        "core": {
            "models.py": "",
            "migrations/0001_initial.py": migration(create()),
            "migrations/0002_move.py": migration(
                moved.format("migrations.DeleteModel('Item')"),
                after=(("core", "0001_initial"), ("blog", "0001_initial")),
            ),
        },
        "blog": {
            "models.py": model() + "\n    class Meta:\n        db_table = 'core_item'\n",
            "migrations/0001_initial.py": migration(moved.format(stated), after=(("core", "0001_initial"),)),
        },
    }
    project = write_project(tmp_path, apps, aliases=("default", "blog_db"), rules={"blog": "blog_db"})
    dbmigrate("all", cwd=tmp_path).expect(12)

    check, verify = looks({"check": 12, "verify --repair": 12}, cwd=tmp_path)
    statement = next(line for line in verify.stdout.splitlines() if line.startswith("CREATE TABLE"))
    with closing(sqlite3.connect(project.database("blog_db"))) as connection, connection:
        connection.execute(statement)

    assert "dbmigrate verify --repair --database blog_db" in check.stdout
    assert "--fake" not in check.stdout.replace("(--fake,", "") + verify.stdout
    dbmigrate("all", cwd=tmp_path).expect(0)
    dbmigrate("verify", cwd=tmp_path).expect(0)
