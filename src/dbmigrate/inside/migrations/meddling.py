"""Whether code that runs in a migration may change what a role is allowed, so that nothing can be said beforehand."""

import functools
import inspect
import re
import sys
import types

from django.db import migrations

from ..source.locate import parse
from .data_migrations import plain_function

_WORDS = re.compile(
    r"\b(GRANT|REASSIGN|AUTHORIZATION|SEARCH_PATH|SET_CONFIG|ASSUME_ROLE|SET_SCHEMA|OWNER\s+TO"
    r"|SET\s+(?:SESSION\s+|LOCAL\s+|DEFAULT\s+)?ROLE|CREATE\s+(?:SCHEMA|EXTENSION)|ALTER\s+(?:ROLE|USER|SCHEMA))\b",
    re.IGNORECASE,
)
"""Words of SQL, and of Django's options, that give rights or choose where and as whom a session works."""


_METHODS = ("database_forwards", "database_backwards")


def may_give_rights(operation):
    """Whether an operation of a migration may, as the text of its SQL or of the files of its functions says."""
    if isinstance(operation, migrations.RunSQL) and _WORDS.search(str((operation.sql, operation.reverse_sql))):
        return True
    functions = []
    if isinstance(operation, migrations.RunPython):
        functions += [operation.code, operation.reverse_code]
    if not type(operation).__module__.startswith("django."):
        functions += [getattr(type(operation), name) for name in _METHODS]
    return any(_is_in_files_of(function) for function in functions if function is not None)


def receiver_may_give_rights(receiver):
    """Whether a receiver of a signal may."""
    return _is_in_files_of(receiver)


def _is_in_files_of(called):
    """Whether the words stand in the files of what is called and of what it calls by name; True if nobody can tell."""
    function = plain_function(called)[0] or plain_function(type(called).__call__)[0]
    if function is None:
        return True
    named = [function.__globals__[name] for name in _names(function.__code__) if name in function.__globals__]
    files = {function.__code__.co_filename, *(_file_of(value) for value in named)}
    return any(_has_words(file) for file in files if file is not None and file.endswith(".py"))


def _names(code):
    """Return every name in a function's code, and in that of the functions inside it."""
    inner = [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]
    return {*code.co_names, *(name for one in inner for name in _names(one))}


def _file_of(value):
    if isinstance(value, types.FunctionType):
        return inspect.unwrap(value).__code__.co_filename
    module = value if isinstance(value, types.ModuleType) else sys.modules.get(getattr(value, "__module__", None) or "")
    return getattr(module, "__file__", None)


@functools.lru_cache(maxsize=None)
def _has_words(file):
    parsed = parse(file)
    return parsed is None or _WORDS.search(parsed[0]) is not None
