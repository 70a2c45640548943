"""Where a finding is in the repository: what a forge needs to show it next to the code."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RepositoryPaths:
    """Knows where relative paths of findings begin, and where those of the repository do."""

    root: Path
    """Of the project."""
    repository: Path

    def find(self, file: str | None) -> str | None:
        """Return the path of a finding's file in the repository; None if it is not in it."""
        if file is None:
            return None
        # Both resolved: findings are, and the project may have been named through a link.
        path, repository = (self.root / file).resolve(), self.repository.resolve()
        return path.relative_to(repository).as_posix() if path.is_relative_to(repository) else None
