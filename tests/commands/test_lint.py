"""`check --lint`: the real squawk over the pending SQL of a real PostgreSQL, and one that is not there or broken."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest
from support.cli import Outcome, clean_environment, dbmigrate
from support.projects import Project, create, migration, model, simple_app, write_project
from support.sites import Site

from dbmigrate.commands.squawk import write_script
from dbmigrate.models.sql import MigrationSql

FIRST = (("core", "0001_initial"),)
MORE = migration(
    'migrations.AddField("item", "size", models.BigIntegerField(null=True))',
    'migrations.RemoveField("item", "name")',
    'migrations.AddIndex("item", models.Index(fields=["size"], name="size_idx"))',
    after=FIRST,
)
MODELS = model("Item", "size = models.BigIntegerField(null=True)") + (
    '\n    class Meta:\n        indexes = [models.Index(fields=["size"], name="size_idx")]\n'
)


@pytest.fixture
def migrated(migrated_site: Callable[[str], Site]) -> Site:
    """Return a PostgreSQL site whose first migration is applied, and whose second one is pending."""
    here = migrated_site("postgresql")
    here.project.write("core/migrations/0002_more.py", MORE)
    here.project.write("core/models.py", MODELS)
    return here


def findings(outcome: Outcome) -> dict[str, dict[str, object]]:
    """Return the findings of the linter by id."""
    found = outcome.json["result"]["findings"]
    return {finding["id"]: finding for finding in found if finding["id"].startswith("squawk:")}


@pytest.mark.postgresql
def test_what_squawk_finds_is_told_with_migration_database_and_line(migrated: Site) -> None:
    outcome = dbmigrate("check", "--lint", "--format", "json", cwd=migrated.project.root).expect(0)

    dropped = findings(outcome)["squawk:ban-drop-column"]
    lines = (migrated.project.root / "core/migrations/0002_more.py").read_text().splitlines()
    assert dropped["level"] == "warning"
    assert dropped["message"] == (
        'core.0002_more on default: Dropping a column may break existing clients: ALTER TABLE "core_item" '
        'DROP COLUMN "name" CASCADE;'
    )
    assert dropped["hint"] == "https://squawkhq.com/docs/ban-drop-column"
    assert (dropped["file"], dropped["aliases"], dropped["migrations"]) == (
        "core/migrations/0002_more.py",
        ["default"],
        ["core.0002_more"],
    )
    assert "RemoveField" in lines[int(str(dropped["line"])) - 1]
    index = findings(outcome)["squawk:require-concurrent-index-creation"]
    assert index["hint"] == "Use `concurrently` to avoid blocking writes."
    assert "AddIndex" in lines[int(str(index["line"])) - 1]
    assert outcome.json["result"]["lint"] == {
        "linted": [{"alias": "default", "migrations": ["core.0002_more"]}],
        "not_linted": [],
    }


@pytest.mark.postgresql
def test_a_table_that_is_made_in_the_same_go_is_changed_without_a_word(site: Callable[..., Site]) -> None:
    here = site("postgresql")
    here.project.write("core/migrations/0002_more.py", MORE)
    here.project.write("core/models.py", MODELS)

    outcome = dbmigrate("check", "--lint", "--format", "json", cwd=here.project.root).expect(0)

    assert "squawk:require-concurrent-index-creation" not in findings(outcome)
    assert outcome.json["result"]["lint"]["linted"][0]["migrations"] == [
        "core.0001_initial",
        "core.0002_more",
        "more.0001_initial",
    ]


@pytest.mark.soak
@pytest.mark.postgresql
def test_select_ignore_and_fail_on_take_the_rules_of_squawk(migrated: Site) -> None:
    root = migrated.project.root

    def lint(*words: str) -> Outcome:
        return dbmigrate("check", "--lint", "--format", "json", *words, cwd=root)

    one = lint("--select", "squawk:ban-drop-column", "--fail-on", "warning").expect(13)
    others = lint("--select", "Squawk", "--ignore", "squawk:ban-drop-column").expect(0)
    migrated.project.write("pyproject.toml", '[tool.dbmigrate]\nignore = ["squawk:ban-drop-column", "DBM304"]\n')
    configured = lint().expect(0)
    dbmigrate("plan", cwd=root).expect(0)

    assert set(findings(one)) == {"squawk:ban-drop-column"}
    assert one.json["result"]["checks"] == []
    assert "squawk:ban-drop-column" not in findings(others)
    assert "squawk:require-concurrent-index-creation" in findings(others)
    assert "squawk:ban-drop-column" not in findings(configured)
    assert "DBM304" not in {finding["id"] for finding in configured.json["result"]["findings"]}
    assert "squawk:require-concurrent-index-creation" in findings(configured)


@pytest.mark.postgresql
def test_an_opt_in_rule_is_applied_when_it_is_selected(migrated: Site) -> None:
    outcome = dbmigrate(
        "check", "--lint", "--format", "json", "--select", "squawk:require-table-schema", cwd=migrated.project.root
    ).expect(0)

    assert set(findings(outcome)) == {"squawk:require-table-schema"}


@pytest.mark.postgresql
@pytest.mark.parametrize("option", ["--select", "--ignore"])
def test_a_rule_that_squawk_does_not_know_is_an_error(migrated: Site, option: str) -> None:
    outcome = dbmigrate("check", "--lint", option, "squawk:ban-drop-colum", cwd=migrated.project.root).expect(2)

    assert (
        "error: squawk has no rule ban-drop-colum\nhint: its rules: https://squawkhq.com/docs/rules" in outcome.stderr
    )


@pytest.mark.postgresql
def test_the_lock_timeout_of_a_run_counts_for_the_linter(migrated: Site) -> None:
    migrated.project.write("pyproject.toml", "[tool.dbmigrate]\nddl_lock_timeout = 2\n")

    outcome = dbmigrate("check", "--lint", "--format", "json", cwd=migrated.project.root).expect(0)

    assert "squawk:require-lock-timeout" not in findings(outcome)
    dropped = findings(outcome)["squawk:ban-drop-column"]
    lines = (migrated.project.root / "core/migrations/0002_more.py").read_text().splitlines()
    assert "RemoveField" in lines[int(str(dropped["line"])) - 1]


@pytest.mark.postgresql
def test_concurrent_indexes_are_right_where_the_migration_is_not_atomic_and_wrong_where_it_is(migrated: Site) -> None:
    index = 'migrations.RunSQL("CREATE INDEX CONCURRENTLY IF NOT EXISTS name_idx ON core_item (name)")'
    rule = "squawk:ban-concurrent-index-creation-in-transaction"

    def lint(*, atomic: bool) -> set[str]:
        text = migration(index, after=FIRST, atomic=atomic)
        migrated.project.write("core/migrations/0002_more.py", text)
        return set(findings(dbmigrate("check", "--lint", "--format", "json", cwd=migrated.project.root)))

    assert rule in lint(atomic=True)
    assert rule not in lint(atomic=False)


@pytest.mark.postgresql
def test_the_projects_own_configuration_of_squawk_counts(migrated: Site) -> None:
    migrated.project.write(".squawk.toml", 'excluded_rules = ["ban-drop-column"]\n')

    outcome = dbmigrate("check", "--lint", "--format", "json", cwd=migrated.project.root).expect(0)

    assert "squawk:ban-drop-column" not in findings(outcome)
    assert "squawk:require-concurrent-index-creation" in findings(outcome)


@pytest.mark.postgresql
def test_sql_that_squawk_cannot_parse_is_an_error_and_can_be_ignored(migrated: Site) -> None:
    migrated.project.write("core/migrations/0002_more.py", migration('migrations.RunSQL("SELEC 1")', after=FIRST))
    migrated.project.write("core/models.py", model())

    wrong = dbmigrate("check", "--lint", cwd=migrated.project.root).expect(13)
    ignored = dbmigrate("check", "--lint", "--ignore", "squawk:syntax-error", cwd=migrated.project.root)

    assert "error: squawk:syntax-error: core.0002_more on default: " in wrong.stdout
    assert "syntax-error" not in ignored.expect(0).stdout


@pytest.mark.postgresql
def test_sql_that_cannot_be_written_down_is_told_as_not_linted(migrated: Site) -> None:
    # The constraint's name is looked up in the database, which does not have it yet.
    migrated.project.write(
        "core/migrations/0002_more.py",
        migration(
            'migrations.AddField("item", "size", models.BigIntegerField(null=True))',
            'migrations.AlterUniqueTogether("item", {("size", "name")})',
            after=FIRST,
        ),
    )
    migrated.project.write(
        "core/migrations/0003_less.py",
        migration('migrations.AlterUniqueTogether("item", set())', after=(("core", "0002_more"),)),
    )
    migrated.project.write(
        "core/models.py",
        model("Item", "name = models.CharField(max_length=20)", "size = models.BigIntegerField(null=True)"),
    )

    outcome = dbmigrate("check", "--lint", "--junit", "report.xml", cwd=migrated.project.root).expect(0)

    assert "not linted: core.0003_less on default: its SQL depends on earlier pending migrations: " in outcome.stdout
    assert "linted: 1 migration on default" in outcome.stdout
    report = (migrated.project.root / "report.xml").read_text()
    assert 'name="squawk core.0003_less on default"' in report
    assert "<skipped " in report


@pytest.mark.postgresql
def test_findings_of_the_linter_are_failures_of_their_migration_in_junit(migrated: Site) -> None:
    command = ("check", "--lint", "--select", "squawk", "--fail-on", "warning", "--junit", "report.xml")

    dbmigrate(*command, cwd=migrated.project.root).expect(13)

    report = (migrated.project.root / "report.xml").read_text()
    assert 'name="squawk core.0002_more on default core/migrations/0002_more.py:' in report
    assert 'type="squawk:ban-drop-column"' in report


@pytest.mark.postgresql
def test_nothing_pending_is_nothing_to_lint(migrated_site: Callable[[str], Site]) -> None:
    here = migrated_site("postgresql")

    outcome = dbmigrate("check", "--lint", cwd=here.project.root).expect(0)

    assert "nothing to lint: no PostgreSQL database has pending migrations" in outcome.stdout


def test_other_engines_are_not_linted_and_that_is_said(tmp_path: Path) -> None:
    project = write_project(tmp_path, {"core": simple_app()})

    outcome = dbmigrate("check", "--lint", cwd=project.root).expect(0)

    assert (
        "not linted: core.0001_initial on default: squawk reads only the SQL of PostgreSQL, not of sqlite\n"
        "nothing to lint: no PostgreSQL database has pending migrations\n"
    ) in outcome.stdout


@pytest.mark.parametrize(
    ("words", "error", "hint"),
    [
        (
            "--lint --offline",
            "--lint cannot be combined with --offline: it needs to know what is pending",
            "remove one",
        ),
        ("--select squawk:ban-drop-column", "--select: squawk:ban-drop-column is a linter rule", "add --lint"),
        ("--lint --select DBM201", "--lint is given, but --select names no linter rule", "--select DBM201,squawk"),
        ("--lint --select DBM999", "--select: there is no check DBM999", "the checks are"),
    ],
)
def test_words_that_contradict_each_other(tmp_path: Path, words: str, error: str, hint: str) -> None:
    project = write_project(tmp_path, {"core": simple_app()})

    outcome = dbmigrate("check", *words.split(), cwd=project.root).expect(2)

    assert f"error: {error}" in outcome.stderr
    assert "hint: " in outcome.stderr
    assert hint.split()[0] in outcome.stderr


def with_another_squawk(folder: Path, script: str | None, project: Project) -> subprocess.CompletedProcess[str]:
    """Run `check --lint` with this squawk beside the interpreter; with None there is none at all."""
    programs = folder / "bin"
    programs.mkdir(parents=True)
    python = programs / "python"
    python.symlink_to(Path(sys.executable).resolve())
    if script is not None:
        (programs / "squawk").write_text(f"#!/bin/sh\n{script}\n")
        (programs / "squawk").chmod(0o755)
    environment = clean_environment(PYTHONPATH=paths(), PATH="/usr/bin:/bin")
    return subprocess.run(
        [str(python), "-m", "dbmigrate", "check", "--lint", "--python", sys.executable],
        cwd=project.root,
        env=environment,
        capture_output=True,
        text=True,
        timeout=90,
    )


def paths() -> str:
    return os.pathsep.join([sysconfig.get_paths()["purelib"], str(Path(__file__).parents[2] / "src")])


def test_without_squawk_the_error_says_how_to_get_it(tmp_path: Path) -> None:
    project = write_project(tmp_path / "site", {"core": simple_app()})

    ended = with_another_squawk(tmp_path / "none", None, project)

    assert ended.returncode == 2, ended.stderr
    assert ended.stderr.startswith("error: --lint needs squawk, which is neither in ")
    assert "hint: pip install 'dbmigrate[lint]'\n" in ended.stderr
    assert ended.stdout == ""


@pytest.mark.soak
@pytest.mark.postgresql
@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo oops >&2; exit 101", "it exited with 101: oops"),
        ("kill -SEGV $$", "it exited with -11: it printed nothing"),
        ("echo 'thread main panicked' >&2; exit 1", "thread main panicked"),
        ('echo \'{"new": "format"}\'', "its output is not a report: "),
        ("echo '[{\"line\": 0}]'", "its output is not a report: "),
        ("echo not json", "its output is not a report: "),
    ],
)
def test_a_squawk_that_does_not_work_is_one_error(migrated: Site, tmp_path: Path, script: str, said: str) -> None:
    ended = with_another_squawk(tmp_path / "other", f"cat >/dev/null; {script}", migrated.project)

    assert ended.returncode == 2, ended.stderr
    assert f"/squawk): {said}" in ended.stderr
    assert "hint: run it directly to see: squawk --version" in ended.stderr
    assert ended.stdout == ""


@pytest.mark.postgresql
def test_levels_keys_and_lines_of_a_newer_squawk_are_taken_as_they_are(migrated: Site, tmp_path: Path) -> None:
    report = [{"line": 999, "level": "Fatal", "message": "m", "help": None, "rule_name": "new-rule", "more": 1}]

    ended = with_another_squawk(tmp_path / "other", f"cat >/dev/null; echo '{json.dumps(report)}'", migrated.project)

    assert ended.returncode == 0, ended.stderr
    assert "warning: squawk:new-rule: core.0002_more on default: m: " in ended.stdout


def test_each_line_of_a_script_knows_its_operation() -> None:
    statements = (
        *("--", "-- Create model Item", "--", "CREATE TABLE a (\n  id int\n);"),
        *("--", "-- Raw Python operation", "--", "-- THIS OPERATION CANNOT BE WRITTEN AS SQL"),
        *("--", "-- Raw SQL operation", "--", "SELECT 1;\r\nSELECT 2;"),
        "CREATE INDEX b ON a (id);",
    )
    script = write_script(
        [MigrationSql(id="core.0001_initial", statements=statements, deferred=1, problem=None)], in_transaction=False
    )

    operations = [
        (line, subject[2] if subject[0] == "operation" else None)
        for line, (_, subject) in zip(script.lines, script.sources, strict=True)
        if not line.startswith("--")
    ]
    assert operations == [
        ("CREATE TABLE a (", "0"),
        ("  id int", "0"),
        (");", "0"),
        ("SELECT 1;", "2"),
        ("SELECT 2;", "2"),
        ("CREATE INDEX b ON a (id);", None),
    ]


def test_what_django_defers_is_counted(tmp_path: Path) -> None:
    """The count comes from Django itself: an index of a new table stands behind all operations."""
    app = {
        "models.py": model("Item", "name = models.SlugField()"),
        "migrations/0001_initial.py": migration(create("Item", '("name", models.SlugField())')),
    }
    project = write_project(tmp_path, {"core": app})

    report = dbmigrate("plan", "--sql", "--format", "json", cwd=project.root).expect(0).json

    [sql] = report["result"]["sql"][0]["migrations"]
    assert sql["deferred"] == 1
    assert "CREATE INDEX" in sql["statements"][-1]
