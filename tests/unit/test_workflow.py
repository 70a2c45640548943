"""What GitHub's runner makes of our lines, for any text; and the summary, which it takes for Markdown."""

from __future__ import annotations

import html
import itertools
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.runner import Annotation, read_log, split_lines

from dbmigrate.errors import ExitCode
from dbmigrate.models.findings import Finding
from dbmigrate.renderers.groups import Groups
from dbmigrate.renderers.markdown import CUT, Summary, escape, render_summary
from dbmigrate.renderers.workflow import Annotations, guarded, workflow_command

TEXT = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cf", "Mn", "Me"]) | st.sampled_from("%:,=\r\n[]#")
)

PARTS = st.sampled_from(
    [
        *("::", ":", "##", "#", "[", "]", " ", "\t", "\r", "\u200d", "\u00ad", "\ufe0f", "\x00", "\u2028", "\u00a0"),
        *("error", "set-output name=x", "stop-commands", "add-mask", "endgroup", "token0", "x", "é"),
    ]
)
LINES = st.lists(st.lists(PARTS, max_size=8).map("".join), max_size=6)


@given(TEXT, TEXT.filter(bool), TEXT.filter(bool))
def test_a_command_says_what_was_meant_whatever_is_in_it(message: str, title: str, file: str) -> None:
    [annotation] = read_log(workflow_command("error", message, file=file, line=7, title=title)).annotations

    # The runner trims what stands around the properties.
    assert annotation == Annotation("error", message, title.rstrip() or None, file, "7") or title != title.strip()


@given(LINES)
@example(["::stop-commands::x", "::x::", "::error::y"])
@example(["::token0::", "::error::y"])
@example(["a\r::error::y"])
def test_no_line_is_obeyed_and_none_is_lost(lines: list[str]) -> None:
    tokens = (f"secret{number}" for number in itertools.count())

    output = "".join(f"{line}\n" for line in guarded(lines, lambda: next(tokens)))

    log = read_log(output)
    assert (log.annotations, log.others, log.groups, log.stopped_at_the_end) == ([], [], [], False)
    assert log.text == split_lines("".join(f"{line}\n" for line in lines))


def test_a_token_is_used_once() -> None:
    tokens = iter(["one", "two"])

    lines = list(guarded(["::a", "x", "##[b"], lambda: next(tokens)))

    assert lines == ["::stop-commands::one", "::a", "::one::", "x", "::stop-commands::two", "##[b", "::two::"]


def test_ten_of_each_level_are_written_and_the_others_counted() -> None:
    annotations = Annotations()

    errors = [annotations.write("error", str(number), title="t") for number in range(12)]
    notice = annotations.write("notice", "n", title="t", line=3)

    assert [bool(line) for line in errors] == [True] * 10 + [False] * 2
    assert notice == "::notice title=t::n"  # a line means nothing without its file
    assert annotations.more == {"error": 2}


def test_the_groups_of_databases_that_are_migrated_at_a_time_follow_one_another() -> None:
    said: list[str] = []
    groups = Groups(said.extend, said.append)
    groups._steps = {"a": {"a"}, "b": {"b"}, "c": {"c:x", "c:y"}}  # a plan is much more than this
    groups._titles = {"a": "Migrating database: a", "b": "Undoing b", "c": "Recording c"}

    groups.add("a", ["a1"])
    groups.add("b", ["b1"])
    groups.add("c", ["c1"])
    groups.end_step("b", "b")
    groups.add("a", ["a2"])
    groups.end_step("a", "a")
    groups.end_step("c", "c:x")
    groups.add("c", ["c2"])
    groups.flush()

    assert said == [
        *("::group::Migrating database: a", "a1", "a2", "::endgroup::"),
        *("::group::Undoing b", "b1", "::endgroup::"),
        *("::group::Recording c", "c1", "c2", "::endgroup::"),
    ]


@given(st.text())
def test_a_cell_of_the_summary_is_one_line_that_means_itself(text: str) -> None:
    escaped = escape(text)

    assert "\n" not in escaped
    assert not re.search(r"[<>|`*_\[\]\\]", escaped.replace("<br>", ""))
    assert html.unescape(escaped).replace("<br>", "\n").isprintable() or not text.isprintable()


def summary(text: list[str]) -> Summary:
    finding = Finding(id="DBM201", level="error", stops=True, message="a | b <img>", hint="c", file="x.py", line=1)
    return Summary("dbmigrate check", findings=[finding], text=text)


def test_text_cannot_end_the_block_it_stands_in() -> None:
    rendered = render_summary(summary(["````", "</details>", "x"]), ExitCode.FINDINGS)

    assert "\n`````text\n````\n</details>\nx\n`````\n\n</details>\n" in rendered
    assert "| error | DBM201 | a &#124; b &#60;img&#62; | x.py&#58;1 | c |" in rendered
    assert rendered.startswith("### dbmigrate check: exit 13 (findings): checks found errors\n")


@pytest.mark.parametrize("most_bytes", [-5, 0, 10, 200, 400, 600, 5_000, 100_000])
def test_a_summary_is_cut_where_it_does_not_fit(most_bytes: int) -> None:
    rendered = render_summary(
        summary([f"line {number} é" for number in range(2_000)]), ExitCode.OK, most_bytes=most_bytes
    )

    assert len(rendered.encode()) <= max(0, most_bytes)
    assert rendered.count("<details>") == rendered.count("</details>")
    assert (CUT in rendered) is (200 <= most_bytes < 100_000)
