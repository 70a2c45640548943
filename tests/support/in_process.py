"""Run command lines that end before a project is started in the process of the tests: a hundred times as fast.

That the executable says the same is what the tests with one process for each line prove.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dbmigrate.__main__ import write_everything
from dbmigrate.cli.root import cli
from support.cli import Outcome, clean_environment

HEARD = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class InProcess:
    """Calls the command line as its entry point does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        """Read what is printed from `capsys`."""
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, *words: str, cwd: Path, environment: dict[str, str] | None = None) -> Outcome:
        """Run one line to its end."""
        with self._monkeypatch.context() as patch:
            patch.chdir(cwd)
            patch.setattr(os, "environ", clean_environment(**(environment or {})))
            write_everything()
            with pytest.raises(SystemExit) as ended:
                cli.main(list(words), prog_name="dbmigrate")
        said = self._capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Outcome(words, cwd, ended.value.code, said.out, said.err)


@contextmanager
def in_this_process(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[InProcess]:
    """Give what runs command lines; the handlers of signals are as they were afterwards."""
    before = {signum: signal.getsignal(signum) for signum in HEARD}
    try:
        yield InProcess(monkeypatch, capsys)
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
