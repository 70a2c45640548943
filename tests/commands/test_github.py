"""`--format github`: annotations where the code is, groups, a summary; and nothing that others print is obeyed."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pexpect
import pytest
from support.cli import EXECUTABLE, Outcome, clean_environment, dbmigrate, looks
from support.projects import Project, create, failing, migration, model, simple_app, write_project
from support.runner import SHOWN, Annotation, read_log

from dbmigrate.errors import ExitCode

ACTIONS = {"GITHUB_ACTIONS": "true", "CI": "true"}


def in_actions(project: Project, *arguments: str, **more: str) -> Outcome:
    """Run as a step of a workflow does: its log is all it prints, and it has to be on stdout."""
    outcome = dbmigrate(*arguments, cwd=project.root, environment={**ACTIONS, **more})
    assert outcome.stderr == "", outcome
    return outcome


def let_the_author_cross(project: Project) -> None:
    """Make the foreign key of the sample's blog one that has a constraint."""
    for path in ("blog/models.py", "blog/migrations/0001_initial.py"):
        text = (project.root / path).read_text()
        assert "db_constraint=False" in text
        (project.root / path).write_text(re.sub(r"db_constraint=False,\s*", "", text))


def texts(outcome: Outcome) -> list[str]:
    """Return the lines of plain text, without what differs between two runs."""
    return [re.sub(r" *\d+\.\d s *|\s+$", "", line) for line in (outcome.stdout + outcome.stderr).splitlines()]


def test_findings_are_shown_at_the_line_they_are_about(sample: Project) -> None:
    let_the_author_cross(sample)

    log = read_log(in_actions(sample, "check").expect(13).stdout)

    lines = (sample.root / "blog/models.py").read_text().splitlines()
    line = next(number for number, text in enumerate(lines, 1) if "author = models.ForeignKey" in text)
    shown = {(annotation.level, annotation.title, annotation.file, annotation.line) for annotation in log.annotations}
    assert ("error", "DBM201", "blog/models.py", str(line)) in shown
    message = next(annotation.message for annotation in log.annotations if annotation.title == "DBM201")
    assert "\nhint: " in message
    assert "db_constraint=False" in message


def test_notes_are_annotations_of_check_and_not_of_status(tmp_path: Path) -> None:
    gone = migration("migrations.DeleteModel('Item')", after=(("core", "0001_initial"),))
    project = write_project(tmp_path, {"core": {**simple_app(), "models.py": "", "migrations/0002_gone.py": gone}})
    dbmigrate("run", "--app", "core", "--to", "0001", cwd=project.root).expect(0)

    check, status = (read_log(in_actions(project, *words.split()).stdout) for words in ("check", "status -v"))

    assert ("notice", "DBM304") in {(annotation.level, annotation.title) for annotation in check.annotations}
    assert status.annotations == []
    assert "DBM304" in "".join(status.text)


RED = [
    ("check --fail-on destructive", 13, "DBM304"),
    ("check --fail-on note", 13, "DBM304"),
    ("check --pending", 10, "dbmigrate check"),
    ("verify", 10, "dbmigrate verify"),
    ("status --exit-code", 10, "dbmigrate status"),
    ("plan --exit-code", 10, "dbmigrate plan"),
]


@pytest.mark.soak
def test_what_makes_a_job_red_is_the_last_line_in_every_format(tmp_path: Path) -> None:
    gone = migration("migrations.DeleteModel('Item')", after=(("core", "0001_initial"),))
    project = write_project(tmp_path, {"core": {**simple_app(), "models.py": "", "migrations/0002_gone.py": gone}})
    dbmigrate("run", "--app", "core", "--to", "0001", cwd=project.root).expect(0)
    lines = [line for line, _, _ in RED]
    forms = ("", " --format rich", " --format json")

    in_workflow = looks(lines, cwd=project.root, environment=ACTIONS)
    elsewhere = iter(looks([line + form for line in lines for form in forms], cwd=project.root))

    for (line, code, title), github in zip(RED, in_workflow, strict=True):
        plain, drawn, document = (next(elsewhere).expect(code) for _ in forms)
        github.expect(code)
        log = read_log(github.stdout)
        assert github.stderr == ""
        assert [annotation.title for annotation in log.annotations if annotation.level == "error"] == [title], line
        assert [line for line in log.text if line.startswith("exit ")] == [ExitCode(code).sentence]
        for outcome in (plain, drawn):
            assert outcome.stderr.splitlines()[-1] == ExitCode(code).sentence, outcome
        if title == "DBM304":
            assert [finding["level"] for finding in document.json["result"]["findings"]] == ["error"]


@pytest.mark.parametrize("has_repository", [True, False])
def test_files_are_named_from_the_repository_or_the_workspace(tmp_path: Path, has_repository: bool) -> None:
    app = {"models.py": model("Item", "name = models.CharField(max_length=30)"), **migrations_of_item()}
    project = write_project(tmp_path / "work" / "server", {"core": app})
    if has_repository:
        (tmp_path / "work" / ".git").mkdir()

    log = read_log(in_actions(project, "check", GITHUB_WORKSPACE=str(tmp_path / "work")).expect(11).stdout)

    assert [(annotation.title, annotation.file) for annotation in log.annotations] == [
        ("DBM101", "server/core/models.py")
    ]


def migrations_of_item() -> dict[str, str]:
    return {"migrations/0001_initial.py": migration(create())}


def test_of_many_findings_ten_are_annotations_and_all_are_in_the_log_and_the_summary(tmp_path: Path) -> None:
    fields = [f'other_{n:02} = models.ForeignKey("far.Item", models.CASCADE, related_name="+")' for n in range(13)]
    near = {"models.py": model("Near", *fields), "migrations/__init__.py": ""}
    project = write_project(
        tmp_path, {"near": near, "far": simple_app()}, aliases=("default", "far_db"), rules={"far": "far_db"}
    )
    summary = tmp_path / "summary.md"

    outcome = in_actions(project, "check", "--select", "DBM201", GITHUB_STEP_SUMMARY=str(summary)).expect(13)

    log = read_log(outcome.stdout)
    assert len([annotation for annotation in log.annotations if annotation.level == "error"]) == SHOWN
    assert log.text[-1] == (
        "3 errors more: GitHub shows ten of each level; all of them are in the lines above, "
        "and in the summary of this step"
    )
    for number in range(13):
        assert any(line.startswith("error: DBM201") and f"other_{number:02}" in line for line in log.text)
        assert f"other&#95;{number:02}" in summary.read_text()


@pytest.mark.soak
def test_a_run_has_a_group_for_each_database_and_no_line_in_that_of_another(sample: Project) -> None:
    outcome = in_actions(sample, "all", "--jobs", "3").expect(0)

    log = read_log(outcome.stdout)
    assert sorted(title for title, _ in log.groups) == [
        "Migrating database: blog_db",
        "Migrating database: default",
        "Migrating database: shop_db",
    ]
    for title, lines in log.groups:
        alias = title.removeprefix("Migrating database: ")
        assert lines
        assert all(line.startswith(f"[{alias}] ") for line in lines)
    assert log.annotations == []
    assert log.text[-1] == "All migrations completed successfully"


@pytest.mark.soak
@pytest.mark.parametrize(
    "command",
    [
        *("plan --sql", "info", "check"),
        *(
            pytest.param(command, marks=pytest.mark.soak)
            for command in ("plan", "plan --graph mermaid", "status --migrations", "wait")
        ),
    ],
)
def test_nothing_is_lost_of_what_plain_prints(sample: Project, command: str) -> None:
    let_the_author_cross(sample)
    plain = dbmigrate(*command.split(), "--format", "plain", cwd=sample.root)

    github = in_actions(sample, *command.split()).expect(plain.code)

    assert plain.code in (0, 13)
    shown = [re.sub(r" *\d+\.\d s *|\s+$", "", line) for line in read_log(github.stdout).text]
    if command == "info":  # it tells its own format
        shown = [line for line in shown if not line.startswith("  format = ")]
        assert shown == [line for line in texts(plain) if not line.startswith("  format = ")]
    else:
        assert shown == texts(plain)


def test_what_stops_a_run_is_shown_at_its_line(sample: Project) -> None:
    let_the_author_cross(sample)

    outcome = in_actions(sample, "all", "--skip-makemigrations").expect(13)

    annotation = read_log(outcome.stdout).shown("error")[0]
    assert (annotation.title, annotation.file) == ("DBM201", "blog/models.py")
    assert "(nothing was changed)" in annotation.message
    assert sample.tables() == {}


def failing_project(tmp_path: Path, said: str = "boom") -> Project:
    app = {
        "models.py": model(),
        "migrations/0001_initial.py": migration(create(), "migrations.RunPython(fail)", head=failing(said)),
    }
    return write_project(
        tmp_path, {"core": app, "blog": simple_app()}, aliases=("default", "blog_db"), rules={"blog": "blog_db"}
    )


def test_a_failed_migration_is_shown_in_its_file(tmp_path: Path) -> None:
    project = failing_project(tmp_path / "site", "50%, see: C:\nthere")
    summary = tmp_path / "summary.md"
    summary.write_text("of an earlier command\n")

    outcome = in_actions(project, "all", "--skip-makemigrations", GITHUB_STEP_SUMMARY=str(summary)).expect(31)

    log = read_log(outcome.stdout)
    failed, waiting = log.annotations
    assert (failed.level, failed.title, failed.file, failed.line) == (
        "error",
        "database default",
        "core/migrations/0001_initial.py",
        "3",  # where it was raised
    )
    assert re.match(
        r"failed: core.0001_initial \(exit 1 after \d+\.\d s\)\nRuntimeError: 50%, see: C: there\n", failed.message
    )
    assert "RuntimeError: 50%, see: C:\n" in failed.message
    assert waiting == Annotation("error", "not started because default failed; 1 migration pending", "database blog_db")
    assert "[default]   RuntimeError: 50%, see: C:" in log.text
    written = summary.read_text()
    assert written.startswith(
        "of an earlier command\n### dbmigrate all: exit 31 (partial): some of the work was completed"
    )
    assert "| default | failed | core.0001&#95;initial, after 1 migration, 1 only recorded |" in written
    assert "[default]   RuntimeError: 50%, see: C:" in written


def test_an_error_before_everything_is_an_annotation(tmp_path: Path) -> None:
    outcome = dbmigrate("all", cwd=tmp_path, environment=ACTIONS).expect(3)

    log = read_log(outcome.stdout)
    assert [(annotation.level, annotation.title) for annotation in log.annotations] == [("error", "dbmigrate all")]
    assert log.annotations[0].message.startswith("no manage.py in ")
    assert outcome.stderr == ""


NASTY = (
    "::error::injected",
    "  ::set-output name=x::y",
    "\t::add-mask::a",
    "\u200d::warning::hidden by a joiner",
    ":\u00ad:warning::hidden by a hyphen",
    "in the middle ##[error]injected",
    "#\u200b#[add-mask]x",
    "x\r::error::after a carriage return",
    "::stop-commands::mine",
    "::mine::",
    "::endgroup::",
    "::group::mine",
    "\u2028::error::after a line separator",
    "\u00a0::debug::after a space that does not break",
)


@pytest.mark.parametrize("ends", ["well", "badly"])
def test_no_line_of_a_migration_is_obeyed_and_none_is_lost(tmp_path: Path, ends: str) -> None:
    head = f"def shout(apps, schema_editor):\n    for line in {NASTY!r}:\n        print(line)\n"
    head += "    raise RuntimeError('::error::at the end')\n" if ends == "badly" else ""
    app = {
        "models.py": model(),
        "migrations/0001_initial.py": migration(create(), "migrations.RunPython(shout)", head=head),
    }
    project = write_project(tmp_path / "site", {"core": app})

    outcome = in_actions(
        project, "all", "-v", "--skip-makemigrations", GITHUB_STEP_SUMMARY=str(tmp_path / "summary.md")
    ).expect(0 if ends == "well" else 30)

    log = read_log(outcome.stdout)
    assert log.others == []
    assert not log.stopped_at_the_end
    assert [title for title, _ in log.groups] == ["Migrating database: default"]
    assert [annotation.title for annotation in log.annotations] == ([] if ends == "well" else ["database default"])
    for said in ("::error::injected", "##[error]injected", "::set-output name=x::y", "::stop-commands::mine"):
        assert any(said in line for line in log.text)


def test_no_line_of_makemigrations_is_obeyed(tmp_path: Path) -> None:
    project = write_project(tmp_path, {"core": {"models.py": model(), "migrations/__init__.py": ""}})
    manage = (project.root / "manage.py").read_text()
    project.write("manage.py", 'print("::add-mask::core", flush=True)\n' + manage)

    outcome = in_actions(project, "make").expect(0)

    log = read_log(outcome.stdout)
    assert log.others == []
    assert "::add-mask::core" in log.text
    assert any("Create model Item" in line for line in log.text)
    assert "core.0001_initial goes to default" in log.text


@pytest.mark.parametrize("already", [0, 900_000, 1024 * 1024])
def test_the_summary_stays_below_what_github_takes(tmp_path: Path, already: int) -> None:
    head = "def shout(apps, schema_editor):\n    for _ in range(30):\n        print('x' * 2000 + '::' * 500)\n"
    head += "    raise RuntimeError('boom')\n"
    app = {"models.py": model(), "migrations/0001_initial.py": migration("migrations.RunPython(shout)", head=head)}
    project = write_project(tmp_path / "site", {"core": app})
    summary = tmp_path / "summary.md"
    summary.write_text("x" * max(0, already - 1) + "\n" if already else "")

    in_actions(project, "all", "--skip-makemigrations", GITHUB_STEP_SUMMARY=str(summary)).expect(30)

    assert summary.stat().st_size <= 1024 * 1024
    assert (summary.stat().st_size > already) is (already < 1024 * 1024)


@pytest.mark.soak
def test_a_summary_that_cannot_be_written_is_a_warning_and_the_run_goes_on(sample: Project) -> None:
    outcome = in_actions(sample, "all", GITHUB_STEP_SUMMARY=str(sample.root / "no" / "such.md")).expect(0)

    assert re.search(r"^warning: the summary of this step cannot be written: .*No such file", outcome.stdout, re.M)
    assert "blog" in sample.tables()


def test_github_is_chosen_in_a_workflow_alone_and_can_be_chosen_anywhere(tmp_path: Path) -> None:
    project = failing_project(tmp_path)
    command = ("run", "--database", "default", "--app", "core", "--skip-makemigrations")

    plain = dbmigrate(*command, cwd=project.root, environment={"GITHUB_ACTIONS": "false"}).expect(30)
    configured = dbmigrate(*command, cwd=project.root, environment={**ACTIONS, "DBMIGRATE_FORMAT": "plain"}).expect(30)
    asked = dbmigrate(*command, "--format", "github", cwd=project.root).expect(30)
    terminal = pexpect.spawn(
        str(EXECUTABLE), list(command), cwd=str(project.root), env=clean_environment(**ACTIONS), encoding="utf-8"
    )
    on_terminal = terminal.read()
    terminal.close()

    assert "::" not in plain.stdout + plain.stderr
    assert "::" not in configured.stdout + configured.stderr
    assert "::error " in asked.stdout
    assert "::error" not in on_terminal
    assert "failed" in on_terminal


def test_what_goes_to_a_file_has_no_commands(sample: Project) -> None:
    let_the_author_cross(sample)
    report = sample.root / "report.txt"

    with report.open("w") as stream:
        ended = subprocess.run(
            [str(EXECUTABLE), "check"], cwd=sample.root, env=clean_environment(**ACTIONS), stdout=stream, timeout=60
        )

    assert ended.returncode == 13
    assert "error: DBM201" in report.read_text()
    assert "::error" not in report.read_text()


@pytest.mark.soak
def test_lines_that_wait_for_their_group_are_written_when_the_job_is_cancelled(tmp_path: Path) -> None:
    ready, go = tmp_path / "ready", tmp_path / "go"
    os.mkfifo(go)
    head = f"import pathlib\n\ndef wait(apps, schema_editor):\n    pathlib.Path({str(ready)!r}).touch()\n"
    head += f"    open({str(go)!r}).read()\n"
    slow = {
        "models.py": model(),
        "migrations/0001_initial.py": migration(create(), "migrations.RunPython(wait)", head=head),
    }
    project = write_project(
        tmp_path / "site",
        {"slow": slow, "fast": simple_app()},
        aliases=("default", "slow_db", "fast_db"),
        rules={"slow": "slow_db", "fast": "fast_db"},
    )
    process = subprocess.Popen(
        [str(EXECUTABLE), "all", "--skip-makemigrations", "--jobs", "2"],
        cwd=project.root,
        env=clean_environment(**ACTIONS),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    lines: list[str] = []
    while "Migrating database: slow_db" not in (line := process.stdout.readline()):
        assert line, lines
        lines.append(line)
    wait_for_recorded(project)

    process.terminate()
    while "stopping (SIGTERM)" not in (line := process.stdout.readline()):
        assert line, lines
        lines.append(line)
    with go.open("w"):
        pass
    rest, _ = process.communicate(timeout=60)

    assert any(line.startswith("[fast_db] ") for line in lines), (lines, rest)


def wait_for_recorded(project: Project) -> None:
    """Wait until the fast database has its migration."""
    import time

    from support.projects import applied

    deadline = time.monotonic() + 60
    while "fast.0001_initial" not in applied(project.database("fast_db")):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_format_and_its_reason_are_shown_where_the_output_is_a_file(tmp_path: Path) -> None:
    project = write_project(tmp_path, {"core": simple_app()})
    environment = clean_environment(**ACTIONS)

    with (tmp_path / "out.txt").open("w") as out:
        command = [str(EXECUTABLE), "info"]
        ended = subprocess.run(
            command, cwd=project.root, env=environment, stdout=out, stderr=subprocess.PIPE, text=True
        )
    piped = dbmigrate("info", "--format", "json", cwd=project.root).expect(0).json["result"]

    assert ended.stderr.startswith("note: GITHUB_ACTIONS=true, but the output is a file: plain text")
    written = (tmp_path / "out.txt").read_text()
    assert "format = plain  (auto: GITHUB_ACTIONS=true, but the output is a file)" in written
    assert [choice["origin"] for choice in piped["choices"] if choice["key"] == "format"] == ["--format"]
