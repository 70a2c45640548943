"""What one look at the project and its databases found: the host's answer to `inspect`."""

from __future__ import annotations

import shlex
from typing import Literal

from pydantic import Field

from dbmigrate.models.apps import App, Change, Contradiction, Router, RouterError, RoutingRule, Unstable, Unstarted
from dbmigrate.models.base import Value
from dbmigrate.models.database import Database
from dbmigrate.models.migrations import Migration, MigrationId, PhaseOf, Relation


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
    contradictions: tuple[Contradiction, ...] = ()
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
