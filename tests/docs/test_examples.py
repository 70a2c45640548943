"""The guide is true: every block of every page runs or is read, and the site builds."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.documents import blocks, run_console, shell
from support.projects import Project, applied

from dbmigrate.config import find_config_file, merge_settings

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").glob("*.md"))
READ_FIRST = [
    page if page.stem == "getting-started" else pytest.param(page, marks=pytest.mark.soak)
    for page in PAGES
    if "```console" in page.read_text()
]
"""The pages with console blocks: the first in `make test`, as the README is; the others in `make soak`."""
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
    ],
)
def test_commands_in_manifests_run_in_their_order(document: str, sample: Project) -> None:
    commands = commands_in(yaml.safe_load(document))

    assert commands
    for command in commands:
        ended = shell(command, sample, DJANGO_SETTINGS_MODULE="myproj.settings")
        assert ended.returncode == 0, f"{command}\n{ended.stdout}"
    assert "blog.0004_fill_slugs" in applied(sample.database("blog_db"))


def test_python_and_configuration_blocks_are_valid(tmp_path: Path) -> None:
    for page in PAGES:
        for block in blocks(page.read_text(), "python"):
            compile(block, page.name, "exec")
        for block in blocks(page.read_text(), "toml"):
            (tmp_path / "pyproject.toml").write_text(block)
            merge_settings(find_config_file(tmp_path), {}, {})


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
