"""Which file objects a copy of a process finds, so that it can flush them at its end."""

# mypy: allow-untyped-calls

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from dbmigrate.inside.ending import OpenFiles


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    yield
    gc.unfreeze()


def test_a_file_that_was_opened_between_two_copies_is_found_with_those_from_before(tmp_path: Path) -> None:
    files = OpenFiles()
    with (tmp_path / "first").open("w") as first:
        before = files.find()
        files.freeze(were_found=True)
        with (tmp_path / "second").open("w") as second:
            after = files.find()

    assert first in before
    assert first in after
    assert second in after


def test_a_file_that_nobody_looked_for_before_a_copy_is_found_before_the_next_one(tmp_path: Path) -> None:
    files = OpenFiles()
    files.find()
    with (tmp_path / "first").open("w") as first:
        files.freeze(were_found=False)
        found = files.find()

    assert first in found


def test_a_file_that_the_project_has_closed_and_forgotten_is_not_kept(tmp_path: Path) -> None:
    files = OpenFiles()
    with (tmp_path / "first").open("w") as first:
        name = first.name
        files.find()
    del first

    assert name not in [getattr(file, "name", None) for file in files.find()]
