"""Run several commands that only look on one boot of the project, in one process of dbmigrate, as the menu does.

`python kept.py` reads lists of words on stdin and writes {"code", "stdout", "stderr"} for each.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from dbmigrate.cli.host_lifetime import KeptHost, OneCommand
from dbmigrate.cli.root import cli
from dbmigrate.models.target import Target
from dbmigrate.project.booted import BootedProject
from dbmigrate.redact import Redactor


class _Keeper(OneCommand):
    """Keeps the host, and is for a command as if it did not."""

    def __init__(self) -> None:
        self.kept = KeptHost(lambda text: None)

    def open(
        self, target: Target, environment: Mapping[str, str], redactor: Redactor
    ) -> AbstractContextManager[BootedProject]:
        return self.kept.open(target, environment, redactor)


def main() -> None:
    """Run what stdin has."""
    keeper = _Keeper()
    make_context = cli.make_context
    cli.make_context = lambda *words, **extra: make_context(*words, obj=keeper, **extra)  # type: ignore[method-assign]
    outcomes = []
    for words in json.load(sys.stdin):
        out, err = io.StringIO(), io.StringIO()
        code: Any = None
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                cli.main(words, prog_name="dbmigrate")
            except SystemExit as ended:
                code = ended.code
        outcomes.append({"code": code, "stdout": out.getvalue(), "stderr": err.getvalue()})
    keeper.kept.close()
    json.dump(outcomes, sys.stdout)


if __name__ == "__main__":
    main()
