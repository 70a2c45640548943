"""Which apps' models a RunPython or a RunSQL works with, read from its source."""

import ast
import builtins
import functools
import os
import re
import sys
import sysconfig
import types

from django.apps import apps
from django.db.models import Model

from .rundata import (
    DEEPEST,
    MANAGERS,
    called_name,
    find_definition,
    is_get_model,
    plain_function,
    texts_in,
)

BUILTINS = {*vars(builtins)} - {"__import__", "compile", "eval", "exec", "getattr", "globals", "locals", "vars"}
"""Names of Python's own that lead to no model."""

MODULES = ("django.db.models", "django.utils")
"""Of Django, what works on no rows by itself; a model of it is seen to be one."""

ASIDE = ("call_command", "cursor", "execute", "executemany", "raw", "get_models", "get_app_config", "extra")
"""Calls that reach tables without naming a model."""

LIBRARY = os.path.realpath(sysconfig.get_paths()["stdlib"]) + os.sep


def find_apps(function):
    """Return the labels of the apps whose models a function works with; None where its source does not say."""
    function, _ = plain_function(function)
    return None if function is None else _find_apps(function)


@functools.lru_cache(maxsize=None)
def _find_apps(function):
    reader = _Reader()
    if not reader.reads(function) or not reader.models:
        return None
    return _with_related(reader.models, reader.words)


def find_apps_in_sql(sql):
    """Return the labels of the apps whose tables a RunSQL names; None where it names none that is known."""
    parts = [sql] if isinstance(sql, str) else [part if isinstance(part, str) else part[0] for part in sql]
    words = {word.casefold() for part in parts for word in re.findall(r"\w+", part)}
    labels = {
        model._meta.app_label
        for model in apps.get_models(include_auto_created=True)
        if model._meta.db_table.casefold() in words
    }
    return frozenset(labels) or None


def _with_related(models, words):
    """Return the labels of models and of those that they lead to by a field that is named; None if one is gone."""
    found, queue = set(), list(models)
    while queue:
        name = queue.pop()
        if name in found:
            continue
        found.add(name)
        try:
            fields = apps.get_model(*name)._meta.get_fields()
        except LookupError:
            return None
        for field in fields:
            if field.is_relation and field.related_model is None:
                return None  # a generic foreign key leads anywhere
            if field.is_relation and words.intersection(_names(field)):
                queue.append((field.related_model._meta.app_label, field.related_model._meta.model_name))
    return frozenset(label for label, _ in found)


def _names(field):
    accessor = getattr(field, "get_accessor_name", None)
    return {field.name} if accessor is None else {field.name, accessor()}


class _Reader:
    """Reads a function and those of the project that it calls."""

    def __init__(self):
        self.models = set()
        """(app label, lower-case name) of the models that it gets."""
        self.words = set()
        """What may be the name of a field."""
        self._seen = set()

    def reads(self, function):
        """Whether all is known that a function does."""
        definition = find_definition(function)
        if definition is None or len(self._seen) > DEEPEST:
            return False
        self._seen.add(function)
        nodes = [node for part in _body(definition) for node in ast.walk(part)]
        own = {node.id for node in nodes if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)}
        own |= {argument.arg for node in (definition, *nodes) for argument in _arguments(node)}
        own |= {node.name for node in nodes if isinstance(getattr(node, "name", None), str)}
        own |= {alias.asname or alias.name for node in nodes for alias in _imported(node) or ()}
        self.words.update(word for node in nodes for word in _words(node))
        return all(
            self._is_known(node) and (not isinstance(node, ast.Name) or self._may_name(node.id, own, function))
            for node in nodes
        )

    def _is_known(self, node):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            return _imported(node) is not None
        if isinstance(node, ast.Attribute) and node.attr in MANAGERS:
            # A name of its own has nothing but what it got from known ones.
            return is_get_model(node.value) or isinstance(node.value, ast.Name)
        if is_get_model(node):
            parts = ".".join(text for argument in node.args for text in texts_in(argument)).lower().split(".")
            self.models.add(tuple(parts))
            return len(parts) == 2 and not node.keywords
        return not (isinstance(node, ast.Call) and called_name(node) in ASIDE)

    def _may_name(self, name, own, function):
        if name in own:
            return True
        if name not in function.__globals__:
            return name in BUILTINS
        value = function.__globals__[name]
        if isinstance(value, types.ModuleType):
            return _is_harmless(value.__name__, getattr(value, "__file__", None))
        if isinstance(value, (str, int, float, bytes, tuple, list, dict, set, frozenset, re.Pattern, type(None))):
            return True
        if isinstance(value, type) and issubclass(value, Model):
            return False
        helper, _ = plain_function(value)
        if helper in self._seen or _is_of_library(value):
            return True
        return helper is not None and self.reads(helper)


def _is_of_library(value):
    """Whether this is a function or a class of Python's, or of those parts of Django that work on no rows."""
    if not isinstance(value, (type, types.FunctionType, types.BuiltinFunctionType)):
        return False
    return _is_harmless(value.__module__ or "", getattr(sys.modules.get(value.__module__), "__file__", None))


def _is_harmless(module, file):
    if module == "django" or any(module == known or module.startswith(known + ".") for known in MODULES):
        return True
    if file is None:
        return module in ("builtins", "time", "itertools", "math")
    path = os.path.realpath(file)
    return path.startswith(LIBRARY) and "site-packages" not in path and "dist-packages" not in path


def _imported(node):
    """Return the names that an import brings, [] for what is none; None if it brings what nobody knows."""
    if not isinstance(node, (ast.Import, ast.ImportFrom)):
        return []
    modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
    known = (_is_harmless(module, getattr(sys.modules.get(module), "__file__", None)) for module in modules)
    return node.names if all(known) else None


def _body(definition):
    return definition.body if isinstance(definition.body, list) else [definition.body]


def _arguments(node):
    arguments = getattr(node, "args", None)
    if not isinstance(arguments, ast.arguments):
        return []
    more = [one for one in (arguments.vararg, arguments.kwarg) if one is not None]
    return [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *more]


def _words(node):
    if isinstance(node, ast.Attribute):
        return [node.attr]
    if isinstance(node, ast.keyword):
        return (node.arg or "").split("__")
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value.lstrip("-").split("__")
    return []
