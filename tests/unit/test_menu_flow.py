"""Every path through the menu, with answers given beforehand."""

from __future__ import annotations

from collections.abc import Sequence

from support.prompter import FakePrompter
from support.snapshots import database, pending, plan_of, routes, settings, snapshot

from dbmigrate.errors import ExitCode
from dbmigrate.menu.flow import Menu, command_line
from dbmigrate.models.database import Recorded
from dbmigrate.models.reports import StatusReport
from dbmigrate.planning.answers import describe_status
from dbmigrate.planning.routing import route


def report() -> StatusReport:
    taken = snapshot(
        database(
            "default", routes(core="yes", blog="no"), records=(Recorded(id="core.0001_initial", at="2026-01-01"),)
        ),
        database("blog_db", routes(core="no", blog="yes"), pending("blog.0001_initial"), records=()),
    )
    return describe_status(taken, route(taken, settings()), plan_of(taken), (), migrations=True)


class Outside:
    """Remembers what was run and said."""

    def __init__(self, *, planned: ExitCode = ExitCode.PENDING, is_readable: bool = True) -> None:
        self.ran: list[list[str]] = []
        self.said: list[str] = []
        self._planned = planned
        self._is_readable = is_readable

    def read_status(self) -> StatusReport | None:
        return report() if self._is_readable else None

    def run(self, words: Sequence[str]) -> ExitCode:
        self.ran.append(list(words))
        return self._planned if words[0] == "plan" else ExitCode.OK

    def plan(self, words: Sequence[str]) -> bool:
        return self.run(["plan", "--exit-code", *words]) is not ExitCode.OK

    def show_saved(self, file: str) -> bool:
        self.said.append(f"plan in {file}")
        return file != "none.json"

    def say(self, text: str, *, is_heading: bool = False) -> None:
        self.said.append(text)

    def symbol(self, name: str) -> str:
        return ""


def walk(*answers: str | bool | None, outside: Outside | None = None) -> tuple[Outside, FakePrompter]:
    outside, prompter = outside or Outside(), FakePrompter(*answers)
    Menu(prompter, outside, lambda words: command_line(["--settings=site"], words)).show()
    return outside, prompter


def test_the_header_has_the_words_of_the_reference() -> None:
    outside, prompter = walk("Exit")

    assert outside.said == [
        "Django Database Migrator",
        "Current Configuration:",
        "  Databases:",
        "    default  default, nothing pending",
        "    blog_db  routed, 1 pending",
        "  Apps: core, blog",
    ]
    assert prompter.asked == ["What would you like to do?"]


def test_everything_is_migrated_after_its_plan_was_shown_and_confirmed() -> None:
    outside, _ = walk("all databases", True, "Exit")

    assert outside.ran == [["plan", "--exit-code"], ["all"]]
    assert "$ dbmigrate all --settings=site" in outside.said


def test_one_database() -> None:
    outside, prompter = walk("specific database", "blog_db", True, "Exit")

    assert outside.ran == [["plan", "--exit-code", "--database", "blog_db"], ["run", "--database", "blog_db"]]
    assert prompter.offered[1] == ["default  default, nothing pending", "blog_db  routed, 1 pending"]


def test_one_app_with_all_of_its_migrations_or_up_to_one() -> None:
    whole, _ = walk("specific app", "blog", "all of them", True, "Exit")
    part, prompter = walk("specific app", "core", "0001_initial", True, "Exit")

    assert whole.ran[-1] == ["run", "--app", "blog"]
    assert part.ran[-1] == ["run", "--app", "core", "--to", "0001_initial"]
    assert prompter.offered[1] == ["core  on default, nothing pending", "blog  on blog_db, 1 pending"]
    assert prompter.offered[2] == ["all of them", "0001_initial  applied", "zero  (undo all of them)"]


def test_undoing_is_asked_with_no_as_the_answer_of_enter() -> None:
    _, on = walk("specific app", "core", "0001_initial", True, "Exit")
    outside, back = walk("specific app", "core", "zero", True, "Exit")

    assert "Run this plan? (Y/n)" in on.asked
    assert "Run this plan, which undoes migrations? (y/N)" in back.asked
    assert outside.ran[-1] == ["run", "--app", "core", "--to", "zero"]


def test_a_plan_that_is_not_run_teaches_its_command_line_all_the_same() -> None:
    outside, _ = walk("all databases", False, False, "Exit")

    assert outside.said[-2:] == [
        "nothing was changed; the same from the command line:",
        "$ dbmigrate all --settings=site",
    ]


def test_looking_needs_no_confirmation() -> None:
    outside, _ = walk("status", "configuration", "Exit")

    assert outside.ran == [["status"], ["info"]]
    assert outside.said[-2:] == ["$ dbmigrate status --settings=site", "$ dbmigrate info --settings=site"]


def test_a_no_and_going_back_at_every_question_change_nothing() -> None:
    for answers in (
        (None,),
        ("all databases", False, False, "Exit"),
        ("all databases", None, "Exit"),
        ("specific database", None, "Exit"),
        ("specific app", None, "Exit"),
        ("specific app", "blog", None, "Exit"),
    ):
        outside, _ = walk(*answers)
        assert all(words[0] == "plan" for words in outside.ran), answers


def test_nothing_to_do_is_not_asked_about() -> None:
    outside, _ = walk("all databases", "Exit", outside=Outside(planned=ExitCode.OK))

    assert outside.ran == [["plan", "--exit-code"]]
    assert outside.said[-1] == "$ dbmigrate all --settings=site"


def test_a_project_that_cannot_be_loaded_leaves_the_menu_open() -> None:
    outside, prompter = walk("specific database", "specific app", "Exit", outside=Outside(is_readable=False))

    assert outside.ran == []
    assert len(prompter.asked) == 3


def test_a_plan_that_is_not_run_can_be_saved_and_applied_later() -> None:
    outside, prompter = walk(
        "all databases",
        False,
        True,
        "",
        "all databases",
        False,
        True,
        "next.json",
        "saved plan",
        "next.json",
        True,
        "Exit",
    )

    assert outside.ran == [
        ["plan", "--exit-code"],
        ["plan", "-o", "plan.json"],
        ["plan", "--exit-code"],
        ["plan", "-o", "next.json"],
        ["apply", "next.json"],
    ]
    assert "Save this plan to apply it later? (y/N)" in prompter.asked
    assert "$ dbmigrate apply next.json --settings=site" in outside.said


def test_nothing_is_saved_or_applied_where_somebody_goes_back() -> None:
    outside, _ = walk(
        "all databases",
        False,
        True,
        None,
        "saved plan",
        None,
        "saved plan",
        "",
        False,
        "saved plan",
        "none.json",
        "Exit",
    )

    assert outside.ran == [["plan", "--exit-code"]]
