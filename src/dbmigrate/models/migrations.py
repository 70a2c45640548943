"""What one look found of the migrations: what each does, on each database, forwards and backwards."""

from __future__ import annotations

from typing import Literal

from dbmigrate.models.base import Value

Answer = Literal["yes", "no", "none", "error"]
"""What the routers said: True, False, nobody had an opinion, or one of them raised."""

MigrationId = str
"""App label and name with a dot between, for example "blog.0001_initial"."""


class Relation(Value):
    """A foreign key with a constraint whose two models the routers do not always put together.

    A ManyToManyField stands for the foreign keys of its automatic table.
    """

    model: str
    """label.model of the model that has the field."""
    field: str
    kind: str
    """Class name of the field, for example "ForeignKey"."""
    to: str
    """label.model it points to, a proxy as the model behind it."""
    is_parent_link: bool
    """Whether it leads to the parent of a multi-table inheritance."""
    definition: str | None
    """The field as it stands in the models file, from its name on; None if it is not written there."""


class PlannedRelation(Value):
    """A foreign key with a constraint that a pending migration makes towards a model that may not be there."""

    model: str
    field: str
    to: str
    answer: Answer
    """What the routers say of the model that has it, on this alias."""
    to_answer: Answer
    """What they say of the model it points to."""
    operation: str
    """Number of the operation in its migration, from 0; "2.0" is the first of those inside the third."""


class DataOperation(Value):
    """A RunPython or RunSQL of a pending migration that this alias will see."""

    kind: Literal["RunPython", "RunSQL"]
    name: str
    """Name of the function; "" for RunSQL."""
    answer: Answer
    has_hints: bool
    follows_alias: bool
    """Whether it works on the database that is migrated, whichever that is, or on none."""
    is_careful: bool = False
    """Whether it asks where it is before it does anything, or does nothing to tables."""
    works_on: tuple[str, ...] = ("default",)
    """Where the routers send reads and writes of a function that names no database; empty if that is not known."""
    operation: str


class UnaskedOperation(Value):
    """An operation that asks no router and runs wherever its migration is applied, where the routers do not say yes."""

    operation: str
    name: str
    """Of its class."""
    model: str
    """Lower-case name of the model that it names; "" if it names none."""
    answer: Answer
    """What the routers would say."""


DangerKind = Literal["drops-table", "drops-column", "drops-data", "irreversible", "rewrites", "locks"]


class Danger(Value):
    """What a pending operation does to data that is there already."""

    kind: DangerKind
    text: str
    """The operation in Django's words."""
    table: str
    """"" where it is about no table in particular."""
    rows: int | None
    """About how many rows the table has, as the catalogue says without counting; None if it does not."""
    operation: str


class Needing(Value):
    """An operation of a migration that needs a right."""

    id: MigrationId
    model: str
    """Lower-case name of the model it is about; "" for the app as a whole."""
    answer: Answer
    """What the routers say of that on this alias."""


class LackingRight(Value):
    """A right that the role of a database lacks, and what of the migrations to be applied or undone needs it."""

    right: str
    """In the server's words, for example "CREATE"; "ownership"; "superuser"; "a schema to create in"."""
    on: str
    """What of, for example "schema public"."""
    owner: str | None = None
    """Who has it, where only one role can."""
    grant: str
    """The statement that gives it."""
    is_certain: bool = True
    """Whether the server says so; otherwise it may let the role all the same."""
    is_for_record: bool
    """Whether no migration can be recorded without it."""
    needed_by: tuple[Needing, ...]
    """In the order they would run."""


class MadePart(Value):
    """A table or column that a pending migration makes."""

    operation: str
    model: str
    """Lower-case name of the model it belongs to."""
    table: str
    column: str
    """"" for the table itself."""
    answer: Answer
    """What the routers say of the model."""
    is_there: bool
    is_certain: bool
    """Whether nothing comes before it that may drop it or give it another name, and that nobody can judge."""

    @property
    def name(self) -> str:
        """For example "table blog_post" or "column blog_post.slug"."""
        return f"column {self.table}.{self.column}" if self.column else f"table {self.table}"


class PhaseMark(Value):
    """What a migration says of when around a deploy it may run, in the words of one package."""

    attribute: str
    """Of the migration: "safe", "stage" or "is_post_deployment"; or the setting that says it over it."""
    says: Literal["pre", "post", "either"] | None
    """None if it is none of the words that it may be."""
    text: str
    """The value."""


class RefusedInsert(Value):
    """A column of a table that was there that needs a value from a migration on, which old code does not give."""

    operation: str
    model: str
    """Lower-case name."""
    field: str
    text: str
    """The operation in Django's words."""
    made_by: tuple[MigrationId, ...]
    """What creates the model: where that is pending too, no code has inserted into it yet."""


class PhaseWork(Value):
    """What its operations say of that."""

    says: Literal["pre", "post", "either", "undecided", "mixed", "wrong"]
    """"mixed": some are "pre" and some "post"; "wrong": the `stage` of one is none of the words that it may be."""
    operation: str
    """The number of the one that decides it; "" for none."""
    text: str
    """What that one does, in Django's words; of "mixed" two of them."""
    by: str = ""
    """The setting that decides what the operations do not; "" for none."""
    refused: tuple[RefusedInsert, ...] = ()


class PhaseOf(Value):
    """In which phase of a deploy a migration is to run, and what says so."""

    says: Literal["pre", "post", "either", "undecided", "mixed", "wrong"]
    """"undecided", "mixed" and "wrong" are for a person to decide."""
    by: Literal["configuration", "mark", "operations"]
    text: str
    """What says so: a pattern, a mark, or what an operation does."""
    subject: tuple[str, ...]
    """Where that is (findings.Subject)."""

    @property
    def is_decided(self) -> bool:
        """Whether it can be run in a phase."""
        return self.says in ("pre", "post", "either")


class Migration(Value):
    """What is true of a migration wherever it is applied."""

    after: tuple[MigrationId, ...] = ()
    """Its direct dependencies, sorted, as the files say: squashed migrations stand next to what they replace."""
    replaces: tuple[MigrationId, ...] = ()
    """What it was squashed from; their files may be gone."""
    atomic: bool = True
    is_written: bool = True
    """Whether it is in a file; otherwise makemigrations would write it."""
    is_initial: bool = False
    """Whether `--fake-initial` looks at it."""
    marks: tuple[PhaseMark, ...] = ()
    work: PhaseWork | None = None
    """None, and without marks, where phases were not asked for."""


class StrayRename(Value):
    """A RenameModel on a database that has no table of the old name, and of which nothing known makes one before."""

    operation: str
    """Its number, as of UnaskedOperation."""
    old: str
    """Lower-case name of the model."""
    new: str
    table: str
    """Of the old name."""
    answer: Answer
    """For the new name, which is the one that Django asks about."""
    old_answer: Answer
    is_refused_on_default: bool
    """Whether a router refuses the old name on the default database."""


class Effect(Value):
    """What a migration that is not applied on an alias would do there."""

    answer: Answer
    """The strongest answer over its operations: "yes" if one runs, "none" if nobody decides, "no" if none runs."""
    undecided: tuple[str, ...] = ()
    """Models its undecided operations are about; "" stands for the app as a whole. Only with answer "none"."""
    refused_on_default: tuple[str, ...] = ()
    """Those of `undecided` that a router refuses on the default database."""
    operations: int = 1
    """How many of its operations reach this database."""
    makes: tuple[MadePart, ...] = ()
    """The tables and columns that it makes, but only where one of them is there already."""
    relations: tuple[PlannedRelation, ...] = ()
    data: tuple[DataOperation, ...] = ()
    dangers: tuple[Danger, ...] = ()
    unasked: tuple[UnaskedOperation, ...] = ()
    strays: tuple[StrayRename, ...] = ()
    works_on_data: bool = False
    """Whether an operation of it that reaches this database works on rows, or may: it is RunPython, RunSQL, or none of
    Django's."""
    works_with: tuple[str, ...] = ()
    """Labels of the apps whose models it works with there for certain; its source may not show others."""


class Undoing(Effect):
    """What it would do on an alias to undo a migration that is applied there."""

    irreversible: str | None = None
    """The operation for which Django refuses it; None if there is none."""


class UndoingOf(Value):
    """What it would do on an alias to undo some migrations: the host's answer to `describe_undoing`."""

    undoing: dict[MigrationId, Undoing]
    role: str | None
    rights_unknown: str | None
    lacking: tuple[LackingRight, ...]
    """Of the rights that it needs; the others as of Database."""


class PendingMigration(Effect):
    """A migration that is not recorded on an alias, or is to be undone there, and what it does there."""

    id: MigrationId
    after: tuple[MigrationId, ...] = ()
    """What it directly depends on there, applied or not."""
    atomic: bool = True
    is_written: bool = True
    is_initial: bool = False
    backwards: bool = False
    irreversible: str | None = None
    """If it is to be undone and Django refuses that: the operation it cannot take back."""


class Way(Value):
    """What it takes on a database to get to a migration of an app."""

    migrations: tuple[PendingMigration, ...] = ()
    """All are applied or all are undone, in this order."""
    replaced_by: str | None = None
    """Name of the squashed migration that stands here for the one that was asked for, so that there is no way; None if
    none does."""


def label_of(name: str) -> str:
    """Return the app label of a migration ("blog.0001_initial") or a model ("blog.post")."""
    return name.split(".", 1)[0]
