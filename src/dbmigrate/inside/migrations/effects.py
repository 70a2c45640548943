"""Whether a migration does something on an alias, or would only be recorded there."""

from collections import namedtuple

from django.apps import apps
from django.apps.registry import Apps
from django.db import migrations, models
from django.db.migrations.operations.base import Operation
from django.db.migrations.operations.fields import FieldOperation
from django.db.migrations.operations.models import ModelOperation

from .asking import find_manner, overrides_work

STRENGTH = ("no", "none", "error", "yes")


Reaching = namedtuple("Reaching", "number operation answer model")
"""An operation, the routers' answer, and the lower-case name of the model it is about ("": the app as a whole)."""


class Effects:
    """Asks the routers about the operations of migrations, with the models as they are now.

    Rendering every historical model would cost more than everything else here together; a model that is gone by now
    is asked about by its name and the options it was made with.
    """

    def __init__(self, disk, routes):
        """Remember of every model the migrations on disk know its name and what it was said to be last."""
        self.routes = routes
        self._operations = {}
        self._answers = {}
        self._known = {}
        self._taken_over = {}
        self._stubs = {}
        for label, names in disk.names_by_app().items():
            for name in names:
                for operation in all_operations(disk.loader.disk_migrations[label, name].operations):
                    self._remember(label, name, operation)

    def _remember(self, label, name, operation):
        if isinstance(operation, migrations.CreateModel):
            self._taken_over.pop((label, operation.name_lower), None)
            self._known[label, operation.name_lower] = (operation.name, dict(operation.options))
        elif isinstance(operation, migrations.RenameModel):
            _, options = self._known.get((label, operation.old_name_lower), (None, {}))
            if (label, operation.old_name_lower) in self._taken_over:
                self._taken_over[label, operation.new_name_lower] = self._taken_over[label, operation.old_name_lower]
            self._known[label, operation.new_name_lower] = (operation.new_name, options)
        elif isinstance(operation, migrations.AlterModelTable):
            self._options(label, operation.name_lower)["db_table"] = operation.table
        elif isinstance(operation, migrations.AlterModelOptions):
            options, is_managed = self._options(label, operation.name_lower), operation.options.get("managed", True)
            if is_managed and options.get("managed") is False:
                self._taken_over[label, operation.name_lower] = name
            options["managed"] = is_managed

    def _options(self, label, name):
        return self._known.get((label, name), (name, {}))[1]

    def taken_over_by(self, label, name):
        """Return the name of the migration by which a model became managed, of which Django makes no table.

        "" if that is not written yet; None if the model, by its lower-case name, was managed from the first.
        """
        if self._options(label, name).get("managed") is False and self.is_made_by_migrate(label, name):
            return ""
        return self._taken_over.get((label, name))

    def reaching(self, connection, migration, backwards=False):
        """Return a Reaching for each operation of a migration that the routers do not refuse on this database.

        `backwards`: whether it is to be undone.
        """
        found = []
        for number, operation in self._operations_of(migration):
            answer, model = self.answer_operation(connection, migration.app_label, operation, backwards)
            if answer != "no":
                found.append(Reaching(number, operation, answer, model))
        return found

    def _operations_of(self, migration):
        """Return its numbered operations, looked through once for all databases."""
        key = (migration.app_label, migration.name)
        if key not in self._operations:
            self._operations[key] = list(numbered_operations(migration.operations))
        return self._operations[key]

    def find_unasked(self, connection, migration, backwards=False):
        """Return models.migrations.UnaskedOperation for each that asks no router and may have to be refused."""
        found = []
        for number, operation in self._operations_of(migration):
            answer, model = self._ask(connection, migration.app_label, operation)
            if answer in ("no", "none") and find_manner(operation, connection.vendor, backwards) == "runs":
                found.append(
                    {"operation": number, "name": type(operation).__name__, "model": model or "", "answer": answer}
                )
        return found

    def answer_operation(self, connection, label, operation, backwards=False):
        """Return (answer, model it is about) for one operation; "" for the app as a whole.

        The answer is "yes" for one that does not ask the routers, or not as far as can be seen: it runs.
        """
        answer, model = self._ask(connection, label, operation)
        if answer in ("no", "none"):
            is_known = find_manner(operation, connection.vendor, backwards) in ("asks", "nothing")
            answer = answer if is_known else "yes"
        return answer, model

    def _ask(self, connection, label, operation):
        """Return (what the routers say if they are asked as Django's operations ask them, model it is about)."""
        name = model_name(operation)
        if name is not None:
            return self.answer_model(connection, label, name), name
        hints = getattr(operation, "hints", None) or {}
        return self.routes.ask(connection.alias, label, hints), hints.get("model_name") or ""

    def answer_model(self, connection, label, name):
        """Return the answer for a model by its lower-case name, whether it is still there or not."""
        key = (connection.alias, label, name)
        if key not in self._answers:
            self._answers[key] = self._ask_about_model(connection, label, name)
        return self._answers[key]

    def _ask_about_model(self, connection, label, name):
        try:
            model = apps.get_model(label, name)
        except LookupError:
            return self._answer_gone_model(connection.alias, label, name)
        if not model._meta.can_migrate(connection):
            return "no"
        return self.routes.ask_model(connection.alias, model)

    def refuses(self, alias, label, name):
        """Whether a router says no to a model on an alias, by its lower-case name, whether it is still there or not."""
        try:
            return self.routes.refuses(alias, apps.get_model(label, name))
        except LookupError:
            return self._answer_gone_model(alias, label, name) == "no"

    def touches_databases(self, migration):
        """Whether anything that a migration does reaches a database that takes all of it."""
        return any(
            name is None or self.is_made_by_migrate(migration.app_label, name)
            for name in (model_name(operation) for _, operation in self._operations_of(migration))
        )

    def is_made_by_migrate(self, label, name):
        """Whether Django makes the table of a model itself, by its lower-case name; of a proxy, the table behind it."""
        try:
            options = apps.get_model(label, name)._meta.concrete_model._meta
        except LookupError:
            return self._options(label, name).get("managed") is not False
        return options.managed and not options.swapped

    def concrete(self, label, name):
        """Return (label, lower-case name) of the model whose table a model is in: the one behind a proxy."""
        try:
            options = apps.get_model(label, name)._meta.concrete_model._meta
        except LookupError:
            return label, name
        return options.app_label, options.model_name

    def table_of(self, label, name):
        """Return the table of a model by its lower-case name, whether the model is still there or not."""
        try:
            return apps.get_model(label, name)._meta.db_table
        except LookupError:
            return self._options(label, name).get("db_table") or "{}_{}".format(label, name)

    def _answer_gone_model(self, alias, label, name):
        options = self._options(label, name)
        if options.get("proxy") or options.get("managed") is False:
            return "no"
        if (label, name) not in self._stubs:
            # A model of its own, in a registry of its own: routers look at more than its name.
            meta = {"app_label": label, "apps": Apps(), "db_table": self.table_of(label, name)}
            self._stubs[label, name] = type(
                str(self._known.get((label, name), (name, {}))[0]),
                (models.Model,),
                {"Meta": type("Meta", (), meta), "__module__": "__fake__"},
            )
        return self.routes.ask(alias, label, {"model_name": name, "model": self._stubs[label, name]})


def strongest_answer(reaching):
    """Return (strongest answer over the operations, models its undecided operations are about).

    "" among the models stands for an operation about the app as a whole.
    """
    strongest = max((entry.answer for entry in reaching), key=STRENGTH.index, default="no")
    undecided = dict.fromkeys(entry.model for entry in reaching if entry.answer == "none")
    return strongest, list(undecided) if strongest == "none" else []


def database_operations(operations):
    """Yield the operations that reach a database, those inside SeparateDatabaseAndState included."""
    for _, operation in numbered_operations(operations):
        yield operation


def numbered_operations(operations, prefix=""):
    """Yield (number, operation) for the same; "2.0" is the first inside the third."""
    for index, operation in enumerate(operations):
        number = "{}{}".format(prefix, index)
        if isinstance(operation, migrations.SeparateDatabaseAndState):
            if overrides_work(operation):
                yield number, operation
            yield from numbered_operations(operation.database_operations, number + ".")
        elif not _is_noop(operation):
            yield number, operation


def all_operations(operations):
    """Yield every operation, and what stands inside SeparateDatabaseAndState on either side."""
    for operation in operations:
        if isinstance(operation, migrations.SeparateDatabaseAndState):
            yield from all_operations(operation.state_operations)
            yield from all_operations(operation.database_operations)
        yield operation


def _is_noop(operation):
    if isinstance(operation, (migrations.AlterModelOptions, migrations.AlterModelManagers)):
        return True
    if isinstance(operation, migrations.RunPython):
        return operation.code is migrations.RunPython.noop
    if isinstance(operation, migrations.RunSQL):
        return operation.sql == migrations.RunSQL.noop
    return type(operation) is Operation


def model_name(operation):
    """Return the lower-case name of the model that an operation is about, or None."""
    if isinstance(operation, migrations.RenameModel):
        return operation.new_name_lower  # the name that Django asks about
    if isinstance(operation, ModelOperation):
        return operation.name_lower
    if isinstance(operation, FieldOperation):
        return operation.model_name_lower
    name = getattr(operation, "model_name", None)
    return name.lower() if isinstance(name, str) else None
