"""Whether an operation of a migration asks the routers before it works on a database, read from its code.

Django's own operations do (`allow_migrate_model`, or `router.allow_migrate` with their hints). One that a project or a
package brings may not: it runs wherever its migration is applied, whatever the routers say.
"""

from __future__ import annotations

import ast
import functools
import inspect
import types
from typing import Any

from django.db.migrations.operations.base import Operation

from .data_migrations import called_name, find_definition, plain_function, root_of

ASKING = {"allow_migrate", "allow_migrate_model"}

DELEGATING = {"database_forwards", "database_backwards"}

WHERE = {"alias", "settings_dict", "table_names", "get_table_list"}
"""What tells one database from another: what is decided by it is known to nobody here."""

HARMLESS = {"print", "len", "str", "repr", "isinstance", "getattr", "hasattr", "get_model", "table_names", "warn"}
LOGGERS = {"logger", "logging", "log", "LOGGER", "LOG"}

DEEPEST = 4
"""How many calls down from the operation are followed."""


def find_manner(operation, vendor, backwards=False):
    """Return how an operation decides whether it works on a database of this vendor.

    "asks": the routers; "nothing": it does nothing there; "unknown": by something that only running it shows;
    "runs": it works wherever it is applied.
    """
    kind: Any = type(operation)
    return _find(kind, "database_backwards" if backwards else "database_forwards", vendor, _inner(operation))


def is_applied_as_django_does(migration, backwards=False):
    """Whether a migration does no more than its operations: its class has no `apply` or `unapply` of its own."""
    return _is_djangos(getattr(type(migration), "unapply" if backwards else "apply"))


def overrides_work(operation):
    """Whether what an operation does to a database is not Django's own code."""
    return any(not _is_djangos(getattr(type(operation), name)) for name in DELEGATING)


def _inner(operation):
    """Return the kinds of the operations that an operation holds, which it may leave the work to."""
    held: list[Any] = []
    for value in vars(operation).values():
        held += value if isinstance(value, (list, tuple)) else [value]
    return tuple({type(one): None for one in held if isinstance(one, Operation)})


@functools.lru_cache(maxsize=None)
def _find(kind, name, vendor, inner):
    method = inspect.getattr_static(kind, name)
    function, _ = plain_function(getattr(kind, name))
    if function is None:
        return "unknown"
    if _is_djangos(function):
        return "asks"
    called = _reachable(kind, method, function)
    names = {name for one in called for name in _names(one.__code__)}
    if names & ASKING:
        return "asks"
    live = _live_nodes(function, vendor)
    if live is not None and not any(_works(node) for node in live):
        return _find_above(kind, name, vendor, inner) if _calls_above(live) else "nothing"
    if names & DELEGATING and not _calls_above(live or ()):
        manners = {_find(one, name, vendor, ()) for one in inner}
        return "asks" if manners == {"asks"} else "unknown"
    return "unknown" if any(_decides_by_place(one) for one in called) else "runs"


def _find_above(kind, name, vendor, inner):
    """Return the manner of what `super()` stands for in the method of this name that a class has."""
    owner = next(base for base in kind.__mro__ if name in vars(base))
    above = kind.__mro__[kind.__mro__.index(owner) + 1 :]
    base = next((base for base in above if name in vars(base)), None)
    return "unknown" if base is None else _find(base, name, vendor, inner)


def _is_djangos(function):
    return (function.__module__ or "").startswith("django.")


def _reachable(kind, method, function):
    """Return the functions that a method is made of and calls by name, those of Django's left out."""
    found: dict[types.FunctionType, None] = {}
    waiting = [(method, 0), (function, 0)]
    while waiting:
        value, depth = waiting.pop()
        one = getattr(value, "__func__", None) or getattr(value, "fget", None) or value
        if not isinstance(one, types.FunctionType) or one in found or _is_djangos(one) or depth > DEEPEST:
            continue
        found[one] = None
        waiting += [(called, depth + 1) for called in _called(kind, one)]
    return list(found)


def _called(kind, function):
    names = _names(function.__code__)
    named = [function.__globals__[name] for name in names if name in function.__globals__]
    yield from (cell.cell_contents for cell in function.__closure__ or () if _is_filled(cell))
    for value in named:
        yield inspect.unwrap(value) if isinstance(value, types.FunctionType) else value
        yield value
        if isinstance(value, types.ModuleType):
            yield from (getattr(value, name, None) for name in names)
        elif isinstance(value, type):
            yield from (
                vars(value)[name] for name in names | {"__init__", "__call__", "__enter__"} if name in vars(value)
            )
    for name in names - DELEGATING:
        yield inspect.getattr_static(kind, name, None)


def _is_filled(cell):
    try:
        return cell.cell_contents is not None
    except ValueError:
        return False


def _names(code):
    """Return every name in a function's code, and in that of the functions inside it."""
    inner = [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]
    return {*code.co_names, *(name for one in inner for name in _names(one))}


def _live_nodes(function, vendor):
    """Return what of a function runs on a database of this vendor, as far as that is plain; None without its source."""
    definition = find_definition(function)
    if definition is None:
        return None
    return [node for statement in _live(definition.body, vendor) for node in ast.walk(statement)]


def _live(statements, vendor):
    for statement in statements:
        is_so = _holds(statement.test, vendor) if isinstance(statement, ast.If) else None
        if is_so is None:
            yield statement
        else:
            branch = statement.body if is_so else statement.orelse
            yield from _live(branch, vendor)
            statement = branch[-1] if branch else statement
        if isinstance(statement, (ast.Return, ast.Raise)):
            return


def _holds(test, vendor):
    """Return whether a test about the vendor of a connection holds; None if that is not to be seen."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        holds = _holds(test.operand, vendor)
        return None if holds is None else not holds
    if isinstance(test, ast.BoolOp):
        parts, decisive = [_holds(part, vendor) for part in test.values], isinstance(test.op, ast.Or)
        return decisive if decisive in parts else None if None in parts else not decisive
    if not (isinstance(test, ast.Compare) and getattr(test.left, "attr", None) == "vendor" and len(test.ops) == 1):
        return None
    try:
        value = ast.literal_eval(test.comparators[0])
    except ValueError:
        return None
    names = [value] if isinstance(value, str) else value
    is_one = vendor in names
    return is_one if isinstance(test.ops[0], (ast.Eq, ast.In)) else not is_one


def _works(node):
    """Whether a part of a function may do something to a database: what it calls, but for what only looks or tells."""
    if not isinstance(node, ast.Call) or _is_above(node):
        return False
    called = called_name(node)
    return not (called == "super" or called in HARMLESS or root_of(node.func) in LOGGERS)


def _is_above(node):
    """Whether this is `super().database_forwards(…)`."""
    owner = getattr(node.func, "value", None)
    return called_name(node) in DELEGATING and isinstance(owner, ast.Call) and called_name(owner) == "super"


def _calls_above(nodes):
    return any(isinstance(node, ast.Call) and _is_above(node) for node in nodes)


def _decides_by_place(function):
    """Whether a test in a function is about which database it has before it."""
    definition = find_definition(function)
    if definition is None:
        return True
    nodes = list(ast.walk(definition))
    aliases = {
        target.id
        for node in nodes
        if isinstance(node, ast.Assign) and _names_place(node.value)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    tests = [node.test for node in nodes if isinstance(node, (ast.If, ast.IfExp, ast.While, ast.Assert))]
    tests += [node for node in nodes if isinstance(node, ast.Compare)]
    return any(
        _names_place(test) or any(isinstance(part, ast.Name) and part.id in aliases for part in ast.walk(test))
        for test in tests
    )


def _names_place(node):
    return any(getattr(part, "attr", None) in WHERE for part in ast.walk(node))
