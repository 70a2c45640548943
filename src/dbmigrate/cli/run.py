"""`dbmigrate run`."""

from __future__ import annotations

import shlex
from typing import Any

import click

from dbmigrate.cli.approval_options import expect_option
from dbmigrate.cli.completion_cache import known_names
from dbmigrate.cli.global_options import given_words, is_given
from dbmigrate.cli.migrating import Asked, migrate
from dbmigrate.cli.options import global_options, junit_option, migrate_options, run_options, selection_options
from dbmigrate.cli.session import session_of
from dbmigrate.errors import ExitCode, UsageError


@click.command("run", short_help="Migrate selected databases and apps.")
@selection_options
@click.option("--auto", is_flag=True, help="The same as `dbmigrate all`, but never ask.")
@migrate_options
@run_options
@expect_option
@junit_option
@global_options
@click.pass_context
def command(
    context: click.Context,
    /,
    *,
    auto: bool,
    no_lock: bool,
    dry_run: bool,
    expect: str | None,
    junit: str | None,
    **options: Any,
) -> ExitCode:
    """Migrate selected databases and apps. Without a selection the menu opens; without a terminal that is an error.

    --database alone migrates all apps of that database, --app alone migrates the app on every database it belongs on.
    No migrations are created, except with --auto. On a terminal, --to asks before it undoes migrations; elsewhere, or
    with --no-input, it undoes them without asking.
    """
    is_named = options["databases"] or options["apps"]
    if auto and (is_named or options["to"] or options["fake"]):
        raise UsageError(
            "--auto migrates everything and cannot be combined with --database, --app, --to or --fake",
            hint="remove --auto, or the others",
        )
    if not auto and not is_named:
        if session_of(context).opens_menu and not any(is_given(context, name) for name in options):
            from dbmigrate.cli.menu import show_menu

            return show_menu(context)
        if options["to"] or options["fake"]:
            raise UsageError("--to and --fake require one app, but none is named", hint=_named(context, options["to"]))
        everything = shlex.join(["dbmigrate", "all", *given_words(context)])
        raise UsageError("no database and no app is named", hint=f"{everything}, or {_named(context, None)}")
    return migrate(
        context,
        Asked.read(options),
        has_locks=not no_lock,
        may_ask=not auto,
        dry_run=dry_run,
        expect=expect,
        junit=junit,
    )


def _named(context: click.Context, migration: str | None) -> str:
    """Return the same line with an app of the project's own: one that has the migration, or the last one.

    Never a third-party app: `--to` would undo what others need.
    """
    names = known_names(context)
    apps = {label: names["apps"][label] for label in names.get("own", ())}
    having = [label for label, names in apps.items() if migration and any(name.startswith(migration) for name in names)]
    lines = [
        shlex.join(["dbmigrate", "run", "--app", label, *given_words(context)]) for label in having[:3] or [*apps][-1:]
    ]
    if migration and not having:
        return "name the app with --app; its migrations are shown by: dbmigrate status --migrations"
    if not lines:
        return "one database or app: dbmigrate run --help"
    return ", or ".join(lines) if having else f"one app or database, for example: {lines[0]}"
