"""What will happen: the plan that is shown is the plan that runs."""

from __future__ import annotations

from typing import Annotated, Literal

from dbmigrate.models.apps import Change
from dbmigrate.models.base import Value, Whole
from dbmigrate.models.basis import Basis, Sha256
from dbmigrate.models.database import DEFAULT_ALIAS
from dbmigrate.models.findings import Finding
from dbmigrate.models.migrations import MigrationId
from dbmigrate.models.selection import Selection

Kind = Literal["default", "routed", "open", "replica", "read-only", "in-memory", "same", "empty", "excluded"]

SkipReason = Literal[
    "open",
    "replica",
    "read-only",
    "in-memory",
    "same",
    "empty",
    "excluded",
    "nothing-pending",
    "not-selected",
    "other-phase",
]

PlannedPhase = Literal["pre", "post", "undecided"]
"""When around a deploy a pending migration runs; "undecided" is for a person to say."""

StepReason = Literal["pending", "squashed", "receivers", "replaced-command", "always"]


class GuardScope(Value):
    """What the guard router, last in the chain, leaves in on one alias where the project's routers have no opinion."""

    alias: str
    apps: dict[str, tuple[str, ...] | None]
    """App labels that belong there: their models by lower-case name, or None for the whole app."""
    others: bool
    """The answer for apps not named: True lets Django do as it would."""


class PlannedMigration(Value):
    """A migration as one alias will see it."""

    id: MigrationId
    does: bool
    """Whether it does something there; otherwise it is only recorded (routers refuse all of its operations)."""
    atomic: bool = True
    """Whether it runs in a transaction, on databases that can do that for schema changes."""
    is_written: bool = True
    """Whether it is in a file; otherwise makemigrations writes it first, under this name."""
    backwards: bool = False
    irreversible: str | None = None
    """If it is to be undone and cannot be: the operation that stands in the way."""
    may_be_faked: bool = False
    """Whether all that it makes is there already and `--fake-initial` records it without running it."""
    works_on_data: bool = False
    """Whether it works on rows there, or may; `--fake-initial` would skip that too."""
    phase: PlannedPhase | None = None
    """None where it was not asked, and where the database takes everything at once."""
    phase_because: str | None = None
    """What says so: a pattern of the configuration, a mark, what an operation does, or what it waits for."""


class Refusal(Value):
    """Why a plan, or one of the project's commands in it, cannot be run as it has to be."""

    message: str
    hint: str


class Step(Value):
    """One `manage.py migrate` process."""

    id: str
    """The alias, or alias:app."""
    alias: str
    app: str | None
    """None for the whole database."""
    to: str | None
    arguments: tuple[str, ...]
    """What follows manage.py, without --settings."""
    migrations: tuple[PlannedMigration, ...]
    """What it will apply or undo, in order; what an earlier step of the plan applies is not repeated."""
    synced: tuple[str, ...] = ()
    """Models (label.model) of apps without migrations whose tables it makes (`--run-syncdb`)."""
    reason: StepReason
    because: tuple[str, ...]
    """Names behind the reason: squashed migrations, receivers, or the module that replaces the command."""
    after: tuple[str, ...]
    """Steps that must have ended before it starts."""
    needs: tuple[str, ...]
    """Those of `after` without whose success it cannot work: its migrations depend on theirs."""
    scope: GuardScope | None
    refusal: Refusal | None = None
    """Why the project's own migrate cannot be called like this; None if it can."""

    @property
    def is_forward(self) -> bool:
        """Whether it goes to a migration that was not applied when it was planned, and so undoes nothing."""
        return self.to is not None and not any(migration.backwards for migration in self.migrations)


class PlannedDatabase(Value):
    """One database of the project, and what the plan does with it."""

    alias: str
    kind: Kind
    because: str | None
    """A fact for the kind: the owner of a "same", why a "replica" or "read-only" one takes no writes."""
    apps: tuple[str, ...]
    """Labels of the apps that belong there."""
    skip: SkipReason | None
    """Why no step runs there; None if one does."""
    out_of_reach: tuple[PlannedMigration, ...] = ()
    """What is pending on a "read-only" database, which nobody can apply there."""
    is_unknown: bool = False
    """Whether it could not be asked what is applied there."""
    at_once: bool = False
    """Whether nothing is recorded there, so that it takes what runs in any phase of a deploy."""
    later: tuple[PlannedMigration, ...] = ()
    """What is pending there and left to the other phase."""
    may_stand_in: bool = False
    """Of a "same": whether it would take its owner's place if that one was excluded and this one not left open."""
    unopposed: int
    """Models that nobody has an opinion about here, and that are therefore left out."""

    @property
    def is_targeted(self) -> bool:
        """Whether the plan looks after it, be it that nothing is pending there."""
        return self.skip in (None, "nothing-pending", "other-phase")


class Need(Value):
    """A migration that works on data and needs what another database has."""

    alias: str
    """Where it is applied, or undone."""
    migration: MigrationId
    other: str
    """The database that it needs something of."""
    needed: MigrationId
    """The last migration there that it depends on, which is pending there, or to be undone."""
    is_certain: bool = True
    """Whether it works with an app that lives there; otherwise it depends on one, and may or may not work with it."""
    backwards: bool = False
    """Whether both are to be undone."""

    @property
    def first(self) -> str:
        """The database that has to come before the other one."""
        return self.alias if self.backwards else self.other

    @property
    def then(self) -> str:
        """The database that has to come after the other one."""
        return self.other if self.backwards else self.alias

    @property
    def is_followed(self) -> bool:
        """Whether the order of the plan goes by it; one that is not certain counts for the default database alone."""
        return self.is_certain or self.then == DEFAULT_ALIAS

    @property
    def sentence(self) -> str:
        """Which migration needs which, or only depends on it."""
        undoing, needs = "undoing " if self.backwards else "", "needs" if self.is_certain else "depends on"
        return f"{undoing}{self.migration} on {self.alias} {needs} {self.needed} on {self.other}"


class LastApp(Value):
    """Where the tables of the app that comes last (Snapshot.last_app) come from in this plan."""

    label: str
    aliases: tuple[str, ...]
    """Aliases its models are routed to and that this plan looks after."""
    pending: bool
    """Whether the plan applies migrations of it."""
    own_steps: tuple[str, ...]
    """Ids of steps that are there for it alone."""


class MakeMigrations(Value):
    """The one `manage.py makemigrations` process that comes before everything else."""

    apps: tuple[str, ...]
    changes: tuple[Change, ...]
    arguments: tuple[str, ...]
    refusal: Refusal | None = None
    """Why the project's own makemigrations cannot be called like this; None if it can."""

    @property
    def constraining(self) -> frozenset[MigrationId]:
        """Migrations to be written that make a foreign key with a constraint, under the names they would get."""
        return frozenset(identifier for change in self.changes for identifier in change.constraints.values())


class MigrationPlan(Value):
    """Every step in the order of the plan, and every database with what happens to it.

    It depends on the project and on what its databases have applied alone: two machines make the same plan.
    """

    selection: Selection
    make: MakeMigrations | None
    """None if there is nothing to write or it was not asked for. What it writes is in `steps`, marked as not written,
    but for what makemigrations would have to ask about first."""
    databases: tuple[PlannedDatabase, ...]
    """In the order of DATABASES."""
    steps: tuple[Step, ...]
    """Every step stands after the ones it waits for."""
    constance: LastApp | None
    """Of the app that comes last, which is django-constance's; the key is what JSON calls it."""
    needs: tuple[Need, ...] = ()
    """What its migrations need of other databases, one of its own or not: a need for each pair. It goes by them, unless
    they need each other (DBM210)."""
    needed_elsewhere: tuple[Need, ...] = ()
    """What the selection left out of it and one of its databases may miss: a migration that one of its own depends on,
    or, of what it undoes, one that depends on it and stays applied. What is certainly needed is refused (`unmet`)."""
    limits: tuple[str, ...] = ()
    """What was not looked at, a sentence each: of these nobody may say that nothing is pending."""

    def steps_on(self, alias: str) -> tuple[Step, ...]:
        """Return its steps on one alias, in their order."""
        return tuple(step for step in self.steps if step.alias == alias)

    def pending_on(self, alias: str) -> tuple[MigrationId, ...]:
        """Return the migrations that it applies or undoes on one alias, or that are out of reach, in their order."""
        return tuple(migration.id for migration in self.planned_on(alias))

    def left_on(self, alias: str) -> tuple[MigrationId, ...]:
        """Return the migrations that are pending on one alias and left to the other phase of a deploy."""
        return tuple(one.id for database in self.databases if database.alias == alias for one in database.later)

    def planned_on(self, alias: str) -> tuple[PlannedMigration, ...]:
        """Return what `pending_on` names, and what is out of reach there."""
        out_of_reach = [one for database in self.databases if database.alias == alias for one in database.out_of_reach]
        return tuple(one for step in self.steps_on(alias) for one in step.migrations) + tuple(out_of_reach)

    @property
    def at_once(self) -> tuple[str, ...]:
        """The databases with steps that take everything in any phase of a deploy."""
        return tuple(database.alias for database in self.databases if database.at_once and database.skip is None)

    @property
    def targeted(self) -> tuple[str, ...]:
        """The databases that it looks after, those with nothing pending included."""
        return tuple(database.alias for database in self.databases if database.is_targeted)

    @property
    def checked(self) -> tuple[str, ...]:
        """The databases that are held to what belongs there: also those that take no writes."""
        return tuple(
            database.alias
            for database in self.databases
            if database.is_targeted or (database.skip == "read-only" and database.apps)
        )

    @property
    def unmet(self) -> tuple[Need, ...]:
        """What its migrations certainly need of other databases, and it does not do there."""
        return tuple(
            need
            for need in self.needs
            if need.is_certain and not need.backwards and need.needed not in self.pending_on(need.other)
        )

    @property
    def unwritten(self) -> frozenset[MigrationId]:
        """Migrations that makemigrations writes first, of its steps and of what it leaves to the other phase."""
        own = [migration for step in self.steps for migration in step.migrations]
        left = [migration for database in self.databases for migration in database.later]
        return frozenset(migration.id for migration in (*own, *left) if not migration.is_written)

    def synced_on(self, alias: str) -> tuple[str, ...]:
        """Return the models of apps without migrations whose tables it makes on one alias."""
        return tuple(model for step in self.steps_on(alias) for model in step.synced)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to write and nothing to run."""
        return self.make is None and not self.steps


class ShownPlan(MigrationPlan):
    """A plan with what to know before it runs here and now: that depends on this machine, and on the data."""

    jobs: int
    """How many databases may be migrated at the same time."""
    findings: tuple[Finding, ...]
    losses: tuple[Finding, ...] = ()
    """What destroys data in migrations that are not written yet: a run asks first, or refuses."""
    basis: Basis | None = None
    """What it was made from; None where nobody is going to compare it: only `plan` and what approves a plan ask."""
    digest: Annotated[Sha256 | None, Whole()] = None
    """Of the selection, the steps and the basis without statements, versions and times. Two machines get the same."""

    @classmethod
    def of(
        cls, plan: MigrationPlan, *, jobs: int, findings: tuple[Finding, ...], losses: tuple[Finding, ...]
    ) -> ShownPlan:
        """Add what belongs to here and now."""
        return cls(**dict(plan), jobs=jobs, findings=findings, losses=losses)

    def warnings(self, said: str = "") -> tuple[Finding, ...]:
        """Return what a run says of its plan before it starts; notes are for those who look at the plan.

        `said`: a refusal that is shown next to them; what it says is left out.
        """
        return tuple(
            finding.as_warning(fails_run=self._fails_for(finding))
            for finding in self.findings
            if finding.level != "note" and finding.sentence not in said
        )

    def _fails_for(self, finding: Finding) -> bool:
        """Whether a run of it ends with exit 12 because of a finding that does not stop it."""
        is_about = not self.selection.apps or bool({*finding.apps} & {*self.selection.apps})
        return finding.fails_runs and is_about and not self.selection.fake

    @property
    def make_first(self) -> str:
        """What to type, and to do, about `losses` before the run; a makemigrations that demands a name is refused."""
        labels = dict.fromkeys(label for loss in self.losses for label in loss.apps)
        return f"dbmigrate make {' '.join(labels)}, review what it wrote"
