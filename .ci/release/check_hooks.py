"""The hooks of pre-commit, run by pre-commit in repositories that have the sample as their project."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from build import copy_committed
from claims import BIN, GIT, SAMPLE, Claim, ReleaseFolder, commit_all, require, run


def check_passes_and_finds(release: ReleaseFolder) -> None:
    """The project's environment is a folder .venv in it, as on a developer's machine."""
    project = _repository(release, "whole", ".")
    shown = _try(release, project, "dbmigrate-check")
    require("(--offline): nothing found" in shown and "Passed" in shown, shown)

    models = project / "shop" / "models.py"
    models.write_text(models.read_text().replace("max_length=200", "max_length=300"))
    shown = _try(release, project, "dbmigrate-check", exits=1)
    require("exit 11 (model-changes)" in shown, shown)


def check_works_in_a_folder_below(release: ReleaseFolder) -> None:
    """A hook starts at the top of the repository: without --project it names the folder, with it it checks."""
    project = _repository(release, "below", "back end")
    shown = _try(release, project, "dbmigrate-check", exits=1)
    require("pass --project 'back end'" in shown, shown)

    (project / ".pre-commit-config.yaml").write_text(_configuration(release, "--project", "back end"))
    run([*GIT, "add", "-A"], cwd=project)
    shown = run([str(BIN / "pre-commit"), "run", "--verbose", "--all-files"], cwd=project, environ=_cache(release))
    require("(--offline): nothing found" in shown, shown)


def _repository(release: ReleaseFolder, name: str, place: str) -> Path:
    repository = release.folder / name
    (repository / place).mkdir(parents=True)
    shutil.copytree(SAMPLE, repository / place, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.sqlite3"))
    (repository / ".gitignore").write_text(".venv\n")
    # The environment that the project has: the one that runs this has Django.
    (repository / ".venv").symlink_to(Path(sys.prefix))
    return commit_all(repository)


def _try(release: ReleaseFolder, project: Path, hook: str, *, exits: int = 0) -> str:
    run([*GIT, "add", "-A"], cwd=project)
    words = ["try-repo", str(_hooks(release)), hook, "--verbose", "--all-files"]
    return run([str(BIN / "pre-commit"), *words], cwd=project, exits=exits, environ=_cache(release))


def _hooks(release: ReleaseFolder) -> Path:
    """Return a repository with the files of the commit, as pre-commit clones one."""
    folder = release.folder / "hooks"
    if not folder.exists():
        commit_all(copy_committed(folder))
    return folder


def _configuration(release: ReleaseFolder, *words: str) -> str:
    hooks = _hooks(release)
    revision = run([*GIT, "rev-parse", "HEAD"], cwd=hooks).strip()
    hook = f"[{{id: dbmigrate-check, args: {[*words]}}}]"
    return f"repos:\n  - repo: {hooks}\n    rev: {revision}\n    hooks: {hook}\n"


def _cache(release: ReleaseFolder) -> dict[str, str]:
    return {"PRE_COMMIT_HOME": str(release.folder / "pre-commit")}


def phases_finds_a_mark_that_says_nothing(release: ReleaseFolder) -> None:
    """The hook needs no package that the mark is from."""
    project = _repository(release, "phases", ".")
    require("Passed" in _try(release, project, "dbmigrate-phases"), "it does not pass without marks")

    newest = max((project / "shop" / "migrations").glob("0*.py"))
    with newest.open("a") as file:
        file.write('\n    stage = "after lunch"\n')
    shown = _try(release, project, "dbmigrate-phases", exits=1)
    require("DBM401" in shown and f"stage = 'after lunch' of shop.{newest.stem}" in shown, shown)


HOOKS = [
    Claim("hooks", "pre-commit try-repo . dbmigrate-check passes, and finds a model change", check_passes_and_finds),
    Claim(
        "hooks",
        "pre-commit try-repo . dbmigrate-phases passes, and finds a wrong mark",
        phases_finds_a_mark_that_says_nothing,
    ),
    Claim("hooks", "dbmigrate-check finds a project in a folder below", check_works_in_a_folder_below),
]
