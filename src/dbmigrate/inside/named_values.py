"""Values of the project and of its environment that may be secret, with their names, and what things are called.

They go through the private channel to dbmigrate, which decides which of them it hides. It sends along how names and
texts look that it wants to know of: `wanted`, three regular expressions.
"""

from __future__ import annotations

import os
import re
import sys
import traceback
import warnings
from collections.abc import Mapping

MOST_DEEP = 8
"""Dictionaries within one another."""

FIELDS = ("model_fields", "__fields__", "__dataclass_fields__", "__attrs_attrs__")
"""What the class of a settings object has (pydantic, dataclasses, attrs); of other objects nothing is read."""


class Wanted:
    """Which values are told."""

    def __init__(self, name, about, text):
        """Take a regular expression for names, in any case, one for names that are not meant, and one for texts."""
        self._name = re.compile(name, re.IGNORECASE)
        self._about = re.compile(about, re.IGNORECASE)
        self._text = re.compile(text)
        self._seen = {}

    def pairs(self, name, value, is_forced=False, depth=0):
        """Yield (name, text) of a value and of what it holds.

        `is_forced`: whether what is lazy is asked, whatever it is called. To ask may take long, or need what is not
        there yet: translations, a database.
        """
        is_named = self._is_meant(name)
        if _is_lazy(value) and not (is_named or is_forced):
            return  # before anything is asked of it: settings that could not be loaded would be run once more
        if isinstance(value, bool) or value is None or depth > MOST_DEEP:
            return
        if type(value) is str or (not _is_lazy(value) and isinstance(value, str)):
            if is_named or self._text.search(value):
                yield name, str(value)
        elif isinstance(value, (bytes, bytearray)):
            yield from self.pairs(name, bytes(value).decode("utf-8", "replace"), is_forced, depth)
        elif id(value) in self._seen:  # a container may hold itself, many times
            return
        elif isinstance(value, Mapping):
            self._seen[id(value)] = value
            for key, item in list(value.items()):
                # {"SECRETS": {"stripe": ...}}: what has no telling name of its own has that of what it is in.
                is_inner = is_named and not (self._name.search(str(key)) or self._about.search(str(key)))
                yield from self.pairs(name if is_inner else str(key), item, is_forced, depth + 1)
        elif isinstance(value, (list, tuple, set, frozenset)):
            self._seen[id(value)] = value
            for item in list(value):
                yield from self.pairs(name, item, is_forced, depth + 1)
        elif hasattr(type(value), "get_secret_value"):
            yield from self.pairs(name, value.get_secret_value(), is_forced, depth + 1)
        elif not isinstance(value, type) and any(hasattr(type(value), field) for field in FIELDS):
            yield from self.pairs(name, dict(vars(value)), is_forced, depth + 1)
        elif _is_lazy(value) or (is_named and (isinstance(value, (int, float)) or is_forced)):
            yield from self.pairs(name, str(value), is_forced, depth + 1)

    def _is_meant(self, name):
        return bool(self._name.search(name)) and not self._about.search(name)

    def safe_pairs(self, name, value, is_forced=False):
        """Return what `pairs` yields until the project's own code raises."""
        found = []
        self._seen = {}
        try:
            found.extend(self.pairs(name, value, is_forced))
        except (Exception, SystemExit):  # of a lazy value, or a mapping of the project's own
            pass
        return found


def _is_lazy(value):
    functional = sys.modules.get("django.utils.functional")
    return functional is not None and issubclass(type(value), (functional.Promise, functional.LazyObject))


def collect(wanted: Wanted, error: BaseException | None = None) -> list[tuple[str, str]]:
    """Return (name, value) of everything wanted; `error`: what the project raised before it was up, if it did."""
    found: list[tuple[str, str]] = []
    for name, value in list(os.environ.items()):
        found += wanted.safe_pairs(name, value)
    for name, value, is_forced in _settings():
        found += wanted.safe_pairs(name, value, is_forced)
    if error is not None:
        for name, value in _left_by(error):
            found += wanted.safe_pairs(name, value)
    try:
        for name, value in _in_files():
            found += wanted.safe_pairs(name, value)
    except Exception:  # DATABASES may be anything before Django has looked at it
        pass
    return list(dict.fromkeys(found))


def _settings():
    """Yield (name, value, whether to ask what is lazy) of the settings, as far as they are there."""
    conf = sys.modules.get("django.conf")
    if conf is None or not conf.settings.configured:
        return
    for name in dir(conf.settings):
        if name.isupper():
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # of settings that Django is about to drop
                    value = getattr(conf.settings, name)
            except Exception:  # a property of a settings class
                continue
            yield name, value, name == "DATABASES"
    for alias, entry in _databases().items():
        yield alias, entry, True


def _databases():
    """Return the entries of DATABASES as connections use them; {} before that."""
    conf = sys.modules.get("django.conf")
    if conf is None or not conf.settings.configured:
        return {}  # Django would run settings that have raised, or ended the process, a second time
    try:
        from django.db import connections

        return dict(connections.databases)
    except Exception:  # Django does not take the entries
        return {}


def _left_by(error):
    """Yield (name, value) of what the project's modules had defined when they raised."""
    errors, frames = [error], []
    for one in errors:
        frames += [frame for frame, _ in traceback.walk_tb(one.__traceback__)]
        errors += [other for other in (one.__cause__, one.__context__) if other is not None and other not in errors]
    from .boot import is_of_project

    for frame in frames:
        yield from list(frame.f_locals.items())
        if is_of_project(frame.f_code.co_filename):
            yield from list(frame.f_globals.items())
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and is_of_project(file):
            yield from [(name, value) for name, value in list(vars(module).items()) if name.isupper()]


def _in_files():
    """Yield (name, value) of the files that the drivers read: passwords stand in them too."""
    paths = set()
    for entry in _databases().values():
        options = dict(entry.get("OPTIONS") or {})
        engine = str(entry.get("ENGINE"))
        paths.add(options.get("read_default_file"))
        if "postg" in engine:
            paths |= {options.get("passfile"), os.environ.get("PGPASSFILE"), "~/.pgpass"}
            paths |= {options.get("servicefile"), os.environ.get("PGSERVICEFILE"), "~/.pg_service.conf"}
            if "PGSYSCONFDIR" in os.environ:
                paths.add(os.path.join(os.environ["PGSYSCONFDIR"], "pg_service.conf"))
    for path in paths - {None, ""}:
        for line in _lines(os.path.expanduser(str(path))):
            name, equals, value = line.partition("=")
            if equals and " " not in name.strip():
                yield name.strip(), value.strip()
                yield name.strip(), value.strip().strip("'\"")
            # host:port:database:user:password, where \: is a colon of a field (libpq's docs, "The Password File").
            fields = re.split(r"(?<!\\):", line)
            if len(fields) == 5:
                yield "password", re.sub(r"\\(.)", r"\1", fields[4])


def _lines(path, depth=0):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = [line.strip() for line in file]
    except OSError:
        return
    for line in lines:
        if line.startswith("!include ") and depth < MOST_DEEP:  # of MySQL's option files
            yield from _lines(line.split(None, 1)[1], depth + 1)
        elif line and line[0] not in "#;[":
            yield line


def collect_names() -> list[str]:
    """Return what is called somehow: databases, apps, models, tables, columns, users and hosts."""
    from django.apps import apps
    from django.conf import settings

    names = {str(getattr(settings, "SETTINGS_MODULE", ""))}
    for alias, entry in _databases().items():
        names |= {alias, *(str(entry.get(key) or "") for key in ("ENGINE", "NAME", "USER", "HOST"))}
    for config in apps.get_app_configs():
        names |= {config.label, config.name, config.path}
    for model in apps.get_models(include_auto_created=True):
        meta = model._meta
        names |= {meta.object_name, meta.model_name, meta.db_table, meta.label, meta.label_lower}
        names |= {name for field in meta.local_fields for name in (field.name, field.column) if name}
    return sorted(name for name in names if name and "://" not in name and "=" not in name)
