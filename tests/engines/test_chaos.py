"""A small part of bench/chaos.py, with a fixed seed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from support.sites import ENGINES

sys.path.append(str(Path(__file__).parents[2] / "bench"))

from chaos import arena, disturb
from outages import OUTAGES


def test_a_kill_leaves_nothing_silent() -> None:
    with arena("sqlite") as here:
        tally = disturb(here, rounds=0, kills=1, seed=3)

    assert tally.silent == []
    assert tally.kills.total() == tally.converged + tally.told == 1


@pytest.mark.soak
@pytest.mark.parametrize("engine", ENGINES)
def test_a_race_and_kills_leave_nothing_silent(engine: str) -> None:
    with arena(engine) as here:
        tally = disturb(here, rounds=1, kills=len(here.victims), seed=3)

    assert tally.silent == []
    assert tally.rounds == 1
    assert set(tally.kills) == set(here.victims)
    assert tally.converged + tally.told == len(here.victims)


@pytest.mark.soak
@pytest.mark.timeout(400)
@pytest.mark.parametrize("engine", ENGINES)
def test_an_outage_of_each_kind_is_reported_writes_nothing_twice_and_ends(engine: str) -> None:
    with arena(engine) as here:
        tally = here.outages(1, seed=3)

    assert (tally.silent, tally.twice, tally.unbounded) == ([], [], [])
    assert tally.counts.total() == (1 if engine == "sqlite" else len(OUTAGES))
