"""The question `describe_files`: hashes of the files of migrations, by which a saved plan knows what was approved.

It goes by names alone: it answers also where the migrations cannot be loaded any more, for one of them is gone.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import json
import os
import re
import sys
import types
from typing import TYPE_CHECKING

from django.db.migrations import RunPython, RunSQL
from django.db.migrations.loader import MigrationLoader

from ..migrations.data_migrations import plain_function
from ..migrations.effects import all_operations
from ..migrations.used_models import is_of_library
from .imports import codes_in, find_imported, imports_of, is_installed

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
    operations = _operations("{}.{}".format(package, name))
    calls, has_more = (None, False) if operations is None else _find_called("{}.{}".format(package, name), operations)
    return {
        "sha256": _hash(content),
        "code": _hash(without_comments(text).encode("utf-8", "surrogateescape")),
        "calls": calls,
        "has_more": has_more,
        "sql": None if operations is None else _find_sql(operations),
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


def _operations(name):
    """Return all operations of a migration; None where it is not loaded."""
    migration = getattr(sys.modules.get(name), "Migration", None)
    return None if migration is None else list(all_operations(migration.operations))


def _find_sql(operations):
    """Return the hash of what RunSQL operations were given, wherever it was read; "" for none of them."""
    texts = [
        json.dumps([one.sql, one.reverse_sql], default=_name_type, skipkeys=True)
        for one in operations
        if isinstance(one, RunSQL)
    ]
    return _hash("\n".join(texts).encode()) if texts else ""


def _name_type(value):
    return type(value).__name__


def _find_called(name, operations):
    """Return {dotted name of another module of the project: hash} of what a migration's functions are in, or call.

    And whether there are more, which are not followed. Also of what they import themselves, with what that imports. A
    module that has no file is left out.
    """
    functions = [
        function
        for operation in operations
        if isinstance(operation, RunPython)
        for function in (operation.code, operation.reverse_code)
    ]
    followed, modules, has_more_functions = _follow(functions)
    imported = [
        one
        for function in followed
        for one in imports_of(function.__code__, function.__globals__.get("__package__") or "")
    ]
    called = {
        one: content for one in modules if one != name for content in [_read_module_of(one)] if content is not None
    }
    contents, has_more_modules = find_imported(imported)
    called.update(contents)
    called.pop(name, None)
    return {one: _hash(content) for one, content in called.items()}, has_more_functions or has_more_modules


def _read_module_of(name):
    spec = getattr(sys.modules.get(name), "__spec__", None)
    return None if spec is None else _read(spec.loader, spec.origin)


def _follow(functions):
    """Return these functions as they are written down and those of the project that they call, directly or not.

    And the names of the modules that these are in, or name, and whether there are more functions.
    """
    found: list[types.FunctionType] = []
    modules: dict[str, None] = {}
    queue = list(functions)
    while queue:
        function = plain_function(queue.pop(0))[0]
        if function is None or function in found or is_of_library(function):
            continue
        if len(found) == MOST_FUNCTIONS:
            return found, modules, True
        found.append(function)
        named = _find_named(function)
        modules.update(dict.fromkeys([function.__module__, *(vars(one)["__name__"] for one in named[0])]))
        queue += named[1]
    return found, modules, False


def _find_named(function):
    """Return (the modules, the functions) that a function's names stand for: its own, and in modules and classes.

    By their type alone: an object of the project's may do anything when it is asked what it is.
    """
    names = {name for code in codes_in(function.__code__) for name in code.co_names}
    values = function.__globals__
    queue = [values[name] for name in sorted(names) if name in values]
    queue += [one for cell in function.__closure__ or () for one in _content_of(cell)]
    modules: list[types.ModuleType] = []
    functions: list[types.FunctionType] = []
    while queue:
        one = queue.pop(0)
        if type(one) is types.FunctionType:
            functions.append(one)
        elif type(one) is types.ModuleType:
            if one not in modules and _is_of_project(vars(one)["__name__"]):
                modules.append(one)
                queue += [vars(one)[name] for name in sorted(names) if name in vars(one)]
        else:
            functions += _find_methods(one if issubclass(type(one), type) else type(one))
    return modules, functions


def _content_of(cell):
    try:
        return [cell.cell_contents]
    except ValueError:  # it is empty
        return []


def _is_of_project(name):
    path = getattr(sys.modules.get(name), "__file__", None)
    return isinstance(path, str) and not is_installed(os.path.realpath(path))


def _find_methods(kind):
    """Return the functions of a class of the project and of its bases."""
    return [
        method
        for base in type.__dict__["__mro__"].__get__(kind)
        if _is_of_project(type.__dict__["__module__"].__get__(base))
        for value in type.__dict__["__dict__"].__get__(base).values()
        for method in [value.__func__ if type(value) in (staticmethod, classmethod) else value]
        if type(method) is types.FunctionType
    ]
