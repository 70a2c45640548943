"""What RunPython and RunSQL of a migration work on, read from the source of their functions."""

import ast
import functools
import inspect
import textwrap

from django.db import migrations

MANAGERS = ("objects", "_default_manager", "_base_manager")
"""What gives rows of a model; without one, a function reads and writes no table by the ORM."""

ALIAS_WORDS = ("using", "db_manager")
"""Methods and keyword arguments that name the database."""

HARMLESS = ("vendor", "features", "settings_dict", "introspection", "ops")
"""Parts of a connection that are looked at and not worked on."""


def describe_data_operations(reaching):
    """Return the RunPython and RunSQL among the operations of a migration (models.snapshot.DataOperation)."""
    found = []
    for number, operation, answer, _ in reaching:
        if isinstance(operation, migrations.RunPython):
            kind, name = "RunPython", getattr(operation.code, "__name__", "")
        elif isinstance(operation, migrations.RunSQL):
            kind, name = "RunSQL", ""
        else:
            continue
        found.append(
            {
                "kind": kind,
                "name": name,
                "answer": answer,
                "has_hints": bool(getattr(operation, "hints", None)),
                "follows_alias": kind == "RunSQL" or _follows_alias(operation.code),
                "operation": number,
            }
        )
    return found


@functools.lru_cache(maxsize=None)
def deletes_rows(function):
    """Whether the function calls `delete` on something."""
    tree = _parse(function)
    return tree is not None and any(
        isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "delete"
        for node in ast.walk(tree)
    )


@functools.lru_cache(maxsize=None)
def _follows_alias(function):
    """Whether a function of RunPython works on the database that is migrated, or on no table at all.

    It does if it names a database, or uses its schema editor for more than a look at what kind of database it is.
    A function whose source is not to be had is trusted.
    """
    tree = _parse(function)
    if tree is None:
        return True
    names = [argument.arg for argument in tree.args.args]
    nodes = [node for statement in tree.body for node in ast.walk(statement)]
    if any(_names_database(node) for node in nodes):
        return True
    editor = names[1] if len(names) > 1 else None
    looks = {id(part) for node in nodes if _is_look(node) for part in ast.walk(node)}
    if any(isinstance(node, ast.Name) and node.id == editor and id(node) not in looks for node in nodes):
        return True
    return not any(isinstance(node, ast.Attribute) and node.attr in MANAGERS for node in nodes) and not any(
        isinstance(node, ast.Call) and _called(node) in ("call_command", "cursor", "save", "delete") for node in nodes
    )


def _names_database(node):
    if isinstance(node, ast.keyword):
        return node.arg in ALIAS_WORDS or node.arg == "database"
    return isinstance(node, ast.Attribute) and node.attr in ALIAS_WORDS


def _is_look(node):
    """Whether this is `….connection.vendor` or another harmless part of a connection."""
    return (
        isinstance(node, ast.Attribute)
        and node.attr in HARMLESS
        and isinstance(node.value, ast.Attribute)
        and node.value.attr == "connection"
    )


def _called(node):
    return getattr(node.func, "attr", getattr(node.func, "id", None))


def _parse(function):
    """Return the definition of a function, or None if its source is not to be had or it is no plain function."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        return None
    return tree.body[0] if isinstance(tree.body[0], ast.FunctionDef) else None
