"""Questions are answered as Django's own commands run, with no language active, and so do libraries in C."""

import contextlib
import functools
import locale

from django.utils import translation
from django.utils.translation import trans_real


def without_translations(question):
    """Return a question that is answered with translations off, as `migrate` and `makemigrations` are run.

    A model's texts are compared with those of its migrations, which are in no language.
    """

    @functools.wraps(question)
    def answer(*arguments, **named):
        with keeping_language(), _english_of_libraries():
            translation.deactivate_all()
            return question(*arguments, **named)

    return answer


def active():
    """Return the translations that are active; None where nobody has chosen any and LANGUAGE_CODE counts."""
    return getattr(trans_real._active, "value", None)


@contextlib.contextmanager
def keeping_language():
    """Leave the active language as it was, whatever is activated meanwhile.

    Activating the language that was found, as Django's `no_translations` and `override` do, would keep a copy of this
    process from following LANGUAGE_CODE (django/core/management/base.py).
    """
    found = active()
    try:
        yield
    finally:
        translation.deactivate()
        if found is not None:
            trans_real._active.value = found


@contextlib.contextmanager
def _english_of_libraries():
    """Have libpq and the system say what is wrong in English, also where the project has set a locale."""
    found = locale.setlocale(locale.LC_MESSAGES)
    locale.setlocale(locale.LC_MESSAGES, "C")
    try:
        yield
    finally:
        locale.setlocale(locale.LC_MESSAGES, found)
