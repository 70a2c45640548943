"""What makemigrations would write, and what it would have to ask."""

import os

from django.apps import apps
from django.conf import settings
from django.db.migrations import AlterField, swappable_dependency
from django.db.migrations.autodetector import MigrationAutodetector
from django.db.migrations.questioner import MigrationQuestioner
from django.db.migrations.state import ProjectState

from ..migrations.folders import migrations_folder
from ..migrations.relations import constrained_fields
from .commands import load_command


class _Questioner(MigrationQuestioner):
    """Writes down every question a person would be asked, and answers so that the detection can continue.

    The words are Django's (django/db/migrations/questioner.py). `--no-input` answers some of them silently, "was this
    field renamed?" with no, and so drops a column: here each of them is a question.
    """

    def __init__(self, specified_apps):
        super().__init__(specified_apps=set(specified_apps), dry_run=True)
        self.asked = []  # (lower-case model name, question)

    def ask_not_null_addition(self, field_name, model_name):
        self._ask(
            model_name,
            "It is impossible to add a non-nullable field '{}' to {} without specifying a default.".format(
                field_name, model_name
            ),
        )

    def ask_auto_now_add_addition(self, field_name, model_name):
        self._ask(
            model_name,
            "It is impossible to add the field '{}' with 'auto_now_add=True' to {} without providing a default.".format(
                field_name, model_name
            ),
        )

    def ask_not_null_alteration(self, field_name, model_name):
        self._ask(
            model_name,
            "It is impossible to change a nullable field '{}' on {} to non-nullable without a default.".format(
                field_name, model_name
            ),
        )

    def ask_rename(self, model_name, old_name, new_name, field_instance):
        self._ask(
            model_name,
            "Was {0}.{1} renamed to {0}.{2} (a {3})?".format(
                model_name, old_name, new_name, type(field_instance).__name__
            ),
        )
        return False

    def ask_rename_model(self, old_model_state, new_model_state):
        self._ask(
            old_model_state.name,
            "Was the model {}.{} renamed to {}?".format(
                old_model_state.app_label, old_model_state.name, new_model_state.name
            ),
        )
        return False

    def ask_unique_callable_default_addition(self, field_name, model_name):
        self._ask(
            model_name,
            "Callable default on unique field {}.{} will not generate unique values upon migrating.".format(
                model_name, field_name
            ),
        )

    def _ask(self, model_name, question):
        self.asked.append((model_name.lower(), question))


def find_changes(disk, started=()):
    """Return the apps whose models their migrations do not describe (models.apps.Change), sorted by label.

    `started`: apps without migrations for which makemigrations is called by name, or it would leave them alone.
    """
    questioner = _Questioner(started)
    changes = _detect(disk, questioner, convert_apps=set(started) or None)
    before = disk.project_state() if changes else None  # a detector may change what it is given
    names = {label: set(_touched(changes[label])) for label in changes}
    found = []
    for label in sorted(changes):
        if label not in disk.loader.migrated_apps and label not in started:
            continue  # an app without a migrations package stays as it is (DBM104)
        config = apps.get_app_config(label)
        touched = [name for name in _touched(changes[label]) if name in config.models]
        questions = [question for model, question in questioner.asked if model in names[label]]
        found.append(
            {
                "app": label,
                "operations": [
                    operation.describe() for migration in changes[label] for operation in migration.operations
                ],
                "altered": _altered(config, changes[label]),
                "constraints": _constraints(before, changes[label]),
                "model": "{}.{}".format(label, touched[0]) if touched else None,
                "question": questions[0] if questions else None,
                "is_writable": _is_writable(migrations_folder(config)),
                "carries": _carries(changes, label),
            }
        )
    return found


def foresee(disk, labels):
    """Return the disk as it will be once makemigrations was called with these labels and had nothing to ask."""
    changes = _detect(disk, _Questioner(labels), trim_to_apps=set(labels), convert_apps=set(labels))
    unwritten = {}
    for migrations in changes.values():
        for migration in migrations:
            migration.dependencies = [_resolve(*dependency) for dependency in migration.dependencies]
            unwritten[migration.app_label, migration.name] = migration
    return disk.foreseeing(unwritten)


def _detect(disk, questioner, **options):
    """Return {app label: migrations that makemigrations would write}."""
    detector_class = getattr(load_command("makemigrations"), "autodetector", MigrationAutodetector)
    detector = detector_class(disk.project_state(), ProjectState.from_apps(apps), questioner)
    return detector.changes(graph=disk.loader.graph, **options)


def _resolve(label, name):
    """Return a dependency as it is read from a file: there the model that a setting names has become its app."""
    return swappable_dependency(getattr(settings, name)) if label == "__setting__" else (label, name)


def _is_writable(folder):
    while not os.path.exists(folder):  # makemigrations makes the missing ones
        folder = os.path.dirname(folder)
    return os.access(folder, os.W_OK)


def _carries(changes, label):
    """Return the other apps that makemigrations writes for as well if only this one is named.

    Those that its new migrations depend on, and theirs (MigrationAutodetector._trim_to_apps).
    """
    needed: set[str] = set()
    queue = [label]
    while queue:
        for migration in changes.get(queue.pop(), ()):
            others = {other for other, _ in migration.dependencies if other in changes} - needed
            needed |= others
            queue += others
    return sorted(needed - {label})


def _altered(config, migrations):
    """Return [label.model, field] of the fields that are altered."""
    return [
        ["{}.{}".format(config.label, operation.model_name_lower), operation.name]
        for migration in migrations
        for operation in migration.operations
        if isinstance(operation, AlterField) and operation.model_name_lower in config.models
    ]


def _constraints(before, migrations):
    """Return {label.model.field: migration} for the foreign keys that these migrations make with a constraint."""
    return {
        "{}.{}.{}".format(migration.app_label, model, name): "{}.{}".format(migration.app_label, migration.name)
        for migration in migrations
        for operation in migration.operations
        for model, name, _ in constrained_fields(operation, migration.app_label, lambda: before)
    }


def _touched(migrations):
    for migration in migrations:
        for operation in migration.operations:
            name = getattr(operation, "model_name", None) or getattr(operation, "name", None)
            if isinstance(name, str):
                yield name.lower()
