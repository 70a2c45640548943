"""Forked and spawned steps: what they do is the same, and what differs is known."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
from support.background import is_alive, start, until
from support.cli import Outcome, dbmigrate
from support.projects import Project, applied, create, failing, migration, model, simple_app, write_project

LAUNCHERS = ("fork", "spawn")

pytestmark = pytest.mark.parametrize("launcher", LAUNCHERS)


def project_with(folder: Path, body: str, **more: Any) -> Project:
    """Return a project with a migration that runs this body of a function."""
    head = "\n\ndef act(apps, schema_editor):\n" + "".join(f"    {line}\n" for line in body.splitlines())
    app = {
        "models.py": model(),
        "migrations/0001_initial.py": migration(create(), "migrations.RunPython(act)", head=head),
    }
    return write_project(folder / "site", {"core": app}, **more)


def run(project: Project, launcher: str, *arguments: str) -> Outcome:
    return dbmigrate("all", "--skip-makemigrations", "--launcher", launcher, *arguments, cwd=project.root)


def test_the_sample_ends_in_the_same_tables_and_the_same_report(sample: Project, launcher: str) -> None:
    report = run(sample, launcher, "--format", "json").expect(0).json["result"]["run"]

    assert {database["alias"]: len(database["applied"]) for database in report["databases"]} == {
        "default": 33,
        "blog_db": 6,
        "shop_db": 5,
    }
    assert "blog_post" in sample.tables()["blog"]
    assert "auth_user" not in sample.tables()["blog"]


def test_a_migration_sees_the_command_its_folder_and_an_empty_stdin(tmp_path: Path, launcher: str) -> None:
    body = "import os, sys\nprint('seen', sys.argv[1:], os.getcwd(), repr(sys.stdin.read()))"

    outcome = run(project_with(tmp_path, body), launcher, "-v").expect(0)

    assert f"seen ['migrate', '--database=default', '--no-input'] {tmp_path / 'site'} ''" in outcome.stderr


def test_exit_handlers_run_and_threads_are_waited_for(tmp_path: Path, launcher: str) -> None:
    body = (
        "import atexit, pathlib, threading, time\n"
        f"here = pathlib.Path({str(tmp_path)!r})\n"
        "atexit.register(lambda: (here / 'handled').touch())\n"
        "threading.Thread(target=lambda: (time.sleep(0.3), (here / 'waited').touch())).start()"
    )

    run(project_with(tmp_path, body), launcher).expect(0)

    assert (tmp_path / "handled").exists()
    assert (tmp_path / "waited").exists()


def test_a_failure_is_told_with_its_traceback(tmp_path: Path, launcher: str) -> None:
    app = {"models.py": model(), "migrations/0001_initial.py": migration("migrations.RunPython(fail)", head=failing())}
    project = write_project(tmp_path / "site", {"core": app})

    outcome = run(project, launcher).expect(30)

    assert outcome.stderr.rstrip().endswith("RuntimeError: boom")
    assert "[default] failed: core.0001_initial (exit 1 after" in outcome.stderr


@pytest.mark.parametrize(
    ("end", "said"),
    [
        ("os._exit(3)", "exit 3 after"),
        ("sys.exit('enough')", "exit 1 after"),
        ("sys.exit(5)", "exit 5 after"),
        ("os.kill(os.getpid(), 9)", "killed by signal 9 after"),
    ],
)
def test_however_a_child_ends_it_is_told(tmp_path: Path, launcher: str, end: str, said: str) -> None:
    outcome = run(project_with(tmp_path, f"import os, sys\n{end}"), launcher).expect(30)

    assert f"[default] failed: core.0001_initial ({said}" in outcome.stderr


def test_ten_thousand_lines_and_a_grandchild_that_holds_the_pipe(tmp_path: Path, launcher: str) -> None:
    body = (
        "import subprocess, sys\n"
        "for number in range(10000):\n"
        "    print('line', number)\n"
        "    print('line', number, file=sys.stderr)\n"
        "subprocess.Popen(['sleep', '30'])"
    )

    outcome = run(project_with(tmp_path, body), launcher, "-v").expect(0)

    assert outcome.stderr.count("  line 9999") == 2


def test_the_random_numbers_of_two_children_differ(tmp_path: Path, launcher: str) -> None:
    body = "import random\nprint('drawn', random.random())"
    project = project_with(tmp_path, body, aliases=("default", "copy"), settings="DATABASE_ROUTERS = ['r.R']")
    project.write("r.py", "class R:\n    def allow_migrate(self, db, app_label, **hints):\n        return True\n")

    outcome = run(project, launcher, "-v").expect(0)

    drawn = [line.rpartition("drawn ")[2].split("...")[0] for line in outcome.stderr.splitlines() if "drawn " in line]
    assert len(set(drawn)) == 2


def test_a_kill_of_dbmigrate_ends_the_child(tmp_path: Path, launcher: str) -> None:
    body = (
        "import os, pathlib, time\n"
        f"pathlib.Path({str(tmp_path / 'pid')!r}).write_text(str(os.getpid()))\n"
        "time.sleep(60)"
    )
    project = project_with(tmp_path, body)
    process = start(project, "all", "--skip-makemigrations", "--launcher", launcher)
    until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text(), "in the migration")

    process.send_signal(signal.SIGKILL)
    process.communicate()

    child = int((tmp_path / "pid").read_text())
    until(lambda: not is_alive(child), "ended", seconds=10)
    assert applied(project.database("default")) == []


def test_a_project_with_threads_is_spawned_and_info_says_why(tmp_path: Path, launcher: str) -> None:
    project = write_project(tmp_path / "site", {"core": simple_app()})
    project.append(
        "site_settings.py", "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()"
    )

    info = dbmigrate("info", cwd=project.root).expect(0)
    outcome = run(project, launcher)

    assert "launcher = spawn  (each step is a fresh process: the project runs 2 threads" in info.stdout
    if launcher == "fork":
        assert "steps cannot be forked: the project runs 2 threads" in outcome.expect(2).stderr
    else:
        outcome.expect(0)


def test_a_manage_that_changes_directory_and_environment(tmp_path: Path, launcher: str) -> None:
    body = "import os\nprint('seen', os.environ['SITE'], os.getcwd())"
    project = project_with(tmp_path, body)
    manage = (project.root / "manage.py").read_text()
    (project.root / "deep").mkdir()
    project.write("manage.py", f"import os\nos.environ['SITE'] = 'here'\nos.chdir('deep')\n{manage}")

    outcome = run(project, launcher, "-v").expect(0)

    assert f"seen here {project.root / 'deep'}" in outcome.stderr


def test_makemigrations_is_a_step_too_and_its_files_are_seen(tmp_path: Path, launcher: str) -> None:
    project = write_project(tmp_path / "site", {"core": simple_app()}, aliases=("default",))
    project.append("site_settings.py", f"open({str(tmp_path / 'boots')!r}, 'a').write('x')")
    project.write("core/models.py", model("Item", "name = models.CharField(max_length=30)"))

    outcome = dbmigrate("all", "--launcher", launcher, cwd=project.root).expect(0)

    assert "Migrations written: core.0002_alter_item_name" in outcome.stderr
    assert "core.0002_alter_item_name" in applied(project.database("default"))
    boots = len((tmp_path / "boots").read_text())
    assert boots == (1 if launcher == "fork" else 3)
