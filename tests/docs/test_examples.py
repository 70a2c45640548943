"""The guide is true: every block of every page runs or is read, and the site builds."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.background import read_until, until
from support.cli import EXECUTABLE, clean_environment
from support.documents import blocks, run_console, shell
from support.projects import Project, applied

from dbmigrate.config import find_config_file, merge_settings
from dbmigrate.errors import ExitCode

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").glob("*.md"))
READ_FIRST = [
    page if page.stem == "getting-started" else pytest.param(page, marks=pytest.mark.soak)
    for page in PAGES
    if "```console" in page.read_text()
]
"""The pages with console blocks: the first in `make test`, as the README is; the others in `make soak`."""
ENTRYPOINT = ROOT / "docs/examples/entrypoint.sh"
LANGUAGES = {"", "console", "python", "sh", "text", "toml", "yaml"}


def commands_in(value: Any) -> list[str]:
    """Return every shell command of a YAML document that runs dbmigrate."""
    if isinstance(value, dict):
        own = [" ".join(value["command"])] if isinstance(value.get("command"), list) else []
        return own + [command for part in value.values() for command in commands_in(part)]
    if isinstance(value, list):
        return [command for part in value for command in commands_in(part)]
    is_script = isinstance(value, str) and re.search(r"(^|; )dbmigrate ", value, re.M) is not None
    return [value] if is_script else []


@pytest.mark.soak
@pytest.mark.parametrize("page", READ_FIRST, ids=lambda page: page.stem)
def test_console_blocks_run_and_print_what_stands_there(page: Path, sample: Project) -> None:
    run_console(page.read_text(), sample)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_block_is_of_a_language_that_is_tested(page: Path) -> None:
    assert set(re.findall(r"^```(\w*)$", page.read_text(), re.M)) <= LANGUAGES


@pytest.mark.soak
@pytest.mark.parametrize(
    "document",
    [
        pytest.param(document, id=f"{page.stem}-{number}", marks=pytest.mark.soak if number else ())
        for page in PAGES
        for number, document in enumerate(blocks(page.read_text(), "yaml"))
        if "dbmigrate/dbmigrate" not in document  # the action and the hooks: tests/package/test_action.py
    ],
)
def test_commands_in_manifests_run_in_their_order(document: str, sample: Project) -> None:
    commands = commands_in(yaml.safe_load(document))

    assert commands
    for command in commands:
        ended = shell(command, sample, DJANGO_SETTINGS_MODULE="myproj.settings")
        assert ended.returncode == 0, f"{command}\n{ended.stdout}"
    assert "blog.0004_fill_slugs" in applied(sample.database("blog_db"))


def test_the_job_of_kubernetes_retries_what_is_worth_it() -> None:
    job = yaml.safe_load(blocks((ROOT / "docs/kubernetes.md").read_text(), "yaml")[0])
    (rule,) = job["spec"]["podFailurePolicy"]["rules"]

    retried = {ExitCode.LOCKED, ExitCode.UNREACHABLE, ExitCode.INTERRUPTED, ExitCode.TERMINATED}
    assert set(rule["onExitCodes"]["values"]) == {*ExitCode} - retried - {ExitCode.OK, ExitCode.PENDING}


def test_python_and_configuration_blocks_are_valid(tmp_path: Path) -> None:
    for page in PAGES:
        for block in blocks(page.read_text(), "python"):
            compile(block, page.name, "exec")
        for block in blocks(page.read_text(), "toml"):
            (tmp_path / "pyproject.toml").write_text(block)
            merge_settings(find_config_file(tmp_path), {}, {})


def test_the_entrypoint_stands_in_the_guide_to_docker_as_it_is() -> None:
    assert blocks((ROOT / "docs/docker.md").read_text(), "sh") == [ENTRYPOINT.read_text()]


@pytest.mark.skipif(shutil.which("setsid") is None, reason="no setsid, which containers have")
@pytest.mark.parametrize(
    ("signum", "then"),
    [
        (signal.SIGTERM, "the migration ends"),
        (signal.SIGTERM, "it comes again"),
        (signal.SIGINT, "the migration ends"),
    ],
)
def test_the_entrypoint_passes_signals_on_and_does_not_start_the_server(
    signum: signal.Signals, then: str, sample: Project, tmp_path: Path
) -> None:
    ready, go = tmp_path / "ready", tmp_path / "go"
    sample.write(
        "blog/migrations/0005_slow.py",
        f"""
        import pathlib, time
        from django.db import migrations

        def work(apps, schema_editor):
            pathlib.Path({str(ready)!r}).touch()
            while not pathlib.Path({str(go)!r}).exists():
                time.sleep(0.02)

        class Migration(migrations.Migration):
            dependencies = [("blog", "0004_fill_slugs")]
            operations = [migrations.RunPython(work)]
        """,
    )
    environment = {"PATH": f"{EXECUTABLE.parent}{os.pathsep}{os.environ['PATH']}", "DBMIGRATE_GRACE": "60"}
    script = ENTRYPOINT.read_text().replace(" --grace 5", "")
    with subprocess.Popen(
        ["sh", "-c", script, "entrypoint", "echo", "serving"],
        cwd=sample.root,
        env=clean_environment(**environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        until(lambda: ready.exists() or process.poll() is not None, "in the migration")
        os.killpg(process.pid, signum)  # as a terminal does for ^C; it must not come twice
        said = read_until(process, signum.name)
        if then == "the migration ends":
            go.touch()
        else:
            os.killpg(process.pid, signum)
        said += process.communicate(timeout=60)[0]

    assert process.returncode == ExitCode.of_signal(signum), said
    assert "serving" not in said
    assert ("blog.0005_slow" in applied(sample.database("blog_db"))) is (then == "the migration ends")


@pytest.mark.soak
def test_the_site_builds_and_its_links_lead_somewhere(tmp_path: Path) -> None:
    command = [str(Path(sys.executable).parent / "mkdocs"), "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]

    ended = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=90,
    )

    assert ended.returncode == 0, ended.stdout
    assert (tmp_path / "getting-started" / "index.html").exists()
    assert (tmp_path / "captures" / "all.svg").exists()
