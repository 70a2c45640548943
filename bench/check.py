"""Measure `dbmigrate check` beside one boot of a project: `manage.py check`, and no more than loading the project.

    python bench/check.py PROJECT [--python PATH] [--settings DOTTED] [--rounds 7]

Every round runs each contender once, so that whatever else the machine does hits all of them; figures are medians.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

DBMIGRATE = str(Path(sys.executable).parent / "dbmigrate")


def main() -> None:
    """Print a line for each contender."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("project", type=Path)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--settings")
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    environment = {**os.environ, **({"DJANGO_SETTINGS_MODULE": given.settings} if given.settings else {})}
    contenders = {
        "boot (manage.py help)": [given.python, "manage.py", "help", "--no-color"],
        "manage.py check": [given.python, "manage.py", "check"],
        "dbmigrate check --offline": [DBMIGRATE, "check", "--offline", "--python", given.python],
        "dbmigrate check": [DBMIGRATE, "check", "--python", given.python],
    }
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(given.rounds):
        for name, command in contenders.items():
            began = time.perf_counter()
            subprocess.run(command, cwd=given.project, env=environment, check=True, capture_output=True)
            seconds[name].append(time.perf_counter() - began)
    for name, taken in seconds.items():
        print(f"{name:26} {statistics.median(taken):6.2f} s")


if __name__ == "__main__":
    main()
