"""Text that an encoding has no place for is written with escapes, and the exit code is that of the work."""

from __future__ import annotations

import json
import os
import subprocess
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from support.cli import EXECUTABLE, clean_environment
from support.projects import Project, applied, create, migration, model, write_project

ENVIRONMENTS = {
    "utf-8": {},
    "ascii": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "latin-1": {"PYTHONIOENCODING": "latin-1"},
}

PRINTS = 'def tell(apps, schema_editor):\n    print("na\\udcefve süß")\n'


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Return a project in a folder that is not UTF-8, with a database and a print that are not ASCII."""
    app = {
        "models.py": model(),
        "migrations/0001_initial.py": migration(create(), "migrations.RunPython(tell)", head=PRINTS),
    }
    entry = {"ENGINE": "django.db.backends.sqlite3", "NAME": "books.sqlite3"}
    root = tmp_path / os.fsdecode(b"caf\xe9")
    aliases = {"default": {}, "bücher_db": entry}
    return write_project(root, {"core": app, "blog": app}, aliases=aliases, rules={"blog": "bücher_db"})


def run(project: Project, encoding: str, *words: str, **variables: str) -> tuple[str, str]:
    """Run a command that succeeds; return what it wrote to stdout and stderr, as that encoding has it."""
    ended = subprocess.run(
        [str(EXECUTABLE), *words],
        cwd=project.root,
        env=clean_environment(**ENVIRONMENTS[encoding], **variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=90,
        check=False,
    )
    out, err = ended.stdout.decode(encoding), ended.stderr.decode(encoding)
    assert ended.returncode == 0, (out, err)
    assert "Traceback" not in err
    return out, err


@pytest.mark.soak
@pytest.mark.parametrize(
    ("encoding", "launcher", "alias", "printed"),
    [
        ("utf-8", "fork", "bücher_db", "na\\udcefve süß"),
        ("ascii", "spawn", "b\\xfccher_db", "na\\udcefve s\\xfc\\xdf"),
        ("ascii", "fork", "b\\xfccher_db", "na\\udcefve s\\xfc\\xdf"),
        ("latin-1", "spawn", "bücher_db", "na\\udcefve süß"),
    ],
)
def test_a_run_writes_escapes_for_what_its_streams_cannot_hold(
    project: Project, encoding: str, launcher: str, alias: str, printed: str
) -> None:
    words = ("all", "--skip-makemigrations", "-v", "--format", "plain", "--launcher", launcher)

    out, err = run(project, encoding, *words)

    assert applied(project.root / "books.sqlite3") == ["blog.0001_initial"]
    assert f"[{alias}] Migrations completed for {alias}" in err
    assert any(line.endswith(printed) for line in err.splitlines() if f"[{alias}] " in line)
    assert f"{alias} " in out


@pytest.mark.soak
@pytest.mark.parametrize("encoding", ["utf-8", "ascii", pytest.param("latin-1", marks=pytest.mark.soak)])
def test_every_answer_of_such_a_project_can_be_read(project: Project, tmp_path: Path, encoding: str) -> None:
    summary, report = tmp_path / "summary.md", tmp_path / "report.xml"
    run(project, encoding, "all", "--skip-makemigrations", "--format", "rich")

    out, _ = run(project, encoding, "info", "--format", "json")
    github = {"GITHUB_STEP_SUMMARY": str(summary)}
    run(project, encoding, "check", "--ignore", "DBM208", "--format", "github", "--junit", str(report), **github)

    document = json.loads(out)
    assert out.isascii() or encoding == "utf-8"
    assert [database["alias"] for database in document["result"]["databases"]] == ["default", "bücher_db"]
    assert "caf\\udce9" in document["result"]["root"]
    assert "### dbmigrate check" in summary.read_text(encoding="utf-8")
    assert ElementTree.parse(report).getroot().get("failures") == "0"


def test_an_error_with_such_a_name_is_a_document_too(project: Project) -> None:
    ended = subprocess.run(
        [str(EXECUTABLE), "run", "--format", "json", "--app", os.fsdecode(b"b\xfccher"), "--database", "bücher_db"],
        cwd=project.root,
        env=clean_environment(),
        capture_output=True,
        timeout=90,
        check=False,
    )

    assert ended.returncode == 2, ended
    assert "b\\udcfccher" in json.loads(ended.stdout)["error"]["message"]
