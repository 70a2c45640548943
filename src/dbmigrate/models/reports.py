"""The answers of all commands but those that run a plan, and the envelope that all travel in as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Union, cast

from pydantic import Field

from dbmigrate.errors import DbmigrateError, ExitCode, StalePlanError
from dbmigrate.models.apps import OneAnswer, Router, RoutingRule
from dbmigrate.models.base import Report, Value
from dbmigrate.models.database import UNKNOWN_STATES, DatabaseState, Recorded, Trouble
from dbmigrate.models.differences import Difference
from dbmigrate.models.findings import FailOn, Finding
from dbmigrate.models.migrations import Answer, MigrationId
from dbmigrate.models.plan import Kind, PlannedPhase, Refusal, ShownPlan
from dbmigrate.models.reset import ResetList
from dbmigrate.models.result import RunReport
from dbmigrate.models.snapshot import Project, Receiver
from dbmigrate.models.sql import MigrationSql
from dbmigrate.models.verification import VerifiedDatabase


class StepSql(Value):
    """The statements of one step."""

    step: str
    alias: str
    migrations: tuple[MigrationSql, ...]


class PlanReport(Report):
    """The answer of `plan`."""

    type: Literal["plan"] = "plan"
    project: Project
    plan: ShownPlan
    boot_seconds: float
    """How long the project took to come up: what each spawned process costs before its first statement."""
    launcher: str
    """How the steps will be started: "fork" or "spawn"."""
    sql: tuple[StepSql, ...] | None
    """None if it was not asked for."""
    graph: Literal["mermaid", "dot"] | None = None
    """The drawing that is shown instead of the steps."""
    refusal: Refusal | None = None
    """Why a run of this plan would be refused, for example because a database takes no writes."""
    refused_with: int = 21
    """The exit code of a run of it, where there is a refusal."""

    @property
    def exit_code(self) -> ExitCode:
        """What `--exit-code` returns: whether there is something to write, or to apply."""
        if self.plan.make is not None:
            return ExitCode.MODEL_CHANGES
        is_pending = any(self.plan.pending_on(database.alias) for database in self.plan.databases)
        return ExitCode.PENDING if is_pending else ExitCode.OK


class DatabaseStatus(Value):
    """One database as it is now."""

    alias: str
    kind: Kind
    because: str | None
    """Owner of a "same", reason of a "replica"."""
    stands_for: str | None = None
    """The alias that a "same" is, or that a "replica" follows as the settings say."""
    state: DatabaseState
    trouble: Trouble | None = None
    """Why it does not answer; None if it does."""
    error: str | None
    """The driver's words for that."""
    server: str
    name: str
    apps: tuple[str, ...]
    """Labels of the apps that belong there."""
    is_skipped: bool = False
    """Whether `all` leaves it alone; what is wrong with it then fails nothing."""
    applied: int
    pending: int | None
    """Migrations that `all` would apply there; None if it cannot be known."""
    only_recorded: int
    """How many of `pending` would do nothing there."""
    by_phase: dict[PlannedPhase, int] | None = None
    """How many of `pending` run before the deploy, after it, or nobody has decided when; None where the database takes
    everything at once, or nobody knows."""
    unknown: int
    """Recorded there after everything that this code knows of their apps."""
    missing: tuple[str, ...] = ()
    """Tables that recorded migrations made and that are not there."""
    last_applied: Recorded | None

    @property
    def kind_in_short(self) -> str:
        """The kind as people read it: "routed", "replica of default"."""
        if self.stands_for is None:
            return self.kind
        return f"{self.kind} {'as' if self.kind == 'same' else 'of'} {self.stands_for}"


class MigrationStatus(Value):
    """One migration on all databases."""

    app: str
    name: str
    belongs_on: tuple[str, ...]
    """Aliases its app belongs on."""
    applied_on: dict[str, str]
    """By alias: when it was recorded there, ISO 8601."""


class StatusReport(Report):
    """The answer of `status`."""

    type: Literal["status"] = "status"
    project: Project
    databases: tuple[DatabaseStatus, ...]
    findings: tuple[Finding, ...]
    migrations: tuple[MigrationStatus, ...] | None
    """Every migration, by app in dependency order; None if it was not asked."""
    limits: tuple[str, ...] = ()
    """What was not looked at (MigrationPlan.limits)."""
    cures: dict[str, str] = Field(default_factory=dict)
    """By alias of a database that could not be checked: what to do about it."""

    @property
    def unknown(self) -> tuple[DatabaseStatus, ...]:
        """Databases that are not skipped, and of which nobody knows how they stand."""
        return tuple(
            database for database in self.databases if database.state in UNKNOWN_STATES and not database.is_skipped
        )

    @property
    def exit_code(self) -> ExitCode:
        """What `--exit-code` returns: an unreachable database ranks before pending migrations."""
        if self.unknown:
            return ExitCode.UNREACHABLE
        return ExitCode.PENDING if any(database.pending for database in self.databases) else ExitCode.OK


class SettingOrigin(Value):
    """A value of the configuration and where it came from."""

    key: str
    value: str | int | float | bool | tuple[str, ...] | None
    origin: str


class RoutedApp(Value):
    """One app, and what the routers say of it on every alias."""

    label: str
    is_own: bool
    """Whether makemigrations may write for it."""
    why: str
    """Why it counts as the project's own, or as third-party."""
    has_migrations: bool
    aliases: tuple[str, ...]
    """Aliases it belongs on."""
    answers: dict[str, Answer]
    """By alias: the answer for most of its models."""
    split: dict[str, dict[str, Answer]]
    """By alias: models with another answer."""


class InfoReport(Report):
    """The answer of `info`."""

    type: Literal["info"] = "info"
    project: Project
    root: str
    working_directory: str
    choices: tuple[SettingOrigin, ...]
    """Project, manage.py, interpreter and settings module, each with the reason."""
    configuration: tuple[SettingOrigin, ...]
    databases: tuple[DatabaseStatus, ...]
    routers: tuple[Router, ...]
    rules: tuple[RoutingRule, ...]
    routes: tuple[RoutedApp, ...]
    receivers: tuple[Receiver, ...]
    replaced_commands: dict[str, str]
    constance: str | None
    """App label of django-constance, where it keeps its values in a database."""
    findings: tuple[Finding, ...] = ()
    """Apps without migrations that Django cannot do without (DBM101)."""


class WrittenMigration(Value):
    """A migration that makemigrations wrote."""

    id: MigrationId
    aliases: tuple[str, ...]
    """Databases its app belongs on."""


class RoutesReport(Report):
    """The answer of `info --routes`."""

    type: Literal["routes"] = "routes"
    routes: tuple[RoutedApp, ...]


Because = Literal[
    "routers", "rules", "default", "silence", "existing", "open", "nobody", "unmanaged", "unfit", "replica"
]


class ExplainedDatabase(Value):
    """Why one model belongs on one database, or does not."""

    alias: str
    answers: tuple[OneAnswer, ...]
    """Every router's own answer, in the order of DATABASE_ROUTERS."""
    answer: Answer
    """What follows: the first answer that is not None."""
    belongs: bool
    because: Because
    """"routers" and "rules" say so; "default": nobody has an opinion and this is the default database; "silence":
    nobody has one here, and the default database is refused; "existing": nobody has one, and its table and the record
    of it are there; "open": the configuration migrates what nobody speaks of; "nobody": nobody has an opinion, and it
    is not the default database; "unmanaged": it has no table that Django creates; "unfit": this kind of
    server cannot hold it; "replica": it is written elsewhere."""


class ExplainReport(Report):
    """The answer of `info --explain`."""

    type: Literal["explain"] = "explain"
    model: str
    """label.Model."""
    table: str
    databases: tuple[ExplainedDatabase, ...]


class MakeReport(Report):
    """The answer of `make`."""

    type: Literal["make"] = "make"
    migrations: tuple[WrittenMigration, ...]
    findings: tuple[Finding, ...] = ()
    """What is wrong with the apps that were written for: foreign keys that cross databases."""
    foreign: tuple[str, ...] = ()
    """Installed apps whose models changed: theirs are not the project's to write."""
    limits: tuple[str, ...] = ()
    """What was not looked at (MigrationPlan.limits)."""
    next_words: tuple[str, ...] = ()
    """What follows "dbmigrate" in the command that leaves nothing pending; empty if nothing was written."""


class SquashReport(Report):
    """The answer of `squash`."""

    type: Literal["squash"] = "squash"
    app: str
    written: tuple[MigrationId, ...]
    replaces: tuple[MigrationId, ...]


class Waited(Value):
    """Whether one database answers."""

    alias: str
    state: DatabaseState
    trouble: Trouble | None
    error: str | None
    """Why not, in the driver's words."""


class WaitReport(Report):
    """The answer of `wait`: the databases that `all` would migrate, or those that were named."""

    type: Literal["wait"] = "wait"
    databases: tuple[Waited, ...]
    seconds: float

    @property
    def silent(self) -> tuple[Waited, ...]:
        """Databases that do not answer."""
        return tuple(database for database in self.databases if database.state in UNKNOWN_STATES)

    @property
    def exit_code(self) -> ExitCode:
        """What the process returns."""
        return ExitCode.UNREACHABLE if self.silent else ExitCode.OK


class NotRun(Value):
    """A check that was not run."""

    id: str
    because: str


class NotChecked(Value):
    """A database that was to be looked at and could not be."""

    alias: str
    error: str
    trouble: Trouble | None = None


class Linted(Value):
    """Migrations of one database whose SQL the linter has read."""

    alias: str
    migrations: tuple[MigrationId, ...]


class NotLinted(Value):
    """Pending migrations of one database that the linter could not read."""

    alias: str
    migrations: tuple[MigrationId, ...]
    because: str


class LintReport(Value):
    """What `check --lint` looked at; what it found is among the findings, with ids that begin with "squawk:"."""

    linted: tuple[Linted, ...]
    not_linted: tuple[NotLinted, ...]


class CheckReport(Report):
    """The answer of `check`."""

    type: Literal["check"] = "check"
    project: Project
    databases: tuple[str, ...]
    """Aliases that were looked at; with `--offline` those that would be."""
    checks: tuple[str, ...]
    """Ids of the checks that were run."""
    findings: tuple[Finding, ...]
    """One that makes the command fail is an error here, whatever its level is without `--fail-on`."""
    not_run: tuple[NotRun, ...]
    not_checked: tuple[NotChecked, ...]
    pending: dict[str, tuple[MigrationId, ...]] | None
    """By alias: what `all` would apply there; None if it was not asked."""
    fail_on: FailOn
    lint: LintReport | None = None
    """None if it was not asked."""
    limits: tuple[str, ...] = ()
    """What was not looked at (MigrationPlan.limits)."""
    cures: dict[str, str] = Field(default_factory=dict)
    """By alias of a database that could not be checked: what to do about it."""
    is_offline: bool = False
    """Whether `--offline` kept it from asking any database."""

    @property
    def failing(self) -> tuple[Finding, ...]:
        """The findings that make the command fail."""
        return tuple(finding for finding in self.findings if finding.level == "error")

    @property
    def exit_code(self) -> ExitCode:
        """What the process says to a script: what a person has to fix, before what may fix itself."""
        categories = {finding.category for finding in self.failing}
        if categories == {"drift"}:
            return ExitCode.DRIFT
        if categories:
            return ExitCode.MODEL_CHANGES if categories == {"model-changes"} else ExitCode.FINDINGS
        if self.not_checked:
            return ExitCode.UNREACHABLE
        return ExitCode.PENDING if self.pending and any(self.pending.values()) else ExitCode.OK


class Repair(Value):
    """What would put one thing right: statements for the database first, then commands."""

    alias: str
    about: str
    """The migrations or the index."""
    why: str
    statements: tuple[str, ...]
    shell: tuple[str, ...] = ()
    """What takes the statements on its stdin and ends at the first that fails.

    Where SQLite makes a table again, the old one must not be dropped if its rows cannot be copied.
    """
    commands: tuple[str, ...]
    notes: tuple[str, ...] = ()
    """What a person has to know, and to do by hand, next to them."""
    unjudged: tuple[str, ...] = ()
    """Operations of which nothing shows whether they have run; as long as there are some, nothing is recorded."""


class VerifyReport(Report):
    """The answer of `verify`."""

    type: Literal["verify"] = "verify"
    project: Project
    databases: tuple[VerifiedDatabase, ...]
    pending: dict[str, tuple[MigrationId, ...]]
    """By alias: what `all` would apply there."""
    repairs: tuple[Repair, ...] | None
    """None if they were not asked for."""
    findings: tuple[Finding, ...] = ()
    """Apps without migrations that Django cannot do without (DBM101)."""
    limits: tuple[str, ...] = ()
    """What was not looked at (MigrationPlan.limits)."""
    cures: dict[str, str] = Field(default_factory=dict)
    """By alias of a database that could not be checked: what to do about it."""

    @property
    def exit_code(self) -> ExitCode:
        """What the process says to a script: what a person has to fix, before what may fix itself."""
        if any(database.has_drift for database in self.databases):
            return ExitCode.DRIFT
        if any(database.error is not None for database in self.databases):
            return ExitCode.UNREACHABLE
        return ExitCode.PENDING if any(self.pending.values()) else ExitCode.OK

    @property
    def databases_in_disorder(self) -> tuple[VerifiedDatabase, ...]:
        """The databases that `exit_code` speaks of: with drift, with pending migrations, or not checked."""
        return tuple(
            database
            for database in self.databases
            if database.has_drift or database.error is not None or self.pending[database.alias]
        )


AnyReport = Union[
    PlanReport,
    RunReport,
    StatusReport,
    InfoReport,
    RoutesReport,
    ExplainReport,
    MakeReport,
    SquashReport,
    WaitReport,
    CheckReport,
    VerifyReport,
]


class ExitReport(Value):
    """How the command ended."""

    code: int
    name: str

    @classmethod
    def of(cls, code: ExitCode) -> ExitReport:
        """Return it for an exit code."""
        return cls(code=code, name=code.label)


class ErrorReport(Value):
    """The error that ended the command."""

    message: str
    hint: str | None
    detail: str | None
    changed: bool | None = None
    """Whether the command had changed files or databases before it; null where that goes without saying."""
    differences: tuple[Difference, ...] = ()
    """Of an exit 32: how what is there differs from what the plan was made from, the cause first."""

    @classmethod
    def of(cls, error: DbmigrateError | None) -> ErrorReport | None:
        """Return it for an error; None for none."""
        if error is None:
            return None
        differences = tuple(error.differences) if isinstance(error, StalePlanError) else ()
        return cls(
            message=error.message,
            hint=error.hint,
            detail=error.detail,
            changed=error.changed,
            differences=cast("tuple[Difference, ...]", differences),
        )


class Envelope(Value):
    """What `--format json` prints, for every command and every outcome."""

    version: Literal[1] = 1
    command: str | None
    """None if the command line could not be read so far."""
    exit: ExitReport
    result: AnyReport | None
    error: ErrorReport | None
    lost_output: tuple[str, ...] = ()
    """What could not be written of the other output, for example a report that nobody reads."""
    reset: ResetList | None = None
    """What `reset` takes away, or would after a confirmation."""

    @classmethod
    def of(
        cls,
        command: str | None,
        code: ExitCode,
        result: AnyReport | None,
        error: DbmigrateError | None,
        lost_output: Sequence[str] = (),
        reset: ResetList | None = None,
    ) -> Envelope:
        """Wrap an answer, or an error, or (for a run that failed) neither."""
        return cls(
            command=command,
            exit=ExitReport.of(code),
            result=result,
            error=ErrorReport.of(error),
            lost_output=tuple(lost_output),
            reset=reset,
        )
