"""What all forked steps would work out alike is worked out once, before they are copied (`--launcher fork`).

Three things of `migrate` do not depend on the database: the outcome of Django's own system checks (shared_checks.py),
the graph of the migrations, and the state of the models that is replayed from the applied ones (shared_states.py). A
copy takes a thing only where it finds, in its own process, that what the thing was made from is what Django would make
it from; everywhere else Django does what it always does.
"""

from __future__ import annotations

import contextlib
import io
import threading
import warnings

from django.db.backends.base.base import BaseDatabaseWrapper

from .shared_checks import SharedChecks
from .shared_states import SharedStates

OPTION = "--database"


class Sharing:
    """What this process has worked out for its copies; `inspector` knows the migrations and who has applied which."""

    def __init__(self, inspector):
        """Begin with nothing."""
        self._checks = SharedChecks(observe)
        self._states = SharedStates(observe, inspector)

    def prepare(self, words, scope):
        """Work out what a step with these words can take, and return `arrange`, to be called in its copy."""
        if words[:1] != ["migrate"]:
            return lambda: None
        alias = alias_of(words)
        arrange_checks = None if "--skip-checks" in words else self._checks.prepare(alias, scope)
        arrange_states = self._states.prepare(alias)

        def arrange():
            if arrange_checks is not None:
                arrange_checks()
            arrange_states()

        return arrange


def alias_of(words):
    """Return the database that the words of a command name; the default one where they name none."""
    for index, word in enumerate(words):
        if word.startswith(OPTION + "="):
            return word[len(OPTION) + 1 :]
        if word == OPTION:
            return words[index + 1]
    return "default"


class _Connects(BaseException):
    """Something wanted to connect to a database."""


def observe(act):
    """Return what `act` returns; None if it raised, wrote, warned or connected, for then each step has to do it.

    The step says then in its own words what there is to be said, and sees the database as it is by then.
    """
    own = threading.get_ident()
    connect_as_django = BaseDatabaseWrapper.connect

    def connect(connection):
        if threading.get_ident() == own:
            raise _Connects
        connect_as_django(connection)

    said = io.StringIO()
    BaseDatabaseWrapper.connect = connect
    try:
        written_to = contextlib.redirect_stdout(said), contextlib.redirect_stderr(said)
        with warnings.catch_warnings(record=True) as caught, written_to[0], written_to[1]:
            result = act()
    except (Exception, SystemExit, _Connects):
        return None
    finally:
        BaseDatabaseWrapper.connect = connect_as_django
    return None if caught or said.getvalue() else result
