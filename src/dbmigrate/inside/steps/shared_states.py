"""The graph of the migrations and the states of the models, made once for all steps that would make them alike.

What Django makes depends on the migrations on disk and on which of them are applied. A copy reads what is applied as
always; where that is what a state was made for, it takes the state with its rendered models. The state after the
migrations is compared, field by field, with the one that the step has come to before its rendered models are taken.
"""

from __future__ import annotations

import functools
import gc

from django.db.migrations import Migration
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.db.migrations.state import ProjectState
from django.utils.functional import cached_property

from .. import language
from ..migrations.graph import take_graph

OWN = "django."
LEAST = 2
"""For fewer databases a state is not worth its memory here: their steps make it, at the same time."""


class SharedStates:
    """The states that were made, by what is applied."""

    def __init__(self, observe, inspector):
        """Begin with none; `observe(act)` is what acts are called by (sharing.observe)."""
        self._observe = observe
        self._inspector = inspector
        self._disk = None
        self._is_usable = False
        """Whether `migrate` would read these migrations at all."""
        self._waiting = {}
        """By what is applied: the databases that have it and whose step was not copied yet."""
        self._made = {}
        self._has_dropped = False

    def prepare(self, alias):
        """Return what has a copy take what is known for its database."""
        disk = self._inspector.find_disk()
        if disk is not self._disk:
            self._forget()
            self._disk = disk
            self._is_usable = disk is not None and not disk.unstarted()
        if not self._is_usable:
            return lambda: None
        recorded, aliases = self._inspector.find_alike(alias)
        made = self._find(recorded, aliases) if recorded is not None else None
        self._leave(recorded, alias)
        is_consistent = recorded is not None and disk.is_consistent(recorded)
        return functools.partial(_take, disk, recorded, is_consistent, *(made or (None, None)))

    def _find(self, recorded, aliases):
        if recorded not in self._waiting:
            if len(aliases) < LEAST:
                return None
            self._collect()
            self._waiting[recorded] = set(aliases)
            self._made[recorded] = self._observe(functools.partial(make, self._disk, recorded))
        return self._made.get(recorded)

    def _leave(self, recorded, alias):
        """Forget a state once the step of its last database is copied; that one is still to be copied with it."""
        waiting = self._waiting.get(recorded)
        if waiting is None:
            return
        waiting.discard(alias)
        if not waiting:
            self._has_dropped = self._made.pop(recorded, None) is not None or self._has_dropped

    def _forget(self):
        self._has_dropped = self._has_dropped or bool(self._made)
        self._made.clear()
        self._waiting.clear()

    def _collect(self):
        """Release the memory of states that were dropped: this process collects no garbage on its own."""
        if self._has_dropped:
            gc.unfreeze()
            gc.collect()
            self._has_dropped = False


@language.without_translations
def make(disk, recorded):
    """Return the state before the pending migrations, and the one after them; None where one is not Django's alone."""
    loader = disk.for_records(recorded)
    if loader is None:
        return None
    applied = [loader.graph.nodes[key] for key in loader.applied_migrations if key in loader.graph.nodes]
    if not all(map(_is_djangos, applied)):
        return None
    executor = object.__new__(MigrationExecutor)
    executor.loader = loader
    before = executor._create_project_state(with_applied_migrations=True)
    after = before.clone()
    before.apps  # noqa: B018 - renders the models
    plan = [migration for migration, _ in loader.plan_all()]
    if not plan or not all(map(_is_djangos, plan)):
        return before, None
    for migration in plan:
        migration.mutate_state(after, preserve=False)
    after.apps  # noqa: B018
    return before, after


def _is_djangos(migration):
    """Whether what a migration does to a state is written in Django, and so does nothing else."""
    return type(migration).mutate_state is Migration.mutate_state and all(map(_is_djangos_act, migration.operations))


def _is_djangos_act(operation):
    return type(operation).state_forwards.__module__.startswith(OWN) and all(
        map(_is_djangos_act, getattr(operation, "state_operations", None) or ())
    )


def _take(disk, recorded, is_consistent, before, after):
    """In a copy: give Django what was made, where it would make the same.

    `is_consistent`: whether each of the records has those it depends on, as Django checks.
    """
    build_as_django = MigrationLoader.build_graph
    check_as_django = MigrationLoader.check_consistent_history
    replace_as_django = MigrationExecutor.check_replacements
    create_as_django = MigrationExecutor._create_project_state
    render_as_django = ProjectState.apps.func
    ready = [before]
    rendered = [after]
    taken: list[MigrationLoader] = []

    def build_graph(loader):
        if type(loader) is not MigrationLoader or loader.connection is None or loader.ignore_no_migrations:
            return build_as_django(loader)
        # A receiver, or what manage.py does before its command, may have written migrations.
        if not (loader.replace_migrations and disk.is_current()):
            return build_as_django(loader)
        applied = MigrationRecorder(loader.connection).applied_migrations()
        if take_graph(loader, disk, applied) is None:
            return build_as_django(loader)
        taken[:] = [loader] if applied.keys() == recorded else []
        return None

    def check_consistent_history(loader, connection):
        # This loader has just read the same records, of which the answer is known.
        if not (is_consistent and connection is loader.connection and any(loader is one for one in taken)):
            check_as_django(loader, connection)

    def check_replacements(executor):
        if executor.loader.replacements:  # else it reads the records for nothing
            replace_as_django(executor)

    def create_project_state(executor, with_applied_migrations=False):
        is_known = with_applied_migrations and any(executor.loader is loader for loader in taken)
        state = ready.pop() if is_known and ready else None
        return state if state is not None else create_as_django(executor, with_applied_migrations)

    def render(state):
        if rendered and rendered[0] is not None and are_equal(state, rendered[0]):
            return rendered.pop().apps  # once: what it is given to changes it
        return render_as_django(state)

    MigrationLoader.build_graph = build_graph
    MigrationLoader.check_consistent_history = check_consistent_history
    MigrationExecutor.check_replacements = check_replacements
    MigrationExecutor._create_project_state = create_project_state
    apps = cached_property(render)
    apps.__set_name__(ProjectState, "apps")
    ProjectState.apps = apps


def are_equal(state, other):
    """Whether two states would be rendered alike, in the same order."""
    return (
        set(state.real_apps) == set(other.real_apps)
        and list(state.models) == list(other.models)
        and all(_are_equal_models(model, other.models[key]) for key, model in state.models.items())
    )


def _are_equal_models(model, other):
    return (
        (model.app_label, model.name) == (other.app_label, other.name)
        and list(model.fields) == list(other.fields)
        and all(_are_equal_fields(field, other.fields[name]) for name, field in model.fields.items())
        and list(model.options.items()) == list(other.options.items())
        and model.bases == other.bases
        and model.managers == other.managers
    )


def _are_equal_fields(field, other):
    return field is other or (type(field) is type(other) and field.deconstruct()[1:] == other.deconstruct()[1:])
