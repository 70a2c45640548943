"""What one look found of the project's apps: their models, who routes them where, and what their models lack."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from dbmigrate.models.base import Value
from dbmigrate.models.migrations import Answer, MigrationId


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
    """Models that this kind of server cannot hold (`required_db_vendor`, `required_db_features`): their "no" is not
    a router's."""

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
    is_as_migrated: bool = False
    """Whether it raised only for the class that `migrate` passes, which lacks what the project's class has."""


class Contradiction(Value):
    """A model of which the routers say something else to `migrate` than of the project's class."""

    router: str
    alias: str
    model: str
    """label.model."""
    answer: Answer
    """For the project's class."""
    as_migrated: Answer
    """For the class that `migrate` passes, which has only what migrations know of the model."""


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
