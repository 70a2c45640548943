"""The questions `find_unstable` and `describe_fields`: models for which makemigrations would never stop writing.

A set has another order in each process (PYTHONHASHSEED), and a clock or a random number another value. What a field is
made with is read from its source: only that tells a list that somebody has sorted again from one that a set has made.
Names in it are looked up in the modules that are loaded, and what they were assigned is read as well.
"""

from __future__ import annotations

import ast
import builtins
import sys
import types
from typing import TYPE_CHECKING

from django.apps import apps
from django.conf import settings
from django.db.migrations.writer import MigrationWriter

from ..source.locate import Sources, assigned

if TYPE_CHECKING:
    from ..protocol import DescribeFieldsReply, FindUnstableReply, UnstableReply

FREE, KEPT, ITERATED = "free", "kept", "iterated"
"""What becomes of a value: its order counts for nothing, it is kept as it is, or it is gone through."""

ORDERLESS = {"sorted", "set", "frozenset", "len", "min", "max", "sum", "any", "all", "bool"}
ITERATING = {"list", "tuple", "enumerate", "map", "filter", "zip", "reversed", "iter", "dict"}

CLOCKS = {"now", "today", "utcnow", "localdate", "localtime", "time", "time_ns"}
CHANGING_MODULES = ("random", "secrets", "uuid")
CHANGING = {("os", "urandom"), ("os", "getpid"), ("posix", "urandom"), ("posix", "getpid")}
CHANGING |= {("django.utils.crypto", "get_random_string"), ("django.core.management.utils", "get_random_secret_key")}

MOST_STEPS = 8
"""How many names and functions are followed from a field."""

META = ("permissions", "ordering", "indexes", "constraints", "index_together", "unique_together")


def find_unstable(labels: list[str], altered: list[tuple[str, str]]) -> FindUnstableReply:
    """Return what differs in each process, and the fields of which their source does not say whether they do.

    `labels`: apps whose models are read. `altered`: (label.model, field) of fields that makemigrations would alter; of
    these the doubtful ones may differ in another process, since their source does not say what they are made with.
    """
    sources = Sources()
    asked = {tuple(one) for one in altered}
    found: list[UnstableReply] = []
    doubtful: list[tuple[str, str]] = []
    for label in labels:
        for model in apps.get_app_config(label).get_models():
            name = model._meta.label_lower
            for field in model._meta.local_fields + model._meta.local_many_to_many:
                reader = _Reader(sources)
                reader.read_field(model, field.name)
                found += [_describe(name, field.name, why) for why in reader.reasons]
                if not reader.reasons and not reader.is_plain and (name, field.name) in asked:
                    doubtful.append((name, field.name))
            reader = _Reader(sources)
            reader.read_meta(model)
            found += [_describe(name, None, why) for why in reader.reasons]
    return {"found": found, "doubtful": doubtful}


def _describe(model: str, field: str | None, why: tuple[str, str]) -> UnstableReply:
    return {"model": model, "field": field, "kind": why[0], "why": why[1]}


def describe_fields(fields: list[tuple[str, str]]) -> DescribeFieldsReply:
    """Return how makemigrations would write each of these fields, [label.model, name]."""
    described = []
    for model, name in fields:
        field = apps.get_model(model)._meta.get_field(name)
        try:
            described.append(MigrationWriter.serialize(field)[0])
        except ValueError:  # something that it cannot write
            described.append(repr(field.deconstruct()))
    return described


class _Reader:
    """Goes through expressions; `reasons` are (kind, words), `is_plain` is False where something cannot be seen."""

    def __init__(self, sources):
        self._sources = sources
        self.reasons = []
        self.is_plain = True

    def read_field(self, model, name):
        file, node = self._sources.field(model, name)
        if node is not None:
            owner = next(cls for cls in model.__mro__ if self._sources.file(cls.__module__) == file)
            self._read(
                node.value, _Scope(sys.modules[owner.__module__], _class_of(model, node, self._sources)), KEPT, 0
            )

    def read_meta(self, model):
        _, body = self._sources.class_node(model)
        metas = [node for node in getattr(body, "body", ()) if isinstance(node, ast.ClassDef) and node.name == "Meta"]
        for node in [node for meta in metas for node in meta.body if isinstance(node, ast.Assign)]:
            if any(isinstance(target, ast.Name) and target.id in META for target in node.targets):
                self._read(node.value, _Scope(sys.modules[model.__module__], model), KEPT, 0)

    def _read(self, node, scope, mode, steps):
        if isinstance(node, ast.Lambda):
            return  # called later
        read = {
            ast.Call: self._read_call,
            ast.Name: self._read_name,
            ast.Attribute: self._read_name,
            ast.Set: self._read_set,
            ast.SetComp: self._read_comprehension,
            ast.ListComp: self._read_comprehension,
            ast.GeneratorExp: self._read_comprehension,
            ast.DictComp: self._read_comprehension,
        }.get(type(node), self._read_parts)
        read(node, scope, mode, steps)

    def _read_parts(self, node, scope, mode, steps):
        through = isinstance(node, (ast.BinOp, ast.IfExp, ast.BoolOp, ast.Subscript))
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Starred):
                self._read(child.value, scope, FREE if mode == FREE else ITERATED, steps)
            elif isinstance(child, ast.expr):
                self._read(child, scope, mode if through or mode == FREE else KEPT, steps)

    def _read_set(self, node, scope, mode, steps):
        shuffled = [element for element in node.elts if not _is_number(element)]
        if mode == ITERATED and len(node.elts) > 1 and shuffled:
            self._add("set", "a set")
        self._read_parts(node, scope, FREE, steps)

    def _read_comprehension(self, node, scope, mode, steps):
        is_set = isinstance(node, ast.SetComp)
        if is_set and mode == ITERATED:
            self._add("set", "a set")
        for generator in node.generators:
            self._read(generator.iter, scope, FREE if is_set or mode == FREE else ITERATED, steps)

    def _read_call(self, node, scope, mode, steps):
        called = scope.find(node.func)
        name = getattr(called, "__name__", None)
        if called is None:
            # A method of something: "…".join(COLOURS), date.today().isoformat(), COLOURS.union(…)
            self.is_plain = self.is_plain and not isinstance(node.func, ast.Name)
            if isinstance(node.func, ast.Attribute):
                self._read(node.func.value, scope, mode, steps)
        elif _is_changing(called):
            self._add("call", "{}()".format(_dotted(node.func)))
        elif (called is set or called is frozenset) and mode == ITERATED and node.args:
            self._add("set", "a set")
        elif isinstance(called, types.FunctionType):
            self._read_function(called, mode, steps)
        is_builtin = called is not None and getattr(builtins, name or "", None) is called
        is_join = isinstance(node.func, ast.Attribute) and node.func.attr in ("join", "fromkeys")
        for argument in node.args:
            inner = KEPT
            if is_builtin and name in ORDERLESS or mode == FREE:
                inner = FREE
            elif (is_builtin and name in ITERATING) or is_join:
                inner = ITERATED
            value, inner = (argument.value, ITERATED) if isinstance(argument, ast.Starred) else (argument, inner)
            self._read(value, scope, inner, steps)
        for keyword in node.keywords:
            self._read(keyword.value, scope, ITERATED if keyword.arg == "choices" else KEPT, steps)

    def _read_function(self, called, mode, steps):
        """Read what a function returns; of Django's, only those of the clock return something new each time."""
        if called.__module__.startswith("django."):
            return
        module = sys.modules.get(called.__module__)
        node = self._sources.function(called) if module is not None and steps < MOST_STEPS else None
        if node is None:
            self.is_plain = False
            return
        if any(isinstance(part, (ast.For, ast.While, ast.AugAssign)) for part in ast.walk(node)):
            self.is_plain = False
        local = {
            target.id: part.value
            for part in node.body
            if isinstance(part, ast.Assign)
            for target in part.targets
            if isinstance(target, ast.Name)
        }
        for part in ast.walk(node):
            if isinstance(part, ast.Return) and part.value is not None:
                value = local.get(part.value.id, part.value) if isinstance(part.value, ast.Name) else part.value
                self._read(value, _Scope(module, None), mode, steps + 1)

    def _read_name(self, node, scope, mode, steps):
        value = scope.find(node)
        if isinstance(node, ast.Attribute) and not isinstance(node.value, (ast.Name, ast.Attribute)):
            self._read(node.value, scope, KEPT, steps)
            return
        if isinstance(value, (set, frozenset)):
            if mode == ITERATED and len(value) > 1 and any(_is_shuffled(element) for element in value):
                self._add("set", "the set {}".format(_dotted(node)))
        elif isinstance(value, (list, tuple, dict, str, bytes)) or value is None or not callable(value):
            module, cls, expression = scope.definition(node, self._sources)
            if expression is None:
                self.is_plain = self.is_plain and not isinstance(value, (list, tuple, dict))
            elif steps < MOST_STEPS and mode != FREE:
                self._read(expression, _Scope(module, cls), mode, steps + 1)

    def _add(self, kind, words):
        if (kind, words) not in self.reasons:
            self.reasons.append((kind, words))


class _Scope:
    """Where names are looked up: in a class body, its module, and the builtins."""

    def __init__(self, module, cls):
        self._module = module
        self._cls = cls

    def find(self, node):
        """Return the value of a name or of an attribute of a module or class, None if it is not known."""
        if isinstance(node, ast.Name):
            spaces = [vars(self._cls)] if self._cls is not None else []
            return next(
                (space[node.id] for space in [*spaces, vars(self._module), vars(builtins)] if node.id in space), None
            )
        owner = self.find(node.value) if isinstance(node, ast.Attribute) else None
        if not isinstance(owner, (types.ModuleType, type)) and owner is not settings:
            return None
        try:
            return getattr(owner, node.attr, None)
        except Exception:  # a property of the project's own, which may do anything
            return None

    def definition(self, node, sources):
        """Return (module, class, expression) of what a name was assigned, the last of them None if it is not seen."""
        if isinstance(node, ast.Name):
            if self._cls is not None:
                _, body = sources.class_node(self._cls)
                value = _last_assigned(getattr(body, "body", ()), node.id)
                if value is not None:
                    return self._module, self._cls, value
            return _definition_in(self._module, node.id, sources, MOST_STEPS)
        owner = self.find(node.value)
        if isinstance(owner, types.ModuleType):
            return _definition_in(owner, node.attr, sources, MOST_STEPS)
        if isinstance(owner, type):
            _, body = sources.class_node(owner)
            return sys.modules.get(owner.__module__), owner, _last_assigned(getattr(body, "body", ()), node.attr)
        return None, None, None


def _definition_in(module, name, sources, steps):
    file = sources.file(module.__name__)
    body = sources.tree(file).body if file is not None else []
    value = _last_assigned(body, name)
    if value is not None or steps == 0:
        return module, None, value
    for node in body:
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    package = module.__name__ if hasattr(module, "__path__") else module.__name__.rpartition(".")[0]
                    parts = package.split(".")[: len(package.split(".")) - max(0, node.level - 1)] if node.level else []
                    origin = sys.modules.get(".".join([*parts, *([node.module] if node.module else [])]))
                    if origin is not None:
                        return _definition_in(origin, alias.name, sources, steps - 1)
    return module, None, None


def _last_assigned(body, name):
    found = None
    for node in body:
        if name in assigned(node):
            found = node.value
    return found


def _class_of(model, node, sources):
    """Return the class in whose body a field is assigned: the model, or an abstract one above it."""
    for cls in model.__mro__:
        _, body = sources.class_node(cls)
        if node in getattr(body, "body", ()):
            return cls
    return model


def _is_changing(called):
    """Whether a function returns something else whenever it is called, or every day."""
    name = getattr(called, "__name__", "")
    owner = getattr(called, "__self__", None)
    kind = owner if isinstance(owner, type) else type(owner)
    module = getattr(called, "__module__", None) or kind.__module__
    if name in CLOCKS:
        return module in ("time", "datetime", "django.utils.timezone") or kind.__module__ == "datetime"
    is_random = module in CHANGING_MODULES or kind.__module__ == "random"
    return (is_random and not isinstance(called, type) and name not in ("uuid3", "uuid5", "seed")) or (
        module,
        name,
    ) in CHANGING


def _is_number(node):
    return isinstance(node, ast.Constant) and not isinstance(node.value, (str, bytes))


def _is_shuffled(value):
    """Whether the hash of a value differs in each process."""
    if isinstance(value, (tuple, frozenset)):
        return any(_is_shuffled(element) for element in value)
    return not isinstance(value, (int, float, complex, type(None))) or type(value).__hash__ is not _plain_hash(value)


def _plain_hash(value):
    return next(cls for cls in (bool, int, float, complex, type(None)) if isinstance(value, cls)).__hash__


def _dotted(node):
    return node.id if isinstance(node, ast.Name) else "{}.{}".format(_dotted(node.value), node.attr)
