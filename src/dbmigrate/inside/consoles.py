"""The scripts beside the interpreter that reach a Django which the interpreter itself cannot import."""

import ast
import glob
import os
import re
import sys

MOST_BYTES = 65536
"""Scripts are short; what is longer is a program."""

_INTERPRETER = re.compile(rb"#!\s*(/\S*python[\d.]*)\s")
_MANAGEMENT = re.compile(r"\bdjango\b")


def find_consoles():
    """Return [[name, interpreter or None]] for the scripts that bring their own Django.

    A script does that if another interpreter runs it, in whose environment Django is; or if it, or the package whose
    function it calls, names Django or holds a copy of it.
    """
    folder = os.path.dirname(sys.executable)
    found = []
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        if name.startswith(("python", "pip", "activate", "django-admin")) or not os.path.isfile(path):
            continue
        with open(path, "rb") as file:
            text = file.read(MOST_BYTES)
        shebang = _INTERPRETER.match(text)
        if shebang is None:
            continue
        other = os.fsdecode(shebang.group(1))
        if os.path.realpath(other) != os.path.realpath(sys.executable) or _prefix(other) != _prefix(sys.executable):
            if glob.glob(os.path.join(glob.escape(_prefix(other)), "lib", "python*", "site-packages", "django")):
                found.append([name, other])
        elif _names_django(text.decode("utf-8", "replace")):
            found.append([name, None])
    return found


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
            with open(file, encoding="utf-8", errors="replace") as source:
                if _MANAGEMENT.search(source.read(MOST_BYTES)):
                    return True
    return False
