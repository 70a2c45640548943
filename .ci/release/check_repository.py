"""The repository: workflows, forms and what a tag must be, by the tools that read them."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from build import copy_committed
from claims import BIN, GIT, ROOT, Claim, ReleaseFolder, commit_all, require, run

VERSION = re.compile(r'__version__ = "(.+)"')


def actionlint_finds_nothing(release: ReleaseFolder) -> None:
    """It reads the workflows of a repository, so it gets one; with shellcheck where that is installed."""
    shown = run([str(BIN / "actionlint"), "-no-color"], cwd=_repository(release, "linted"))
    require(not shown.strip(), shown)


def zizmor_finds_nothing(_: ReleaseFolder) -> None:
    paths = [str(path) for path in (ROOT / ".github", ROOT / "action.yml") if path.exists()]
    run([str(BIN / "zizmor"), "--offline", "--no-progress", *paths], cwd=ROOT)


def every_action_is_pinned(_: ReleaseFolder) -> None:
    texts = [path.read_text() for path in (ROOT / ".github" / "workflows").glob("*.yml")]
    used = [name for text in texts for name in re.findall(r"uses: (\S+ *#?.*)", text) if not name.startswith("$/")]
    loose = [name for name in used if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", name)]
    require(bool(used) and not loose, f"not pinned to a hash with its version: {loose}")


def what_github_reads_has_its_form(_: ReleaseFolder) -> None:
    """GitHub shows a form that it cannot read as an empty one, and says so nowhere else."""
    github = ROOT / ".github"
    forms = sorted(path for path in (github / "ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml")
    require(len(forms) >= 2, "there are no issue forms")
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


def only_the_version_is_released(release: ReleaseFolder) -> None:
    folder = _repository(release, "released")
    match = VERSION.search((folder / "src/dbmigrate/__init__.py").read_text())
    assert match is not None
    tag = f"v{match[1]}"
    log = folder / "CHANGELOG.md"
    unreleased = f"## [{match[1]}] - "
    shown = run([sys.executable, ".ci/release/refuse_wrong_tag.py", tag], cwd=folder, exits=1, environ=OWN_REPOSITORY)
    require(f"no section '{unreleased}' with the day" in shown, shown)
    log.write_text(log.read_text().replace(f"{unreleased}Unreleased", f"{unreleased}2026-12-01"))
    run([*GIT, "commit", "--quiet", "-am", "a release"], cwd=folder)

    run([sys.executable, ".ci/release/refuse_wrong_tag.py", tag], cwd=folder, environ=OWN_REPOSITORY)
    for wrong in (f"{tag}.1", match[1], "v", "main", f"{tag}\n", "$(id)"):
        shown = run(
            [sys.executable, ".ci/release/refuse_wrong_tag.py", wrong], cwd=folder, exits=1, environ=OWN_REPOSITORY
        )
        require(f"the tag must be {tag}" in shown, shown)
    shown = run(
        [sys.executable, ".ci/release/refuse_wrong_tag.py", tag],
        cwd=folder,
        exits=1,
        environ={"GITHUB_REPOSITORY": "a/b"},
    )
    require("this is a/b" in shown, shown)
    (folder / "src" / "dbmigrate" / "left_over.py").touch()
    shown = run([sys.executable, ".ci/release/refuse_wrong_tag.py", tag], cwd=folder, exits=1, environ=OWN_REPOSITORY)
    require("the work tree is not what is committed: src/dbmigrate/left_over.py" in shown, shown)
    shown = run([sys.executable, ".ci/release/check_published.py"], cwd=folder, exits=1)
    require("the work tree is not what is committed" in shown and "left_over.py" in shown, shown)


OWN_REPOSITORY = {"GITHUB_REPOSITORY": "dbmigrate/dbmigrate"}


def _repository(release: ReleaseFolder, name: str) -> Path:
    return commit_all(copy_committed(release.folder / name))


REPOSITORY = [
    Claim("repository", "actionlint finds nothing in the workflows", actionlint_finds_nothing),
    Claim("repository", "zizmor finds nothing in workflows, action and dependabot.yml", zizmor_finds_nothing),
    Claim("repository", "every action is pinned to a hash, with its version", every_action_is_pinned),
    Claim(
        "repository",
        "issue forms, workflows, action, dependabot.yml and the hooks' manifest fit their schemas",
        what_github_reads_has_its_form,
    ),
    Claim("repository", "a tag that is not the version, or a changed tree, is refused", only_the_version_is_released),
]
