"""The question `locate`: in which file and line of the project something stands, read from its source."""

from __future__ import annotations

import ast
import os
import sys
import tokenize
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.conf import settings
from django.db.migrations.loader import MigrationLoader
from django.utils.module_loading import import_string

if TYPE_CHECKING:
    from ..protocol import LocateReply


def locate(subjects: list[list[str]], root: str) -> LocateReply:
    """Return (file, line) or None for each subject (models.findings.Subject); paths below the root are relative."""
    sources = Sources()
    finders: dict[str, Any] = {
        "model": _find_model,
        "field": _find_field,
        "migration": _find_migration,
        "mark": _find_mark,
        "operation": _find_operation,
        "router": _find_router,
        "setting": _find_setting,
    }
    found: LocateReply = []
    for kind, *names in subjects:
        file, node = finders[kind](sources, *names)
        found.append(None if file is None else (_relative(file, root), getattr(node, "lineno", None)))
    return found


def describe_field(model, name):
    """Return a field as it stands in the models file, from its name on; None if it is not written there."""
    sources = Sources()
    file, node = sources.field(model, name)
    return None if node is None else ast.get_source_segment(sources.text(file), node)


class Sources:
    """Source files, each read and parsed once."""

    def __init__(self):
        """Read nothing yet."""
        self._trees = {}

    def text(self, file):
        """Return the text of a file, "" if it cannot be read."""
        return self._read(file)[0]

    def tree(self, file):
        """Return the syntax tree of a file, an empty one if it cannot be read."""
        return self._read(file)[1]

    def _read(self, file):
        if file not in self._trees:
            self._trees[file] = parse(file) or ("", ast.Module(body=[], type_ignores=[]))
        return self._trees[file]

    def file(self, module_name):
        """Return the file of a module that is loaded, or None."""
        return _file_of(module_name)

    def class_node(self, cls):
        """Return (file, the statement that makes a class); None where it is not there."""
        file = _file_of(cls.__module__)
        if file is None:
            return None, None
        return file, next(
            (
                node
                for node in ast.walk(self.tree(file))
                if isinstance(node, ast.ClassDef) and node.name == cls.__name__
            ),
            None,
        )

    def field(self, model, name):
        """Return (file, the assignment of a field), in the model itself or in an abstract model above it."""
        for cls in model.__mro__:
            file, body = self.class_node(cls)
            for node in getattr(body, "body", ()):
                if name in assigned(node):
                    return file, node
        return None, None

    def function(self, called):
        """Return the statement that makes a function, None if it is not in the source of its module."""
        file = _file_of(called.__module__)
        named = (ast.FunctionDef, ast.AsyncFunctionDef)
        nodes = ast.walk(self.tree(file)) if file is not None else ()
        return next((node for node in nodes if isinstance(node, named) and node.name == called.__name__), None)


def parse(file):
    """Return (text, tree) of a source file in the encoding that it names (PEP 263); None where it is none."""
    try:
        with tokenize.open(file) as stream:
            text = stream.read()
        return text, ast.parse(text)
    except (OSError, SyntaxError, ValueError):
        return None


def _file_of(module_name):
    return getattr(sys.modules.get(module_name), "__file__", None)


def _find_model(sources, name):
    model = apps.get_model(name)
    return sources.class_node(model._meta.auto_created or model)


def _find_field(sources, model_name, name):
    model = apps.get_model(model_name)
    file, node = sources.field(model, name)
    return (file, node) if node is not None else sources.class_node(model)


def assigned(node):
    """Return the names that a statement gives its `value`; none for one that makes them otherwise (`for`, `+=`)."""
    if isinstance(node, ast.Assign):
        targets = node.targets
    else:
        targets = [node.target] if isinstance(node, ast.AnnAssign) and node.value is not None else []
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _find_migration(sources, identifier):
    label, name = identifier.split(".", 1)
    package = MigrationLoader.migrations_module(label)[0]
    file = _file_of("{}.{}".format(package, name))
    if file is None:
        return None, None
    return file, next(
        (node for node in sources.tree(file).body if isinstance(node, ast.ClassDef) and node.name == "Migration"),
        None,
    )


def _find_mark(sources, identifier, attribute):
    """Find where a migration says something of itself; where it inherits it or is told by a setting, its class."""
    file, migration = _find_migration(sources, identifier)
    body = getattr(migration, "body", ())
    return file, next((node for node in body if attribute in assigned(node)), migration)


def _find_operation(sources, identifier, number, word=""):
    """Find an operation by its number; with a word, the line inside it where that stands as a text."""
    file, migration = _find_migration(sources, identifier)
    node: Any = next(
        (entry.value for entry in getattr(migration, "body", ()) if "operations" in assigned(entry)),
        None,
    )
    for index in number.split("."):
        if isinstance(node, ast.Call):  # SeparateDatabaseAndState: its database operations
            named = [keyword.value for keyword in node.keywords if keyword.arg == "database_operations"]
            node = named[0] if named else next(iter(node.args), None)
        elements = getattr(node, "elts", ())
        if int(index) >= len(elements):
            return file, migration
        node = elements[int(index)]
    inner = (part for part in ast.walk(node) if word and isinstance(part, ast.Constant) and part.value == word)
    return file, next(inner, node)


def _find_router(sources, name):
    """Find the allow_migrate of a router, which may be inherited; else its class."""
    try:
        found = import_string(name)
    except ImportError:
        return None, None
    if not isinstance(found, type):
        return getattr(found, "__file__", None), None
    for cls in found.__mro__:
        file, body = sources.class_node(cls)
        for node in getattr(body, "body", ()):
            if isinstance(node, ast.FunctionDef) and node.name == "allow_migrate":
                return file, node
    return sources.class_node(found)


def _find_setting(sources, setting, key):
    """Find the key of a dictionary in the settings module or one that it imports whole, else where it is assigned."""
    named: tuple[str | None, ast.AST | None] = (None, None)
    whole = named
    for file in _settings_files(sources):
        for node in ast.walk(sources.tree(file)):
            target = _subscripted(node)
            if setting in assigned(node):
                whole = file, node
                keys = (part for part in ast.walk(node) if isinstance(part, ast.Constant) and part.value == key)
                found = next(keys, None)
                named = named if found is None else (file, found)
            elif target == (setting, key):
                named = file, node
    return named if named[0] is not None else whole


def _subscripted(node):
    """Return (name, key) of a statement `name["key"] = …`, else None."""
    target = node.targets[0] if isinstance(node, ast.Assign) else None
    if not isinstance(target, ast.Subscript) or not isinstance(target.value, ast.Name):
        return None
    index = getattr(target.slice, "value", target.slice)  # Python 3.8 has an ast.Index around it
    return target.value.id, getattr(index, "value", index)


def _settings_files(sources):
    """Return the file of the settings module behind those of the modules it takes everything from."""
    files: list[str] = []
    waiting = [getattr(settings, "SETTINGS_MODULE", "")]
    while waiting:
        name = waiting.pop(0)
        file = _file_of(name)
        if file is None or file in files:
            continue
        files.insert(0, file)
        package = name if os.path.basename(file) == "__init__.py" else name.rpartition(".")[0]
        for node in ast.walk(sources.tree(file)):
            if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names):
                base = package.rsplit(".", node.level - 1)[0] if node.level > 1 else package
                parts = ([base] if node.level else []) + ([node.module] if node.module else [])
                waiting.append(".".join(parts))
    return files


def _relative(path, root):
    path, root = os.path.realpath(path), os.path.realpath(root)
    return os.path.relpath(path, root) if path.startswith(root + os.sep) else path
