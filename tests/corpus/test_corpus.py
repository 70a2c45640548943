"""`dbmigrate check` over the corpus: every fault is found where it is, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.cli import dbmigrate
from support.corpus import Batch, make_batches, read_findings
from support.environments import EVERY_DJANGO, environment

from corpus import CASES

BATCHES = make_batches(CASES)
FAULTY_FIRST = [
    batch if len(batch.cases) > 1 or batch.cases[0].is_faulty else pytest.param(batch, marks=pytest.mark.soak)
    for batch in BATCHES
]
"""Of the projects that need a boot of their own, those in which nothing is found are for `make soak`."""


@pytest.mark.parametrize("batch", FAULTY_FIRST, ids=lambda batch: batch.name)
def test_what_check_finds(batch: Batch, tmp_path: Path) -> None:
    look(batch, tmp_path, *batch.cases[0].options)


@pytest.mark.soak
@pytest.mark.parametrize("django", EVERY_DJANGO)
@pytest.mark.parametrize("batch", [batch for batch in BATCHES if len(batch.cases) > 1], ids=lambda batch: batch.name)
def test_every_django_gives_the_same(django: str, batch: Batch, tmp_path: Path) -> None:
    look(batch, tmp_path, "--python", environment(django))


def look(batch: Batch, folder: Path, *options: str) -> None:
    """Compare all that `check` finds with what is expected, and see that it wrote nothing."""
    project, expected = batch.write(folder / "project")
    before = project.content()

    outcome = dbmigrate("check", *options, "--format", "json", cwd=project.root)

    assert outcome.code in (0, 11, 12, 13), outcome
    found = read_findings(outcome.json)
    differing = [
        *(f"{batch.name_of(one)}: is not expected: {one}" for one in found if found.count(one) > expected.count(one)),
        *(f"{batch.name_of(one)}: is not found: {one}" for one in expected if expected.count(one) > found.count(one)),
    ]
    assert not differing, "\n".join([*differing, repr(outcome)])
    assert project.content() == before


def test_the_corpus_is_as_large_as_it_has_to_be() -> None:
    names = [case.name for case in CASES]

    assert len({*names}) == len(names)
    assert sum(case.is_faulty for case in CASES) >= 40
    assert sum(not case.is_faulty for case in CASES) >= 40
