"""What a release takes from the program is what the program says, and its metadata is what the tests cover."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml
from support.documents import blocks
from support.environments import RECIPES, SUPPORTED

from dbmigrate import __version__
from dbmigrate.config import DATABASE_KEYS, KEYS, ConfigFile, merge_settings
from dbmigrate.errors import UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads((ROOT / "docs/schema/settings.json").read_text())
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXAMPLES = [
    tomllib.loads(block)["tool"]["dbmigrate"]
    for document in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
    for block in blocks(document.read_text(), "toml")
    if "[tool.dbmigrate" in block
]
VALUES = [
    *(
        "",
        " ",
        "x",
        "a,b",
        "a\0b",
        "4",
        " 4 ",
        "04",
        "0",
        "10000",
        "10001",
        "-1",
        "30",
        "2.5",
        ".5",
        "2000000",
        "2000001",
    ),
    *("true", "TRUE", "No", "off", "maybe", "auto", "fork", "spawn", "app", "database", "skip", "migrate", "pending"),
    *("always", "json", "Auto", "DBM101", "default=postgresql://h/n", "a=x://y,b=x://z", "a=b", "a=x://y,b=z", "://"),
    *(0, 1, 4, 10000, 10001, -1, 2_000_000, 2_000_001, 0.0, 2.5, -0.5, True, False),
    *([], ["a"], ["a", 1], ["a\0"], {}, {"default": "postgresql://h/n"}, {"default": "x"}, {"default": 1}),
    *({"blog.0007*": "post"}, {"unmarked": "ask"}, {"blog.*": "ask"}, {"blog": {"0007": "post"}}),
    *("blog.0007*=post,third_party=ask", "blog.*=ask", " a.*=pre , ,unmarked=pre", "unmarked =ask", "a.*= pre", ","),
]


def _program_accepts(table: object) -> bool:
    try:
        merge_settings(ConfigFile(Path("pyproject.toml"), table), {}, {})
    except UsageError:
        return False
    return True


def _schema_accepts(table: object) -> bool:
    return bool(jsonschema.Draft7Validator(SCHEMA).is_valid(table))


def test_manual_page_completions_bill_and_schema_are_what_the_program_says() -> None:
    command = [sys.executable, str(ROOT / ".ci/release/write_generated.py"), "--check"]

    ended = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)

    assert (ended.returncode, ended.stdout) == (0, "")


@pytest.mark.parametrize("key", KEYS)
def test_the_schema_of_the_settings_gives_the_answer_of_the_program(key: str) -> None:
    answers = {repr(value): (_schema_accepts({key: value}), _program_accepts({key: value})) for value in VALUES}

    assert {value: answer for value, answer in answers.items() if answer[0] is not answer[1]} == {}
    assert {True, False} == {accepted for _, accepted in answers.values()}


@pytest.mark.parametrize("key", DATABASE_KEYS)
def test_the_schema_of_one_database_gives_the_answer_of_the_program(key: str) -> None:
    tables = {repr(value): {"databases": {"archive": {key: value}}} for value in VALUES}
    answers = {value: (_schema_accepts(table), _program_accepts(table)) for value, table in tables.items()}

    assert {value: answer for value, answer in answers.items() if answer[0] is not answer[1]} == {}
    assert {True, False} == {accepted for _, accepted in answers.values()}


@pytest.mark.parametrize(
    "table",
    [
        {"job": 4},
        {"databases": {"archive": {"jobs": 4}}},
        {"databases": {"archive": {"open": "perhaps"}}},
        {"databases": []},
        {"databases": {"archive": "migrate"}},
        [],
    ],
)
def test_what_the_schema_does_not_know_the_program_does_not_either(table: object) -> None:
    assert not _schema_accepts(table)
    assert not _program_accepts(table)


def test_every_documented_example_of_the_settings_is_valid() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    assert len(EXAMPLES) >= 2
    for table in EXAMPLES:
        jsonschema.validate(table, SCHEMA, cls=jsonschema.Draft7Validator)
        assert _program_accepts(table)


def test_the_classifiers_are_the_djangos_of_the_tests() -> None:
    claimed = re.findall(r"Framework :: Django :: (\d\.\d)", "\n".join(PROJECT["project"]["classifiers"]))

    assert [f"Django=={version}.*" for version in claimed] == [RECIPES[name].packages[0] for name in SUPPORTED]


def test_the_workflow_tests_the_pythons_of_the_classifiers_and_the_oldest_of_a_project() -> None:
    matrix = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text())["jobs"]["test"]["strategy"]["matrix"]
    readme = (ROOT / "README.md").read_text()

    assert matrix["python"] == re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["project"]["classifiers"]))
    assert f">={matrix['python'][0]}" == PROJECT["project"]["requires-python"]
    assert f"It needs Python\n{matrix['python'][0]} to {matrix['python'][-1]};" in readme
    assert [f"on Python {version} or newer" in readme for version in matrix["projects"]] == [True]


@pytest.mark.parametrize(
    ("document", "pattern"),
    [
        ("docs/examples/Dockerfile", r"dbmigrate==(\S+)"),
        ("docs/ci.md", r"dbmigrate/dbmigrate@v(\S+)|rev: v(\S+)"),
        ("docs/compared.md", r"\| dbmigrate (\S+) \|"),
        ("docs/approve-migrations.md", r"examples/plan-([\d.]+)\.json"),
        ("CHANGELOG.md", r"\A# Changelog\n(?:(?!## ).*\n)*## \[(\S+)\] - "),
    ],
)
def test_what_the_documents_call_the_newest_version_is_this_one(document: str, pattern: str) -> None:
    found = ["".join(match.groups("")) for match in re.finditer(pattern, (ROOT / document).read_text())]

    assert found
    assert {*found} == {__version__}


@pytest.mark.parametrize(("group", "lock"), [("dev", "dev.txt"), ("package", "package.txt"), ("build", "build.txt")])
def test_the_lock_has_every_requirement_of_its_group_with_hashes(group: str, lock: str) -> None:
    text = (ROOT / ".ci/locks" / lock).read_text()
    locked = {re.sub(r"[-_.]+", "-", name).lower() for name in re.findall(r"^([A-Za-z0-9_.-]+)==", text, re.M)}
    needed = [*PROJECT["dependency-groups"][group], *(PROJECT["project"]["dependencies"] if group == "dev" else [])]

    names = {re.sub(r"[-_.]+", "-", re.match(r"[A-Za-z0-9_.-]+", line)[0]).lower() for line in needed}  # type: ignore[index]
    assert names - locked == set()
    assert len(re.findall(r"^\S+==", text, re.M)) == len(re.findall(r"^\S+==.*\\\n    --hash=sha256:", text, re.M))
    assert set(PROJECT["project"]["optional-dependencies"]) == {"lint"}
