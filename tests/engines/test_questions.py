"""Every question of the protocol, put to a real process: what it really answers has the type that the protocol says."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, get_args

import pytest
from support.cli import clean_environment
from support.mariadb import DRIVER, private_mariadb, stop_server
from support.postgresql import PostgresqlServer
from support.projects import Project, simple_app, write_project

from dbmigrate.confidential import ABOUT, NAME, TEXT
from dbmigrate.inside import protocol
from dbmigrate.inside.protocol import Question
from dbmigrate.models.target import Choice, Target
from dbmigrate.project.channel import Channel
from dbmigrate.project.replies import find_misfit
from dbmigrate.redact import Redactor

SILENCE_SECONDS = 30.0

ALIASES = ["default", "archive"]


@pytest.fixture
def channel(tmp_path: Path, postgresql: PostgresqlServer) -> Iterator[Channel]:
    """Give the booted process of a project with a database on PostgreSQL and one of SQLite."""
    entry = postgresql.create_database()
    postgresql.query(entry, "CREATE TABLE shelf (id int PRIMARY KEY); CREATE TABLE book (shelf int REFERENCES shelf)")
    project = write_project(
        tmp_path / "site", {"core": simple_app()}, aliases={"default": entry, "archive": {}}, rules={"core": "default"}
    )
    with _booted(project) as channel:
        yield channel


@contextmanager
def _booted(project: Project) -> Iterator[Channel]:
    target = Target(
        root=project.root,
        manage=("manage.py",),
        python=sys.executable,
        settings=None,
        cwd=project.root,
        choices={name: Choice("manage.py", "a test") for name in ("project", "manage", "python", "settings")},
    )
    start: protocol.Start = {
        "manage": ["manage.py"],
        "words": ["migrate"],
        "twin": None,
        "wanted": (NAME, ABOUT, TEXT),
    }
    with ExitStack() as stack:
        channel = Channel(target, clean_environment(), start, Redactor())
        stack.callback(channel.close)
        assert find_misfit(channel.booted.answer(), protocol.Booted, "the boot") is None
        yield channel


@pytest.mark.postgresql
def test_every_reply_has_the_type_that_the_protocol_says(channel: Channel, tmp_path: Path) -> None:
    misfits = {}
    for question, arguments in _questions(tmp_path).items():
        if question == "fork":
            answer = _fork(channel, arguments)
        else:
            answer = channel.ask(question, arguments, SILENCE_SECONDS).answer()
        name = "".join(word.capitalize() for word in question.split("_"))
        misfits[question] = (
            find_misfit(arguments, getattr(protocol, f"{name}Arguments"), "arguments"),
            find_misfit(answer, getattr(protocol, f"{name}Reply"), "reply"),
        )

    assert misfits == dict.fromkeys(get_args(Question), (None, None))


@pytest.mark.soak
@pytest.mark.mariadb
def test_what_steps_left_is_unknown_where_the_server_cannot_be_asked(tmp_path: Path) -> None:
    with private_mariadb() as (server, folder):
        entry = server.create_database()
        project = write_project(tmp_path / "site", {"core": simple_app()}, aliases={"default": entry}, settings=DRIVER)
        with _booted(project) as channel:
            lock = {"aliases": ["default"], "urls": {}, "may_wait": False}
            channel.ask("lock", lock, SILENCE_SECONDS).answer()
            before = channel.ask("end_orphans", {"seconds": 1.0}, SILENCE_SECONDS).answer()
            stop_server(folder)
            afterwards = channel.ask("end_orphans", {"seconds": 1.0}, SILENCE_SECONDS).answer()

    assert (before, afterwards) == ([], ["default"])


@pytest.mark.postgresql
def test_the_models_are_compared_with_the_migrations_whatever_was_asked_before(channel: Channel) -> None:
    before = channel.ask("find_changes", {"started": []}, SILENCE_SECONDS).answer()
    channel.ask("forget", {"labels": ["core"]}, SILENCE_SECONDS).answer()
    afterwards = channel.ask("find_changes", {"started": ["core"]}, SILENCE_SECONDS).answer()

    assert (before, afterwards) == ([], [])


def _questions(folder: Path) -> dict[Question, dict[str, Any]]:
    """Return what is asked, in this order: some questions need what another one did."""
    root = str(folder / "site")
    shelf = {"kind": "TABLE", "schema_name": "public", "name": "shelf", "on": None, "shown": "shelf", "in_sql": "shelf"}
    step = {
        "death": int(signal.SIGKILL),
        "scope": None,
        "is_watched": False,
        "is_forward": False,
        "is_marked": False,
        "words": ["migrate", "core"],
    }
    first = "core.0001_initial"
    look = {"records": True, "contact": True, "afterwards": False}
    return {
        "inspect": {"root": root, "changes": True, "foreseen": [], "phases": True, **look},
        "describe_undoing": {"undone": {"default": [first]}},
        "find_changes": {"started": []},
        "find_unstable": {"labels": ["core"], "altered": [["core.item", "name"]]},
        "describe_fields": {"fields": [["core.item", "name"]]},
        "locate": {"subjects": [["model", "core.item"], ["setting", "DATABASES", "none"]], "root": root},
        "explain": {"name": "core.Item"},
        "sql": {
            "alias": "default",
            "migrations": [{"id": first, "backwards": False}],
            "scope": {"alias": "default", "apps": {"core": None}, "others": True},
            "foreseen": [],
            "is_compared": True,
        },
        "describe_files": {"migrations": [first, "core.0009_gone"]},
        "describe_tables": {"alias": "default", "migrations": [{"id": first, "backwards": False}], "root": root},
        "is_recorded": {"alias": "default", "migration": first},
        "trace": {"alias": "default", "migration": first},
        "verify": {"placements": {"default": {"core": None}, "archive": {}}, "repair": True},
        "reach": {"aliases": ALIASES, "seconds": 10.0},
        "find_room": {"aliases": ALIASES, "seconds": 10.0},
        "count_sessions": {"aliases": ALIASES},
        "find_blockers": {"alias": "default"},
        "database_host": {"alias": "default"},
        "describe_holdings": {"alias": "default", "count": True},
        "find_holders": {"alias": "default", "things": [shelf]},
        "empty": {"alias": "archive", "things": [shelf], "rehearse": True},
        "find_hand_written": {"labels": ["core"]},
        "make_scratch": {"aliases": ALIASES, "folder": str(folder)},
        "drop_scratch": {},
        "lock": {"aliases": ALIASES, "urls": {}, "may_wait": False},
        "check_locks": {"changed": {"default": [first]}, "idle": 60.0, "seconds": 0.5},
        "end_orphans": {"seconds": 0.0},
        "why_not_fork": {"warm_up": True},
        "fork": {"step": step, "variables": {"GREETING": "hello"}, "ended": []},
        "how_ended": {"pid": os.getpid()},
        "unlock": {},
        "forget": {"labels": ["core"]},
    }


def _fork(channel: Channel, arguments: dict[str, Any]) -> object:
    """Let a step run to its end in a copy of the process, and return the reply."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as status:
        try:
            channel.send_files([nowhere, nowhere, nowhere, writing])
            answer = channel.ask("fork", arguments, SILENCE_SECONDS).answer()
        finally:
            os.close(nowhere)
            os.close(writing)
        assert status.read().split() == [b"0"]
    return answer
