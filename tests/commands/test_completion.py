"""Shell completion: names come from what an earlier command found, never from the project itself."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.cli import EXECUTABLE, clean_environment, dbmigrate
from support.projects import Project


def complete(project: Project, words: str, home: Path) -> list[str]:
    """Return what bash is offered for the last word."""
    parts = words.split(" ")
    environment = clean_environment(
        HOME=str(home),
        _DBMIGRATE_COMPLETE="bash_complete",
        COMP_WORDS=f"dbmigrate {words}",
        COMP_CWORD=str(len(parts)),
    )
    ended = subprocess.run(
        [str(EXECUTABLE)], cwd=project.root, env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    assert ended.stderr == ""
    return [line.removeprefix("plain,").replace(",", " ") for line in ended.stdout.splitlines() if line]


OFFERED = {
    "run --database ": ["default", "blog_db", "shop_db"],
    "run --database b": ["blog_db"],
    "run --app p": ["profiles"],
    "run --app blog --to 000": ["0001_initial", "0002_tags", "0003_post_slug", "0004_fill_slugs"],
    "run --app blog --to z": ["zero"],
    "squash shop 0003": ["0003_order_index"],
    "make b": ["blog"],
    "sta": ["status"],
    "status -o st": ["file st"],
    "status --project s": ["dir s"],
}


@pytest.mark.soak
def test_names_complete_after_a_command_has_seen_them(sample: Project, tmp_path: Path) -> None:
    dbmigrate("status", cwd=sample.root, environment={"HOME": str(tmp_path)}).expect(0)
    # It cannot be loaded any more, so nothing can be asked of it.
    sample.append("myproj/settings.py", "raise RuntimeError")

    assert {words: complete(sample, words, tmp_path) for words in OFFERED} == OFFERED


@pytest.mark.parametrize("has_cache", [True, False])
def test_an_offer_loads_next_to_nothing(sample: Project, tmp_path: Path, has_cache: bool) -> None:
    if has_cache:
        dbmigrate("status", cwd=sample.root, environment={"HOME": str(tmp_path)}).expect(0)
    asked = {"_DBMIGRATE_COMPLETE": "bash_complete", "COMP_WORDS": "dbmigrate run --database ", "COMP_CWORD": "3"}

    ended = subprocess.run(
        [sys.executable, "-X", "importtime", str(EXECUTABLE)],
        cwd=sample.root,
        env=clean_environment(HOME=str(tmp_path), **asked),
        capture_output=True,
        text=True,
        check=True,
    )

    loaded = {line.rpartition("|")[2].strip() for line in ended.stderr.splitlines() if line.startswith("import time:")}
    slow = {
        "pydantic",
        "rich",
        "InquirerPy",
        "django",
        "subprocess",
        "dbmigrate.project.booted",
        "dbmigrate.models.plan",
    }
    assert "click" in loaded
    assert loaded & slow == set()
    assert ("blog_db" in ended.stdout) is has_cache


def test_without_a_cache_there_is_silence(sample: Project, tmp_path: Path) -> None:
    assert complete(sample, "run --database ", tmp_path) == []


def test_after_a_command_that_is_not_there_the_commands_are_offered(sample: Project, tmp_path: Path) -> None:
    assert "all" in complete(sample, "foo ", tmp_path)


def test_a_broken_cache_and_one_that_cannot_be_written_are_harmless(sample: Project, tmp_path: Path) -> None:
    dbmigrate("status", cwd=sample.root, environment={"HOME": str(tmp_path)}).expect(0)
    next((tmp_path / ".cache/dbmigrate").iterdir()).write_text("{")
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where the folder would be")

    assert complete(sample, "run --database ", tmp_path) == []
    dbmigrate("status", cwd=sample.root, environment={"XDG_CACHE_HOME": str(blocked)}).expect(0)


def test_what_is_remembered_holds_names_alone(sample: Project, tmp_path: Path) -> None:
    dbmigrate("status", cwd=sample.root, environment={"HOME": str(tmp_path)}).expect(0)

    text = next((tmp_path / ".cache/dbmigrate").iterdir()).read_text()

    assert text.startswith('{"databases": ["default", "blog_db", "shop_db"], "apps": {"admin": ["0001_initial"')
    assert "sqlite" not in text


@pytest.mark.parametrize(
    ("shell", "word"), [("bash", "complete -o"), ("zsh", "compdef"), ("fish", "complete --no-files")]
)
def test_the_script_of_a_shell_is_printed(tmp_path: Path, shell: str, word: str) -> None:
    assert word in dbmigrate("completion", shell, cwd=tmp_path).expect(0).stdout


def test_bash_takes_the_script_and_completes(sample: Project, tmp_path: Path) -> None:
    dbmigrate("status", cwd=sample.root, environment={"HOME": str(tmp_path)}).expect(0)
    script = (
        'eval "$(dbmigrate completion bash)"\n'
        "COMP_WORDS=(dbmigrate run --database b); COMP_CWORD=3\n"
        '_dbmigrate_completion dbmigrate; echo "${COMPREPLY[@]}"'
    )

    path = f"{EXECUTABLE.parent}:{clean_environment()['PATH']}"
    ended = subprocess.run(
        ["bash", "-c", script],
        cwd=sample.root,
        env=clean_environment(HOME=str(tmp_path), PATH=path),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert ended.stdout.strip() == "blog_db"


@pytest.mark.skipif(shutil.which("zsh") is None, reason="no zsh on this machine")
def test_zsh_takes_the_script_also_where_completion_was_not_started(tmp_path: Path) -> None:
    path = f"{EXECUTABLE.parent}:{clean_environment()['PATH']}"

    ended = subprocess.run(
        ["zsh", "-f", "-c", 'eval "$(dbmigrate completion zsh)"; print -r -- $_comps[dbmigrate]'],
        cwd=tmp_path,
        env=clean_environment(HOME=str(tmp_path), PATH=path),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert (ended.stdout.strip(), ended.stderr) == ("_dbmigrate_completion", "")
