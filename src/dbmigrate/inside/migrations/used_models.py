"""Which apps' models a RunPython or a RunSQL certainly works with, read from its source."""

import ast
import functools
import os
import re
import sys
import sysconfig

from django.apps import apps

from .data_migrations import DEEPEST, find_definition, is_get_model, plain_function, texts_in

LIBRARY = os.path.realpath(sysconfig.get_paths()["stdlib"]) + os.sep


def find_apps(function):
    """Return the labels of the apps whose models a function gets, and of those that it continues to from these.

    It may work with others, in ways that its source does not show.
    """
    return frozenset(label for label, _ in find_models(function))


def find_models(function):
    """Return the (app label, lower-case name) of the models of which `find_apps` returns the apps."""
    function, _ = plain_function(function)
    return frozenset() if function is None else _find_models(function)


@functools.lru_cache(maxsize=None)
def _find_models(function):
    reader = _Reader()
    reader.read(function)
    return _with_related(reader.models, reader.words)


def find_apps_in_sql(sql):
    """Return the labels of the apps whose tables a RunSQL names."""
    words = words_in_sql(sql)
    return frozenset(
        model._meta.app_label
        for model in apps.get_models(include_auto_created=True)
        if model._meta.db_table.casefold() in words
    )


def words_in_sql(sql):
    """Return the folded words of a RunSQL: the tables that it names are among them."""
    parts = [sql] if isinstance(sql, str) else [part if isinstance(part, str) else part[0] for part in sql]
    return {word.casefold() for part in parts for word in re.findall(r"\w+", part)}


def _with_related(models, words):
    """Return models and those that they lead to by a field that is named."""
    found, queue = set(), list(models)
    while queue:
        name = queue.pop()
        if name in found:
            continue
        found.add(name)
        try:
            fields = apps.get_model(*name)._meta.get_fields()
        except LookupError:
            continue  # it is gone since
        related = [field.related_model for field in fields if field.is_relation and words.intersection(_names(field))]
        # None is that of a generic foreign key.
        queue += [(model._meta.app_label, model._meta.model_name) for model in related if model is not None]
    return frozenset(found)


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

    def read(self, function):
        """Take what a function gets and names."""
        definition = find_definition(function)
        if definition is None or len(self._seen) > DEEPEST:
            return
        self._seen.add(function)
        body = definition.body if isinstance(definition.body, list) else [definition.body]
        for node in (node for part in body for node in ast.walk(part)):
            self.words.update(_words(node))
            if is_get_model(node) and isinstance(node, ast.Call):
                parts = ".".join(text for argument in node.args for text in texts_in(argument)).split(".")
                if len(parts) == 2:
                    self.models.add((parts[0], parts[1].lower()))
            if isinstance(node, ast.Name):
                helper, _ = plain_function(function.__globals__.get(node.id))
                if helper is not None and helper not in self._seen and not is_of_library(helper):
                    self.read(helper)


def is_of_library(function):
    """Whether a function is one of Python's or Django's."""
    module = function.__module__ or ""
    path = os.path.realpath(getattr(sys.modules.get(module), "__file__", None) or "")
    is_installed = "site-packages" in path or "dist-packages" in path
    return module.partition(".")[0] == "django" or (path.startswith(LIBRARY) and not is_installed)


def _words(node):
    if isinstance(node, ast.Attribute):
        return [node.attr]
    if isinstance(node, ast.keyword):
        return (node.arg or "").split("__")
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value.lstrip("-").split("__")
    return []
