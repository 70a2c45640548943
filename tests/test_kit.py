"""The tests' own tools."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.cli import Outcome
from support.postgresql import PostgresqlServer
from support.projects import Project, applied


def test_a_failing_expectation_shows_command_code_and_both_streams() -> None:
    outcome = Outcome(argv=("dbmigrate", "all"), cwd=Path("/srv"), code=3, stdout="an answer", stderr="error: no")

    with pytest.raises(AssertionError) as caught:
        outcome.expect(0)

    assert all(part in str(caught.value) for part in ("$ dbmigrate all", "[exit 3]", "an answer", "error: no"))


def test_a_project_without_database_files_has_nothing_applied(sample: Project) -> None:
    assert applied(sample.database("blog_db")) == []
    assert sample.tables() == {}


@pytest.mark.postgresql
def test_databases_of_the_shared_server_are_separate(postgresql: PostgresqlServer) -> None:
    one, other = postgresql.create_database(), postgresql.create_database()

    postgresql.query(one, "CREATE TABLE here (id int)")

    assert (postgresql.tables(one), postgresql.tables(other)) == ({"here"}, set())


def test_a_skipped_service_test_fails_where_services_are_required(tmp_path: Path) -> None:
    tests = tmp_path / "test_it.py"
    tests.write_text("import pytest\n@pytest.mark.postgresql\ndef test_it():\n    pytest.skip('none')\n")
    here = Path(__file__).parent
    command = [sys.executable, "-m", "pytest", "-q", "-c", str(here.parent / "pyproject.toml"), "-p", "conftest"]
    environment = {**os.environ, "PYTHONPATH": str(here), "PYTHONDONTWRITEBYTECODE": "1"}

    def run(**more: str) -> int:
        return subprocess.run(
            [*command, str(tests)], env={**environment, **more}, cwd=tmp_path, capture_output=True
        ).returncode

    environment.pop("TESTS_REQUIRE_SERVICES", None)
    assert (run(), run(TESTS_REQUIRE_SERVICES="1")) == (0, 1)
