"""One command in several places: one that fails drops out, and the others go on to the end."""

from __future__ import annotations

import errno

import pytest

from dbmigrate.errors import DbmigrateError, ExitCode, LostAnswer, UsageError
from dbmigrate.models.events import Event, Started
from dbmigrate.models.reports import AnyReport, WaitReport
from dbmigrate.redact import Redactor
from dbmigrate.renderers.fan_out import FanOut

EVENT = Started(command="wait", dbmigrate="1.0")
ANSWER = WaitReport(databases=(), seconds=0.0)
FULL = OSError(errno.ENOSPC, "No space left on device")


class Recorder:
    """A renderer that keeps what it gets, and can be written to no more from one thing on."""

    needs_streams = False

    def __init__(self, fails_at: str = "") -> None:
        self.got: list[str] = []
        self._fails_at = fails_at

    def show(self, event: Event) -> None:
        self._take(event.type)

    def answer(self, report: AnyReport) -> None:
        self._take(report.type)

    def refuse(self, error: DbmigrateError) -> None:
        self._take(error.code.label)

    def close(self, code: ExitCode) -> None:
        self._take(f"close {code:d}")

    def _take(self, what: str) -> None:
        if what.startswith(self._fails_at or "?"):
            raise FULL
        self.got.append(what)


def fan_out(own: Recorder, *files: Recorder, is_work: bool) -> tuple[FanOut, list[str], list[str]]:
    warnings: list[str] = []
    lost: list[str] = []
    output = FanOut(Redactor(), warnings.append, lost, is_work=is_work)
    output.add(own)
    for number, file in enumerate(files):
        output.add(file, f"-o {number}")
    return output, warnings, lost


def test_a_file_that_fails_drops_out_with_a_word() -> None:
    own, bad, good = Recorder(), Recorder("close"), Recorder()
    output, warnings, lost = fan_out(own, bad, good, is_work=False)

    output.show(EVENT)
    output.answer(ANSWER)
    output.close(ExitCode.OK)

    assert own.got == good.got == ["started", "wait", "close 0"]
    assert lost == ["-o 0: No space left on device"]
    assert warnings == ["-o 0 cannot be written (No space left on device); the exit code does not change"]


@pytest.mark.parametrize("fails_at", ["started", "wait", "close"])
def test_an_answer_that_only_the_streams_had_is_lost_and_the_file_says_so(fails_at: str) -> None:
    own, file = Recorder(fails_at), Recorder()
    output, warnings, _ = fan_out(own, file, is_work=False)

    output.show(EVENT)
    output.answer(ANSWER)
    with pytest.raises(LostAnswer):
        output.close(ExitCode.OK)

    assert file.got == ["started", "wait", "usage", "close 2"]
    assert warnings == []
    assert output.is_lost


def test_work_goes_on_without_its_output() -> None:
    own, file = Recorder("started"), Recorder()
    output, warnings, _ = fan_out(own, file, is_work=True)

    output.show(EVENT)
    is_shown = output.refuse(UsageError("no"))
    output.close(ExitCode.USAGE)

    assert not is_shown
    assert file.got == ["started", "usage", "close 2"]
    assert warnings == ["the output can no longer be written (No space left on device); the run continues"]


def test_all_of_it_is_closed_once_and_takes_nothing_more() -> None:
    own, file = Recorder(), Recorder()
    output, _, _ = fan_out(own, file, is_work=True)
    output.close(ExitCode.OK)

    is_shown = output.refuse(UsageError("too late"))
    output.close(ExitCode.USAGE)

    assert not is_shown
    assert own.got == file.got == ["close 0"]
