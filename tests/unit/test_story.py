"""One list of events through every renderer: each tells the same story."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timezone
from io import StringIO
from pathlib import Path
from typing import get_args

import pytest
from rich.console import Console
from support.story import EVENTS, REPORT

from dbmigrate.errors import ExitCode, UsageError
from dbmigrate.models.events import Event
from dbmigrate.renderers.base import Renderer
from dbmigrate.renderers.github import GithubRenderer
from dbmigrate.renderers.lines import Line, Story
from dbmigrate.renderers.live import RichRenderer
from dbmigrate.renderers.page import Page
from dbmigrate.renderers.plain import PlainRenderer
from dbmigrate.renderers.repository_paths import RepositoryPaths
from dbmigrate.renderers.sheet import PlainSheet
from dbmigrate.renderers.terminal import TerminalSheet
from dbmigrate.renderers.words import printable

ERROR = UsageError("it went wrong", hint="do it again")
LEFT_TO_THE_REPORT = {"rich": {"progress", "failed"}, "plain": {"ended"}, "github": {"ended"}}
"""Levels of lines that a format does not write: it shows the same in another way."""


def now() -> datetime:
    return datetime(2024, 1, 1, tzinfo=timezone.utc)


def plain(out: StringIO) -> PlainRenderer:
    return PlainRenderer(Page(PlainSheet(out), verbosity=1, now=now), out, verbosity=1, now=now)


def rich(out: StringIO) -> RichRenderer:
    console = Console(file=out, width=400, markup=False, emoji=False, highlight=False)
    return RichRenderer(Page(TerminalSheet(console), verbosity=1, now=now), console, verbosity=1, clock=lambda: 0.0)


def github(out: StringIO) -> GithubRenderer:
    text = StringIO()
    written = PlainRenderer(Page(PlainSheet(text), verbosity=1, now=now), text, verbosity=1, now=now)
    paths = RepositoryPaths(Path("/"), Path("/"))
    return GithubRenderer(written, text, out, command="all", paths=paths, has_summary=False, make_token=lambda: "token")


RENDERERS: dict[str, Callable[[StringIO], Renderer]] = {"plain": plain, "rich": rich, "github": github}


def test_the_story_has_every_kind_of_event() -> None:
    assert {type(event) for event in EVENTS} == {*get_args(Event)}


@pytest.mark.parametrize("name", RENDERERS)
def test_every_renderer_tells_what_the_lines_say_in_their_order(name: str) -> None:
    story = Story()
    expected = [line for event in EVENTS for line in story.lines_of(event)]
    out = StringIO()
    renderer = RENDERERS[name](out)

    for event in EVENTS:
        renderer.show(event)
    renderer.answer(REPORT)
    renderer.refuse(ERROR)
    renderer.close(ExitCode.USAGE)

    shown = " ".join(re.sub(r"\n(?:\S+Z )?", " ", out.getvalue()).split())
    told = [_words(line) for line in expected if line.level not in LEFT_TO_THE_REPORT[name]]
    assert [text for text in told if text not in shown] == []
    for fact in ("blog_db", "blog.0001", "not started because blog_db failed", "it went wrong", "do it again"):
        assert fact in shown
    if name != "github":  # which keeps the lines of a database together
        places = [shown.index(text) for text in dict.fromkeys(told)]
        assert places == sorted(places)


def _words(line: Line) -> str:
    return " ".join(printable(line.text.splitlines()[0]).split())
