"""What dbmigrate and the process that has booted the project say to each other: both sides are annotated from here.

JSON lines. dbmigrate writes a `Start`, whose reply is a `Booted` with the number 0, and then `Request`s, each of which
gets one reply with its number, in their order. For every question there are `…Arguments`, which are passed to its
handler by name (host.py), and a `…Reply`, named after the question.

Annotations only: the process of the project never imports this file, whose types cost a millisecond or two to make.
A tuple is a list of that length in JSON. `null` is None. A migration is "app label.name", a model "app label.Model" or
"app label.model", in lower case where nothing else is said; a time is in seconds.
"""

from typing import Any, Dict, List, Literal, Optional, Tuple, TypedDict, Union

Question = Literal[
    "inspect",
    "describe_undoing",
    "find_changes",
    "find_unstable",
    "describe_fields",
    "forget",
    "locate",
    "sql",
    "describe_files",
    "describe_tables",
    "database_host",
    "describe_holdings",
    "find_hand_written",
    "find_holders",
    "make_scratch",
    "drop_scratch",
    "empty",
    "reach",
    "find_room",
    "count_sessions",
    "is_recorded",
    "trace",
    "explain",
    "verify",
    "lock",
    "check_locks",
    "unlock",
    "end_orphans",
    "why_not_fork",
    "fork",
    "how_ended",
    "find_blockers",
]

FailureKind = Literal[
    # of the boot
    "python-too-old",
    "django-too-old",
    "no-django",
    "exit",
    "no-command",
    "exec",
    # of the project's code or settings, whatever is asked
    "project",
    "router",
    "engine",
    "migrations",
    # of a database that a question is about
    "database",
    # of one question
    "circular",
    "scratch",
    "emptying",
    "no-lock",
    "no-room",
    "no-pool",
    "no-files",
    "no-writes",
    "silent-lock",
]
"""What went wrong; project/failures.py says each of them to a person."""

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


class TwinStart(TypedDict):
    root: str
    folder: str
    packages: Dict[str, str]  # by dotted path of a migrations package: the folder it is imported from
    labels: List[str]
    databases: Dict[str, str]  # by alias: NAME of its scratch database


class Start(TypedDict):
    manage: List[str]  # manage.py and the words before Django's own, or "-m", "django"
    words: List[str]  # of the command that the project is booted for
    twin: Optional[TwinStart]
    wanted: Tuple[str, str, str]  # regular expressions: of names, of names that are not meant, of texts


class Booted(TypedDict):
    named_values: List[Tuple[str, str]]  # (name, text) of what may be secret
    names: List[str]  # what things are called, sorted: no secrets
    boot_seconds: float


class Request(TypedDict):
    number: int  # from 1
    question: Question
    arguments: Dict[str, Any]
    silence_seconds: float  # how long a server may say nothing
    servers_seconds: Optional[float]  # how long servers may take together; None: as long as they need


# {"number", "ok": true, "result"} or {"number", "ok": false, "error": a failure}: one of those below, by its kind.


class Failure(TypedDict):
    kind: FailureKind
    message: str  # what the exception says, in one line; or the name that all is about


class _BootFailure(Failure, total=False):
    named_values: List[Tuple[str, str]]  # as of Booted; where the project did not come up


class PlainFailure(_BootFailure):
    """python-too-old, django-too-old, no-command, exec; no-files, no-writes, and no-lock of a file."""


class _CodeFailure(_BootFailure):
    file: Optional[str]  # of the innermost frame that is the project's
    line: Optional[int]  # from 1
    traceback: str


class CodeFailure(_CodeFailure):
    """exit, emptying."""


class ProjectFailure(_CodeFailure):
    """project."""

    safe_path: bool  # whether an import failed and PYTHONSAFEPATH may be why


class DjangoFailure(ProjectFailure):
    """no-django."""

    consoles: List[Tuple[str, Optional[str]]]  # scripts with a Django of their own: (name, other interpreter)


class RouterFailure(_CodeFailure):
    """router."""

    entry: str  # of DATABASE_ROUTERS
    is_text: bool  # whether DATABASE_ROUTERS is one
    is_wrong: bool  # whether the entry is, and not what is run when it is loaded
    names: List[str]  # of routers in its module


class EngineFailure(_CodeFailure):
    """engine."""

    alias: str
    engine: str
    is_wrong: bool
    because: Optional[str]  # the ImportError behind Django's sentence


class _MissingMigration(_CodeFailure, total=False):
    needed_by: str
    written_in: Optional[str]  # file of that one
    is_installed: bool  # whether the app of the missing one is
    names: List[str]  # the migrations that it has, sorted


class MigrationsFailure(_MissingMigration):
    """migrations: they cannot be loaded."""

    missing: Optional[str]  # the migration that is not there; only with it the other keys are there


class DatabaseFailure(_BootFailure):
    """database; of the boot, where its server was silent."""

    alias: str
    trouble: Trouble


class CircularFailure(Failure):
    """circular: migrations that makemigrations would write need each other."""

    apps: List[str]


class ScratchFailure(Failure):
    """scratch."""

    alias: str
    vendor: str
    user: Optional[str]
    is_full: bool


class LockFailure(Failure):
    """no-room, no-pool, and no-lock of a server: what a URL to the same database begins with."""

    alias: str
    vendor: str
    host: str
    port: str
    name: str


class SilentLockFailure(Failure):
    """silent-lock."""

    alias: str


class InspectArguments(TypedDict):
    root: str  # the project's: what lies outside of it is third-party
    changes: bool  # whether to begin, in a copy of the process, with what find_changes is asked for next
    records: bool  # whether to list what is applied
    contact: bool  # whether to ask the databases
    foreseen: List[str]  # labels of apps whose changes are described as if they were written
    phases: bool  # whether to say what migrations say of when around a deploy they may run
    afterwards: bool  # whether it is asked what became of a run whose locks are held


class InspectedProject(TypedDict):
    settings_module: str
    django_version: str
    python_version: str
    executable: str
    debug: bool


class PhaseMarkReply(TypedDict):
    attribute: str  # of the migration, or a setting
    says: Optional[str]
    text: str  # the value


class RefusedInsertReply(TypedDict):
    """models.migrations.RefusedInsert."""

    operation: str
    model: str
    field: str
    text: str
    made_by: List[str]


class _PhaseWorkReply(TypedDict):
    says: str
    operation: str  # the number of the one that decides it; "" for none
    text: str
    by: str  # the setting that decides it; "" for none


class PhaseWorkReply(_PhaseWorkReply, total=False):
    """models.migrations.PhaseWork."""

    refused: List[RefusedInsertReply]


class PhaseFacts(TypedDict):
    marks: List[PhaseMarkReply]
    work: PhaseWorkReply


class MigrationReply(TypedDict, total=False):
    """models.migrations.Migration; what is left out is as that has it."""

    after: List[str]  # sorted
    replaces: List[str]
    atomic: bool
    is_written: bool
    is_initial: bool
    marks: List[PhaseMarkReply]
    work: PhaseWorkReply


class RoomReply(TypedDict):
    kind: str
    name: str
    key: str
    most: int
    others: int


class _AnyDatabase(TypedDict):
    alias: str
    engine: str
    vendor: str
    name: str
    host: str
    port: str
    mirror_of: Optional[str]
    state: str
    trouble: Optional[Trouble]
    error: Optional[str]
    transactional_ddl: bool
    routes: Dict[str, Dict[str, Any]]  # by app label
    identity: Optional[str]
    read_only: Optional[str]
    in_memory: bool


class DatabaseReply(_AnyDatabase, total=False):
    """What is left out is as models.database.Database has it: of one that does not answer nearly all."""

    server: str
    pooler: Optional[str]
    room: List[RoomReply]
    recorded: Optional[int]  # index in `recorded` of the reply
    last_applied: Optional[Dict[str, str]]
    records: Optional[List[Dict[str, str]]]  # the oldest first; None: not asked for
    unknown: List[str]
    leftover: List[str]
    undo_to: Dict[str, str]
    left_tables: Dict[str, List[str]]
    inconsistent: Optional[str]
    cut_off: List[Dict[str, Any]]
    effects: Dict[str, Dict[str, Any]]  # by migration
    existing: List[str]
    tables: Optional[int]
    schema_name: Optional[str]
    census: Optional[Dict[str, Dict[str, int]]]
    missing: List[Dict[str, Any]]
    refusing: List[Dict[str, Any]]
    unsynced: List[str]
    present: List[str]
    role: Optional[str]
    rights_unknown: Optional[str]
    lacking: List[Dict[str, Any]]


class InspectReply(TypedDict):
    project: InspectedProject
    databases: List[DatabaseReply]  # in the order of DATABASES
    migrations: Dict[str, MigrationReply]
    recorded: List[List[str]]  # sorted; what is recorded on several databases alike stands here once
    apps: List[Dict[str, Any]]  # models.apps.App, in the order of INSTALLED_APPS
    routers: List[Dict[str, Any]]
    router_errors: List[Dict[str, Any]]
    contradictions: List[Dict[str, Any]]
    rules: List[Dict[str, Any]]
    conflicts: Dict[str, List[str]]  # leaf migrations by app label, where there are several
    unstarted: List[Dict[str, Any]]
    receivers: List[Dict[str, Any]]
    replaced_commands: Dict[str, str]
    commands: Dict[str, Dict[str, Any]]
    constance: Optional[Dict[str, Any]]
    relations: List[Dict[str, Any]]


class FindChangesArguments(TypedDict):
    started: List[str]  # labels of apps without migrations that makemigrations is called for by name


class ChangeReply(TypedDict):
    app: str
    operations: List[str]
    question: Optional[str]
    is_writable: bool
    model: Optional[str]
    altered: List[Tuple[str, str]]  # (model, field)
    constraints: Dict[str, str]  # by model.field: the migration
    carries: List[str]


FindChangesReply = Optional[List[ChangeReply]]  # None: leaf migrations contradict each other


class FindUnstableArguments(TypedDict):
    labels: List[str]
    altered: List[Tuple[str, str]]  # (model, field)


class UnstableReply(TypedDict):
    model: str
    field: Optional[str]  # None for the options of the model
    kind: str
    why: str


class FindUnstableReply(TypedDict):
    found: List[UnstableReply]
    doubtful: List[Tuple[str, str]]  # those of `altered` whose source does not say what they are made with


class DescribeFieldsArguments(TypedDict):
    fields: List[Tuple[str, str]]  # (model, field)


DescribeFieldsReply = List[str]  # as makemigrations would write them, in the order asked


class ForgetArguments(TypedDict):
    labels: List[str]


ForgetReply = None


class LocateArguments(TypedDict):
    subjects: List[List[str]]  # models.findings.Subject: the kind, and names
    root: str


LocateReply = List[Optional[Tuple[str, Optional[int]]]]  # (file, line from 1), in the order asked


class AskedMigration(TypedDict):
    id: str
    backwards: bool


class GuardScope(TypedDict):
    alias: str
    apps: Dict[str, Optional[List[str]]]  # by label: lower-case names of models, None for all
    others: bool


class SqlArguments(TypedDict):
    alias: str
    migrations: List[AskedMigration]
    scope: Optional[GuardScope]
    foreseen: List[str]
    is_compared: bool  # whether no time of day may stand in the statements


class MigrationSqlReply(TypedDict):
    id: str
    statements: List[str]
    problem: Optional[str]
    is_by_cursor: bool
    deferred: int


SqlReply = List[MigrationSqlReply]  # in the order asked


class DescribeFilesArguments(TypedDict):
    migrations: List[str]


class FileHashReply(TypedDict):
    sha256: str
    code: str
    calls: Optional[Dict[str, str]]  # by dotted name of a module; None: the migration is not loaded
    has_more: bool
    sql: Optional[str]  # "": it has no RunSQL; None: the migration is not loaded


DescribeFilesReply = Dict[str, Optional[FileHashReply]]  # by migration; None: it has no file


class DescribeTablesArguments(TypedDict):
    alias: str
    migrations: List[AskedMigration]  # of the last inspect, in the order of the plan
    root: str  # the project's


class TableBasisReply(TypedDict):
    columns: Dict[str, str]
    others: Dict[str, str]


class DescribeTablesReply(TypedDict):
    identity: str
    driver: str
    tables: Dict[str, Optional[TableBasisReply]]  # by name; None: it is not there


class DatabaseHostArguments(TypedDict):
    alias: str


DatabaseHostReply = str  # "": a file or a socket


class DescribeHoldingsArguments(TypedDict):
    alias: str
    count: bool  # whether to count rows


class Thing(TypedDict):
    kind: str
    schema_name: str
    name: str
    on: Optional[str]
    shown: str
    in_sql: str


class DescribeHoldingsReply(TypedDict):
    schema_name: str
    things: List[Thing]  # sorted by kind, schema and name
    rows: Dict[str, int]  # by `in_sql` of tables


class FindHandWrittenArguments(TypedDict):
    labels: List[str]


FindHandWrittenReply = List[Tuple[str, str]]  # (absolute path, class of an operation)


class FindHoldersArguments(TypedDict):
    alias: str
    things: List[Thing]


class HolderReply(TypedDict):
    kind: str
    name: str
    to: str


FindHoldersReply = List[HolderReply]  # sorted


class MakeScratchArguments(TypedDict):
    aliases: List[str]
    folder: str  # for those of SQLite


MakeScratchReply = Dict[str, str]  # NAME by alias


class DropScratchArguments(TypedDict):
    pass


DropScratchReply = None


class EmptyArguments(TypedDict):
    alias: str
    things: List[Thing]
    rehearse: bool  # whether to roll it back at the end


EmptyReply = None


class ReachArguments(TypedDict):
    aliases: List[str]
    seconds: float


class ReachedReply(TypedDict):
    state: str
    trouble: Optional[Trouble]
    error: Optional[str]


ReachReply = Dict[str, ReachedReply]  # by alias


class DescribeUndoingArguments(TypedDict):
    undone: Dict[str, List[str]]  # by alias: migrations of the last inspect, in the order they would be undone


class UndoingReply(TypedDict):
    undoing: Dict[str, Dict[str, Any]]  # by migration: models.migrations.Undoing
    role: Optional[str]
    rights_unknown: Optional[str]
    lacking: List[Dict[str, Any]]


DescribeUndoingReply = Dict[str, Union[UndoingReply, ReachedReply]]  # by alias; why not, where it does not answer


class FindRoomArguments(TypedDict):
    aliases: List[str]
    seconds: float  # for each


FindRoomReply = Dict[str, List[RoomReply]]  # by alias of those that answer


class CountSessionsArguments(TypedDict):
    aliases: List[str]


CountSessionsReply = int


class IsRecordedArguments(TypedDict):
    alias: str
    migration: str


IsRecordedReply = bool


class TraceArguments(TypedDict):
    alias: str
    migration: str


class OperationTraceReply(TypedDict):
    text: str
    is_there: Optional[bool]


TraceReply = List[OperationTraceReply]  # in the order of the operations


class ExplainArguments(TypedDict):
    name: str  # of a model, in any case


class OneAnswerReply(TypedDict):
    router: str
    answer: str
    error: Optional[str]


class ModelAnswersReply(TypedDict):
    model: str
    table: str
    has_own_table: bool
    answers: Dict[str, List[OneAnswerReply]]  # by alias, in the order of DATABASE_ROUTERS


ExplainReply = Optional[ModelAnswersReply]  # None: there is no such model


class VerifyArguments(TypedDict):
    placements: Dict[str, Dict[str, Optional[List[str]]]]  # by alias, by app label: lower-case models, None for all
    repair: bool


class VerifiedDatabaseReply(TypedDict):
    alias: str
    error: Optional[str]
    trouble: Optional[Trouble]
    inconsistent: Optional[str]
    migrations: List[Dict[str, Any]]  # models.verification.VerifiedMigration, the recorded ones first
    invalid_indexes: List[Dict[str, str]]
    refusing: List[Dict[str, Any]]
    unknown: List[Dict[str, str]]
    leftover: List[Dict[str, str]]


VerifyReply = List[VerifiedDatabaseReply]  # in the order of `placements`


class LockArguments(TypedDict):
    aliases: List[str]
    urls: Dict[str, str]  # by alias: another way to the database, for its lock alone
    may_wait: bool  # whether it is asked again where a pooler is full


class _LockHolder(TypedDict):
    alias: str
    holder: str
    seconds: Optional[float]


class LockHolderReply(_LockHolder, total=False):
    silent: Optional[float]  # seconds


class LockReply(TypedDict):
    waiting: Optional[LockHolderReply]
    crowded: Optional[str]
    missing: Dict[str, str]  # by alias: why there is no lock
    held: List[str]  # aliases
    environment: Dict[str, Dict[str, str]]  # by alias: variables of a step
    marks: Dict[str, str]  # variables of every step


class CheckLocksArguments(TypedDict):
    changed: Dict[str, List[str]]  # by alias: migrations that steps of this run may have recorded or taken back
    idle: float  # within so many seconds it is asked again
    seconds: float  # within which it is answered


HeldState = Literal["held", "unsure", "retaken", "lost"]


class LockCheckReply(TypedDict):
    state: HeldState
    lost_at: Optional[float]  # since the epoch
    because: Optional[str]
    why_not_again: Optional[str]


CheckLocksReply = Dict[str, LockCheckReply]  # by alias of those that have a lock


class UnlockArguments(TypedDict):
    pass


UnlockReply = None


class EndOrphansArguments(TypedDict):
    seconds: float


EndOrphansReply = List[str]  # aliases where a statement still runs


class WhyNotForkArguments(TypedDict):
    warm_up: bool


WhyNotForkReply = Optional[str]


class ForkedStep(TypedDict):
    death: int  # number of the signal for when dbmigrate dies
    scope: Optional[GuardScope]
    is_watched: bool  # whether to say why a migration failed
    is_forward: bool  # whether it may undo nothing
    is_marked: bool  # whether its sessions are marked as those of the run that has the locks
    words: List[str]  # of the command


class ForkArguments(TypedDict):
    step: ForkedStep  # its descriptors come over the socket: stdout, stderr, why it failed, its exit code
    variables: Dict[str, str]  # in addition to the environment of the process
    ended: List[int]  # process ids of earlier steps that may be reaped: how they ended is known


ForkReply = Union[int, str]  # its process id, or why it cannot be forked


class HowEndedArguments(TypedDict):
    pid: int


HowEndedReply = Optional[int]  # its exit code, negative: by that signal; None if nobody knows it any more


class FindBlockersArguments(TypedDict):
    alias: str


FindBlockersReply = List[str]  # at most three, the oldest transaction first
