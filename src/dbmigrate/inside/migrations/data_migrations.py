"""What RunPython and RunSQL of a migration work on, read from the source of their functions."""

import ast
import functools
import inspect
import re
import types

from django.apps import apps
from django.db import migrations, router

from ..source.locate import parse
from .routes import tables_of

MANAGERS = ("objects", "_default_manager", "_base_manager")
"""What gives rows of a model; without one, a function reads and writes no table by the ORM."""

WORKING = ("call_command", "cursor", "save", "delete", "bulk_create")
"""Calls that work on a database, whatever they are called on."""

ALIAS_WORDS = ("using", "db_manager")
"""Methods and keyword arguments that name the database."""

HARMLESS = ("vendor", "features", "settings_dict", "introspection", "ops")
"""Parts of a connection that are looked at and not worked on."""

GUARDS = ("allow_migrate", "allow_migrate_model", "table_names")
"""Calls that ask what is, or belongs, on a database."""

DELETING = ("delete", "_raw_delete", "delete_model", "remove_field")
EXECUTING = ("execute", "executemany", "executescript")
DEEPEST = 3
"""How many functions down from the one of the migration are read."""

DESTROYING_SQL = re.compile(
    r"\b(DROP\s+(TABLE|COLUMN|SCHEMA|DATABASE|MATERIALIZED\s+VIEW)|TRUNCATE|DELETE\s+FROM)\b", re.IGNORECASE
)
COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)


def describe_data_operations(label, reaching):
    """Return the RunPython and RunSQL among the operations of an app's migration (models.migrations.DataOperation)."""
    found = []
    for number, operation, answer, _ in reaching:
        if isinstance(operation, migrations.RunPython):
            kind, name, work = "RunPython", getattr(operation.code, "__name__", ""), read_work(operation.code)
        elif isinstance(operation, migrations.RunSQL):
            kind, name, work = "RunSQL", "", None
        else:
            continue
        found.append(
            {
                "kind": kind,
                "name": name,
                "answer": answer,
                "has_hints": bool(getattr(operation, "hints", None)),
                "follows_alias": work is None or work.names_database or not work.touches_tables,
                "is_careful": work is not None and (work.asks_where_it_is or not work.touches_tables),
                "works_on": [] if work is None else _aliases_at_run_time(label, work.models),
                "operation": number,
            }
        )
    return found


def destroys(sql):
    """Whether SQL, without its comments, drops or deletes something that holds data."""
    return DESTROYING_SQL.search(COMMENT.sub(" ", sql)) is not None


class _Work:
    """What a function does, as its source and that of the functions it calls say."""

    def __init__(self):
        self.names_database = False
        """Whether it names a database, or uses its schema editor for more than a look at what kind of server it is."""
        self.touches_tables = False
        self.asks_where_it_is = False
        """Whether it compares the alias with something, or asks what is there."""
        self.deletes = False
        self.models = set()
        """(app label, lower-case name) of the models it gets by name."""


def read_work(function):
    """Return what a function of RunPython does; None if its source is not available, and it is trusted."""
    function, given = plain_function(function)
    return None if function is None else _read_function(function, given)


@functools.lru_cache(maxsize=None)
def _read_function(function, given):
    definition = find_definition(function)
    if definition is None:
        return None
    work = _Work()
    _read(work, definition, function, _names(definition)[given:], {function})
    return work


def _read(work, definition, function, names, seen):
    body = definition.body if isinstance(definition.body, list) else [definition.body]
    nodes = [node for statement in body for node in ast.walk(statement)]
    editor = names[1] if len(names) > 1 else getattr(definition.args.vararg, "arg", None)
    looks = {id(part) for node in nodes if _is_look(node) for part in ast.walk(node)}
    aliases = {
        name for node in nodes if isinstance(node, ast.Assign) and _has_alias(node.value) for name in _targets(node)
    }
    models = {
        name for node in nodes if isinstance(node, ast.Assign) and is_get_model(node.value) for name in _targets(node)
    }
    for node in nodes:
        work.names_database |= _names_database(node) or (
            isinstance(node, ast.Name) and node.id == editor and id(node) not in looks
        )
        work.asks_where_it_is |= isinstance(node, ast.Compare) and any(
            _has_alias(part) or (isinstance(part, ast.Name) and part.id in aliases) for part in ast.walk(node)
        )
        work.touches_tables |= isinstance(node, ast.Attribute) and (
            node.attr in MANAGERS or (_is_model(node.value, models) and node.attr[0].islower())
        )
        if isinstance(node, ast.Call):
            _read_call(work, node, function, seen)


def _read_call(work, node, function, seen):
    called = called_name(node)
    work.asks_where_it_is |= called in GUARDS
    work.touches_tables |= called in WORKING
    work.deletes |= (called in DELETING and root_of(node.func) not in ("cache", "caches")) or (
        called in EXECUTING and any(destroys(text) for argument in node.args for text in texts_in(argument))
    )
    if is_get_model(node):
        texts = [text for argument in node.args for text in texts_in(argument)]
        parts = ".".join(texts).lower().split(".")
        if len(parts) == 2:
            work.models.add(tuple(parts))
    helper = function.__globals__.get(node.func.id) if isinstance(node.func, ast.Name) else None
    if isinstance(helper, types.FunctionType):
        # What a decorator made calls itself by another name than the one it is known by.
        helper, _ = plain_function(helper)
    if isinstance(helper, types.FunctionType) and helper not in seen and len(seen) <= DEEPEST:
        definition = None if (helper.__module__ or "").startswith("django.") else find_definition(helper)
        if definition is not None:
            # Whether it was given the schema editor shows where it is called.
            _read(work, definition, helper, [], {*seen, helper})


def _aliases_at_run_time(label, named):
    """Return the aliases that reads and writes go to where no database is named: of the models that a function gets."""
    own = [model for model in named if model[0] == label]
    models = []
    for name in own or named:
        try:
            models.append(apps.get_model(*name))
        except LookupError:
            pass
    aliases = set()
    for model in models or tables_of(apps.get_app_config(label)):
        try:
            aliases |= {router.db_for_read(model), router.db_for_write(model)}
        except Exception:  # the project's own; it has an opinion that nobody here can tell
            return []
    return sorted(aliases) or ["default"]


def _names_database(node):
    if isinstance(node, ast.keyword):
        return node.arg in ALIAS_WORDS or node.arg == "database"
    if isinstance(node, ast.Subscript):
        return isinstance(node.value, ast.Name) and node.value.id == "connections"
    return isinstance(node, ast.Attribute) and node.attr in ALIAS_WORDS


def _is_look(node):
    """Whether this is `….connection.vendor` or another harmless part of a connection."""
    return (
        isinstance(node, ast.Attribute)
        and node.attr in HARMLESS
        and isinstance(node.value, ast.Attribute)
        and node.value.attr == "connection"
    )


def _is_model(node, models):
    return is_get_model(node) or (isinstance(node, ast.Name) and node.id in models)


def is_get_model(node):
    """Whether a node is a call of `get_model`."""
    return isinstance(node, ast.Call) and called_name(node) == "get_model"


def _has_alias(node):
    return any(isinstance(part, ast.Attribute) and part.attr == "alias" for part in ast.walk(node))


def _targets(node):
    return [target.id for target in node.targets if isinstance(target, ast.Name)]


def texts_in(node):
    """Return the strings that are written in a node."""
    return [part.value for part in ast.walk(node) if isinstance(part, ast.Constant) and isinstance(part.value, str)]


def called_name(node):
    """Return the name that is called, without what stands before its dot; None if it has none."""
    return getattr(node.func, "attr", getattr(node.func, "id", None))


def root_of(node):
    """Return the name that a chain of attributes, calls and subscripts begins with; None if it begins with none."""
    while isinstance(node, (ast.Attribute, ast.Call, ast.Subscript)):
        node = node.func if isinstance(node, ast.Call) else node.value
    return getattr(node, "id", None)


def _names(definition):
    return [argument.arg for argument in definition.args.posonlyargs + definition.args.args]


def plain_function(function):
    """Return (the function as it is written down or None, how many first arguments it has been given)."""
    given = 0
    while not isinstance(function, types.FunctionType):
        if isinstance(function, functools.partial):
            given += len(function.args)
            function = function.func
        elif inspect.ismethod(function):
            given += 1
            function = function.__func__
        else:
            return None, given
    function = inspect.unwrap(function)
    return (function if isinstance(function, types.FunctionType) else None), given


def find_definition(function):
    """Return the definition of a plain function in its source; None if that is not available."""
    code = function.__code__
    parsed = parse(code.co_filename)
    if parsed is None:
        return None
    _, tree = parsed
    count = code.co_argcount
    fitting = [
        node
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.Lambda))
        and getattr(node, "name", "<lambda>") == code.co_name
        and code.co_firstlineno in (node.lineno, *(part.lineno for part in getattr(node, "decorator_list", ())))
        and tuple(_names(node)) == code.co_varnames[:count]
    ]
    return fitting[0] if len(fitting) == 1 else None
