"""The question `describe_files`: hashes of the files of migrations, by which a saved plan knows what was approved.

It goes by names alone: it answers also where the migrations cannot be loaded any more, for one of them is gone.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import re
import sys
import types
from typing import TYPE_CHECKING

from django.db.migrations import RunPython
from django.db.migrations.loader import MigrationLoader

from ..migrations.data_migrations import plain_function
from ..migrations.effects import all_operations
from ..migrations.used_models import is_of_library

if TYPE_CHECKING:
    from ..protocol import DescribeFilesReply

_STRING_OR_COMMENT = re.compile(
    r"(\"\"\"(?:\\.|[^\\])*?\"\"\"|'''(?:\\.|[^\\])*?'''|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*')|#[^\n]*", re.DOTALL
)
"""Not the tokenizer: it is slower than all the rest, and reads one file differently in different versions of Python."""

MOST_FUNCTIONS = 50
"""Of one migration that are followed."""


def describe_files(migrations: list[str]) -> DescribeFilesReply:
    """Return models.basis.FileHash by migration; None for one that has no file."""
    importlib.invalidate_caches()
    return {identifier: _describe(*identifier.split(".", 1)) for identifier in migrations}


def _describe(label, name):
    try:
        package = MigrationLoader.migrations_module(label)[0]
    except LookupError:
        return None  # the app is not installed
    content = None if package is None else _read_module("{}.{}".format(package, name))
    if content is None:
        return None
    text = content.decode("utf-8", "surrogateescape")
    return {
        "sha256": _hash(content),
        "code": _hash(without_comments(text).encode("utf-8", "surrogateescape")),
        "calls": _find_called("{}.{}".format(package, name)),
    }


def _read_module(name):
    """Return the bytes of a module's file, which is not imported; None if it is not there."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError, AttributeError):
        return None
    return None if spec is None else _read(spec.loader, spec.origin)


def _read(loader, path):
    try:
        return loader.get_data(path)  # also in an archive
    except (OSError, AttributeError, TypeError):
        return None


def _hash(content):
    return hashlib.sha256(content).hexdigest()


def without_comments(text: str) -> str:
    """Return a source without comments, blank lines and space at the ends of lines."""
    without = _STRING_OR_COMMENT.sub(lambda found: found[1] or "", text.replace("\r\n", "\n"))
    return "\n".join(line.rstrip() for line in without.split("\n") if line.strip())


def _find_called(name):
    """Return {dotted name of another module of the project: hash} of what a migration's functions are in, or call.

    None where the migration is not loaded.
    """
    migration = getattr(sys.modules.get(name), "Migration", None)
    if migration is None:
        return None
    functions = [
        function
        for operation in all_operations(migration.operations)
        if isinstance(operation, RunPython)
        for function in (operation.code, operation.reverse_code)
    ]
    called: dict[str, str] = {}
    for function in _follow(functions):
        module = function.__module__
        if module != name and module not in called:
            spec = getattr(sys.modules.get(module), "__spec__", None)
            content = None if spec is None else _read(spec.loader, spec.origin)
            if content is not None:
                called[module] = _hash(content)
    return called


def _follow(functions):
    """Return these functions as they are written down, and those of the project that they call, directly or not."""
    found: list[types.FunctionType] = []
    queue = list(functions)
    while queue and len(found) < MOST_FUNCTIONS:
        function = plain_function(queue.pop(0))[0]
        if function is None or function in found or is_of_library(function):
            continue
        found.append(function)
        queue += _find_named(function.__code__.co_names, function.__globals__)
    return found


def _find_named(names, values):
    """Return the functions that these names stand for, in a module or in one that it has imported.

    By their type alone: an object of the project's may do anything when it is asked what it is.
    """
    named = [values[name] for name in names if name in values]
    modules = [one for one in named if type(one) is types.ModuleType]
    named += [vars(module)[name] for module in modules for name in names if name in vars(module)]
    return [one for one in named if type(one) is types.FunctionType]
