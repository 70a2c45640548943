"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from dbmigrate.cli.given import remember_option
from dbmigrate.cli.names import complete_app, complete_database, complete_migration
from dbmigrate.config import FORMATS, LAUNCHERS

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

COLORS = ("auto", "always", "never")


def _global(*names: str, **attributes: Any) -> Callable[[Decorated], Decorated]:
    return click.option(*names, expose_value=False, is_eager=True, callback=remember_option, **attributes)


_GLOBAL_OPTIONS = (
    _global("--settings", metavar="DOTTED", help="Settings module of the project."),
    _global("--project", metavar="DIR", help="Folder of the project; default: the nearest with manage.py."),
    _global("--manage", metavar="COMMAND", help="What is called instead of manage.py."),
    _global("--python", metavar="PATH", help="Interpreter of the project."),
    _global(
        "--format",
        type=click.Choice(FORMATS),
        help="How to say it; auto is rich on a terminal, github under GitHub Actions, else plain.",
    ),
    _global("--color", type=click.Choice(COLORS), help="Whether to colour."),
    _global("-v", "--verbose", count=True, help="Say more: what children print, commands, tracebacks."),
    _global("-q", "--quiet", count=True, help="Say only what is wrong."),
    _global(
        "--wait",
        type=click.FloatRange(min=0),
        metavar="SECONDS",
        help="Wait for databases that do not answer; default: do not.",
    ),
    _global("--launcher", type=click.Choice(LAUNCHERS), help="How to start steps; auto forks where it is safe."),
    _global("--no-input", is_flag=True, help="Never ask."),
)


def global_options(command: Decorated) -> Decorated:
    """Add the options that are valid before and after every command."""
    for option in reversed(_GLOBAL_OPTIONS):
        command = option(command)
    return command


def database_option(help_text: str = "Only this database; repeatable.") -> Callable[[Decorated], Decorated]:
    """Return the option that names databases; its parameter is `databases`."""
    return click.option(
        "--database", "databases", multiple=True, metavar="ALIAS", help=help_text, shell_complete=complete_database
    )


def app_option(help_text: str = "Only this app; repeatable.") -> Callable[[Decorated], Decorated]:
    """Return the option that names apps; its parameter is `apps`."""
    return click.option("--app", "apps", multiple=True, metavar="LABEL", help=help_text, shell_complete=complete_app)


def selection_options(command: Decorated) -> Decorated:
    """Add what names databases, apps and a migration."""
    for option in reversed(
        (
            database_option(),
            app_option(),
            click.option(
                "--to",
                metavar="MIGRATION",
                shell_complete=complete_migration,
                help='Up or down to this migration of the one app; or "zero".',
            ),
            click.option("--fake", is_flag=True, help="Record migrations of the one app without running them."),
        )
    ):
        command = option(command)
    return command


def migrate_options(command: Decorated) -> Decorated:
    """Add what `all`, `run` and `plan` have in common."""
    for option in reversed(
        (
            click.option(
                "--skip-makemigrations", is_flag=True, default=None, help="Write no migrations, whatever has changed."
            ),
            click.option(
                "--allow-data-loss",
                is_flag=True,
                help="Apply newly written migrations also where they drop columns or tables.",
            ),
            click.option("--fake-initial", is_flag=True, help="Passed on to migrate."),
            click.option("--run-syncdb", is_flag=True, help="Passed on: make tables of apps without migrations."),
            click.option("--always", is_flag=True, help="Run migrate also where nothing is pending."),
            click.option(
                "--jobs",
                type=click.IntRange(min=1),
                metavar="N",
                help="Databases at the same time; default: the CPUs, on servers 4 for each.",
            ),
        )
    ):
        command = option(command)
    return command


def lock_options(command: Decorated) -> Decorated:
    """Add how other runs on the same databases are kept away."""
    for option in reversed(
        (
            click.option(
                "--lock-wait",
                type=click.FloatRange(min=0),
                metavar="SECONDS",
                help="Wait for another run on the same database; default 60.",
            ),
            click.option("--no-lock", is_flag=True, help="Keep no other run away."),
        )
    ):
        command = option(command)
    return command


def run_options(command: Decorated) -> Decorated:
    """Add what `all` and `run` have and `plan` has not: how to go about it."""
    for option in reversed(
        (
            click.option(
                "--keep-going",
                is_flag=True,
                default=None,
                help="After a failure go on with databases that do not need the failed one.",
            ),
            lock_options,
            click.option(
                "--grace",
                type=click.FloatRange(min=0),
                metavar="SECONDS",
                help="After SIGTERM, interrupt what still runs then; default: let it finish.",
            ),
            click.option(
                "--ddl-lock-timeout",
                type=click.FloatRange(min=0, min_open=True),
                metavar="SECONDS",
                help="PostgreSQL: give up a migration that waits longer for other sessions, and try it again.",
            ),
            click.option(
                "--ddl-retries",
                type=click.IntRange(min=1),
                metavar="N",
                help="How often then, with growing pauses; default 5.",
            ),
            click.option("--dry-run", is_flag=True, help="Show the plan and do nothing, as `dbmigrate plan`."),
        )
    ):
        command = option(command)
    return command


junit_option = click.option(
    "--junit", metavar="FILE", help="Also write a JUnit report, a test case for each check or database."
)

exit_code_option = click.option("--exit-code", is_flag=True, help="Exit 10 when something is pending.")
