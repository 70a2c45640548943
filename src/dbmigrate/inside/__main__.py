"""Entry point in the target's interpreter: `python <this file> host|step`.

Everything above `main` must parse and run on any Python there is, because this is where a Python that is too old is
told so: by a line of JSON, as every other failure.
"""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
OLDEST_PYTHON = (3, 8)


def refuse_old_python():
    """Answer in the host's own protocol and leave, if this interpreter is older than OLDEST_PYTHON."""
    if sys.version_info[:2] >= OLDEST_PYTHON:
        return
    found = "%d.%d" % sys.version_info[:2]
    sys.stdout.write(
        '{"number": 0, "ok": false, "error": {"kind": "python-too-old", "message": "Python %s"}}\n' % found
    )
    sys.stdout.flush()
    sys.exit(3)


def import_inside():
    """Load this folder as the package `dbmigrate_inside` without leaving it on sys.path."""
    import importlib.util

    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry or os.curdir) != HERE]
    spec = importlib.util.spec_from_file_location(
        "dbmigrate_inside", os.path.join(HERE, "__init__.py"), submodule_search_locations=[HERE]
    )
    assert spec is not None
    assert spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    sys.modules["dbmigrate_inside"] = package
    spec.loader.exec_module(package)


def main():
    """Run as the host, or as one step with the guard router."""
    refuse_old_python()
    import_inside()
    import importlib

    importlib.import_module("dbmigrate_inside." + {"host": "host", "step": "steps.step"}[sys.argv[1]]).main()


main()
