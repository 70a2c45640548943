"""The scripts next to the interpreter that reach a Django which the interpreter itself cannot import."""

from __future__ import annotations

import ast
import glob
import os
import re
import sys

MOST_BYTES = 65536
"""Scripts are short; what is longer is a program."""

_INTERPRETER = re.compile(
    rb"#!\s*(/\S*python[\d.]*)\s"
    rb"|#!/bin/sh\n'''exec' (/\S*python[\d.]*)\s"
    rb'|#!/bin/sh\n\'\'\'exec\' "(/[^"\n]*python[\d.]*)"\s'
)
"""The interpreter in a script's first line, or in the second, as pip writes one that is too long or has a space."""

_MANAGEMENT = re.compile(r"\bdjango\b")


def find_consoles() -> list[tuple[str, str | None]]:
    """Return (name, interpreter or None) for the scripts that bring their own Django.

    A script does that if another interpreter runs it, in whose environment Django is; or if it, or the package whose
    function it calls, names Django or holds a copy of it.
    """
    folder = os.path.dirname(sys.executable)
    found: list[tuple[str, str | None]] = []
    for name in _names_in(folder):
        path = os.path.join(folder, name)
        if name.startswith(("python", "pip", "activate", "django-admin")) or not os.path.isfile(path):
            continue
        text = _read(path)
        shebang = _INTERPRETER.match(text)
        if shebang is None:
            continue
        other = os.fsdecode(shebang[shebang.lastindex or 0])
        if os.path.realpath(other) != os.path.realpath(sys.executable) or _prefix(other) != _prefix(sys.executable):
            if glob.glob(os.path.join(glob.escape(_prefix(other)), "lib", "python*", "site-packages", "django")):
                found.append((name, other))
        elif _names_django(text.decode("utf-8", "replace")):
            found.append((name, None))
    return found


def _names_in(folder):
    try:
        return sorted(os.listdir(folder))
    except OSError:  # a folder that this user may only pass through
        return []


def _read(path):
    """Return the beginning of a file, nothing if this user may not read it, as with /usr/bin/sudo on Fedora."""
    try:
        with open(path, "rb") as file:
            return file.read(MOST_BYTES)
    except OSError:
        return b""


def _prefix(python):
    return os.path.dirname(os.path.dirname(os.path.abspath(python)))


def _names_django(text):
    if _MANAGEMENT.search(text):
        return True
    return any(_package_names_django(module) for module in _imported(text))


def _imported(text):
    """Return the packages that a script imports, the standard library's apart."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return set()
    names = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
    names |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    return {name.split(".")[0] for name in names} - set(sys.builtin_module_names) - {"re", "os", "sys"}


def _package_names_django(package):
    """Whether a package that can be imported holds a Django, or its own files name one; it is not imported."""
    import importlib.util

    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return False
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        if glob.glob(os.path.join(glob.escape(folder), "**", "django", "core", "management"), recursive=True):
            return True
        for file in glob.glob(os.path.join(glob.escape(folder), "*.py")):
            if _MANAGEMENT.search(_read(file).decode("utf-8", "replace")):
                return True
    return False
