"""Projects as they really are: what they do while they are loaded must neither break dbmigrate nor be broken by it."""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest
from support.cli import dbmigrate
from support.environments import environment
from support.projects import Project, applied, create, migration, simple_app, write_project

FIRST = (("core", "0001_initial"),)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Return a project with one app and one database."""
    return write_project(tmp_path / "site", {"core": simple_app()})


def assert_migrated(project: Project, *arguments: str, cwd: Path | None = None, **variables: str) -> None:
    """Run `all` and expect the app's table."""
    outcome = dbmigrate("all", "--format", "json", *arguments, cwd=cwd or project.root, environment=variables)

    assert outcome.expect(0).json["exit"]["name"] == "ok"
    assert applied(project.database("default")) == ["core.0001_initial"], outcome


def test_settings_that_print_and_log(project: Project) -> None:
    project.append(
        "site_settings.py",
        """\
        import sys
        print("a banner " * 1000)
        sys.stderr.write("a warning " * 10_000)
        sys.__stdout__.write("{not json}")
        """,
    )

    assert_migrated(project)


def test_settings_that_look_at_the_command(project: Project) -> None:
    project.append("site_settings.py", "import sys\nassert sys.argv[1] in ('migrate', 'makemigrations'), sys.argv")

    assert_migrated(project)


def test_a_manage_py_that_sets_what_the_settings_need(project: Project) -> None:
    text = (project.root / "manage.py").read_text()
    project.write("manage.py", f"import os, sys\nos.environ['VAULT'] = 'open'\nsys.path.append('extra')\n{text}")
    project.write("extra/only_by_path.py", "WORD = 'here'")
    project.append("site_settings.py", "import os, only_by_path\nassert os.environ['VAULT'] == 'open'")

    assert_migrated(project)


def test_a_manage_py_that_calls_the_management_utility_itself(project: Project) -> None:
    project.write(
        "manage.py",
        """\
        import os, sys
        os.environ["DJANGO_SETTINGS_MODULE"] = "site_settings"
        from django.core.management import ManagementUtility
        try:
            ManagementUtility(sys.argv).execute()
        except Exception:
            sys.exit("caught")
        """,
    )

    assert_migrated(project)


def test_packages_of_the_project_that_are_named_like_parts_of_dbmigrate(project: Project) -> None:
    for name in ("config", "host", "sql", "graph", "boot"):
        project.write(f"{name}.py", f"WHOSE = 'the project: {name}'")
    project.append(
        "site_settings.py",
        "import config, host, sql, graph, boot\n"
        "assert {m.WHOSE[:11] for m in (config, host, sql, graph, boot)} == {'the project'}",
    )

    assert_migrated(project)


def test_a_safe_path(project: Project) -> None:
    text = (project.root / "manage.py").read_text()
    project.write("manage.py", f"import os, sys\nsys.path.insert(0, os.path.dirname(__file__))\n{text}")

    assert_migrated(project, PYTHONSAFEPATH="1")


def test_from_another_folder(project: Project, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()

    assert_migrated(project, "--project", str(project.root), cwd=elsewhere)


def test_from_a_folder_below_and_with_a_path_relative_to_it(project: Project) -> None:
    below = project.root / "deep" / "down"
    below.mkdir(parents=True)
    project.append("site_settings.py", 'DATABASES["default"]["NAME"] = "relative.sqlite3"')

    dbmigrate("all", cwd=below).expect(0)

    assert applied(below / "relative.sqlite3") == ["core.0001_initial"]


def test_another_script_with_words_before_djangos_own(project: Project) -> None:
    project.write(
        "tools/kiosk.py",
        """\
        import os, sys
        here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        sys.path.insert(0, here)
        os.environ["DJANGO_SETTINGS_MODULE"] = "site_settings"
        assert sys.argv[1] == "manage", sys.argv
        from django.core.management import execute_from_command_line
        execute_from_command_line(sys.argv[1:])
        """,
    )
    (project.root / "manage.py").unlink()

    assert_migrated(project, "--manage", "tools/kiosk.py manage")


def test_a_script_without_suffix_is_not_where_it_was_raised(project: Project) -> None:
    project.write("shop-server", (project.root / "manage.py").read_text())
    project.write("core/migrations/0002_fails.py", migration("migrations.RunSQL('nonsense')", after=FIRST))

    outcome = dbmigrate("all", "--manage", "shop-server", cwd=project.root).expect(31)

    assert "shop-server migrate --database=default" in outcome.stderr
    assert "raised at" not in outcome.stderr


@pytest.mark.parametrize("launcher", ["fork", pytest.param("spawn", marks=pytest.mark.soak)])
def test_a_package_that_is_run_as_a_module(project: Project, launcher: str) -> None:
    project.write("kiosk/__init__.py", "")
    project.write("kiosk/__main__.py", (project.root / "manage.py").read_text())
    (project.root / "manage.py").unlink()

    planned = dbmigrate("plan", "--manage", "-m kiosk", cwd=project.root).expect(0)
    assert_migrated(project, "--manage", "-m kiosk", "--launcher", launcher)

    assert "python -m kiosk migrate --database=default --no-input" in planned.stdout


def test_a_script_of_the_interpreters_bin(project: Project, tmp_path: Path) -> None:
    bin_folder = tmp_path / "venv" / "bin"
    bin_folder.mkdir(parents=True)
    (bin_folder / "python").symlink_to(sys.executable)
    (bin_folder.parent / "pyvenv.cfg").write_text((Path(sys.prefix) / "pyvenv.cfg").read_text())
    library = Path("lib") / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    (bin_folder.parent / library.parent).mkdir(parents=True)
    (bin_folder.parent / library).symlink_to(Path(sys.prefix) / library)
    text = (project.root / "manage.py").read_text()
    (bin_folder / "shop-server").write_text(
        f"#!{bin_folder}/python\nimport sys\nsys.path.insert(0, {str(project.root)!r})\n{text}"
    )
    (project.root / "manage.py").unlink()

    assert_migrated(project, "--manage", "shop-server", "--python", str(bin_folder / "python"))


def test_no_manage_py_but_settings(project: Project) -> None:
    (project.root / "manage.py").unlink()

    assert_migrated(project, "--settings", "site_settings")


@pytest.mark.parametrize(
    ("words", "called", "settings"),
    [
        (("--manage", "kiosk.py manage"), "kiosk.py manage", ""),
        (("--settings", "site_settings"), "python -m django", " --settings=site_settings"),
    ],
    ids=["another-script", "no-script"],
)
def test_what_is_shown_is_the_command_that_is_called(
    project: Project, words: tuple[str, ...], called: str, settings: str
) -> None:
    project.write("kiosk.py", (project.root / "manage.py").read_text().replace("sys.argv)", "sys.argv[1:])"))
    (project.root / "manage.py").unlink()
    project.write("core/migrations/0002_fails.py", migration("migrations.RunSQL('nonsense')", after=FIRST))
    fails = dbmigrate("all", *words, cwd=project.root).expect(31)
    project.write("core/migrations/0002_fails.py", migration(after=FIRST))
    with closing(sqlite3.connect(project.database("default"))) as connection, connection:
        connection.execute("UPDATE django_migrations SET name = '0002_fails'")

    planned = dbmigrate("plan", *words, "--app", "core", cwd=project.root)
    checked = dbmigrate("check", *words, cwd=project.root).expect(13)

    assert f"{called.replace('python', '')} migrate --database=default --no-input{settings}" in fails.stderr
    assert f"/{called} shell{settings} -c " in planned.stderr
    assert f"/{called} shell{settings} -c " in checked.stdout
    assert "manage.py" not in fails.stderr + planned.stderr + checked.stdout


def test_settings_from_the_environment(project: Project) -> None:
    project.write("other_settings.py", "from site_settings import *\nWORD = 'other'")
    text = (project.root / "manage.py").read_text()
    project.write("manage.py", text.replace("site_settings", "missing_settings"))

    assert_migrated(project, DJANGO_SETTINGS_MODULE="other_settings")


def test_settings_from_the_configuration_and_who_wins(project: Project) -> None:
    project.write("pyproject.toml", '[tool.dbmigrate]\nsettings = "a"\njobs = 3\n')
    variables = {"DBMIGRATE_SETTINGS": "b", "DBMIGRATE_JOBS": "2"}

    outcome = dbmigrate(
        "info", "--settings", "site_settings", "--format", "json", cwd=project.root, environment=variables
    ).expect(0)

    rows = {row["key"]: (row["value"], row["origin"]) for row in outcome.json["result"]["configuration"]}
    assert rows["settings"] == ("site_settings", "--settings")
    assert rows["jobs"] == (2, "DBMIGRATE_JOBS")
    assert rows["scope"] == ("app", "default")


def test_an_environment_beside_manage_py_is_preferred_to_our_own(project: Project) -> None:
    (project.root / ".venv").symlink_to(sys.prefix)

    outcome = dbmigrate("info", "--format", "json", cwd=project.root).expect(0)

    choices = {row["key"]: row for row in outcome.json["result"]["choices"]}
    assert choices["python"] == {
        "key": "python",
        "value": str(project.root / ".venv/bin/python"),
        "origin": ".venv next to manage.py",
    }


LAUNCHERS = ["fork", pytest.param("spawn", marks=pytest.mark.soak)]
"""A copy has to do again what manage.py and the settings did; a fresh process does it by itself."""

MANAGE_OF = """\
import os, sys
{head}
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "{settings}")
if __name__ == "__main__":
    from {module} import execute_from_command_line
    execute_from_command_line(sys.argv)
"""


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_settings_made_by_a_class_in_a_package_named_config(project: Project, launcher: str) -> None:
    project.write("config/__init__.py", "")
    project.write(
        "config/settings.py",
        """\
        from pathlib import Path
        from configurations import Configuration, values

        class Dev(Configuration):
            SECRET_KEY = "x"
            INSTALLED_APPS = ["core"]
            DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
            DATABASES = values.DatabaseURLValue(f"sqlite:///{Path(__file__).parents[1]}/default.sqlite3")
        """,
    )
    head = 'os.environ.setdefault("DJANGO_CONFIGURATION", "Dev")'
    project.write(
        "manage.py", MANAGE_OF.format(head=head, settings="config.settings", module="configurations.management")
    )

    assert_migrated(project, "--python", environment("settings-tools"), "--launcher", launcher)


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_settings_made_by_dynaconf(project: Project, launcher: str) -> None:
    project.write("site_settings.py", "import dynaconf\nsettings = dynaconf.DjangoDynaconf(__name__)")
    project.write(
        "settings.toml",
        f"""\
        [default]
        SECRET_KEY = "x"
        INSTALLED_APPS = ["core"]
        DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
        [default.DATABASES.default]
        ENGINE = "django.db.backends.sqlite3"
        NAME = "{project.database("default")}"
        """,
    )

    assert_migrated(project, "--python", environment("settings-tools"), "--launcher", launcher)


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_databases_given_by_urls_in_a_dotenv_file_that_manage_py_loads(project: Project, launcher: str) -> None:
    project.write(".env", f"DATABASE_URL=sqlite:///{project.database('default')}")
    project.append(
        "site_settings.py",
        """\
        import dj_database_url, os
        DATABASES = {"default": dj_database_url.parse(os.environ["DATABASE_URL"])}
        """,
    )
    head = (
        'from dotenv import load_dotenv\nload_dotenv(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".env"))'
    )
    manage = MANAGE_OF.format(head=head, settings="site_settings", module="django.core.management")
    project.write("manage.py", manage)

    assert_migrated(project, "--python", environment("settings-tools"), "--launcher", launcher)


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_a_django_that_can_be_imported_only_after_the_projects_own_package(project: Project, launcher: str) -> None:
    packages = next(Path(environment("django32")).parents[1].glob("lib/python3*/site-packages"))
    project.write("shopkit/__init__.py", f"import sys\nsys.path.append({str(packages)!r})")
    text = (project.root / "manage.py").read_text()
    project.write("manage.py", f"import shopkit\n{text}")

    assert_migrated(project, "--python", environment("no-django"), "--launcher", launcher)


def test_routers_that_answer_only_when_the_apps_are_there_and_call_their_parameter_otherwise(project: Project) -> None:
    project.write(
        "late.py",
        """\
        class Late:
            def allow_migrate(self, using, app_label, **hints):
                from django.apps import apps
                return apps.get_app_config(app_label) is not None and using == "default"
        """,
    )
    project.append("site_settings.py", "import late\nDATABASE_ROUTERS = [late.Late()]")

    assert_migrated(project)


def test_a_child_sees_what_a_person_would_start(project: Project) -> None:
    project.append("site_settings.py", "import sys\nprint('argv', sys.argv)")

    outcome = dbmigrate("all", "-v", "--launcher", "spawn", cwd=project.root).expect(0)

    assert f"argv ['{project.root}/manage.py', 'migrate', '--database=default', '--no-input']" in outcome.stderr


def test_a_password_in_the_settings_is_nowhere_in_the_output(tmp_path: Path) -> None:
    entry = {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": "default.sqlite3",
        "PASSWORD": "s3cr3t/w%rd",
    }
    leak = (
        "def leak(apps, schema_editor):\n"
        "    print(schema_editor.connection.settings_dict)\n    raise ValueError('{}')\n"
    )
    head = leak.format("postgres://me:s3cr3t%2Fw%25rd@host/db")
    app = {**simple_app(), "migrations/0001_initial.py": migration(create(), "migrations.RunPython(leak)", head=head)}
    project = write_project(tmp_path, {"core": app}, aliases={"default": entry})

    for arguments in (("-v",), ("--format", "json")):
        outcome = dbmigrate("all", *arguments, cwd=project.root).expect(30)
        assert "s3cr3t" not in outcome.stdout + outcome.stderr
        assert "***" in outcome.stdout + outcome.stderr
