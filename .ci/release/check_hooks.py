"""The hooks of pre-commit, run by pre-commit in repositories that have the sample as their project."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from build import copy_committed
from claims import BIN, GIT, SAMPLE, Line, Workshop, claim, commit_all, run


def check_passes_and_finds(workshop: Workshop) -> None:
    """The project's environment is a folder .venv in it, as on a developer's machine."""
    project = _repository(workshop, "whole", ".")
    shown = _try(workshop, project, "dbmigrate-check")
    claim("(--offline): nothing found" in shown and "Passed" in shown, shown)

    models = project / "shop" / "models.py"
    models.write_text(models.read_text().replace("max_length=200", "max_length=300"))
    shown = _try(workshop, project, "dbmigrate-check", exits=1)
    claim("exit 11 (model-changes)" in shown, shown)


def check_works_in_a_folder_below(workshop: Workshop) -> None:
    """A hook starts at the top of the repository: without --project it names the folder, with it it checks."""
    project = _repository(workshop, "below", "back end")
    shown = _try(workshop, project, "dbmigrate-check", exits=1)
    claim("pass --project 'back end'" in shown, shown)

    (project / ".pre-commit-config.yaml").write_text(_configuration(workshop, "--project", "back end"))
    run([*GIT, "add", "-A"], cwd=project)
    shown = run([str(BIN / "pre-commit"), "run", "--verbose", "--all-files"], cwd=project, environ=_cache(workshop))
    claim("(--offline): nothing found" in shown, shown)


def _repository(workshop: Workshop, name: str, place: str) -> Path:
    repository = workshop.folder / name
    (repository / place).mkdir(parents=True)
    shutil.copytree(SAMPLE, repository / place, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.sqlite3"))
    (repository / ".gitignore").write_text(".venv\n")
    # The environment that the project has: the one that runs this has Django.
    (repository / ".venv").symlink_to(Path(sys.prefix))
    return commit_all(repository)


def _try(workshop: Workshop, project: Path, hook: str, *, exits: int = 0) -> str:
    run([*GIT, "add", "-A"], cwd=project)
    words = ["try-repo", str(_hooks(workshop)), hook, "--verbose", "--all-files"]
    return run([str(BIN / "pre-commit"), *words], cwd=project, exits=exits, environ=_cache(workshop))


def _hooks(workshop: Workshop) -> Path:
    """Return a repository with the files of the commit, as pre-commit clones one."""
    folder = workshop.folder / "hooks"
    if not folder.exists():
        commit_all(copy_committed(folder))
    return folder


def _configuration(workshop: Workshop, *words: str) -> str:
    hooks = _hooks(workshop)
    revision = run([*GIT, "rev-parse", "HEAD"], cwd=hooks).strip()
    hook = f"[{{id: dbmigrate-check, args: {[*words]}}}]"
    return f"repos:\n  - repo: {hooks}\n    rev: {revision}\n    hooks: {hook}\n"


def _cache(workshop: Workshop) -> dict[str, str]:
    return {"PRE_COMMIT_HOME": str(workshop.folder / "pre-commit")}


def phases_finds_a_mark_that_says_nothing(workshop: Workshop) -> None:
    """The hook needs no package that the mark is from."""
    project = _repository(workshop, "phases", ".")
    claim("Passed" in _try(workshop, project, "dbmigrate-phases"), "it does not pass without marks")

    newest = max((project / "shop" / "migrations").glob("0*.py"))
    with newest.open("a") as file:
        file.write('\n    stage = "after lunch"\n')
    shown = _try(workshop, project, "dbmigrate-phases", exits=1)
    claim("DBM401" in shown and f"stage = 'after lunch' of shop.{newest.stem}" in shown, shown)


HOOKS = [
    Line("hooks", "pre-commit try-repo . dbmigrate-check passes, and finds a model change", check_passes_and_finds),
    Line(
        "hooks",
        "pre-commit try-repo . dbmigrate-phases passes, and finds a wrong mark",
        phases_finds_a_mark_that_says_nothing,
    ),
    Line("hooks", "dbmigrate-check finds a project in a folder below", check_works_in_a_folder_below),
]
