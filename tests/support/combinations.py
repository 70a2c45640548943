"""Every combination of some things: a few of them in `make test`, all of them in `make soak`."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable
from typing import Any

import pytest


def combinations(*axes: Iterable[Any], quick: Collection[tuple[Any, ...]]) -> list[Any]:
    """Return all combinations of the values of the axes as parameters; those that are not quick are for `make soak`.

    A value may be a `pytest.param` with marks. The quick ones should hold each value of each axis.
    """
    found = []
    for combined in itertools.product(*axes):
        parts = [part if hasattr(part, "marks") else pytest.param(part) for part in combined]
        values = tuple(value for part in parts for value in part.values)
        marks = [mark for part in parts for mark in part.marks]
        if values not in quick:
            marks.append(pytest.mark.soak)
        found.append(pytest.param(*values, marks=marks))
    unknown = set(quick) - {tuple(one.values) for one in found}
    assert not unknown, f"no such combinations: {unknown}"
    return found
