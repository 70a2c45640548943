"""Which migrations on disk make the table of a model: with the record of one of them, a table is the project's own."""

from django.db.migrations import AddField, CreateModel, RenameModel
from django.db.models import ManyToManyField

from .effects import all_operations


class Makers:
    """The migrations that make each model, as far as their files say so by themselves."""

    def __init__(self, disk):
        """Read every migration on disk, in the order of their dependencies within each app."""
        self._of_models = {}
        self._of_fields = {}
        for label, names in disk.names_by_app().items():
            for name in names:
                for operation in all_operations(disk.loader.disk_migrations[label, name].operations):
                    self._remember((label, name), operation)

    def _remember(self, key, operation):
        label = key[0]
        if isinstance(operation, CreateModel):
            self._of_models.setdefault((label, operation.name_lower), set()).add(key)
            for name, field in operation.fields:
                self._remember_field(key, operation.name_lower, name, field)
        elif isinstance(operation, RenameModel):
            before = self._of_models.get((label, operation.old_name_lower), set())
            self._of_models.setdefault((label, operation.new_name_lower), set()).update(before, [key])
        elif isinstance(operation, AddField):
            self._remember_field(key, operation.model_name_lower, operation.name, operation.field)

    def _remember_field(self, key, model, name, field):
        if isinstance(field, ManyToManyField):
            self._of_fields.setdefault((key[0], model, name), set()).add(key)

    def find(self, model):
        """Return the keys of the migrations of which each may have made the table of a model class."""
        owner = model._meta.auto_created
        if not owner:
            return self._of_models.get((model._meta.app_label, model._meta.model_name), set())
        key = owner._meta.app_label, owner._meta.model_name
        field = next(field for field in owner._meta.local_many_to_many if field.remote_field.through is model)
        return self._of_fields.get((*key, field.name)) or self._of_models.get(key, set())
