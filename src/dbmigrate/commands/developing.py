"""The use cases of development: write migrations, squash them."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path

from dbmigrate.commands.review import CommandContext, Review, ReviewOptions, review, review_patiently
from dbmigrate.commands.written_migrations import check_written, is_as_before
from dbmigrate.errors import (
    DeclinedError,
    FindingsError,
    ModelChangesError,
    ProjectError,
    StepError,
    UnreachableError,
    UsageError,
)
from dbmigrate.listing import listed
from dbmigrate.models.base import MESSAGE
from dbmigrate.models.events import CommandOutput, CommandStarted, Event
from dbmigrate.models.reports import MakeReport, SquashReport, WrittenMigration
from dbmigrate.models.selection import Selection
from dbmigrate.models.snapshot import UNKNOWN_STATES, App, Change, Snapshot, describe_silence, label_of
from dbmigrate.nearest import nearest
from dbmigrate.planning.checks.conflicts import find_conflicts
from dbmigrate.planning.outcome import REFUSED, new_migrations, telling_line
from dbmigrate.planning.planner import build_plan
from dbmigrate.planning.preflight import refuse_foreign, stopped_by
from dbmigrate.planning.project_commands import NO_INPUT, Option, named_make, spell, spell_makemigrations, wants_name
from dbmigrate.planning.routing import Routing
from dbmigrate.planning.unstarted_apps import describe_unstarted, find_startable
from dbmigrate.running.process import read_while_running

EVERYTHING = Selection(make_migrations=False)

MOST_LINES = 100
"""Of what a command printed: enough to find why it failed."""


def make(
    work: CommandContext, apps: Sequence[str], words: Sequence[str], *, can_ask: bool
) -> Generator[Event, None, MakeReport]:
    """Run makemigrations with our own terminal, and answer where each new migration will go.

    `words` are passed on. `can_ask` is False without a terminal: then what Django would ask is an error. Without
    names only the project's own apps are written: Django would write into site-packages what a package forgot.

    Raises:
        UsageError: an app that is not there, or is not the project's; an option that the command does not take.
        FindingsError: an app has several leaf migrations, and they are not to be merged.
        ModelChangesError: a question without a terminal, or a folder that cannot be written.
        StepError: makemigrations failed.
    """
    before = yield from review_patiently(work, EVERYTHING, ReviewOptions(changes="compared", starts=True))
    snapshot = before.snapshot
    if "--empty" in words and not apps:
        own_apps = [app.label for app in snapshot.apps if app.is_own]
        raise UsageError(
            f"--empty needs the name of an app; the project has: {listed(own_apps) or 'none of its own'}",
            hint=" or ".join(f"dbmigrate make {label} --empty" for label in own_apps[:1]) or None,
        )
    named = [_find_app(snapshot, label) for label in apps]
    for app in named:
        _check_own(app)
        _check_package(snapshot, app)
    # With --merge Django joins leaf migrations and looks at no model.
    is_merge = "--merge" in words
    if not is_merge:
        _check_no_conflict(before, apps)
    changes = [change for change in snapshot.changes or () if not is_merge and (not apps or change.app in apps)]
    own = [change for change in changes if _is_own(snapshot, change.app)]
    foreign = tuple(change.app for change in changes if change not in own)
    for change in own:
        _check_change(snapshot, change, can_ask=can_ask)
    if "--dry-run" not in words:
        for app in _written(snapshot, named, own, words):
            _check_writable(app)
    # Without names Django leaves an app alone that has no migrations package, whatever depends on it.
    startable = find_startable(snapshot)
    labels = [*apps] if apps or not (foreign or startable) else [change.app for change in own]
    if labels or not foreign:
        yield from _write(work, snapshot, labels, own, words, can_ask=can_ask)
    work.host.forget([change.app for change in own])  # it may amend a file that was read before (--update)
    after = review(work, EVERYTHING, ReviewOptions())
    written = new_migrations(snapshot, after.snapshot)
    if "--dry-run" not in words:
        check_written(work, snapshot, own, written)
    written_apps = {label_of(identifier) for identifier in written}
    return MakeReport(
        migrations=tuple(
            WrittenMigration(id=identifier, aliases=after.routing.aliases_of(label_of(identifier)))
            for identifier in written
        ),
        findings=tuple(
            finding.as_remark()
            for finding in after.findings
            if finding.id == "DBM201" and {*finding.apps} & written_apps
        ),
        foreign=foreign,
        limits=after.plan.limits,
        next_words=_next_words(work, after, tuple(dict.fromkeys(label_of(identifier) for identifier in written))),
    )


def _next_words(work: CommandContext, after: Review, labels: tuple[str, ...]) -> tuple[str, ...]:
    """Return the command that applies what was written: for these apps alone if it leaves nothing pending anywhere.

    A database that is migrated whole records the migrations of every app, also of those that have no table there.
    """
    if not labels:
        return ()
    selection = Selection(apps=labels, make_migrations=False)
    narrow = build_plan(after.snapshot, after.routing, settings=work.settings, selection=selection, targets={})
    is_enough = all(
        {*after.plan.pending_on(database.alias)} <= {*narrow.pending_on(database.alias)}
        for database in after.snapshot.databases
    )
    return ("run", *(word for label in labels for word in ("--app", label))) if is_enough else ("all",)


def _write(
    work: CommandContext,
    snapshot: Snapshot,
    labels: Sequence[str],
    own: Sequence[Change],
    words: Sequence[str],
    *,
    can_ask: bool,
) -> Generator[Event, None, None]:
    """Run makemigrations."""
    is_named = any(word.startswith("--name=") for word in words)
    apps = labels or [change.app for change in own]
    if is_named and len(apps) > 1:
        raise UsageError(
            f"--name requires exactly one app, but these would get a migration: {', '.join(apps)}",
            hint="\n".join(named_make(label) for label in apps),
            changed=False,
        )
    options = [Option.of(word) for word in words] + ([] if can_ask else [NO_INPUT])
    spelled = spell_makemigrations(snapshot, labels, options)
    if spelled.refusal is not None:
        kind = ModelChangesError if wants_name(snapshot.commands["makemigrations"], spelled.arguments) else UsageError
        raise kind(spelled.refusal.message, hint=spelled.refusal.hint, changed=False)
    code, said = yield from _run(work, *spelled.arguments)
    if code != 0:
        raise _ended(work, spelled.arguments, code, said, snapshot, () if is_named else [change.app for change in own])


def _ended(
    work: CommandContext, words: Sequence[str], code: int, said: str, snapshot: Snapshot, unnamed: Sequence[str]
) -> StepError | ModelChangesError:
    """Return the error for a command that failed, and `said` why.

    `unnamed`: apps for which it was to write a migration without a name; a makemigrations of the project's own may
    insist on one, and writes nothing then.
    """
    message = f"{words[0]} failed (exit {code}): {_shown(work, said)}"
    by_itself = f"see its output above; to run it directly: {shlex.join(work.target.command(*words))}"
    own = words[0] in snapshot.replaced_commands and "--name" in snapshot.commands[words[0]].words
    if own and unnamed and is_as_before(work, snapshot):
        return ModelChangesError(
            f"{message}; the command comes from {snapshot.commands[words[0]].module}",
            hint="see its output above; if it wants a name: " + "\n".join(named_make(label) for label in unnamed),
            changed=False,
        )
    return StepError(f"{message}; no database was touched", hint=by_itself)


def squash(
    work: CommandContext, label: str, first: str | None, last: str, words: Sequence[str]
) -> Generator[Event, None, SquashReport]:
    """Squash the migrations of one app from `first` (None is the very first) to `last`.

    Raises:
        UsageError: a name that is not there, an app that is not the project's, or what Django refuses to squash.
        ModelChangesError: a folder that cannot be written.
        UnreachableError: a database cannot be asked how far it is.
        FindingsError: a database is between the two: some of them are applied there, and some not.
        DeclinedError: the person whom squashmigrations asked said no.
        StepError: squashmigrations failed.
    """
    before = yield from review_patiently(work, EVERYTHING, ReviewOptions(records=True))
    app = _find_app(before.snapshot, label)
    _check_own(app)
    end = _find_migration(app, last)
    start = _find_migration(app, first) if first is not None else app.migrations[0]
    for name in (start, end) if first is not None else (end,):
        _check_not_replaced(app, name)
    span = app.migrations[app.migrations.index(start) : app.migrations.index(end) + 1]
    if len(span) < 2:
        raise UsageError(f"there is nothing to squash from {start} to {end}", hint="name an earlier FROM or a later TO")
    _check_no_database_between(before, app, span)
    _check_writable(app)
    names = (label, start, end) if first is not None else (label, end)
    spelled = spell(before.snapshot, "squashmigrations", names, [Option.of(word) for word in words])
    if spelled.refusal is not None:
        raise ProjectError(spelled.refusal.message, hint=spelled.refusal.hint, changed=False)
    code, said = yield from _run(work, *spelled.arguments)
    if code != 0 and said.startswith(REFUSED):
        raise UsageError(
            f"squashmigrations refused: {_shown(work, said.removeprefix(REFUSED).strip())}",
            hint=f"see which migrations there are: dbmigrate status --migrations --app {label}",
            changed=False,
        )
    if code != 0:
        raise _ended(work, spelled.arguments, code, said, before.snapshot, ())
    try:
        after = review(work, EVERYTHING, ReviewOptions())
    except ProjectError as error:
        raise StepError(
            f"squashmigrations wrote a migration that cannot be loaded as it is: {error.message}",
            hint="copy the functions it names into it by hand, or delete it to undo the squash; no database was "
            "touched",
            detail=error.detail,
        ) from error
    written = new_migrations(before.snapshot, after.snapshot)
    if not written:
        raise DeclinedError(
            f"squashmigrations wrote no migration of app {label}",
            hint="answer its question with y, or pass --no-input",
            changed=False,
        )
    return SquashReport(
        app=label,
        written=written,
        replaces=tuple(f"{label}.{name}" for name in span),
    )


def _check_no_database_between(before: Review, app: App, span: Sequence[str]) -> None:
    between = []
    for database in before.snapshot.databases:
        if not _concerns(before.routing, database.alias, app):
            continue
        if database.state in UNKNOWN_STATES:
            raise UnreachableError(
                f"{describe_silence(database.alias, database.trouble, database.error)}; "
                f"so it is unknown what of {app.label} is applied there",
                hint="start it, or exclude it under [tool.dbmigrate]",
            )
        applied = {record.id for record in database.records or ()}
        done = [name for name in span if f"{app.label}.{name}" in applied]
        if done and len(done) < len(span):
            between.append((database.alias, done[-1]))
    if between:
        where = "; ".join(f"{alias} is at {name}" for alias, name in between)
        raise FindingsError(
            f"a database is between {span[0]} and {span[-1]} of app {app.label}: {where}",
            hint=f"migrate it first: dbmigrate run --database {between[0][0]} --app {app.label} --to {span[-1]}",
            changed=False,
        )


def _check_no_conflict(before: Review, apps: Sequence[str]) -> None:
    """Refuse where makemigrations would: of an app that is not named it does not mind several leaf migrations."""
    conflicts = [
        finding
        for finding in find_conflicts(before.snapshot, before.routing)
        if not apps or not {*finding.apps}.isdisjoint(apps)
    ]
    if conflicts:
        raise stopped_by(conflicts)


def _check_not_replaced(app: App, name: str) -> None:
    """Refuse a migration that a squashed one replaces: it is not in Django's graph."""
    if name in app.replaced:
        raise UsageError(
            f"migration {name} of app {app.label} is replaced by the squashed migration {app.replaced[name]}",
            hint=f"see which migrations there are: dbmigrate status --migrations --app {app.label}",
            changed=False,
        )


def _concerns(routing: Routing, alias: str, app: App) -> bool:
    return app.label in routing.placements[alias] and routing.kinds[alias].kind != "excluded"


def _written(
    snapshot: Snapshot, named: Sequence[App], changes: Sequence[Change], words: Sequence[str]
) -> Iterator[App]:
    """Yield the apps whose migrations folder will be written.

    Raises:
        UsageError: a merge would be written into an app that is not the project's.
    """
    changed = {change.app for change in changes}
    merged = {*snapshot.conflicts} if "--merge" in words and not named else set()
    for app in snapshot.apps:
        if app.label in merged:
            _check_own(app)
        is_named_to_be_written = app in named and ("--empty" in words or "--merge" in words or not app.has_migrations)
        if app.label in changed | merged or is_named_to_be_written:
            yield app


def _is_own(snapshot: Snapshot, label: str) -> bool:
    app = snapshot.app(label)
    return app is not None and app.is_own


def _check_package(snapshot: Snapshot, app: App) -> None:
    """Refuse to write over migrations that Django does not see: it would begin with 0001_initial."""
    for unstarted in snapshot.unstarted:
        if unstarted.app == app.label and unstarted.why == "no-init":
            message, hint = describe_unstarted(snapshot, unstarted)
            raise ModelChangesError(message, hint=hint, changed=False)


def _check_own(app: App) -> None:
    if not app.is_own:
        raise UsageError(
            f"app {app.label} is a third-party app ({app.why}): its migrations are in {app.migrations_folder}",
            hint=f"upgrade to a release of {app.label} that has the migration, or set MIGRATION_MODULES in the "
            "settings "
            "to a package of the project",
            changed=False,
        )


def _check_change(snapshot: Snapshot, change: Change, *, can_ask: bool) -> None:
    if change.question is not None and not can_ask:
        raise ModelChangesError(
            f"makemigrations needs an answer about app {change.app}, but there is no terminal: {change.question}",
            hint=f"at a terminal: dbmigrate make {change.app}",
            changed=False,
        )
    foreign = refuse_foreign(snapshot, change)
    if foreign is not None:
        raise foreign


def _check_writable(app: App) -> None:
    folder = Path(app.migrations_folder)
    there = next(place for place in (folder, *folder.parents) if place.exists())
    if not os.access(there, os.W_OK):
        raise ModelChangesError(
            f"the migrations folder of app {app.label} is not writable: {folder}",
            hint="make the folder writable, or create the migration where the source code is",
            changed=False,
        )


def _find_app(snapshot: Snapshot, label: str) -> App:
    app = snapshot.app(label)
    if app is None:
        raise UsageError(
            f"there is no app {label} in INSTALLED_APPS",
            hint=nearest(label, [known.label for known in snapshot.apps], what="apps"),
        )
    return app


def _find_migration(app: App, name: str) -> str:
    matching = [name] if name in app.migrations else [known for known in app.migrations if known.startswith(name)]
    if len(matching) > 1:
        raise UsageError(f"several migrations of {app.label} start with {name}", hint=f"one of: {', '.join(matching)}")
    if not app.migrations:
        raise UsageError(f"app {app.label} has no migrations", hint=f"create them with: dbmigrate make {app.label}")
    if not matching:
        raise UsageError(
            f"app {app.label} has no migration {name}",
            hint=nearest(name, app.migrations, what=f"migrations of {app.label}"),
        )
    return matching[0]


def _run(work: CommandContext, *words: str) -> Generator[Event, None, tuple[int, str]]:
    """Run a command of the project with our stdin; return its exit code, and of what it printed the line that says why.

    What it says is progress and goes to our stderr.
    """
    command = work.target.command(*words)
    yield CommandStarted(command=command)
    code, lines = _attach(command, work) if work.has_streams else (yield from _run_apart(command, work))
    return code, telling_line(lines)


def _shown(work: CommandContext, said: str) -> str:
    return MESSAGE.shorten(work.host.redactor.scrub(said))


def _attach(command: Sequence[str], work: CommandContext) -> tuple[int, Sequence[str]]:
    """Run a command on our terminal; return its code and its last lines.

    What it prints is passed on without secrets as soon as a line is whole, or looks like a question. Only the stdout of
    one that has a terminal is its own: it asks there.
    """
    lines: deque[str] = deque(maxlen=MOST_LINES)
    rest, asked = b"", b""
    environment = {**work.environment, "PYTHONIOENCODING": ":backslashreplace"}  # the terminal's own encoding
    with subprocess.Popen(
        command,
        cwd=work.target.cwd,
        env=environment,
        stdout=2 if os.isatty(2) else subprocess.PIPE,
        stderr=subprocess.PIPE if os.isatty(2) else subprocess.STDOUT,
    ) as process:
        pipe = process.stderr or process.stdout
        assert pipe is not None
        for part in read_while_running(process, pipe):
            *whole, rest = (rest + part).split(b"\n")
            for line in whole:
                lines.append(line.decode(errors="replace"))
                _pass_on(work, line.removeprefix(asked) + b"\n")
                asked = b""
            if rest.endswith(b" ") and not part:
                _pass_on(work, rest.removeprefix(asked))
                asked = rest
    if rest:
        lines.append(rest.decode(errors="replace"))
        _pass_on(work, rest.removeprefix(asked))
    return process.returncode, [*lines]


def _pass_on(work: CommandContext, written: bytes) -> None:
    os.write(2, work.host.redactor.scrub(written.decode(errors="surrogateescape")).encode(errors="surrogateescape"))


def _run_apart(command: Sequence[str], work: CommandContext) -> Generator[Event, None, tuple[int, Sequence[str]]]:
    """Run a command whose output comes as events; return its code and its last lines."""
    lines: deque[str] = deque(maxlen=MOST_LINES)

    def take(line: bytes) -> CommandOutput:
        lines.append(line.decode(errors="replace").rstrip("\r"))
        return CommandOutput(text=lines[-1])

    rest = b""
    with subprocess.Popen(
        command,
        cwd=work.target.cwd,
        env=dict(work.environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        assert process.stdout is not None
        for part in read_while_running(process, process.stdout):
            *whole, rest = (rest + part).split(b"\n")
            for line in whole:
                yield take(line)
    if rest:
        yield take(rest)
    return process.returncode, [*lines]
