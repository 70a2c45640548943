"""The text of `dbmigrate --help`, which must not cost more than reading a file."""

from __future__ import annotations

import os


def read_help() -> str:
    """Return the help of the root command."""
    with open(os.path.join(os.path.dirname(__file__), "help.txt"), encoding="utf-8") as file:  # noqa: PTH118, PTH120, PTH123 - pathlib would double the time
        return file.read()
