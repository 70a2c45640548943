"""Forked and spawned steps: what they do is the same, and what differs is known."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from support.background import is_alive, start, until
from support.cli import EXECUTABLE, Outcome, clean_environment, dbmigrate, looks
from support.projects import (
    Project,
    applied,
    create,
    everywhere,
    failing,
    migration,
    model,
    numbered,
    simple_app,
    waiting_project,
    write_project,
)
from support.sites import ENGINES, Site

FORKED_FIRST = {
    "test_exit_handlers_run_and_threads_are_waited_for",
    "test_the_end_of_a_child_is_heard_where_the_system_does_not_report_it",
    "test_how_a_child_ends_is_told_in_a_project_that_ignores_the_ends_of_children",
    "test_children_that_have_ended_are_not_kept_until_the_end_of_the_run",
    "test_the_random_numbers_of_two_children_differ",
    "test_a_connection_that_was_opened_at_import_is_not_shared",
    "test_a_manage_that_does_more_than_it_should",
    "test_what_settings_do_to_the_process_is_so_in_a_migration_too",
    "test_a_failing_urlconf_fails_the_step_in_its_own_words",
    "test_a_manage_that_changes_directory_and_environment",
    "test_ten_thousand_lines_and_a_grandchild_that_holds_the_pipe",
    "test_what_a_copy_cannot_have_makes_steps_spawned_and_info_says_why",
    "test_few_open_files_are_enough_for_a_few_databases",
    "test_too_few_processes_are_the_right_result_or_one_error",
    "test_memory_does_not_grow_with_what_a_child_prints",
    "test_a_failure_is_told_with_its_traceback",
    "test_a_migration_sees_the_command_its_folder_and_an_empty_stdin",
    "test_a_run_that_has_waited_and_finds_everything_done_imports_no_urls",
    "test_too_few_open_files_for_all_at_once_are_enough_one_after_the_other",
    "test_too_few_open_files_for_the_locks_is_one_error_and_nothing_is_touched",
    "test_urls_that_ask_the_database_are_not_imported_by_who_only_looks",
    "test_urls_that_start_a_thread_are_known_to_info_and_to_the_plan",
    "test_who_only_looks_needs_no_copy",
}
"""What a fresh process does by itself and a copy has to be made to do, and what is the same code for both: spawned ones
show it in `make soak`."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run every test with both launchers."""
    is_for_soak = metafunc.function.__name__ in FORKED_FIRST
    spawn = pytest.param("spawn", marks=pytest.mark.soak if is_for_soak else ())
    metafunc.parametrize("launcher", ["fork", spawn])


def project_with(folder: Path, body: str, **more: Any) -> Project:
    """Return a project with a migration that runs this body of a function."""
    head = "\n\ndef act(apps, schema_editor):\n" + indented(body)
    app = {
        "models.py": model(),
        "migrations/0001_initial.py": migration(create(), "migrations.RunPython(act)", head=head),
    }
    return write_project(folder / "site", {"core": app}, **more)


def run(project: Project, launcher: str, *arguments: str) -> Outcome:
    return dbmigrate("all", "--skip-makemigrations", "--launcher", launcher, *arguments, cwd=project.root)


@pytest.mark.soak
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

    assert "[default]   RuntimeError: boom\nerror: 1 of 1 database failed: " in outcome.stderr
    assert "[default] failed: core.0001_initial (exit 1 after" in outcome.stderr


@pytest.mark.soak
def test_however_a_child_ends_it_is_told(tmp_path: Path, launcher: str) -> None:
    project = everywhere(tmp_path / "site", numbered(5))
    head = (
        "import os, sys\n\n\ndef act(apps, schema_editor):\n    {\n"
        "        'default': lambda: os._exit(3),\n"
        "        'db1': lambda: sys.exit('enough'),\n"
        "        'db2': lambda: sys.exit(5),\n"
        "        'db3': lambda: os.kill(os.getpid(), 9),\n"
        "        'db4': lambda: os.execv('/bin/sh', ['sh', '-c', 'exit 6']),\n"
        "    }[schema_editor.connection.alias]()\n"
    )
    project.write("core/migrations/0001_initial.py", migration(create(), "migrations.RunPython(act)", head=head))

    outcome = run(project, launcher, "--keep-going").expect(30)

    ends = {"default": "exit 3", "db1": "exit 1", "db2": "exit 5", "db3": "killed by signal 9", "db4": "exit 6"}
    for alias, said in ends.items():
        assert f"[{alias}] failed: core.0001_initial ({said} after" in outcome.stderr


WITHOUT_PIDFD = """\
import os, sys
del os.pidfd_open
sys.argv[0] = "dbmigrate"
from dbmigrate.__main__ import main
main()
"""
"""dbmigrate on a Python that was built where the system had no such call, as those of uv and conda are."""


@pytest.mark.parametrize(
    ("act", "says"), [("pass", ""), ("os._exit(3)", "exit 3"), ("os.kill(os.getpid(), 9)", "killed")]
)
def test_the_end_of_a_child_is_heard_where_the_system_does_not_report_it(
    tmp_path: Path, launcher: str, act: str, says: str
) -> None:
    project = project_with(tmp_path, f"import os\n{act}")
    words = ("all", "--skip-makemigrations", "--launcher", launcher)

    ended = subprocess.run(
        [sys.executable, "-c", WITHOUT_PIDFD, *words],
        cwd=project.root,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ended.returncode == (30 if says else 0), ended
    assert f"[default] failed: core.0001_initial ({says}" in ended.stderr or not says


def test_how_a_child_ends_is_told_in_a_project_that_ignores_the_ends_of_children(tmp_path: Path, launcher: str) -> None:
    body = "import os, signal\nprint('ignored', signal.getsignal(signal.SIGCHLD))\nos.kill(os.getpid(), signal.SIGKILL)"
    project = project_with(tmp_path, body)
    project.append("site_settings.py", "import signal; signal.signal(signal.SIGCHLD, signal.SIG_IGN)")

    outcome = run(project, launcher, "-v").expect(30)

    assert "ignored Handlers.SIG_IGN" in outcome.stderr or "ignored 1" in outcome.stderr
    assert "[default] failed: core.0001_initial (killed by signal 9 after" in outcome.stderr


def test_children_that_have_ended_are_not_kept_until_the_end_of_the_run(tmp_path: Path, launcher: str) -> None:
    body = (
        "import os, pathlib\n"
        "parent = os.getppid()\n"
        "ended = 0\n"
        "for pid in pathlib.Path(f'/proc/{parent}/task/{parent}/children').read_text().split():\n"
        "    ended += pathlib.Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0] == 'Z'\n"
        "print('have ended:', ended)"
    )
    project = everywhere(tmp_path / "site", numbered(8))
    head = "\n\ndef act(apps, schema_editor):\n" + indented(body)
    project.write("core/migrations/0001_initial.py", migration(create(), "migrations.RunPython(act)", head=head))

    outcome = run(project, launcher, "-v", "--jobs", "2").expect(0)

    counts = [int(count) for count in re.findall(r"have ended: (\d+)", outcome.stderr)]
    assert len(counts) == 8
    assert max(counts) <= 3, counts  # those that ran at the same time, and the comparison of the models


@pytest.mark.soak
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


READY = """\
from django.apps import AppConfig


class CoreConfig(AppConfig):
    name = "core"

    def ready(self):
        {}
"""

THREAD = "import threading; threading.Thread(target=threading.Event().wait, daemon=True).start()"
SOCKET = (
    "import socket; CoreConfig.listener = socket.create_server(('127.0.0.1', 0)); "
    "CoreConfig.connection = socket.create_connection(CoreConfig.listener.getsockname())"
)
SQLITE = "import sqlite3; from django.conf import settings; CoreConfig.own = sqlite3.connect({!r})"


@pytest.mark.soak
@pytest.mark.parametrize(
    ("ready", "reason"),
    [
        (THREAD, "the project runs 2 threads, of which a copy would have only one"),
        (SOCKET, "the project has opened a connection to 127.0.0.1:"),
        (SQLITE, "the project has opened the file of database default"),
    ],
)
def test_what_a_copy_cannot_have_makes_steps_spawned_and_info_says_why(
    tmp_path: Path, launcher: str, ready: str, reason: str
) -> None:
    database = tmp_path / "site" / "default.sqlite3"
    project = write_project(
        tmp_path / "site", {"core": simple_app(**{"apps.py": READY.format(ready.format(str(database)))})}
    )

    if launcher == "spawn":
        run(project, launcher).expect(0)
        return
    info = dbmigrate("info", cwd=project.root).expect(0)
    outcome = run(project, launcher).expect(2)
    automatic = run(project, "auto").expect(0)

    assert f"launcher = spawn  (each step is a fresh process: {reason}" in info.stdout
    assert "core.0001_initial" in automatic.stderr
    assert f"steps cannot be forked: {reason}" in outcome.stderr


def test_urls_that_start_a_thread_are_known_to_info_and_to_the_plan(tmp_path: Path, launcher: str) -> None:
    project = write_project(tmp_path / "site", {"core": simple_app()}, settings='ROOT_URLCONF = "urls"')
    project.write("urls.py", f"{THREAD}\nurlpatterns = []\n")
    project.database("default").touch()

    info = dbmigrate("info", cwd=project.root).expect(0)
    plan = dbmigrate("plan", "--format", "json", cwd=project.root).expect(0).json["result"]
    outcome = run(project, launcher)

    assert "launcher = spawn  (each step is a fresh process: the project runs 2 threads" in info.stdout
    assert plan["launcher"] == "spawn"
    if launcher == "fork":
        assert "steps cannot be forked: the project runs 2 threads" in outcome.expect(2).stderr
        assert project.database("default").read_bytes() == b""
    else:
        outcome.expect(0)


def test_urls_that_ask_the_database_are_not_imported_by_who_only_looks(tmp_path: Path, launcher: str) -> None:
    project = write_project(tmp_path / "site", {"core": simple_app()}, settings='ROOT_URLCONF = "urls"')
    project.write("urls.py", "from core.models import Item\nurlpatterns = list(Item.objects.all()[:1])\n")

    codes = {"info": 0, "plan": 0, "status": 0, "check": 0, "wait": 0, "verify": 10}
    looks({f"{command} --launcher {launcher}": code for command, code in codes.items()}, cwd=project.root)

    assert not project.database("default").exists()


def test_who_only_looks_needs_no_copy(tmp_path: Path, launcher: str) -> None:
    project = write_project(tmp_path / "site", {"core": simple_app(**{"apps.py": READY.format(THREAD)})})

    looks({f"{command} --launcher {launcher}": 0 for command in ("status", "wait", "check")}, cwd=project.root)


def test_a_run_that_has_waited_and_finds_everything_done_imports_no_urls(tmp_path: Path, launcher: str) -> None:
    project, ready, go = waiting_project(tmp_path)
    log = tmp_path / "imports"
    project.append("site_settings.py", 'ROOT_URLCONF = "urls"')
    project.write("urls.py", f"import os\nprint(os.getppid(), file=open({str(log)!r}, 'a'))\nurlpatterns = []\n")
    words = ("all", "--skip-makemigrations", "--launcher", launcher)

    first = start(project, *words)
    until(ready.exists, "in the migration")
    second = start(project, *words)
    line = next(line for line in second.stdout or () if "Waiting for the lock" in line)
    go.touch()
    said = [process.communicate(timeout=60)[0] for process in (first, second)]

    assert [process.returncode for process in (first, second)] == [0, 0], [line, *said]
    assert "Nothing pending" in said[1]
    assert {int(parent) for parent in log.read_text().split()} == {first.pid}


@pytest.mark.parametrize("engine", ENGINES)
def test_a_connection_that_was_opened_at_import_is_not_shared(
    engine: str, site: Callable[..., Site], launcher: str
) -> None:
    ready = "from django.db import connection; connection.ensure_connection()"
    here = site(engine, simple_app(**{"apps.py": READY.format(ready)}))

    outcome = dbmigrate("all", "--launcher", launcher, cwd=here.project.root).expect(0)

    assert "Migrations completed for default" in outcome.stderr
    assert here.recorded() == {"core.0001_initial": 1, "more.0001_initial": 1}


MANAGES = {
    "ends by os._exit": ("", "import os; os._exit(0)"),
    "wraps stdout": ("import io; sys.stdout = io.TextIOWrapper(sys.stdout.buffer, encoding='utf-8')", ""),
    "sends stdout to a file": ("sys.stdout = open('log', 'a')", ""),
    "has a child that ends before the command": (
        "child = os.fork()\nif child == 0:\n    sys.exit(9)\nos.waitpid(child, 0)",
        "",
    ),
    "has a child that ends otherwise": (
        "",
        "child = os.fork()\nif child == 0:\n    sys.exit(9)\nos.waitpid(child, 0)",
    ),
    "catches everything": ("try:", "except BaseException as error: raise SystemExit(getattr(error, 'code', 1))"),
}


@pytest.mark.parametrize("name", MANAGES)
def test_a_manage_that_does_more_than_it_should(tmp_path: Path, launcher: str, name: str) -> None:
    before, after = MANAGES[name]
    project = write_project(tmp_path / "site", {"core": simple_app()})
    indent = "    " if before == "try:" else ""
    project.write(
        "manage.py",
        "import os, sys\n"
        'os.environ.setdefault("DJANGO_SETTINGS_MODULE", "site_settings")\n'
        "from django.core.management import execute_from_command_line\n"
        f"{before}\n{indent}execute_from_command_line(sys.argv)\n{after}\n",
    )

    outcome = run(project, launcher).expect(0)

    assert "All migrations completed successfully" in outcome.stdout
    assert applied(project.database("default")) == ["core.0001_initial"]
    if "file" in name:
        assert "Applying core.0001_initial... OK" in (project.root / "log").read_text()


def test_what_settings_do_to_the_process_is_so_in_a_migration_too(tmp_path: Path, launcher: str) -> None:
    body = "import os, sys\nprint('seen', os.getcwd(), os.environ['PLACE'], type(sys.stdout).__name__)"
    project = project_with(tmp_path, body)
    (project.root / "deep").mkdir()
    project.append(
        "site_settings.py",
        """
        import os, sys
        os.chdir(BASE / "deep")
        os.environ["PLACE"] = "by settings"
        class Loud:
            def __init__(self, stream): self.stream = stream
            def write(self, text): return self.stream.write(text)
            def flush(self): self.stream.flush()
            def isatty(self): return False
        sys.stdout = Loud(sys.stdout)
        """,
    )
    manage = (project.root / "manage.py").read_text()
    project.write("manage.py", f"import os\nos.environ['PLACE'] = 'by manage.py'\n{manage}")

    outcome = run(project, launcher, "-v").expect(0)

    assert f"seen {project.root / 'deep'} by settings Loud" in outcome.stderr


def test_a_failing_urlconf_fails_the_step_in_its_own_words(tmp_path: Path, launcher: str) -> None:
    project = write_project(
        tmp_path / "site", {"core": simple_app()}, settings='ROOT_URLCONF = "urls"\n', aliases=("default",)
    )
    project.write("urls.py", "raise RuntimeError('no routes today')")

    outcome = run(project, launcher).expect(30)

    assert "RuntimeError: no routes today" in outcome.stderr
    assert applied(project.database("default")) == []


def limited(project: Project, limit: str, launcher: str, *arguments: str, user: int | None = None) -> Outcome:
    """Run `dbmigrate all` under a limit of the shell's, as another user if there is to be one."""
    words = [str(EXECUTABLE), "all", "--skip-makemigrations", "--launcher", launcher, *arguments]
    command = ["bash", "-c", f'ulimit {limit} && exec "$@"', "-", *words]
    if user is not None:
        # Root is bound by no number of processes. The files may be such as only root can read.
        caps = "+dac_override,+dac_read_search"
        change = ("setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", f"--inh-caps={caps}")
        command = [*change, f"--ambient-caps={caps}", *command]
    ended = subprocess.run(
        command,
        cwd=project.root,
        env=clean_environment(HOME=str(project.root)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    if user is not None:
        # One that has ended counts until init has seen that its parent ended before it.
        until(lambda: user not in _users(), "without a process of this user")
    return Outcome(tuple(command), project.root, ended.returncode, ended.stdout, ended.stderr)


def _users() -> set[int]:
    """Return who has a process."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(FileNotFoundError):
            found.add(folder.stat().st_uid)
    return found


@pytest.mark.soak
def test_few_open_files_are_enough_for_a_few_databases(tmp_path: Path, launcher: str) -> None:
    project = everywhere(tmp_path / "site", numbered(3))

    limited(project, "-n 64", launcher).expect(0)

    assert all("core.0001_initial" in applied(project.database(alias)) for alias in ("default", "db1", "db2"))


@pytest.mark.soak
def test_too_few_open_files_for_all_at_once_are_enough_one_after_the_other(tmp_path: Path, launcher: str) -> None:
    project = everywhere(tmp_path / "site", numbered(3))
    ends = {}
    for most in (6, 14, 16, 17, 18, 19, 24):
        for file in project.root.glob("*.sqlite3"):
            file.unlink()
        outcome = limited(project, f"-n {most}", launcher)
        ends[most] = outcome.code
        done = [project.database(alias).exists() for alias in ("default", "db1", "db2")]
        assert "Exception" not in outcome.stderr, outcome
        assert len(verdicts(outcome.stderr)) == (1 if outcome.code else 0), outcome
        assert done == [not outcome.code] * 3, outcome

    assert (ends[6], ends[24]) == (3, 0)


@pytest.mark.soak
def test_too_few_open_files_for_the_locks_is_one_error_and_nothing_is_touched(tmp_path: Path, launcher: str) -> None:
    project = everywhere(tmp_path / "site", numbered(80))

    outcome = limited(project, "-n 64", launcher).expect(20)

    assert "Too many open files: each database needs one open file (nothing was changed)" in outcome.stderr
    assert "hint: raise the number of open files: ulimit -n 1024" in outcome.stderr
    assert not list(project.root.glob("*.sqlite3"))


@pytest.mark.soak
@pytest.mark.skipif(
    os.getuid() != 0 or shutil.which("setpriv") is None, reason="only root may become a user whom the limit binds"
)
@pytest.mark.parametrize(
    "limits", [(1, 4, 12), pytest.param(range(1, 13), marks=pytest.mark.soak)], ids=["some", "all"]
)
def test_too_few_processes_are_the_right_result_or_one_error(
    tmp_path: Path, launcher: str, limits: Sequence[int]
) -> None:
    project = everywhere(tmp_path / "site", numbered(3))
    user = 50_000 + os.getpid() % 10_000  # nobody else's processes count
    ends = {}
    for most in limits:
        for file in project.root.glob("*.sqlite3"):
            file.unlink()
        outcome = limited(project, f"-u {most}", launcher, user=user)
        ends[most] = outcome.code
        assert "Traceback" not in outcome.stderr, outcome
        assert "bug in dbmigrate" not in outcome.stderr, outcome
        if outcome.code:
            assert len(verdicts(outcome.stderr)) == 1, outcome
        else:
            assert all("core.0001_initial" in applied(project.database(alias)) for alias in ("default", "db1", "db2"))

    assert ends[1] != 0
    assert ends[12] == 0


@pytest.mark.soak
def test_a_host_that_is_killed_while_three_children_run(tmp_path: Path, launcher: str) -> None:
    body = (
        "import os, pathlib, time\n"
        "alias = schema_editor.connection.alias\n"
        f"here = pathlib.Path({str(tmp_path)!r})\n"
        "if alias != 'default':\n"
        "    (here / alias).write_text(f'{os.getpid()}')\n"
        "    while not (here / 'go').exists():\n"
        "        time.sleep(0.05)"
    )
    app = {
        "models.py": model(),
        "migrations/0001_initial.py": migration(
            create(), "migrations.RunPython(act)", head="\n\ndef act(apps, schema_editor):\n" + indented(body)
        ),
    }
    project = everywhere(tmp_path / "site", numbered(5))
    for path, text in app.items():
        project.write(f"core/{path}", text)
    process = start(project, "all", "--skip-makemigrations", "--launcher", launcher, "--jobs", "3")
    files = [tmp_path / alias for alias in ("db1", "db2", "db3")]
    until(lambda: all(file.exists() and file.read_text() for file in files), "three migrations run")

    os.kill(host_of(process.pid), signal.SIGKILL)
    if launcher == "fork":
        children = [int(file.read_text()) for file in files]
        until(lambda: not any(is_alive(child) for child in children), "ended with the host", seconds=20)
    (tmp_path / "go").touch()
    output, _ = process.communicate(timeout=60)

    assert process.returncode == 31, output
    said = "error: the databases could not be checked after the run (the process that had booted the project has ended"
    assert [line for line in verdicts(output) if line.startswith(said)] == verdicts(output) != [], output
    if launcher == "fork":
        assert applied(project.database("db1")) == []
        assert not project.database("db4").exists()  # nothing starts without the locks


def verdicts(text: str) -> list[str]:
    """Return the errors but those of single steps."""
    return re.findall(r"^error: (?!default: |db\d+: ).*", text, re.M)


def indented(body: str) -> str:
    return "".join(f"    {line}\n" for line in body.splitlines())


def host_of(pid: int) -> int:
    """Return the process id of the host of a dbmigrate."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == pid and b"\0host\0" in (folder / "cmdline").read_bytes():
                return int(folder.name)
        except (FileNotFoundError, ProcessLookupError):
            continue
    raise AssertionError("no host")


@pytest.mark.soak
@pytest.mark.parametrize("megabytes", [8, pytest.param(20, marks=pytest.mark.soak)])
def test_memory_does_not_grow_with_what_a_child_prints(tmp_path: Path, launcher: str, megabytes: int) -> None:
    body = "import sys\nline = 'x' * 199 + chr(10)\nfor _ in range({}):\n    sys.stdout.write(line * 50)"
    peaks = []
    for name, blocks in (("little", 1), ("much", megabytes * 100)):
        project = project_with(tmp_path / name, body.format(blocks))
        process = start(project, "all", "--skip-makemigrations", "--launcher", launcher)
        peaks.append(peak_kilobytes(process))
        assert process.returncode == 0

    assert peaks[1] < peaks[0] + megabytes * 600, peaks


def peak_kilobytes(process: subprocess.Popen[str]) -> int:
    """Wait for the end of a process and return the most memory it had, its children not counted."""
    peak = 0
    reader = threading.Thread(target=process.communicate)
    reader.start()
    while reader.is_alive():
        try:
            status = Path(f"/proc/{process.pid}/status").read_text()
        except (FileNotFoundError, ProcessLookupError):
            status = ""
        peak = max([peak, *(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))])
        reader.join(0.02)
    return peak


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
