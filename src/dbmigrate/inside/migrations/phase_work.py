"""What a migration's operations say about when around a deploy it may run: drops after it, additions before it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import migrations

from ..sentences import one_line
from .effects import all_operations, model_name, numbered_operations
from .phase_marks import read_fallback, read_marks, read_stage
from .refused_inserts import find_refused_inserts, has_database_value, works_as_django

if TYPE_CHECKING:
    from ..protocol import PhaseFacts, PhaseWorkReply, RefusedInsertReply

DROPPING = (
    migrations.DeleteModel,
    migrations.RemoveField,
    migrations.RenameModel,
    migrations.RenameField,
    migrations.AlterModelTable,
)
ADDING = (migrations.CreateModel, migrations.AddIndex)
WITHOUT_CODE = tuple(
    getattr(migrations, name)
    for name in ("RemoveIndex", "RenameIndex", "AlterModelTableComment", "AlterIndexTogether")
    if hasattr(migrations, name)
)
"""Neither the old code nor the new one notices them, but for the time that a question takes."""
LOOSENING = (migrations.RemoveConstraint,)

NON_DATABASE = (
    "blank", "choices", "editable", "error_messages", "help_text", "limit_choices_to", "related_name",
    "related_query_name", "validators", "verbose_name", "on_delete", "auto_now", "auto_now_add", "upload_to", "storage",
)  # fmt: skip
"""Arguments of a field that no database sees (Field.non_db_attrs, since Django 4.1, and those of files and dates)."""
HARMLESS = ("db_index", "default", "db_comment")
"""Those that change neither what may be written nor what is read."""


def describe_phases(disk, owned) -> dict[str, PhaseFacts]:
    """Return by id of a migration what it says of itself and what it does.

    `owned`: labels of the project's own apps.
    """
    described: dict[str, PhaseFacts] = {}
    for label, names in disk.names_by_app().items():
        fields: Any = {}
        makers: dict[str, list[str]] = {}
        for name in names:
            migration = disk.loader.disk_migrations[label, name]
            # A squashed migration next to what it replaces makes the same fields again.
            is_twin = any(tuple(key) in disk.loader.disk_migrations for key in migration.replaces)
            before = dict(fields) if is_twin else fields
            refused = _find_refused(migration, before, makers)
            work = _describe_or_leave(migration, before, label in owned)
            described["{}.{}".format(label, name)] = {
                "marks": read_marks(migration),
                "work": {**work, "refused": refused} if refused else work,
            }
    return described


def _find_refused(migration, fields, makers) -> list[RefusedInsertReply]:
    """Return what `find_refused_inserts` does; `makers`, {model: ids of what created it}, is brought forward.

    Where a field of the project raises there is nothing, for what becomes of it a person decides anyway.
    """
    for operation in all_operations(migration.operations):
        if isinstance(operation, migrations.CreateModel):
            identifier = "{}.{}".format(migration.app_label, migration.name)
            makers.setdefault(operation.name_lower, []).append(identifier)
        elif isinstance(operation, migrations.RenameModel):
            makers[operation.new_name_lower] = makers.get(operation.old_name_lower, [])
    try:
        return find_refused_inserts(migration, fields, makers)
    except Exception:
        return []


def _describe_or_leave(migration, fields, is_own) -> PhaseWorkReply:
    """Return what `_describe` does; where a field or an operation of the project raises, a person has to decide."""
    try:
        return _describe(migration, fields, is_own)
    except Exception as error:
        text = one_line("{}: {}".format(type(error).__name__, error))
        return {"says": "undecided", "operation": "", "text": text, "by": ""}


def _describe(migration, fields, is_own) -> PhaseWorkReply:
    """Return models.migrations.PhaseWork; `fields`, {(model, field): Field} before it, is brought forward."""
    verdicts = []
    made: set[str] = set()
    for index, operation in enumerate(migration.operations):
        verdicts += _judge(operation, str(index), fields, made)
        for one in all_operations([operation]):
            _follow(one, fields)
            if isinstance(one, migrations.CreateModel):
                made.add(one.name_lower)
    for wanted in ("wrong", "undecided"):
        found = next((verdict for verdict in verdicts if verdict[0] == wanted), None)
        if found is not None:
            return _with_fallback(migration, is_own, *found)
    # The last that says post, for it is the one that holds the others back.
    telling = {phase: (phase, number, text) for phase, number, text in verdicts if phase != "either"}
    if len(telling) > 1:
        _, number, text = telling["post"]
        return _with_fallback(migration, is_own, "mixed", number, "{}; {}".format(telling["pre"][2], text))
    phase, number, text = next(iter(telling.values()), ("either", "", ""))
    return {"says": phase, "operation": number, "text": text, "by": ""}


def _with_fallback(migration, is_own, phase, number, text) -> PhaseWorkReply:
    found = read_fallback(migration, is_own) if phase != "wrong" else None
    if found is not None:
        return {"says": found[0], "operation": number, "text": text, "by": found[1]}
    return {"says": phase, "operation": number, "text": text, "by": ""}


def _judge(operation, number, fields, made):
    """Yield (phase, number, what it does) for an operation, or for those inside it that reach a database.

    `made`: the models that the migration has made before it, of which no old code knows.
    """
    stage = getattr(operation, "stage", None)
    if stage is not None:
        phase = read_stage(stage)
        text = operation.describe() if phase is not None else "stage = {!r}".format(stage)
        yield phase or "wrong", number, text
        return
    if isinstance(operation, migrations.SeparateDatabaseAndState):
        for index, inner in enumerate(operation.database_operations):
            yield from _judge(inner, "{}.{}".format(number, index), fields, made)
        return
    for _, reaching in numbered_operations([operation]):
        is_new = works_as_django(reaching) and model_name(reaching) in made
        yield "pre" if is_new else _phase_of(reaching, fields), number, reaching.describe()


def _phase_of(operation, fields):
    if not works_as_django(operation):
        return "undecided"
    if isinstance(operation, DROPPING):
        return "post"
    if isinstance(operation, WITHOUT_CODE):
        return "either"
    if isinstance(operation, ADDING + LOOSENING):
        return "pre"
    if isinstance(operation, migrations.AddField):
        return "pre" if _may_be_left_out(operation.field) else "undecided"
    if isinstance(operation, migrations.AlterField):
        key = (operation.model_name_lower, operation.name.lower())
        return _phase_of_change(fields.get(key), operation.field)
    if isinstance(operation, migrations.AlterUniqueTogether):
        return "undecided" if operation.option_value else "pre"
    if type(operation).__name__.endswith("Extension"):
        return "pre"
    return "undecided"


def _may_be_left_out(field):
    """Whether Django has a value for rows that are there; for those that are inserted: `find_refused_inserts`."""
    return field.has_default() or has_database_value(field)


def _phase_of_change(old, new):
    """Return the phase of a change of a field; "undecided" for whatever may tighten it."""
    if old is None:
        return "undecided"
    (_, old_path, old_args, old_words), (_, new_path, new_args, new_words) = old.deconstruct(), new.deconstruct()
    if old_path != new_path or old_args != new_args:
        return "undecided"
    changed = {
        key for key in {*old_words, *new_words} if key not in NON_DATABASE and not _is_same(old_words, new_words, key)
    }
    if "db_column" in changed:
        return "post"
    for key in changed - {*HARMLESS}:
        if not _loosens(key, old_words.get(key), new_words.get(key)):
            return "undecided"
    return "pre" if changed else "either"


def _is_same(old, new, key):
    return (key in old) == (key in new) and old.get(key) == new.get(key)


def _loosens(key, old, new):
    if key == "null":
        return bool(new)
    if key == "unique":
        return not new
    if key == "db_default":  # without it, inserts that leave the column to the database fail
        return new is not None
    if key == "max_length":
        return new is None or (old is not None and new >= old)
    return False


def _follow(operation, fields):
    """Bring forward what fields there are, by an operation that is not looked at closer."""
    if isinstance(operation, migrations.CreateModel):
        for field_name, field in operation.fields:
            fields[operation.name_lower, field_name.lower()] = field
    elif isinstance(operation, (migrations.AddField, migrations.AlterField)):
        fields[operation.model_name_lower, operation.name.lower()] = operation.field
    elif isinstance(operation, migrations.RenameField):
        old, new = operation.old_name.lower(), operation.new_name.lower()
        if (operation.model_name_lower, old) in fields:
            fields[operation.model_name_lower, new] = fields.pop((operation.model_name_lower, old))
    elif isinstance(operation, migrations.RenameModel):
        for model, field_name in [key for key in fields if key[0] == operation.old_name_lower]:
            fields[operation.new_name_lower, field_name] = fields.pop((model, field_name))
