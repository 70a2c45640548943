"""What the project's routers answer, asked as Django asks them (django/db/utils.py, ConnectionRouter)."""

from collections import Counter

from django.apps import apps
from django.db import router


def describe_routers():
    """Return each entry of DATABASE_ROUTERS with whether it has an allow_migrate."""
    return [
        {"name": _class_name(entry), "has_allow_migrate": hasattr(entry, "allow_migrate")} for entry in router.routers
    ]


def has_own_table(model):
    """Whether `migrate` would make a table for this model: managed, neither proxy nor swapped out."""
    return model._meta.managed and not model._meta.proxy and not model._meta.swapped


def tables_of(app_config):
    """Return the models of an app that have a table of their own, automatic through tables included."""
    return [model for model in app_config.get_models(include_auto_created=True) if has_own_table(model)]


class RouteBook:
    """Every answer of the routers, and what they raised."""

    def __init__(self):
        """Start with no error."""
        self.errors = []

    def route(self, alias, app_config):
        """Return one app's answers on one alias: the most common one, and the models that differ (AppRoute)."""
        label = app_config.label
        answers = {model._meta.model_name: self.ask_model(alias, model) for model in tables_of(app_config)}
        if not answers:
            return {"answer": self.ask(alias, label), "models": {}}
        common = Counter(answers.values()).most_common(1)[0][0]
        return {
            "answer": common,
            "models": {model: answer for model, answer in answers.items() if answer != common},
        }

    def ask_model(self, alias, model):
        """Return the answer for a model class, with the hints that `migrate` gives."""
        return self.ask(alias, model._meta.app_label, model_name=model._meta.model_name, model=model)

    def ask(self, alias, app_label, **hints):
        """Return "yes", "no", "none" or "error": the first answer that is not None wins."""
        for entry in router.routers:
            method = getattr(entry, "allow_migrate", None)
            if method is None:
                continue
            try:
                answer = method(alias, app_label, **hints)
            except Exception as error:
                self._remember(entry, alias, app_label, hints, error)
                return "error"
            if answer is not None:
                return "yes" if answer else "no"
        return "none"

    def _remember(self, entry, alias, app_label, hints, error):
        name = hints.get("model_name")
        self.errors.append(
            {
                "router": _class_name(entry),
                "alias": alias,
                "model": "{}.{}".format(app_label, name) if name else app_label,
                "message": "{}: {}".format(type(error).__name__, error),
            }
        )


def app_configs():
    """Return the installed apps in the order of INSTALLED_APPS."""
    return list(apps.get_app_configs())


def _class_name(entry):
    # A router may be a class or a module as well as an instance.
    kind = entry if hasattr(entry, "__name__") else type(entry)
    module = getattr(kind, "__module__", None)
    return "{}.{}".format(module, kind.__name__) if module else kind.__name__
