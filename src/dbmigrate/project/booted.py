"""The questions to the project that was booted once: one method each, with a typed answer.

Standard library at import time: the process is started first, and pydantic is loaded while the project boots.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast, overload

from dbmigrate.confidential import ABOUT, NAME, TEXT, find_secrets
from dbmigrate.errors import ProjectError, UnreachableError
from dbmigrate.models.target import Target, Twin
from dbmigrate.project.channel import Channel
from dbmigrate.project.replies import read_booted, read_reply
from dbmigrate.redact import Redactor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dbmigrate.inside import protocol
    from dbmigrate.models.apps import Change, ModelAnswers, Unstable
    from dbmigrate.models.basis import DatabaseFacts, FileHash
    from dbmigrate.models.findings import Subject
    from dbmigrate.models.holdings import Holder, Holdings, Thing
    from dbmigrate.models.migrations import MigrationId, UndoingOf
    from dbmigrate.models.plan import GuardScope, PlannedMigration
    from dbmigrate.models.result import OperationTrace
    from dbmigrate.models.rooms import Room
    from dbmigrate.models.servers import LockCheck, LockState, Reached
    from dbmigrate.models.snapshot import Snapshot
    from dbmigrate.models.sql import MigrationSql
    from dbmigrate.models.verification import VerifiedDatabase
    from dbmigrate.project.channel import PendingReply

T = TypeVar("T")

ROOM_SECONDS = 5.0
"""For a database that has just answered."""
CHECK_SECONDS = 0.5
"""How long the process waits for servers that are asked for locks; what they say later comes with the next answer."""

SILENCE_SECONDS = 15.0
"""How long a server may say nothing, unless more or less was asked for."""

LONG_SECONDS = 120.0
"""The same for a statement that is long work: what makes a database, or drops what is in it."""

STEPS_SECONDS = 5.0
"""How long servers may take together for one question while steps run: until it is answered nobody asks for locks."""

STEPS_ANSWER_SECONDS = 15.0
"""After so long the answer to such a question is not waited for any more."""

SHORTEST_SILENCE = 2.0
"""How long a server may say nothing however little was asked for: it may be far away."""

UNLOCK_SECONDS = 2.0
"""How long a server may say nothing when its lock is released; it ends with the connection anyway."""

NOTHING = type(None)
"""The reply to what is only done."""

BOOT_WORDS = ("migrate",)
"""What the project sees as its command: some settings look at sys.argv."""


class BootedProject:
    """The booted project. Questions are asked one at a time; leaving the `with` block ends the process."""

    def __init__(
        self, target: Target, environment: Mapping[str, str], redactor: Redactor, twin: Twin | None = None
    ) -> None:
        """Start the process; it boots while the caller does something else. `twin`: what it is to be instead.

        `redactor` learns the secrets of the project, and what things are called in it.

        Raises:
            ProjectError: the interpreter cannot be started.
        """
        self._target = target
        self._is_booted = False
        self.boot_seconds = 0.0
        """How long the project took to come up, in its own process; 0.0 before `boot`."""
        self.has_locks = False
        """Whether it holds all locks that were asked for."""
        self.silence_seconds = SILENCE_SECONDS
        """How long a server may say nothing in a look, and while its lock is taken, before its connection is cut."""
        words = [*BOOT_WORDS, *([f"--settings={target.settings}"] if target.settings else [])]
        start: protocol.Start = {
            "manage": list(target.manage),
            "words": words,
            "twin": None if twin is None else cast("protocol.TwinStart", asdict(twin)),
            "wanted": (NAME, ABOUT, TEXT),
        }
        self._channel = Channel(target, environment, start, redactor)
        self.redactor = redactor
        """What knows the secrets of the project; before `boot` those of the environment."""
        redactor.learn_names(target.names)

    def __enter__(self) -> BootedProject:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def hurried(self, ask_until: Callable[[], float], is_kept: Callable[[], bool]) -> Iterator[None]:
        """While the block runs, give the process up where a question is not answered by then (monotonic seconds).

        `is_kept`: whether only that question is given up, as while steps run: they and their locks need the process.
        """
        channel = self._channel
        before = channel.ask_until, channel.is_kept
        channel.ask_until, channel.is_kept = ask_until, is_kept
        try:
            yield
        finally:
            channel.ask_until, channel.is_kept = before

    @property
    def is_given_up(self) -> bool:
        """Whether the process is asked nothing more: it did not answer in time, or was ended."""
        return self._channel.is_given_up

    @property
    def is_busy(self) -> bool:
        """Whether the process is still at work on a question that was given up, and can do nothing else yet."""
        return self._channel.is_busy

    @property
    def ask_until(self) -> float:
        """When what is asked now is given up, whatever its own time is."""
        return self._channel.ask_until()

    def boot(self) -> None:
        """Wait until the project is up.

        Raises:
            ProjectError: it did not come up.
        """
        if not self._is_booted:
            started = read_booted(self._channel.booted.answer())
            self.redactor.learn(find_secrets(started["named_values"]))
            self.redactor.learn_names(started["names"])
            self.boot_seconds = started["boot_seconds"]
            self._is_booted = True

    def inspect(
        self,
        *,
        changes: bool = False,
        records: bool = False,
        contact: bool = True,
        foreseen: Sequence[str] = (),
        phases: bool = False,
        afterwards: bool = False,
        seconds: float | None = None,
    ) -> Snapshot:
        """Look at the project and at every database.

        `changes`: begin, in a copy of the process, with what `find_changes` is asked for next. `records`: list what
        is applied. `contact`: ask the databases; without, each is described as if it were empty. `foreseen`: apps
        whose changes are described as if makemigrations had written them; there must be nothing that it would have to
        ask. `phases`: say what migrations say of when around a deploy they may run. `afterwards`: say what became of
        a run whose locks are held. `seconds`: how long a server may say nothing, if not `silence_seconds`.

        Raises:
            ProjectError: the project did not come up, or its migrations cannot be read.
        """
        from dbmigrate.models.snapshot import Snapshot
        from dbmigrate.planning.pending import with_pending

        arguments: protocol.InspectArguments = {
            "root": str(self._target.root),
            "changes": changes,
            "records": records,
            "contact": contact,
            "foreseen": list(foreseen),
            "phases": phases,
            "afterwards": afterwards,
        }
        answer = self._ask("inspect", arguments, dict[str, object], seconds=seconds or self.silence_seconds)
        answer["project"] = {
            **read_reply("inspect", answer.get("project"), dict[str, object]),
            "called": self._target.called,
            "settings_option": self._target.settings_option,
            "argv": (self._target.python, *self._target.manage),
        }
        snapshot = with_pending(read_reply("inspect", answer, Snapshot))
        self.redactor.learn_names(name for app in snapshot.apps for name in app.migrations)
        return snapshot

    def describe_undoing(self, undone: Mapping[str, Sequence[MigrationId]]) -> dict[str, UndoingOf | Reached]:
        """Return by alias what it would do there to undo these migrations of the last `inspect`, in this order.

        Of a database that does not answer any more, why.
        """
        from dbmigrate.models.migrations import UndoingOf
        from dbmigrate.models.servers import Reached

        arguments: protocol.DescribeUndoingArguments = {
            "undone": {alias: list(identifiers) for alias, identifiers in undone.items()}
        }
        answers = self._ask("describe_undoing", arguments, dict[str, dict[str, object]], seconds=self.silence_seconds)
        return {
            alias: read_reply("describe_undoing", answer, UndoingOf)
            if "undoing" in answer
            else read_reply("describe_undoing", answer, Reached)
            for alias, answer in answers.items()
        }

    def find_changes(self, started: Sequence[str] = ()) -> tuple[Change, ...] | None:
        """Return the apps whose models are not what the migrations of the last `inspect` describe.

        `started`: apps without migrations that makemigrations is called for by name. None where leaf migrations
        contradict each other. It takes longer than the look at the databases does, which continues at the same time; so
        it is asked for on its own.
        """
        from dbmigrate.models.apps import Change

        arguments: protocol.FindChangesArguments = {"started": list(started)}
        changes: tuple[Change, ...] | None = self._ask("find_changes", arguments, tuple[Change, ...] | None)
        return changes

    def find_unstable(
        self, labels: Sequence[str], altered: Sequence[tuple[str, str]]
    ) -> tuple[tuple[Unstable, ...], tuple[tuple[str, str], ...]]:
        """Return what of these apps' models differs in each process, as their source says, and the doubtful.

        `altered`: (label.model, field) of the fields that makemigrations would alter; those of them are doubtful whose
        source does not say what they are made with.
        """
        from dbmigrate.models.apps import UnstableFields

        arguments: protocol.FindUnstableArguments = {"labels": list(labels), "altered": list(altered)}
        answer = self._ask("find_unstable", arguments, UnstableFields)
        return answer.found, answer.doubtful

    def describe_fields(self, fields: Sequence[tuple[str, str]]) -> tuple[str, ...]:
        """Return how makemigrations would write each of these fields, (label.model, name)."""
        arguments: protocol.DescribeFieldsArguments = {"fields": list(fields)}
        return self._ask("describe_fields", arguments, tuple[str, ...])

    def locate(self, subjects: Sequence[Subject]) -> tuple[tuple[str, int | None] | None, ...]:
        """Return file and line of each subject, None where it stands in no file."""
        arguments: protocol.LocateArguments = {
            "subjects": [list(subject) for subject in subjects],
            "root": str(self._target.root),
        }
        return self._ask("locate", arguments, tuple[tuple[str, int | None] | None, ...])

    def sql(
        self,
        alias: str,
        migrations: Sequence[PlannedMigration],
        scope: GuardScope | None,
        foreseen: Sequence[str] = (),
        *,
        is_compared: bool = False,
    ) -> tuple[MigrationSql, ...]:
        """Return the statements of these migrations on one alias, in their order; nothing is run.

        `foreseen`: apps of which some are not written yet (`inspect`). `is_compared`: whether the statements are to be
        the same each time: a default that a function makes is not in them.
        """
        from dbmigrate.models.sql import MigrationSql

        arguments: protocol.SqlArguments = {
            "alias": alias,
            "migrations": [{"id": planned.id, "backwards": planned.backwards} for planned in migrations],
            "scope": None if scope is None else cast("protocol.GuardScope", scope.model_dump()),
            "foreseen": list(foreseen),
            "is_compared": is_compared,
        }
        return self._ask("sql", arguments, tuple[MigrationSql, ...])

    def describe_files(self, migrations: Sequence[MigrationId]) -> dict[MigrationId, FileHash | None]:
        """Return the hashes of the files of these migrations; None for one that has none.

        Asked also where `inspect` fails for the migrations.
        """
        from dbmigrate.models.basis import FileHash

        arguments: protocol.DescribeFilesArguments = {"migrations": list(migrations)}
        return self._ask("describe_files", arguments, dict[str, FileHash | None])

    def describe_tables(self, alias: str, migrations: Sequence[PlannedMigration]) -> DatabaseFacts:
        """Return which physical database an alias is, and how the tables are defined that these migrations touch.

        Raises:
            UnreachableError: the database does not answer.
        """
        from dbmigrate.models.basis import DatabaseFacts

        arguments: protocol.DescribeTablesArguments = {
            "alias": alias,
            "migrations": [{"id": planned.id, "backwards": planned.backwards} for planned in migrations],
            "root": str(self._target.root),
        }
        return self._ask("describe_tables", arguments, DatabaseFacts, seconds=self.silence_seconds)

    def find_blockers(self, alias: str) -> tuple[str, ...]:
        """Return the sessions that hold locks on tables of a PostgreSQL database, as the server describes them.

        None where it cannot be asked, which is no reason to end a run.
        """
        arguments: protocol.FindBlockersArguments = {"alias": alias}
        try:
            return self._ask("find_blockers", arguments, tuple[str, ...])
        except UnreachableError:
            return ()

    def is_recorded(self, alias: str, migration: MigrationId) -> bool:
        """Return whether a migration is recorded on a database."""
        arguments: protocol.IsRecordedArguments = {"alias": alias, "migration": migration}
        return self._ask("is_recorded", arguments, bool)

    def trace(self, alias: str, migration: MigrationId) -> tuple[OperationTrace, ...]:
        """Return what a migration that did not get to its end has left in a database."""
        from dbmigrate.models.result import OperationTrace

        arguments: protocol.TraceArguments = {"alias": alias, "migration": migration}
        return self._ask("trace", arguments, tuple[OperationTrace, ...])

    def explain(self, model: str) -> ModelAnswers | None:
        """Return what every router says of "label.Model" on every alias; None if there is no such model."""
        from dbmigrate.models.apps import ModelAnswers

        arguments: protocol.ExplainArguments = {"name": model}
        answers: ModelAnswers | None = self._ask("explain", arguments, ModelAnswers | None)
        return answers

    def verify(
        self, placements: Mapping[str, Mapping[str, Sequence[str] | None]], *, repair: bool
    ) -> tuple[VerifiedDatabase, ...]:
        """Compare what is recorded with what is there.

        `placements`: by alias, by app label: lower-case names of the models that belong there, None for all of them.
        `repair`: whether to write down the statements that would put it right.
        """
        from dbmigrate.models.verification import VerifiedDatabase

        arguments: protocol.VerifyArguments = {
            "placements": {
                alias: {label: None if models is None else list(models) for label, models in apps.items()}
                for alias, apps in placements.items()
            },
            "repair": repair,
        }
        return self._ask("verify", arguments, tuple[VerifiedDatabase, ...])

    def database_host(self, alias: str) -> str:
        """Return the host a database is really on; "" for a file or a socket."""
        arguments: protocol.DatabaseHostArguments = {"alias": alias}
        return self._ask("database_host", arguments, str)

    def describe_holdings(self, alias: str, *, count: bool) -> Holdings:
        """Return what a database holds; `count`: with the rows in its tables."""
        from dbmigrate.models.holdings import Holdings

        arguments: protocol.DescribeHoldingsArguments = {"alias": alias, "count": count}
        # The server itself is told how long a table may be counted (inside/servers/holdings.py).
        return self._ask("describe_holdings", arguments, Holdings)

    def find_holders(self, alias: str, things: Sequence[Thing]) -> tuple[Holder, ...]:
        """Return what would stay in a database and needs one of these things, which are to be dropped."""
        from dbmigrate.models.holdings import Holder

        arguments: protocol.FindHoldersArguments = {"alias": alias, "things": _dump(things)}
        return self._ask("find_holders", arguments, tuple[Holder, ...])

    def make_scratch(self, aliases: Sequence[str], folder: Path) -> dict[str, str]:
        """Make empty databases next to those of these aliases, of SQLite in a folder; return NAME by alias.

        They are gone after `drop_scratch`, or with the process.

        Raises:
            DeclinedError: one cannot be made.
        """
        arguments: protocol.MakeScratchArguments = {"aliases": list(aliases), "folder": str(folder)}
        return self._ask("make_scratch", arguments, dict[str, str], seconds=LONG_SECONDS)

    def drop_scratch(self) -> None:
        """Drop the scratch databases."""
        self._ask("drop_scratch", {}, NOTHING, seconds=LONG_SECONDS)

    def find_hand_written(self, labels: Sequence[str]) -> tuple[tuple[Path, str], ...]:
        """Return (file, operation) in migrations of these apps that makemigrations never writes, as RunPython."""
        arguments: protocol.FindHandWrittenArguments = {"labels": list(labels)}
        return self._ask("find_hand_written", arguments, tuple[tuple[Path, str], ...])

    def empty(self, alias: str, things: Sequence[Thing], *, rehearse: bool) -> None:
        """Drop these things of a database; `rehearse`: in a transaction that is taken back, where it has such.

        Raises:
            ProjectError: it cannot be done, wholly or in part; or the process does not answer.
        """
        arguments: protocol.EmptyArguments = {"alias": alias, "things": _dump(things), "rehearse": rehearse}
        self._ask("empty", arguments, NOTHING, seconds=LONG_SECONDS)  # to drop much takes long

    def forget(self, labels: Sequence[str]) -> None:
        """Let the process forget the migrations of these apps, whose files are gone and may come again."""
        arguments: protocol.ForgetArguments = {"labels": list(labels)}
        self._ask("forget", arguments, NOTHING)

    def reach(self, aliases: Sequence[str], *, seconds: float) -> dict[str, Reached]:
        """Ask these databases, all at the same time, whether they answer; not for longer than these seconds."""
        from dbmigrate.models.servers import Reached

        arguments: protocol.ReachArguments = {"aliases": list(aliases), "seconds": seconds}
        return self._ask("reach", arguments, dict[str, Reached], seconds=seconds)

    def find_room(self, aliases: Sequence[str]) -> dict[str, tuple[Room, ...]]:
        """Return what limits the sessions on these databases now, by alias; one after the other is connected to."""
        from dbmigrate.models.rooms import Room

        arguments: protocol.FindRoomArguments = {"aliases": list(aliases), "seconds": ROOM_SECONDS}
        return self._ask("find_room", arguments, dict[str, tuple[Room, ...]])

    def count_sessions(self, aliases: Sequence[str]) -> int:
        """Return how many of these databases behind one pooler can be connected to at the same time."""
        arguments: protocol.CountSessionsArguments = {"aliases": list(aliases)}
        return self._ask("count_sessions", arguments, int)

    def lock(
        self, aliases: Sequence[str], urls: Mapping[str, str], *, seconds: float | None = None, may_wait: bool = False
    ) -> LockState:
        """Try once for the locks of these databases; what is held stays held until `unlock` or the end of the process.

        `urls`: other ways to a database for its lock alone, by alias. `seconds`: how long a server may say nothing, if
        not `silence_seconds`. `may_wait`: whether it is asked again where a pooler is full.

        Raises:
            LockedError: a lock cannot be tried at all, or a pooler has no connection for the migrations next to it.
            UnreachableError: a server says nothing for too long.
        """
        from dbmigrate.models.servers import LockState

        arguments: protocol.LockArguments = {"aliases": list(aliases), "urls": dict(urls), "may_wait": may_wait}
        state = self._ask("lock", arguments, LockState, seconds=seconds or self.silence_seconds)
        self.has_locks = state.waiting is None and state.crowded is None
        return state

    def end_orphans(self, seconds: float) -> tuple[str, ...]:
        """End the statements of steps that have ended; return the databases that still run one after these seconds."""
        arguments: protocol.EndOrphansArguments = {"seconds": seconds}
        return self._ask("end_orphans", arguments, tuple[str, ...], seconds=max(seconds, SHORTEST_SILENCE))

    def check_locks(self, changed: Mapping[str, Sequence[MigrationId]], *, idle: float) -> LockInquiry:
        """Ask whether the locks that were taken are still held, and do not wait for the answer.

        `changed`: by alias, migrations that steps of this run may have recorded or taken back; what else is recorded
        differently was another run. `idle`: seconds within which it is asked again.

        Raises:
            ProjectError: the process was given up, and its locks with it.
        """
        arguments: protocol.CheckLocksArguments = {
            "changed": {alias: list(migrations) for alias, migrations in changed.items()},
            "idle": idle,
            "seconds": CHECK_SECONDS,
        }
        return LockInquiry(self._channel.ask("check_locks", arguments, SILENCE_SECONDS))

    def unlock(self) -> None:
        """Release every lock; a process that has ended holds none, and one that is given up is ended."""
        self.has_locks = False
        if self._channel.is_given_up:
            self.close()
            return
        try:
            self._ask("unlock", {}, NOTHING, seconds=UNLOCK_SECONDS)
        except ProjectError:
            self.close()

    def why_not_fork(self, *, warm_up: bool) -> str | None:
        """Return why steps cannot be copies of the process, or None if they can.

        `warm_up`: import first what is imported before the first step, which may start a thread.
        """
        arguments: protocol.WhyNotForkArguments = {"warm_up": warm_up}
        reason: str | None = self._ask("why_not_fork", arguments, str | None)
        return reason

    def fork(
        self, step: Mapping[str, Any], variables: Mapping[str, str], pipes: Sequence[int], ended: Sequence[int]
    ) -> int | str:
        """Run a step in a copy of the process; return its process id, or why it cannot be forked.

        `step`: of what inside/steps/step.py takes, what ForkedStep has; `variables`: what its environment has
        in addition to the process's own; `pipes`: the ends that become its stdout and stderr, one on which it says why
        a migration failed, and one that gets a line with its exit code, unless it ends in another way (`how_ended`).
        `ended`: process ids of copies that have said it.

        Raises:
            ProjectError: the process has ended.
        """
        forked: protocol.ForkedStep = {
            "death": step["death"],
            "scope": step["scope"],
            "is_watched": step["is_watched"],
            "is_forward": step["is_forward"],
            "is_marked": step["is_marked"],
            "words": step["words"],
        }
        arguments: protocol.ForkArguments = {"step": forked, "variables": dict(variables), "ended": list(ended)}
        self._channel.send_files(pipes)
        try:
            reply: int | str = self._ask("fork", arguments, int | str, is_brief=False)
        except ProjectError:
            self.close()  # or it might fork the step later, when nobody listens to it
            raise
        return reply

    def how_ended(self, pid: int) -> int | None:
        """Return how a copy has ended that has not said it, once; None if nobody knows.

        Raises:
            ProjectError: the process has ended, or is busy with a question that was given up.
        """
        arguments: protocol.HowEndedArguments = {"pid": pid}
        code: int | None = self._ask("how_ended", arguments, int | None)
        return code

    def close(self) -> None:
        """End the process; harmless when it has ended."""
        self._channel.close()

    @overload
    def _ask(
        self,
        question: protocol.Question,
        arguments: Mapping[str, object],
        kind: type[T],
        *,
        seconds: float = SILENCE_SECONDS,
        is_brief: bool = True,
    ) -> T: ...

    @overload
    def _ask(
        self,
        question: protocol.Question,
        arguments: Mapping[str, object],
        kind: object,
        *,
        seconds: float = SILENCE_SECONDS,
        is_brief: bool = True,
    ) -> Any: ...

    def _ask(
        self,
        question: protocol.Question,
        arguments: Mapping[str, object],
        kind: Any,
        *,
        seconds: float = SILENCE_SECONDS,
        is_brief: bool = True,
    ) -> Any:
        """Ask, wait for the answer, and return it as a value of this type.

        `seconds`: how long a server may say nothing. `is_brief`: whether servers get less while steps run.
        """
        self.boot()
        if is_brief and self._channel.is_kept():
            answer = self._channel.ask(question, arguments, seconds, STEPS_SECONDS).answer(STEPS_ANSWER_SECONDS)
        else:
            answer = self._channel.ask(question, arguments, seconds).answer()
        return read_reply(question, answer, kind)


class LockInquiry:
    """A question for locks that was asked."""

    def __init__(self, reply: PendingReply) -> None:
        """Stand for it."""
        self._reply = reply

    def is_answered_within(self, seconds: float) -> bool:
        """Return whether the answer comes in this time; one that does not may still come."""
        return self._reply.is_answered_within(seconds)

    def answer(self) -> dict[str, LockCheck]:
        """Return the answer, by alias of those that have a lock; once, when it has come.

        Raises:
            ProjectError: the process has ended, and its locks with it.
        """
        from dbmigrate.models.servers import LockCheck

        return read_reply("check_locks", self._reply.answer(), dict[str, LockCheck])


def _dump(things: Sequence[Thing]) -> list[protocol.Thing]:
    return [cast("protocol.Thing", thing.model_dump()) for thing in things]
