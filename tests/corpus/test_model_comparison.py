"""Models are held against the migrations in a copy of the host, where that is safe: nobody can tell from the answer."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.cli import EXECUTABLE, clean_environment, dbmigrate, manage
from support.projects import Project, create, migration, write_project

FIELD = """\
from django.db import models

HOST = {host}


class Watched(models.CharField):
    def deconstruct(self):
        import os, signal
        with open({file!r}, "a") as log:
            log.write(("host" if os.getpid() == HOST else "copy") + "\\n")
{act}
        return super().deconstruct()


class Item(models.Model):
    name = Watched(max_length=20)
    more = models.IntegerField(default=0)
"""

IN_COPY = "        if os.getpid() != HOST:\n"
CHANGES = ("Add field more to item",)

needs_a_copy = pytest.mark.skipif(
    sys.platform != "linux" or len(os.sched_getaffinity(0)) < 2, reason="copies are made on Linux, for a second CPU"
)


def watched_project(folder: Path, act: str = "", **more: str) -> Project:
    """Return a project whose model lacks a migration, and which writes down where it is looked at."""
    operation = create(field='("name", core.models.Watched(max_length=20))')
    text = FIELD.format(host="__import__('os').getpid()", file=str(folder / "where"), act=act)
    app = {"models.py": text, "migrations/0001_initial.py": migration(operation, head="import core.models"), **more}
    return write_project(folder / "site", {"core": app})


def where(folder: Path) -> set[str]:
    """Return in which processes the models were looked at."""
    return set((folder / "where").read_text().split())


def assert_found(project: Project) -> None:
    """Plan with a change that makemigrations asks about: what it would write is not looked at any more."""
    models = project.root / "core/models.py"
    models.write_text(models.read_text().replace("IntegerField(default=0)", "IntegerField()"))

    refused = dbmigrate("plan", cwd=project.root).expect(11)

    assert "makemigrations needs an answer about app core: It is impossible to add a non-nullable" in refused.stderr
    assert "'more'" in refused.stderr


@needs_a_copy
def test_a_second_cpu_compares_while_the_databases_are_asked(tmp_path: Path) -> None:
    assert_found(watched_project(tmp_path))

    assert where(tmp_path) == {"copy"}


@needs_a_copy
def test_with_one_cpu_the_host_does_both(tmp_path: Path) -> None:
    project = watched_project(tmp_path)
    argv = [str(EXECUTABLE), "plan", "--format", "json"]
    cpu = min(os.sched_getaffinity(0))
    ended = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import os, sys; os.sched_setaffinity(0, [{cpu}]); os.execv(sys.argv[1], sys.argv[1:])",
            *argv,
        ],
        cwd=project.root,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=True,
    )

    assert CHANGES[0] in ended.stdout
    assert where(tmp_path) == {"host"}


def test_a_project_with_a_thread_is_not_copied(tmp_path: Path) -> None:
    thread = "import threading, time\nthreading.Thread(target=time.sleep, args=(3600,), daemon=True).start()\n"
    project = watched_project(tmp_path, **{"threads.py": thread})
    project.append("core/models.py", "import core.threads\n")

    assert_found(project)

    assert where(tmp_path) == {"host"}


@needs_a_copy
def test_where_steps_are_spawned_nothing_is_copied(tmp_path: Path) -> None:
    project = watched_project(tmp_path)
    project.write("pyproject.toml", '[tool.dbmigrate]\nlauncher = "spawn"\n')

    assert_found(project)

    assert where(tmp_path) == {"host"}


@needs_a_copy
@pytest.mark.parametrize("ends", ["it", pytest.param("time", marks=pytest.mark.soak)])
def test_a_project_that_has_its_children_reaped(tmp_path: Path, ends: str) -> None:
    act = IN_COPY + "            __import__('time').sleep(3600)" if ends == "time" else ""
    project = watched_project(tmp_path, act)
    project.append("core/models.py", "import signal\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)\n")

    assert_found(project)

    assert where(tmp_path) == ({"copy"} if ends == "it" else {"copy", "host"})


@needs_a_copy
def test_a_copy_that_is_killed_is_replaced_by_the_host(tmp_path: Path) -> None:
    assert_found(watched_project(tmp_path, IN_COPY + "            os.kill(os.getpid(), signal.SIGKILL)"))

    assert where(tmp_path) == {"copy", "host"}


def test_what_a_field_raises_is_one_clear_error(tmp_path: Path) -> None:
    project = watched_project(tmp_path, "        raise RuntimeError('no such unit')")

    for command in ("plan", "all"):
        outcome = dbmigrate(command, cwd=project.root).expect(3)

        assert "RuntimeError: no such unit" in outcome.stderr
        assert "core/models.py" in outcome.stderr
        assert list(project.root.glob("*sqlite3*")) == []


@needs_a_copy
def test_what_is_pending_and_what_is_missing_come_in_one_run(tmp_path: Path) -> None:
    project = watched_project(tmp_path)

    report = dbmigrate("all", "--format", "json", cwd=project.root).expect(0).json["result"]

    assert [step["app"] for step in report["plan"]["steps"]] == [None]
    assert report["run"]["written"] == ["core.0002_item_more"]
    assert report["run"]["databases"][0]["applied"][-1] == "core.0002_item_more"


@pytest.mark.soak
def test_what_one_app_carries_with_it_is_what_makemigrations_would_write(tmp_path: Path) -> None:
    head = (
        "from django.db import models\n\n\nclass {}(models.Model):\n    to = models.ForeignKey('{}', models.CASCADE)\n"
    )
    apps = {"far": "Far", "near": "Near", "core": "Core", "lone": "Lone"}
    files = {
        label: {"migrations/__init__.py": "", "models.py": head.format(apps[label], to)}
        for label, to in (("core", "near.Near"), ("near", "far.Far"), ("far", "self"), ("lone", "self"))
    }
    project = write_project(tmp_path / "site", files)

    changes = (
        dbmigrate("plan", "--format", "json", cwd=project.root).expect(0).json["result"]["plan"]["make"]["changes"]
    )

    assert {change["app"]: change["carries"] for change in changes} == {
        "core": ["far", "near"],
        "near": ["far"],
        "far": [],
        "lone": [],
    }
    for change in changes:
        written = manage("makemigrations", change["app"], "--dry-run", cwd=project.root).stdout
        assert set(re.findall(r"Migrations for '(\w+)'", written)) == {change["app"], *change["carries"]}


@pytest.mark.soak
@pytest.mark.skipif(sys.platform != "linux", reason="steps are forked on Linux")
def test_a_thread_that_has_just_ended_is_no_thread() -> None:
    code = (
        "import threading\nfrom dbmigrate.inside.steps.fork import count_threads\n"
        "for _ in range(10000):\n    thread = threading.Thread(target=int)\n    thread.start()\n    thread.join()\n"
        "    assert count_threads() == 1\n"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
