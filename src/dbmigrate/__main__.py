"""`dbmigrate` and `python -m dbmigrate`."""

from __future__ import annotations

import gc
import io
import os
import sys


def main() -> None:
    """Run the command line; the two questions scripts ask most are answered without loading Click."""
    # Imports make many objects and next to no garbage; looking for it is an eighth of the CPU time of a short command.
    gc.disable()
    _take_descriptors()
    write_everything()
    words = sys.argv[1:]
    if words == ["--version"]:
        from dbmigrate import __version__

        _answer(f"dbmigrate {__version__}\n")
    elif words in (["--help"], ["-h"]):
        from dbmigrate.cli.help import read_help

        _answer(read_help())
    else:
        _run()


def _run() -> None:
    """Run the command line; where it cannot be loaded, or not tell what went wrong, say so with what is there."""
    try:
        from dbmigrate.cli.root import cli
    except (OSError, ImportError, MemoryError) as error:
        _write_why("dbmigrate cannot be loaded", error, "if that does not help, reinstall it")
        sys.exit(3)
    try:
        cli.main(prog_name="dbmigrate")
    except (OSError, ImportError, MemoryError) as error:
        _write_why("dbmigrate was stopped", error, "check the databases with: dbmigrate status")
        sys.exit(1)


def _write_why(what: str, error: BaseException, otherwise: str) -> None:
    said = getattr(error, "strerror", None) or str(error) or type(error).__name__
    sys.stderr.write(f"error: {what}: {said}\n")
    sys.stderr.write(f"hint: give it more open files (ulimit -n 1024) and memory; {otherwise}\n")


def _take_descriptors() -> None:
    """Open what was closed of stdin, stdout and stderr (`dbmigrate all >&-`): another file would take its place."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(descriptor, True)  # as the standard streams are
            setattr(sys, name, os.fdopen(descriptor, "r" if name == "stdin" else "w"))


def write_everything() -> None:
    """Let no character end the program: what a stream's encoding has no place for is written as an escape."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _answer(text: str) -> None:
    """Write the whole of an answer; exit 2 where that is not possible."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        from dbmigrate.cli.root import leave, say
        from dbmigrate.system import lost_answer

        lost = lost_answer(error)
        if lost is not None:
            say(lost.message, lost.hint, lost.code)
        leave(0 if lost is None else lost.code)


if __name__ == "__main__":
    main()
