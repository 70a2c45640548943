"""`dbmigrate` and `python -m dbmigrate`."""

from __future__ import annotations

import gc
import os
import sys


def main() -> None:
    """Run the command line; the two questions scripts ask most are answered without loading Click."""
    # Imports make many objects and next to no garbage; looking for it is an eighth of the CPU time of a short command.
    gc.disable()
    _take_descriptors()
    words = sys.argv[1:]
    if words == ["--version"]:
        from dbmigrate import __version__

        sys.stdout.write(f"dbmigrate {__version__}\n")
    elif words in (["--help"], ["-h"]):
        from dbmigrate.cli.help import read_help

        sys.stdout.write(read_help())
    else:
        from dbmigrate.cli.root import cli

        cli.main(prog_name="dbmigrate")


def _take_descriptors() -> None:
    """Open what was closed of stdin, stdout and stderr (`dbmigrate all >&-`): another file would take its place."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(descriptor, True)  # as the standard streams are
            setattr(sys, name, os.fdopen(descriptor, "r" if name == "stdin" else "w"))


if __name__ == "__main__":
    main()
