"""Every kind of bad input: one clear error, the right exit code, nothing changed. All through the real executable."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from support.cli import Outcome, dbmigrate, looks
from support.environments import EVERY_DJANGO, environment, find_python
from support.in_process import InProcess
from support.postgresql import PostgresqlServer
from support.projects import (
    Project,
    applied,
    copy_sample,
    create,
    failing,
    make_read_only,
    migration,
    model,
    simple_app,
    write_project,
)


def refused(
    project: Project,
    *arguments: str,
    code: int,
    environment: dict[str, str] | None = None,
    run: Callable[..., Outcome] = dbmigrate,
) -> Outcome:
    """Run and expect an error that leaves every file of the project as it was and ends with a hint."""
    before = project.content()

    outcome = run(*arguments, cwd=project.root, environment=environment)

    outcome.expect(code)
    assert project.content() == before
    lines = outcome.stderr.splitlines()
    assert any(line.startswith("error: ") for line in lines), outcome
    assert any(line.startswith("hint: ") for line in lines), outcome
    assert "Traceback" not in outcome.stderr, outcome
    return outcome


def has(outcome: Outcome, *parts: str) -> None:
    """Assert that all of these stand in the error's text."""
    missing = [part for part in parts if part not in outcome.stderr]
    assert not missing, f"{missing} not in {outcome!r}"


def test_a_folder_without_manage_py(tmp_path: Path) -> None:
    has(refused(Project(tmp_path), "all", code=3), f"no manage.py in {tmp_path} or above it", "--project")


@pytest.mark.parametrize("variables", [{}, {"DJANGO_SETTINGS_MODULE": "site_settings"}], ids=["", "with-settings"])
def test_a_manage_py_one_or_two_levels_below_is_named(tmp_path: Path, variables: dict[str, str]) -> None:
    for folder in (".hidden", "venv/lib", "too/deep/down"):
        write_project(tmp_path / folder, {})
    write_project(tmp_path / "src" / "server", {"core": simple_app()})

    one = dbmigrate("status", cwd=tmp_path, environment=variables).expect(3)
    write_project(tmp_path / "my shop", {})
    several = dbmigrate("status", cwd=tmp_path, environment=variables).expect(3)

    assert f"no manage.py in {tmp_path}" in one.stderr
    assert "--project src/server\n" in one.stderr
    assert "--project 'my shop', or --project src/server\n" in several.stderr
    dbmigrate("all", "--project", "src/server", cwd=tmp_path, environment=variables).expect(0)


def test_of_many_projects_below_only_the_first_are_named(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / f"site{number}").mkdir()
        (tmp_path / f"site{number}" / "manage.py").touch()

    refused = dbmigrate("status", cwd=tmp_path).expect(3)

    assert refused.stderr == (
        f"error: no manage.py in {tmp_path} or above it, but in site0, site1, site2 and 2 more\n"
        "hint: pass --project site0, or --project site1, or --project site2\n"
        "exit 3 (project): the project could not be loaded\n"
    )


def test_nothing_is_above_the_root_folder() -> None:
    refused = dbmigrate("status", cwd=Path("/")).expect(3)

    has(refused, "error: no manage.py in /")
    assert "above it" not in refused.stderr


def test_a_project_folder_that_does_not_exist(tmp_path: Path) -> None:
    has(refused(Project(tmp_path), "all", "--project", "nowhere", code=3), "nowhere is not a folder")


@pytest.mark.parametrize(
    ("words", "error", "hint"),
    [
        ("status", "no manage.py in ", "to do without: pass --settings config.settings.local or --settings config.set"),
        (
            "status --settings config.settings",
            "",
            "config.settings is a package; pass one of its modules: --settings c",
        ),
        ("status --settings config.settings.prodution", "No module named", "did you mean config.settings.production?"),
        ("status --settings settings.production", "No module named", "did you mean config.settings.production"),
    ],
)
def test_the_modules_of_a_package_of_settings_are_suggested(tmp_path: Path, words: str, error: str, hint: str) -> None:
    project = write_project(tmp_path / "site", {"core": simple_app()})
    (project.root / "manage.py").unlink()
    settings = (project.root / "site_settings.py").read_text()
    (project.root / "site_settings.py").unlink()
    for name, text in (("__init__", ""), ("base", settings)):
        project.write(f"config/settings/{name}.py", text)
    for name in ("local", "production"):
        project.write(f"config/settings/{name}.py", "from .base import *\n")
    project.write("config/__init__.py", "")

    outcome = refused(project, *words.split(), code=3)

    has(outcome, error, hint)
    dbmigrate("status", "--settings", "config.settings.production", cwd=project.root).expect(0)


def test_a_settings_module_that_does_not_exist(sample: Project) -> None:
    outcome = refused(sample, "all", "--settings", "myproj.nope", code=3)

    has(outcome, "No module named 'myproj.nope'", "--settings")


def test_settings_that_raise_show_their_last_line_and_file_and_all_of_it_on_demand(sample: Project) -> None:
    sample.append("myproj/settings.py", "raise RuntimeError('the vault is closed')")
    line = len((sample.root / "myproj/settings.py").read_text().splitlines())

    brief = refused(sample, "all", code=3)
    has(brief, "RuntimeError: the vault is closed", "myproj/settings.py", f"line {line}")
    assert len(brief.stderr.splitlines()) == 3

    has(dbmigrate("all", "-v", cwd=sample.root), "Traceback (most recent call last)", "the vault is closed")


def test_settings_that_do_not_parse(sample: Project) -> None:
    sample.append("myproj/settings.py", "DEBUG = = True")

    has(refused(sample, "all", code=3), "SyntaxError", "myproj/settings.py")


@pytest.mark.skipif(sys.version_info < (3, 11), reason="PYTHONSAFEPATH came with Python 3.11")
def test_a_safe_path_that_hides_the_project_from_its_own_manage_py(sample: Project) -> None:
    outcome = refused(sample, "all", code=3, environment={"PYTHONSAFEPATH": "1"})

    has(outcome, "No module named 'myproj'", "hint: PYTHONSAFEPATH keeps the folder of manage.py off sys.path")


def test_an_engine_that_does_not_exist(sample: Project) -> None:
    sample.append("myproj/settings.py", 'DATABASES["blog_db"] = {"ENGINE": "nope.backend", "NAME": "x"}')

    outcome = refused(sample, "all", code=3)

    # Django's own message, whose last line is the list of its backends.
    has(outcome, "the ENGINE of database blog_db, nope.backend, cannot be loaded")
    has(outcome, "ImproperlyConfigured: 'nope.backend' isn't an available database backend", "'postgresql'")
    has(outcome, 'hint: fix ENGINE of DATABASES["blog_db"]')


@pytest.mark.soak
@pytest.mark.parametrize("name", EVERY_DJANGO)
def test_what_is_wrong_in_the_settings_is_named_with_every_django(sample: Project, name: str) -> None:
    python = environment(name)
    settings = (sample.root / "myproj/settings.py").read_text()

    def refuse(line: str) -> Outcome:
        sample.write("myproj/settings.py", f"{settings}\n{line}\n")
        return refused(sample, "status", "--python", python, code=3)

    has(
        refuse('DATABASES["default"]["ENGINE"] = "django.db.backends.postgres"'),
        "the ENGINE of database default, django.db.backends.postgres, cannot be loaded: ",
        'hint: fix ENGINE of DATABASES["default"]; did you mean django.db.backends.postgresql',
    )
    has(
        refuse('DATABASES["blog_db"]["ENGINE"] = "django.db.backends.mysql"'),
        "the ENGINE of database blog_db, django.db.backends.mysql, cannot be loaded: ",
        f"hint: install its driver for the project: {python} -m pip install mysqlclient",
    )
    has(
        refuse('DATABASES["blog_db"]["ENGINE"] = "django.contrib.gis.db.backends.oracle"'),
        "the ENGINE of database blog_db, django.contrib.gis.db.backends.oracle, cannot be loaded: ",
        f"hint: install its driver for the project: {python} -m pip install ",
    )
    has(
        refuse('DATABASE_ROUTERS = ["myproj.routers.RoutingRouter"]'),
        "the entry myproj.routers.RoutingRouter of DATABASE_ROUTERS cannot be loaded: ImportError: ",
        "hint: fix the entry in DATABASE_ROUTERS; did you mean myproj.routers.RoutingRulesRouter?",
    )
    has(
        refuse('DATABASE_ROUTERS = ["myproj.routers"]'),
        "the entry myproj.routers of DATABASE_ROUTERS cannot be loaded: ",
        "hint: fix the entry in DATABASE_ROUTERS; did you mean myproj.routers.RoutingRulesRouter?",
    )
    has(
        refuse('DATABASE_ROUTERS = ("myproj.routers.RoutingRulesRouter")'),
        "the entry m of DATABASE_ROUTERS cannot be loaded: ",
        "hint: DATABASE_ROUTERS is a string, but must be a list of names",
    )


@pytest.mark.soak
@pytest.mark.parametrize("name", EVERY_DJANGO)
def test_an_entry_that_is_right_and_cannot_be_loaded_is_not_to_be_corrected(sample: Project, name: str) -> None:
    python = environment(name)
    settings = (sample.root / "myproj/settings.py").read_text()
    sample.write("myproj/engine/__init__.py", "")
    see = f"hint: run it directly to see: {python} {sample.root}/manage.py shell -c"
    by_itself = 'from django.db import connections; connections["blog_db"]'

    def refuse(line: str, base: str = "", router: str = "") -> Outcome:
        sample.write("myproj/settings.py", f"{settings}\n{line}\n")
        sample.write("myproj/engine/base.py", base)
        sample.write("myproj/other.py", router)
        outcome = refused(sample, "status", "--python", python, code=3)
        assert "hint: fix" not in outcome.stderr, outcome
        assert "pip install" not in outcome.stderr, outcome
        return outcome

    engine = 'DATABASES["blog_db"]["ENGINE"] = "myproj.engine"'
    required = "mysqlclient 1.4.3 or newer is required; you have 1.3.14. Here MySQLdb and psycopg2 are named."
    raising = f"from django.core.exceptions import ImproperlyConfigured\nraise ImproperlyConfigured({required!r})\n"
    has(
        refuse(engine, base=raising),
        "the ENGINE of database blog_db, myproj.engine, cannot be loaded: ",
        f"ImproperlyConfigured: {required} (",
        f"{see} '{by_itself}' (-v shows the whole traceback)",
    )
    # Django says of this one that there is no such backend.
    has(
        refuse(engine, base="import nothing_there"),
        "the ENGINE of database blog_db, myproj.engine, cannot be loaded: ModuleNotFoundError: ",
        "No module named 'nothing_there'",
        f"{see} '{by_itself}'",
    )
    has(
        refuse('DATABASE_ROUTERS = ["myproj.other.Router"]', router="import nothing_there\nclass Router:\n    pass"),
        "the entry myproj.other.Router of DATABASE_ROUTERS cannot be loaded: ModuleNotFoundError: ",
        f"No module named 'nothing_there' ({sample.root}/myproj/other.py, line 1)",
        f"{see} 'from django.db import router; router.routers'",
    )


@pytest.mark.parametrize(
    ("engine", "meant"),
    [
        ("django.db.backends.psycopg2", "did you mean django.db.backends.postgresql"),
        ("django.contrib.gis.db.backends.postgiss", "did you mean django.contrib.gis.db.backends.postgis"),
    ],
)
def test_an_engine_of_another_name_is_no_missing_driver(sample: Project, engine: str, meant: str) -> None:
    sample.append("myproj/settings.py", f'DATABASES["blog_db"]["ENGINE"] = "{engine}"')

    outcome = refused(sample, "status", code=3)

    has(outcome, 'hint: fix ENGINE of DATABASES["blog_db"]; ', meant)
    assert "pip install" not in outcome.stderr


def test_nothing_of_the_project_is_run_to_explain_what_is_wrong(sample: Project, tmp_path: Path) -> None:
    log = tmp_path / "log"
    noted = f"import pathlib\nwith pathlib.Path({str(log)!r}).open('a') as log:\n    log.write(__name__ + ' ')\n"
    router = "class Router:\n    def allow_migrate(self, db, app_label, **hints):\n        return None\n"
    sample.write("myproj/broken.py", f"{noted}raise RuntimeError('boom')")
    sample.write("myproj/ends.py", f"{noted}{router}raise SystemExit(5)")
    sample.write(
        "myproj/meta.py",
        "class Meta(type):\n    def __getattr__(cls, name):\n        raise SystemExit(6)\n\n"
        "class Strange(metaclass=Meta):\n    pass\n",
    )
    settings = (sample.root / "myproj/settings.py").read_text()

    def refuse(entry: str) -> Outcome:
        sample.write("myproj/settings.py", f"{settings}\nDATABASE_ROUTERS = [{entry!r}]\n")
        return refused(sample, "status", code=3)

    has(refuse("myproj.broken.Router"), "cannot be loaded: RuntimeError: boom")
    assert log.read_text() == "myproj.broken "
    has(refuse("myproj.ends"), "hint: fix the entry in DATABASE_ROUTERS; did you mean myproj.ends.Router?")
    assert log.read_text() == "myproj.broken "
    has(refuse("myproj.meta.Rooter"), "hint: fix the entry myproj.meta.Rooter in DATABASE_ROUTERS, or remove it")


def test_what_the_project_printed_is_shown_with_a_wrong_entry_too(sample: Project) -> None:
    sample.append("myproj/settings.py", 'print("the vault is closed")\nDATABASE_ROUTERS = ["myproj.nowhere.Router"]')

    outcome = dbmigrate("status", "-v", cwd=sample.root).expect(3)

    has(outcome, "Traceback (most recent call last)", "the vault is closed")


def test_a_router_that_cannot_be_made_is_named_with_its_place(sample: Project) -> None:
    sample.append("myproj/routers.py", "class Broken:\n    def __init__(self):\n        self.rules = {}['none']")
    sample.append("myproj/settings.py", 'DATABASE_ROUTERS = ["myproj.routers.Broken"]')
    line = len((sample.root / "myproj/routers.py").read_text().splitlines())

    outcome = refused(sample, "all", code=3)

    has(outcome, f"myproj.routers.Broken of DATABASE_ROUTERS cannot be loaded: KeyError: 'none' ({sample.root}/")
    has(outcome, f"routers.py, line {line})", "hint: run it directly to see: ")


def test_settings_that_exit(sample: Project) -> None:
    sample.append("myproj/settings.py", "import sys; sys.exit('no licence')")

    has(refused(sample, "all", code=3), "SystemExit: no licence", "myproj/settings.py")


def test_settings_that_end_the_process_at_once(sample: Project) -> None:
    sample.append("myproj/settings.py", "import os, sys; print('gone', file=sys.stderr, flush=True); os._exit(7)")

    has(refused(sample, "all", code=3), "exit status 7", "gone")


def test_a_manage_py_that_runs_no_django_command(sample: Project) -> None:
    sample.write("manage.py", "print('hello')")

    has(refused(sample, "all", code=3), "did not run a Django command", "--manage")


def test_an_interpreter_that_does_not_exist(sample: Project) -> None:
    has(refused(sample, "all", "--python", "/nowhere/python", code=3), "/nowhere/python", "--python")


def test_an_interpreter_that_nobody_can_look_at(sample: Project) -> None:
    python = f"/{'a' * 300}/python"

    has(refused(sample, "all", "--python", python, code=3), f"interpreter {python}", "pass --python")


def test_an_interpreter_without_django(sample: Project) -> None:
    python = environment("no-django")

    has(refused(sample, "all", "--python", python, code=3), "Django cannot be imported", python, "--python")


def test_an_interpreter_without_django_whose_scripts_bring_their_own(sample: Project, tmp_path: Path) -> None:
    bare = Path(environment("no-django"))
    scripts = tmp_path / "venv" / "bin"
    scripts.mkdir(parents=True)
    (scripts / "python").symlink_to(bare)
    (scripts.parent / "pyvenv.cfg").write_text((bare.parents[1] / "pyvenv.cfg").read_text())
    packages = next(bare.parents[1].glob("lib/python3*/site-packages"))
    library = scripts.parent / packages.relative_to(bare.parents[1])
    library.mkdir(parents=True)
    (library / "kiosk").mkdir()
    (library / "kiosk" / "__init__.py").write_text("import vendored\nimport django\n")
    other = Path(environment("django32"))
    for name, text in {
        "kiosk": f"#!{scripts}/python\nimport sys\nfrom kiosk import main\nsys.exit(main())\n",
        "shop": f"#!{scripts}/python\nimport sys; sys.path.append('x')\nfrom django.core import management\n",
        "elsewhere": f"#!{other}\nfrom pretix import main\n",
        "long": f"#!/bin/sh\n'''exec' {other} \"$0\" \"$@\"\n' '''\nfrom pretix import main\n",
        "spaced": f"#!/bin/sh\n'''exec' \"{other}\" \"$0\" \"$@\"\n' '''\nfrom pretix import main\n",
        "flake": f"#!{scripts}/python\nfrom flake import main\n",
        "tool": "#!/bin/sh\necho django\n",
    }.items():
        (scripts / name).write_text(text)

    (scripts / "sudo").symlink_to("/proc/self/mem")  # a file that cannot be read, by root neither

    outcome = refused(sample, "all", "--python", str(scripts / "python"), code=3)

    has(
        outcome,
        "Django cannot be imported",
        "--python",
        f"--python {other} --manage elsewhere, --manage kiosk, --python {other} --manage long, ",
    )


def test_a_django_that_is_too_old(tmp_path: Path) -> None:
    project = write_project(tmp_path, {"core": simple_app()})

    has(refused(project, "all", "--python", environment("django22"), code=3), "Django 2.2", "3.2 or newer")


def test_a_missing_sqlite_folder(sample: Project) -> None:
    outcome = refused(sample, "all", code=21, environment={"SAMPLE_DATABASE_DIR": str(sample.root / "gone")})

    has(outcome, "database default is unreachable", f"{sample.root}/gone does not exist", 'DATABASES["default"]')


@pytest.mark.postgresql
def test_a_database_that_is_down(tmp_path: Path, postgresql: PostgresqlServer) -> None:
    entry = {**postgresql.create_database(), "HOST": "127.0.0.1", "PORT": "1"}
    project = write_project(
        tmp_path,
        {"core": simple_app(), "blog": simple_app()},
        aliases={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "default.sqlite3"}, "blog_db": entry},
        rules={"blog": "blog_db"},
    )

    has(
        refused(project, "all", code=21),
        "database blog_db is unreachable",
        "refused. Is the server running on",
        "nothing was changed",
    )


NAMES_THAT_DO_NOT_FIT = {
    "run --database blog": ("no database blog in DATABASES", "blog_db"),
    "run --app blgo": ("no app blgo", "blog"),
    "run --app blog --to 0009": ("app blog has no migration 0009", "0004_fill_slugs"),
    "run --app blog --to 000": ("several migrations of blog start with 000", "0001_initial"),
    "run --app blog --database shop_db": ("not routed to shop_db", "it belongs on blog_db"),
    "make --empty": ("hint: dbmigrate make accounts --empty\n",),
    "plan --to 0002_orders": ("hint: --app shop, or remove --to\n",),
    "plan --app shop --app blog --to 0001": ("hint: --app shop or --app blog, or remove --to\n",),
}


@pytest.mark.soak
def test_names_that_do_not_fit_the_project(sample: Project) -> None:
    before = sample.content()

    outcomes = looks(dict.fromkeys(NAMES_THAT_DO_NOT_FIT, 2), cwd=sample.root)

    for outcome, words in zip(outcomes, NAMES_THAT_DO_NOT_FIT.values(), strict=True):
        has(outcome, "error: ", "hint: ", *words)
    assert sample.content() == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "--to", "0001", "--database", "default"), ("--to requires exactly one app",)),
        (
            ("run", "--to", "0001", "--database", "shop_db"),
            ("--to requires exactly one app\nhint: --app shop, or remove --to\n",),
        ),
        (("run", "--app", "blo", "--database", "shop_db"), ("no app blo", "hint: the apps are: shop\n")),
        (
            ("run", "--app", "blog", "--database", "shop_db", "--to", "0001", "--fake"),
            ("hint: dbmigrate run --app blog --database blog_db --to 0001 --fake\n",),
        ),
        (("run",), ("no database and no app is named", "dbmigrate all")),
        (("run", "--auto", "--app", "blog"), ("--auto",)),
        (("al",), ("no command al", "did you mean all or apply?")),
        (("all", "--jobs", "0"), ("--jobs",)),
        (("all", "--nonsense"), ("--nonsense", "dbmigrate all --help")),
        (("run", "--app"), ("'--app' requires an argument", "dbmigrate run --help")),
        (("all", "extra"), ("unexpected extra argument (extra)", "dbmigrate run --app extra")),
    ],
)
def test_words_that_do_not_fit(
    in_process: InProcess, sample: Project, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    has(refused(sample, *arguments, code=2, run=in_process), *words)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('exlude = ["shop_db"]', ("no key exlude", "exclude")),
        ('exclude = ["shopdb"]', ("exclude names database shopdb", "shop_db")),
        ('jobs = "many"', ("jobs", "'many'")),
        ('scope = "all"', ("scope", "app, database")),
        ("jobs = [", ("pyproject.toml cannot be read",)),
        ('databases.blog_db.scop = "app"', ("databases.blog_db", "scop", "scope")),
    ],
)
def test_a_configuration_that_does_not_fit(sample: Project, line: str, words: tuple[str, ...]) -> None:
    sample.write("pyproject.toml", f"[tool.dbmigrate]\n{line}\n")

    has(refused(sample, "all", code=2), "pyproject.toml", *words)


def test_an_unknown_variable_of_the_environment(sample: Project) -> None:
    outcome = refused(sample, "all", code=2, environment={"DBMIGRATE_JOB": "2"})

    has(outcome, "unknown variable DBMIGRATE_JOB in the environment", "hint: did you mean DBMIGRATE_JOBS?")


def test_variables_that_kubernetes_makes_for_a_service_of_our_name_are_not_settings(sample: Project) -> None:
    links = {"DBMIGRATE_SERVICE_HOST": "10.0.0.1", "DBMIGRATE_PORT_80_TCP_ADDR": "10.0.0.1"}

    dbmigrate("status", cwd=sample.root, environment=links).expect(0)


def test_two_leaf_migrations(sample: Project) -> None:
    sample.write("blog/migrations/0004_other.py", migration(after=(("blog", "0003_post_slug"),)))

    outcome = refused(sample, "all", code=13)

    has(outcome, "DBM102", "app blog", "0004_fill_slugs and 0004_other", "dbmigrate make blog --merge")


def test_a_routing_rule_to_an_alias_that_is_not_there(sample: Project) -> None:
    sample.append("myproj/settings.py", 'DATABASE_ROUTING_RULES["profiles"] = "profile_db"')

    has(refused(sample, "all", code=13), "DBM202", "profiles", "profile_db", "DATABASES")


def test_a_router_that_raises(sample: Project) -> None:
    sample.append("myproj/routers.py", "RoutingRulesRouter.allow_migrate = lambda self, db: True")

    has(refused(sample, "all", code=13), "DBM205", "RoutingRulesRouter", "TypeError")


def test_an_inconsistent_history(migrated_sample: Project) -> None:
    with closing(sqlite3.connect(migrated_sample.database("blog_db"))) as connection, connection:
        connection.execute("DELETE FROM django_migrations WHERE app = 'blog' AND name = '0002_tags'")

    has(refused(migrated_sample, "all", code=13), "DBM103", "blog_db", "blog.0003_post_slug")


def test_two_aliases_of_one_database_with_different_apps(tmp_path: Path) -> None:
    one = {"ENGINE": "django.db.backends.sqlite3", "NAME": "one.sqlite3"}
    project = write_project(
        tmp_path,
        {"core": simple_app(), "blog": simple_app()},
        aliases={"default": one, "blog_db": one},
        rules={"blog": "blog_db"},
    )

    has(refused(project, "all", code=13), "DBM207", "default and blog_db are one physical database")


def test_a_migration_whose_question_needs_a_person(sample: Project) -> None:
    text = (sample.root / "blog/models.py").read_text()
    sample.write("blog/models.py", text.replace("    body = ", "    rank = models.IntegerField()\n    body = "))

    outcome = refused(sample, "all", code=11)

    has(outcome, "app blog", "non-nullable field 'rank' to post", "dbmigrate make blog")


@pytest.mark.soak
def test_undoing_what_has_no_way_back(tmp_path: Path) -> None:
    fill = migration("migrations.RunPython(fill)", after=(("core", "0001_initial"),), head="def fill(*_):\n    pass\n")
    last = migration("migrations.RunSQL('SELECT 1', '')", after=(("core", "0002_fill"),))
    app = simple_app(**{"migrations/0002_fill.py": fill, "migrations/0003_last.py": last})
    project = write_project(tmp_path / "site", {"core": app})
    dbmigrate("all", cwd=project.root).expect(0)
    words = ("--app", "core", "--to", "0001")

    refused(project, "plan", *words, code=2)
    outcome = refused(project, "run", *words, code=2)

    has(outcome, "core.0002_fill cannot be undone on default: Raw Python operation", "--to 0002_fill")
    dbmigrate("run", "--app", "core", "--to", "0002_fill", cwd=project.root).expect(0)
    dbmigrate("run", *words, "--fake", cwd=project.root).expect(0)


def test_a_folder_in_which_sqlite_can_write_nothing(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    project = write_project(tmp_path / "site", {"core": simple_app()})
    project.append("site_settings.py", 'DATABASES["default"]["NAME"] = BASE / "kept" / "default.sqlite3"')
    folder = project.root / "kept"
    folder.mkdir()
    make_read_only(folder, request)

    outcome = dbmigrate("all", cwd=project.root).expect(21)

    assert "database default is read-only: this user cannot write in its folder (nothing was" in outcome.stderr
    assert 'exclude = ["default"] under [tool.dbmigrate]' in outcome.stderr
    assert list(folder.iterdir()) == []


def test_a_read_only_source_tree(sample: Project, request: pytest.FixtureRequest) -> None:
    text = (sample.root / "shop/models.py").read_text()
    sample.write("shop/models.py", text.replace("max_length=200", "max_length=300"))
    folder = sample.root / "shop/migrations"
    make_read_only(folder, request)

    outcome = refused(sample, "all", code=11)

    has(outcome, "app shop", "is not writable", "--skip-makemigrations")


def test_a_migration_that_raises_in_the_second_of_three_databases(tmp_path: Path) -> None:
    broken = {
        **simple_app(),
        "migrations/0002_boom.py": migration(
            "migrations.RunPython(fail)", after=(("blog", "0001_initial"),), head=failing("the disk is full")
        ),
    }
    project = write_project(
        tmp_path,
        {"core": simple_app(), "blog": broken, "shop": simple_app()},
        aliases=("default", "blog_db", "shop_db"),
        rules={"blog": "blog_db", "shop": "shop_db"},
    )

    outcome = dbmigrate("all", "--jobs", "1", cwd=project.root).expect(31)

    has(
        outcome,
        "[blog_db] failed: blog.0002_boom (exit 1",
        "RuntimeError: the disk is full",
        "the database rolled blog.0002_boom back",
        "1 of 3 databases was not started: shop_db",
        "migrated: default",
        "exit 31 (partial)",
    )
    assert applied(project.database("blog_db")) == ["blog.0001_initial"]
    assert not project.database("shop_db").exists()

    project.write("blog/migrations/0002_boom.py", migration(after=(("blog", "0001_initial"),)))
    dbmigrate("all", cwd=project.root).expect(0)
    assert applied(project.database("blog_db"))[-1] == "blog.0002_boom"
    assert "shop_item" in project.tables()["shop"]


def test_a_migration_that_raises_before_any_database_moved(tmp_path: Path) -> None:
    operations = (create(), "migrations.RunPython(fail)")
    first = {"models.py": model(), "migrations/0001_initial.py": migration(*operations, head=failing())}
    project = write_project(tmp_path, {"core": first})

    has(dbmigrate("all", cwd=project.root).expect(30), "failed: core.0001_initial", "exit 30 (failed)")
    assert project.tables() == {"default": {"django_migrations"}}


@pytest.mark.soak
def test_a_child_that_prints_a_megabyte_to_stderr(tmp_path: Path) -> None:
    noise = "import sys\ndef shout(apps, schema_editor):\n    sys.stderr.write(('x' * 99 + chr(10)) * 10_000)\n"
    loud = {
        "models.py": model(),
        "migrations/0001_initial.py": migration(create(), "migrations.RunPython(shout)", head=noise),
    }
    project = write_project(tmp_path, {"core": loud})

    assert len(dbmigrate("all", "-v", cwd=project.root).expect(0).stderr) > 1_000_000


def test_a_child_killed_by_a_signal(tmp_path: Path) -> None:
    kill = "import os, signal\ndef kill(apps, schema_editor):\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    app = {
        "models.py": model(),
        "migrations/0001_initial.py": migration(create(), "migrations.RunPython(kill)", head=kill),
    }
    project = write_project(tmp_path, {"core": app})

    has(dbmigrate("all", cwd=project.root).expect(30), "killed by signal 9", "core.0001_initial")


@pytest.mark.soak
def test_every_refusal_is_one_json_document_when_json_is_asked_for(tmp_path: Path) -> None:
    project = copy_sample(tmp_path)
    cases = {
        ("all", "--settings", "nope"): (3, "project"),
        ("run", "--app", "nope"): (2, "usage"),
        ("all", "--nonsense"): (2, "usage"),
        ("run",): (2, "usage"),
        (): (2, "usage"),
        ("menu",): (2, "usage"),
    }
    for arguments, (code, name) in cases.items():
        outcome = dbmigrate(*arguments, "--format", "json", cwd=project.root).expect(code)

        assert outcome.json["exit"] == {"code": code, "name": name}
        assert outcome.json["error"]["message"]
        assert outcome.stderr == ""


def test_an_interpreter_that_is_too_old(sample: Project) -> None:
    old = find_python("3.6") or find_python("3.7") or find_python("2.7")
    if old is None:
        pytest.skip("no Python older than 3.8 is installed")

    has(refused(sample, "all", "--python", old, code=3), "dbmigrate needs Python 3.8 or newer", old)


def test_the_interpreter_of_the_tests_is_good_enough(sample: Project) -> None:
    dbmigrate("status", "--python", sys.executable, cwd=sample.root).expect(0)


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("help", "dbmigrate --help"),
        ("migrate", "dbmigrate all"),
        ("migrate blog 0003 --database=blog_db", "dbmigrate run --app blog --to 0003 --database blog_db"),
        ("migrate blog zero --fake", "dbmigrate run --app blog --to zero --fake"),
        ("migrate --database default", "dbmigrate run --database default"),
        ("migrate shop --database default --noinput -v0", "dbmigrate run --app shop --database default --no-input -q"),
        ("migrate --plan", "dbmigrate plan"),
        ("migrate shop --plan --database shop_db", "dbmigrate plan --app shop --database shop_db"),
        ("migrate --check", "dbmigrate check --pending"),
        ("migrate --check shop", "dbmigrate plan --app shop --exit-code"),
        ("migrate --prune shop", "dbmigrate run --help"),
        ("migrate --fake", "dbmigrate all --help"),
        ("migrate --help", "dbmigrate all --help"),
        ("migrate shop --database", "dbmigrate run --help"),
        ("migrate_all --dry-run", "dbmigrate all --dry-run"),
        ("makemigrations --dry-run -n colour shop", "dbmigrate make shop --dry-run --name colour"),
        ("makemigrations --check --dry-run", "dbmigrate check --select DBM101"),
        ("migrator --auto", "dbmigrate run --auto"),
        ("migrator --app blog", "dbmigrate run --app blog"),
        ("makemigrations --check shop", "dbmigrate check --help"),
        ("makemigrations --no-header", "dbmigrate make --help"),
        ("showmigrations --plan shop", "dbmigrate plan --app shop"),
        ("sqlmigrate shop 0002 --backwards", "dbmigrate plan --help"),
        ("makemigrations", "dbmigrate make"),
        ("makemigrations shop", "dbmigrate make shop"),
        ("showmigrations", "dbmigrate status --migrations"),
        ("showmigrations shop", "dbmigrate status --migrations --app shop"),
        ("sqlmigrate shop 0002", "dbmigrate plan --sql --app shop --to 0002"),
        ("squashmigrations shop 0001 0003", "dbmigrate squash shop 0001 0003"),
    ],
)
def test_a_command_of_django_is_answered_with_ours(in_process: InProcess, tmp_path: Path, word: str, hint: str) -> None:
    outcome = refused(Project(tmp_path), *word.split(), code=2, run=in_process)

    has(outcome, f"there is no command {word.split()[0]}", f"hint: {hint}\n")
    assert outcome.stdout == ""


EITHER = """\
{}
      or:
        {}"""


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("run orders", EITHER.format("dbmigrate run --app orders", "dbmigrate run --database orders")),
        (
            "plan orders --sql",
            EITHER.format("dbmigrate plan --app orders --sql", "dbmigrate plan --database orders --sql"),
        ),
        ("all orders", EITHER.format("dbmigrate run --app orders", "dbmigrate run --database orders")),
        ("check orders", "dbmigrate check --database orders"),
        ("all --database orders", "dbmigrate run --database orders"),
        ("--no-input all --app orders", "dbmigrate --no-input run --app orders"),
        ("run --sql --app blog", "dbmigrate plan --sql --app blog"),
        ("check --databse blog_db", "dbmigrate check --database blog_db"),
        ("info --database blog_db", "dbmigrate status --database blog_db"),
        ("make --app blog", "dbmigrate make blog"),
        ("make --app=blog", "dbmigrate make blog"),
        ("run --databse=default", "dbmigrate run --database=default"),
        ("--settings site.prod migrate blog", "dbmigrate --settings site.prod run --app blog"),
    ],
)
def test_what_was_meant_is_a_line_to_paste(in_process: InProcess, tmp_path: Path, line: str, meant: str) -> None:
    has(in_process(*line.split(), cwd=tmp_path).expect(2), f"hint: {meant}\n")


@pytest.mark.soak
def test_a_name_that_a_command_has_read_before_is_known_as_app_or_database(sample: Project, tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path)}
    dbmigrate("status", cwd=sample.root, environment=home).expect(0)

    app, alias, nothing, target, several, foreign, fake, dry = (
        dbmigrate(*line.split(), cwd=sample.root, environment=home).expect(2)
        for line in (
            "run shop",
            "run shop_db",
            "run",
            "run --to 0002_orders",
            "run --to 0001",
            "run --to 0012_alter_user_first_name_max_length",
            "run --to 0002_orders --fake",
            "--no-input run --dry-run --jobs 2",
        )
    )

    has(app, "hint: dbmigrate run --app shop\n")
    has(alias, "hint: dbmigrate run --database shop_db\n")
    has(
        nothing,
        "hint: dbmigrate all\n      or one app or database, for example:\n        dbmigrate run --app shop\n",
    )
    has(target, "hint: dbmigrate run --app shop --to 0002_orders\n")
    assert "--app admin" not in several.stderr
    has(several, EITHER.format("dbmigrate run --app accounts --to 0001", "dbmigrate run --app profiles --to 0001"))
    has(
        foreign,
        "hint: name the app with --app\n      its migrations are shown by:\n        dbmigrate status --migrations\n",
    )
    has(fake, "hint: dbmigrate run --app shop --to 0002_orders --fake\n")
    has(dry, "hint: dbmigrate all --jobs 2 --dry-run --no-input\n      or one app")


@pytest.mark.parametrize("command", ["all", "check", "status"])
def test_settings_without_databases_are_no_success(tmp_path: Path, command: str) -> None:
    project = write_project(tmp_path, {"core": simple_app()}, settings="DATABASES = {}")

    has(refused(project, command, code=3), "the settings site_settings have no DATABASES", "--settings")


def test_an_order_that_names_a_database_twice(sample: Project) -> None:
    outcome = refused(sample, "all", code=2, environment={"DBMIGRATE_ORDER": "shop_db,blog_db,shop_db"})

    has(outcome, "DBMIGRATE_ORDER: order names database shop_db twice")


def test_leaves_that_do_not_fit_together_are_a_conflict_and_no_broken_project(tmp_path: Path) -> None:
    first = create(field='("color", models.CharField(max_length=20))')
    gone = migration('migrations.RemoveField("item", "color")', after=(("core", "0001_initial"),))
    files = {"models.py": "from django.db import models\n\n\nclass Item(models.Model):\n    pass\n"}
    files |= {"migrations/0001_initial.py": migration(first)}
    files |= {"migrations/0002_one.py": gone, "migrations/0002_other.py": gone}
    project = write_project(tmp_path, {"core": files})

    has(refused(project, "all", code=13), "DBM102", "0002_one", "0002_other")
    checked = dbmigrate("check", cwd=project.root).expect(13).stdout
    assert "error: DBM102" in checked
    assert "not run (the leaf migrations conflict (DBM102)): DBM101" in checked


def test_leaves_that_fit_together_leave_the_changes_of_other_apps_to_be_found(tmp_path: Path) -> None:
    files = simple_app()
    for name in ("0002_one", "0002_other"):
        files[f"migrations/{name}.py"] = migration("migrations.RunSQL('')", after=(("core", "0001_initial"),))
    changed = simple_app(**{"models.py": model("Item", "other = models.TextField()")})
    project = write_project(tmp_path, {"core": files, "more": changed})

    checked = dbmigrate("check", cwd=project.root).expect(13).stdout

    assert "DBM102" in checked
    assert "DBM101" in checked
    assert "not run" not in checked
