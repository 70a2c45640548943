"""Django's own system checks, run once for all steps whose outcome is the same.

Only the messages are kept: the step prints them, and fails of them, in `BaseCommand.check` as it always does. A check
of the project's or of another package runs in each step. So do those that look at a database, and those of the models
where databases differ in anything but their name and user, or where a model or a field has a check of its own.
"""

from __future__ import annotations

import functools
from typing import Any

import django
from django.apps import apps
from django.core.checks import Tags, registry
from django.core.checks.model_checks import check_all_models
from django.db import connections, router
from django.utils import translation

from .. import language
from ..migrations.guard_router import scoped

OWN = "django."
ENGINES = ("django.db.backends.", "django.contrib.gis.db.backends.")
PERSONAL = ("NAME", "USER", "PASSWORD", "TEST")
"""What databases may differ in that Django checks alike."""


class SharedChecks:
    """The messages of the checks that were run."""

    def __init__(self, observe):
        """Begin with none; `observe(act)` is what acts are called by (sharing.observe)."""
        self._observe = observe
        self._static = None
        self._of_models = {}
        """By likeness of a database: the outcome of `_run`, None where it is not to be shared."""
        self._met = set()

    def prepare(self, alias, scope):
        """Return what has a copy take the messages that are known for a database; it is checked with a guard router."""
        if self._static is None:
            found = {check: self._run(check, alias) for check in registry.registry.get_checks() if _is_static(check)}
            self._static = {check: outcome for check, outcome in found.items() if outcome is not None}
        known = dict(self._static)
        with scoped(scope):
            likeness = self._observe(lambda: _likeness(alias))
            # The first of its kind is checked in its own step: there may be no other.
            if likeness is not None and likeness in self._met:
                if likeness not in self._of_models:
                    self._of_models[likeness] = self._run(check_all_models, alias)
                if self._of_models[likeness] is not None:
                    known[check_all_models] = self._of_models[likeness]
            self._met.add(likeness)
        return functools.partial(_take, alias, known)

    def _run(self, check, alias):
        """Return the messages of a check, and the language that it leaves active; None if there may be more to it.

        The language is None where it activates none. Before 5.2 `migrate` runs the checks within `no_translations`;
        from then on the command goes on in the language that a check has left.
        """
        act = functools.partial(check, app_configs=None, databases=[alias])
        if django.VERSION < (5, 2):
            messages = self._observe(language.without_translations(act))
            return messages if messages is None else (messages, None)
        with language.keeping_language():
            before = language.active()
            messages = self._observe(act)
            left = None if language.active() is before else translation.get_language()
        return messages if messages is None else (messages, left)


def _is_static(check: Any) -> bool:
    return check.__module__.startswith(OWN) and Tags.database not in check.tags and check is not check_all_models


def _likeness(alias):
    """Return what the checks of the models depend on, where they are Django's; None where they are not."""
    settings = connections[alias].settings_dict
    if not settings["ENGINE"].startswith(ENGINES) or not _are_models_djangos():
        return None
    answers = tuple(router.allow_migrate_model(alias, model) for model in apps.get_models(include_auto_created=True))
    return repr(sorted((key, repr(value)) for key, value in settings.items() if key not in PERSONAL)), answers


@functools.lru_cache(maxsize=None)
def _are_models_djangos():
    """Whether models, and what they are made of, are checked as Django does: other code may ask for the database."""
    classes: set[type] = set()
    for model in apps.get_models():
        meta = model._meta
        parts = [*meta.local_fields, *meta.local_many_to_many, *meta.managers, *meta.indexes, *meta.constraints]
        classes.update([model, *map(type, parts)])
    bases = {base for each in classes for base in each.__mro__ if not base.__module__.startswith(OWN)}
    return not any(name == "check" or name.startswith("_check") for base in bases for name in vars(base))


def _take(alias, known):
    """In a copy: give Django the messages where it would run the checks for this database and every app."""
    own = registry.registry
    find = own.get_checks

    def taking(check):
        @functools.wraps(check)
        def run(app_configs=None, databases=None, **more):
            if app_configs is None and databases == [alias] and not more:
                messages, left = known[check]
                if left is not None:
                    translation.activate(left)
                return list(messages)
            return check(app_configs=app_configs, databases=databases, **more)

        return run

    own.get_checks = lambda *arguments: [taking(check) if check in known else check for check in find(*arguments)]
