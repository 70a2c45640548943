"""The repository: workflows, forms and what a tag must be, by the tools that read them."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from build import copy_committed
from claims import BIN, GIT, ROOT, Line, Workshop, claim, commit_all, run

VERSION = re.compile(r'__version__ = "(.+)"')


def actionlint_finds_nothing(workshop: Workshop) -> None:
    """It reads the workflows of a repository, so it gets one; with shellcheck where that is installed."""
    shown = run([str(BIN / "actionlint"), "-no-color"], cwd=_repository(workshop, "linted"))
    claim(not shown.strip(), shown)


def zizmor_finds_nothing(_: Workshop) -> None:
    paths = [str(path) for path in (ROOT / ".github", ROOT / "action.yml") if path.exists()]
    run([str(BIN / "zizmor"), "--offline", "--no-progress", *paths], cwd=ROOT)


def every_action_is_pinned(_: Workshop) -> None:
    texts = [path.read_text() for path in (ROOT / ".github" / "workflows").glob("*.yml")]
    used = [name for text in texts for name in re.findall(r"uses: (\S+ *#?.*)", text) if not name.startswith("$/")]
    loose = [name for name in used if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", name)]
    claim(bool(used) and not loose, f"not pinned to a hash with its version: {loose}")


def what_github_reads_has_its_form(_: Workshop) -> None:
    """GitHub shows a form that it cannot read as an empty one, and says so nowhere else."""
    github = ROOT / ".github"
    forms = sorted(path for path in (github / "ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml")
    claim(len(forms) >= 2, "there are no issue forms")
    for schema, paths in (
        ("github-issue-forms", forms),
        ("github-issue-config", [github / "ISSUE_TEMPLATE" / "config.yml"]),
        ("github-workflows", sorted((github / "workflows").glob("*.yml"))),
        ("github-actions", [ROOT / "action.yml"]),
        ("dependabot", [github / "dependabot.yml"]),
    ):
        words = [str(BIN / "check-jsonschema"), "--builtin-schema", f"vendor.{schema}", *map(str, paths)]
        run(words, cwd=ROOT)
    run([str(BIN / "pre-commit"), "validate-manifest", str(ROOT / ".pre-commit-hooks.yaml")], cwd=ROOT)


def only_the_version_is_released(workshop: Workshop) -> None:
    folder = _repository(workshop, "released")
    match = VERSION.search((folder / "src/dbmigrate/__init__.py").read_text())
    assert match is not None
    tag = f"v{match[1]}"
    log = folder / "CHANGELOG.md"
    unreleased = f"## [{match[1]}] - "
    shown = run([sys.executable, ".ci/release/refuse_wrong_tag.py", tag], cwd=folder, exits=1, environ=HERE)
    claim(f"no section '{unreleased}' with the day" in shown, shown)
    log.write_text(log.read_text().replace(f"{unreleased}Unreleased", f"{unreleased}2026-12-01"))
    run([*GIT, "commit", "--quiet", "-am", "a release"], cwd=folder)

    run([sys.executable, ".ci/release/refuse_wrong_tag.py", tag], cwd=folder, environ=HERE)
    for wrong in (f"{tag}.1", match[1], "v", "main", f"{tag}\n", "$(id)"):
        shown = run([sys.executable, ".ci/release/refuse_wrong_tag.py", wrong], cwd=folder, exits=1, environ=HERE)
        claim(f"the tag must be {tag}" in shown, shown)
    shown = run(
        [sys.executable, ".ci/release/refuse_wrong_tag.py", tag],
        cwd=folder,
        exits=1,
        environ={"GITHUB_REPOSITORY": "a/b"},
    )
    claim("this is a/b" in shown, shown)
    (folder / "src" / "dbmigrate" / "left_over.py").touch()
    shown = run([sys.executable, ".ci/release/refuse_wrong_tag.py", tag], cwd=folder, exits=1, environ=HERE)
    claim("the work tree is not what is committed: src/dbmigrate/left_over.py" in shown, shown)


HERE = {"GITHUB_REPOSITORY": "dbmigrate/dbmigrate"}


def _repository(workshop: Workshop, name: str) -> Path:
    return commit_all(copy_committed(workshop.folder / name))


REPOSITORY = [
    Line("repository", "actionlint finds nothing in the workflows", actionlint_finds_nothing),
    Line("repository", "zizmor finds nothing in workflows, action and dependabot.yml", zizmor_finds_nothing),
    Line("repository", "every action is pinned to a hash, with its version", every_action_is_pinned),
    Line(
        "repository",
        "issue forms, workflows, action, dependabot.yml and the hooks' manifest fit their schemas",
        what_github_reads_has_its_form,
    ),
    Line("repository", "a tag that is not the version, or a changed tree, is refused", only_the_version_is_released),
]
