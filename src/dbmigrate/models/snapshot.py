"""What one look at the project and its databases found: the host's answer to `inspect`."""

from __future__ import annotations

import shlex
from typing import Literal

from pydantic import Field

from dbmigrate.models.base import Value
from dbmigrate.models.rooms import Room

DEFAULT_ALIAS = "default"

Answer = Literal["yes", "no", "none", "error"]
"""What the routers said: True, False, nobody had an opinion, or one of them raised."""

MigrationId = str
"""App label and name with a dot between, for example "blog.0001_initial"."""

Trouble = Literal[
    "refused",
    "unknown-host",
    "silent",
    "starting",
    "not-accepting",
    "full",
    "blocked",
    "tls",
    "no-database",
    "no-file",
    "password",
    "role",
    "driver",
    "settings",
    "backend",
    "receiver",
    "rights",
    "other",
]
"""What keeps a database from answering."""

INCURABLE: frozenset[Trouble] = frozenset(
    {"no-file", "blocked", "password", "role", "driver", "settings", "backend", "rights"}
)
"""Troubles that waiting does not end."""


def describe_trouble(trouble: Trouble | None) -> str:
    """Return what is the matter with a database: it is silent, its backend raised an error, or it may not be read."""
    if trouble == "rights":
        return "cannot be read"
    return "could not be checked" if trouble in ("backend", "receiver") else "is unreachable"


def describe_silence(alias: str, trouble: Trouble | None, error: str | None) -> str:
    """Return the sentence for a database of which nobody knows what is applied there."""
    return f"database {alias} {describe_trouble(trouble)}: {error}"


DatabaseState = Literal["ok", "absent", "unreachable", "unreadable", "no-engine", "unasked"]
"""Whether a database answers. "absent": an SQLite file that is not there yet; the first migration makes it.
"unreadable": it answers, and this role may not read what is recorded there. "unasked": nobody tried
(`check --offline`)."""

UNKNOWN_STATES: frozenset[DatabaseState] = frozenset({"unreachable", "unreadable"})
"""States in which nobody knows what is applied there."""


class AppModel(Value):
    """A model that has a table of its own: managed, neither proxy nor swapped out."""

    name: str
    """Lower-case model name, as routers are given it."""
    table: str
    auto_created: bool
    """Whether it is the table behind a ManyToManyField."""


class App(Value):
    """One installed app."""

    label: str
    name: str
    """Dotted path of its package."""
    is_own: bool
    """Whether its migrations are the project's to write: they lie where no packages are installed."""
    why: str
    """Why it counts as own, or as third-party: what is known of the folder of its migrations."""
    migrations_folder: str
    """Absolute path of the folder its migrations are in, or would be made in."""
    migrations_module: str | None
    """Dotted path where its migrations are; None where the project switched them off."""
    has_migrations: bool
    """Whether `migrate` knows this app: it has a migrations package, if only an empty one."""
    migrations: tuple[str, ...]
    """Names in dependency order, squashed ones included."""
    replaced: dict[str, str] = Field(default_factory=dict)
    """By name of a migration that a squashed one on disk replaces: the name of that one."""
    models: tuple[AppModel, ...]
    touches_databases: bool = True
    """Whether its migrations do anything to a database; False if they only describe tables that others make."""
    is_allowed_elsewhere: bool = False
    """Whether the routers would let all of it on a database that is not in DATABASES."""


class Router(Value):
    """One entry of DATABASE_ROUTERS."""

    name: str
    """Dotted path of its class."""
    has_allow_migrate: bool
    looks_at_connections: bool = False
    """Whether it looked at a connection when it was asked: its answers may be others when that is changed."""


class RoutingRule(Value):
    """An entry of DATABASE_ROUTING_RULES or DATABASE_APPS_MAPPING."""

    app: str
    """As the project wrote it: app label or dotted path."""
    label: str | None
    """The installed app it means; None if there is none."""
    alias: str
    source: str
    """Name of the setting."""


class AppRoute(Value):
    """The routers' answers for one app on one alias."""

    answer: Answer
    """The answer for every model that `models` does not name (and for the app itself if it has none)."""
    models: dict[str, Answer] = Field(default_factory=dict)
    """Models that were answered differently."""
    unfit: tuple[str, ...] = ()
    """Models that this kind of server cannot hold (`required_db_vendor`): their "no" is no router's."""

    def answer_for(self, model: str | None) -> Answer:
        """Return the answer for one model, by its lower-case name; None stands for the app as a whole."""
        return self.answer if model is None else self.models.get(model, self.answer)

    def refuses(self, model: str | None) -> bool:
        """Return whether a router says no to it."""
        return self.answer_for(model) == "no" and model not in self.unfit


class OneAnswer(Value):
    """What one router says of one model on one alias, whatever the others say."""

    router: str
    """Dotted path of its class."""
    answer: Literal["yes", "no", "none", "error", "silent"]
    """"silent": it has no allow_migrate."""
    error: str | None


class ModelAnswers(Value):
    """What every router says of one model on every alias: the host's answer to `explain`."""

    model: str
    """label.Model, as the class is named."""
    table: str
    has_own_table: bool
    """Whether migrate would make a table for it: managed, neither proxy nor swapped out."""
    answers: dict[str, tuple[OneAnswer, ...]]
    """By alias, in the order of DATABASE_ROUTERS."""


class RouterError(Value):
    """A router that raised when it was asked."""

    router: str
    alias: str
    model: str
    """App label and model name, or the app label alone."""
    message: str


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


class MissingTable(Value):
    """A table that is not there, although the recorded migrations made it; or that no migration is going to make."""

    model: str
    """label.model."""
    table: str
    migration: MigrationId
    """The migration that makes it, or by which its model has become managed; "" if that is not written yet."""
    is_recorded: bool = True
    is_taken_over: bool = False
    """Whether its model was unmanaged before: Django makes no table when that changes."""
    before: str = "zero"
    """Name of the one before it in its app."""
    is_redoable: bool = True
    """Whether it can be applied again, with what came after it in its app: they made nothing that is there."""


class RefusingColumn(Value):
    """A column that no model of this code knows, not null and without a default: without it no row can be inserted."""

    model: str
    """label.model whose table it is in."""
    table: str
    column: str
    type: str
    """As the server writes it."""
    may_be_filled: bool = False
    """Whether a trigger runs before each insert, which may fill it."""


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


class Recorded(Value):
    """A row of django_migrations."""

    id: MigrationId
    at: str
    """ISO 8601, UTC where the project uses time zones."""


class SchemaCount(Value):
    """How much there is in one schema of a database."""

    tables: int
    records: int
    """Rows of its django_migrations."""


class Way(Value):
    """What it takes on a database to get to a migration of an app."""

    migrations: tuple[PendingMigration, ...] = ()
    """All are applied or all are undone, in this order."""
    replaced_by: str | None = None
    """Name of the squashed migration that stands here for the one that was asked for, so that there is no way; None if
    none does."""


class Database(Value):
    """One entry of DATABASES as Django resolved it, and what the server said."""

    alias: str
    engine: str
    vendor: str
    name: str
    """Database name, or the path of an SQLite file."""
    host: str
    port: str
    mirror_of: str | None
    """TEST["MIRROR"], which marks a replica."""
    state: DatabaseState
    trouble: Trouble | None = None
    """What keeps it from answering, as far as the driver's words tell; None if it answers."""
    error: str | None
    """Why it is unreachable, in the driver's or the file system's words."""
    server: str = ""
    """Product and version, for example "PostgreSQL 15.4"; empty unless state is "ok"."""
    identity: str | None = None
    """Equal for two aliases of one physical database and schema; None where it could not be asked."""
    pooler: str | None = None
    """The address of the pooler that connections lead to, as far as it can be told."""
    room: tuple[Room, ...] = ()
    """What limits the sessions here, as far as the server tells."""
    read_only: str | None
    """Why it takes no writes, for example "the server is a standby"; None if it does."""
    in_memory: bool = False
    """Whether it is an SQLite database that lives as long as a process."""
    transactional_ddl: bool
    """Whether a failed atomic migration is rolled back (source: features.can_rollback_ddl)."""
    recorded: int | None = None
    """The number of what is recorded here (Snapshot.recorded); None where nobody knows."""
    applied: int = 0
    """How many of the migrations on disk are applied (source: MigrationLoader.applied_migrations)."""
    last_applied: Recorded | None = None
    records: tuple[Recorded, ...] | None = None
    """Every row that this code knows, the oldest first; None if it was not asked."""
    unrecorded: tuple[MigrationId, ...] = ()
    """Squashed migrations of which everything they replace is recorded, and they themselves are not yet."""
    unknown: tuple[MigrationId, ...] = ()
    """Recorded here after something of their app that this code knows: by a newer release, or by another branch."""
    leftover: tuple[MigrationId, ...] = ()
    """Recorded here and gone from the code: of apps that are not installed, or squashed away since."""
    undo_to: dict[str, str] = Field(default_factory=dict)
    """By label of an app in `unknown`: the last migration that this code knows too and that came before, or "zero"."""
    left_tables: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """By label of an app in `unknown` or `leftover`: tables of its that are there, and that no model of it has."""
    inconsistent: str | None = None
    """Django's words if a migration is recorded before one it depends on."""
    effects: dict[MigrationId, Effect] = Field(default_factory=dict)
    """By migration that is not applied here: what it would do. Nothing of those left out reaches this database."""
    pending: tuple[PendingMigration, ...] = ()
    """Not applied, in the order Django would run them: it follows from `recorded` and `effects` (planning/pending.py),
    and so do `applied` and `unrecorded`."""
    ways: dict[str, Way] = Field(default_factory=dict)
    """By target here ("blog.0002" as it was named, "blog.zero"), in the order in which they are gone: each begins where
    the one before it ends. They follow from `recorded`, too (`find_ways`)."""
    routes: dict[str, AppRoute]
    """By app label: every installed app."""
    existing: tuple[str, ...] = ()
    """Models (label.model) that nobody has an opinion about here, whose table is already there, and with it the record
    of a migration that makes it."""
    tables: int | None = None
    """How many tables are there; None where that was not asked."""
    schema_name: str | None = None
    """The schema that its connection works in; None where it was not asked (`census`) or the server has none."""
    census: dict[str, SchemaCount] | None = None
    """What each schema of the database holds, where the project replaces `migrate`; None where that is not known."""
    missing: tuple[MissingTable, ...] = ()
    """Tables of models that are not refused here, in the order of INSTALLED_APPS."""
    refusing: tuple[RefusingColumn, ...] = ()
    """Of the tables of managed models that are not refused here."""
    unsynced: tuple[str, ...] = ()
    """Models (label.model) of apps without migrations that are not refused here and have no table yet."""
    present: tuple[str, ...] = ()
    """Models (label.model) that foreign keys point to, that no router wants here, and whose table is here."""
    role: str | None = None
    """As whom its sessions work, as the server says; None where that was not asked."""
    rights_unknown: str | None = None
    """Why the server does not say what its role may do, in its words; None if it does, or nothing is pending."""
    lacking: tuple[LackingRight, ...] = ()
    """Only what is certain."""

    @property
    def targeted(self) -> tuple[PendingMigration, ...] | None:
        """What all of `ways` take, one after the other; None if there is none."""
        gone = [way.migrations for way in self.ways.values() if way.replaced_by is None]
        return tuple(migration for migrations in gone for migration in migrations) if gone else None


class Change(Value):
    """Models of one app that its migrations do not describe."""

    app: str
    operations: tuple[str, ...]
    """What makemigrations would write, in Django's words."""
    question: str | None
    """What Django would have to ask a person; None if nothing."""
    is_writable: bool
    """Whether a file can be made in its migrations folder."""
    model: str | None = None
    """The first model (label.model) that is still there and that they are about; None if there is none."""
    altered: tuple[tuple[str, str], ...] = ()
    """(label.model, field) of fields that are there and would be altered."""
    constraints: dict[str, MigrationId] = Field(default_factory=dict)
    """By label.model.field: the migration that would be written with a constraint for this foreign key."""
    carries: tuple[str, ...]
    """Other apps that makemigrations would write for as well if only this app was named."""


class Unstarted(Value):
    """An app without migrations that other apps' migrations depend on, or whose package for them is not there."""

    app: str
    why: Literal["empty", "no-module", "no-package", "no-init"]
    """"empty": its migrations package; "no-module": MIGRATION_MODULES names one that is not there; "no-package": it has
    none; "no-init": its migrations folder has migrations and no __init__.py, so Python takes it for no package."""
    needed_by: tuple[MigrationId, ...]
    """Migrations that name it in their dependencies."""

    @property
    def stops_django(self) -> bool:
        """Whether `migrate` reads no migration of any app as long as this is so."""
        return self.why in ("empty", "no-module")


class Unstable(Value):
    """A model that makemigrations would write for again and again, since it differs in each process."""

    model: str
    """label.model."""
    field: str | None
    """None for the options of the model (Meta)."""
    kind: Literal["set", "call", "differs"]
    """"set": the order of a set; "call": something is called when the class is made, a clock for example; "differs":
    it was another one in a second process, and its source does not say why."""
    why: str
    """What it is made with, for example "timezone.now()"; "" for "differs"."""


class UnstableFields(Value):
    """What the source of models says about that: the host's answer to `find_unstable`."""

    found: tuple[Unstable, ...]
    doubtful: tuple[tuple[str, str], ...]
    """(label.model, field) of those that were asked about and whose source does not say what they are made with."""


class Receiver(Value):
    """A pre_migrate or post_migrate receiver that is not Django's own."""

    signal: Literal["pre_migrate", "post_migrate"]
    name: str


class Command(Value):
    """What the parser of one of the project's commands takes, as it says itself."""

    module: str
    """Dotted path of the module that provides the command."""
    error: str | None = None
    """Why it cannot be asked; None if it could be."""
    words: dict[str, str] = Field(default_factory=dict)
    """By Django's spelling of an option: its own. What it does not take is left out."""
    databases: tuple[str, ...] | None = None
    """The aliases that its option for a database may name; None for any."""
    most_names: int | None = None
    """How many names it takes, the app label first; None for any number."""
    required: tuple[tuple[str, ...], ...] = ()
    """What has to be given: each time the options of which one is needed, in all of their spellings."""
    delays: bool = False
    """Whether it applies nothing that is marked to come after a deploy, whatever it is called with."""
    required_names: tuple[str, ...] = ()
    """What the names are called that have to be given, in their order."""


class Constance(Value):
    """django-constance, where it keeps its values in a database."""

    label: str
    """"constance" since version 3, "database" before."""


class Project(Value):
    """The project as its interpreter sees it."""

    settings_module: str
    django_version: str
    python_version: str
    executable: str
    debug: bool
    called: str
    """How a person calls its commands, for example "manage.py" or "kiosk manage"."""
    settings_option: str | None = None
    """What follows the words of every command, for example "--settings=shop.settings"; None if nothing does."""

    argv: tuple[str, ...] = ()
    """Interpreter, script and the words before Django's own: what can be typed in any folder."""

    def to_type(self, *words: str) -> str:
        """Return one of its commands so that it can be pasted, whatever PATH has."""
        option = (self.settings_option,) if self.settings_option else ()
        return shlex.join((*(self.argv or shlex.split(self.called)), *words, *option))

    def command_line(self, *words: str) -> str:
        """Return one of its commands as a person knows it, to be read."""
        return shlex.join(
            (*shlex.split(self.called), *words, *((self.settings_option,) if self.settings_option else ()))
        )


class Snapshot(Value):
    """Everything a plan is made from. Holds no password and no DSN: they are never collected into it."""

    project: Project
    databases: tuple[Database, ...]
    """In the order of DATABASES."""
    apps: tuple[App, ...]
    """In the order of INSTALLED_APPS."""
    routers: tuple[Router, ...]
    router_errors: tuple[RouterError, ...]
    rules: tuple[RoutingRule, ...]
    conflicts: dict[str, tuple[str, ...]]
    """Leaf migrations of each app that has more than one."""
    unstarted: tuple[Unstarted, ...] = ()
    """In the order of INSTALLED_APPS."""
    changes: tuple[Change, ...] | None = None
    """Apps whose models changed; None if it was not asked, or leaf migrations contradict each other (`conflicts`)."""
    unstable: tuple[Unstable, ...] = ()
    """Empty where it was not asked, as it is only where models changed or for `check`."""
    receivers: tuple[Receiver, ...]
    replaced_commands: dict[str, str]
    """Of "migrate" and "makemigrations", those that are not Django's own, with the module that provides them."""
    commands: dict[str, Command]
    """migrate, makemigrations and squashmigrations."""
    constance: Constance | None
    relations: tuple[Relation, ...] = ()
    migrations: dict[MigrationId, Migration] = Field(default_factory=dict)
    """The graph: every migration on disk, and those that makemigrations would write where they were asked for."""
    recorded: tuple[tuple[MigrationId, ...], ...] = ()
    """What is recorded somewhere, of what this code knows and of what it has squashed: once for all databases on which
    it is the same (Database.recorded)."""
    dependencies: dict[MigrationId, tuple[MigrationId, ...]] = Field(default_factory=dict)
    """By migration that works on data and is to be done on some database: what it depends on, directly or not, each
    after what it depends on itself. It follows from `migrations` (planning/pending.py)."""

    phases: dict[MigrationId, PhaseOf] = Field(default_factory=dict)
    """By migration on disk, where phases were asked for. They follow from `migrations` and the configuration
    (planning/phases.py)."""
    uses_phases: bool = False
    """Whether the configuration or a mark on a migration of the project's own speaks of phases."""

    @property
    def last_app(self) -> str | None:
        """Label of the app that is migrated last on a database, and reported at the end; None if there is none."""
        return self.constance.label if self.constance is not None else None

    def database(self, alias: str) -> Database | None:
        """Return the database with this alias, or None."""
        return next((database for database in self.databases if database.alias == alias), None)

    def app(self, label: str) -> App | None:
        """Return the app with this label, or None."""
        return next((app for app in self.apps if app.label == label), None)


def label_of(name: str) -> str:
    """Return the app label of a migration ("blog.0001_initial") or a model ("blog.post")."""
    return name.split(".", 1)[0]
