"""The modules of the project that code imports when it runs, read from their files: nothing is imported for it."""

import dis
import importlib.machinery
import importlib.util
import os
import sysconfig
import types

MOST_MODULES = 200
"""Of one migration that are followed."""

_INSTALLED = tuple(
    os.path.realpath(sysconfig.get_paths()[name]) + os.sep for name in ("stdlib", "platstdlib", "purelib", "platlib")
)


def is_installed(path):
    """Whether a real path is of Python itself or of an installed package."""
    return path.startswith(_INSTALLED) or "site-packages" in path or "dist-packages" in path


def codes_in(code):
    """Yield a code object and those of the functions, lambdas and classes inside it."""
    yield code
    for value in code.co_consts:
        if isinstance(value, types.CodeType):
            yield from codes_in(value)


def imports_of(code, package):
    """Return the dotted names that code imports, in the order of the code; some may be no modules but names in one."""
    found = []
    for one in codes_in(code):
        before = [None, None]
        for instruction in dis.get_instructions(one):
            if instruction.opname == "IMPORT_NAME":
                found += _resolve(instruction.argval, before[0], before[1], package)
            if instruction.opname != "EXTENDED_ARG":
                before = [before[1], instruction.argval]
    return found


def _resolve(name, level, names, package):
    if isinstance(level, int) and level > 0:
        try:
            name = importlib.util.resolve_name("." * level + name, package)
        except (ImportError, ValueError):
            return []
    parts = name.split(".")
    parents = [".".join(parts[:count]) for count in range(1, len(parts) + 1)]
    return parents + ["{}.{}".format(name, one) for one in names or ()]


def find_imported(names):
    """Return {dotted name: content} of the project's modules and those they import, and whether there are more."""
    found: dict[str, bytes] = {}
    seen: set[str] = set()
    queue = list(names)
    while queue:
        name = queue.pop(0)
        if name in seen:
            continue
        seen.add(name)
        spec = _find_spec(name)
        origin = os.path.realpath(spec.origin) if spec is not None and spec.has_location else ""
        if not origin.endswith(".py") or is_installed(origin):
            continue
        if len(found) == MOST_MODULES:
            return found, True
        try:
            with open(origin, "rb") as file:
                found[name] = file.read()
            code = compile(found[name], origin, "exec", dont_inherit=True)
        except (OSError, SyntaxError, ValueError):
            continue
        queue += imports_of(code, name if spec.submodule_search_locations is not None else name.rpartition(".")[0])
    return found, False


def _find_spec(name):
    """Return where a module is; None if it is nowhere. The finders of the path import no parent."""
    path, spec = None, None
    parts = name.split(".")
    for count in range(1, len(parts) + 1):
        spec = importlib.machinery.PathFinder.find_spec(".".join(parts[:count]), path)
        if spec is None:
            return None
        path = spec.submodule_search_locations
        if path is None and count < len(parts):
            return None
    return spec
