"""`dbmigrate reset`: what it takes away, and everything that keeps it from doing so."""

from __future__ import annotations

import fcntl
import json
import sqlite3
import subprocess
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

import pytest
from support.background import start, until
from support.cli import clean_environment, dbmigrate
from support.combinations import combinations
from support.environments import EVERY_DJANGO, environment
from support.mariadb import DRIVER, MariadbServer
from support.postgresql import PostgresqlServer
from support.projects import Project, applied, create, migration, model, simple_app, write_project
from support.sites import ENGINES, Site
from support.terminal import CONTROL_C, Terminal

from dbmigrate.inside.servers.emptying import mysql_host

NAME = "site_settings"


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a migrated development project with two databases and an app with two migrations."""
    blog = simple_app(**{"migrations/0002_more.py": migration(after=(("blog", "0001_initial"),))})
    project = write_project(
        tmp_path_factory.mktemp("migrated") / "site",
        {"core": simple_app(), "blog": blog},
        aliases=("default", "blog_db"),
        rules={"blog": "blog_db"},
        settings="DEBUG = True",
    )
    dbmigrate("all", cwd=project.root).expect(0)
    return project


@pytest.fixture
def project(migrated: Project, tmp_path: Path) -> Project:
    """Return a copy of it."""
    return migrated.copy_to(tmp_path / "site")


def git(project: Project, *words: str) -> None:
    """Run git as somebody with a name."""
    who = ("-c", "user.name=A", "-c", "user.email=a@example.com")
    subprocess.run(["git", *who, *words], cwd=project.root, env=clean_environment(), check=True)


def refused(project: Project, *arguments: str, code: int = 4, environment: Mapping[str, str] | None = None) -> str:
    """Run and expect a refusal that changes nothing; return what it says."""
    before = project.content()
    outcome = dbmigrate("reset", *arguments, cwd=project.root, environment=environment).expect(code)
    assert project.content() == before
    assert "nothing was changed" in outcome.stderr
    return outcome.stderr


def test_migrations_are_made_anew_and_the_old_files_are_kept(project: Project) -> None:
    outcome = dbmigrate("reset", "--confirm", NAME, cwd=project.root).expect(0)

    assert "  blog/migrations/0002_more.py" in outcome.stderr
    assert applied(project.database("blog_db")) == ["blog.0001_initial"]
    assert "core_item" in project.tables()["default"]
    kept = sorted(str(path.relative_to(project.root)) for path in project.root.glob(".dbmigrate-reset/*/*/*/*"))
    assert [path.split("/", 2)[2] for path in kept] == [
        "blog/migrations/0001_initial.py",
        "blog/migrations/0002_more.py",
        "core/migrations/0001_initial.py",
    ]
    assert "Nothing pending" in dbmigrate("all", cwd=project.root).expect(0).stdout


def test_the_phase_of_a_migration_that_it_would_replace_stops_it_before_anything_goes(project: Project) -> None:
    project.write("pyproject.toml", '[tool.dbmigrate.phases]\n"blog.0002_more" = "pre"\n')

    said = refused(project, "--confirm", NAME)

    assert 'phases names "blog.0002_more", which matches no migration' in said
    assert "hint: remove it, or correct it: " in said


@pytest.mark.soak
def test_what_goes_is_counted_and_what_is_not_made_again_is_named(project: Project) -> None:
    fill = """
    def fill(apps, schema_editor):
        apps.get_model("blog", "Item").objects.using(schema_editor.connection.alias).bulk_create(
            [apps.get_model("blog", "Item")(name=name) for name in "abc"]
        )
    """
    project.write(
        "blog/migrations/0003_fill.py",
        migration("migrations.RunPython(fill)", "migrations.RunSQL('')", after=(("blog", "0002_more"),), head=fill),
    )
    dbmigrate("all", cwd=project.root).expect(0)

    said = refused(project).splitlines()

    assert said[0] == "Databases that will be emptied: default (1 table, 0 rows), blog_db (1 table, 3 rows)"
    assert "  blog/migrations/0002_more.py" in said
    assert "  blog/migrations/0003_fill.py (RunPython, RunSQL)" in said
    assert (
        "makemigrations does not write RunPython or RunSQL: what they did is lost unless you copy them back"
    ) in said


@pytest.mark.soak
def test_what_goes_is_told_in_every_format(project: Project) -> None:
    as_json = dbmigrate("reset", "--format", "json", cwd=project.root).expect(4)
    as_lines = dbmigrate("reset", "--format", "jsonl", cwd=project.root).expect(4)
    on_github = dbmigrate("reset", "--format", "github", cwd=project.root).expect(4)

    listed = as_json.json["reset"]
    assert {database["alias"]: database["tables"] for database in listed["databases"]} == {
        "default": {"core_item": 0},
        "blog_db": {"blog_item": 0},
    }
    assert "blog/migrations/0002_more.py" in [file["path"] for file in listed["files"]]
    lines = [json.loads(line) for line in as_lines.stdout.splitlines()]
    assert [line["reset"]["databases"] for line in lines if line["type"] == "reset-listed"] == [listed["databases"]]
    assert "Databases that will be emptied: default (1 table, 0 rows), blog_db (1 table, 0 rows)\n" in on_github.stdout
    assert as_json.stderr + as_lines.stderr + on_github.stderr == ""


@pytest.mark.soak
def test_one_database_alone(project: Project) -> None:
    before = applied(project.database("default"))

    dbmigrate("reset", "--database", "blog_db", "--confirm", NAME, cwd=project.root).expect(0)

    assert applied(project.database("blog_db")) == ["blog.0001_initial"]
    assert set(before) <= set(applied(project.database("default")))
    assert (project.root / "core/migrations/0001_initial.py").exists()


@pytest.mark.soak
def test_the_name_is_typed_at_a_terminal(project: Project) -> None:
    terminal = Terminal(project, "reset")

    terminal.wait_for(f"Type {NAME} to continue")
    terminal.press(NAME + "\r")

    assert terminal.wait_for_end() == 0
    assert applied(project.database("blog_db")) == ["blog.0001_initial"]


@pytest.mark.soak
def test_another_name_at_a_terminal(project: Project) -> None:
    terminal = Terminal(project, "reset")

    terminal.wait_for(f"Type {NAME} to continue")
    terminal.press("yes\r")

    assert "not 'yes' (nothing was changed)" in "".join(terminal.wait_for("error:"))
    assert terminal.wait_for_end() == 4
    assert len(applied(project.database("blog_db"))) == 2


@pytest.mark.soak
def test_an_interrupt_at_the_question(project: Project) -> None:
    before = project.content()
    terminal = Terminal(project, "reset")

    terminal.wait_for(f"Type {NAME} to continue")
    terminal.press(CONTROL_C)

    assert terminal.wait_for_end() == 130
    assert project.content() == before


def test_without_a_confirmation(project: Project) -> None:
    assert f"hint: --confirm {NAME}" in refused(project)


def test_with_another_name(project: Project) -> None:
    told = f"the project's name is {NAME}, not 'other' (nothing was changed)\nhint: --confirm {NAME}\n"

    assert told in refused(project, "--confirm", "other")


def test_with_debug_off(project: Project) -> None:
    project.append("site_settings.py", "DEBUG = False")

    assert "DEBUG is off" in refused(project, "--confirm", NAME)


def test_with_migration_files_that_are_not_committed(project: Project) -> None:
    git(project, "init", "-q")
    git(project, "add", "-A")

    assert "3 of the migration files are not committed" in refused(project, "--confirm", NAME)


def test_with_a_migration_file_that_git_is_told_not_to_show(project: Project) -> None:
    git(project, "init", "-q")
    git(project, "config", "status.showUntrackedFiles", "no")
    git(project, "add", "-A")
    git(project, "commit", "-qm", "all")
    project.write("blog/migrations/0003_new.py", migration(after=(("blog", "0002_more"),)))

    said = refused(project, "--confirm", NAME)

    assert "1 of the migration files are not committed, for example blog/migrations/0003_new.py" in said
    assert "hint: commit or remove them first:\n        git add blog/migrations/0003_new.py && git commit" in said


def test_in_a_repository_that_git_cannot_read(project: Project) -> None:
    project.write(".git/HEAD", "nonsense")

    assert "git does not report whether the migration files are committed: fatal: " in refused(
        project, "--confirm", NAME
    )


def test_in_a_repository_without_git(project: Project, tmp_path: Path) -> None:
    git(project, "init", "-q")

    said = refused(project, "--confirm", NAME, environment={"PATH": str(tmp_path)})

    assert "git does not report whether the migration files are committed: No such file or directory" in said


@pytest.mark.soak
def test_committed_files_are_taken_away(project: Project) -> None:
    git(project, "init", "-q")
    git(project, "add", "-A")
    git(project, "commit", "-qm", "all")

    dbmigrate("reset", "--confirm", NAME, cwd=project.root).expect(0)

    assert applied(project.database("blog_db")) == ["blog.0001_initial"]


def test_with_an_app_that_lives_elsewhere_too(tmp_path: Path) -> None:
    project = write_project(
        tmp_path,
        {"core": simple_app()},
        aliases=("default", "copy"),
        settings="DEBUG = True\nDATABASE_ROUTERS = ['r.R']",
    )
    project.write("r.py", "class R:\n    def allow_migrate(self, db, app_label, **hints):\n        return True\n")
    dbmigrate("all", cwd=project.root).expect(0)

    outcome = dbmigrate("reset", "--database", "copy", "--confirm", NAME, cwd=project.root).expect(2)

    assert "app core is also on default" in outcome.stderr


def test_a_database_that_the_run_afterwards_leaves_alone(project: Project) -> None:
    project.append(
        "site_settings.py", 'DATABASES["archive"] = {**DATABASES["default"], "NAME": BASE / "archive.sqlite3"}'
    )
    project.append("site_settings.py", 'DATABASES["old"] = {**DATABASES["default"], "NAME": "/nowhere/old.sqlite3"}')
    project.append("site_settings.py", "DATABASE_ROUTERS = []")
    with closing(sqlite3.connect(project.database("archive"))) as connection:
        connection.execute("CREATE TABLE letters (text)")
    before = project.content()

    archive = dbmigrate("reset", "--database", "archive", "--confirm", NAME, cwd=project.root).expect(2)
    old = dbmigrate("reset", "--database", "old", "--confirm", NAME, cwd=project.root).expect(2)

    assert archive.stderr.splitlines()[0] == "error: no app is routed to database archive, so it is not migrated"
    assert old.stderr.splitlines()[0] == "error: no app is routed to database old, so it is not migrated"
    assert project.content() == before


def test_a_database_that_only_its_tables_speak_for(project: Project) -> None:
    project.write(
        "routers.py",
        """
        class Router:
            def allow_migrate(self, db, app_label, **hints):
                return db == "default" if app_label == "core" else None
        """,
    )

    said = refused(project, "--confirm", NAME)

    assert "tables of blog on database blog_db would not be recreated: no router claims them there" in said


def test_models_that_could_not_be_migrated_again(project: Project) -> None:
    key = "class Note(models.Model):\n    item = models.ForeignKey('core.Item', models.CASCADE{})\n"
    project.append("blog/models.py", key.format(", db_constraint=False"))
    dbmigrate("all", cwd=project.root).expect(0)
    project.write("pyproject.toml", '[tool.dbmigrate]\nignore = ["DBM201"]\n')
    models = project.root / "blog" / "models.py"
    models.write_text(models.read_text().replace(", db_constraint=False", ""))

    said = refused(project, "--confirm", NAME, code=13)

    assert "DBM201: blog.note.item on blog_db is a foreign key to core.item, which is on default" in said


def test_migrations_that_cannot_be_made_again(project: Project) -> None:
    project.write(
        "core/management/commands/makemigrations.py",
        """
        from django.core.management.base import CommandError
        from django.core.management.commands import makemigrations

        class Command(makemigrations.Command):
            def handle(self, *labels, **options):
                raise CommandError("not today")
        """,
    )

    said = refused(project, "--confirm", NAME)

    assert "a trial on scratch databases could not recreate and apply the migrations: " in said
    assert "makemigrations failed (exit 1 after" in said
    assert "not today" in said


HELD = """
from django.apps import AppConfig
from django.db import connections
from django.db.models.signals import post_migrate
import pathlib, time

def hold(using="default", **more):
    is_trial = "test_dbmigrate_" in str(connections[using].settings_dict["NAME"])
    if pathlib.Path({folder!r}, "hold").exists() and not is_trial:
        pathlib.Path({folder!r}, "ready").touch()
        deadline = time.monotonic() + 60
        while not pathlib.Path({folder!r}, "go").exists() and time.monotonic() < deadline:
            time.sleep(0.02)

class Config(AppConfig):
    name = "core"

    def ready(self):
        post_migrate.connect(hold, sender=self)
"""
"""An app whose post_migrate writes the file `ready` and waits for the file `go`, once there is a file `hold`.

Not in the trial of `reset`, which is over before it waits for anybody."""


@pytest.mark.soak
@pytest.mark.parametrize("engine", combinations(ENGINES, quick=[("sqlite",)]))
def test_one_of_a_reset_and_another_run_waits_for_the_other(
    engine: str, site: Callable[..., Site], tmp_path: Path
) -> None:
    here = site(engine)
    project = here.project
    project.append("site_settings.py", "DEBUG = True")
    project.write("core/apps.py", HELD.format(folder=str(tmp_path)))
    dbmigrate("all", cwd=project.root).expect(0)
    (tmp_path / "hold").touch()

    with start(project, "all", "--launcher", "spawn") as other:
        until(lambda: (tmp_path / "ready").exists() or other.poll() is not None, "in the migration")
        before = project.content()
        refused = dbmigrate("reset", "--confirm", NAME, "--lock-wait", "0.5", cwd=project.root).expect(20)
        assert project.content() == before
        assert "is being migrated by dbmigrate" in refused.stderr
        assert "longer than --lock-wait 0.5 (nothing was changed)" in refused.stderr
        (tmp_path / "go").touch()
        assert other.wait(timeout=60) == 0, other.communicate()[0]

    (tmp_path / "ready").unlink()
    (tmp_path / "go").unlink()
    with start(project, "reset", "--confirm", NAME) as reset:
        until(lambda: (tmp_path / "ready").exists() or reset.poll() is not None, "in the migration")
        assert (
            "longer than --lock-wait 0.5" in dbmigrate("all", "--lock-wait", "0.5", cwd=project.root).expect(20).stderr
        )
        (tmp_path / "go").touch()
        assert reset.wait(timeout=60) == 0, reset.communicate()[0]


@pytest.mark.soak
def test_a_reset_that_asks_for_no_lock_waits_for_nobody(project: Project) -> None:
    lock = project.root / "blog.sqlite3.dbmigrate-lock"
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)

        assert "(nothing was changed)" in refused(project, "--confirm", NAME, "--lock-wait", "0", code=20)
        dbmigrate("reset", "--confirm", NAME, "--no-lock", cwd=project.root).expect(0)

    assert applied(project.database("blog_db")) == ["blog.0001_initial"]


@pytest.mark.soak
def test_what_another_run_did_while_the_list_was_read_is_not_taken_away(project: Project) -> None:
    terminal = Terminal(project, "reset")
    terminal.wait_for(f"Type {NAME} to continue")
    project.write("blog/migrations/0003_new.py", migration(after=(("blog", "0002_more"),)))
    before = project.content()

    terminal.press(NAME + "\r")

    assert terminal.wait_for_end() == 4
    assert "the migration files or databases to reset have changed" in " ".join("".join(terminal.scrollback()).split())
    assert project.content() == before


@pytest.mark.soak
def test_a_database_that_came_while_the_list_was_read_is_not_emptied(tmp_path: Path) -> None:
    project = write_project(
        tmp_path,
        {"core": simple_app(), "blog": simple_app()},
        aliases=("default", "archive"),
        settings="DEBUG = True\nDATABASE_ROUTERS = ['routers.Router']",
    )
    project.write(
        "routers.py",
        """
        class Router:
            def allow_migrate(self, db, app_label, **hints):
                return db == "default" if app_label == "blog" else None
        """,
    )
    dbmigrate("all", cwd=project.root).expect(0)
    terminal = Terminal(project, "reset")
    terminal.wait_for(f"Type {NAME} to continue")
    # Where nobody has an opinion, an app belongs where its table and the record of it are.
    with closing(sqlite3.connect(project.database("archive"))) as connection, connection:
        connection.execute("CREATE TABLE core_item (id integer PRIMARY KEY, name text)")
        connection.execute("CREATE TABLE django_migrations (id integer PRIMARY KEY, app text, name text, applied text)")
        connection.execute("INSERT INTO django_migrations VALUES (1, 'core', '0001_initial', '2026-01-01 00:00:00')")
    before = project.content()

    terminal.press(NAME + "\r")

    assert terminal.wait_for_end() == 4
    assert project.content() == before


@pytest.mark.soak
def test_rows_that_came_while_the_list_was_read_go_with_the_others(project: Project) -> None:
    terminal = Terminal(project, "reset")
    terminal.wait_for(f"Type {NAME} to continue")
    with closing(sqlite3.connect(project.database("blog_db"))) as connection, connection:
        connection.execute("INSERT INTO blog_item (name) VALUES ('late')")

    terminal.press(NAME + "\r")

    assert terminal.wait_for_end() == 0
    with closing(sqlite3.connect(project.database("blog_db"))) as connection:
        assert connection.execute("SELECT count(*) FROM blog_item").fetchone() == (0,)


@pytest.mark.soak
@pytest.mark.postgresql
def test_a_run_in_the_middle_of_a_migration_is_waited_for_as_long_as_asked(
    migrated_site: Callable[..., Site], tmp_path: Path
) -> None:
    here = migrated_site("postgresql")
    here.project.append("site_settings.py", "DEBUG = True")
    hold = HELD.split("class Config")[0].replace("from django.apps import AppConfig", "").format(folder=str(tmp_path))
    wide = "migrations.AlterField('Item', 'name', models.CharField(max_length=200, null=True))"
    run = "migrations.RunPython(lambda apps, schema_editor: hold())"
    here.project.write(
        "core/migrations/0002_wide.py", migration(wide, run, after=(("core", "0001_initial"),), head=hold)
    )
    (tmp_path / "hold").touch()

    with start(here.project, "all", "--skip-makemigrations", "--launcher", "spawn") as other:
        until(lambda: (tmp_path / "ready").exists() or other.poll() is not None, "in the migration")
        said = refused(here.project, "--confirm", NAME, "--lock-wait", "0.5", code=20)
        (tmp_path / "go").touch()
        assert other.wait(timeout=60) == 0, other.communicate()[0]

    # The migration keeps its table to itself, and what cannot be counted is not waited for.
    assert "emptied: default (2 tables, rows not counted)" in said
    assert "longer than --lock-wait 0.5 (nothing was changed)" in said


@pytest.mark.soak
@pytest.mark.mariadb
def test_rows_that_another_session_locks_are_not_counted(
    migrated_site: Callable[..., Site], mariadb: MariadbServer
) -> None:
    here = migrated_site("mariadb")
    here.project.append("site_settings.py", "DEBUG = True")

    with mariadb.session(here.entry) as session:
        session.execute("LOCK TABLES core_item WRITE, django_migrations READ")
        said = refused(here.project)

    assert "emptied: default (2 tables, rows not counted)" in said


@pytest.mark.soak
def test_rows_that_cannot_be_read_are_not_counted(project: Project) -> None:
    with closing(sqlite3.connect(project.database("blog_db"))) as connection, connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(
            "INSERT INTO sqlite_master VALUES ('table', 'place', 'place', 0, 'CREATE VIRTUAL TABLE place USING gone')"
        )

    said = refused(project)
    dbmigrate("reset", "--confirm", NAME, cwd=project.root).expect(0)

    assert "emptied: default (1 table, 0 rows), blog_db (1 table, 0 rows)" in said
    assert "  blog_db: place (rows not counted)" in said


@pytest.mark.soak
@pytest.mark.postgresql
def test_a_database_that_cannot_be_emptied(tmp_path: Path, postgresql: PostgresqlServer) -> None:
    entry = postgresql.create_database()
    project = write_project(
        tmp_path,
        {"core": simple_app(), "blog": simple_app(), "shop": simple_app()},
        aliases={"default": {}, "blog_db": entry, "shop_db": {}},
        rules={"blog": "blog_db", "shop": "shop_db"},
        settings="DEBUG = True",
    )
    dbmigrate("all", cwd=project.root).expect(0)
    postgresql.query(
        entry,
        "CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'nothing is dropped here'; END $$",
    )
    postgresql.query(entry, "CREATE EVENT TRIGGER keep ON sql_drop EXECUTE FUNCTION refuse()")

    said = refused(project, "--confirm", NAME, code=30)

    assert "error: database blog_db could not be emptied: " in said
    assert "nothing is dropped here" in said
    assert postgresql.tables(entry) == {"django_migrations", "blog_item"}

    postgresql.query(entry, "DROP EVENT TRIGGER keep")
    dbmigrate("reset", "--confirm", NAME, cwd=project.root).expect(0)

    assert project.tables() == {
        "default": {"django_migrations", "core_item"},
        "shop": {"django_migrations", "shop_item"},
    }
    assert postgresql.tables(entry) == {"django_migrations", "blog_item"}


@pytest.mark.soak
@pytest.mark.mariadb
def test_a_database_that_cannot_be_emptied_after_another_was(tmp_path: Path, mariadb: MariadbServer) -> None:
    entry = mariadb.create_database()
    project = write_project(
        tmp_path,
        {"core": simple_app(), "blog": simple_app()},
        aliases={"default": {}, "blog_db": entry},
        rules={"blog": "blog_db"},
        settings=f"DEBUG = True\n{DRIVER}",
    )
    dbmigrate("all", cwd=project.root).expect(0)
    before = (project.root / "blog/migrations/0001_initial.py").read_text()

    with mariadb.session(entry) as session:
        session.execute("LOCK TABLES blog_item WRITE, django_migrations READ")
        failed = dbmigrate("reset", "--confirm", NAME, cwd=project.root).expect(31)

    message, hint = failed.stderr.splitlines()[-3:-1]
    assert message.startswith("error: database blog_db could not be emptied: ")
    assert message.endswith("; emptied before: default; the migration files are unchanged")
    assert hint == "hint: fix the cause, then rerun the command: dbmigrate reset"
    assert (project.root / "blog/migrations/0001_initial.py").read_text() == before
    assert not [*project.root.glob(".dbmigrate-reset/*")]

    dbmigrate("reset", "--confirm", NAME, cwd=project.root).expect(0)
    assert project.tables() == {"default": {"django_migrations", "core_item"}}


UNMANAGED = """
class Order(models.Model):
    name = models.CharField(max_length=20)

    class Meta:
        managed = False
        db_table = "erp_order"
"""

ENGINE_OF_TEST = combinations(ENGINES, quick=[("sqlite",), ("postgresql",), ("mariadb",)])


@pytest.mark.soak
@pytest.mark.parametrize("engine", ENGINE_OF_TEST)
def test_tables_that_no_migration_makes_are_named_and_kept(engine: str, site: Callable[..., Site]) -> None:
    here = site(engine, simple_app(**{"models.py": model() + UNMANAGED}))
    here.project.append("site_settings.py", "DEBUG = True")
    dbmigrate("all", cwd=here.project.root).expect(0)
    for table in ("erp_order", "of_another_tool"):
        here.query(f"CREATE TABLE {table} (id int PRIMARY KEY, name varchar(20))")
        here.query(f"INSERT INTO {table} VALUES (1, 'a'), (2, 'b')")
    here.query("CREATE VIEW report AS SELECT * FROM of_another_tool")
    here.query("INSERT INTO core_item (name) VALUES ('x')")

    reset = dbmigrate("reset", "--confirm", NAME, cwd=here.project.root).expect(0)

    said = reset.stderr.splitlines()
    assert said[:4] == [
        "Databases that will be emptied: default (2 tables, 1 row)",
        "Tables that will be dropped and recreated:",
        "  default: core_item (1 row), more_item (0 rows)",
        "Kept, because no migration creates them:",
    ]
    assert said[4] == "  default: erp_order (2 rows), of_another_tool (2 rows), report (view)"
    assert here.query("SELECT count(*) FROM erp_order") == here.query("SELECT count(*) FROM report")
    assert [*here.query("SELECT count(*) FROM of_another_tool")] == [(2,)]
    assert [*here.query("SELECT count(*) FROM core_item")] == [(0,)]
    assert here.recorded() == {"core.0001_initial": 1, "more.0001_initial": 1}
    assert "Nothing pending" in dbmigrate("all", cwd=here.project.root).expect(0).stdout


@pytest.mark.soak
@pytest.mark.parametrize(
    ("engine", "launcher"),
    combinations(ENGINES, ["fork", "spawn"], quick=[("sqlite", "spawn"), ("postgresql", "fork")]),
)
def test_a_project_with_a_user_of_its_own(engine: str, launcher: str, site: Callable[..., Site]) -> None:
    user = "from django.contrib.auth.models import AbstractUser\n\nclass User(AbstractUser):\n    pass\n"
    here = site(engine, {"models.py": user, "migrations/__init__.py": ""})
    contrib = [f"django.contrib.{name}" for name in ("admin", "auth", "contenttypes", "messages", "sessions")]
    checks = [f"admin.{name}" for name in ("E403", "E408", "E409", "E410")]
    here.project.append(
        "site_settings.py",
        f"DEBUG = True\nAUTH_USER_MODEL = 'core.User'\nSILENCED_SYSTEM_CHECKS = {checks}\n"
        f"INSTALLED_APPS = {contrib} + INSTALLED_APPS\n",
    )
    dbmigrate("all", cwd=here.project.root).expect(0)
    here.query("CREATE TABLE of_another_tool (id int PRIMARY KEY)")

    dbmigrate("reset", "--confirm", NAME, "--launcher", launcher, cwd=here.project.root).expect(0)

    assert here.recorded()["core.0001_initial"] == 1
    assert here.recorded()["admin.0001_initial"] == 1
    assert [*here.query("SELECT count(*) FROM core_user")] == [(0,)]
    assert [*here.query("SELECT count(*) FROM of_another_tool")] == [(0,)]


@pytest.mark.soak
@pytest.mark.parametrize("engine", ENGINE_OF_TEST)
def test_a_table_that_stays_and_points_to_one_that_would_go(engine: str, migrated_site: Callable[..., Site]) -> None:
    here = migrated_site(engine)
    here.project.append("site_settings.py", "DEBUG = True")
    here.query(
        "CREATE TABLE note (id int PRIMARY KEY, item_id bigint, FOREIGN KEY (item_id) REFERENCES core_item (id))"
    )

    said = refused(here.project, "--confirm", NAME)

    assert "a foreign key of note points to core_item (nothing was changed)" in said
    assert "hint: drop that foreign key by hand, and recreate it afterwards: " in said
    assert "/manage.py dbshell" in said
    assert here.recorded() == {"core.0001_initial": 1, "more.0001_initial": 1}


@pytest.mark.soak
@pytest.mark.parametrize("engine", combinations(ENGINES[:2], quick=[("sqlite",), ("postgresql",)]))
def test_a_view_that_stays_and_reads_a_table_that_would_go(engine: str, migrated_site: Callable[..., Site]) -> None:
    here = migrated_site(engine)
    here.project.append("site_settings.py", "DEBUG = True")
    here.query("CREATE VIEW names AS SELECT name FROM core_item")

    said = refused(here.project, "--confirm", NAME)

    assert "view names reads core_item (nothing was changed)" in said
    assert "hint: drop view names by hand" in said


@pytest.mark.soak
@pytest.mark.mariadb
def test_a_view_of_mariadb_stays(migrated_site: Callable[..., Site]) -> None:
    here = migrated_site("mariadb")
    here.project.append("site_settings.py", "DEBUG = True")
    here.query("CREATE VIEW names AS SELECT name FROM core_item")

    dbmigrate("reset", "--confirm", NAME, cwd=here.project.root).expect(0)

    assert [*here.query("SELECT * FROM names")] == []


@pytest.mark.soak
def test_a_trigger_that_would_break(project: Project) -> None:
    with closing(sqlite3.connect(project.database("blog_db"))) as connection, connection:
        connection.execute("CREATE TABLE log (text)")
        connection.execute(
            "CREATE TRIGGER note AFTER INSERT ON log BEGIN INSERT INTO blog_item (name) VALUES ('x'); END"
        )
        connection.execute("CREATE TRIGGER gone AFTER INSERT ON blog_item BEGIN INSERT INTO log VALUES ('x'); END")

    said = refused(project, "--confirm", NAME)

    assert "trigger note reads blog_item (nothing was changed)" in said

    with closing(sqlite3.connect(project.database("blog_db"))) as connection, connection:
        connection.execute("DROP TRIGGER note")
    reset = dbmigrate("reset", "--confirm", NAME, cwd=project.root).expect(0)

    assert "not recreated by any migration:\n  blog_db: trigger gone on blog_item\n" in reset.stderr


def test_a_table_of_the_name_that_a_migration_never_made(project: Project) -> None:
    with closing(sqlite3.connect(project.database("blog_db"))) as connection, connection:
        connection.execute("DELETE FROM django_migrations WHERE app = 'blog'")

    said = refused(project, "--confirm", NAME)

    assert "table blog_item exists on database blog_db, but no migration of blog is recorded there" in said
    assert "--fake" not in said
    assert "dbmigrate verify --repair --database blog_db" in said


BROKEN = """
def fill(apps, schema_editor):
    raise RuntimeError("no such colour")
"""


@pytest.mark.soak
@pytest.mark.parametrize(
    ("engine", "launcher"),
    combinations(ENGINES, ["fork", "spawn"], quick=[("sqlite", "fork"), ("postgresql", "spawn")]),
)
def test_migrations_that_cannot_be_applied_anew(engine: str, launcher: str, migrated_site: Callable[..., Site]) -> None:
    here = migrated_site(engine)
    here.project.append("site_settings.py", "DEBUG = True\nimport sys\n")
    package = "lib/site-packages/vendor"
    here.project.append(
        "site_settings.py", "sys.path.insert(0, str(BASE / 'lib/site-packages'))\nINSTALLED_APPS += ['vendor']\n"
    )
    here.project.write(f"{package}/__init__.py", "")
    here.project.write(f"{package}/migrations/__init__.py", "")
    here.project.write(f"{package}/models.py", model())
    here.project.write(f"{package}/migrations/0001_initial.py", migration(create()))
    dbmigrate("all", cwd=here.project.root).expect(0)
    here.project.write(
        f"{package}/migrations/0001_initial.py", migration(create(), "migrations.RunPython(fill)", head=BROKEN)
    )
    databases = "SELECT datname FROM pg_database" if engine == "postgresql" else "SHOW DATABASES"

    said = refused(here.project, "--confirm", NAME, "--launcher", launcher)

    assert "a trial on scratch databases could not apply the new migrations: default: " in said
    assert "vendor.0001_initial failed: RuntimeError: no such colour (nothing was changed)" in said
    if engine != "sqlite":
        scratch = f"test_dbmigrate_{here.entry['NAME']}_"
        assert not [name for (name,) in here.query(databases) if str(name).startswith(scratch)]


def test_models_that_need_a_migration_file(project: Project) -> None:
    project.append("blog/models.py", "from blog.migrations import spare\n")
    project.write("blog/migrations/spare.py", migration())

    said = refused(project, "--confirm", NAME)

    assert "cannot import name 'spare' from 'blog.migrations'" in said


WRITES = """
import pathlib
from django.apps import AppConfig
from django.db.models.signals import post_migrate

def write(**more):
    here = pathlib.Path(__file__).parent
    (here / "new").mkdir(exist_ok=True)
    (here / "new" / "schema.sql").write_text("new")
    (here / "schema.sql").write_text("changed")
    with (here / "log.txt").open("a") as log:
        log.write("one more")
    (here / "gone.txt").unlink(missing_ok=True)
    (here / "same.txt").write_text("same")
    raise RuntimeError("after all that")

class Config(AppConfig):
    name = "core"

    def ready(self):
        post_migrate.connect(write, sender=self)
"""


@pytest.mark.soak
@pytest.mark.parametrize("launcher", combinations(["fork", "spawn"], quick=[("spawn",)]))
def test_of_what_the_project_writes_in_the_trial_only_changed_files_stay(launcher: str, project: Project) -> None:
    project.write("core/apps.py", WRITES)
    for name in ("schema.sql", "log.txt", "gone.txt", "same.txt"):
        project.write(f"core/{name}", name.partition(".")[0])
    before = project.content()

    failed = dbmigrate("reset", "--confirm", NAME, "--launcher", launcher, cwd=project.root).expect(4)

    assert "after all that; no database was changed; files that changed during the trial, because of it or not: " in (
        failed.stderr
    )
    assert ": core/log.txt, core/schema.sql\n" in failed.stderr
    after = project.content()
    changed = [path for path in {**before, **after} if before.get(path) != after.get(path)]
    assert sorted(changed) == ["core/log.txt", "core/schema.sql"]


COUNTS = """
import pathlib, sqlite3, subprocess, sys
from django.apps import AppConfig
from django.db import connections
from django.db.models.signals import post_migrate

INSERT = "import sqlite3; c = sqlite3.connect('visits.sqlite3'); c.execute('INSERT INTO visit VALUES (1)'); c.commit()"

def count(using="default", **more):
    if "test_dbmigrate_" in str(connections[using].settings_dict["NAME"]):
        connection = sqlite3.connect("visits.sqlite3")
        connection.execute("SELECT count(*) FROM visit").fetchone()
        connection.close()
        subprocess.run([sys.executable, "-c", INSERT], check=True)

class Config(AppConfig):
    name = "core"

    def ready(self):
        post_migrate.connect(count, sender=self)
"""


@pytest.mark.soak
def test_what_another_process_writes_during_the_trial_stays(project: Project) -> None:
    project.write("core/apps.py", COUNTS)
    with closing(sqlite3.connect(project.root / "visits.sqlite3")) as connection:
        connection.execute("CREATE TABLE visit (id)")

    reset = dbmigrate("reset", "--confirm", NAME, cwd=project.root).expect(0)

    with closing(sqlite3.connect(project.root / "visits.sqlite3")) as connection:
        assert connection.execute("SELECT count(*) FROM visit").fetchone() == (2,)  # one for each database
    said = "warning: files that changed during the trial, because of it or not: visits.sqlite3"
    assert said in reset.stderr.splitlines()


FAILS = """
import pathlib
from django.apps import AppConfig
from django.db import connections
from django.db.models.signals import post_migrate

def send(using="default", **more):
    is_trial = "test_dbmigrate_" in str(connections[using].settings_dict["NAME"])
    if pathlib.Path("no-mail").exists() and not is_trial:
        raise RuntimeError("no mail server")

class Config(AppConfig):
    name = "core"

    def ready(self):
        post_migrate.connect(send, sender=self)
"""


@pytest.mark.soak
def test_a_run_afterwards_that_fails_says_what_is_there_and_what_to_type(project: Project) -> None:
    project.write("core/apps.py", FAILS)
    project.write("no-mail", "")

    failed = dbmigrate("reset", "--confirm", NAME, cwd=project.root).expect(31)

    error, hint = failed.stderr.splitlines()[-3:-1]
    assert "; emptied: default, blog_db; the new migrations are in place, and 3 old migration files are in " in error
    assert error.startswith("error: the run after the reset did not finish")
    assert hint == "hint: fix the cause, then continue with: dbmigrate all"
    (project.root / "no-mail").unlink()
    dbmigrate("all", cwd=project.root).expect(0)
    assert applied(project.database("blog_db")) == ["blog.0001_initial"]


@pytest.mark.soak
def test_a_run_afterwards_that_fails_is_the_same_in_json(project: Project) -> None:
    project.write("core/apps.py", FAILS)
    project.write("no-mail", "")

    failed = dbmigrate("reset", "--confirm", NAME, "--format", "json", cwd=project.root).expect(31)

    assert failed.json["exit"] == {"code": 31, "name": "partial"}
    assert "; emptied: default, blog_db; " in failed.json["error"]["message"]
    assert failed.json["error"]["hint"] == "fix the cause, then continue with: dbmigrate all"
    assert failed.json["result"]["type"] == "run"


@pytest.mark.soak
def test_an_app_whose_migration_files_are_gone_gets_new_ones(project: Project) -> None:
    (project.root / "core/migrations/0001_initial.py").unlink()

    dbmigrate("reset", "--confirm", NAME, cwd=project.root).expect(0)

    assert "core_item" in project.tables()["default"]
    assert (project.root / "core/migrations/0001_initial.py").exists()
    assert "Nothing pending" in dbmigrate("all", cwd=project.root).expect(0).stdout


@pytest.mark.soak
def test_a_new_app_that_the_others_point_to_gets_its_first_migration(project: Project) -> None:
    for path, text in {"__init__.py": "", "models.py": model("Maker"), "migrations/__init__.py": ""}.items():
        project.write(f"maker/{path}", text)
    project.append("site_settings.py", "INSTALLED_APPS += ['maker']")
    project.append(
        "core/models.py", "class Made(models.Model):\n    maker = models.ForeignKey('maker.Maker', models.CASCADE)\n"
    )

    dbmigrate("reset", "--confirm", NAME, cwd=project.root).expect(0)

    assert project.tables()["default"] >= {"core_item", "core_made", "maker_maker"}
    assert (project.root / "maker/migrations/0001_initial.py").exists()
    assert "Nothing pending" in dbmigrate("all", cwd=project.root).expect(0).stdout


@pytest.mark.soak
def test_an_app_that_stays_is_imported_from_where_it_is(project: Project) -> None:
    reads = """
    from pathlib import Path

    text = (Path(__file__).parent.parent / "names.txt").read_text()
    """
    project.write("core/names.txt", "a")
    project.write("core/migrations/0001_initial.py", migration(create(), head=reads))
    project.append("core/models.py", "class New(models.Model):\n    pass\n")

    dbmigrate("reset", "--database", "blog_db", "--confirm", NAME, cwd=project.root).expect(0)

    assert applied(project.database("blog_db")) == ["blog.0001_initial"]
    assert [path.name for path in (project.root / "core/migrations").glob("0*")] == ["0001_initial.py"]


def test_an_app_that_stays_and_needs_another_migration(project: Project) -> None:
    project.append("core/models.py", "class New(models.Model):\n    pass\n")
    project.append(
        "blog/models.py",
        "class Note(models.Model):\n    new = models.ForeignKey('core.New', models.CASCADE, db_constraint=False)\n",
    )

    said = refused(project, "--database", "blog_db", "--confirm", NAME)

    assert "app core needs a new migration first" in said
    assert "hint: dbmigrate make core" in said


LOSES = """
import pathlib
from django.apps import AppConfig
from django.db import connections
from django.db.models.signals import post_migrate

def lose(using="default", **more):
    connection = connections[using]
    if "test_dbmigrate_" not in str(connection.settings_dict["NAME"]) and pathlib.Path("lose").exists():
        connection.cursor().execute("DROP TABLE IF EXISTS core_item")

class Config(AppConfig):
    name = "core"

    def ready(self):
        post_migrate.connect(lose, sender=self)
"""


@pytest.mark.soak
def test_a_table_of_the_trial_that_is_not_there_afterwards(project: Project) -> None:
    project.write("core/apps.py", LOSES)
    project.write("lose", "")

    lost = dbmigrate("reset", "--database", "default", "--confirm", NAME, cwd=project.root).expect(31)

    error, hint = lost.stderr.splitlines()[-3:-1]
    assert error.startswith("error: the trial created tables that are missing after the run: core_item on default; ")
    assert hint == "hint: see what is missing: dbmigrate verify"


STOPS = """
import os, signal
from django.db.backends.utils import CursorWrapper

execute, dropped = CursorWrapper.execute, []

def stop(cursor, sql, params=None):
    done = execute(cursor, sql, params)
    if sql.startswith("DROP TABLE") and "core_item" in sql:
        dropped.append(sql)
        if len(dropped) == {time}:
            os.kill(os.getppid(), signal.{name})
    return done

CursorWrapper.execute = stop
"""
"""Stops the process above when a table is dropped for the first time, in the rehearsal, or for the second."""


@pytest.mark.soak
@pytest.mark.parametrize(
    ("name", "said", "code"), [("SIGINT", "interrupted", 130), ("SIGTERM", "ended by SIGTERM", 143)]
)
def test_a_signal_while_databases_are_emptied_waits_and_tells_where_they_stand(
    name: str, said: str, code: int, project: Project
) -> None:
    settings = (project.root / "site_settings.py").read_text()
    project.append("site_settings.py", STOPS.format(name=name, time=2))

    stopped = dbmigrate("reset", "--confirm", NAME, cwd=project.root).expect(code)

    error, hint = stopped.stderr.splitlines()[-3:-1]
    assert error.startswith(f"error: {said}; emptied: default, blog_db; the new migrations are in place, and 3 old ")
    assert hint == "hint: continue with: dbmigrate all"
    (project.root / "site_settings.py").write_text(settings)
    dbmigrate("all", cwd=project.root).expect(0)
    assert applied(project.database("blog_db")) == ["blog.0001_initial"]


def test_a_signal_before_a_database_is_emptied_leaves_all_as_it_was(project: Project) -> None:
    project.append("site_settings.py", STOPS.format(name="SIGINT", time=1))
    before = project.content()

    dbmigrate("reset", "--confirm", NAME, cwd=project.root).expect(130)

    assert project.content() == before


@pytest.mark.soak
@pytest.mark.parametrize("django", EVERY_DJANGO)
def test_every_django_can_be_tried(django: str, project: Project) -> None:
    dbmigrate("reset", "--confirm", NAME, "--python", environment(django), cwd=project.root).expect(0)

    assert applied(project.database("blog_db")) == ["blog.0001_initial"]


@pytest.mark.postgresql
def test_a_role_that_may_make_no_scratch_database(migrated_site: Callable[..., Site]) -> None:
    here = migrated_site("postgresql")
    role = f"plain_{here.entry['NAME']}"
    here.query(f"CREATE ROLE {role} LOGIN")
    here.query(f"GRANT {here.entry['USER']} TO {role}")
    here.query(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}")
    here.query(f"GRANT ALL ON SCHEMA public TO {role}")
    here.project.append("site_settings.py", f"DEBUG = True\nDATABASES['default']['USER'] = {role!r}\n")

    said = refused(here.project, "--confirm", NAME)

    assert "no scratch database can be created next to database default: " in said
    assert "permission denied to create database" in said
    assert f'ALTER ROLE "{role}" CREATEDB' in said


@pytest.mark.soak
@pytest.mark.postgresql
def test_what_a_postgresql_database_holds_beside_the_tables_stays(tmp_path: Path, postgresql: PostgresqlServer) -> None:
    entry = postgresql.create_database()
    project = write_project(tmp_path, {"core": simple_app()}, aliases={"default": entry}, settings="DEBUG = True")
    dbmigrate("all", cwd=project.root).expect(0)
    postgresql.query(entry, 'CREATE TABLE "Left ""over" (id serial PRIMARY KEY)')
    postgresql.query(entry, 'INSERT INTO "Left ""over" DEFAULT VALUES')
    postgresql.query(entry, "CREATE SCHEMA archive")
    postgresql.query(entry, "CREATE TABLE archive.core_item (id int)")
    postgresql.query(entry, "INSERT INTO core_item (name) VALUES ('x')")
    postgresql.query(entry, "CREATE TYPE mood AS ENUM ('good', 'bad')")
    postgresql.query(entry, "CREATE DOMAIN year AS integer CHECK (value > 1900)")
    postgresql.query(entry, "CREATE FUNCTION grow(mood) RETURNS int LANGUAGE sql AS 'SELECT 1'")
    postgresql.query(entry, "CREATE SEQUENCE numbers")

    reset = dbmigrate("reset", "--confirm", NAME, cwd=project.root).expect(0)

    assert "emptied: default (1 table, 1 row)" in reset.stderr
    assert '  default: archive.core_item (0 rows), Left "over (1 row)' in reset.stderr
    assert postgresql.tables(entry) == {"django_migrations", "core_item", 'Left "over'}
    assert postgresql.query(entry, "SELECT count(*) FROM core_item") == [(0,)]
    assert len(postgresql.query(entry, "SELECT typname FROM pg_type WHERE typname IN ('mood', 'year')")) == 2
    assert postgresql.query(entry, "SELECT grow('good')") == [(1,)]


@pytest.mark.soak
@pytest.mark.mariadb
def test_what_a_mariadb_database_holds_beside_the_tables_stays(site: Callable[..., Site]) -> None:
    here = site("mariadb")
    here.project.append("site_settings.py", "DEBUG = True")
    dbmigrate("all", cwd=here.project.root).expect(0)
    here.query("CREATE TABLE leftover (id int PRIMARY KEY)")
    here.query("INSERT INTO leftover VALUES (1), (2)")
    here.query("CREATE FUNCTION grow() RETURNS int RETURN 1")

    reset = dbmigrate("reset", "--confirm", NAME, cwd=here.project.root).expect(0)

    assert "emptied: default (2 tables, 0 rows)" in reset.stderr
    tables = here.query("SELECT table_name FROM information_schema.tables WHERE table_schema = database()")
    assert {name for (name,) in tables} == {"django_migrations", "core_item", "more_item", "leftover"}
    assert [*here.query("SELECT grow()")] == [(1,)]


@pytest.mark.mariadb
def test_a_mariadb_database_on_another_host(site: Callable[..., Site]) -> None:
    here = site("mariadb")
    here.project.append("site_settings.py", "DEBUG = True")
    dbmigrate("all", cwd=here.project.root).expect(0)
    # What the driver says counts here too: the settings may leave the host to an option file.
    here.project.append(
        "site_settings.py",
        """
        import pymysql.connections

        pymysql.connections.Connection.get_host_info = lambda connection: "socket db.example.com:3306"
        """,
    )

    assert "database default is on db.example.com, which is not this machine" in refused(
        here.project, "--confirm", NAME
    )


@pytest.mark.postgresql
def test_a_database_on_another_host(tmp_path: Path, postgresql: PostgresqlServer) -> None:
    entry = postgresql.create_database()
    project = write_project(
        tmp_path / "site", {"core": simple_app()}, aliases={"default": entry}, settings="DEBUG = True"
    )
    # What the driver says counts, not the settings: PGHOST or a service may lead elsewhere.
    project.append(
        "site_settings.py",
        """
        import psycopg

        psycopg.ConnectionInfo.host = property(lambda info: "db.example.com")
        """,
    )

    assert "database default is on db.example.com, which is not this machine" in refused(project, "--confirm", NAME)


@pytest.mark.parametrize(
    ("said", "host"),
    [("Localhost via UNIX socket", ""), ("db.example.com via TCP/IP", "db.example.com"), ("socket ::1:3306", "::1")],
)
def test_the_host_in_what_the_drivers_of_mysql_say(said: str, host: str) -> None:
    assert mysql_host(said) == host  # type: ignore[no-untyped-call]
