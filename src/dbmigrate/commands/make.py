"""The use case of `make`: write the migrations of the project's own apps."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence

from dbmigrate.commands.own_apps import EVERYTHING, check_own, check_writable, find_app
from dbmigrate.commands.project_process import failure_of, run_command
from dbmigrate.commands.review import CommandContext, Review, ReviewOptions, review, review_patiently
from dbmigrate.commands.written_migrations import check_written
from dbmigrate.errors import ModelChangesError, UsageError
from dbmigrate.listing import listed
from dbmigrate.models.apps import App, Change
from dbmigrate.models.check_ids import CROSS_DATABASE_RELATIONS
from dbmigrate.models.events import Event
from dbmigrate.models.migrations import label_of
from dbmigrate.models.reports import MakeReport, WrittenMigration
from dbmigrate.models.selection import Selection
from dbmigrate.models.snapshot import Snapshot
from dbmigrate.planning.checks.conflicts import find_conflicts
from dbmigrate.planning.outcome import new_migrations
from dbmigrate.planning.planner import build_plan
from dbmigrate.planning.preflight import refuse_foreign, stopped_by
from dbmigrate.planning.project_commands import NO_INPUT, Option, named_make, spell_makemigrations, wants_name
from dbmigrate.planning.unstarted_apps import describe_unstarted, find_startable


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
    named = [find_app(snapshot, label) for label in apps]
    for app in named:
        check_own(app)
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
            check_writable(app)
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
            if finding.id == CROSS_DATABASE_RELATIONS and {*finding.apps} & written_apps
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
    code, said = yield from run_command(work, *spelled.arguments)
    if code != 0:
        raise failure_of(
            work, spelled.arguments, code, said, snapshot, () if is_named else [change.app for change in own]
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
            check_own(app)
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
