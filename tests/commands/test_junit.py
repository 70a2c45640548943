"""`--junit FILE`: what a CI server reads of `check`, `all` and `run`; always XML that can be read back."""

from __future__ import annotations

import sqlite3
import xml.etree.ElementTree as ElementTree
from contextlib import closing
from pathlib import Path

import pytest
from support.cli import dbmigrate, looks
from support.projects import Project, create, failing, migration, model, simple_app, write_project
from support.runner import read_log

from dbmigrate.planning.checks import IDS

SUITE = {"name", "tests", "failures", "errors", "skipped", "time", "timestamp"}
CASE = {"name", "classname", "time", "file", "line"}


def read(file: Path) -> ElementTree.Element:
    """Return the one suite of a report that is as servers expect it."""
    root = ElementTree.parse(file).getroot()
    assert root.tag == "testsuites"
    [suite] = root
    assert suite.tag == "testsuite"
    assert set(suite.attrib) == SUITE
    cases = list(suite)
    assert {case.tag for case in cases} == {"testcase"}
    for case in cases:
        assert {"name", "classname", "time"} <= set(case.attrib) <= CASE
        assert len([part for part in case if part.tag in ("failure", "error", "skipped")]) <= 1
    names = [(case.get("classname"), case.get("name")) for case in cases]
    assert len(set(names)) == len(names)
    for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        count = sum(case.find(tag) is not None for case in cases)
        assert suite.get(attribute) == root.get(attribute) == str(count)
    assert suite.get("tests") == str(len(cases))
    return suite


def outcomes(suite: ElementTree.Element) -> dict[str, str]:
    """Return by name what became of each case."""
    return {
        case.get("name", ""): next((part.tag for part in case if part.tag in ("failure", "error", "skipped")), "passed")
        for case in suite
    }


def crossing(tmp_path: Path, *fields: str) -> Project:
    near = {"models.py": model("Near", *fields), "migrations/__init__.py": ""}
    return write_project(
        tmp_path, {"near": near, "far": simple_app()}, aliases=("default", "far_db"), rules={"far": "far_db"}
    )


def test_every_check_that_was_run_is_a_case(sample: Project) -> None:
    dbmigrate("check", "--junit", "report.xml", cwd=sample.root).expect(0)

    assert outcomes(read(sample.root / "report.xml")) == dict.fromkeys(IDS, "passed")


def test_each_finding_that_fails_is_a_failure_with_its_place_and_what_does_not_is_printed(tmp_path: Path) -> None:
    key = 'models.ForeignKey("far.Item", models.CASCADE, related_name="+")'
    project = crossing(tmp_path, f"one = {key}", f"two = {key}")

    dbmigrate("check", "--select", "DBM201,DBM101", "--junit", "report.xml", cwd=project.root).expect(13)

    suite = read(project.root / "report.xml")
    failed = {case.get("name"): case for case in suite if case.find("failure") is not None}
    assert set(failed) == {"DBM101", "DBM201 near/models.py:5", "DBM201 near/models.py:6"}
    case = failed["DBM201 near/models.py:6"]
    assert (case.get("file"), case.get("line"), case.get("classname")) == ("near/models.py", "6", "dbmigrate.check")
    failure = case.find("failure")
    assert failure is not None
    assert failure.get("type") == "DBM201"
    assert "two" in failure.get("message", "")
    assert "hint: " in (failure.text or "")


def test_what_does_not_fail_is_printed_by_a_case_that_passed(tmp_path: Path) -> None:
    project = write_project(tmp_path, {"core": simple_app()}, aliases=("default", "open_db"))

    dbmigrate("check", "--junit", "report.xml", cwd=project.root).expect(0)
    lenient = read(project.root / "report.xml")
    dbmigrate("check", "--fail-on", "warning", "--junit", "report.xml", cwd=project.root).expect(13)
    strict = read(project.root / "report.xml")

    assert outcomes(lenient)["DBM206"] == "passed"
    printed = next(case.findtext("system-out", "") for case in lenient if case.get("name") == "DBM206")
    assert printed.startswith("warning: DBM206: ")
    assert outcomes(strict)["DBM206"] == "failure"


def test_checks_that_were_not_run_are_skipped_and_a_database_that_was_not_checked_is_an_error(tmp_path: Path) -> None:
    down = {"ENGINE": "django.db.backends.postgresql", "NAME": "x", "HOST": "127.0.0.1", "PORT": "9"}
    project = write_project(
        tmp_path, {"core": simple_app()}, aliases={"default": {}, "down_db": down}, rules={"core": "down_db"}
    )

    looks({"check --junit online.xml": 21, "check --offline --junit offline.xml": 0}, cwd=project.root)

    online, offline = (outcomes(read(project.root / name)) for name in ("online.xml", "offline.xml"))
    assert {name for name, outcome in online.items() if outcome == "error"} == {"database down_db"}
    assert {name for name, outcome in offline.items() if outcome == "skipped"} == {
        "DBM103",
        "DBM207",
        "DBM210",
        "DBM301",
        "DBM302",
        "DBM303",
        "DBM304",
        "DBM305",
        "DBM306",
        "DBM307",
        "DBM402",
        "DBM404",
    }


def test_pending_migrations_are_failures_where_they_were_asked_for(tmp_path: Path) -> None:
    project = write_project(tmp_path, {"core": simple_app()})

    dbmigrate("check", "--pending", "--junit", "report.xml", cwd=project.root).expect(10)

    assert outcomes(read(project.root / "report.xml"))["pending on default"] == "failure"


def failing_project(tmp_path: Path, said: str = "boom") -> Project:
    app = {
        "models.py": model(),
        "migrations/0001_initial.py": migration(create(), "migrations.RunPython(fail)", head=failing(said)),
    }
    return write_project(
        tmp_path, {"core": app, "blog": simple_app()}, aliases=("default", "blog_db"), rules={"blog": "blog_db"}
    )


@pytest.mark.parametrize(
    ("command", "form"),
    [
        ("all", "json"),
        ("run --auto", "github"),
        *(
            pytest.param(command, form, marks=pytest.mark.soak)
            for command, form in (("all", "plain"), ("all", "github"), ("run --auto", "plain"), ("run --auto", "json"))
        ),
    ],
)
def test_each_database_of_a_run_is_a_case_beside_any_format(tmp_path: Path, command: str, form: str) -> None:
    project = failing_project(tmp_path)
    words = [*command.split(), "--skip-makemigrations", "--format", form, "--junit", "report.xml"]

    outcome = dbmigrate(*words, cwd=project.root).expect(31)

    suite = read(project.root / "report.xml")
    assert outcomes(suite) == {"default": "failure", "blog_db": "error"}
    failed = next(case for case in suite if case.get("name") == "default")
    assert failed.get("file") == "core/migrations/0001_initial.py"
    lines = (project.root / "core/migrations/0001_initial.py").read_text().splitlines()
    assert lines[int(failed.get("line", "0")) - 1].strip() == "raise RuntimeError('boom')"
    assert "RuntimeError: boom" in failed.findtext("failure", "")
    assert failed.get("classname") == f"dbmigrate.{command.split()[0]}"
    if form == "json":
        assert outcome.json["exit"]["code"] == 31


def test_each_database_that_was_verified_is_a_case(tmp_path: Path) -> None:
    project = write_project(
        tmp_path,
        {"core": simple_app(), "blog": simple_app()},
        aliases=("default", "blog_db"),
        rules={"blog": "blog_db"},
    )
    dbmigrate("run", "--database", "default", cwd=project.root).expect(0)
    with closing(sqlite3.connect(project.database("default"))) as connection:
        connection.execute("DROP TABLE core_item")

    _, shown = looks({"verify --junit report.xml": 12, "verify --format github": 12}, cwd=project.root)

    suite = read(project.root / "report.xml")
    assert outcomes(suite) == {"default": "failure", "blog_db": "failure"}
    why = {case.get("name"): case.find("failure") for case in suite}
    assert [failure.get("type") for failure in why.values() if failure is not None] == ["drift", "pending"]
    annotations = [annotation.message for annotation in read_log(shown.stdout).annotations]
    assert annotations[0].startswith("default: core.0001_initial: ")
    assert annotations[1].startswith("blog_db: ")


def test_a_skipped_database_is_a_skipped_case(tmp_path: Path) -> None:
    project = write_project(tmp_path, {"core": simple_app()}, aliases=("default", "open_db"))

    dbmigrate("all", "--junit", "report.xml", cwd=project.root).expect(0)

    assert outcomes(read(project.root / "report.xml")) == {"default": "passed", "open_db": "skipped"}


def test_what_xml_cannot_hold_is_left_out(tmp_path: Path) -> None:
    project = failing_project(tmp_path, 'a\x00b\x1b[31mc\ud800d\ufffee ]]> <&" \u2028 \U0001f600')

    dbmigrate("all", "--skip-makemigrations", "--junit", "report.xml", cwd=project.root).expect(31)

    failed = next(case for case in read(project.root / "report.xml") if case.get("name") == "default")
    text = failed.findtext("failure", "")
    assert "]]> <&" in text
    assert "\U0001f600" in text


def test_an_error_before_everything_is_in_the_report_too(tmp_path: Path) -> None:
    project = crossing(tmp_path, 'one = models.ForeignKey("far.Item", models.CASCADE, related_name="+")')

    dbmigrate("all", "--junit", "stopped.xml", cwd=project.root).expect(13)
    project.append("site_settings.py", "raise RuntimeError('no settings')")
    dbmigrate("check", "--junit", "broken.xml", cwd=project.root).expect(3)

    stopped, broken = read(project.root / "stopped.xml"), read(project.root / "broken.xml")
    assert outcomes(stopped) == {"DBM201": "error"}
    assert stopped[0].get("file") == "near/models.py"
    assert outcomes(broken) == {"check": "error"}
    error = broken[0].find("error")
    assert error is not None
    assert error.get("type") == "project"
    assert "no settings" in error.get("message", "")


@pytest.mark.parametrize("place", ["no/such/folder.xml", "."])
def test_a_report_that_cannot_be_written_is_an_error_before_anything_is_done(sample: Project, place: str) -> None:
    before = sample.content()

    outcome = dbmigrate("all", "--junit", place, cwd=sample.root).expect(2)

    assert f"error: --junit: {(sample.root / place)} cannot be written: " in outcome.stderr
    assert "(nothing was done)\nhint: " in outcome.stderr
    assert sample.content() == before


def test_a_run_that_was_killed_leaves_a_report_that_says_so(sample: Project) -> None:
    sample.append("myproj/settings.py", "import os, signal; os.kill(os.getppid(), signal.SIGKILL)")

    outcome = dbmigrate("all", "--junit", "report.xml", cwd=sample.root)

    assert outcome.code == -9
    suite = read(sample.root / "report.xml")
    assert outcomes(suite) == {"all": "error"}
