"""Secrets, control characters, names that were meant, and the live view's rows."""

from __future__ import annotations

import base64
import json
import re
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.snapshots import as_shown, database, pending, plan_of, routes, snapshot

from dbmigrate.errors import DbmigrateError
from dbmigrate.models.events import PlanReady, StepFinished, StepProgress, StepSkipped, StepStarted
from dbmigrate.models.result import StepResult
from dbmigrate.nearest import nearest
from dbmigrate.redact import HIDDEN, PROGRESS, Redactor
from dbmigrate.renderers.board import Board
from dbmigrate.renderers.durations import duration
from dbmigrate.renderers.error_words import error_lines
from dbmigrate.renderers.graphs import dot, mermaid
from dbmigrate.renderers.words import exit_words, plural, printable
from dbmigrate.renderers.wrapping import hint_lines

SECRETS = st.text(min_size=3, max_size=30).filter(
    lambda text: text.strip() == text and "*" not in text and text not in PROGRESS
)
"""But for the words that migrate's lines begin with: they stay readable (test_redact.py)."""


@given(SECRETS, st.sampled_from(["{}", "password={}!", "postgres://me:{}@host/db", "({})"]))
def test_a_secret_is_hidden_in_every_form(secret: str, place: str) -> None:
    redactor = Redactor([secret])

    for form in (secret, repr(secret), quote(secret, safe=""), quote_plus(secret), secret.replace("'", "''")):
        assert secret not in redactor.scrub(place.format(form)).replace(place.format(""), "")


@pytest.mark.parametrize(
    ("message", "lines"),
    [
        ("database a is unreachable", [(True, "database a is unreachable (nothing was changed)")]),
        ("is it running?", [(True, "is it running?"), (False, "  nothing was changed")]),
        ("data is lost:\n  of a", [(True, "data is lost (nothing was changed):"), (False, "  of a")]),
        ("DBM102: a\nDBM103: b", [(True, "DBM102: a"), (True, "DBM103: b (nothing was changed)")]),
    ],
)
def test_the_lines_of_an_error_begin_errors_or_continue_one(message: str, lines: list[tuple[bool, str]]) -> None:
    assert error_lines(DbmigrateError(message, changed=False)) == lines


HINTS = {
    "dbmigrate make blog": "hint: dbmigrate make blog",
    "fix it; then wait": "hint: fix it; then wait",
    "remove a (dbmigrate info shows where it is set)": "hint: remove a (dbmigrate info shows where it is set)",
    "continue with: dbmigrate all": "hint: continue with: dbmigrate all",
    f"continue with: dbmigrate all --database {'a' * 50}": f"""\
hint: continue with:
        dbmigrate all --database {"a" * 50}""",
    "dbmigrate make a, review it, then rerun; or pass --allow-data-loss": """\
hint: dbmigrate make a
      review it, then rerun
      or pass --allow-data-loss""",
    "start it; without it: dbmigrate run --database a --database b, or exclude = []": """\
hint: start it
      without it:
        dbmigrate run --database a --database b
      or exclude = []""",
    "it is the project's; to make it: mkdir -p 'a; b, c', then dbmigrate all": """\
hint: it is the project's
      to make it:
        mkdir -p 'a; b, c'
      then:
        dbmigrate all""",
    "add these lines:\nclass A:\n    b = 1": "hint: add these lines:\nclass A:\n    b = 1",
}


def test_a_command_in_a_hint_has_a_line_of_its_own_where_there_is_more() -> None:
    shown = {hint: "\n".join(line.text for line in hint_lines("hint: ", hint)) for hint in HINTS}

    assert shown == HINTS


@given(secret=st.text(st.characters(codec="utf-8"), min_size=8, max_size=30), before=st.binary(max_size=7))
@example(secret="Operations", before=b"")
def test_a_secret_is_hidden_inside_a_longer_text_in_base64(secret: str, before: bytes) -> None:
    encoded = base64.b64encode(before + secret.encode() + b":more").decode()

    scrubbed = Redactor([secret]).scrub(f"Authorization: Basic {encoded}")

    assert HIDDEN in scrubbed
    kept = len(scrubbed) - len("Authorization: Basic " + HIDDEN)
    assert kept <= len(encoded) - (len(secret.encode()) * 4 // 3 - 2)


@pytest.mark.parametrize(
    "text",
    [
        "connection to host=db user=me password=q dbname=x failed",
        "connection to host=db user=me password='q q' dbname=x failed",
        "{'NAME': 'x', 'PASSWORD': 'q', 'USER': 'me'}",
        '{"password": "q"}',
    ],
)
def test_a_password_with_its_name_is_hidden_however_short(text: str) -> None:
    scrubbed = Redactor(["q"]).scrub(text)

    assert HIDDEN in scrubbed
    assert "q" not in scrubbed


@pytest.mark.parametrize("secret", ['it\'s 100% "so"', "a@b:c/d?e&f", "pässwörd ☃", "back\\slash'", "two\nlines"])
def test_a_secret_is_hidden_however_the_text_around_it_is_quoted(secret: str) -> None:
    redactor = Redactor([secret])
    texts = [
        repr(secret),
        repr(secret.encode()),
        repr(f"it's {secret}"),
        repr(f'so "{secret}"'),
        json.dumps({"p": secret}),
        json.dumps({"p": f"it's {secret}"}, ensure_ascii=False),
        quote(secret, safe="").lower(),
    ]

    for text in texts:
        around = redactor.scrub(text).replace(HIDDEN, "")
        assert len(around) <= len("{'p': __it's __}"), text


def test_each_line_of_a_secret_is_hidden() -> None:
    redactor = Redactor(["first line\nsecond line"])

    assert [redactor.scrub(line) for line in ("x first line", "second line y")] == [f"x {HIDDEN}", f"{HIDDEN} y"]


def test_a_password_in_a_url_is_hidden_although_nobody_knows_it_yet() -> None:
    text = "could not parse postgresql://me:pa55@db.example:5432/x"

    assert Redactor().scrub(text) == f"could not parse postgresql://me:{HIDDEN}@db.example:5432/x"


def test_text_without_a_secret_stays_as_it_is() -> None:
    assert Redactor(["ab", ""]).scrub("about a table") == "about a table"


@given(st.text())
def test_what_is_printed_moves_no_cursor(text: str) -> None:
    assert not re.search(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]", printable(text))


def test_colour_and_titles_leave_nothing_behind() -> None:
    assert printable("\x1b[1;31mred\x1b[0m \x1b]0;title\x07done\ttab") == "red done\ttab"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("blgo_db", "did you mean blog_db?"),
        ("zzz", "the databases are: default, blog_db"),
    ],
)
def test_the_nearest_name_is_named_or_else_all_of_them(name: str, hint: str) -> None:
    assert nearest(name, ["default", "blog_db"], what="databases") == hint


def test_small_words() -> None:
    assert (plural(1, "step"), plural(2, "step")) == ("1 step", "2 steps")
    assert (duration(0.44), duration(125)) == ("0.4 s", "2 min 5 s")
    assert (exit_words(3), exit_words(-9)) == ("exit 3", "killed by signal 9")


def test_the_board_follows_a_run() -> None:
    plan = plan_of(
        snapshot(
            database("default", routes(core="yes", blog="no"), pending("core.0001"), pending("core.0002")),
            database("blog_db", routes(core="no", blog="yes"), pending("blog.0001")),
        )
    )
    first, second = plan.steps
    board = Board()

    board.take(PlanReady(plan=as_shown(plan)), now=0)
    board.take(StepStarted(step=first, command=()), now=1)
    board.take(
        StepProgress(step="default", alias="default", migration="core.0002", position=2, total=2, backwards=False),
        now=2,
    )
    running = board.rows["default"]
    board.take(StepFinished(result=StepResult(id="default", alias="default", status="failed", exit_code=1)), now=3)
    board.take(StepSkipped(result=StepResult(id=second.id, alias="blog_db", status="not-run")), now=3)

    assert (running.state, running.done, running.total, running.current) == ("running", 1, 2, "core.0002")
    assert running.elapsed(now=2.5) == 1.5
    assert [(row.alias, row.state) for row in board.rows.values()] == [("default", "failed"), ("blog_db", "not-run")]
    assert board.rows["default"].elapsed(now=9) == 2


def test_of_many_databases_the_board_picks_those_that_matter() -> None:
    aliases = ["default", *(f"db{number}" for number in range(1, 12))]
    plan = plan_of(snapshot(*(database(alias, routes(core="yes"), pending("core.0001", "yes")) for alias in aliases)))
    steps = {step.alias: step for step in plan.steps}
    board = Board()
    board.take(PlanReady(plan=as_shown(plan)), now=0)
    assert len(board.pick(12)[0]) == 12
    for now, alias in enumerate(aliases[:7]):
        board.take(StepStarted(step=steps[alias], command=()), now=now)
    for now, alias in enumerate(aliases[:5]):
        result = StepResult(id=steps[alias].id, alias=alias, status="failed" if alias == "db2" else "ok")
        board.take(StepFinished(result=result), now=10 + now)

    shown, others = board.pick(6)

    assert [(row.alias, row.state) for row in shown] == [
        ("db2", "failed"),
        ("db3", "ok"),
        ("db4", "ok"),
        ("db5", "running"),
        ("db6", "running"),
    ]
    assert others == {"ok": 2, "waiting": 5}


GRAPH_PLAN = plan_of(
    snapshot(
        database("default", routes(core="yes", blog="no"), pending("core.0001"), pending("core.0002")),
        database("blog_db", routes(core="no", blog="yes"), pending("blog.0001")),
    )
)


def test_the_order_between_databases_is_drawn() -> None:
    assert mermaid(GRAPH_PLAN).splitlines() == [
        "flowchart LR",
        '    db0["default<br>all apps<br>2 pending"]',
        '    db1["blog_db<br>blog<br>1 pending"]',
        "    db0 --> db1",
    ]
    assert dot(GRAPH_PLAN).splitlines() == [
        "digraph plan {",
        "    rankdir=LR;",
        "    node [shape=box];",
        r'    "default" [label="default\nall apps\n2 pending"];',
        r'    "blog_db" [label="blog_db\nblog\n1 pending"];',
        '    "default" -> "blog_db";',
        "}",
    ]


def test_a_plan_with_nothing_to_do_is_drawn_too() -> None:
    idle = plan_of(snapshot(database("default", routes(core="yes")), database("blog_db", routes(core="no"))))

    assert mermaid(idle).splitlines() == ["flowchart LR", '    db0["default<br>nothing pending"]']
    assert r'    "default" [label="default\nnothing pending"];' in dot(idle).splitlines()

    none = idle.model_copy(update={"databases": ()})

    assert mermaid(none).splitlines() == ["flowchart LR", '    db0["nothing pending"]']
    assert '    "" [label="nothing pending"];' in dot(none).splitlines()
