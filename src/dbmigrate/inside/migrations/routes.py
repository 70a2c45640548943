"""What the project's routers answer, asked as Django asks them (django/db/utils.py, ConnectionRouter)."""

from __future__ import annotations

import functools
import threading
from collections import Counter
from typing import TYPE_CHECKING

from django.apps import apps
from django.db import connections, router
from django.db.migrations.exceptions import InvalidBasesError
from django.db.migrations.state import ProjectState

if TYPE_CHECKING:
    from ..protocol import ExplainReply

NOWHERE = "a_database_that_is_not_there"
"""An alias that no project has."""


def describe_routers(book):
    """Return each entry of DATABASE_ROUTERS (models.apps.Router), with what the book noticed when it asked it."""
    return [
        {
            "name": _class_name(entry),
            "has_allow_migrate": hasattr(entry, "allow_migrate"),
            "looks_at_connections": any(entry is looking for looking in book.looking),
        }
        for entry in router.routers
    ]


def has_own_table(model):
    """Whether `migrate` would make a table for this model: managed, no proxy, not swapped out, for a server we have."""
    options = model._meta
    return (
        options.managed
        and not options.proxy
        and not options.swapped
        and any(_fits_server(model, alias) for alias in connections)
    )


@functools.lru_cache(maxsize=None)  # models are imported once
def tables_of(app_config):
    """Return the models of an app that have a table of their own, automatic through tables included."""
    return [model for model in app_config.get_models(include_auto_created=True) if has_own_table(model)]


class RouteBook:
    """Every answer of the routers, and what they raised."""

    def __init__(self):
        """Start with no error."""
        self.errors = []
        self.contradictions = []
        """Models of which the routers say something else to `migrate` than of the project's class."""
        self.looking = []
        """The routers that looked at a connection when they were asked."""
        self._answers = {}

    def route(self, alias, app_config):
        """Return one app's answers on one alias: the most common one, and the models that differ (AppRoute)."""
        label = app_config.label
        unfit = [model._meta.model_name for model in tables_of(app_config) if not _fits_server(model, alias)]
        answers = {model._meta.model_name: self._ask_both(alias, model)[0] for model in tables_of(app_config)}
        if not answers:
            # Django asks of an app without models only when it runs an operation of it, with that operation's hints.
            return {"answer": self._answer(alias, label, {})[0], "models": {}, "unfit": []}
        common = Counter(answers.values()).most_common(1)[0][0]
        return {
            "answer": common,
            "models": {model: answer for model, answer in answers.items() if answer != common},
            "unfit": unfit,
        }

    def ask_model(self, alias, model):
        """Return the answer that `migrate` gets for a model class."""
        return self._ask_both(alias, model)[1]

    def _ask_both(self, alias, model):
        """Return (answer for a model class, answer that `migrate` gets for it).

        The automatic table of a ManyToManyField is made and dropped with the model that has the field, and `migrate`
        never asks about it (BaseDatabaseSchemaEditor.create_model).
        """
        model = _owner(model)
        if (alias, model) not in self._answers:
            answers = "no", "no"
            if _fits_server(model, alias):
                answers = self._compare(alias, model)
            self._answers[alias, model] = answers
        return self._answers[alias, model]

    def _compare(self, alias, model):
        """Ask about a model class, and as `migrate` does: its class has what the migrations know, and no more.

        To make that class costs much, so it is made only if a class without any attribute gets another answer.
        """
        label = model._meta.app_label
        answer, entry, error = self._answer(alias, label, _hints_of(model))
        if error is not None:
            self._remember(entry, alias, label, _hints_of(model), error)
            return answer, answer
        if self._answer(alias, label, dict(_hints_of(model), model=_bare(model)))[0] == answer:
            return answer, answer
        migrated, asked, error = self._answer(alias, label, dict(_hints_of(model), model=_as_migrated(model)))
        if error is not None:
            self._remember(asked, alias, label, _hints_of(model), error, is_as_migrated=True)
        elif migrated != answer:
            self.contradictions.append(
                {
                    "router": _class_name(entry or asked),
                    "alias": alias,
                    "model": model._meta.label_lower,
                    "answer": answer,
                    "as_migrated": migrated,
                }
            )
        return answer, migrated

    def refuses(self, alias, model):
        """Whether a router says no to a model class on an alias, whatever its server can hold."""
        return _fits_server(model, alias) and self.ask_model(alias, model) == "no"

    def ask(self, alias, app_label, hints):
        """Return "yes", "no", "none" or "error": the first answer that is not None wins.

        `hints`: a dictionary, since those of RunPython and RunSQL may have any names.
        """
        answer, entry, error = self._answer(alias, app_label, hints)
        if error is not None:
            self._remember(entry, alias, app_label, hints, error)
        return answer

    def _answer(self, alias, app_label, hints):
        """Return (answer, router that gave it or raised, what it raised or None)."""
        for entry in router.routers:
            method = getattr(entry, "allow_migrate", None)
            if method is None:
                continue
            try:
                answer, is_looking = _watch(method, alias, app_label, hints)
            except Exception as error:
                return "error", entry, error
            if is_looking and not any(entry is known for known in self.looking):
                self.looking.append(entry)
            if answer is not None:
                return _word(answer), entry, None
        return "none", None, None

    def is_allowed_elsewhere(self, app_config):
        """Whether no router refuses anything of an app on a database that is not in DATABASES."""
        label = app_config.label
        hints = [_hints_of(_owner(model)) for model in tables_of(app_config)]
        return all(self._answer(NOWHERE, label, one)[0] in ("yes", "none") for one in hints or [{}])

    def explain(self, alias, model):
        """Return what each router says of a model, whatever the others say (models.apps.OneAnswer)."""
        meta = model._meta
        answers = []
        for entry in router.routers:
            method = getattr(entry, "allow_migrate", None)
            said, error = "silent", None
            if method is not None:
                try:
                    said = _word(method(alias, meta.app_label, **_hints_of(model)))
                except Exception as raised:
                    said, error = "error", "{}: {}".format(type(raised).__name__, raised)
            answers.append({"router": _class_name(entry), "answer": said, "error": error})
        return answers

    def _remember(self, entry, alias, app_label, hints, error, is_as_migrated=False):
        name = hints.get("model_name")
        self.errors.append(
            {
                "router": _class_name(entry),
                "alias": alias,
                "model": "{}.{}".format(app_label, name) if name else app_label,
                "message": "{}: {}".format(type(error).__name__, error),
                "is_as_migrated": is_as_migrated,
            }
        )


def _watch(method, alias, app_label, hints):
    """Return (what a router answers, whether it looked at a connection for that)."""
    handler = type(connections)
    get, is_own = handler.__getitem__, "__getitem__" in vars(handler)
    thread = threading.get_ident()
    looks = []

    def watching(self, key):
        if threading.get_ident() == thread:  # others open connections meanwhile
            looks.append(key)
        return get(self, key)

    handler.__getitem__ = watching
    try:
        return method(alias, app_label, **hints), bool(looks)
    finally:
        if is_own:
            handler.__getitem__ = get
        else:
            del handler.__getitem__


def _hints_of(model):
    return {"model_name": model._meta.model_name, "model": model}


@functools.lru_cache(maxsize=None)
def _bare(model):
    """Return a class that has nothing of a model but its description."""
    return type(model.__name__, (), {"__module__": "__fake__", "_meta": model._meta})


def _as_migrated(model):
    """Return a model as migrations describe it: without the attributes and methods of the project's class.

    Itself, if the models contradict each other.
    """
    try:
        return _migrated_apps().get_model(model._meta.app_label, model._meta.model_name)
    except (InvalidBasesError, LookupError, ValueError):
        return model


@functools.lru_cache(maxsize=None)
def _migrated_apps():
    return ProjectState.from_apps(apps).apps


def _owner(model):
    return model._meta.auto_created or model


def _fits_server(model, alias):
    """Whether a model can be on this kind of server (Options.can_migrate), as far as nobody has to be asked."""
    options = _owner(model)._meta
    if not (options.required_db_vendor or options.required_db_features):
        return True
    connection = connections[alias]
    # A feature that is a property may have to ask the server.
    kind = type(getattr(connection, "features", None))
    return options.required_db_vendor in (None, "", getattr(connection, "vendor", "")) and all(
        getattr(kind, feature, False) for feature in options.required_db_features
    )


def explain(name: str) -> ExplainReply:
    """Return models.apps.ModelAnswers for "label.Model", or None if there is no such model."""
    model = _find_model(name) or _find_model(name.lower())
    if model is None:
        return None
    book = RouteBook()
    return {
        "model": model._meta.label,
        "table": model._meta.db_table,
        "has_own_table": has_own_table(model),
        "answers": {alias: book.explain(alias, model) for alias in connections},
    }


def _find_model(name):
    try:
        return apps.get_model(name)
    except (LookupError, ValueError):
        return None


def _word(answer):
    return "none" if answer is None else "yes" if answer else "no"


def answer_in(routed, model):
    """Return the answer for a model class among the routes of one alias, by app label."""
    route = routed[model._meta.app_label]
    return route["models"].get(model._meta.model_name, route["answer"])


def app_configs():
    """Return the installed apps in the order of INSTALLED_APPS."""
    return list(apps.get_app_configs())


def _class_name(entry):
    # A router may be a class or a module as well as an instance.
    kind = entry if hasattr(entry, "__name__") else type(entry)
    module = getattr(kind, "__module__", None)
    return "{}.{}".format(module, kind.__name__) if module else kind.__name__
