"""Refuse to release a tag that is not the version, a version without its section, a changed tree, a stranger's copy.

python3 .ci/release/refuse_wrong_tag.py v0.2.0
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def reasons(tag: str, *, root: Path, repository: str | None) -> list[str]:
    """Return why a tag cannot be released from a work tree; `repository`: "owner/name", where it is known."""
    version = _found(r'^__version__ = "(.+)"$', root / "src" / "dbmigrate" / "__init__.py")
    home = _found(r'^Source = "https://github\.com/(.+)"$', root / "pyproject.toml")
    sections = re.findall(r"^## \[(.+?)\] - \d{4}-\d\d-\d\d$", (root / "CHANGELOG.md").read_text(), re.M)
    changed = subprocess.run(
        ["git", "status", "--porcelain"], cwd=root, check=True, stdout=subprocess.PIPE, text=True
    ).stdout.splitlines()
    found = []
    if tag != f"v{version}":
        found.append(f"the tag is {tag}, and the version is {version}: the tag must be v{version}")
    if version not in sections:
        found.append(f"CHANGELOG.md has no section '## [{version}] - ' with the day of the release")
    if changed:
        found.append(f"the work tree is not what is committed: {', '.join(line[3:] for line in changed[:3])}")
    if repository is not None and repository != home:
        found.append(f"this is {repository}, and pyproject.toml says that the source is in {home}")
    return found


def _found(pattern: str, path: Path) -> str:
    match = re.search(pattern, path.read_text(), re.M)
    assert match is not None, f"{path}: {pattern}"
    return match[1]


def main() -> None:
    """Exit 1 with the reasons, or 0."""
    found = reasons(sys.argv[1], root=ROOT, repository=os.environ.get("GITHUB_REPOSITORY"))
    for reason in found:
        print(f"not released: {reason}")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
