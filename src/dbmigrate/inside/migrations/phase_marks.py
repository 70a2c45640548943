"""When around a deploy a migration says it may run, in the words of the packages that teams use for that.

They are read by value: none of those packages has to be there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.conf import settings

from ..sentences import one_line

if TYPE_CHECKING:
    from ..protocol import PhaseMarkReply

LONGEST = 100
"""Characters of a value that are shown."""

SAFETY = {"always": "either", "before_deploy": "pre", "after_deploy": "post"}
"""django-safemigrate's words."""

STAGES = {"pre_deploy": "pre", "post_deployment": "post", "post_deploy": "post"}
"""django-syzygy's: the values of its Stage, and the names."""


def read_marks(migration) -> list[PhaseMarkReply]:
    """Return what a migration says of itself, and without a `stage` what django-syzygy's setting says.

    Code of the project that raises when it is asked is a mark that says nothing.
    """
    try:
        return _read_marks(migration)
    except Exception as error:
        return [_mark("a mark", None, "{}: {}".format(type(error).__name__, error))]


def _read_marks(migration):
    marks = []
    if hasattr(migration, "safe"):
        marks.append(_read_safety(migration.safe))
    stage, origin = getattr(migration, "stage", None), "stage"
    if stage is None:
        stage, origin = _setting_for("MIGRATION_STAGES_OVERRIDE", migration), "MIGRATION_STAGES_OVERRIDE"
    if stage is not None:
        marks.append(_mark(origin, read_stage(stage), _shown(stage)))
    if hasattr(migration, "is_post_deployment"):
        value = migration.is_post_deployment
        phase = ("post" if value else "pre") if isinstance(value, bool) else None
        marks.append(_mark("is_post_deployment", phase, _shown(value)))
    return marks


def read_stage(stage):
    """Return the phase of a Stage of django-syzygy, or of its value; None for anything else."""
    return STAGES.get(_word(stage))


def read_fallback(migration, is_own):
    """Return (phase, setting) that django-syzygy's settings have for what its operations do not decide, or None.

    `is_own`: whether its app is the project's own.
    """
    name = "MIGRATION_STAGES_FALLBACK"
    stage = _setting_for(name, migration)
    if stage is None and not is_own:
        name = "MIGRATION_THIRD_PARTY_STAGES_FALLBACK"
        # Where the package is installed it says "before" unless that setting says something else.
        stage = getattr(settings, name, "pre_deploy" if apps.is_installed("syzygy") else None)
    phase = read_stage(stage)
    return None if phase is None else (phase, name)


def _read_safety(value):
    """Return the mark of `safe`: an instance or a member of Safe, or what makes one, which is called.

    What that raises is shown.
    """
    called: Any = value
    if callable(value) and not hasattr(value, "value"):
        try:
            called = value()
        except Exception as error:
            return _mark("safe", None, "{}() raises {}: {}".format(_shown(value), type(error).__name__, error))
    when = getattr(called, "when", called)
    delay = getattr(called, "delay", None)
    phase = SAFETY.get(_word(when))
    if phase is None:
        return _mark("safe", None, _shown(called))
    shown = "Safe.{}({})".format(_word(when), "" if delay is None else "delay={}".format(delay))
    return _mark("safe", phase, shown)


def _mark(attribute, phase, text) -> PhaseMarkReply:
    return {"attribute": attribute, "says": phase, "text": one_line(text)[:LONGEST]}


def _word(value):
    """Return the word behind a value, for example "before_deploy"; of a member of an Enum its value."""
    word = getattr(value, "value", value)
    return word.lower() if isinstance(word, str) else None


def _shown(value):
    try:
        return repr(value)
    except Exception as error:
        return "a {} that cannot be shown ({})".format(type(value).__name__, type(error).__name__)


def _setting_for(name, migration):
    """Return what a setting, a dictionary, has for a migration or else for its app; None for neither."""
    stages = getattr(settings, name, None)
    if not isinstance(stages, dict):
        return None
    label = migration.app_label
    return stages.get("{}.{}".format(label, migration.name)) or stages.get(label)
