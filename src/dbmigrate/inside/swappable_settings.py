"""Which setting names a model (`Apps.get_swappable_settings_name`), remembered by the project's registry alone.

Every relation of every model that is rendered for a state of the migrations asks for it. Django remembers the answers
of all registries in one place, and each model that is added to any of them empties it: the next relation looks through
all models of the project again, a quarter of the time that hundreds of migrations take.
"""

import functools

from django.apps import apps

NAME = "get_swappable_settings_name"


def remember():
    """Let the project's registry remember its own answers, until its own models change (Apps.clear_cache)."""
    find = getattr(getattr(type(apps), NAME), "__wrapped__", None)
    if find is not None:  # as in every Django from 3.2 to 6.1
        vars(apps)[NAME] = functools.lru_cache(maxsize=None)(functools.partial(find, apps))
