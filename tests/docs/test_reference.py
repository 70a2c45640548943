"""What is written down is true: every command of the README runs, every code, check, key and module has its place."""

from __future__ import annotations

import ast
import json
import re
import runpy
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from support.documents import blocks, run_console, shell
from support.projects import Project, applied, copy_sample

from dbmigrate.cli.root import COMMANDS, cli
from dbmigrate.config import KEYS
from dbmigrate.errors import ExitCode
from dbmigrate.planning.checks import IDS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
SOURCE = ROOT / "src" / "dbmigrate"
SCRIPTS = [
    f"{document.name}-{number}:{script}"
    for document in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
    for number, script in enumerate(blocks(document.read_text(), "sh"), 1)
    if "dbmigrate" in script
] + [f"{file.name}:{file.read_text()}" for file in sorted((ROOT / "docs/examples").glob("*.sh"))]
"""Every shell script that people copy, its document in front."""
SCRIPTS_AND_FLAGS = [
    pytest.param(
        script,
        flags,
        id=f"{script.split(':', 1)[0]}-{'stops-at-failures' if flags else 'goes-on'}",
        marks=pytest.mark.soak if flags and number else (),
    )
    for number, script in enumerate(SCRIPTS)
    for flags in (("-e",), ())
]
FAILURE_IN = "raise RuntimeError('the disk is full')"


def test_every_console_command_of_the_readme_runs_and_prints_what_stands_there(tmp_path: Path) -> None:
    run_console(README, copy_sample(tmp_path))


@pytest.mark.soak
@pytest.mark.parametrize(("script", "flags"), SCRIPTS_AND_FLAGS)
def test_every_script_of_the_documents_ends_with_the_code_that_says_why(
    sample: Project, tmp_path: Path, script: str, flags: tuple[str, ...]
) -> None:
    text = script.split(":", 1)[1]
    server = ("sh", "-c", "echo serving as $$")
    environment = {"DJANGO_SETTINGS_MODULE": "myproj.settings"}
    broken = sample.copy_to(tmp_path / "broken")
    broken.write(
        "blog/migrations/0005_boom.py",
        "from django.db import migrations\n\n\ndef fail(apps, schema_editor):\n"
        f"    {FAILURE_IN}\n\n\nclass Migration(migrations.Migration):\n"
        '    dependencies = [("blog", "0004_fill_slugs")]\n    operations = [migrations.RunPython(fail)]\n',
    )

    good = shell(text, sample, *server, flags=flags, **environment)
    bad = shell(text, broken, *server, flags=flags, **environment)

    assert good.returncode == 0, good.stdout
    assert "blog.0004_fill_slugs" in applied(sample.database("blog_db"))
    assert bad.returncode == ExitCode.PARTIAL, bad.stdout
    assert FAILURE_IN.split("'")[1] in bad.stdout
    assert ("serving as" in good.stdout) is ('exec "$@"' in text)
    assert "serving as" not in bad.stdout
    if "dbmigrate check" in text:
        models = (sample.root / "shop/models.py").read_text()
        sample.write("shop/models.py", models.replace("max_length=200", "max_length=300"))
        changed = shell(text, sample, flags=flags, **environment)
        assert changed.returncode == ExitCode.MODEL_CHANGES, changed.stdout


@pytest.mark.soak
def test_the_two_commands_of_the_readme_exist_and_the_demo_says_that_nothing_is_pending() -> None:
    makefile = (ROOT / "Makefile").read_text()
    demo = ["make", "demo", f"BIN={Path(sys.executable).parent}", "--assume-old=.venv/.demo"]

    runs = [subprocess.run(demo, cwd=ROOT, capture_output=True, text=True, timeout=90) for _ in range(2)]

    assert [ended.returncode for ended in runs] == [0, 0], runs
    assert "Nothing pending: every database is up to date" in runs[1].stdout
    assert re.search(r"^test:", makefile, re.M)


def test_every_exit_code_has_a_section_and_stands_in_the_readme() -> None:
    text = (ROOT / "docs/exit-codes.md").read_text()

    documented = {(int(code), name) for code, name in re.findall(r"^## (\d+) (\S+)$", text, re.M)}
    assert documented == {(code.value, code.label) for code in ExitCode}
    assert all(re.search(rf"^\| ([\d, ]*\b)?{code}\b", README, re.M) for code, _ in documented)


def test_every_check_has_a_section_and_every_section_a_check() -> None:
    assert tuple(re.findall(r"^## (DBM\d+)$", (ROOT / "docs/checks.md").read_text(), re.M)) == IDS


def test_every_section_of_a_check_says_why_how_to_fix_and_how_to_silence() -> None:
    sections = re.split(r"^## DBM\d+$", (ROOT / "docs/checks.md").read_text(), flags=re.M)[1:]

    assert all(re.findall(r"^(Why|Fix|Silence): ", section, re.M) == ["Why", "Fix", "Silence"] for section in sections)


def test_the_tables_of_keys_and_commands_are_what_the_program_knows() -> None:
    generate = runpy.run_path(str(ROOT / "docs/generate.py"))

    for name, complete in (
        ("configuration.md", generate["with_configuration"]),
        ("commands.md", generate["with_commands"]),
    ):
        text = (ROOT / "docs" / name).read_text()
        assert text == complete(text), "make docs"
    assert all(f"`{key}`" in (ROOT / "docs/configuration.md").read_text() for key in KEYS)


def test_every_command_has_a_section_and_the_readme_is_short() -> None:
    sections = re.findall(r"^## dbmigrate (\S+)$", (ROOT / "docs/commands.md").read_text(), re.M)

    assert sections == list(COMMANDS)
    assert len(README.split()) <= 900


def test_help_and_readme_answer_what_it_is_in_the_same_words() -> None:
    usage, what, *_ = (SOURCE / "cli/help.txt").read_text().split("\n\n")

    assert usage.startswith("Usage: dbmigrate")
    for document in (README, (ROOT / "docs/index.md").read_text()):
        assert " ".join(document.split("\n\n")[1].split()).startswith(" ".join(what.split()))


def test_messages_help_and_documents_use_the_words_of_the_field() -> None:
    table = (ROOT / "docs/contributing.md").read_text().split("## Words")[1]
    rows = re.findall(r"^\| (?!not \||-)([^|]+) \|", table, re.M)
    phrases = [phrase for row in rows for phrase in row.split(", ")]
    banned = re.compile(rf"\b({'|'.join(map(re.escape, phrases))})\b", re.I)
    texts = [("README.md", README), ("--help", cli.get_help(click.Context(cli)))]
    texts += [(path.name, path.read_text()) for path in (ROOT / "docs").glob("*.md") if path.name != "contributing.md"]
    texts += [(f"{path.name}:{line}", text) for path in SOURCE.rglob("*.py") for line, text in _messages(path)]

    assert len(phrases) > 50
    assert len(texts) > 1000
    found = [(name, match[0]) for name, text in texts for match in banned.finditer(" ".join(text.split()))]
    assert found == []


def _messages(path: Path) -> Iterator[tuple[int, str]]:
    """Yield every text of a module that people may read: a literal of several words that is no docstring."""
    tree = ast.parse(path.read_text())
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if id(node) in docstrings:
            continue
        if isinstance(node, ast.JoinedStr):
            parts = [part.value if isinstance(part, ast.Constant) else "{}" for part in node.values]
            yield node.lineno, "".join(str(part) for part in parts)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value.strip():
            yield node.lineno, node.value


def test_every_package_and_every_module_at_the_top_stands_in_the_picture_of_the_architecture() -> None:
    picture = (ROOT / "docs/architecture.md").read_text()

    packages = {f"{path.parent.name}/" for path in SOURCE.rglob("__init__.py")}
    modules = {path.name for path in SOURCE.glob("[a-z]*.py")}
    assert {name for name in packages | modules if name not in picture} == set()


def test_links_between_the_documents_lead_somewhere() -> None:
    for document in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_the_wheel_has_what_runs_in_the_target_and_the_help(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(tmp_path),
    ]
    subprocess.run([*command, str(ROOT)], check=True, capture_output=True, timeout=90)

    names = set(zipfile.ZipFile(next(tmp_path.glob("dbmigrate-*.whl"))).namelist())

    here = {
        str(path.relative_to(SOURCE.parent)) for path in SOURCE.rglob("*") if path.suffix in (".py", ".txt", ".typed")
    }
    assert here <= names


def test_the_recording_plays_and_shows_the_run_and_the_menu() -> None:
    header, *events = map(json.loads, (ROOT / "docs/captures/session.cast").read_text().splitlines())

    assert header["version"] == 2
    assert [kind for _, kind, _ in events] == ["o"] * len(events)
    times = [at for at, _, _ in events]
    assert times == sorted(times)
    shown = "".join(text for _, _, text in events)
    for words in (
        "Migrating database: blog_db",
        "What would you like to do?",
        "$ dbmigrate run --app blog --to 0002_tags",
    ):
        assert words in shown
