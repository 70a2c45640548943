"""The project's own main: what its manage.py does before, around and behind the command."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.background import is_alive, until
from support.cli import Outcome, dbmigrate
from support.projects import (
    Project,
    applied,
    create,
    failing,
    migration,
    model,
    simple_app,
    write_project,
)

LAUNCHERS = ["fork", pytest.param("spawn", marks=pytest.mark.soak)]
"""What comes behind the command in a copy comes by itself in a fresh process."""

HEAD = """\
import os, sys
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "site_settings")
from django.core.management import ManagementUtility, call_command, execute_from_command_line
"""


def project_of(folder: Path, manage: str, **app: str) -> Project:
    """Return a project with two databases, each with one app, and this manage.py after HEAD."""
    project = write_project(
        folder / "site",
        {"core": simple_app(**app), "blog": simple_app()},
        aliases=("default", "blog_db"),
        rules={"blog": "blog_db"},
    )
    project.write("manage.py", HEAD + manage)
    return project


def run(project: Project, launcher: str, *arguments: str) -> Outcome:
    return dbmigrate("all", "--launcher", launcher, *arguments, cwd=project.root)


ONCE = """\
import codecs, logging, pathlib, kit

def main():
    kit.register("price")
    codecs.register_error("kiosk", codecs.ignore_errors)
    def patched(self, *args, call=logging.Logger.info):
        return call(self, *args)
    assert logging.Logger.info.__name__ != "patched", "patched twice"
    logging.Logger.info = patched
    log = open("kiosk.log", "a")
    log.write(f"begin {sys.argv[1]}\\n")
    try:
        execute_from_command_line(sys.argv)
    finally:
        log.write(f"end {sys.argv[1:]}\\n")

main()
"""

KIT = """\
KINDS = []

def register(name):
    assert name not in KINDS, f"{name} is registered already"
    KINDS.append(name)
"""


@pytest.mark.soak
def test_a_main_that_may_run_once_in_a_process_works_on_every_run(tmp_path: Path) -> None:
    ends = {}
    for launcher in ("fork", "spawn"):
        project = project_of(tmp_path / launcher, ONCE)
        project.write("kit.py", KIT)

        first = run(project, launcher, "--format", "json").expect(0).json["result"]["run"]
        project.write("core/models.py", model("Item", "name = models.CharField(max_length=30)"))
        second = run(project, launcher, "--format", "json").expect(0).json["result"]["run"]
        third = run(project, launcher, "--always", "--format", "json").expect(0).json["result"]["run"]

        said = (project.root / "kiosk.log").read_text().splitlines()
        ends[launcher] = (
            [
                [(row["alias"], row["status"], row["applied"], row["remaining"]) for row in report["databases"]]
                for report in (first, second, third)
            ],
            project.tables(),
            [line for line in said if line.startswith("end") and line != "end ['migrate']"],  # that is the host's
        )
        assert said[:2] == ["begin migrate", "end ['migrate', '--database=default', '--no-input']"]

    assert ends["fork"] == ends["spawn"]
    assert ends["fork"][2][2] == "end ['makemigrations', 'core', '--no-input']"


BEHIND = {
    "prints": ("execute_from_command_line(sys.argv)\nprint('behind', sys.argv[1:])", 0, "behind ['migrate', "),
    "is called by sys.exit": ("sys.exit(execute_from_command_line(sys.argv))", 0, "core.0001_initial... OK"),
    "has an exit handler": (
        "import atexit\natexit.register(print, 'handled')\nexecute_from_command_line(sys.argv)",
        0,
        "handled",
    ),
    "ends with a code of its own": ("execute_from_command_line(sys.argv)\nsys.exit(7)", 31, "(exit 7 after"),
    "fails after the command": ("execute_from_command_line(sys.argv)\n1 / 0", 31, "ZeroDivisionError: "),
}


@pytest.mark.parametrize("launcher", LAUNCHERS)
@pytest.mark.parametrize("name", BEHIND)
def test_what_stands_behind_the_command_runs_too(tmp_path: Path, name: str, launcher: str) -> None:
    manage, code, said = BEHIND[name]
    project = project_of(tmp_path, manage)

    outcome = run(project, launcher, "-v").expect(code)

    assert said in outcome.stderr
    assert "core.0001_initial" in applied(project.database("default"))
    assert "dbmigrate/inside" not in outcome.stderr
    if not code:
        assert applied(project.database("blog_db")) == ["blog.0001_initial"]


CATCHES = {
    "says sorry": (
        "try:\n    execute_from_command_line(sys.argv)\n"
        "except RuntimeError as error:\n    print('sorry:', error)\n    sys.exit(9)",
        ("sorry: boom", "(exit 9 after"),
    ),
    "swallows everything": (
        "try:\n    execute_from_command_line(sys.argv)\nexcept BaseException as error:\n    print('never mind', error)",
        ("never mind boom", "core.0001_initial"),
    ),
    "catches nothing": (
        "def main():\n    execute_from_command_line(sys.argv)\n\nmain()",
        ("RuntimeError: boom", "(exit 1 after"),
    ),
}


@pytest.mark.parametrize("launcher", LAUNCHERS)
@pytest.mark.parametrize("name", CATCHES)
def test_what_a_migration_raises_comes_to_manage_py(tmp_path: Path, name: str, launcher: str) -> None:
    manage, said = CATCHES[name]
    first = migration(create(), "migrations.RunPython(fail)", head=failing())
    project = project_of(tmp_path, manage, **{"migrations/0001_initial.py": first})

    outcome = run(project, launcher, "-v").expect(31)

    for words in said:
        assert words in outcome.stderr
    assert "dbmigrate/inside" not in outcome.stderr
    assert "core.0001_initial" not in applied(project.database("default"))


CALLS = {
    "another command before it": (
        "execute_from_command_line([sys.argv[0], 'check'])\nexecute_from_command_line(sys.argv)"
    ),
    "another command before it, and a copy of argv": (
        "argv = list(sys.argv)\nexecute_from_command_line([sys.argv[0], 'check'])\nexecute_from_command_line(argv)"
    ),
    "commands behind it": (
        "execute_from_command_line(sys.argv)\n"
        "execute_from_command_line([sys.argv[0], 'migrate', '--check'])\n"
        "call_command('check')\nprint('checked')"
    ),
    "words of its own": (
        "execute_from_command_line([*sys.argv, '--traceback'])\nassert sys.argv[-1] == '--no-input', sys.argv"
    ),
    "a tuple": "execute_from_command_line(tuple(sys.argv))",
    "no argv": "execute_from_command_line()",
    "a utility of its own": (
        "from django.core.management import load_command_class\n"
        "class Kiosk(ManagementUtility):\n"
        "    def fetch_command(self, subcommand):\n"
        "        return load_command_class('django.core', subcommand)\n"
        "    def execute(self):\n"
        "        print('kiosk')\n        super().execute()\n        print('closed')\n"
        "Kiosk(sys.argv).execute()"
    ),
    "an execute that it patched": (
        "def execute(self, call=ManagementUtility.execute):\n    print('patched')\n    call(self)\n"
        "ManagementUtility.execute = execute\nexecute_from_command_line(sys.argv)"
    ),
    "its own setup": "import django\ndjango.setup()\nexecute_from_command_line(sys.argv)",
    "children that it does not wait for": (
        "import signal\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)\nexecute_from_command_line(sys.argv)"
    ),
}


@pytest.mark.parametrize("launcher", LAUNCHERS)
@pytest.mark.parametrize("name", CALLS)
def test_however_a_main_calls_the_command_each_database_gets_its_own(tmp_path: Path, name: str, launcher: str) -> None:
    project = project_of(tmp_path, CALLS[name])
    # A router that speaks for its own app alone: everything else is kept out of blog_db by the guard router.
    project.write(
        "routers.py",
        """\
        class Router:
            def allow_migrate(self, db, app_label, **hints):
                return db == "blog_db" if app_label == "blog" else None
        """,
    )
    first = migration(create(), after=(("core", "0001_initial"),))
    project.write("blog/migrations/0001_initial.py", first)

    run(project, launcher).expect(0)

    assert project.tables() == {
        "default": {"django_migrations", "core_item"},
        "blog": {"django_migrations", "blog_item"},
    }


def test_a_logger_that_was_made_at_import_is_heard_in_a_migration(tmp_path: Path) -> None:
    head = "from core.models import log\n\ndef act(apps, schema_editor):\n    log.warning('heard')\n"
    project = project_of(
        tmp_path,
        "execute_from_command_line(sys.argv)",
        **{
            "models.py": "import logging\nlog = logging.getLogger(__name__)\n" + model(),
            "migrations/0001_initial.py": migration(create(), "migrations.RunPython(act)", head=head),
        },
    )
    project.append("site_settings.py", "LOGGING = {'version': 1}")

    outcome = run(project, "fork", "-v").expect(0)

    assert "heard" in outcome.stderr


@pytest.mark.soak
def test_a_process_that_main_starts_and_ends_is_no_copys(tmp_path: Path) -> None:
    project = project_of(
        tmp_path,
        "import subprocess\ntunnel = subprocess.Popen(['sleep', '60'])\nprint(tunnel.pid, file=open('pids', 'a'))\n"
        "try:\n    execute_from_command_line(sys.argv)\nfinally:\n    tunnel.kill()\n    print('ended', tunnel.wait())",
    )

    refused = run(project, "fork").expect(2)
    outcome = run(project, "auto", "-v").expect(0)

    reason = "the project has started a process of its own (sleep), which a copy might end"
    assert f"steps cannot be forked: {reason}" in refused.stderr
    assert outcome.stderr.count("ended -9") == 2
    started = [int(pid) for pid in (project.root / "pids").read_text().split()]
    assert len(started) == 4  # the two boots, whose ends manage.py does not see, and the two steps
    until(lambda: not any(is_alive(pid) for pid in started), "ended with the process that had booted")


GUARDED = """\
import atexit, io, logging, pathlib
if os.path.exists("manage.pid"):
    sys.exit("manage.py is already running")
open("manage.pid", "x").close()
log = open("kiosk.log", "a")
log.write(f"begin {sys.argv[1]}\\n")
"""

GUARDS = {
    "exit handler": "atexit.register(os.remove, 'manage.pid')\nexecute_from_command_line(sys.argv)\n",
    "finally": (
        "try:\n    execute_from_command_line(sys.argv)\n"
        "finally:\n    pathlib.Path('manage.pid').unlink(missing_ok=True)\n    log.write('end\\n')\n"
    ),
    "exit handlers that raise and print": (
        "def end():\n    pathlib.Path('manage.pid').unlink(missing_ok=True)\n    raise RuntimeError('handled')\n"
        "atexit.register(end)\natexit.register(print, 'never on stdout')\nexecute_from_command_line(sys.argv)\n"
    ),
}


@pytest.mark.soak
@pytest.mark.parametrize("name", GUARDS)
def test_a_main_that_guards_itself_by_a_file_has_taken_it_away_after_every_command(tmp_path: Path, name: str) -> None:
    project = project_of(tmp_path, GUARDED + GUARDS[name])
    commands = ("plan", 10), ("status", 10), ("info", 0), ("all", 0), ("all", 0), ("verify", 0), ("plan", 0)

    for word, code in commands:
        outcome = dbmigrate(word, cwd=project.root)

        assert outcome.code in (0, code), outcome
        assert "never on stdout" not in outcome.stdout
        assert not (project.root / "manage.pid").exists(), outcome

    assert (project.root / "kiosk.log").read_text().count("begin migrate\n") >= len(commands)
    assert applied(project.database("blog_db")) == ["blog.0001_initial"]


def test_a_main_that_migrates_behind_the_command_does_not_do_it_for_a_plan(tmp_path: Path) -> None:
    behind = (
        "try:\n    execute_from_command_line(sys.argv)\nexcept SystemExit:\n    pass\nopen('behind', 'w').close()\n{}\n"
    )
    for number, again in enumerate(("execute_from_command_line(sys.argv)", "call_command('migrate')")):
        project = project_of(tmp_path / str(number), behind.format(again))

        dbmigrate("plan", cwd=project.root)

        assert (project.root / "behind").exists()
        assert not project.database("default").exists() or not project.tables()["default"]


def test_a_main_that_refuses_a_second_process_refuses_spawned_steps_and_leaves_no_file(tmp_path: Path) -> None:
    project = project_of(tmp_path, GUARDED + GUARDS["finally"])

    refused = run(project, "spawn").expect(30).stderr
    assert "manage.py is already running" in refused
    assert (
        "if the project allows one process of manage.py at a time, no step can be spawned while dbmigrate has it booted"
        in refused
    )
    assert not (project.root / "manage.pid").exists()
    run(project, "auto").expect(0)


def test_a_main_whose_settings_fail_has_taken_its_file_away(tmp_path: Path) -> None:
    project = project_of(tmp_path, GUARDED + GUARDS["finally"])
    project.write("site_settings.py", "1 / 0\n")

    for _ in range(2):
        assert "ZeroDivisionError" in dbmigrate("plan", cwd=project.root).expect(3).stderr
    assert (project.root / "kiosk.log").read_text() == "begin migrate\nend\n" * 2


def test_an_exit_handler_that_hangs_is_ended_behind_the_answer(tmp_path: Path) -> None:
    hangs = (
        "import atexit, time\natexit.register(time.sleep, 3600)\nopen('pid', 'w').write(str(os.getpid()))\n"
        "execute_from_command_line(sys.argv)\n"
    )
    project = project_of(tmp_path, hangs)

    outcome = dbmigrate("plan", "--format", "json", cwd=project.root)

    assert outcome.json["result"]["plan"]
    assert not is_alive(int((project.root / "pid").read_text()))
