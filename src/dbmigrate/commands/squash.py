"""The use case of `squash`: replace some migrations of an app by one."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from dbmigrate.commands.own_apps import EVERYTHING, check_own, check_writable, find_app
from dbmigrate.commands.project_process import failure_of, run_command, shown
from dbmigrate.commands.review import CommandContext, Review, ReviewOptions, review, review_patiently
from dbmigrate.errors import (
    DeclinedError,
    FindingsError,
    ProjectError,
    StepError,
    UnreachableError,
    UsageError,
)
from dbmigrate.models.apps import App
from dbmigrate.models.database import UNKNOWN_STATES, describe_silence
from dbmigrate.models.events import Event
from dbmigrate.models.reports import SquashReport
from dbmigrate.nearest import nearest
from dbmigrate.planning.outcome import REFUSED, new_migrations
from dbmigrate.planning.project_commands import Option, spell
from dbmigrate.planning.routing import Routing


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
    app = find_app(before.snapshot, label)
    check_own(app)
    end = _find_migration(app, last)
    start = _find_migration(app, first) if first is not None else app.migrations[0]
    for name in (start, end) if first is not None else (end,):
        _check_not_replaced(app, name)
    span = app.migrations[app.migrations.index(start) : app.migrations.index(end) + 1]
    if len(span) < 2:
        raise UsageError(f"there is nothing to squash from {start} to {end}", hint="name an earlier FROM or a later TO")
    _check_no_database_between(before, app, span)
    check_writable(app)
    names = (label, start, end) if first is not None else (label, end)
    spelled = spell(before.snapshot, "squashmigrations", names, [Option.of(word) for word in words])
    if spelled.refusal is not None:
        raise ProjectError(spelled.refusal.message, hint=spelled.refusal.hint, changed=False)
    code, said = yield from run_command(work, *spelled.arguments)
    if code != 0 and said.startswith(REFUSED):
        raise UsageError(
            f"squashmigrations refused: {shown(work, said.removeprefix(REFUSED).strip())}",
            hint=f"see which migrations there are: dbmigrate status --migrations --app {label}",
            changed=False,
        )
    if code != 0:
        raise failure_of(work, spelled.arguments, code, said, before.snapshot, ())
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
