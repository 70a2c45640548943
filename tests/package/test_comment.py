"""The text of the comment on a pull request, from documents in literals."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import pytest

COMMENT = runpy.run_path(str(Path(__file__).parents[2] / ".ci/action/plan_comment.py"))
KEY = (".", "", "")
MARK = "<!-- dbmigrate plan .  e3b0c44298fc -->\n"


def _document(migrations: list[dict[str, Any]], **plan: Any) -> dict[str, Any]:
    steps = (
        [{"alias": "blog_db", "migrations": [{"backwards": False, **one} for one in migrations]}] if migrations else []
    )
    sql = [
        {"alias": "blog_db", "migrations": [{"id": one["id"], "statements": [one["sql"]], "problem": None}]}
        for one in migrations
    ]
    return {"error": None, "result": {"plan": {"steps": steps, "findings": [], **plan}, "sql": sql, "refusal": None}}


def _comment(document: dict[str, Any]) -> str:
    return str(COMMENT["comment_of"](document, KEY))


def test_it_has_the_digest_the_phases_and_the_dangers_of_the_plan() -> None:
    danger = {"id": "DBM304", "level": "warning", "message": "drops @team's | column"}
    migration = {"id": "blog.0002_x", "sql": "DROP `x```y`", "phase": "post"}

    text = _comment(_document([migration], digest="0123456789abcdef", findings=[danger]))

    assert text == (
        f"{MARK}### dbmigrate plan: 1 migration on 1 database\n"
        "\nDigest: `0123456789ab`\n"
        "\n| database | migration | phase |\n|---|---|---|\n"
        "| blog&#95;db | blog.0002&#95;x | post |\n"
        "\n**What to know before it runs**\n\n"
        "- warning DBM304: drops &#64;team's &#124; column\n"
        "\n<details><summary>SQL on blog&#95;db: 1 migration</summary>\n\n"
        "````sql\n-- blog.0002_x\nDROP `x```y`\n````\n\n</details>\n"
    )


def test_it_fits_into_a_comment_and_says_what_is_missing() -> None:
    text = _comment(_document([{"id": f"blog.{number:04}", "sql": "x" * 10_000} for number in range(9)]))

    assert len(text) < 65_536
    assert text.count("<details>") == text.count("</details>") == 6
    assert text.endswith("\n</details>\n\nThe rest is too long for a comment: `dbmigrate plan --sql` prints it.\n")


@pytest.mark.parametrize(
    "document",
    [
        {"error": {"message": "<" * 70_000, "hint": "x"}, "result": None},
        {"error": {"message": "no plan", "hint": "|" * 70_000}, "result": None},
    ],
)
def test_a_long_error_fits_into_a_comment(document: dict[str, Any]) -> None:
    text = _comment(document)

    assert len(text) < 65_536
    assert text.startswith(f"{MARK}### dbmigrate could not make a plan\n")
    assert text.endswith("The rest is too long for a comment: `dbmigrate plan --sql` prints it.\n")


def test_long_names_and_findings_fit_into_a_comment_in_whole_lines() -> None:
    finding = {"id": "DBM304", "level": "warning", "message": "a_" * 300}
    migrations = [{"id": f"blog.{number:04}_{'a_' * 60}", "sql": "DROP"} for number in range(200)]

    text = _comment(_document(migrations, findings=[finding] * 50))

    *lines, _, last, _ = text.split("\n")
    assert len(text) < 65_536
    assert all(line.endswith((" |", "a&#95;", "**")) for line in lines[5:] if line)
    assert last == "The rest is too long for a comment: `dbmigrate plan --sql` prints it."


def test_each_set_of_arguments_has_a_comment_of_its_own_and_none_can_end_the_mark() -> None:
    marks = {COMMENT["mark_of"]((".", "--> x", args)) for args in ("--database a", "--database b", "--> @all")}

    assert len(marks) == 3
    assert {re.sub(r"[0-9a-f]{12}", "DIGEST", mark) for mark in marks} == {"<!-- dbmigrate plan . ____x DIGEST -->"}


def test_many_migrations_and_findings_are_counted() -> None:
    finding = {"id": "DBM304", "level": "warning", "message": "x" * 100}
    migrations = [{"id": f"blog.{number:04}", "sql": ""} for number in range(5000)]

    text = _comment(_document(migrations, findings=[finding] * 500))

    assert len(text) < 65_536
    assert "| | and 4800 more |\n" in text
    assert "- and 450 more\n" in text


def test_it_says_why_there_is_no_plan_and_that_nothing_is_pending() -> None:
    error = {"message": "there is no <b>", "hint": "pass --project"}

    assert _comment({"error": error, "result": None}) == (
        f"{MARK}### dbmigrate could not make a plan\n\nthere is no &lt;b&gt;\n\nhint: pass --project\n"
    )
    assert "### dbmigrate plan: 0 migrations on 0 databases\n" in _comment(_document([]))
